"""One logged-in POP3 connection: what RFC 1939 and its extensions offer, in flights."""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from mailfs.factotum.client import Factotum
from mailfs.pop.account import Account, Tls
from mailfs.pop.error import HungUp, PopError, refusal
from mailfs.pop.login import Pop3Login, stamp, target
from mailfs.pop.wire import MAX_TEXT, Pop3Wire
from mailfs.remote.binding import endpoint
from mailfs.remote.login import Offer, login
from mailfs.remote.stream import Dial, Opened, Stream, dial, tcp
from mailfs.tls.trust import Trust

TIMEOUT = 60.0  # seconds to wait for anything; RFC 1939 lets servers think for long
LEAVE = 5.0  # seconds to wait for the answer to a QUIT that has nothing to tell
MAX_MESSAGES = 200_000  # of a maildrop; each takes a few hundred octets of ours
MAX_ROW = 100  # octets of a row of a listing; a unique id has 70 at most
MAX_MESSAGE = 4 << 30  # octets of one whose size is not known
MIN_MESSAGE = 64 << 20  # octets any message may have, whatever LIST said of it
MAX_HEADER = 1 << 20  # octets of a header that are looked at
MAX_UIDL = 255  # characters; RFC 1939 section 7 allows 70
SINGLES = 200  # messages asked for one by one rather than by a whole listing

_ROW = re.compile(rb"(?m)^[ \t]*([0-9]{1,9})[ \t]+([0-9]{1,18})\b")
_UIDL = re.compile(rb"(?m)^[ \t]*([0-9]{1,9})[ \t]+([!-~]{1,%d})[ \t]*\r?$" % MAX_UIDL)
_BLANK = re.compile(rb"\r?\n\r?\n")

Capabilities = dict[str, tuple[str, ...]]
Pieces = Iterator[bytes]
NO_SIZES: Mapping[int, int] = MappingProxyType({})


def _nothing(stream: Stream) -> None:
    """Leave a stream to itself."""


