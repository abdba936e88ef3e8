"""Lines of thumbprint files, and the hashes of certificates."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from mailfs.tls import der, thumb
from mailfs.tls.thumb import BadThumbprint, Thumb, include, parse, prints
from tests.tls.pki import Pki, openssl

S1 = hashlib.sha1(b"one").digest()
S2 = hashlib.sha256(b"one").digest()
T2 = hashlib.sha256(b"two").digest()
B1 = base64.b64encode(S1).decode()
B2 = base64.b64encode(S2).decode()

LINES = [
    (f"x509 sha1={S1.hex()}", (("sha1", S1),), ()),
    (f"x509 sha1={S1.hex().upper()}", (("sha1", S1),), ()),
    (f"x509 sha1={S1.hex(':')}", (("sha1", S1),), ()),
    (f"x509 sha1={B1}", (("sha1", S1),), ()),
    (f"x509 sha1={B1.rstrip('=')}", (("sha1", S1),), ()),
    (f"x509 sha256={S2.hex()}", (("sha256", S2),), ()),
    (f"x509 sha256={B2}", (("sha256", S2),), ()),
    (f"\tx509\t sha256={B2.rstrip('=')}\r", (("sha256", S2),), ()),
    (f"x509 sha256={S2.hex()} cn='*.x y' (my, own)", (("sha256", S2),), ()),
    (f"x509 sha256={S2.hex()} server=Mail.X.org.", (("sha256", S2),), ("mail.x.org",)),
    (f"x509 sha256={S2.hex()} server=tcp!mx!smtp", (("sha256", S2),), ("mx",)),
    (f"x509 server=a sha256={B2} server=b", (("sha256", S2),), ("a", "b")),
    (f"x509 sha1={S1.hex()} sha256={B2}", (("sha1", S1), ("sha256", S2)), ()),
]


@pytest.mark.parametrize(("text", "digests", "servers"), LINES)
def test_line(
    text: str, digests: tuple[tuple[str, bytes], ...], servers: tuple[str, ...]
) -> None:
    assert parse(text, "f:1") == Thumb(digests, servers, "f:1")


@pytest.mark.parametrize(
    "text", ["", "  \t\r", "# x509 sha1=zz", "#x509", "'#' x", "ssh sha256=abc"]
)
def test_other_lines_are_skipped(text: str) -> None:
    assert parse(text, "f:1") is None


BAD = [
    ("x509", "no sha1= or sha256="),
    ("x509 md5=00", "no sha1= or sha256="),
    ("x59 sha1=" + S1.hex(), "not an x509 line"),
    ("x509 sha1", "malformed sha1="),
    ("x509 sha1=", "malformed sha1="),
    ("x509 sha1=" + S2.hex(), "malformed sha1="),
    ("x509 sha256=" + S1.hex(), "malformed sha256="),
    ("x509 sha256=" + S2.hex()[:-1], "malformed sha256="),
    ("x509 sha256=" + S2.hex()[:-1] + "g", "malformed sha256="),
    ("x509 sha256=" + B2[:-3], "malformed sha256="),
    ("x509 sha256=" + B2[:-4] + "*" + B2[-3:], "malformed sha256="),
    ("x509 sha256=\u00e9", "malformed sha256="),
    (f"x509 sha1={S1.hex()} sha256=no", "malformed sha256="),
    (f"x509 sha1={S1.hex()} server=", "empty server="),
    (f"x509 sha1={S1.hex()}" + " x" * 49, "more than 50 words"),
    (f"x509 sha1={S1.hex()} " + "x" * 8192, "longer than 8192"),
]


@pytest.mark.parametrize(("text", "why"), BAD)
def test_bad_line_is_refused(text: str, why: str) -> None:
    with pytest.raises(BadThumbprint, match=why):
        parse(text, "f:1")


def test_error_has_no_control_characters() -> None:
    with pytest.raises(BadThumbprint) as e:
        parse("\x1b[2J\nx509", "f:1")
    assert str(e.value) == "not an x509 line: ?[2J?x509"


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ("#include /sys/lib/tls/more", "/sys/lib/tls/more"),
        (" #include 'a b'", "a b"),
        ("# include x", None),
        ("#included x", None),
        ("x509 #include", None),
        ("", None),
    ],
)
def test_include(text: str, file: str | None) -> None:
    assert include(text) == file


@pytest.mark.parametrize("text", ["#include", "#include ''", "#include a b"])
def test_bad_include(text: str) -> None:
    with pytest.raises(BadThumbprint, match="wants one file"):
        include(text)


def test_hashes_are_those_openssl_prints(pki: Pki) -> None:
    for one, pem in ((pki.rsa, "rsa.pem"), (pki.good, "good.pem")):
        found = prints(one.der)
        for name in ("sha1", "sha256"):
            out = openssl(
                "x509", "-in", pki.folder / pem, "-noout", "-fingerprint", f"-{name}"
            )
            digest = bytes.fromhex(
                out.decode().partition("=")[2].strip().replace(":", "")
            )
            assert found.have(name, digest)
        key = openssl("x509", "-in", pki.folder / pem, "-noout", "-pubkey")
        spki = openssl("pkey", "-pubin", "-outform", "DER", data=key)
        assert spki == der.public_key(one.der)
        assert found.have("sha256", hashlib.sha256(spki).digest())
        assert found.have("sha1", hashlib.sha1(spki).digest())
        assert not found.have("sha256", T2)


def test_curve_is_forgotten_as_in_9front(pki: Pki) -> None:
    key = pki.good.cert.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    point = b"\0" + key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    algorithm = bytes.fromhex("300b06072a8648ce3d02010500")
    bare = der.wrap(0x30, algorithm + der.wrap(0x03, point))
    assert prints(pki.good.der).have("sha256", hashlib.sha256(bare).digest())
    assert der.bare_key(pki.rsa.spki) == pki.rsa.spki


def test_which_host_and_which_hash(pki: Pki) -> None:
    found = prints(pki.good.der)
    own = thumb.line(pki.good.der)
    other = f"sha256={T2.hex()}"
    rows = [
        (own, "a", True),
        (own + " server=a", "A.", True),
        (own + " server=a", "b", False),
        (own + " server=a server=b", "b", True),
        (thumb.line(pki.good.der, key=True), "a", True),
        (f"x509 {other}", "a", False),
        (f"{own} {other}", "a", False),
    ]
    for text, host, answer in rows:
        entry = parse(text, "f:1")
        assert entry is not None
        assert entry.trusts(found, host) is answer, text
    both = parse(f"{own} {other} server=elsewhere", "f:1")
    assert both is not None
    assert both.excludes(found)  # in an exclude file any hash bars, anywhere


def test_written_line_is_read_back(pki: Pki) -> None:
    text = thumb.line(pki.good.der, "Mail.Example.org.")
    digest = hashlib.sha256(pki.good.der).hexdigest()
    assert text == f"x509 sha256={digest} server=mail.example.org"
    assert parse(text, "f:1") is not None


def test_cut_certificate_has_no_key_but_has_hashes(pki: Pki) -> None:
    whole = pki.rsa.der
    spki = der.public_key(whole)
    for cut in range(0, len(whole), 7):
        octets = whole[:cut]
        with pytest.raises(der.DerError):
            der.public_key(octets)
        assert prints(octets).sha256 == {hashlib.sha256(octets).digest()}
    for cut in range(len(spki)):
        with pytest.raises(der.DerError):
            der.bare_key(spki[:cut])


@settings(max_examples=300)
@given(st.binary(max_size=80))
def test_garbage_certificate(octets: bytes) -> None:
    assert hashlib.sha256(octets).digest() in prints(octets).sha256


@settings(max_examples=300)
@given(st.one_of(st.text(max_size=80), st.text("x509sha12 =#'abcdef", max_size=80)))
def test_garbage_line(text: str) -> None:
    for whole in (text, "x509 " + text, "x509 sha1=" + text):
        try:
            entry = parse(whole, "f:1")
        except BadThumbprint:
            continue
        assert entry is None or entry.digests
