"""The password-authenticated key exchange of dp9ik; authpak of 9front's libauthsrv.

Interoperation code: SPAKE2-EE over Ed448-Goldilocks in Decaf encoding, on Python's
integers, whose time tells a little about the operands.  It runs once an attach.

Both the client and the server of a 9P connection are initiators, each towards the
authentication server, with the key of its own password.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mailfs.errors import MailfsError

P = 2**448 - 2**224 - 1
D = -39081
GY = 19
GX = int(
    "117812161263436946737282484343310064665180535357016373416879082147939404277809"
    "514858788439644911793978499419995990477371552926308078495"
)
SIZE = 56  # octets of an encoded point
ROUNDS = 9001  # of the derivation from the password


class PakError(MailfsError):
    """The peer's message is no point of the group."""


@dataclass(frozen=True, slots=True)
class Point:
    """A point in extended coordinates: x = X/Z, y = Y/Z, T = XY/Z."""

    x: int
    y: int
    z: int
    t: int

    def __add__(self, other: "Point") -> "Point":
        a, b = self.x * other.x, self.y * other.y
        c, d = D * self.t * other.t, self.z * other.z
        e = (self.x + self.y) * (other.x + other.y) - a - b
        f, g, h = d - c, d + c, b - a
        return Point(e * f % P, g * h % P, f * g % P, e * h % P)

    def __neg__(self) -> "Point":
        return Point(-self.x % P, self.y, self.z, -self.t % P)

    def __rmul__(self, scalar: int) -> "Point":
        total, power = Point(0, 1, 1, 0), self
        for _ in range(448):  # every bit, whatever its value
            sum_ = total + power
            total = sum_ if scalar & 1 else total
            power = power + power
            scalar >>= 1
        return total


BASE = Point(GX, GY, 1, GX * GY % P)


def _square(v: int) -> bool:
    return pow(v, (P - 1) // 2, P) == 1


def _root(v: int) -> int:
    return pow(v, (P + 1) // 4, P)


def _inverse_root(v: int) -> int:
    return pow(_root(v), -1, P)


def _sign(t: int, v: int) -> int:
    """Return v, negated if t is in the upper half of the field."""
    return -v % P if t % P > (P - 1) // 2 else v % P


def elligator(r0: int) -> Point:
    """Map a field element to a point: Elligator 2, Decaf's way.

    a is 1 throughout; the non-square is 7.
    """
    r = 7 * r0 * r0 % P
    den = (D * r + 1 - D) * (D * r - r - D) % P
    num = (r + 1) * (1 - 2 * D) % P
    both = num * den % P
    if both == 0:
        c, e = 1, 0
    elif _square(both):
        c, e = 1, _inverse_root(both)
    else:
        c, e = -1, 7 * r0 * pow(7 * both, (P - 3) // 4, P) % P
    s = c * num * e % P
    t = (-c * num * (r - 1) * pow((1 - 2 * D) * e, 2, P) - 1) % P
    minus, plus = (1 - s * s) % P, (1 + s * s) % P
    return Point(2 * s * t % P, minus * plus % P, plus * t % P, 2 * s * minus % P)


def encode(point: Point) -> bytes:
    """Return the 56 octets of a point, most significant first."""
    product = (1 - D) * (point.z + point.y) * (point.z - point.y) % P
    r = pow(product, (P - 3) // 4, P)
    u = (1 - D) * r % P
    r = _sign(-2 * u * point.z, r)
    s = u * (r * (point.z * point.x - D * point.y * point.t) + point.y) % P
    return _sign(s, s).to_bytes(SIZE)


def decode(data: bytes) -> Point:
    """Return the point of 56 octets.  Raises PakError if there is none."""
    s = int.from_bytes(data)
    if len(data) != SIZE or s > (P - 1) // 2:
        raise PakError("malformed point")
    ss = s * s % P
    z = (1 + ss) % P
    u = (z * z - 4 * D * ss) % P
    v = u * ss % P
    if v:
        if not _square(v):
            raise PakError("malformed point")
        v = _inverse_root(v)
    v = _sign(u * v, v)
    w = v * s * (2 - z) % P
    if s == 0:
        w += 1
    return Point(2 * s % P, w * z % P, z, 2 * s * w % P)


def aeskey(password: bytes) -> bytes:
    """Return the 16-octet key of a password."""
    return hashlib.pbkdf2_hmac("sha1", password, b"Plan 9 key derivation", ROUNDS, 16)


def derive(salt: bytes, key: bytes, info: bytes, size: int) -> bytes:
    """HKDF with SHA-256; RFC 5869."""
    return HKDF(SHA256(), size, salt, info).derive(key)


@dataclass(frozen=True, slots=True)
class Masks:
    """What hides the two messages from who does not know the password."""

    initiator: Point  # PM
    responder: Point  # PN


def masks(key: bytes, user: str) -> Masks:
    """Return the masks of a user's 16-octet key."""
    salt = hashlib.sha256(user.encode()).digest()
    h = derive(salt, key, b"Plan 9 AuthPAK hash", 2 * SIZE)
    first, last = int.from_bytes(h[:SIZE]) % P, int.from_bytes(h[SIZE:]) % P
    return Masks(elligator(first), elligator(last))


@cache
def base_multiples() -> tuple[Point, ...]:
    """Return BASE times 1, 2, 4 ..., for the 448 bits of a scalar."""
    points = [BASE]
    for _ in range(447):
        points.append(points[-1] + points[-1])
    return tuple(points)


@dataclass(frozen=True, slots=True)
class Pak:
    """One side of one exchange: what it sends is y."""

    x: int
    y: bytes
    masks: Masks
    initiator: bool

    def finish(self, theirs: bytes) -> bytes:
        """Return the 32-octet key.  Raises PakError if theirs is malformed."""
        mask = self.masks.responder if self.initiator else self.masks.initiator
        z = encode(self.x * (decode(theirs) + -mask))
        both = self.y + theirs if self.initiator else theirs + self.y
        salt = hashlib.sha256(both).digest()
        return derive(salt, z, b"Plan 9 AuthPAK key", 32)


def begin(masks: Masks, random: Callable[[int], bytes], *, initiator: bool) -> Pak:
    """Choose a secret and return the side of an exchange it makes."""
    x = int.from_bytes(random(SIZE + 8)) % P
    return begin_with(masks, x, initiator=initiator)


def begin_with(masks: Masks, x: int, *, initiator: bool) -> Pak:
    """Return the side of an exchange that has the secret x."""
    total = masks.initiator if initiator else masks.responder
    for bit, multiple in enumerate(base_multiples()):
        sum_ = total + multiple
        total = sum_ if x >> bit & 1 else total
    return Pak(x, encode(total), masks, initiator)
