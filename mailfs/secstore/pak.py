"""PAK: both sides prove that they know the password, and eavesdroppers learn nothing.

Interoperation code: a 1024-bit group and SHA-1, as Plan 9's secstore has them.  No I/O
here; messages are octets.  Source: secstore(1), and MacKenzie's PAK.

    client  secstore TAB PAK, C=id, m=g^x*H
    server  mu=g^y, k=proof, S=name
    client  k'=proof

H is a hash of the password in the group, Hi its inverse, which the server keeps.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass

from mailfs.secret import Secret
from mailfs.secstore.error import SecstoreError, WrongPassword

Random = Callable[[int], bytes]  # that many octets nobody can guess

VERSION = b"secstore"
Q = 0xE0F0EF284E10796C5A2A511E94748BA03C795C13
P = int(
    "C41CFBE4D4846F67A3DF7DE9921A49D3B42DC33728427AB159CEC8CBBDB12B5F0C244F1A734AEB98"
    "40804EA3C25036AD1B61AFF3ABBC247CD4B384224567A863A6F020E7EE9795554BCD08ABAD7321AF"
    "27E1E92E3DB1C6E7E94FAAE590AE9C48F96D93D178E809401ABE8A534A1EC44359733475A36A70C7"
    "B425125062B1142D",
    16,
)
R = (P - 1) // Q
G = int(
    "2F1C308DC46B9A44B52DF7DACCE1208CCEF72F69C743ADD4D2327173444ED6E65E074694246E07F9"
    "FD4AE26E0FDDD9F54F813C40CB9BCD4338EA6F242AB94CD410E676C290368A16B1A3594877437E51"
    "6C53A6EEE5493A038A017E955E218E7819734E3E2A6E0BAE08B14258F8C03CC1B30E0DDADFCF7CED"
    "F0727684D3D255F1",
    16,
)

MAX_NUMBER = 172 + 16  # characters of base64: 1024 bits, and some slack for padding
MAX_NAME = 64  # octets of an account's or a server's name
EXPONENT_OCTETS = 30  # 240 bits reduced mod Q leave no bias worth naming

WORDS = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel")

_ALPHABET = re.compile(rb"[A-Za-z0-9+/]*")


def b64(number: int) -> bytes:
    """Return a number as it travels: base64 of its fewest octets."""
    octets = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.b64encode(octets)


def number(text: bytes) -> int:
    """Read a number up to the first character that is no base64.

    Padding may be missing, and a last character that makes no octet counts for
    nothing: the probe's ``0`` is zero.  Raises SecstoreError over MAX_NUMBER.
    """
    if len(text) > MAX_NUMBER:
        raise SecstoreError("number too long")
    found = _ALPHABET.match(text)
    digits = found[0] if found else b""
    if len(digits) % 4 == 1:
        digits = digits[:-1]
    return int.from_bytes(base64.b64decode(digits + b"=" * (-len(digits) % 4)), "big")


def element(text: bytes) -> int:
    """Read a number that must be a member of the group of order Q, and not 1.

    Raises SecstoreError.  Anything else could pin the shared secret to few values.
    """
    n = number(text)
    if not 1 < n < P - 1 or pow(n, Q, P) != 1:
        raise SecstoreError("number outside the group")
    return n


def verifier(user: bytes, password: Secret) -> tuple[int, int]:
    """Return (H, Hi): the password in the group, and what the server keeps."""
    base = VERSION + user + hashlib.sha1(password.reveal()).digest()  # noqa: S324
    long = b"".join(hmac.digest(bytes((ord("A") + i,)), base, "sha1") for i in range(7))
    h = pow(int.from_bytes(long, "big") % P, R, P)
    return h, pow(h, -1, P)


def word(h: int) -> str:
    """Choose the word by which a person notices a mistyped password: 3 bits of H."""
    return WORDS[h & 7]


@dataclass(frozen=True, slots=True, repr=False)
class _Talk:
    """What both sides hash: names, and numbers as the texts that were sent."""

    user: bytes
    server: bytes
    m: bytes
    mu: bytes
    sigma: bytes
    hi: bytes

    def digest(self, tag: bytes) -> bytes:
        """Return the 20 octets that prove tag's role, or key the session."""
        whole = tag + self.user + self.server + self.m + self.mu + self.sigma + self.hi
        return hashlib.sha1(whole + whole).digest()  # noqa: S324

    def proof(self, tag: bytes) -> bytes:
        return base64.b64encode(self.digest(tag))


