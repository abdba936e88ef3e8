"""An item: what has a directory of its own, a message or one of its MIME parts.

Its methods compute what the files of the directory show.  They block no longer than
the message's store does.
"""

from collections.abc import Iterator, Sequence

from mailfs.mbox.driver import Flag
from mailfs.mbox.mailbox import Mailbox
from mailfs.mbox.message import AT_ONCE, KEEP, Message, Need
from mailfs.mbox.octets import Joined, Memory, Octets, collect, cut
from mailfs.msg import charset, coding, date, envelope, fromline, header
from mailfs.msg.envelope import Envelope
from mailfs.msg.header import Header
from mailfs.msg.part import Part

MULTIPART = "multipart/"
INNER = ("message/rfc822", "message/global")


class Item:
    """A message or a MIME part, with the octets that its offsets count in."""

    __slots__ = ("_envelope", "_header", "box", "ignore", "message", "part", "source")

    def __init__(
        self,
        box: Mailbox,
        message: Message,
        ignore: Sequence[bytes] = (),
        part: Part | None = None,
        source: Octets | None = None,
    ) -> None:
        """Describe a part whose offsets count in source; without one, the message.

        ignore holds the beginnings of header lines that ``header`` leaves out.
        """
        self.box = box
        self.message = message
        self.ignore = ignore
        self.part = part
        self.source = source
        self._header: Header | None = None
        self._envelope: Envelope | None = None

    @property
    def top(self) -> bool:
        """Whether it is the message itself."""
        return self.part is None

    @property
    def whole(self) -> bool:
        """Whether it is a message, be it inside another."""
        return self.part is None or self.part.message

    def ready(self, need: Need) -> bool:
        """Whether need can be had without waiting."""
        if self.part is not None:
            if need is Need.WHOLE:
                small = self.part.end - self.part.start <= AT_ONCE
                return small and self.message.store.immediate
            need = min(need, Need.HEAD)
        return self.message.ready(need)

    @property
    def octets(self) -> Octets:
        """The octets that the offsets below count in."""
        return self.message.octets if self.source is None else self.source

    @property
    def start(self) -> int:
        """Where its header begins."""
        return self.message.start if self.part is None else self.part.start

    @property
    def body_at(self) -> int:
        """Where its body begins."""
        return self.message.head.body if self.part is None else self.part.body

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.message.end if self.part is None else self.part.end

    @property
    def tree(self) -> Part:
        """Its place in the tree of parts."""
        return self.message.parts if self.part is None else self.part

    @property
    def header(self) -> Header:
        """Its header block; the scan's octets start at 0."""
        if self._header is None:
            self._header = header.scan(self.octets.read(self.start, self.body_at))
        return self._header

    @property
    def envelope(self) -> Envelope:
        """The values of its header; a part that is no message has few."""
        if self._envelope is None:
            self._envelope = self._values()
        return self._envelope

    def _values(self) -> Envelope:
        if self.part is None:
            values = self.message.head.envelope
        elif self.part.message:
            values = envelope.envelope(self.header)
        else:
            values = envelope.of_part(self.part)
        if values.type in INNER and not (values.from_ or values.sender):
            inner = next(iter(self.children()), None)
            if inner is not None:
                values = envelope.promote(values, inner.envelope)
        return values

    def children(self) -> "Iterator[Item]":
        """Give its parts, in order."""
        return (self.child(i) for i in range(1, len(self.tree.parts) + 1))

    def child(self, number: int) -> "Item":
        """Return its part with a number, counted from 1; there must be one."""
        tree = self.tree
        source = self.decoded() if tree.inset else self.octets
        part = tree.parts[number - 1]
        return Item(self.box, self.message, self.ignore, part, source)

    def raw_header(self) -> bytes:
        """Return the header block as it stands, without the blank line."""
        head = self.header
        return self.octets.read(self.start, self.start + head.end)

    def raw_body(self) -> Octets:
        """Return the body as it stands."""
        return cut(self.octets, self.body_at, self.end)

    def raw(self) -> Octets:
        """Return header and body as they stand, without a From_ line."""
        return cut(self.octets, self.start, self.end)

    def raw_unix(self) -> Octets:
        """Return raw after the From_ line."""
        if not self.top:
            return self.raw()
        if self.message.shape.envelope:
            return cut(self.octets, 0, self.end)
        return Joined(self.unix_header(), self.raw())

    def unix_header(self) -> bytes:
        """Return the From_ line with its newline, made up if the store has none."""
        if not self.top:
            return b""
        if self.message.shape.envelope:
            return self.octets.read(0, self.start)
        values = self.message.head.envelope
        return fromline.make(values.from_ or "???", self.message.date)

    def unix_date(self) -> str:
        """Return when it arrived, or when a message inside another was written."""
        if self.top:
            return date.unixdate(self.message.date)
        if self.whole:
            when = date.parse(self.envelope.date)
            if when is not None:
                return date.unixdate(when.epoch)
        return ""

    def lines(self) -> int:
        """Return the number of newlines in the body."""
        if self.part is None:
            return self.message.body.lines
        pieces = self.octets.pieces(self.body_at, self.end)
        return sum(piece.count(b"\n") for piece in pieces)

    def flags(self) -> Flag:
        """Return the message's flags as they are now; a part has none."""
        return Flag(self.box.flags(self.message.number) if self.top else 0)

    def decoded(self) -> Octets:
        """Return the body with its transfer encoding undone."""
        tree = self.tree
        body = self.raw_body()
        if tree.type.startswith(MULTIPART):
            return body
        if not coding.kind(tree.encoding):
            return body
        return collect(_decode(body, tree.encoding))

    def body(self) -> Octets:
        """Return the body to be read: decoded, and text in UTF-8."""
        kept = self.message.bodies.get(self.key)
        if kept is None:
            kept = self._body()
            if isinstance(kept, Memory) and len(kept) <= KEEP:
                self.message.bodies[self.key] = kept
            self.message.lengths[self.key] = len(kept)
        return kept

    def _body(self) -> Octets:
        tree = self.tree
        octets = self.decoded()
        if tree.type.startswith("text/") and not tree.parts:
            return _text(octets, tree.charset)
        return octets

    def body_length(self) -> int:
        """Return the length of body without keeping a long one."""
        length = self.message.lengths.get(self.key)
        return len(self.body()) if length is None else length

    @property
    def key(self) -> int:
        """What tells the item from others of its message."""
        return 0 if self.part is None else id(self.part)


def _decode(octets: Octets, encoding: str) -> Iterator[bytes]:
    decoder = coding.Decoder(encoding)
    for piece in octets.pieces(0, len(octets)):
        yield decoder.feed(piece)
    yield decoder.feed(b"", final=True)


def _text(octets: Octets, label: str) -> Octets:
    """Return text in UTF-8; the octets themselves where they are long and that."""
    size = len(octets)
    if size <= AT_ONCE:
        return Memory(charset.decode(octets.read(0, size), label).encode())
    name = charset.codec(label)
    if name is None:  # the label says nothing: look
        sniffer = charset.Sniffer()
        for piece in octets.pieces(0, size):
            if not sniffer.feed(piece):
                break
        else:
            sniffer.feed(b"", final=True)
        name = sniffer.charset()
        if name == charset.UTF8:
            return octets
    return collect(_transcode(octets, name))


def _transcode(octets: Octets, name: str) -> Iterator[bytes]:
    transcoder = charset.Transcoder(name)
    for piece in octets.pieces(0, len(octets)):
        yield transcoder.feed(piece)
    yield transcoder.feed(b"", final=True)
