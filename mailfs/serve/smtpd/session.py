"""One SMTP or LMTP dialogue, no input or output; RFC 5321, RFC 2033, RFC 2920.

Octets are fed; what the session can answer itself it answers; what needs a decision it
asks by a Question, in the order of the commands.  The caller answers each question
before it asks for the next, and sends what take() gives whenever it must wait.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from mailfs.serve.smtpd import grammar
from mailfs.serve.smtpd.grammar import Addressed, BadSyntax, Command, Path
from mailfs.serve.smtpd.text import BadText, Text
from mailfs.smtp import dsn
from mailfs.smtp.dsn import BadDsn, Dsn, RcptDsn

MAX_ERRORS = 20  # commands refused in one session
MAX_REPLY = 400  # characters of a line we send; RFC 5321 section 4.5.3.1.5 has 512
MAX_FRUITLESS = 100  # commands in a row that bring no message along


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply: code, enhanced status or none (RFC 2034), one or more lines of text."""

    code: int
    enhanced: str
    text: str

    @property
    def good(self) -> bool:
        """Whether it grants what was asked."""
        return self.code < 400

    def octets(self) -> bytes:
        """Return the reply as it is sent; what no line can hold is shown as ``?``."""
        lines = self.text.split("\n")
        front = f"{self.enhanced} " if self.enhanced else ""
        shown = [front + _plain(line)[:MAX_REPLY] for line in lines]
        rows = [f"{self.code}-{line}" for line in shown[:-1]]
        return "\r\n".join([*rows, f"{self.code} {shown[-1]}", ""]).encode()


def _plain(text: str) -> str:
    return "".join(c if " " <= c <= "~" else "?" for c in text)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a session may ask for."""

    size: int = 36 << 20  # octets of a message as sent
    recipients: int = 1000  # of a message; RFC 5321 section 4.5.3.1.8 wants 100
    errors: int = MAX_ERRORS
    fruitless: int = MAX_FRUITLESS


@dataclass(frozen=True, slots=True)
class Hello:
    """The client tells its name; it is answered by a Reply with one line."""

    name: str
    extended: bool


@dataclass(frozen=True, slots=True)
class Sender:
    """MAIL."""

    path: Path


@dataclass(frozen=True, slots=True)
class Recipient:
    """RCPT, and what reports the sender wants of this recipient; RFC 3461."""

    path: Path
    dsn: RcptDsn = field(default_factory=RcptDsn)


@dataclass(frozen=True, slots=True)
class Begin:
    """DATA: may the message come?  A good answer is sent as 354."""


@dataclass(frozen=True, slots=True)
class Octets:
    """A piece of the message, with LF; takes no answer."""

    data: bytes


@dataclass(frozen=True, slots=True)
class End:
    """The message is complete; LMTP wants an answer for each recipient."""

    size: int  # octets as they were sent


@dataclass(frozen=True, slots=True)
class Abandoned:
    """The message under way will not be completed; takes no answer."""


@dataclass(frozen=True, slots=True)
class StartTls:
    """STARTTLS; after a good answer the caller begins TLS and calls secured()."""


@dataclass(frozen=True, slots=True)
class Auth:
    """AUTH; initial is what came with it, None for nothing; RFC 4954."""

    mechanism: str
    initial: bytes | None


@dataclass(frozen=True, slots=True)
class Response:
    """The client's answer to a challenge."""

    data: bytes


Question = (
    Hello
    | Sender
    | Recipient
    | Begin
    | Octets
    | End
    | Abandoned
    | StartTls
    | Auth
    | Response
)


class Phase(Enum):
    """Where a session stands."""

    NEW = auto()  # before HELO
    READY = auto()
    LOGIN = auto()  # a challenge is out
    MAIL = auto()  # a sender, no recipient yet
    RCPT = auto()
    TEXT = auto()
    CLOSED = auto()


@dataclass(slots=True)
class Envelope:
    """The transaction under way."""

    sender: Path = field(default_factory=lambda: Path(""))
    recipients: list[Path] = field(default_factory=list)
    wishes: dict[str, RcptDsn] = field(default_factory=dict)  # by recipient
    ret: str = ""
    envid: str = ""
    declared: int = 0  # octets, by SIZE
    utf8: bool = False  # SMTPUTF8

    @property
    def dsn(self) -> Dsn:
        """What reports the sender wants."""
        told = {rcpt: one for rcpt, one in self.wishes.items() if one != RcptDsn()}
        return Dsn(self.ret, self.envid, told)


