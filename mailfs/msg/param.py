"""Content-Type and Content-Disposition: a word or two, then parameters.

RFC 2045 section 5.1 and RFC 2183, the continuations and charsets of RFC 2231, and
what senders do against them: RFC 2047 tokens in quotes, bare file names with spaces,
lost semicolons.  Nothing raises.
"""

import re
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from mailfs.msg import charset
from mailfs.msg.word import printable, unfold, words

MAX_VALUE = 1 << 16  # octets of a field body that are looked at
MAX_KEPT = 64  # octets of a value whose meaning is kept: a few dozen recur in all mail
MAX_PARAMS = 1000  # of one field; continuations count one each

Params = dict[str, str]

DEFAULT = "text/plain"  # RFC 2045 section 5.2

# Quotes around the type, or either half of it, are against the grammar and are sent.
_TYPE = re.compile(
    rb"""\s*+["']?([!#$%&*+.^_`{|}~\w-]++)["']?"""
    rb"""(?:\s*+/\s*+["']?([!#$%&*+.^_`{|}~\w-]++)["']?)?"""
)
_GAP = re.compile(rb"(?:[\s;]++|\([^()]*+\))*+")
_PARAM = re.compile(
    rb"([^\s;=()\"]++)\s*+=\s*+"
    rb'(?:"((?:[^"\\]++|\\.)*+)"?|([^\s;]*+))',
    re.DOTALL,
)
_COMMENT = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[^()"\\]++|\\.?|["()]', re.DOTALL)
_PAIR = re.compile(rb'\\(["\\])')  # others are left: senders put C:\dir\file in quotes
_SECTION = re.compile(r"([^*]+)(?:\*(\d{1,4}))?(\*)?\Z")
_UNFIT = re.compile(r"[\x00-\x20;/\x7f-\x9f]")

# What a type without a subtype most likely stands for.
_SUBTYPES = {"multipart": "mixed", "message": "rfc822", "application": "octet-stream"}


def media(value: bytes | None, hint: str | None = None) -> tuple[str, Params]:
    """Return the media type, in lower case, and the parameters of a Content-Type.

    An absent or unintelligible one is text/plain.  hint is the charset of unlabelled
    octets where the field names none.
    """
    if value is None:
        return DEFAULT, {}
    if len(value) > MAX_KEPT or (hint and not value.isascii()):
        value = unfold(value[:MAX_VALUE])
        return _media(value, hint)
    kind, params = _kept(value)
    return kind, params.copy()


def _media(value: bytes, hint: str | None = None) -> tuple[str, Params]:
    value = _head(value)
    m = _TYPE.match(value)
    if m is None:
        return DEFAULT, {}
    major = m[1].decode("latin-1").lower()
    minor = m[2].decode("latin-1").lower() if m[2] else _SUBTYPES.get(major)
    kind = f"{major}/{minor}" if minor else DEFAULT
    if m.end() == len(value):
        return kind, {}
    return kind, _decoded(_pairs(value, m.end()), hint)


@lru_cache(maxsize=512)
def _kept(value: bytes) -> tuple[str, Params]:
    return _media(unfold(value))


def boundary(value: bytes | None) -> bytes | None:
    """Return the boundary parameter of a Content-Type as it stands, or None."""
    value = _head(unfold((value or b"")[:MAX_VALUE]))
    m = _TYPE.match(value)
    pairs = _pairs(value, m.end()) if m is not None else []
    for name, octets in pairs:
        if name == "boundary":
            return octets.rstrip(b" ") or None
    params = _decoded(pairs, None)  # in continuations, perhaps
    return params.get("boundary", "").encode() or None


def disposition(value: bytes | None, hint: str | None = None) -> tuple[str, Params]:
    """Return a Content-Disposition's word, in lower case, and its parameters.

    An absent one is the empty string.  hint is the charset of unlabelled octets: the
    one that Content-Type names.
    """
    if value is None:
        return "", {}
    value = _head(unfold(value[:MAX_VALUE]))
    m = _TYPE.match(value)
    if m is None:
        return "", _decoded(_pairs(value, 0), hint)
    if value[m.end() :].lstrip()[:1] == b"=":  # the word was forgotten
        return "", _decoded(_pairs(value, 0), hint)
    word = m[1].decode("latin-1").lower()
    return word, _decoded(_pairs(value, m.end()), hint)


