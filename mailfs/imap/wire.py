"""Commands and their answers: tags, literals, what comes in between.

A command is sent without waiting for those before it.  Whatever arrives while one
waits is handed to ``hear`` unless somebody asked for it, so that news is never lost
and never taken for an answer.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mailfs.imap.error import ImapError, broken, refusal, shown
from mailfs.imap.line import Line
from mailfs.imap.names import Literal
from mailfs.imap.reader import Reader

MAX_UNANSWERED = 64  # commands sent and not answered; no caller of ours comes near
NONSYNC = 4096  # octets of a literal that LITERAL- lets pass unasked; RFC 7888
_STATUS = re.compile(
    rb"(?is)\S+ (OK|NO|BAD|BYE|PREAUTH)"
    rb"(?: \[([A-Za-z0-9\-]+)(?: ([^\]]*))?\])?(?: (.*))?"
)


@dataclass(frozen=True, slots=True)
class Status:
    """OK, NO, BAD, BYE or PREAUTH, with its response code; RFC 9051 section 7.1."""

    kind: str
    code: str = ""  # upper case
    args: bytes = b""
    text: str = ""


def status(raw: bytes) -> Status | None:
    """Read a status response, tagged or not; None if it is none.

    Gmail sends codes without text after them.
    """
    m = _STATUS.fullmatch(raw)
    if m is None:
        return None
    code = (m[2] or b"").decode("ascii").upper()
    return Status(m[1].decode().upper(), code, m[3] or b"", shown(m[4] or b""))


class Wire:
    """One connection, spoken on by one thread at a time.

    hear    takes each response that is nobody's answer, whole
    literal what LITERAL+ or LITERAL- allows to be sent at once, octets; -1 is any size
    """

    def __init__(self, line: Line, hear: Callable[[bytes], None]) -> None:
        self.line = line
        self.server = line.server
        self.reader = Reader(line)
        self.hear = hear
        self.literal = 0
        self._count = 0
        self._unanswered: dict[bytes, bool] = {}  # tag to whether anybody waits
        self._done: dict[bytes, Status] = {}
        self._complaint = ""  # of an untagged BAD, which may be all we ever hear

    @property
    def idle(self) -> bool:
        """Whether every command has been answered."""
        return not self._unanswered

    def send(self, *parts: bytes | Literal) -> bytes:
        """Send one command, given in pieces between which no blank is put; its tag.

        Waits only where a literal needs the server's consent.
        """
        if len(self._unanswered) >= MAX_UNANSWERED:
            raise ImapError(self.server, "too many commands at once", permanent=False)
        self._count += 1
        tag = b"m%d" % self._count
        self._unanswered[tag] = True
        out = tag + b" "
        for part in parts:
            if not isinstance(part, Literal):
                out += part
                continue
            size = len(part.octets)
            out += b"~" if part.binary else b""
            if self.literal < 0 or size <= self.literal:
                out += b"{%d+}\r\n" % size
            else:
                self.line.send(out + b"{%d}\r\n" % size)
                out = b""
                self.consent(tag)
            if size <= NONSYNC:
                out += part.octets
            else:
                self.line.send(out)
                self.line.send(part.octets)
                out = b""
        self.line.send(out + b"\r\n")
        return tag

    def consent(self, tag: bytes) -> bytes:
        """Wait for the server's + and return what follows it.

        Raises ImapError if the command ends instead.  Some servers send a bare +.
        """
        while tag not in self._done:
            raw = self.response()
            if raw.startswith(b"+"):
                return raw[1:].removeprefix(b" ")
            self.take(raw)
        self._check(self._done.pop(tag))
        raise ImapError(self.server, "command ended before it was sent")

    def write(self, octets: bytes) -> None:
        """Send a line that is no command: an answer to +, or DONE."""
        self.line.send(octets + b"\r\n")

    def response(self) -> bytes:
        """Return the next response, whole, whatever it is."""
        try:
            return self.reader.response()
        except TimeoutError as e:
            if self._complaint:
                raise TimeoutError(f"{e}: {self._complaint}") from e
            raise

    def take(self, raw: bytes) -> bool:
        """Deal with a response that nobody waits for; True if it ended a command."""
        tag, _, rest = raw.partition(b" ")
        if tag in self._unanswered:
            found = status(raw)
            if found is None:
                raise self._botch(raw)
            if self._unanswered.pop(tag):
                self._done[tag] = found
            if found.code:
                self.hear(b"* " + rest)
            return True
        if tag == b"*":
            self._untagged(raw)
        elif not raw.startswith(b"+") and raw:  # a + that comes late; an empty line
            raise self._botch(raw)
        return False

    def _untagged(self, raw: bytes) -> None:
        head = raw[2:6].upper()
        if head in (b"BYE ", b"BYE"):
            said = status(raw)
            text = said.text if said else ""
            self.hear(raw)
            raise broken(self.server, f"server said bye: {text}" if text else "bye")
        if head == b"BAD ":
            said = status(raw)
            self._complaint = said.text if said else ""
        self.hear(raw)

    def _botch(self, raw: bytes) -> ImapError:
        return self.reader.refuse(shown(raw[:80]))

    def answered(self, tag: bytes) -> bool:
        """Whether a command's own answer has come."""
        return tag in self._done

    def finish(self, tag: bytes) -> Status:
        """Read until a command is answered.  Raises ImapError unless that is OK."""
        self.collect(tag, ())
        return self._check(self._done.pop(tag))

    def collect(self, tag: bytes, wanted: Iterable[bytes]) -> list[bytes]:
        """Read until a command is answered; the untagged responses of those names.

        The answer itself is left for finish.
        """
        names = frozenset(wanted)
        kept = []
        while tag not in self._done:
            raw = self.response()
            if raw.startswith(b"* ") and _name(raw) in names:
                kept.append(raw)
            else:
                self.take(raw)
        return kept

    def drain(self) -> None:
        """Read the answers of all commands that nobody waits for."""
        while self._unanswered:
            self.take(self.response())

    def forget(self, tags: Iterable[bytes]) -> None:
        """Let the answers of some commands go unseen when they come."""
        for tag in tags:
            self._done.pop(tag, None)
            if tag in self._unanswered:
                self._unanswered[tag] = False

    def command(self, *parts: bytes | Literal) -> Status:
        """Send one command and wait for its answer."""
        return self.finish(self.send(*parts))

    def ask(
        self, wanted: Iterable[bytes], *parts: bytes | Literal
    ) -> tuple[list[bytes], Status]:
        """Send one command and return its untagged responses of some names."""
        tag = self.send(*parts)
        kept = self.collect(tag, wanted)
        return kept, self.finish(tag)

    def _check(self, found: Status) -> Status:
        if found.kind == "OK":
            return found
        raise refusal(self.server, found.kind, found.code, found.text, found.args)

    def close(self) -> None:
        """Hang up."""
        self.line.close()


_NAME = re.compile(rb"\* (?:[0-9]{1,10} )?([A-Za-z]+)")


def _name(raw: bytes) -> bytes:
    """Return what kind of untagged response it is: EXISTS, FETCH, LIST, OK."""
    m = _NAME.match(raw)
    return m[1].upper() if m else b""
