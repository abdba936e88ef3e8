"""A message as the network has it: CRLF, nothing of the store's own; RFC 5322 2.1.

Header lines that programs use to keep a message's state in its store are left out, or
the message would be another one after each change of its flags.  NUL, which no mail
may have and IMAP cannot send, is sent as octet 0x80.
"""

import hashlib
from collections.abc import Iterable, Iterator

from mailfs.mailbox.derive import MAX_HEAD, Shape, end_of, start_of
from mailfs.mailbox.octets import IN_MEMORY, Memory, Octets, collect

_NUL = bytes.maketrans(b"\0", b"\x80")
_FIRST = 64 << 10  # octets; nearly all headers end there


def network(pieces: Iterable[bytes], *, nul: bool = False) -> Iterator[bytes]:
    """Give text with every line end CRLF; a CR elsewhere stays, with nul NUL too."""
    held = b""
    for piece in pieces:
        text = held + piece
        held = b"\r" if text.endswith(b"\r") else b""
        text = text.removesuffix(held) if held else text
        if text:
            yield _lines(text) if nul else _ended(text)
    if held:
        yield held


def _lines(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _ended(text: bytes) -> bytes:
    text = _lines(text)
    return text.translate(_NUL) if b"\0" in text else text


def wiretext(octets: Octets, shape: Shape) -> Octets:
    """Return a stored message as the network has it.  Raises what reading raises."""
    text = plaintext(octets, shape)
    if isinstance(text, Memory):
        return Memory(_ended(text.data))
    return collect(network(text.pieces(0, len(text))))


def plaintext(octets: Octets, shape: Shape) -> Octets:
    """Return the same with line ends, and NULs, as stored."""
    end = end_of(octets, shape)
    if end <= IN_MEMORY:
        data = octets.read(0, end)
        return Memory(b"".join(_split(data, start_of(data, shape), shape)))
    return collect(_pieces(octets, shape, end))


def _pieces(octets: Octets, shape: Shape, end: int) -> Iterator[bytes]:
    want = _FIRST
    while True:
        data = octets.read(0, min(want, end))
        head, rest = _split(data, start_of(data, shape), shape)
        if rest or want >= min(end, MAX_HEAD):
            break
        want *= 8
    yield head
    yield rest
    yield from octets.pieces(len(data), end)


def _split(data: bytes, start: int, shape: Shape) -> tuple[bytes, bytes]:
    """Return the header without the store's lines, and what follows it."""
    if not shape.volatile or data[start : start + 2].lstrip(b"\r")[:1] == b"\n":
        return b"", data[start:]
    ends = [at for gap in (b"\n\n", b"\n\r\n") if (at := data.find(gap, start)) >= 0]
    end = min(ends, default=len(data) - 1) + 1
    return _kept(data[start:end], shape.volatile), data[end:]


def _kept(head: bytes, volatile: tuple[bytes, ...]) -> bytes:
    lower = b"\n" + head.lower()
    if not any(b"\n" + name in lower for name in volatile):
        return head
    out, keep = [], True
    for line in head.splitlines(keepends=True):
        if line[:1] not in (b" ", b"\t"):  # else it continues the line before
            keep = not line.lower().startswith(volatile)
        if keep:
            out.append(line)
    return b"".join(out)


def digest(text: Octets) -> bytes:
    """Return 20 octets that tell a message, as the network has it, from others."""
    sha = hashlib.sha1(usedforsecurity=False)
    for piece in text.pieces(0, len(text)):
        sha.update(piece)
    return sha.digest()
