"""RSA keys as factotum writes them: ``key proto=rsa size=2048 ek=10001 n=...``.

Numbers are hexadecimal, size is decimal bits of n; rsa(8).  Plan 9's !p is the second
prime of PKCS #1 and !q the first, so that !c2 = 1/!p mod !q.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from mailfs.attr import Attr, Attrs, parse, reveal, value
from mailfs.errors import MailfsError

MIN_BITS = 1024  # what old keys have, and as little as the library makes
DEFAULT_BITS = 2048
MAX_BITS = 16384  # OpenSSL refuses more for a public key; the work grows as the cube
EXPONENT = 65537

_NUMBERS = ("size", "ek", "n", "!dk", "!p", "!q", "!kp", "!kq", "!c2")
_HEX = re.compile(rf"[0-9A-Fa-f]{{1,{MAX_BITS // 4}}}")

Private = rsa.RSAPrivateKey
Public = rsa.RSAPublicKey


class RsaError(MailfsError):
    """A line that is no RSA key, or a key that does not hold together."""


@dataclass(frozen=True, slots=True)
class RsaKey:
    """A key and the attributes beside its numbers, proto=rsa among them, in order.

    complaints tells what was amiss in the line it was read from and has been mended.
    """

    key: Private | Public
    attrs: Attrs = (Attr("proto", "rsa"),)
    complaints: tuple[str, ...] = ()

    @property
    def public(self) -> Public:
        """The public half."""
        return self.key.public_key() if isinstance(self.key, Private) else self.key

    @property
    def private(self) -> Private:
        """The whole key.  Raises RsaError if only the public half is known."""
        if not isinstance(self.key, Private):
            raise RsaError("no !dk")
        return self.key


def generate(bits: int = DEFAULT_BITS, tag: str = "") -> RsaKey:
    """Make a key whose n has that many bits; tag is an attribute list to carry."""
    if not MIN_BITS <= bits <= MAX_BITS:
        raise RsaError(f"{bits} bits: want {MIN_BITS} to {MAX_BITS}")
    return tagged(rsa.generate_private_key(EXPONENT, bits), tag)


def tagged(key: Private | Public, tag: str) -> RsaKey:
    """Return a key that carries the attribute list tag after proto=rsa."""
    attrs = parse(tag)
    for a in attrs:
        if a.name == "proto" or a.name in _NUMBERS:
            raise RsaError(f"{a.name} in the tag")
        if a.value is None or a.private:
            raise RsaError(f"{a} in the tag")
        if "\n" in a.value or "\n" in a.name:
            raise RsaError("newline in the tag")
    return RsaKey(key, (Attr("proto", "rsa"), *attrs))


def read(text: str) -> RsaKey:
    """Read a key line, public or private.  Raises RsaError, its text free of numbers.

    The derived numbers !kp, !kq and !c2 are computed anew, as are missing primes.
    """
    word, _, rest = text.strip().partition(" ")
    if word != "key":
        raise RsaError("bad key format")
    attrs = parse(rest)
    if not attrs:
        raise RsaError("empty key")
    proto = value(attrs, "proto")
    if proto is None:
        raise RsaError("no proto")
    if proto != "rsa":
        raise RsaError("proto not rsa")
    e, n = _number(attrs, "ek"), _number(attrs, "n")
    if not n & 1:
        raise RsaError("bad rsa key")
    others = tuple(a for a in attrs if a.name not in _NUMBERS)
    try:
        public = rsa.RSAPublicNumbers(e, n)
        key: Private | Public = public.public_key()
        if value(attrs, "!dk") is not None:
            key = _private(attrs, public)
    except ValueError as err:
        raise RsaError("bad rsa key") from err
    return RsaKey(key, others, _complaints(value(attrs, "size"), n.bit_length()))


_BEGIN = re.compile(rb"(?m)^-----BEGIN ([A-Z0-9 ]{1,40})-----[ \t\r]*$")


def is_pem(data: bytes) -> bool:
    """Whether the octets hold a section of PEM; RFC 7468."""
    return _BEGIN.search(data) is not None


def load(data: bytes) -> Private | Public:
    """Load a key from PEM or DER: PKCS #1, PKCS #8 or a public key.

    Of several sections of PEM the first that holds a key counts.  Raises RsaError for
    an encrypted key, and for a key that is not RSA with its kind.
    """
    if is_pem(data):
        return _of_pem(data)
    return _loaded(
        partial(serialization.load_der_private_key, data, None),
        partial(serialization.load_der_public_key, data),
        otherwise="couldn't parse asn1 key",
    )


def _of_pem(data: bytes) -> Private | Public:
    for found in _BEGIN.finditer(data):
        section = found[1].decode()
        if not section.endswith(("PRIVATE KEY", "PUBLIC KEY")):
            continue
        if section == "EC PRIVATE KEY":  # the parameters may be a section of their own
            raise RsaError(_kind("EC"))
        return _loaded(
            partial(serialization.load_pem_private_key, data[found.start() :], None),
            partial(serialization.load_pem_public_key, data[found.start() :]),
            otherwise=f"couldn't parse {section} in pem",
        )
    raise RsaError("no key in the pem: want PRIVATE KEY or RSA PRIVATE KEY")


def _loaded(*ways: Callable[[], object], otherwise: str) -> Private | Public:
    for way in ways:
        try:
            key = way()
        except TypeError as e:  # it wants a password
            raise RsaError(
                "the key is encrypted: openssl pkey -in FILE decrypts it"
            ) from e
        except UnsupportedAlgorithm as e:
            raise RsaError(_kind("unknown")) from e
        except ValueError:
            continue
        if isinstance(key, (Private, Public)):
            return key
        kind = type(key).__name__.removesuffix("PrivateKey").removesuffix("PublicKey")
        raise RsaError(_kind(kind.removeprefix("_").replace("EllipticCurve", "EC")))
    raise RsaError(otherwise)


def _kind(kind: str) -> str:
    return (
        f"not an RSA key: it is {kind}, and the factotum's proto=rsa knows no other; "
        "make one with mailfs rsagen, or openssl req -newkey rsa:2048"
    )


def _private(attrs: Attrs, public: rsa.RSAPublicNumbers) -> Private:
    d = _number(attrs, "!dk")
    if value(attrs, "!p") is None or value(attrs, "!q") is None:
        p, q = rsa.rsa_recover_prime_factors(public.n, public.e, d)
    else:
        p, q = _number(attrs, "!q"), _number(attrs, "!p")
    if p < 3 or q < 3 or p * q != public.n:
        raise RsaError("n is not the product of !p and !q")
    return rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=d,
        dmp1=rsa.rsa_crt_dmp1(d, p),
        dmq1=rsa.rsa_crt_dmq1(d, q),
        iqmp=rsa.rsa_crt_iqmp(p, q),
        public_numbers=public,
    ).private_key()


def _number(attrs: Attrs, name: str) -> int:
    text = value(attrs, name)
    if text is None:
        raise RsaError(f"no {name}")
    if not _HEX.fullmatch(text):
        raise RsaError(f"bad {name}")
    return int(text, 16)


def _complaints(size: str | None, bits: int) -> tuple[str, ...]:
    if size is None:
        return ("missing size; will add",)
    if not size.isascii() or not size.isdecimal():
        return ("bad size; will correct",)
    if size.lstrip("0") != str(bits):
        return (f"wrong size (got {size}, expected {bits}); will correct",)
    return ()


def write_public(key: RsaKey) -> str:
    """Return the line without what is private, in the numbers or beside them."""
    numbers = key.public.public_numbers()
    others = tuple(a for a in key.attrs if not a.private)
    more = (
        Attr("size", str(numbers.n.bit_length())),
        Attr("ek", f"{numbers.e:x}"),
        Attr("n", f"{numbers.n:x}"),
    )
    return f"key {reveal((*others, *more))}"


def write_private(key: RsaKey) -> str:
    """Return the line with everything in it, in the order rsagen prints; rsa(8)."""
    numbers = key.private.private_numbers()
    public = numbers.public_numbers
    more = [Attr("size", str(public.n.bit_length()))]
    more += [
        Attr(name, f"{number:x}")
        for name, number in (
            ("ek", public.e),
            ("!dk", numbers.d),
            ("n", public.n),
            ("!p", numbers.q),
            ("!q", numbers.p),
            ("!kp", numbers.dmq1),
            ("!kq", numbers.dmp1),
            ("!c2", numbers.iqmp),
        )
    ]
    return f"key {reveal((*key.attrs, *more))}"


def write(key: RsaKey) -> str:
    """Return the line of a key, private if it is."""
    if isinstance(key.key, Private):
        return write_private(key)
    return write_public(key)
