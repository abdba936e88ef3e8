"""One logged-in POP3 connection: what RFC 1939 and its extensions offer, in flights."""

import contextlib
import hashlib
import re
import socket
from collections.abc import Callable, Iterator, Sequence

from mailfs.factotum.client import Factotum
from mailfs.factotum.sasl import NONE, Binding
from mailfs.pop.account import Account, Tls
from mailfs.pop.error import PopError, refusal
from mailfs.pop.login import Login, stamp
from mailfs.pop.wire import Pop3Wire
from mailfs.tls.trust import Trust

TIMEOUT = 60.0  # seconds to wait for anything; RFC 1939 lets servers think for long
LEAVE = 5.0  # seconds to wait for the answer to a QUIT that has nothing to tell
MAX_MESSAGES = 1_000_000  # of a maildrop; each takes a few hundred octets of ours
MAX_MESSAGE = 4 << 30  # octets; a server that goes on is hung up on
MAX_HEADER = 1 << 20  # octets of a header that are looked at
MAX_UIDL = 255  # characters; RFC 1939 section 7 allows 70
SINGLES = 200  # messages asked for one by one rather than by a whole listing

_ROW = re.compile(rb"(?m)^[ \t]*([0-9]{1,9})[ \t]+([0-9]{1,18})\b")
_UIDL = re.compile(rb"(?m)^[ \t]*([0-9]{1,9})[ \t]+([!-~]{1,%d})[ \t]*\r?$" % MAX_UIDL)
_BLANK = re.compile(rb"\r?\n\r?\n")

Dial = Callable[[str, int, float], socket.socket]
"""Connect to a host and port; the number is seconds to wait."""
Capabilities = dict[str, tuple[str, ...]]
Pieces = Iterator[bytes]


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
        dial: Dial | None = None,
    ) -> "Pop3Session":
        """Connect and log in.

        Raises OSError (Busy if the server wants us to come again later), Untrusted,
        TlsError, LoginRefused, PopError and FactotumError.
        """
        wire, greeting = _greeted(account, trust, dial or _dial, timeout)
        try:
            before = _capabilities(wire)
            if account.form.tls in (Tls.MUST, Tls.MAY) and _stls(
                wire, account, trust, before
            ):
                before = _capabilities(wire)
            login = Login(
                wire,
                account,
                keys,
                offered=[name.upper() for name in before.get("SASL", ())],
                challenge=stamp(greeting),
                secure=wire.tls is not None
                or account.form.tls is Tls.NEVER
                or _local(wire),
                binding=_binding(wire),
            )
            user = login.run()
            session = cls(wire, user, before)
            session._begin("PIPELINING" in before)
        except BaseException:
            wire.close()
            raise
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
        return {int(n): uid.decode("ascii") for n, uid in _UIDL.findall(text)}

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
        """Return how many octets each message has, as the server counts."""
        text = self._listing(b"LIST")
        if text is None:
            raise PopError(self.wire.server, "no listing")
        return {int(n): int(size) for n, size in _ROW.findall(text)}

    def sizes_of(self, numbers: Sequence[int]) -> dict[int, int]:
        """Return how many octets some messages have."""
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
        return self.wire.text() if line.startswith(b"+") else None

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
            yield number, header(self._texts(len(numbers) == 1))
        self.top = given or not numbers

    def messages(
        self, numbers: Sequence[int]
    ) -> Iterator[tuple[int, Pieces | PopError]]:
        """Give whole messages, each in pieces that must be taken before the next.

        In place of one that the server refuses comes its error.  Raises Ambiguous if
        the messages should be asked for one by one.
        """
        answers = self.wire.ask([b"RETR %d" % n for n in numbers])
        for number, line in zip(numbers, self._whole(answers), strict=True):
            if line.startswith(b"+"):
                yield number, self._texts(len(numbers) == 1)
                continue
            error = refusal(self.wire.server, line)
            if not isinstance(error, PopError):
                raise error
            yield number, error

    def _texts(self, alone: bool) -> Pieces:
        """Give a message in pieces."""
        alone = alone or not self.wire.pipelining
        size = 0
        for piece in self.wire.texts(alone=alone):
            size += len(piece)
            if size > MAX_MESSAGE:
                self.wire.close()
                raise PopError(self.wire.server, f"message over {MAX_MESSAGE} octets")
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
            assert self.wire.sock is not None
            self.wire.sock.settimeout(LEAVE)
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


def _dial(host: str, port: int, timeout: float) -> socket.socket:
    return socket.create_connection((host, port), timeout)


def _greeted(
    account: Account, trust: Trust, dial: Dial, timeout: float
) -> tuple[Pop3Wire, bytes]:
    """Dial, begin TLS where it comes first, and read the greeting."""
    server, peer = str(account), account.peer
    try:
        sock = dial(peer.host, peer.port, timeout)
    except OSError as e:
        why = (e.strerror or str(e)).lower()
        raise ConnectionError(e.errno, f"{server}: {why}") from e
    wire = Pop3Wire(sock, server, timeout)
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


def _capabilities(wire: Pop3Wire) -> Capabilities:
    """Return what CAPA tells; nothing where it is not known; RFC 2449 section 5."""
    (line,) = wire.ask([b"CAPA"])
    return _parse(wire.text()) if line.startswith(b"+") else {}


def _parse(text: bytes) -> Capabilities:
    rows = (line.split() for line in text.decode("ascii", "replace").splitlines())
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


def _local(wire: Pop3Wire) -> bool:
    """Whether the connection never leaves this machine."""
    assert wire.sock is not None
    if wire.sock.family == getattr(socket, "AF_UNIX", None):
        return True
    host = str(wire.sock.getpeername()[0])
    return host == "::1" or host.removeprefix("::ffff:").startswith("127.")


def _binding(wire: Pop3Wire) -> Binding:
    """Return what SCRAM can bind to: the server's certificate; RFC 5929 section 4."""
    cert = wire.tls.getpeercert(binary_form=True) if wire.tls is not None else None
    if not cert:
        return NONE
    from cryptography import x509

    algorithm = x509.load_der_x509_certificate(cert).signature_hash_algorithm
    if algorithm is None:  # Ed25519 and its like name none
        return NONE
    name = algorithm.name if algorithm.name not in ("md5", "sha1") else "sha256"
    return Binding("tls-server-end-point", hashlib.new(name, cert).digest())
