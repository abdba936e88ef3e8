"""A header block for reading: encoded words decoded, lines as they were; upasfs(4)."""

import re
from collections.abc import Sequence

from mailfs.msg import charset, param
from mailfs.msg.header import Header
from mailfs.msg.word import MAX_TEXT, TOKEN, words

# An encoded word that was folded inside, against RFC 2047.
_FOLDED = re.compile(rb"=\?[^?\s]++\?[bBqQ]\?[^?]*+\?=")
_FOLD = re.compile(rb"\r?\n[ \t]*+")
# White space, newline included, between two encoded words: it is no part of the text.
_BETWEEN = re.compile(rb"\?=[ \t]*+\r?\n[ \t]++(?==\?)")


def header(block: Header, ignore: Sequence[bytes] = ()) -> bytes:
    """Return a header in UTF-8, a newline after every line, no empty line at the end.

    A field whose text starts with one of ignore, in any case, is left out with its
    continuation lines.  Encoded words after the first MAX_TEXT octets of a field stay.
    """
    unwanted = tuple(start.lower() for start in ignore)
    out = []
    of_text = param.media(block.raw(b"content-type"))[1].get("charset")
    for line in block.lines:
        if unwanted and line[:998].lower().startswith(unwanted):
            continue
        field = _field(line, of_text)
        if field != b"\n":  # a bare return at the end of the octets
            out.append(field)
    return b"".join(out)


def _field(line: bytes, hint: str | None) -> bytes:
    """Return a field, folded or not, with its encoded words decoded."""
    if b"\r" in line:
        line = line.replace(b"\r\n", b"\n").removesuffix(b"\r")
    if len(line) > MAX_TEXT:
        at = _cut(line)
        rest = charset.decode(line[at:], charset.guess(line, hint)).encode()
        return _field(line[:at], hint).removesuffix(b"\n") + rest + b"\n"
    if b"=?" in line:
        line = _BETWEEN.sub(rb"?= ", line)
        line = _FOLDED.sub(lambda m: _FOLD.sub(b" ", m[0]), line)
        rows = [_decoded(text, hint) for text in line.split(b"\n")]
        return b"\n".join(rows) + b"\n"
    if line.isascii():
        return line + b"\n"
    return charset.decode(line, charset.guess(line, hint)).encode() + b"\n"


def _cut(line: bytes) -> int:
    """Choose the cut of a long field: within MAX_TEXT octets, in no word."""
    for blank in b"\n", b" ":
        at = line.rfind(blank, 1, MAX_TEXT)
        if at > 0:
            return at
    return MAX_TEXT


def _decoded(text: bytes, hint: str | None) -> bytes:
    """Return one line decoded, the blanks around it kept."""
    if TOKEN.search(text) is None:
        return charset.decode(text, charset.guess(text, hint)).encode()
    inner = text.strip(b" \t")
    at = text.index(inner)
    return text[:at] + words(inner, hint).encode() + text[at + len(inner) :]