class Pop3Session:
    """A connection in the transaction state, of one thread.

    Message numbers hold for the session.  Errors are OSError, where the connection is
    of no more use, and PopError, where it is.
    """

    def __init__(self, wire: Pop3Wire, user: str, capabilities: Capabilities) -> None:
        self.wire = wire
        self.user = user
        self.capabilities = capabilities
        self.count = 0  # messages
        self.size = 0  # octets of all, as the server counts
        self.uidl = True  # until the server says it has none
        self.top = True

    @classmethod
    def open(
        cls,
        account: Account,
        keys: Factotum,
        trust: Trust,
        *,
        timeout: float = TIMEOUT,
        dial: Dial = tcp,
        opened: Opened = _nothing,
    ) -> "Pop3Session":
        """Connect and log in; opened is given the connection once there is one.

        Raises OSError (Busy if the server wants us to come again later), Untrusted,
        TlsError, LoginRefused, PopError and FactotumError.
        """
        for knows_capa in (True, False):
            wire, greeting = _greeted(account, trust, dial, opened, timeout)
            try:
                return cls._enter(wire, greeting, account, keys, trust, knows_capa)
            except _CapaHungUp:
                wire.close()  # once more, without it
            except BaseException:
                wire.close()
                raise
        raise AssertionError("CAPA was not sent")

    @classmethod
    def _enter(
        cls,
        wire: Pop3Wire,
        greeting: bytes,
        account: Account,
        keys: Factotum,
        trust: Trust,
        knows_capa: bool,
    ) -> "Pop3Session":
        """Begin TLS as the account has it, and log in."""
        before = _capabilities(wire) if knows_capa else {}
        if account.form.tls in (Tls.MUST, Tls.MAY) and _stls(
            wire, account, trust, before
        ):
            before = _capabilities(wire) if knows_capa else {}
        offer = _offer(wire, account, greeting, before)
        found = login(Pop3Login(wire), target(account), keys, offer)
        session = cls(wire, found.user, before)
        session._begin("PIPELINING" in before)
        return session

    def _begin(self, pipelining: bool) -> None:
        """Learn what holds after login, and how much is there."""
        wire = self.wire
        wire.pipelining = pipelining
        if not self.capabilities:
            (line,) = wire.ask([b"STAT"])
            self._stat(line)
            return
        answers = wire.ask([b"CAPA", b"STAT"])
        if next(answers).startswith(b"+"):
            self.capabilities = _parse(wire.text())
        self._stat(next(answers))

    def _stat(self, line: bytes) -> None:
        words = line.split()
        if not line.startswith(b"+"):
            self.wire.refuse(line)
        if len(words) < 3 or not (words[1].isdigit() and words[2].isdigit()):
            raise PopError(self.wire.server, "syntax error in STAT response")
        self.count, self.size = int(words[1][:18]), int(words[2][:18])
        if self.count > MAX_MESSAGES:
            raise PopError(self.wire.server, f"more than {MAX_MESSAGES} messages")

    # What is there.

    def uidls(self) -> dict[int, str] | None:
        """Return the unique id of each message; None if the server has no UIDL.

        A message whose id makes no sense is missing.
        """
        text = self._listing(b"UIDL")
        if text is None:
            self.uidl = False
            return None
        return {int(m[1]): m[2].decode("ascii") for m in _UIDL.finditer(text)}

    def uidls_of(self, numbers: Sequence[int]) -> dict[int, str]:
        """Return the unique ids of some messages; those that are not there lack."""
        if len(numbers) > SINGLES:
            every = self.uidls() or {}
            return {n: every[n] for n in numbers if n in every}
        found = {}
        for line in self.wire.ask([b"UIDL %d" % n for n in numbers]):
            m = _UIDL.match(line[3:]) if line.startswith(b"+OK") else None
            if m:
                found[int(m[1])] = m[2].decode("ascii")
        return found

    def sizes(self) -> dict[int, int]:
        """List each message's size in octets, as the server counts."""
        text = self._listing(b"LIST")
        if text is None:
            raise PopError(self.wire.server, "no listing")
        return {int(m[1]): int(m[2]) for m in _ROW.finditer(text)}

    def sizes_of(self, numbers: Sequence[int]) -> dict[int, int]:
        """List the sizes of some messages in octets."""
        if len(numbers) > SINGLES:
            every = self.sizes()
            return {n: every[n] for n in numbers if n in every}
        found = {}
        for line in self.wire.ask([b"LIST %d" % n for n in numbers]):
            m = _ROW.match(line[3:]) if line.startswith(b"+OK") else None
            if m:
                found[int(m[1])] = int(m[2])
        return found

    def _listing(self, command: bytes) -> bytes | None:
        (line,) = self.wire.ask([command])
        if not line.startswith(b"+"):
            return None
        return self.wire.text(MAX_TEXT + MAX_ROW * self.count)

    # What it says.

    def headers(self, numbers: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        """Give the headers of messages, blank line included, by TOP.

        One that the server will not give is left out.  If it gives none, top is False
        from then on.
        """
        answers = self.wire.ask([b"TOP %d 0" % n for n in numbers])
        given = False
        for number, line in zip(numbers, self._whole(answers), strict=True):
            if not line.startswith(b"+"):
                continue
            given = True
            yield number, header(self._texts(len(numbers) == 1, MIN_MESSAGE))
        self.top = given or not numbers

    def messages(
        self, numbers: Sequence[int], sizes: Mapping[int, int] = NO_SIZES
    ) -> Iterator[tuple[int, Pieces | PopError]]:
        """Give whole messages, each in pieces that must be taken before the next.

        A server that sends far more than the octets it told in sizes is hung up on.

        In place of one that the server refuses comes its error.  Raises Ambiguous if
        the messages should be asked for one by one.
        """
        answers = self.wire.ask([b"RETR %d" % n for n in numbers])
        for number, line in zip(numbers, self._whole(answers), strict=True):
            if line.startswith(b"+"):
                size = sizes.get(number, 0)
                most = max(2 * size, MIN_MESSAGE) if size else MAX_MESSAGE
                yield number, self._texts(len(numbers) == 1, most)
                continue
            error = refusal(self.wire.server, line)
            if not isinstance(error, PopError):
                raise error
            yield number, error

    def _texts(self, alone: bool, most: int) -> Pieces:
        """Give a message of at most so many octets in pieces."""
        alone = alone or not self.wire.pipelining
        size = 0
        for piece in self.wire.texts(alone=alone):
            size += len(piece)
            if size > most:
                self.wire.close()
                raise PopError(self.wire.server, f"message over {most} octets")
            yield piece

    def _whole(self, answers: Iterator[bytes]) -> Iterator[bytes]:
        """Pass answers on; if they are not all taken, hang up: what is left is not."""
        try:
            yield from answers
        except BaseException:
            self.wire.close()
            raise

    # What is done to it.

    def delete(self, numbers: Sequence[int]) -> None:
        """Mark messages; the server deletes them when quit is answered.

        Raises PopError if one cannot be marked, and then none is.
        """
        refused = b""
        for line in self.wire.ask([b"DELE %d" % n for n in numbers]):
            if not line.startswith(b"+"):
                refused = refused or line
        if refused:
            for _ in self.wire.ask([b"RSET"]):
                pass
            self.wire.refuse(refused)

    def quit(self) -> None:
        """End the session; what was marked is deleted when this returns.

        Raises PopError if the server could not delete all, OSError if its answer
        was lost: then nobody knows.
        """
        try:
            for line in self.wire.ask([b"QUIT"]):
                if not line.startswith(b"+"):
                    self.wire.refuse(line)
        finally:
            self.wire.close()

    def leave(self) -> None:
        """End a session in which nothing was marked; a lost answer is no loss."""
        with contextlib.suppress(OSError, PopError):
            self.wire.hurry(LEAVE)
            self.quit()

    def drop(self) -> None:
        """Hang up: what was marked stays."""
        self.wire.close()


def header(pieces: Pieces) -> bytes:
    """Return a message's header from its pieces, all of which are taken."""
    out = bytearray()
    for piece in pieces:
        if len(out) < MAX_HEADER:
            out += piece
    if out.startswith((b"\r\n", b"\n")):
        return bytes(out[: out.find(b"\n") + 1])
    m = _BLANK.search(out)
    return bytes(out[: m.end()] if m else out)


def _greeted(
    account: Account, trust: Trust, dialer: Dial, opened: Opened, timeout: float
) -> tuple[Pop3Wire, bytes]:
    """Dial, begin TLS where it comes first, and read the greeting."""
    server, peer = str(account), account.peer
    stream = dial(server, peer, timeout, dialer)
    opened(stream)
    wire = Pop3Wire(stream, server, timeout)
    try:
        if account.form.tls is Tls.AT_ONCE:
            wire.start_tls(peer, trust)
        return wire, _greeting(wire)
    except BaseException:
        wire.close()
        raise


def _greeting(wire: Pop3Wire) -> bytes:
    line = wire.answer()
    if line.startswith(b"-"):
        wire.refuse(line, words=True)
    if not line.startswith(b"+OK"):
        raise PopError(wire.server, "error in initial handshake")
    return line


class _CapaHungUp(HungUp):
    """The server does not know CAPA, and hangs up on whoever says it."""


def _capabilities(wire: Pop3Wire) -> Capabilities:
    """Ask for the capabilities; empty where CAPA is not known; RFC 2449 section 5."""
    try:
        (line,) = wire.ask([b"CAPA"])
    except HungUp as e:
        raise _CapaHungUp(*e.args) from e
    return _parse(wire.text()) if line.startswith(b"+") else {}


def _parse(text: bytes) -> Capabilities:
    rows = (line.split() for line in text.decode("ascii", "replace").split("\n"))
    return {row[0].upper(): tuple(row[1:]) for row in rows if row}


def _stls(
    wire: Pop3Wire, account: Account, trust: Trust, offered: Capabilities
) -> bool:
    """Begin TLS if the server will; RFC 2595 section 4."""
    must = account.form.tls is Tls.MUST
    # A server without CAPA may still know STLS.
    if "STLS" in offered or (must and not offered):
        (line,) = wire.ask([b"STLS"])
        if line.startswith(b"+"):
            wire.start_tls(account.peer, trust)
            return True
    if must:
        raise PopError(wire.server, "could not negotiate TLS")
    return False


def _offer(
    wire: Pop3Wire, account: Account, greeting: bytes, capabilities: Capabilities
) -> Offer:
    """Describe the ways to log in; a form of APOP wants that and nothing else."""
    form = account.form
    challenge = stamp(greeting)
    if form.apop and not challenge:
        raise PopError(wire.server, "no APOP hdr from server")
    name = account.name.removesuffix("notls")
    return Offer(
        [word.upper() for word in capabilities.get("SASL", ())],
        wire.tls is not None or form.tls is Tls.NEVER or wire.stream.local,
        endpoint(wire.tls),
        apop=challenge,
        sasl=not form.apop,
        clear=f"{name}s, {name}tls or {name}notls",
    )