@dataclass(frozen=True, slots=True)
class PakSession:
    """A finished exchange: the server's name and the secret both now share."""

    server: bytes
    secret: Secret


def exponent(random: Random) -> int:
    """Return a number from 1 to Q-1."""
    return int.from_bytes(random(EXPONENT_OCTETS), "big") % Q or 1


class PakClient:
    """The client's side of one exchange."""

    def __init__(self, user: bytes, password: Secret, random: Random) -> None:
        self._user = user
        self._h, self._hi = verifier(user, password)
        self._x = exponent(random)
        self._m = b64(pow(G, self._x, P) * self._h % P)

    @property
    def word(self) -> str:
        """The check word of the password."""
        return word(self._h)

    def hello(self) -> bytes:
        """Return the first message."""
        return b"%s\tPAK\nC=%s\nm=%s\n" % (VERSION, self._user, self._m)

    def answer(self, reply: bytes) -> tuple[bytes, PakSession]:
        """Check the server's proof; return ours and the session.

        Raises WrongPassword if the proof is none, SecstoreError if it is no reply.
        """
        mu, k, server = fields(reply, b"mu=", b"k=", b"S=")
        if len(server) > MAX_NAME * 4:
            raise SecstoreError("server's name too long")
        sigma = pow(element(mu), self._x, P)
        talk = _Talk(self._user, server, self._m, mu, b64(sigma), b64(self._hi))
        if not hmac.compare_digest(k, talk.proof(b"server")):
            raise WrongPassword("password mistyped?")
        session = PakSession(server, Secret(talk.digest(b"session")))
        return b"k'=%s\n" % talk.proof(b"client"), session


@dataclass(frozen=True, slots=True)
class Hello:
    """A client's first message: who it is, and its number as it was sent."""

    user: bytes
    m: bytes

    @property
    def probe(self) -> bool:
        """Whether it only asks if the account exists."""
        return number(self.m) % P == 0


def hello(message: bytes) -> Hello:
    """Take a first message apart.  Raises SecstoreError with the text to answer."""
    start = VERSION + b"\tPAK\n"
    if not message.startswith(start):
        raise SecstoreError("protocol should start with ver alg")
    try:
        user, m = fields(message[len(start) :], b"C=", b"m=")
    except SecstoreError as e:
        raise SecstoreError("PAK version mismatch") from e
    if len(m) > MAX_NUMBER:
        raise SecstoreError("number too long")
    return Hello(user, m)


class PakServer:
    """The server's side of one exchange, once the account is known."""

    def __init__(self, name: bytes, said: Hello, hi: int, random: Random) -> None:
        """Raises SecstoreError if the client's number is none."""
        y = exponent(random)
        base = element(said.m) * hi % P
        if base == 1:
            raise SecstoreError("number outside the group")
        sigma = pow(base, y, P)
        mu = b64(pow(G, y, P))
        self._talk = _Talk(said.user, name, said.m, mu, b64(sigma), b64(hi))

    def reply(self) -> bytes:
        """Return the second message."""
        talk = self._talk
        return b"mu=%s\nk=%s\nS=%s\n" % (talk.mu, talk.proof(b"server"), talk.server)

    def check(self, message: bytes) -> PakSession:
        """Check the client's proof.  Raises WrongPassword or SecstoreError."""
        (k,) = fields(message, b"k'=")
        if not hmac.compare_digest(k, self._talk.proof(b"client")):
            raise WrongPassword("verifier didn't match")
        return PakSession(self._talk.server, Secret(self._talk.digest(b"session")))


def fields(message: bytes, *names: bytes) -> list[bytes]:
    """Return the values of lines that begin with these names, in this order.

    What follows the last one is ignored, as Plan 9 does.  Raises SecstoreError.
    """
    lines = message.split(b"\n")
    values = []
    for i, name in enumerate(names):
        # the last piece of the split had no newline
        if i >= len(lines) - 1 or not lines[i].startswith(name):
            raise SecstoreError("verifier syntax error")
        values.append(lines[i].removeprefix(name))
    return values
