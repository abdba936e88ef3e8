"""Encoded words, RFC 2047, and the cleaning of values that must stay one line."""

import re

from mailfs.msg import charset, coding

# Charset, then perhaps a language (RFC 2231 section 5), encoding, text.  RFC 2047
# wants no blank and no question mark in the text, but senders put them there, and fold
# inside; it ends at a "?=" that begins no escape, else at any, and before a next token.
TOKEN = re.compile(
    rb"=\?([^?*\s]+)(?:\*[^?\s]*)?\?"
    rb"(?:([qQ])\?((?:(?!=\?|\?=)[^\n]|\?=(?=[0-9A-F]{2}))*+)\?="
    rb"|([bBqQ])\?([^?\n]*+)\?=)"
)
MAX_TEXT = 1 << 20  # octets of a field body read as text; a hundred times the longest
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


def line(raw: bytes, hint: str | None = None) -> str:
    """Return a field body as text of one line, encoded words left as they are.

    hint is the charset that unlabelled octets may have: the one of the message's text.
    Octets after MAX_TEXT are cut.
    """
    raw = raw[:MAX_TEXT]
    if b"\x1b$" in raw:  # ISO-2022-JP as it is, as was sent before there was MIME
        label = hint if charset.shifted(hint) else "iso-2022-jp"
        return printable(charset.decode(_FOLD.sub(b" ", raw), label)).strip(" ")
    if raw.isascii():
        text = raw.decode("ascii")
        if text.isprintable():
            return text.strip(" ")
    octets = unfold(raw)
    return printable(charset.decode(octets, charset.guess(octets, hint)))


def _blank(match: re.Match[str]) -> str:
    return " " if any(c in "\t\n\r\x0b\x0c\u2028\u2029" for c in match[0]) else ""


def words(raw: bytes, hint: str | None = None) -> str:
    """Decode an unstructured field body, which may be folded; RFC 2047.

    White space between adjacent tokens goes, and a character that was split over two
    tokens of one charset and encoding is joined.  A token in an unknown charset
    stays as it is.  Octets outside tokens are decoded as unlabelled text is, by the
    hint if they are no UTF-8.  Octets after MAX_TEXT are cut.  The result is one line.
    """
    raw = raw[:MAX_TEXT]
    if b"=?" not in raw:
        return line(raw, hint)
    raw = unfold(raw)
    plain = charset.guess(raw, hint)
    out: list[str] = []
    joined: list[bytes] = []  # octets of tokens of one charset and encoding
    pending: tuple[str, bytes] | None = None  # that charset and encoding
    end = 0
    for token in TOKEN.finditer(raw):
        label = token[1].decode("ascii", "replace").lower()
        if not charset.readable(label):
            continue
        kind = (token[2] or token[4]).upper()
        octets = _octets(kind, token[5] if token[2] is None else token[3])
        between = raw[end : token.start()]
        end = token.end()
        if pending is None or between.strip(b" "):
            out += _text(pending, joined), charset.decode(between, plain)
        elif pending != (label, kind):
            out.append(_text(pending, joined))
        pending = label, kind
        joined.append(octets)
    out += _text(pending, joined), charset.decode(raw[end:], plain)
    return printable("".join(out))


def _octets(kind: bytes, text: bytes) -> bytes:
    if kind == b"B":
        return coding.decode(text, "base64")
    return coding.escapes(text.replace(b"_", b" "))


def _text(token: tuple[str, bytes] | None, joined: list[bytes]) -> str:
    """Decode the octets of joined tokens, and empty the list."""
    octets = b"".join(joined)
    joined.clear()
    return "" if token is None else charset.decode(octets, token[0])
