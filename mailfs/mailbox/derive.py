"""What is worked out from a message's octets, for the index or on demand.

The shapes of stored messages: a spool and an mdir begin each with a From_ line, and
a spool ends each with an empty line that belongs to the mailbox, not to the message;
where there is none, every octet is the message's.
"""

import hashlib
from dataclasses import dataclass

from mailfs.mailbox.octets import Memory, Octets
from mailfs.msg import envelope, fromline, header, part
from mailfs.msg.envelope import Envelope
from mailfs.msg.part import Part

HEAD_READ = 4 << 10  # octets; most headers fit
MAX_HEAD = 64 << 20  # octets; a longer header is cut, as no reader wants it whole


@dataclass(frozen=True, slots=True)
class Shape:
    """How a store keeps a message."""

    envelope: bool = False  # a From_ line comes first
    blank: bool = False  # an empty line that is not the message's may come last
    crlf: bool = False  # lines end as on the network
    volatile: tuple[bytes, ...] = ()  # header lines that are the store's; Driver


@dataclass(frozen=True, slots=True)
class Head:
    """The header of a stored message: offsets into it, and its values."""

    start: int  # where the From_ line ends and the header begins
    body: int  # where the body begins, after the blank line
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Body:
    """What takes reading all of a message."""

    digest: str  # SHA-1 in hex, the identity that clients know
    lines: int  # newlines in the body
    parts: Part


def end_of(octets: Octets, shape: Shape) -> int:
    """Find the end of the message within its stored octets."""
    end = len(octets)
    if shape.blank:
        tail = octets.read(max(0, end - 3), end)
        if tail == b"\n\r\n":
            return end - 2
        if tail.endswith(b"\n\n"):
            return end - 1
    return end


def start_of(data: bytes, shape: Shape) -> int:
    """Find the start of the header in the first octets of a stored message."""
    if shape.envelope and data.startswith(b"From "):
        return data.find(b"\n") + 1 or len(data)
    return 0


def headed(data: bytes, shape: Shape) -> bool:
    """Whether the first octets of a stored message hold its header to the end."""
    return header.scan(data, start_of(data, shape)).body < len(data)


def head(octets: Octets, shape: Shape) -> Head:
    """Read the header of a stored message."""
    size = len(octets)
    want = HEAD_READ
    while True:
        data = octets.read(0, min(want, size))
        start = start_of(data, shape)
        line = fromline.parse(data[:start]) if start else None
        sender = line.sender if line else ""
        found = header.scan(data, start)
        if found.body < len(data) or want >= min(size, MAX_HEAD):
            values = envelope.envelope(found, sender)
            return Head(start, min(found.body, end_of(octets, shape)), values)
        want *= 8


def body(octets: Octets, shape: Shape, known: Head) -> Body:
    """Read all of a stored message."""
    end = end_of(octets, shape)
    # The parser searches octets in memory where they are, others window by window.
    source = octets.data if isinstance(octets, Memory) else octets
    return Body(
        digest=digest(octets, shape, end),
        lines=sum(piece.count(b"\n") for piece in octets.pieces(known.body, end)),
        parts=part.parse(source, known.start, end),
    )


def parts(octets: Octets) -> Part:
    """Return the tree of parts of a message stored without a From_ line."""
    source = octets.data if isinstance(octets, Memory) else octets
    return part.parse(source, 0, len(octets))


def digest(octets: Octets, shape: Shape, end: int) -> str:
    """Return the SHA-1 that upas/fs gives the message, in hex; upasfs(4).

    A spool's message counts as it stands; elsewhere CR and NUL are left out, so that
    a message and its copy with network line ends are one.
    """
    strip = b"" if shape.blank else b"\r\0"
    sha = hashlib.sha1(usedforsecurity=False)
    for piece in octets.pieces(0, end):
        sha.update(piece.translate(None, strip) if strip else piece)
    return sha.hexdigest()
