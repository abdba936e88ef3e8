"""A POP3 server of our own, with whatever faults a test wants; RFC 1939, 2449."""

import base64
import hashlib
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.net.scripted import Gone, Talk

STAMP = "<1896.697170952@dbc.mtview.ca.us>"


@dataclass
class Mail:
    """A message: its unique id, what RETR gives, and what LIST says of its size."""

    uid: str
    octets: bytes
    listed: int = -1

    @property
    def size(self) -> int:
        return len(self.octets) if self.listed < 0 else self.listed


def stuffed(octets: bytes) -> bytes:
    """Return a message as a text on the wire."""
    text = octets.replace(b"\r\n.", b"\r\n..")
    if text.startswith(b"."):
        text = b"." + text
    if text and not text.endswith(b"\r\n"):
        text += b"\r\n"
    return text + b".\r\n"


@dataclass
class Drop:
    """A maildrop and its server; ``play`` is one session for Scripted.

    lacks       commands that are answered with -ERR
    faults      answers by command (``RETR 2``), tried first; called with the Talk,
                they return True if they have answered
    """

    mails: list[Mail] = field(default_factory=list)
    capabilities: tuple[str, ...] = ("TOP", "UIDL", "PIPELINING", "RESP-CODES", "USER")
    greeting: str = "+OK POP3 ready"
    password: str = "secret"
    lacks: frozenset[str] = frozenset()
    faults: dict[str, Callable[[Talk], bool]] = field(default_factory=dict)
    exclusive: bool = True
    wire: Callable[[bytes], bytes] = stuffed
    eol: bytes = b"\r\n"
    logins: list[float] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, uid: str, octets: bytes, listed: int = -1) -> None:
        self.mails.append(Mail(uid, octets, listed))

    def count(self, verb: str) -> int:
        """How often a command was given."""
        return sum(c.split()[0] == verb for c in self.commands)

    def play(self, talk: Talk) -> None:
        """One session, for Scripted."""
        talk.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._say(talk, self.greeting)
        if self._login(talk):
            if self.exclusive and not self.lock.acquire(blocking=False):
                self._say(talk, "-ERR [IN-USE] maildrop is locked")
                return
            try:
                self._say(talk, "+OK logged in")
                self.logins.append(time.monotonic())
                self._transact(talk)
            finally:
                if self.exclusive:
                    self.lock.release()

    def _say(self, talk: Talk, *lines: str | bytes) -> None:
        for line in lines:
            octets = line if isinstance(line, bytes) else line.encode() + self.eol
            talk.send(octets)

    def _next(self, talk: Talk) -> tuple[str, list[str]] | None:
        """Return the next command; None if it has been answered."""
        line = talk.line()
        self.commands.append(line)
        fault = self.faults.get(line) or self.faults.get(line.partition(" ")[0])
        if fault is not None and fault(talk):
            return None
        verb, _, rest = line.partition(" ")
        verb = verb.upper()
        if verb in self.lacks:
            self._say(talk, "-ERR unknown command")
            return None
        if verb == "CAPA":
            self._say(talk, "+OK", *self.capabilities, ".")
            return None
        return verb, rest.split(" ") if rest else []

    def _login(self, talk: Talk) -> bool:
        while True:
            found = self._next(talk)
            if found is None:
                continue
            verb, words = found
            if verb == "QUIT":
                self._say(talk, "+OK")
                return False
            if verb == "USER":
                self._say(talk, "+OK")
                continue
            if verb not in ("PASS", "APOP", "AUTH"):
                self._say(talk, "-ERR unknown command")
            elif self._right(verb, words):
                return True
            else:
                self._say(talk, "-ERR [AUTH] wrong")

    def _right(self, verb: str, words: list[str]) -> bool:
        """Whether the password is right."""
        if verb == "PASS":
            return words == [self.password]
        if verb == "APOP":
            return words[1:] == [self._digest()]
        return self._plain(words)

    def _digest(self) -> str:
        return hashlib.md5((STAMP + self.password).encode()).hexdigest()

    def _plain(self, words: Sequence[str]) -> bool:
        return base64.b64decode(words[1]).split(b"\0")[2] == self.password.encode()

    def _transact(self, talk: Talk) -> None:
        mails = list(self.mails)
        marked: set[int] = set()
        while True:
            found = self._next(talk)
            if found is None:
                continue
            verb, words = found
            if verb == "QUIT":
                gone = [mails[n - 1] for n in marked]
                self.mails = [m for m in self.mails if m not in gone]
                self._say(talk, "+OK")
                raise Gone
            self._answer(talk, verb, words, mails, marked)

    def _answer(
        self,
        talk: Talk,
        verb: str,
        words: list[str],
        mails: list[Mail],
        marked: set[int],
    ) -> None:
        there = {n: m for n, m in enumerate(mails, 1) if n not in marked}
        columns: dict[str, Callable[[Mail], str]] = {
            "LIST": lambda m: str(m.size),
            "UIDL": lambda m: m.uid,
        }
        number = int(words[0]) if words else 0
        if verb == "STAT":
            self._say(talk, f"+OK {len(there)} {sum(m.size for m in there.values())}")
        elif verb == "RSET":
            marked.clear()
            self._say(talk, "+OK")
        elif verb in columns and not words:
            rows = [f"{n} {columns[verb](m)}" for n, m in there.items()]
            self._say(talk, "+OK", *rows, ".")
        elif number not in there:
            self._say(talk, "-ERR no such message")
        elif verb in columns:
            self._say(talk, f"+OK {number} {columns[verb](there[number])}")
        elif verb == "RETR":
            self._say(talk, "+OK", self.wire(there[number].octets))
        elif verb == "TOP":
            head = there[number].octets.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
            self._say(talk, "+OK", self.wire(head))
        elif verb == "DELE":
            marked.add(number)
            self._say(talk, "+OK")
        else:
            self._say(talk, "-ERR unknown command")


def mail(n: int, extra: bytes = b"") -> bytes:
    """Return message n as a server has it; no two are alike."""
    return (
        b"From: a@example.com\r\nSubject: message %d\r\n"
        b"Date: Sun, 9 Sep 2001 01:46:%02d +0000\r\n\r\nbody of %d\r\n%s"
        % (n, n % 60, n, extra)
    )


def drop(count: int, **how: object) -> Drop:
    """Return a maildrop with so many messages."""
    made = Drop(**how)  # type: ignore[arg-type]
    for n in range(count):
        made.add(f"uid{n}", mail(n))
    return made
