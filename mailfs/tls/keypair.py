"""A certificate and its key, loaded for our own end of TLS.

Python's TLS has to hold the key itself, so a factotum, which never gives one away,
cannot keep it: it is read from a file, as PEM or as the line ``key proto=rsa ...``
that rsagen prints and factotum reads.
"""

import os
import ssl
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from mailfs.errors import MailfsError, reason
from mailfs.tls import rsa

MAX_FILE = 1 << 20  # octets; a chain of certificates takes ten thousand
FOLDER = "sys/lib/tls"


class KeypairError(MailfsError):
    """A certificate or key that cannot be used."""


@dataclass(frozen=True, slots=True)
class Keypair:
    """A PEM file of certificates, the own one first, and the file of its key."""

    cert: Path
    key: Path

    def load(self, context: ssl.SSLContext) -> None:
        """Have context prove itself by this.  Raises KeypairError."""
        try:
            with _pem(self.key) as key:
                context.load_cert_chain(self.cert, key, password=_refuse)
        except ssl.SSLError as e:
            why = (e.reason or "no certificate").lower().replace("_", " ")
            raise KeypairError(f"{self.cert}: {why}") from e
        except OSError as e:
            raise KeypairError(f"{self.cert}: {reason(e)}") from e


# Where the Plan 9 pages put a server's certificate and its key: made by openssl, for
# imap4d; made by rsagen and rsa2x509, for tlssrv.
_SERVER = (
    ("imap.pem", "key.pem"),
    ("cert.pem", "key"),
    ("cert.pem", "key.pem"),
    ("cert", "key"),
)


def server(root: Path) -> Keypair:
    """Find a server's own certificate unless one is named: the first pair of files.

    Where there is none, its certificate is a file that does not exist.
    """
    pairs = [Keypair(root / FOLDER / c, root / FOLDER / k) for c, k in _SERVER]
    whole = (pair for pair in pairs if pair.cert.exists() and pair.key.exists())
    half = (pair for pair in pairs if pair.cert.exists())
    return next(whole, next(half, pairs[1]))


def client(root: Path) -> Keypair | None:
    """Return the certificate servers know us by; None if none lies there."""
    own = Keypair(root / FOLDER / "client.pem", root / FOLDER / "client.key")
    return own if own.cert.exists() else None


def _refuse() -> str:
    raise KeypairError("the key is encrypted: want one that is not")


@contextmanager
def _pem(path: Path) -> Iterator[str]:
    """Give the name of a PEM file of the key in path.

    What was no PEM file becomes one in memory only.  Raises KeypairError for a file
    that others may read.
    """
    data = _private(path)
    if not data.lstrip().startswith(b"key "):
        yield str(path)
        return
    try:
        private = rsa.read(data.decode("ascii", "replace").strip()).private
    except MailfsError as e:
        raise KeypairError(f"{path}: {e}") from e
    if not hasattr(os, "memfd_create"):
        raise KeypairError(f"{path}: want a PEM file: see mailfs secretpem")
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    fd = os.memfd_create("key", os.MFD_CLOEXEC)
    try:
        os.write(fd, pem)
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def _private(path: Path) -> bytes:
    try:
        with path.open("rb") as f:
            st = os.fstat(f.fileno())
            if not stat.S_ISREG(st.st_mode):
                raise KeypairError(f"{path}: not a file")
            if st.st_mode & 0o077:
                raise KeypairError(f"{path}: others may read it (chmod 600)")
            data = f.read(MAX_FILE + 1)
    except OSError as e:
        raise KeypairError(f"{path}: {reason(e)}") from e
    if len(data) > MAX_FILE:
        raise KeypairError(f"{path}: over {MAX_FILE} octets")
    return data
