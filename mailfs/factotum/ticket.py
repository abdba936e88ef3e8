"""Ticket requests, tickets and authenticators; authsrv(6).

Form 0 is under DES (p9sk1), form 1 under ChaCha20-Poly1305 (dp9ik): there the first
eight octets name what is inside, and they are the beginning of the nonce.  Numbers and
lengths are those of the wire; names are padded with NUL.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from mailfs.errors import MailfsError
from mailfs.factotum import deskey

NAMELEN = 28  # octets of a user's or host's name
DOMLEN = 48
CHALLEN = 8
TREQ, PAK = 1, 19  # types of request: a ticket, a key exchange
OK, ERR = 4, 5  # first octets of an authentication server's reply
ERRLEN = 64

TS, TC, AS, AC = 64, 65, 66, 67
_NAMES = {TS: b"Ts", TC: b"Tc", AS: b"As", AC: b"Ac"}


class TicketError(MailfsError):
    """What was decrypted makes no sense: the key is another, or somebody lies."""


def _pad(name: str, size: int) -> bytes:
    raw = name.encode()
    if len(raw) >= size:
        raise TicketError(f"name too long: {name}")
    return raw.ljust(size, b"\0")


def _name(raw: bytes) -> str:
    text = raw.partition(b"\0")[0]
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise TicketError("malformed name") from None


_TICKETREQ = Struct(f"<B{NAMELEN}s{DOMLEN}s{CHALLEN}s{NAMELEN}s{NAMELEN}s")


@dataclass(frozen=True, slots=True)
class Ticketreq:
    """A server's, and with hostid and uid a client's, request for tickets."""

    type: int
    authid: str
    authdom: str
    chal: bytes
    hostid: str = ""
    uid: str = ""

    def pack(self) -> bytes:
        """Return its 141 octets."""
        return _TICKETREQ.pack(
            self.type,
            _pad(self.authid, NAMELEN),
            _pad(self.authdom, DOMLEN),
            self.chal,
            _pad(self.hostid, NAMELEN),
            _pad(self.uid, NAMELEN),
        )

    @classmethod
    def unpack(cls, data: bytes) -> "Ticketreq":
        """Decode 141 octets."""
        number, authid, authdom, chal, hostid, uid = _TICKETREQ.unpack(data)
        return cls(
            number, _name(authid), _name(authdom), chal, _name(hostid), _name(uid)
        )


TICKETREQ = _TICKETREQ.size


@dataclass(frozen=True, slots=True)
class Ticket:
    """Who may talk to whom, and the key they share."""

    num: int
    chal: bytes
    cuid: str
    suid: str
    key: bytes


@dataclass(frozen=True, slots=True)
class Authenticator:
    """Proof that its maker knows the key of a ticket.

    rand is random octets in form 1 and a counter, zero, in form 0.
    """

    num: int
    chal: bytes
    rand: bytes = bytes(4)


@dataclass(frozen=True, slots=True)
class TicketForm:
    """How tickets are laid out and sealed."""

    key: int  # octets of the key a ticket carries
    rand: int
    seal: Callable[[bytes, int, bytes, bytes], bytes]
    """(key, num, counter of four octets, body) to the sealed octets."""
    unseal: Callable[[bytes, int, bytes], bytes]
    """(key, num, sealed) to the body, or TicketError."""
    extra: int  # octets sealing adds to a body

    @property
    def ticket(self) -> int:
        """Octets of a sealed ticket."""
        return CHALLEN + 2 * NAMELEN + self.key + self.extra

    @property
    def authenticator(self) -> int:
        """Octets of a sealed authenticator."""
        return CHALLEN + self.rand + self.extra

    def seal_ticket(self, ticket: Ticket, key: bytes, counter: bytes) -> bytes:
        """Seal a ticket; counter must not repeat for a key and num."""
        names = _pad(ticket.cuid, NAMELEN) + _pad(ticket.suid, NAMELEN)
        return self.seal(key, ticket.num, counter, ticket.chal + names + ticket.key)

    def unseal_ticket(self, data: bytes, num: int, key: bytes, chal: bytes) -> Ticket:
        """Open a ticket that must have that number and challenge, or TicketError."""
        body = self.unseal(key, num, data)
        rest = _answering(body, chal)
        cuid, suid = rest[:NAMELEN], rest[NAMELEN : 2 * NAMELEN]
        return Ticket(num, chal, _name(cuid), _name(suid), rest[2 * NAMELEN :])

    def seal_auth(self, auth: Authenticator, key: bytes, counter: bytes) -> bytes:
        """Seal an authenticator with a ticket's key."""
        return self.seal(key, auth.num, counter, auth.chal + auth.rand)

    def unseal_auth(
        self, data: bytes, num: int, key: bytes, chal: bytes
    ) -> Authenticator:
        """Open an authenticator likewise."""
        return Authenticator(num, chal, _answering(self.unseal(key, num, data), chal))


def _answering(body: bytes, chal: bytes) -> bytes:
    """Read the octets after the challenge.  A replay has another one: TicketError."""
    if not hmac.compare_digest(body[:CHALLEN], chal):
        raise TicketError("ticket or authenticator is for another challenge")
    return body[CHALLEN:]


def _seal_des(key: bytes, num: int, counter: bytes, body: bytes) -> bytes:
    return deskey.encrypt(key, bytes([num]) + body)


def _unseal_des(key: bytes, num: int, data: bytes) -> bytes:
    body = deskey.decrypt(key, data)
    if body[0] != num:
        raise TicketError("cannot decrypt ticket or authenticator")
    return body[1:]


def _sig(num: int) -> bytes:
    return b"form1 " + _NAMES[num]


def _seal_aead(key: bytes, num: int, counter: bytes, body: bytes) -> bytes:
    nonce = _sig(num) + counter
    return nonce + ChaCha20Poly1305(key).encrypt(nonce, body, None)


def _unseal_aead(key: bytes, num: int, data: bytes) -> bytes:
    if not data.startswith(_sig(num)):
        raise TicketError("not the ticket or authenticator expected")
    try:
        return ChaCha20Poly1305(key).decrypt(data[:12], data[12:], None)
    except InvalidTag:
        raise TicketError("cannot decrypt ticket or authenticator") from None


FORM0 = TicketForm(key=7, rand=4, seal=_seal_des, unseal=_unseal_des, extra=1)
FORM1 = TicketForm(key=32, rand=32, seal=_seal_aead, unseal=_unseal_aead, extra=12 + 16)
