"""A header block for reading: encoded words decoded, lines as they were; upasfs(4)."""

import re
from collections.abc import Sequence

from mailfs.msg import charset
from mailfs.msg.header import Header
from mailfs.msg.word import TOKEN, words

# White space, newline included, between two encoded words: it is no part of the text.
_BETWEEN = re.compile(rb"\?=[ \t]*+\r?\n[ \t]++(?==\?)")


def header(block: Header, ignore: Sequence[bytes] = ()) -> bytes:
    """Return a header in UTF-8, a newline after every line, no empty line at the end.

    A field whose text starts with one of ignore, in any case, is left out with its
    continuation lines.
    """
    unwanted = tuple(start.lower() for start in ignore)
    out = []
    for line in block.lines:
        if unwanted and line[:998].lower().startswith(unwanted):
            continue
        field = _field(line)
        if field != b"\n":  # a bare return at the end of the octets
            out.append(field)
    return b"".join(out)


def _field(line: bytes) -> bytes:
    """Return a field, folded or not, with its encoded words decoded."""
    if b"\r" in line:
        line = line.replace(b"\r\n", b"\n").removesuffix(b"\r")
    if b"=?" in line:
        line = _BETWEEN.sub(rb"?= ", line)
        return b"\n".join([_decoded(text) for text in line.split(b"\n")]) + b"\n"
    if line.isascii():
        return line + b"\n"
    return charset.decode(line).encode() + b"\n"


def _decoded(text: bytes) -> bytes:
    """Return one line decoded, the blanks around it kept."""
    if TOKEN.search(text) is None:
        return charset.decode(text).encode()
    inner = text.strip(b" \t")
    at = text.index(inner)
    return text[:at] + words(inner).encode() + text[at + len(inner) :]
