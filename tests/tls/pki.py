"""Certificates made on the spot: two authorities, and leaves good and bad."""

import datetime
import ipaddress
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509.oid import NameOID

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
DAY = datetime.timedelta(days=1)
Key = (
    ec.EllipticCurvePrivateKey
    | rsa.RSAPrivateKey
    | ed25519.Ed25519PrivateKey
    | dsa.DSAPrivateKey
)


@dataclass
class Issued:
    """A certificate and the key in it."""

    cert: x509.Certificate
    key: Key

    @property
    def der(self) -> bytes:
        return self.cert.public_bytes(serialization.Encoding.DER)

    @property
    def spki(self) -> bytes:
        return self.cert.public_key().public_bytes(
            serialization.Encoding.DER,
            serialization.PublicFormat.SubjectPublicKeyInfo,
        )

    def write(self, folder: Path, name: str, *above: "Issued") -> tuple[Path, Path]:
        """Write name.pem, the issuers' certificates after it, and name.key."""
        pem, key = folder / f"{name}.pem", folder / f"{name}.key"
        pem.write_bytes(
            b"".join(
                i.cert.public_bytes(serialization.Encoding.PEM) for i in (self, *above)
            )
        )
        key.write_bytes(
            self.key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return pem, key


def name(cn: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])


def authority(cn: str, above: Issued | None = None) -> Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    signer = above.key if above else key
    builder = (
        _builder(cn, above.cert.subject if above else name(cn), key, -DAY, 365 * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=False,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
            critical=False,
        )
    )
    return Issued(builder.sign(signer, hashes.SHA256()), key)


def leaf(
    above: Issued | None,
    host: str,
    start: datetime.timedelta = -DAY,
    end: datetime.timedelta = 30 * DAY,
    key: Key | None = None,
) -> Issued:
    """Issue a certificate for host; localhost has 127.0.0.1 too."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    signer = above.key if above else key
    names: list[x509.GeneralName] = [x509.DNSName(host)]
    if host == "localhost":
        names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    builder = (
        _builder(host, above.cert.subject if above else name(host), key, start, end)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
            critical=False,
        )
    )
    return Issued(builder.sign(signer, hashes.SHA256()), key)


def _builder(
    cn: str,
    issuer: x509.Name,
    key: Key,
    start: datetime.timedelta,
    end: datetime.timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name(cn))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + start)
        .not_valid_after(NOW + end)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
        )
    )


def openssl(*args: str | Path, data: bytes = b"") -> bytes:
    """Run the openssl command and return what it prints."""
    done = subprocess.run(
        ["openssl", *map(str, args)], input=data, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@dataclass
class Pki:
    """The whole cast; every leaf but wrong is for localhost."""

    folder: Path
    ca: Issued
    middle: Issued
    good: Issued
    deep: Issued  # below middle
    rsa: Issued
    expired: Issued
    early: Issued
    wrong: Issued  # for another host
    unknown: Issued  # by an authority nobody knows
    alone: Issued  # self-signed

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.pem"


def make(folder: Path) -> Pki:
    ca = authority("Test CA")
    middle = authority("Test Issuing CA", ca)
    pki = Pki(
        folder=folder,
        ca=ca,
        middle=middle,
        good=leaf(ca, "localhost"),
        deep=leaf(middle, "localhost"),
        rsa=leaf(ca, "localhost", key=rsa.generate_private_key(65537, 2048)),
        expired=leaf(ca, "localhost", -30 * DAY, -DAY),
        early=leaf(ca, "localhost", DAY),
        wrong=leaf(ca, "other.example"),
        unknown=leaf(authority("Unknown CA"), "localhost"),
        alone=leaf(None, "localhost"),
    )
    for what in (
        "ca",
        "middle",
        "good",
        "rsa",
        "expired",
        "early",
        "wrong",
        "unknown",
        "alone",
    ):
        getattr(pki, what).write(folder, what)
    pki.deep.write(folder, "deep", middle)
    return pki
