"""Encoded words, RFC 2047, and the cleaning of values that must stay one line."""

import re

from mailfs.msg import charset, coding

# Charset, then perhaps a language (RFC 2231 section 5), encoding, text.  Exactly
# three inner question marks and no white space: anything else is plain text.
TOKEN = re.compile(rb"=\?([^?*\s]+)(?:\*[^?\s]*)?\?([bBqQ])\?([^?\s]*)\?=")
_FOLD = re.compile(rb"\r?\n[ \t]*")
_BLANK = bytes(range(256)).replace(b"\t", b" ")
_CONTROLS = bytes(set(range(32)) - set(b"\t")) + b"\x7f"
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def unfold(raw: bytes) -> bytes:
    """Return a raw field body as one line: RFC 5322 section 2.2.3.

    A newline with the white space after it is one space, a tab is a space, other
    control characters are dropped, as are spaces at either end.
    """
    if b"\n" in raw:
        raw = _FOLD.sub(b" ", raw)
    return raw.translate(_BLANK, _CONTROLS).strip(b" ")


def printable(text: str) -> str:
    """Return text without control characters; newlines and tabs become spaces."""
    if text.isprintable():
        return text
    return _CONTROL.sub(_blank, text)


def line(raw: bytes) -> str:
    """Return a field body as text of one line, encoded words left as they are."""
    if raw.isascii():
        text = raw.decode("ascii")
        if text.isprintable():
            return text.strip(" ")
    return printable(charset.decode(unfold(raw)))


def _blank(match: re.Match[str]) -> str:
    return " " if any(c in "\t\n\r\x0b\x0c\u2028\u2029" for c in match[0]) else ""


def words(raw: bytes) -> str:
    """Decode an unstructured field body, which may be folded; RFC 2047.

    White space between adjacent tokens goes, and a character that was split over two
    tokens of one charset and encoding is joined.  A token in an unknown charset
    stays as it is.  Octets outside tokens are decoded as unlabelled text is.  The
    result is one line.
    """
    if b"=?" not in raw:
        return line(raw)
    raw = unfold(raw)
    plain = charset.settle(raw)
    out: list[str] = []
    pending: tuple[str, bytes, bytes] | None = None  # charset, encoding, octets
    end = 0
    for token in TOKEN.finditer(raw):
        label = token[1].decode("ascii", "replace").lower()
        if not charset.known(label):
            continue
        kind = token[2].upper()
        octets = _octets(kind, token[3])
        between = raw[end : token.start()]
        end = token.end()
        if pending is None or between.strip(b" "):
            out += _text(pending), charset.decode(between, plain)
        elif pending[:2] == (label, kind):
            octets = pending[2] + octets
        else:
            out.append(_text(pending))
        pending = label, kind, octets
    out += _text(pending), charset.decode(raw[end:], plain)
    return printable("".join(out))


def _octets(kind: bytes, text: bytes) -> bytes:
    if kind == b"B":
        return coding.decode(text, "base64")
    return coding.escapes(text.replace(b"_", b" "))


def _text(token: tuple[str, bytes, bytes] | None) -> str:
    return "" if token is None else charset.decode(token[2], token[0])
