"""Commands and their answers: tags, literals, what comes in between.

A command is sent without waiting for those before it.  Whatever arrives while one
waits is handed to ``hear`` unless somebody asked for it, so that news is never lost
and never taken for an answer.
"""

import errno
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mailfs.imap.error import ImapError, broken, refusal, shown
from mailfs.imap.grammar.names import Literal, Upload
from mailfs.imap.line import Transport
from mailfs.imap.reader import ImapReader

log = logging.getLogger(__name__)

SHOWN = 200  # octets of a command or response that a trace shows
_SECRET = (b"LOGIN ", b"AUTHENTICATE ")
MAX_KEPT = 50_000  # responses that make one answer: folders, with their status
MAX_OCTETS = 16 << 20  # octets of them
MAX_UNASKED = 300_000  # responses that are no answer, until a command is answered
MAX_UNFRAMED = 100  # lines that begin no response, until a command is answered
MAX_UNANSWERED = 64  # commands sent and not answered; no caller of ours comes near
EAGER = 1 << 20  # octets of a literal that is sent unasked where LITERAL+ lets it pass
PIECE = 1 << 16  # octets of a literal sent at a time; each has the line's timeout
NONSYNC = 4096  # octets of a literal that LITERAL- lets pass unasked; RFC 7888
_STATUS = re.compile(
    rb"(?is)\S+[ \t]+(OK|NO|BAD|BYE|PREAUTH)"
    # Gmail has flags with brackets in them: only one with a blank behind it closes.
    rb"(?:[ \t]+\[([A-Za-z0-9\-]+)(?: ((?:[^\]]|\](?! |\Z))*))?\])?(?: (.*))?"
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


Wanted = Callable[[bytes], bool]
"""Whether an untagged response is part of the answer."""


class ImapWire:
    """One connection, spoken on by one thread at a time.

    hear    takes each response that is nobody's answer, whole
    literal what LITERAL+ or LITERAL- allows to be sent at once, octets; -1 is any size
    """

    def __init__(self, line: Transport, hear: Callable[[bytes], None]) -> None:
        self.line = line
        self.server = line.server
        self.reader = ImapReader(line)
        self.hear = hear
        self.literal = 0
        self._count = 0
        self._unanswered: dict[bytes, bool] = {}  # tag to whether anybody waits
        self._done: dict[bytes, Status] = {}
        self._trace = log.isEnabledFor(logging.DEBUG)
        self.unasked = MAX_UNASKED
        self._heard = 0  # responses nobody asked for since a command was answered
        self._unframed = 0  # lines passed over since then
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
        if not self._unanswered:
            self.line.renew()
        self._count += 1
        tag = b"m%d" % self._count
        self._unanswered[tag] = True
        if self._trace:
            first = parts[0] if isinstance(parts[0], bytes) else b""
            secret = first.startswith(_SECRET)
            words = first.split()[0] if secret else b"".join(map(_plain, parts))
            log.debug("-> %s %s", tag.decode(), shown(words[:SHOWN]))
        out = tag + b" "
        for part in parts:
            if not isinstance(part, Literal):
                out += part
                continue
            size = len(part.octets)
            out += b"~" if part.binary else b""
            if size <= (EAGER if self.literal < 0 else self.literal):
                out += b"{%d+}\r\n" % size
            else:
                self.line.send(out + b"{%d}\r\n" % size)
                out = b""
                self.consent(tag)
            if isinstance(part.octets, bytes) and size <= NONSYNC:
                out += part.octets
            else:
                self.line.send(out)
                self._upload(part.octets)
                out = b""
        self.line.send(out + b"\r\n")
        return tag

    def _upload(self, octets: bytes | Upload) -> None:
        """Send a long literal; the time that takes is no part of the answer's.

        Hangs up if its octets cannot be had: half a message must not count as one.
        """
        try:
            for start in range(0, len(octets), PIECE):
                self.line.send(_piece(octets, start, min(start + PIECE, len(octets))))
        except BaseException:
            self.close()
            raise
        self.line.renew()

    def consent(self, tag: bytes) -> bytes:
        """Wait for the server's +; the text that follows it.

        Raises ImapError if the command ends instead.  Some servers send a bare +, some
        a tag before it.
        """
        while tag not in self._done:
            raw = self.response()
            raw = raw.removeprefix(tag + b" ") if raw[len(tag) :][:2] == b" +" else raw
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
            raw = self.reader.response()
        except TimeoutError as e:
            if self._complaint:
                raise TimeoutError(f"{e}: {self._complaint}") from e
            raise
        if self._trace:
            log.debug("<- %s", shown(raw[:SHOWN]))
        return raw

    def take(self, raw: bytes) -> bool:
        """Deal with a response that nobody waits for; True if it ended a command."""
        tag, _, rest = raw.partition(b" ")
        if tag in self._unanswered:
            found = status(raw)
            if found is None:
                raise self._botch(raw)
            self.line.renew()
            self._unframed = self._heard = 0
            if self._unanswered.pop(tag):
                self._done[tag] = found
            if found.code:
                self.hear(b"* " + rest)
            return True
        if tag == b"*":
            self._untagged(raw)
        elif raw and not raw.startswith(b"+") and tag != b"DONE":
            # An empty line, a late +, or an answer to DONE as if that were a tag, from
            # a server that had ended IDLE at the same moment, do no harm.
            self._pass_over(raw)
        return False

    def _pass_over(self, raw: bytes) -> None:
        """Go on after the rest of a response with a line end where none may be.

        The message it was about is missed, and asked for again.
        """
        self._unframed += 1
        if self.idle or self._unframed > MAX_UNFRAMED or raw[:1].isalnum():
            raise self._botch(raw)
        log.info("%s: passed over %s", self.server, shown(raw[:SHOWN]))

    def _untagged(self, raw: bytes) -> None:
        self._heard += 1
        if self._heard > self.unasked and not self.idle:
            raise self.reader.refuse("answer too long")
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
        while tag not in self._done:
            self.take(self.response())
        return self._check(self._done.pop(tag))

    def collect(self, tag: bytes, wanted: Wanted) -> list[bytes]:
        """Read until a command is answered; the untagged responses that are wanted.

        All others are dealt with as they come, since a sequence number means something
        else after the next line.  The answer itself is left for finish.
        """
        kept = []
        octets = 0
        while tag not in self._done:
            raw = self.response()
            if raw.startswith(b"* ") and wanted(raw):
                kept.append(raw)
                octets += len(raw)
                if len(kept) > MAX_KEPT or octets > MAX_OCTETS:
                    raise self.reader.refuse("answer too long")
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
        self, wanted: Wanted, *parts: bytes | Literal
    ) -> tuple[list[bytes], Status]:
        """Send one command; its untagged responses that are wanted, and its own."""
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


def _piece(octets: bytes | Upload, start: int, end: int) -> bytes:
    """Return octets [start, end).  Raises OSError if they are not there."""
    if isinstance(octets, bytes):
        return octets[start:end]
    piece = octets.read(start, end)
    if len(piece) < end - start:
        raise OSError(errno.EIO, "message ended early")
    return piece


def _plain(part: bytes | Literal) -> bytes:
    return part if isinstance(part, bytes) else b"{%d}" % len(part.octets)


_NAME = re.compile(rb"\* (?:[0-9]{1,10} )?([A-Za-z]+)")


def named(*names: bytes) -> Wanted:
    """Return the choice of untagged responses by their kind: LIST, SEARCH, ENABLED."""

    def wanted(raw: bytes) -> bool:
        m = _NAME.match(raw)
        return m is not None and m[1].upper() in names

    return wanted
