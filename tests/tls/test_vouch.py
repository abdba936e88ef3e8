"""What the system's authorities say, asked without a network."""

import ssl
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ed25519

from mailfs.tls.vouch import CONTROL, MAX_CERT, MAX_CHAIN, Unvouched, vouch
from tests.tls.pki import Pki, authority, leaf


def test_good_chains(our_ca: Pki) -> None:
    vouch([our_ca.good.der], "localhost")
    vouch([our_ca.good.der], "127.0.0.1")
    vouch([our_ca.rsa.der], "LOCALHOST")
    vouch([our_ca.deep.der, our_ca.middle.der], "localhost")


def test_long_chain_spans_records(our_ca: Pki) -> None:
    vouch([our_ca.deep.der, our_ca.middle.der] + [our_ca.rsa.der] * 10, "localhost")


REFUSED = [
    ("good", "example.org", "Hostname mismatch"),
    ("good", "127.0.0.2", "IP address mismatch"),
    ("good", "localhost.example", "Hostname mismatch"),
    ("wrong", "localhost", "Hostname mismatch"),
    ("expired", "localhost", "certificate has expired"),
    ("early", "localhost", "not yet valid"),
    ("unknown", "localhost", "unable to get local issuer"),
    ("alone", "localhost", "self.signed certificate"),
    ("deep", "localhost", "unable to get local issuer"),
    ("good", "", "not a host name"),
    ("good", ".localhost", "not a host name"),
    ("good", "x" * 64 + ".y", "not a host name"),
]


@pytest.mark.parametrize(("who", "host", "why"), REFUSED)
def test_refused(our_ca: Pki, who: str, host: str, why: str) -> None:
    with pytest.raises(Unvouched, match=why):
        vouch([getattr(our_ca, who).der], host)


def test_kinds_of_key(our_ca: Pki) -> None:
    edwards = leaf(our_ca.ca, "localhost", key=ed25519.Ed25519PrivateKey.generate())
    vouch([edwards.der], "localhost")
    with pytest.raises(Unvouched, match="Hostname"):
        vouch([edwards.der], "x")
    old = leaf(our_ca.ca, "localhost", key=dsa.generate_private_key(2048))
    with pytest.raises(Unvouched, match="kind of key"):
        vouch([old.der], "localhost")


def test_leaf_is_no_authority(our_ca: Pki) -> None:
    forged = leaf(our_ca.good, "other.example")
    with pytest.raises(Unvouched):
        vouch([forged.der, our_ca.good.der], "other.example")


def test_no_authorities_vouch_for_nobody(
    pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    monkeypatch.setenv("SSL_CERT_DIR", "/nonexistent")
    with pytest.raises(Unvouched, match="local issuer"):
        vouch([pki.good.der], "localhost")


def test_damage_is_refused(our_ca: Pki) -> None:
    whole = our_ca.good.der
    for at in range(len(whole)):
        changed = whole[:at] + bytes((whole[at] ^ 0x40,)) + whole[at + 1 :]
        with pytest.raises(Unvouched):
            vouch([changed], "localhost")
    for cut in range(0, len(whole), 5):
        with pytest.raises(Unvouched):
            vouch([whole[:cut]], "localhost")


@pytest.mark.parametrize(
    "chain", [[], [b""], [b"x"] * (MAX_CHAIN + 1), [bytes(MAX_CERT + 1)]]
)
def test_no_such_chain(chain: list[bytes]) -> None:
    with pytest.raises(Unvouched):
        vouch(chain, "localhost")


def test_checker_that_never_objects_is_not_believed(pki: Pki) -> None:
    def blind() -> ssl.SSLContext:
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ctx.check_hostname = False
        ctx.verify_mode = ssl.CERT_NONE
        return ctx

    with pytest.raises(Unvouched, match="does not check host names"):
        vouch([pki.unknown.der], "localhost", blind)


def test_control_name_is_not_served(our_ca: Pki) -> None:
    forged = leaf(our_ca.ca, CONTROL)
    with pytest.raises(Unvouched):
        vouch([forged.der], CONTROL)


def test_another_authority_of_the_same_name(our_ca: Pki) -> None:
    forged = leaf(authority("Test CA"), "localhost")
    with pytest.raises(Unvouched):
        vouch([forged.der], "localhost")


MADE = """
set -e
exec 2>/dev/null
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=Our
openssl req -newkey rsa:2048 -nodes -keyout key -out csr -subj /CN=localhost
printf '%s\\n' '[req]' distinguished_name=d '[d]' '[v3]' >old.cnf
echo basicConstraints=CA:TRUE >>old.cnf
openssl req -x509 -key ca.key -out old-ca.pem -subj /CN=Old -days 9 -config old.cnf \\
    -extensions v3
issue() { # NAME CA EXTENSIONS
    printf "$3" >ext
    openssl x509 -req -in csr -CA $2.pem -CAkey ca.key -CAcreateserial -days 9 \\
        -extfile ext -out $1.pem
}
issue bare ca 'subjectAltName=DNS:localhost\\n'
issue whole ca 'subjectAltName=DNS:localhost\\nauthorityKeyIdentifier=keyid\\n'
issue old old-ca 'subjectAltName=DNS:localhost\\n'
issue wild ca 'subjectAltName=DNS:*.example.org\\n'
issue cn ca 'keyUsage=digitalSignature\\n'
openssl x509 -req -in csr -CA ca.pem -CAkey ca.key -days 9 -out v1.pem
openssl req -x509 -newkey rsa:2048 -nodes -keyout k -out self.pem -subj /CN=localhost \\
    -addext subjectAltName=DNS:localhost
"""
# The certificate, the authority, the host, and what is said where it is refused.
CHAINS = [
    ("bare", "ca", "localhost", ""),
    ("whole", "ca", "localhost", ""),
    ("old", "old-ca", "localhost", ""),
    ("self", "self", "localhost", ""),
    ("wild", "ca", "mail.example.org", ""),
    ("wild", "ca", "example.org", "Hostname mismatch"),
    ("wild", "ca", "a.mail.example.org", "Hostname mismatch"),
    ("bare", "old-ca", "localhost", "unable to get local issuer"),
    # Where OpenSSL's command takes a CN for a host name, we do not.
    ("cn", "ca", "localhost", "Hostname mismatch"),
    ("v1", "ca", "localhost", "Hostname mismatch"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    subprocess.run(["sh", "-c", MADE], cwd=folder, check=True)
    return folder


@pytest.mark.parametrize(("cert", "ca", "host", "why"), CHAINS)
def test_chains_that_the_command_makes(
    made: Path,
    monkeypatch: pytest.MonkeyPatch,
    cert: str,
    ca: str,
    host: str,
    why: str,
) -> None:
    """What OpenSSL's verify says of them, but for a CN."""
    monkeypatch.setenv("SSL_CERT_FILE", str(made / f"{ca}.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", "/nonexistent")
    said = subprocess.run(
        [
            *("openssl", "verify", "-CAfile", made / f"{ca}.pem"),
            *("-verify_hostname", host, made / f"{cert}.pem"),
        ],
        capture_output=True,
        check=False,
    )
    assert (said.returncode == 0) == (not why or cert in ("cn", "v1"))
    chain = [ssl.PEM_cert_to_DER_cert((made / f"{cert}.pem").read_text())]
    if not why:
        vouch(chain, host)
        return
    with pytest.raises(Unvouched, match=why):
        vouch(chain, host)