def pairs(value: bytes | None) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Return a field body's first word, in its spelling, and its parameters as sent.

    Names are in lower case, quotes undone; sections of RFC 2231 stay apart.
    """
    if value is None:
        return b"", []
    value = _head(unfold(value[:MAX_VALUE]))
    m = _TYPE.match(value)
    if m is None:
        return b"", _pairs(value, 0)
    return value[m.start(1) : m.end()], _pairs(value, m.end())


def encoding(value: bytes | None) -> str:
    """Return the word of a Content-Transfer-Encoding, in lower case; empty for none.

    Comments around it, and quotes, which some senders write, are not meant.
    """
    words = uncommented((value or b"")[:MAX_VALUE]).replace(b'"', b" ").split()
    return words[0].rstrip(b";").decode("latin-1").lower() if words else ""


def _head(value: bytes) -> bytes:
    """Return a field body without comments before its first parameter."""
    head, semicolon, rest = value.partition(b";")
    if b"(" not in head or b"=" in head:  # a file name without quotes may have some
        return value
    bare = uncommented(value if head.count(b"(") > head.count(b")") else head)
    if head.count(b"(") > head.count(b")"):  # the semicolon was inside
        return bare
    return bare + semicolon + rest


def uncommented(value: bytes) -> bytes:
    """Return a field body without comments, which may be nested; RFC 5322 3.2.2.

    An open one that is never closed goes on to the end.
    """
    if b"(" not in value:
        return value
    out, depth = [], 0
    for m in _COMMENT.finditer(value):
        token = m[0]
        if token == b"(":
            depth += 1
        elif token == b")" and depth:
            depth -= 1
            out.append(b" ")
        elif not depth:
            out.append(token)
    return b"".join(out)


def filename(place: Params, kind: Params) -> str:
    """Return the file name that disposition and type parameters give, made fit.

    The disposition's overrides.  Blanks, semicolons, slashes and control characters
    become underscores.
    """
    name = place.get("filename") or kind.get("name") or ""
    return _UNFIT.sub("_", name)


def _pairs(value: bytes, at: int) -> list[tuple[str, bytes]]:
    """Return the parameters as they stand: names in lower case, quotes undone."""
    out: list[tuple[str, bytes]] = []
    end = len(value)
    while at < end and len(out) < MAX_PARAMS:
        gap = _GAP.match(value, at)
        at = at if gap is None else gap.end()
        m = _PARAM.match(value, at)
        if m is None:
            at = value.find(b";", at) + 1 or end
            continue
        name = m[1].decode("latin-1").lower()
        at = m.end()
        if m[2] is not None:
            octets = _PAIR.sub(rb"\1", m[2])
        else:
            octets, at = _bare(value, m, name)
        out.append((name, octets))
    return out


def _bare(value: bytes, m: re.Match[bytes], name: str) -> tuple[bytes, int]:
    """Return a value without quotes and where it ends; file names may have spaces."""
    octets: bytes = m[3]
    if name in ("name", "filename"):
        end = value.find(b";", m.end())
        if end < 0:
            end = len(value)
        rest = value[m.end() : end]
        if b"=" not in rest:
            return _unclosed((octets + rest).rstrip()), end
    if name != "boundary":
        octets = octets.partition(b"(")[0]
    return _unclosed(octets), m.end()


def _unclosed(octets: bytes) -> bytes:
    """Return a value without the quote that ends a field quoted as a whole."""
    return octets.removesuffix(b'"') if octets.count(b'"') == 1 else octets


def _decoded(pairs: list[tuple[str, bytes]], hint: str | None) -> Params:
    """Return parameters as text, sections joined; the first of a name holds.

    Unlabelled octets are of the charset that is a parameter itself, else the hint's.
    """
    for name, octets in pairs:
        if name == "charset":
            hint = octets.decode("latin-1")
            break
    out: Params = {}
    sections: dict[str, dict[int, tuple[bytes, bool]]] = {}
    for name, octets in pairs:
        if "*" not in name:
            out.setdefault(name, _plain(octets, hint))
            continue
        m = _SECTION.match(name)
        if m is not None:
            number = int(m[2] or 0)
            section = (octets, m[3] is not None)
            sections.setdefault(m[1], {}).setdefault(number, section)
    for name, numbered in sections.items():
        if 0 in numbered:
            out[name] = _joined(numbered, hint)
    return out


def _plain(octets: bytes, hint: str | None) -> str:
    if b"=?" in octets:
        return words(octets, hint)
    return printable(charset.decode(octets, charset.guess(octets, hint)))


def _joined(numbered: dict[int, tuple[bytes, bool]], hint: str | None) -> str:
    """Return the text of the sections 0, 1, ... up to the first gap; RFC 2231."""
    label: str | None = None
    parts = []
    for number in range(len(numbered)):
        if number not in numbered:
            break
        octets, extended = numbered[number]
        if extended:
            if number == 0 and octets.count(b"'") >= 2:
                name, _, octets = octets.split(b"'", 2)
                label = name.decode("latin-1")
            octets = unquote_to_bytes(octets)
        parts.append(octets)
    octets = b"".join(parts)
    if label is None:
        return _plain(octets, hint)
    return printable(charset.decode(octets, label))
