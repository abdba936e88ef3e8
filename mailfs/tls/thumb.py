"""Thumbprints: the hashes of a certificate, and the lines that list them.

A line is ``x509 sha256=HASH [server=HOST] [other=...]``, tokenised like rc's; pure
text here, files in store.py.  Source: thumbprint(6) of Plan 9 and of 9front.
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from mailfs.attr import quote, tokenize
from mailfs.errors import MailfsError
from mailfs.tls import der

MAX_LINE = 8192  # characters; a line is one hash and a few names
MAX_WORDS = 50  # 9front's own limit; a server= beyond it must not be lost silently

SIZES = {"sha1": 20, "sha256": 32}  # octets
IGNORED = ("ssh",)  # first words of lines meant for other programs

_HEX = re.compile(r"[0-9A-Fa-f]{2}(:?[0-9A-Fa-f]{2})*")


class BadThumbprint(MailfsError):
    """A trust file, or a line of one, that cannot be meant."""


@dataclass(frozen=True, slots=True)
class Prints:
    """Every hash by which one certificate may be listed; by name of the function."""

    sha1: frozenset[bytes]
    sha256: frozenset[bytes]

    def have(self, name: str, digest: bytes) -> bool:
        """Whether digest is among the hashes made by the function called name."""
        return digest in (self.sha1 if name == "sha1" else self.sha256)


def prints(cert: bytes) -> Prints:
    """Return the hashes of a DER certificate and of the public key in it.

    The key counts twice, as RFC 5280 encodes it and as 9front does.  A certificate
    too odd to find the key in still has the hashes of its octets.
    """
    octets = [cert]
    try:
        spki = der.public_key(cert)
        octets.append(spki)
        octets.append(der.bare_key(spki))
    except der.DerError:
        pass  # fewer hashes can only trust less
    return Prints(
        frozenset(hashlib.sha1(o).digest() for o in octets),  # noqa: S324  thumbprint(6)
        frozenset(hashlib.sha256(o).digest() for o in octets),
    )


@dataclass(frozen=True, slots=True)
class Thumb:
    """One x509 line: the hashes it lists, the hosts it is tied to, where it stands."""

    digests: tuple[tuple[str, bytes], ...]
    servers: tuple[str, ...]  # none: any host
    where: str  # file:line, for people

    def trusts(self, found: Prints, host: str) -> bool:
        """Whether the line accepts this certificate from this host.

        A line with two hashes accepts only what has both.
        """
        if self.servers and plain(host) not in self.servers:
            return False
        return all(found.have(name, digest) for name, digest in self.digests)

    def excludes(self, found: Prints) -> bool:
        """Whether the line, in an exclude file, bars this certificate anywhere."""
        return any(found.have(name, digest) for name, digest in self.digests)


def plain(host: str) -> str:
    """Return a host name in the form names are compared in.

    A dial string is reduced to its host, as Plan 9's smtp writes it after server=.
    """
    parts = host.split("!")
    name = parts[1] if len(parts) > 1 else parts[0]
    return name.strip("[]").removesuffix(".").lower()


def line(cert: bytes, host: str = "", *, key: bool = False) -> str:
    """Make the line of a trust file for a DER certificate, tied to host if given.

    With key its public key is listed, which outlives the certificate's renewal.
    Raises DerError if there is no key to be found.
    """
    octets = der.public_key(cert) if key else cert
    text = f"x509 sha256={hashlib.sha256(octets).hexdigest()}"
    if host:
        text += f" server={quote(plain(host))}"
    return text


def include(text: str) -> str | None:
    """Return the file a ``#include`` line names, or None if it is another line."""
    words = tokenize(text, limit=3)
    if not words or words[0] != "#include":
        return None
    if len(words) != 2 or not words[1]:
        raise BadThumbprint("#include wants one file")
    return words[1]


def parse(text: str, where: str) -> Thumb | None:
    """Read one line; None if it is blank, a comment or another program's.

    Raises BadThumbprint for everything else that is not a whole x509 line: what is
    skipped in a trust file trusts less, but in an exclude file it trusts more.
    """
    if len(text) > MAX_LINE:
        raise BadThumbprint(f"line longer than {MAX_LINE} characters")
    words = tokenize(text, limit=MAX_WORDS + 1)
    if not words or words[0].startswith("#") or words[0] in IGNORED:
        return None
    if words[0] != "x509":
        raise BadThumbprint(f"not an x509 line: {_shown(text)}")
    if len(words) > MAX_WORDS:
        raise BadThumbprint(f"more than {MAX_WORDS} words")
    digests, servers = [], []
    for word in words[1:]:
        name, equals, value = word.partition("=")
        if name in SIZES:
            digests.append((name, _digest(name, value)))
        elif name == "server" and equals:
            if not plain(value):
                raise BadThumbprint("empty server=")
            servers.append(plain(value))
    if not digests:
        raise BadThumbprint(f"no sha1= or sha256= in {_shown(text)}")
    return Thumb(tuple(digests), tuple(servers), where)


def _digest(name: str, value: str) -> bytes:
    size = SIZES[name]
    raw = b""
    if _HEX.fullmatch(value) and len(value.replace(":", "")) == 2 * size:
        raw = bytes.fromhex(value.replace(":", ""))
    elif value.isascii():
        bare = value.rstrip("=")
        try:
            raw = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
        except binascii.Error:
            raw = b""
    if len(raw) != size:
        raise BadThumbprint(f"malformed {name}={_shown(value)}")
    return raw


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:80])
