"""What the system's authorities say, asked without a network."""

import ssl

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