class Session:
    """The server's end of a dialogue."""

    def __init__(
        self,
        domain: str,
        limits: Limits,
        *,
        lmtp: bool = False,
        tls: bool = False,
        normalize: bool = False,
        mechanisms: Sequence[str] = (),
        secret: Sequence[str] = (),
    ) -> None:
        """Begin; the greeting is the caller's.

        domain     our name, as replies show it
        tls        STARTTLS is offered
        normalize  a bare LF in a message counts as a line's end
        mechanisms of AUTH, offered as they are now
        secret     those that are offered once TLS has begun
        """
        self.domain = domain
        self.limits = limits
        self.lmtp = lmtp
        self.phase = Phase.NEW
        self.name = ""  # the client's
        self.extended = False
        self.envelope = Envelope()
        self.errors = 0
        self._offers_tls = tls
        self._normalize = normalize
        self.user = ""  # who has logged in
        self._mechanisms = tuple(mechanisms)
        self._secret = tuple(secret)
        self._octets = b""
        self._out: list[bytes] = []
        self._asked: Question | None = None
        self._text: Text | None = None
        self._fruitless = 0

    @property
    def size(self) -> int:
        """Octets of the message under way so far."""
        return self._text.size if self._text is not None else 0

    @property
    def closed(self) -> bool:
        """Whether the connection ends once what take() gives is sent."""
        return self.phase is Phase.CLOSED

    def feed(self, octets: bytes) -> None:
        """Take octets from the client."""
        self._octets += octets

    def take(self) -> bytes:
        """Return the replies that are ready, to be sent in one write."""
        out, self._out = b"".join(self._out), []
        return out

    def say(self, reply: Reply) -> None:
        """Send a reply that answers no question, such as the greeting."""
        self._out.append(reply.octets())

    def close(self, reply: Reply) -> None:
        """Send a last reply and end."""
        self.say(reply)
        self.phase = Phase.CLOSED

    def end(self) -> None:
        """End without another reply."""
        self.phase = Phase.CLOSED

    def next(self) -> Question | None:
        """Return the next question; None if more octets are needed, or all has ended.

        Raises nothing: what the client did wrong is answered.
        """
        assert self._asked is None, "the last question has no answer"
        while self.phase is not Phase.CLOSED:
            if self._text is not None:
                return self._more(self._text)
            line, newline, rest = self._octets.partition(b"\n")
            if not newline:
                if len(self._octets) > grammar.MAX_LINE:
                    self.close(Reply(500, "5.5.2", "line too long"))
                return None
            self._octets = rest
            login = self.phase is Phase.LOGIN
            question = self._response(line) if login else self._line(line)
            if question is not None:
                if not isinstance(question, Abandoned):
                    self._asked = question
                return question
        return None

    def answer(self, reply: Reply) -> None:
        """Answer the question asked last."""
        question, self._asked = self._asked, None
        if isinstance(question, Hello):
            self._greet(question, reply)
        elif isinstance(question, Begin) and reply.good:
            self._out.append(b"354 Input message; end with <CRLF>.<CRLF>\r\n")
            self.phase = Phase.TEXT
            self._text = Text(self.limits.size, normalize=self._normalize)
            self._fruitless = 0
        elif isinstance(question, End):
            self.answer_each([reply])
        else:
            self._refused(reply)
            self.say(reply)
            if reply.good:
                self._accepted(question)
            elif isinstance(question, Response):
                self.phase = Phase.READY
        if reply.code == 421:
            self.phase = Phase.CLOSED

    def challenge(self, octets: bytes) -> None:
        """Answer Auth or Response by another challenge."""
        self._asked = None
        self.phase = Phase.LOGIN
        self._out.append(b"334 " + b64encode(octets) + b"\r\n")

    def logged_in(self, user: str) -> None:
        """Answer Auth or Response by success."""
        self._asked = None
        self.user, self.phase = user, Phase.READY
        self.say(Reply(235, "2.7.0", "Authentication successful"))

    def answer_each(self, replies: list[Reply]) -> None:
        """Answer for each recipient, in order; RFC 2033 section 4.2."""
        self._asked = None
        for reply in replies:
            self.say(reply)
        self._reset()
        if any(reply.code == 421 for reply in replies):
            self.phase = Phase.CLOSED

    def secured(self) -> None:
        """TLS has begun: nothing from before it counts; RFC 3207 section 4.2."""
        self._octets = b""
        self._offers_tls = False
        self._mechanisms, self.user = self._secret, ""
        self.phase, self.name, self.extended = Phase.NEW, "", False
        self.envelope = Envelope()

    def _refused(self, reply: Reply) -> None:
        if reply.good:
            return
        self.errors += 1
        if self.errors > self.limits.errors and self.phase is not Phase.CLOSED:
            self.close(Reply(421, "4.7.0", "too many errors"))

    def _error(self, code: int, enhanced: str, text: str) -> None:
        reply = Reply(code, enhanced, text)
        self.say(reply)
        self._refused(reply)

    def _line(self, line: bytes) -> Question | None:
        if not line.endswith(b"\r"):
            self.close(Reply(500, "5.5.2", "want CR LF at the end of a line"))
            return None
        self._fruitless += 1
        if self._fruitless > self.limits.fruitless:
            self.close(Reply(421, "4.7.0", "too many commands without a message"))
            return None
        try:
            return self._do(grammar.command(line[:-1]))
        except BadSyntax as e:
            self._error(e.code, e.enhanced, str(e))
            return None

    def _do(self, command: Command) -> Question | None:
        verbs = {
            "HELO": self._helo,
            "EHLO": self._helo,
            "LHLO": self._helo,
            "MAIL": self._mail,
            "RCPT": self._rcpt,
            "DATA": self._data,
            "STARTTLS": self._starttls,
            "AUTH": self._auth,
        }
        if command.verb in verbs:
            return verbs[command.verb](command)
        if command.verb == "QUIT":
            self.close(Reply(221, "2.0.0", "Successful termination"))
        elif command.verb == "RSET":
            self._reset()
            self.say(Reply(250, "2.0.0", "ok"))
        elif command.verb == "NOOP":
            self.say(Reply(250, "2.0.0", "ok"))
        elif command.verb == "HELP":
            self.say(Reply(214, "2.0.0", "see RFC 5321"))
        elif command.verb == "VRFY":
            self.say(Reply(252, "2.0.0", "send it mail and see"))
        elif command.verb in ("EXPN", "ETRN", "TURN", "BDAT"):
            self._error(502, "5.5.1", f"{command.verb} not offered here")
        else:
            self._error(500, "5.5.1", "illegal command or bad syntax")
        return None

    def _alone(self, verb: str) -> bool:
        """Whether nothing was sent ahead of a reply that changes what may come."""
        if not self._octets:
            return True
        self.close(Reply(503, "5.5.1", f"{verb}'s reply was not waited for"))
        return False

    def _helo(self, command: Command) -> Question | None:
        if (command.verb == "LHLO") != self.lmtp:
            self._error(500, "5.5.1", "illegal command or bad syntax")
            return None
        name = grammar.name(command.argument)
        if not self._alone(command.verb):
            return None
        self._reset()
        return Hello(name, command.verb != "HELO")

    def _greet(self, question: Hello, reply: Reply) -> None:
        self._refused(reply)
        if not reply.good:
            self.say(reply)
            return
        self.name, self.extended = question.name, question.extended
        self.phase = Phase.READY
        lines = [reply.text]
        if question.extended:
            lines += ["PIPELINING", f"SIZE {self.limits.size}", "8BITMIME"]
            lines += ["STARTTLS"] if self._offers_tls else []
            if self._mechanisms:
                lines.append(f"AUTH {' '.join(self._mechanisms)}")
            lines += ["ENHANCEDSTATUSCODES", "SMTPUTF8", "DSN", "HELP"]
        self.say(Reply(250, "", "\n".join(lines)))

    def _mail(self, command: Command) -> Question | None:
        if self.phase is Phase.NEW:
            self._error(503, "5.5.1", "Start by saying HELO, please.")
            return None
        if self.phase is not Phase.READY:
            self._error(503, "5.5.1", "a sender was given before")
            return None
        found = grammar.addressed(command.argument, "FROM")
        self.envelope = Envelope(found.path)
        refusal = self._parameters(found)
        if refusal is not None:
            self.say(refusal)
            self._refused(refusal)
            return None
        return Sender(found.path)

    def _parameters(self, found: Addressed) -> Reply | None:
        for name, value in found.parameters.items():
            if name == "SIZE" and value.isdecimal() and len(value) <= 20:
                self.envelope.declared = int(value)
            elif name == "SMTPUTF8" and not value:
                self.envelope.utf8 = True
            elif name in ("RET", "ENVID"):
                try:
                    self._wish(name, value)
                except BadDsn as e:
                    return Reply(501, "5.5.4", str(e))
            elif name == "AUTH" and self._mechanisms and value:
                continue  # who the message was from, by the client's word
            elif name != "BODY" or value.upper() not in ("7BIT", "8BITMIME"):
                return Reply(555, "5.5.4", f"parameter {name} not known or not so")
        if self.envelope.declared > self.limits.size:
            return Reply(552, "5.3.4", f"message over {self.limits.size} octets")
        return self._foreign(found.path)

    def _wish(self, name: str, value: str) -> None:
        if name == "RET":
            self.envelope.ret = dsn.ret(value)
        else:
            self.envelope.envid = dsn.envid(value)

    def _foreign(self, path: Path) -> Reply | None:
        if path.utf8 and not self.envelope.utf8:
            return Reply(553, "5.6.7", "want SMTPUTF8 for an address with such letters")
        return None

    def _rcpt(self, command: Command) -> Question | None:
        if self.phase not in (Phase.MAIL, Phase.RCPT):
            self._error(503, "5.5.1", "no sender was given")
            return None
        found = grammar.addressed(command.argument, "TO")
        refusal = self._foreign(found.path)
        wished = RcptDsn()
        if set(found.parameters) - {"NOTIFY", "ORCPT"}:
            refusal = Reply(555, "5.5.4", "RCPT takes NOTIFY and ORCPT alone")
        else:
            try:
                wished = _wished(found.parameters)
            except BadDsn as e:
                refusal = Reply(501, "5.5.4", str(e))
        if refusal is None and len(self.envelope.recipients) >= self.limits.recipients:
            refusal = Reply(452, "4.5.3", "too many recipients; send these later")
        if refusal is not None:
            self.say(refusal)
            if refusal.code != 452:
                self._refused(refusal)
            return None
        return Recipient(found.path, wished)

    def _data(self, command: Command) -> Question | None:
        if command.argument:
            raise BadSyntax("DATA takes no argument")
        if self.phase is Phase.MAIL:
            self._error(554, "5.5.1", "no recipient was accepted")
            return None
        if self.phase is not Phase.RCPT:
            self._error(503, "5.5.1", "Data without MAIL FROM: or RCPT TO:")
            return None
        return Begin() if self._alone("DATA") else None

    def _starttls(self, command: Command) -> Question | None:
        if command.argument:
            raise BadSyntax("STARTTLS takes no argument")
        if not self._offers_tls:
            self._error(502, "5.5.1", "STARTTLS not offered here")
            return None
        return StartTls() if self._alone("STARTTLS") else None

    def _auth(self, command: Command) -> Question | None:
        if not self._mechanisms:
            if self._secret:
                self._error(538, "5.7.11", "Encryption required: STARTTLS first")
            else:
                self._error(502, "5.5.1", "AUTH not offered here")
            return None
        if self.phase is not Phase.READY or self.user:
            self._error(503, "5.5.1", "Bad sequence of commands")
            return None
        name, _, rest = command.argument.partition(" ")
        if name.upper() not in self._mechanisms:
            self._error(504, "5.5.4", f"Unrecognised authentication type {name}")
            return None
        if not self._alone("AUTH"):
            return None
        initial = None if not rest.strip() else _decoded(rest.strip())
        return Auth(name.upper(), initial)

    def _response(self, line: bytes) -> Question | None:
        self.phase = Phase.READY
        text = line.removesuffix(b"\r").decode("ascii", "replace")
        if text == "*":
            self._error(501, "5.7.0", "Authentication cancelled")
            return Abandoned()
        try:
            return Response(_decoded(text) if text else b"")
        except BadSyntax as e:
            self._error(e.code, e.enhanced, str(e))
            return Abandoned()

    def _accepted(self, question: Question | None) -> None:
        self._fruitless = 0
        if isinstance(question, Sender):
            self.phase = Phase.MAIL
        elif isinstance(question, Recipient):
            self.phase = Phase.RCPT
            self.envelope.recipients.append(question.path)
            self.envelope.wishes[str(question.path)] = question.dsn

    def _more(self, text: Text) -> Question | None:
        """Go on with the message."""
        octets, self._octets = self._octets, b""
        if text.ended:
            self._octets = octets
            return self._ended(text)
        if not octets:
            return None
        try:
            data = text.feed(octets)
        except BadText as e:
            self.close(Reply(550, "5.6.0", f"{e} in the message: not accepted"))
            return Abandoned()
        if text.size > 2 * self.limits.size:
            self.close(Reply(552, "5.3.4", "message far too long"))
            return Abandoned()
        if text.ended:
            self._octets = text.rest
        if data:
            return Octets(data)
        return self._ended(text) if text.ended else None

    def _ended(self, text: Text) -> Question:
        if not text.over:
            self._text = None
            self.phase = Phase.READY
            self._asked = End(text.size)
            return self._asked
        recipients = len(self.envelope.recipients) if self.lmtp else 1
        why = f"message over {self.limits.size} octets"
        for _ in range(recipients):
            self.say(Reply(552, "5.3.4", why))
        self._reset()
        return Abandoned()

    def _reset(self) -> None:
        self.envelope = Envelope()
        self._text = None
        if self.phase not in (Phase.NEW, Phase.CLOSED):
            self.phase = Phase.READY


def _wished(parameters: Mapping[str, str]) -> RcptDsn:
    """Read the parameters of RCPT.  Raises BadDsn."""
    told, orcpt = parameters.get("NOTIFY"), parameters.get("ORCPT")
    return RcptDsn(
        () if told is None else dsn.notify(told),
        "" if orcpt is None else dsn.orcpt(orcpt),
    )


def _decoded(text: str) -> bytes:
    """Return the octets of base64; ``=`` is none of them.  Raises BadSyntax."""
    try:
        return b"" if text == "=" else b64decode(text, validate=True)
    except ValueError:
        raise BadSyntax("Cannot decode base64") from None
