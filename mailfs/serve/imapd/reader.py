"""A client's octets, cut into commands; RFC 9051 section 4.3, RFC 7888.

No input or output.  Octets are fed; next() gives one event after the other.  Whatever
comes, a command is bounded, and a refused one swallows exactly its own literals.
"""

import re
from collections import deque
from dataclasses import dataclass
from enum import Enum, auto

_LITERAL = re.compile(rb"(~?)\{([0-9]{1,20})(\+?)\}\Z")
_TAG = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\+]{1,64}(?= |\Z)")
# The text before a literal that is a message: a mailbox comes before it.
_APPEND = re.compile(rb"[^ ]+ (?:append |(?:uid )?replace [^ ]+ )", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one command may take.

    line      octets of its text, without literals
    literals  octets of its literals together
    count     of its literals
    """

    line: int = 64 << 10
    literals: int = 1 << 20
    count: int = 1000


STRANGER = Bounds(literals=64 << 10, count=16)  # before login
FRIEND = Bounds()


@dataclass(frozen=True, slots=True)
class Literal:
    """Octets that came as a literal; binary for literal8."""

    octets: bytes
    binary: bool = False


@dataclass(frozen=True, slots=True)
class Upload:
    """A message that came as a literal; the caller has its octets."""

    number: int  # counted from 0 within the command
    size: int  # octets
    binary: bool = False


Piece = bytes | Literal | Upload


@dataclass(frozen=True, slots=True)
class Command:
    """A whole command: its text, cut where literals were."""

    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Continue:
    """The client waits for ``+`` before it sends a literal."""


@dataclass(frozen=True, slots=True)
class Begin:
    """A message is about to come: answered by Reader.accept or Reader.refuse."""

    upload: Upload
    waits: bool  # the client waits for ``+``
    tag: bytes


@dataclass(frozen=True, slots=True)
class Octets:
    """A piece of the message that is coming."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is no command: an answer in AUTHENTICATE, DONE of IDLE."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Bad:
    """A command that is refused as it stands; fatal if nothing can come after it."""

    tag: bytes  # empty where there is none
    text: str
    code: str = ""  # of the response, as TOOBIG
    fatal: bool = False


Event = Command | Continue | Begin | Octets | Line | Bad


class _State(Enum):
    TEXT = auto()
    LITERAL = auto()
    ASKED = auto()  # a Begin has been given
    UPLOAD = auto()
    SKIP = auto()  # a literal of a refused command
    LINE = auto()
    CLOSED = auto()


class Reader:
    """Octets in, events out."""

    def __init__(self, bounds: Bounds = STRANGER, *, uploads: bool = False) -> None:
        """Begin; uploads says that messages may be appended."""
        self.bounds = bounds
        self.uploads = uploads
        self._state = _State.TEXT
        self._octets = bytearray()
        self._looked = 0  # octets without a line end
        self._events: deque[Event] = deque()
        self._clear()

    def _clear(self) -> None:
        self._pieces: list[Piece] = []
        self._text = 0
        self._sum = 0
        self._count = 0
        self._sent = 0  # uploads of this command
        self._left = 0
        self._binary = False
        self._refused: Bad | None = None
        self._upload: Upload | None = None

    @property
    def idle(self) -> bool:
        """Whether no command is under way, and no octet waits."""
        return self._state is _State.TEXT and not self._octets and not self._pieces

    @property
    def buffered(self) -> bool:
        """Whether octets wait that no event has used."""
        return bool(self._octets)

    @property
    def amid(self) -> bool:
        """Whether a command has begun and is not complete."""
        return bool(self._pieces or self._octets) or self._state not in (
            _State.TEXT,
            _State.LINE,
        )

    def feed(self, octets: bytes) -> None:
        """Take octets; after a fatal error nothing is kept."""
        if self._state is not _State.CLOSED:
            self._octets += octets

    def expect_line(self) -> None:
        """Have the next line given as it is."""
        self._state = _State.LINE

    def accept(self) -> None:
        """Take the message that was announced."""
        assert self._state is _State.ASKED
        self._state = _State.UPLOAD

    def refuse(self, *, waits: bool) -> None:
        """Refuse it: the caller has told the client why.

        A client that waits sends nothing more of the command.
        """
        assert self._state is _State.ASKED
        if waits:
            self._clear()
            self._state = _State.TEXT
            return
        self._refused = Bad(b"", "")  # told already
        self._state = _State.SKIP

    def next(self) -> Event | None:
        """Return the next event, None until more octets have come."""
        while not self._events:
            if not self._step():
                break
        return self._events.popleft() if self._events else None

    def _step(self) -> bool:
        match self._state:
            case _State.TEXT:
                return self._line()
            case _State.LINE:
                return self._raw()
            case _State.LITERAL:
                return self._literal()
            case _State.UPLOAD:
                return self._uploading()
            case _State.SKIP:
                return self._skip()
        return False

    def _taken(self) -> bytes | None:
        """Take a line, without its end; None if none is complete."""
        end = self._octets.find(b"\n", self._looked)
        if end < 0:
            self._looked = len(self._octets)
            return None
        line = bytes(self._octets[:end])
        del self._octets[: end + 1]
        self._looked = 0
        return line.removesuffix(b"\r")

    def _raw(self) -> bool:
        line = self._taken()
        if line is None:
            if len(self._octets) > self.bounds.line:
                self._fatal("line too long")
            return False
        self._state = _State.TEXT
        self._events.append(Line(line))
        return True

    def _line(self) -> bool:
        line = self._taken()
        if line is None:
            if len(self._octets) + self._text > self.bounds.line:
                self._fatal("command line too long")
            return False
        self._text += len(line)
        if self._text > self.bounds.line and self._refused is None:
            self._refused = Bad(self._tag(line), "command line too long", "TOOBIG")
        fault = _fault(line)
        if fault and self._refused is None:
            self._refused = Bad(self._tag(line), fault)
        literal = _LITERAL.search(line)
        if literal is not None:
            self._begin(line, literal)
            return True
        if self._refused is not None:
            self._end_refused()
        elif line or self._pieces:
            self._pieces.append(line)
            self._events.append(Command(tuple(self._pieces)))
            self._clear()
        return True

    def _end_refused(self) -> None:
        assert self._refused is not None
        if self._refused.text:
            self._events.append(self._refused)
        self._clear()
        self._state = _State.TEXT

    def _tag(self, line: bytes) -> bytes:
        first = self._pieces[0] if self._pieces else line
        m = _TAG.match(first) if isinstance(first, bytes) else None
        return m[0] if m is not None else b""

    def _begin(self, line: bytes, literal: "re.Match[bytes]") -> None:
        """Begin a literal: what it is, and whether it may come."""
        size, waits = int(literal[2]), not literal[3]
        tag = self._tag(line)
        self._pieces.append(line[: literal.start()])
        self._binary, self._left = bool(literal[1]), size
        self._count += 1
        if self._refused is None and self._streams():
            self._upload = Upload(self._sent, size, self._binary)
            self._sent += 1
            self._state = _State.ASKED
            self._events.append(Begin(self._upload, waits, tag))
            return
        self._sum += size
        if self._refused is None and (
            self._sum > self.bounds.literals or self._count > self.bounds.count
        ):
            self._refused = Bad(tag, "literals too large", "TOOBIG")
        if self._refused is not None:
            if waits:  # it is not sent
                self._end_refused()
                return
            if self._sum > self.bounds.literals:
                self._fatal("literals too large")
                return
            self._state = _State.SKIP
            return
        self._state = _State.LITERAL
        if waits:
            self._events.append(Continue())

    def _streams(self) -> bool:
        """Whether the literal that begins is a message."""
        if not self.uploads:
            return False
        first = self._pieces[0]
        if not isinstance(first, bytes):
            return False
        m = _APPEND.match(first)
        if m is None:
            return False
        return len(self._pieces) > 1 or m.end() < len(first)

    def _literal(self) -> bool:
        if len(self._octets) < self._left:
            return False
        octets = bytes(self._octets[: self._left])
        del self._octets[: self._left]
        self._looked = 0
        self._state = _State.TEXT
        if b"\0" in octets and not self._binary:
            self._refused = Bad(self._tag(b""), "NUL in a literal")
        self._pieces.append(Literal(octets, self._binary))
        return True

    def _uploading(self) -> bool:
        data = bytes(self._octets[: self._left])
        del self._octets[: len(data)]
        self._looked = 0
        self._left -= len(data)
        if data:
            self._events.append(Octets(data))
        if not self._left:
            assert self._upload is not None
            self._pieces.append(self._upload)
            self._state = _State.TEXT
        return bool(data) or not self._left

    def _skip(self) -> bool:
        count = min(self._left, len(self._octets))
        del self._octets[:count]
        self._looked = 0
        self._left -= count
        if not self._left:
            self._state = _State.TEXT
            self._pieces.append(b"")
            return True
        return False

    def _fatal(self, text: str) -> None:
        self._state = _State.CLOSED
        self._octets.clear()
        self._events.append(Bad(b"", text, "TOOBIG", fatal=True))


def _fault(line: bytes) -> str:
    """Return why a line cannot be of a command, empty if it can."""
    if b"\0" in line:
        return "NUL in a command"
    if b"\r" in line:
        return "CR without LF in a command"
    return ""
