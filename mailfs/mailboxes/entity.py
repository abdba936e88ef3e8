"""An item: what has a directory of its own, a message or one of its MIME parts.

Its methods compute what the files of the directory show.  They block no longer than
the message's store does.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

from mailfs.errors import ENOENT, Refused
from mailfs.mailbox.kinds import Flag
from mailfs.mailbox.message import AT_ONCE, KEEP, MANY, STREAM, Message, Need, Outline
from mailfs.mailbox.octets import Joined, Memory, Octets, Streamed, collect, cut, unix
from mailfs.mailboxes.scoped import Box
from mailfs.msg import charset, coding, date, envelope, fromline, header
from mailfs.msg.envelope import Envelope
from mailfs.msg.header import Header
from mailfs.msg.part import Part

MULTIPART = "multipart/"
INNER = ("message/rfc822", "message/global")


class Entity:
    """A message or a MIME part.

    What is said in the header of a message, and how many parts it has, may be known
    where its octets are not: the offsets of a part are looked up when they are needed.
    """

    __slots__ = (
        "_envelope",
        "_header",
        "_part",
        "_source",
        "box",
        "ignore",
        "message",
        "number",
        "ordinal",
        "parent",
    )

    def __init__(
        self,
        box: Box,
        message: Message,
        ignore: Sequence[bytes] = (),
        parent: "Entity | None" = None,
        number: int = 0,
        ordinal: int = 0,
    ) -> None:
        """Describe the part of parent with that number; without one, the message.

        ignore holds the beginnings of header lines that ``header`` leaves out.
        ordinal tells which part of the message it is, depth first, the message being
        0: all parts have different ones, however deep they are.
        """
        self.box = box
        self.message = message
        self.ignore = ignore
        self.parent = parent
        self.number = number
        self.ordinal = ordinal
        self._part: Part | None = None
        self._source: Octets | None = None
        self._header: Header | None = None
        self._envelope: Envelope | None = None

    @property
    def top(self) -> bool:
        """Whether it is the message itself."""
        return self.parent is None

    @property
    def outline(self) -> Outline:
        """How many parts it has, and in each how many."""
        if self.parent is None:
            return self.message.outline
        return self.parent.outline[self.number - 1]

    @property
    def part(self) -> Part | None:
        """Its place in the tree of parts; None for the message itself.

        Raises Refused if the octets turn out to hold no such part.
        """
        if self._part is None and self.parent is not None:
            parts = self.parent.tree.parts
            if self.number > len(parts):
                raise Refused(ENOENT)
            self._part = parts[self.number - 1]
        return self._part

    @property
    def whole(self) -> bool:
        """Whether it is a message, be it inside another."""
        part = self.part
        return part is None or part.message

    def ready(self, need: Need) -> bool:
        """Whether need can be had without waiting."""
        message = self.message
        if self.parent is None or need in (Need.NOTHING, Need.OUTLINE):
            return message.ready(need)
        if not message.ready(Need.PARTS):
            return False
        if not message.store.immediate:
            return message.ready(Need.WHOLE)
        if not self._near():
            return False
        match need:
            case Need.ENTRIES if len(self.outline) > MANY:
                return False
            case Need.HEAD | Need.HEADER:
                return self.body_at - self.start <= AT_ONCE
            case Need.WHOLE if self.ordinal in message.bodies:
                return True
            case Need.WHOLE | Need.ENTRIES | Need.INFO:
                return self.end - self.start <= AT_ONCE
        return True

    def _near(self) -> bool:
        """Whether its octets can be had without decoding a long message around it."""
        parent = self.parent
        if parent is None or self._source is not None:
            return True
        if parent.tree.inset and parent.end - parent.start > AT_ONCE:
            return False
        return parent._near()

    @property
    def octets(self) -> Octets:
        """The octets that the offsets below count in."""
        parent = self.parent
        if parent is None:
            return self.message.octets
        if self._source is None:
            inset = parent.tree.inset
            self._source = parent.decoded() if inset else parent.octets
        return self._source

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
    def fields(self) -> Header:
        """Its header, or as much of it as says what ``info`` does."""
        known = self.message.fields if self.top else None
        return self.header if known is None else known

    @property
    def envelope(self) -> Envelope:
        """The values of its header; a part that is no message has few."""
        if self._envelope is None:
            self._envelope = self._values()
        return self._envelope

    def _values(self) -> Envelope:
        part = self.part
        if part is None:
            values = self.message.values
        elif part.message:
            values = envelope.envelope(self.header)
        else:
            values = envelope.of_part(part)
        if values.type in INNER and not (values.from_ or values.sender):
            inner = next(iter(self.children()), None)
            if inner is not None:
                values = envelope.promote(values, inner.envelope)
        return values

    def children(self) -> "Iterator[Entity]":
        """Give its parts, in order."""
        ordinal = self.ordinal + 1
        for number, below in enumerate(self.outline, 1):
            yield Entity(self.box, self.message, self.ignore, self, number, ordinal)
            ordinal += _size(below)

    def child(self, number: int) -> "Entity":
        """Return its part with a number, counted from 1; there must be one."""
        ordinal = self.ordinal + 1 + sum(map(_size, self.outline[: number - 1]))
        return Entity(self.box, self.message, self.ignore, self, number, ordinal)

    def raw_header(self) -> bytes:
        """Return the header block as it stands, without the blank line."""
        head = self.header
        octets = self.octets.read(self.start, self.start + head.end)
        return octets.replace(b"\r\n", b"\n") if self.message.shape.crlf else octets

    def raw_body(self) -> Octets:
        """Return the body as it stands."""
        return self._shown(self.body_at, self.end)

    def raw(self) -> Octets:
        """Return header and body as they stand, without a From_ line."""
        return self._shown(self.start, self.end)

    def _shown(self, start: int, end: int) -> Octets:
        """Return stored octets as the tree shows them: lines end with LF."""
        octets = cut(self.octets, start, end)
        if not self.message.shape.crlf:
            return octets
        return self._gather(lambda: unix(octets.pieces(0, len(octets))), len(octets))

    def _gather(self, make: Callable[[], Iterable[bytes]], size: int) -> Octets:
        """Keep what comes, or let it come as it is read where that takes long."""
        if self.message.store.immediate or size <= STREAM:
            return collect(make())
        return Streamed(make)

    def size(self) -> int:
        """Tell its size in the store in octets, as far as the store says."""
        message = self.message
        if self.top and not message.store.immediate:
            return message.size
        return self.end - self.start

    def raw_unix(self) -> Octets:
        """Return raw after the From_ line."""
        if not self.top:
            return self.raw()
        if self.message.shape.envelope:
            return cut(self.octets, 0, self.end)
        if not self.message.shape.crlf:
            return Joined(self.unix_header(), self.raw())
        octets = cut(self.octets, self.start, self.end)
        first = self.unix_header()

        def pieces() -> Iterator[bytes]:
            return chain([first], unix(octets.pieces(0, len(octets))))

        return self._gather(pieces, len(octets))

    def unix_header(self) -> bytes:
        """Return the From_ line with its newline, made up if the store has none."""
        if not self.top:
            return b""
        if self.message.shape.envelope:
            return self.octets.read(0, self.start)
        values = self.message.values
        return fromline.make(values.from_ or "???", self.message.date)

    def unix_date(self) -> str:
        """Tell the date of arrival, or of writing for a message inside another."""
        if self.top:
            return date.unixdate(self.message.date)
        if self.whole:
            when = date.parse(self.envelope.date)
            if when is not None:
                return date.unixdate(when.epoch)
        return ""

    def lines(self) -> int:
        """Return the number of newlines in the body."""
        if self.top:
            return self.message.lines
        pieces = self.octets.pieces(self.body_at, self.end)
        return sum(piece.count(b"\n") for piece in pieces)

    def flags(self) -> Flag:
        """Return the message's flags as they are now; a part has none."""
        return Flag(self.box.flags(self.message.number) if self.top else 0)

    def decoded(self) -> Octets:
        """Return the body with its transfer encoding undone, lines as stored."""
        body = self._stored()
        return collect(self._decoded(body)) if self._encoded else body

    def _stored(self) -> Octets:
        """Return the body as it is in the store."""
        return cut(self.octets, self.body_at, self.end)

    @property
    def _encoded(self) -> bool:
        tree = self.tree
        return not tree.type.startswith(MULTIPART) and bool(coding.kind(tree.encoding))

    def _decoded(self, body: Octets) -> Iterator[bytes]:
        """Give the body without its transfer encoding."""
        if self._encoded:
            return _decode(body, self.tree.encoding)
        return body.pieces(0, len(body))

    def body(self) -> Octets:
        """Return the body to be read: decoded, and text in UTF-8."""
        kept = self.message.bodies.get(self.ordinal)
        if kept is None:
            kept = self._body()
            if isinstance(kept, Memory) and len(kept) <= KEEP:
                self.message.bodies[self.ordinal] = kept
            if not isinstance(kept, Streamed):
                self.message.lengths[self.ordinal] = len(kept)
        return kept

    def _body(self) -> Octets:
        tree = self.tree
        stored = self._stored()
        text = tree.type.startswith("text/") and not tree.parts
        if not text:
            if self._encoded:
                return self._gather(lambda: self._decoded(stored), len(stored))
            return stored if tree.encoding == "binary" else self.raw_body()
        if len(stored) > STREAM and not self.message.store.immediate:
            return Streamed(lambda: _as_it_comes(self._decoded(stored), tree.charset))
        octets = collect(self._decoded(stored)) if self._encoded else stored
        if self.message.shape.crlf:
            octets = collect(unix(octets.pieces(0, len(octets))))
        return _text(octets, tree.charset)

    def body_length(self) -> int:
        """Return the length of body without keeping a long one."""
        length = self.message.lengths.get(self.ordinal)
        if length is not None:
            return length
        body = self.body()
        return 0 if isinstance(body, Streamed) else len(body)


def _size(outline: Outline) -> int:
    """Count the parts of an outline, itself included."""
    return 1 + sum(map(_size, outline))


def _as_it_comes(pieces: Iterator[bytes], label: str) -> Iterator[bytes]:
    """Give text in UTF-8; what has no label is judged by its first piece."""
    name = charset.codec(label)
    if name is None:
        first = next(pieces, b"")
        sniffer = charset.Sniffer()
        sniffer.feed(first)
        name = sniffer.charset()
        pieces = chain([first], pieces)
    transcoder = charset.Transcoder(name)
    for piece in unix(pieces):
        yield transcoder.feed(piece)
    yield transcoder.feed(b"", final=True)


def _decode(octets: Octets, encoding: str) -> Iterator[bytes]:
    decoder = coding.Decoder(encoding)
    for piece in octets.pieces(0, len(octets)):
        yield decoder.feed(piece)
    yield decoder.feed(b"", final=True)


def _text(octets: Octets, label: str) -> Octets:
    """Return text in UTF-8; the octets themselves where they are long and that."""
    size = len(octets)
    if size <= STREAM:
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
