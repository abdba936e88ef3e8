"""Who may come by which certificate: ``sys/lib/tls/clients/USER.pem`` below the root.

Each file holds the certificates of one user, in PEM; they may be self-signed.  Whoever
proves at the handshake to have the key of one of them is that user.  The directory is
read at each connection: a file added or removed holds from the next one on.
"""

import os
import ssl
import stat
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mailfs.errors import MailfsError, reason
from mailfs.tls.keypair import FOLDER, Keypair

MAX_FILE = 1 << 20  # octets; hundreds of certificates
MAX_USERS = 10_000  # files looked at
SUFFIX = ".pem"
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


class BadClient(MailfsError):
    """A file of certificates that cannot be meant."""


class Clients:
    """The certificates listed below a root, by their DER octets."""

    def __init__(self, root: Path) -> None:
        """Read nothing yet."""
        self.folder = root / FOLDER / "clients"

    def load(self) -> dict[bytes, str]:
        """Return the user of each certificate; no directory, no users.

        Raises BadClient if a file cannot be read or meant, or two users share one.
        """
        found: dict[bytes, str] = {}
        try:
            names = sorted(os.listdir(self.folder))[:MAX_USERS]
        except FileNotFoundError:
            return {}
        except OSError as e:
            raise BadClient(f"{self.folder}: {reason(e)}") from e
        for name in names:
            user = name.removesuffix(SUFFIX)
            if name.startswith(".") or user == name:
                continue
            for cert in _certificates(self.folder / name):
                if found.setdefault(cert, user) != user:
                    raise BadClient(f"{self.folder / name}: is {found[cert]}'s too")
        return found

    def user(self, cert: bytes | None) -> str:
        """Return the user of a certificate that was proved, empty for nobody.

        Doubt about the list is nobody.
        """
        try:
            return self.load().get(cert, "") if cert else ""
        except BadClient:
            return ""

    def context(self, own: Keypair) -> ssl.SSLContext:
        """Return a server's context that asks for a certificate, and needs none.

        One that is not listed is refused at the handshake.  Raises BadClient, and
        KeypairError for our own.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        # A session taken up again would not be asked who it is.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
        own.load(context)
        listed = self.load()
        if listed:
            context.verify_mode = ssl.CERT_OPTIONAL
            # Each listed certificate vouches for itself, whoever issued it; user()
            # sees to it that it vouches for no other.
            context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
            context.load_verify_locations(cadata=b"".join(listed))
        return context


def _certificates(path: Path) -> list[bytes]:
    try:
        with path.open("rb") as f:
            st = os.fstat(f.fileno())
            if not stat.S_ISREG(st.st_mode):
                raise BadClient(f"{path}: not a file")
            if st.st_mode & stat.S_IWOTH:
                raise BadClient(f"{path}: anyone may write there")
            text = f.read(MAX_FILE + 1).decode("ascii", "replace")
    except OSError as e:
        raise BadClient(f"{path}: {reason(e)}") from e
    if len(text) > MAX_FILE:
        raise BadClient(f"{path}: over {MAX_FILE} octets")
    found = []
    for piece in text.split(_BEGIN)[1:]:
        body = piece.partition(_END)[0]
        try:
            found.append(_der(f"{_BEGIN}{body}{_END}"))
        except ValueError as e:
            raise BadClient(f"{path}: not a certificate in PEM") from e
    if not found:
        raise BadClient(f"{path}: no certificate in PEM")
    return found


def _der(text: str) -> bytes:
    """Return a certificate's octets.  Raises ValueError if it is none."""
    return x509.load_pem_x509_certificate(text.encode()).public_bytes(Encoding.DER)
