"""scrypt: a password made dear to guess; RFC 7914."""

import base64
import binascii
import hashlib
from dataclasses import dataclass

from mailfs.secret import Secret
from mailfs.secstore.error import SecstoreError

MIN_LOG_N, MAX_LOG_N = 14, 17  # 16 MB to 128 MB with r = 8: a stranger may choose
R = 8
MAX_P = 4
MAX_MEMORY = 192 << 20  # octets; what OpenSSL may take for the dearest of these
SALT = 16  # octets


@dataclass(frozen=True, slots=True)
class Cost:
    """scrypt's parameters: N = 2**log_n with r = 8, p times."""

    log_n: int = 16  # 64 MB and about a quarter of a second
    p: int = 1

    def __post_init__(self) -> None:
        """Refuse what would cost too little or too much, whoever asks for it."""
        if not MIN_LOG_N <= self.log_n <= MAX_LOG_N or not 1 <= self.p <= MAX_P:
            raise SecstoreError("implausible cost of a password")

    def pack(self) -> bytes:
        """Return log2 N, r and p, an octet each."""
        return bytes((self.log_n, R, self.p))

    @classmethod
    def unpack(cls, raw: bytes) -> "Cost":
        """Read three octets.  Raises SecstoreError for parameters out of bounds."""
        if len(raw) != 3 or raw[1] != R:
            raise SecstoreError("implausible cost of a password")
        return cls(raw[0], raw[2])


def scrypt(password: Secret, salt: bytes, cost: Cost, size: int) -> bytes:
    """Return size octets made of the password."""
    return hashlib.scrypt(
        password.reveal(),
        salt=salt,
        n=1 << cost.log_n,
        r=R,
        p=cost.p,
        maxmem=MAX_MEMORY,
        dklen=size,
    )


@dataclass(frozen=True, slots=True)
class Stretch:
    """What a client does to the password before PAK sees it.

    PAK's verifier is quick to guess against, and whoever steals it can.  An account
    with a Stretch keeps the verifier of a password that took scrypt to make.
    """

    cost: Cost
    salt: bytes

    def __str__(self) -> str:
        salt = base64.b64encode(self.salt).decode()
        return f"scrypt {self.cost.log_n} {R} {self.cost.p} {salt}"

    def password(self, user: bytes, password: Secret) -> Secret:
        """Stretch a password into the one for PAK."""
        raw = scrypt(password, self.salt + user, self.cost, 32)
        return Secret(base64.b64encode(raw))


def stretch(text: str) -> Stretch:
    """Read ``scrypt LOGN R P SALT``.  Raises SecstoreError."""
    words = text.split()
    if len(words) != 5 or words[0] != "scrypt":
        raise SecstoreError("unknown way to stretch a password")
    numbers = words[1:4]
    if not all(w.isascii() and w.isdecimal() and len(w) < 4 for w in numbers):
        raise SecstoreError("implausible cost of a password")
    log_n, r, p = map(int, numbers)
    if r != R:
        raise SecstoreError("implausible cost of a password")
    try:
        salt = base64.b64decode(words[4], validate=True)
    except (binascii.Error, ValueError):
        salt = b""
    if len(salt) != SALT:
        raise SecstoreError("bad salt")
    return Stretch(Cost(log_n, p), salt)
