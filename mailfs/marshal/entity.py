"""MIME entities made: a body and the fields that describe it; RFC 2045, 2046.

Lines end in LF here; what sends the message makes that CRLF.  Text may be sent in any
encoding, files are sent so that each octet arrives.
"""

import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mailfs.errors import MailfsError
from mailfs.marshal import kind
from mailfs.msg import charset, field, fromline, header

Token = Callable[[], str]
"""Return 26 lower-case letters, never the same twice."""

_LETTERS = 26  # of a token, as upas's boundaries have; 122 bits of chance

MIXED = "multipart/mixed"
MESSAGES = ("message/rfc822", "message/global")
PREAMBLE = b"This is a multi-part message in MIME format.\n"  # upas's own
B64_LINE = 54  # octets, 72 characters; upas/marshal's line

_LONG = re.compile(rb"[^\n]{999}")
_ODD = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")  # controls that 7bit and 8bit may lose
_FRAGILE = re.compile(rb"[ \t](?=\n|\Z)|^From ", re.MULTILINE)  # on the way; RFC 3156
_NEEDS_QUOTING = re.compile(rb"[^\n\t -<>-~]|[ \t](?=\n|\Z)")


def tokens(random: Callable[[int], bytes]) -> Token:
    """Make the source of tokens of so many random octets."""
    return lambda: "".join(chr(97 + octet % 26) for octet in random(_LETTERS))


@dataclass(frozen=True, slots=True)
class Entity:
    """Fields, each with its newline, and the body as it is sent."""

    fields: bytes
    body: bytes

    def octets(self) -> bytes:
        """Return the entity as a part of a multipart, or the end of a message."""
        return self.fields + b"\n" + self.body


def text(
    octets: bytes,
    type: str = kind.PLAIN,
    params: Mapping[str, str] | None = None,
    more: bytes = b"",
    *,
    seven: bool = False,
) -> Entity:
    """Return text that somebody wrote, with type and charset told; more fields follow.

    CRLF becomes LF and a last line gets its end.  What is no UTF-8 is read as params
    say, or as mail without a charset is, and becomes UTF-8.
    """
    octets = octets.replace(b"\r\n", b"\n")
    told = dict(params or {})
    if not octets.isascii() or "charset" not in told:
        octets = charset.decode(octets, told.get("charset")).encode()
        told["charset"] = "US-ASCII" if octets.isascii() else "UTF-8"
    if octets and not octets.endswith(b"\n"):
        octets += b"\n"
    encoding, body = encode(octets, seven=seven)
    return Entity(_content(type, told, encoding) + more, body)


def encode(octets: bytes, *, seven: bool = False) -> tuple[str, bytes]:
    """Return the encoding that text needs, and the text in it.

    With seven it is one that comes through whatever lies on the way, as a signature
    needs it: no octet over 127, no blank at a line's end, no line that begins From.
    """
    simple = not _LONG.search(octets) and not _ODD.search(octets)
    if simple and octets.isascii() and not (seven and _FRAGILE.search(octets)):
        return "7bit", octets
    if simple and not seven:
        return "8bit", octets
    odd = len(_NEEDS_QUOTING.findall(octets))
    if odd * 6 > len(octets):
        return "base64", _base64(octets)
    return "quoted-printable", b"\n".join(map(_quoted, octets.split(b"\n")))


def _quoted(line: bytes) -> bytes:
    # A line at a time: b2a_qp leaves a return alone in what it takes for text.
    if line.startswith(b"From "):
        return b"=46rom=\n" + binascii.b2a_qp(line[4:], istext=False)
    return binascii.b2a_qp(line, istext=False)


def file(
    octets: bytes, name: str, type: str | None, *, inline: bool, seven: bool = False
) -> Entity:
    """Return a file, of the type given or else found, with its name.

    With seven it has no octet over 127.  Raises MailfsError if it is said to be a MIME
    part and is none.
    """
    if type == "mime":
        return ready(octets, name)
    told = type or kind.guess(name, octets)
    word = "inline" if inline else "attachment"
    more = field.parameters("Content-Disposition", word, {"filename": name})
    if told in MESSAGES:
        made = message(octets, more)
        if made is not None and not (seven and not made.body.isascii()):
            return made
        told = kind.BINARY
    plain = not _LONG.search(octets) and not _ODD.search(octets)
    if told.startswith("text/") and kind.is_text(octets):
        params = {"charset": "US-ASCII" if octets.isascii() else "UTF-8"}
        if plain and not (seven and encode(octets, seven=True)[0] != "7bit"):
            encoding = "7bit" if octets.isascii() else "8bit"
            return Entity(_content(told, params, encoding) + more, octets)
        return encoded(octets, told, params, more)
    return encoded(octets, told, {}, more)


def encoded(octets: bytes, type: str, params: Mapping[str, str], more: bytes) -> Entity:
    """Return octets of a type, in base64; more fields follow."""
    return Entity(_content(type, params, "base64") + more, _base64(octets))


def message(octets: bytes, more: bytes = b"") -> Entity | None:
    """Return a message as a part, its From_ line dropped; RFC 2046 section 5.2.1.

    None if it cannot be one: it may not be encoded, and has a line too long for mail.
    """
    octets = octets.replace(b"\r\n", b"\n")
    first, newline, rest = octets.partition(b"\n")
    if newline and fromline.parse(first) is not None:
        octets = rest
    if _LONG.search(octets) or b"\0" in octets or b"\r" in octets:
        return None
    if not header.scan(octets).lines:
        return None
    encoding = "7bit" if octets.isascii() else "8bit"
    return Entity(_content("message/rfc822", {}, encoding) + more, octets)


def ready(octets: bytes, name: str) -> Entity:
    """Take a MIME part as it stands.  Raises MailfsError if it is none."""
    octets = octets.replace(b"\r\n", b"\n")
    head = header.scan(octets)
    named = any(line[:8].lower() == b"content-" for line in head.lines)
    if not named or head.body == head.end or _LONG.search(octets) or b"\0" in octets:
        raise MailfsError(f"{name}: not a MIME part")
    fields = b"".join(field.raw(n.decode(), v) for n, v in head.fields)
    return Entity(fields, octets[head.body :])


def multipart(
    type: str,
    parts: Sequence[Entity],
    token: Token,
    params: Mapping[str, str] | None = None,
) -> Entity:
    """Return parts as one entity, between boundaries that are in none of them."""
    octets = [part.octets() for part in parts]
    boundary = f"upas-{token()}"
    while any(boundary.encode() in one for one in octets):
        boundary = f"upas-{token()}"
    line = b"--" + boundary.encode()
    body = (
        PREAMBLE
        + b"".join(line + b"\n" + one + b"\n" for one in octets)
        + line
        + b"--\n"
    )
    fields = field.parameters(
        "Content-Type", type, {**(params or {}), "boundary": boundary}
    )
    if not body.isascii():
        fields += b"Content-Transfer-Encoding: 8bit\n"
    return Entity(fields, body)


def _content(type: str, params: Mapping[str, str], encoding: str) -> bytes:
    return field.parameters("Content-Type", type, params) + (
        f"Content-Transfer-Encoding: {encoding}\n".encode()
    )


def _base64(octets: bytes) -> bytes:
    pieces = range(0, len(octets), B64_LINE)
    return b"".join(binascii.b2a_base64(octets[at : at + B64_LINE]) for at in pieces)
