"""One POP3 dialogue, no input or output; RFC 1939, 2449, 2595, 3206, 5034.

Octets are fed; what the session can answer itself it answers; what needs the maildrop
or the keys it asks by a Question, in the order of the commands.  The caller answers
each question before it asks for the next, and sends what take() gives whenever it must
wait: so the replies to commands that came together leave together.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from mailfs.serve.pop3d.text import Outgoing

MAX_LINE = 512  # octets of a command, its end included; RFC 2449 section 4 has 255
MAX_RESPONSE = 12288  # octets of a line of SASL; RFC 5034 section 4
MAX_ERRORS = 8  # commands refused in one session
QUEUED = 256 << 10  # octets of replies after which they are sent first


@dataclass(frozen=True, slots=True)
class StartTls:
    """STLS; after grant() the caller begins TLS and calls secured()."""


@dataclass(frozen=True, slots=True)
class Login:
    """AUTH, or USER and PASS as PLAIN; initial is what came with it, if anything."""

    mechanism: str
    initial: bytes | None


@dataclass(frozen=True, slots=True)
class Response:
    """The client's answer to a challenge."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The login under way will not be completed; takes no answer."""


@dataclass(frozen=True, slots=True)
class Retrieve:
    """RETR, or TOP with the number of body lines; answered by begin, piece and done.

    row counts messages from 0.
    """

    row: int
    lines: int | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """QUIT after a login: remove the messages of these rows, then grant or refuse."""

    rows: Sequence[int]


Question = StartTls | Login | Response | Cancelled | Retrieve | Update


@dataclass(frozen=True, slots=True)
class Maildrop:
    """The messages of one session: octets of each as sent, and its unique id."""

    sizes: Sequence[int]
    idents: Sequence[str]


class Phase(Enum):
    """The states of RFC 1939, and what lies between them."""

    AUTHORIZATION = auto()
    LOGIN = auto()  # a challenge is out
    TRANSACTION = auto()
    CLOSED = auto()


class BadCommand(Exception):
    """A command that cannot be meant so; the text is the refusal."""


class Session:
    """The server's end of a dialogue."""

    def __init__(
        self,
        *,
        tls: bool = False,
        mechanisms: Sequence[str] = (),
        secret: Sequence[str] = (),
        errors: int = MAX_ERRORS,
    ) -> None:
        """Begin; the greeting is the caller's.

        tls         STLS is offered
        mechanisms  of AUTH, offered as they are now; with PLAIN, USER and PASS too
        secret      those that are offered once TLS has begun
        """
        self.phase = Phase.AUTHORIZATION
        self._offers_tls = tls
        self._mechanisms = tuple(mechanisms)
        self._secret = tuple(secret)
        self._most_errors = errors
        self._errors = 0
        self._name: str | None = None  # USER's
        self._drop = Maildrop((), ())
        self._deleted: set[int] = set()
        self._octets = b""
        self._out: list[bytes] = []
        self._queued = 0  # octets of it
        self._asked: Question | None = None
        self._text: Outgoing | None = None

    @property
    def closed(self) -> bool:
        """Whether the connection ends once what take() gives is sent."""
        return self.phase is Phase.CLOSED

    @property
    def stranger(self) -> bool:
        """Whether nobody has logged in."""
        return self.phase in (Phase.AUTHORIZATION, Phase.LOGIN)

    def feed(self, octets: bytes) -> None:
        """Take octets from the client."""
        self._octets += octets

    def take(self) -> bytes:
        """Give the replies that are ready, to be sent in one write."""
        out, self._out, self._queued = b"".join(self._out), [], 0
        return out

    @property
    def pending(self) -> bool:
        """Whether a command has come that next() has not gone on to."""
        return b"\n" in self._octets and not self.closed

    def next(self) -> Question | None:
        """Go on to the next question; None if what take() gives should be sent first.

        Then more octets are needed, unless pending.  Raises nothing: what the client
        did wrong is answered.
        """
        assert self._asked is None, "the last question has no answer"
        while self.phase is not Phase.CLOSED and self._queued < QUEUED:
            line, newline, rest = self._octets.partition(b"\n")
            most = MAX_RESPONSE if self.phase is Phase.LOGIN else MAX_LINE
            if len(line) >= most:
                self.close("line too long")
                return None
            if not newline:
                return None
            self._octets = rest
            question = self._line(line.removesuffix(b"\r"))
            if question is not None:
                if not isinstance(question, Cancelled):
                    self._asked = question
                return question
        return None

    def grant(self, text: str) -> None:
        """Answer StartTls or Update by success, or greet."""
        question, self._asked = self._asked, None
        self._say(f"+OK {text}")
        if isinstance(question, Update):
            self.phase = Phase.CLOSED

    def refuse(self, text: str, code: str = "") -> None:
        """Answer a question by a refusal; code is a response code, RFC 2449, 3206."""
        question, self._asked = self._asked, None
        self._say(f"-ERR [{code}] {text}" if code else f"-ERR {text}")
        if isinstance(question, Update):
            self.phase = Phase.CLOSED
        elif self.phase is Phase.LOGIN:
            self.phase = Phase.AUTHORIZATION

    def close(self, text: str, code: str = "") -> None:
        """Send a last refusal and end."""
        self.refuse(text, code)
        self.phase = Phase.CLOSED

    def challenge(self, octets: bytes) -> None:
        """Answer Login or Response by another challenge."""
        self._asked = None
        self.phase = Phase.LOGIN
        self._put(b"+ " + b64encode(octets) + b"\r\n")

    def logged_in(self, drop: Maildrop) -> None:
        """Answer Login or Response by success: the session has these messages."""
        self._asked, self._name = None, None
        self._drop, self.phase = drop, Phase.TRANSACTION
        total = sum(drop.sizes)
        self._say(f"+OK {len(drop.sizes)} messages ({total} octets)")

    def secured(self) -> None:
        """TLS has begun: nothing from before it counts; RFC 2595 section 4."""
        self._octets, self._name = b"", None
        self._offers_tls = False
        self._mechanisms = self._secret

    def begin(self) -> None:
        """Answer Retrieve: the text follows, by piece() and done()."""
        assert isinstance(self._asked, Retrieve)
        size = self._drop.sizes[self._asked.row]
        lines = self._asked.lines
        self._say(f"+OK {size} octets" if lines is None else "+OK")
        self._text = Outgoing(lines)

    def piece(self, octets: bytes) -> bool:
        """Send a piece of the text; whether more is wanted."""
        assert self._text is not None
        self._put(self._text.piece(octets))
        return not self._text.ended

    def done(self) -> None:
        """End the text."""
        assert self._text is not None
        self._put(self._text.end())
        self._asked = self._text = None

    def _put(self, octets: bytes) -> None:
        self._out.append(octets)
        self._queued += len(octets)

    def _say(self, text: str) -> None:
        shown = "".join(c if " " <= c <= "~" else "?" for c in text)
        self._put(shown[: MAX_LINE - 2].encode() + b"\r\n")

    def _error(self, text: str, code: str = "") -> None:
        self._errors += 1
        if self._errors >= self._most_errors:
            self.close("too many errors")
        else:
            self._say(f"-ERR [{code}] {text}" if code else f"-ERR {text}")

    def _line(self, line: bytes) -> Question | None:
        if self.phase is Phase.LOGIN:
            return self._response(line)
        word, _, rest = line.partition(b" ")
        verb = word.upper().decode("ascii", "replace")
        command = _COMMANDS.get(verb)
        if command is None:
            self._error("unknown command")
            return None
        if self.phase not in command.phases:
            self._error("log in first" if self.stranger else "not after the login")
            return None
        try:
            return command.do(self, rest)
        except BadCommand as e:
            self._error(str(e))
            return None

    # Before the login

    def capa(self, rest: bytes) -> None:
        """CAPA; RFC 2449."""
        lines = ["TOP", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE"]
        lines += ["EXPIRE NEVER", "LOGIN-DELAY 0"]
        if self.stranger:
            if "PLAIN" in self._mechanisms:
                lines.append("USER")
            if self._mechanisms:
                lines.append(f"SASL {' '.join(self._mechanisms)}")
            if self._offers_tls:
                lines.append("STLS")
        self._say("+OK")
        for line in lines:
            self._say(line)
        self._say(".")

    def stls(self, rest: bytes) -> Question | None:
        """STLS; RFC 2595."""
        if not self._offers_tls:
            raise BadCommand("STLS is not offered")
        if self._octets:
            self.close("commands came behind STLS")
            return None
        return StartTls()

    def _may(self, mechanism: str) -> None:
        if mechanism in self._mechanisms:
            return
        if mechanism in self._secret:
            raise BadCommand("not without TLS: STLS first")
        raise BadCommand("this way of logging in is not offered")

    def user(self, rest: bytes) -> None:
        """USER."""
        self._may("PLAIN")
        if not rest:
            raise BadCommand("whose mail?")
        self._name = rest.decode("utf-8", "surrogateescape")
        self._say("+OK")

    def password(self, rest: bytes) -> Question:
        """PASS: SASL PLAIN in other words."""
        self._may("PLAIN")
        name, self._name = self._name, None
        if name is None:
            raise BadCommand("USER first")
        user = name.encode("utf-8", "surrogateescape")
        if b"\0" in rest or b"\0" in user:
            raise BadCommand("NUL in a name or password")
        return Login("PLAIN", b"\0%s\0%s" % (user, rest))

    def auth(self, rest: bytes) -> Question | None:
        """AUTH; RFC 5034."""
        word, _, initial = rest.partition(b" ")
        if not word:  # as of old: which mechanisms there are
            self._say("+OK")
            for name in (*self._mechanisms, "."):
                self._say(name)
            return None
        mechanism = word.upper().decode("ascii", "replace")
        self._may(mechanism)
        return Login(mechanism, _decoded(initial) if initial else None)

    def _response(self, line: bytes) -> Question:
        self.phase = Phase.AUTHORIZATION
        if line == b"*":
            self._error("login cancelled")
            return Cancelled()
        try:
            return Response(_decoded(line))
        except BadCommand as e:
            self._error(str(e))
            return Cancelled()

    # After it

    def _row(self, rest: bytes) -> int:
        """Read a message's number; those that were deleted are none."""
        number = _number(rest.strip(b" "))
        if not 0 < number <= len(self._drop.sizes) or number - 1 in self._deleted:
            raise BadCommand("no such message")
        return number - 1

    def stat(self, rest: bytes) -> None:
        """STAT."""
        gone = self._deleted
        sizes = [size for i, size in enumerate(self._drop.sizes) if i not in gone]
        self._say(f"+OK {len(sizes)} {sum(sizes)}")

    def _table(self, rest: bytes, column: Sequence[object]) -> None:
        """Show one message's row of a column, or all that are not deleted."""
        if rest.strip(b" "):
            row = self._row(rest)
            self._say(f"+OK {row + 1} {column[row]}")
            return
        gone = self._deleted
        rows = [f"{i + 1} {x}\r\n" for i, x in enumerate(column) if i not in gone]
        self._say(f"+OK {len(rows)} messages")
        self._put("".join(rows).encode() + b".\r\n")

    def list_(self, rest: bytes) -> None:
        """LIST."""
        self._table(rest, self._drop.sizes)

    def uidl(self, rest: bytes) -> None:
        """UIDL."""
        self._table(rest, self._drop.idents)

    def retr(self, rest: bytes) -> Question:
        """RETR."""
        return Retrieve(self._row(rest))

    def top(self, rest: bytes) -> Question:
        """TOP."""
        number, _, lines = rest.strip(b" ").partition(b" ")
        return Retrieve(self._row(number), _number(lines.strip(b" ")))

    def dele(self, rest: bytes) -> None:
        """DELE."""
        row = self._row(rest)
        self._deleted.add(row)
        self._say(f"+OK message {row + 1} deleted at QUIT")

    def rset(self, rest: bytes) -> None:
        """RSET."""
        self._deleted.clear()
        self._say(f"+OK {len(self._drop.sizes)} messages")

    def noop(self, rest: bytes) -> None:
        """NOOP."""
        self._say("+OK")

    def quit(self, rest: bytes) -> Question | None:
        """QUIT: what was deleted goes now."""
        if self.phase is Phase.TRANSACTION and self._deleted:
            return Update(sorted(self._deleted))
        self._say("+OK")
        self.phase = Phase.CLOSED
        return None


@dataclass(frozen=True, slots=True)
class _Command:
    """What a verb does, and when it may be said."""

    do: Callable[[Session, bytes], Question | None]
    phases: tuple[Phase, ...]


_FIRST = (Phase.AUTHORIZATION,)
_THEN = (Phase.TRANSACTION,)
_COMMANDS: Mapping[str, _Command] = {
    "CAPA": _Command(Session.capa, _FIRST + _THEN),
    "NOOP": _Command(Session.noop, _FIRST + _THEN),
    "QUIT": _Command(Session.quit, _FIRST + _THEN),
    "STLS": _Command(Session.stls, _FIRST),
    "USER": _Command(Session.user, _FIRST),
    "PASS": _Command(Session.password, _FIRST),
    "AUTH": _Command(Session.auth, _FIRST),
    "STAT": _Command(Session.stat, _THEN),
    "LIST": _Command(Session.list_, _THEN),
    "UIDL": _Command(Session.uidl, _THEN),
    "RETR": _Command(Session.retr, _THEN),
    "TOP": _Command(Session.top, _THEN),
    "DELE": _Command(Session.dele, _THEN),
    "RSET": _Command(Session.rset, _FIRST + _THEN),
}


def _number(text: bytes) -> int:
    if not text.isdigit() or len(text) > 10:
        raise BadCommand("want a number")
    return int(text)


def _decoded(text: bytes) -> bytes:
    """Decode base64; ``=`` is no octets.  Raises BadCommand."""
    try:
        return b"" if text == b"=" else b64decode(text, validate=True)
    except ValueError:
        raise BadCommand("cannot decode base64") from None
