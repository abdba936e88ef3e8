"""The key tools, piped into each other and into openssl."""

import importlib
import io
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mailfs.errors import MailfsError, UsageError
from mailfs.factotum.key import Ring
from mailfs.factotum.proto import rsa
from tests.tls.pki import openssl

Run = Callable[..., bytes]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a verb with octets on its standard input; returns its output."""

    def call(verb: str, *args: str, data: bytes = b"") -> bytes:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        with monkeypatch.context() as m:
            out = io.TextIOWrapper(io.BytesIO(), write_through=True)
            m.setattr("sys.stdout", out)
            assert importlib.import_module(f"mailfs.cmd.{verb}").main(list(args)) == 0
            raw = out.buffer
        assert isinstance(raw, io.BytesIO)
        return raw.getvalue()

    return call


@pytest.fixture(scope="module")
def key() -> bytes:
    """Make a key with the command itself."""
    code = "import sys; from mailfs.cmd.rsagen import main; main(sys.argv[1:])"
    tag = "service=tls role=client owner=*"
    done = subprocess.run(
        [sys.executable, "-c", code, "-t", tag], capture_output=True, check=True
    )
    return done.stdout


def test_rsagen(key: bytes) -> None:
    start = b"key proto=rsa service=tls role=client owner=* size=2048 ek=10001 !dk="
    assert key.startswith(start)
    assert key.endswith(b"\n")
    assert key.count(b"\n") == 1


def test_few_bits_are_told(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert b" size=1024 " in run("rsagen", "-b", "1024")
    assert capsys.readouterr().err == "warning: 1024 bits are few\n"


def test_certificate(run: Run, key: bytes, tmp_path: Path) -> None:
    der = run("rsa2x509", "C=FR CN=*.fakedom.dom", data=key)
    file = tmp_path / "cert.pem"
    file.write_bytes(run("pemencode", "CERTIFICATE", data=der))
    assert b"OK" in openssl("verify", "-x509_strict", "-CAfile", file, file)
    text = openssl("x509", "-in", file, "-noout", "-text").decode()
    for part in (
        "Version: 3",
        "sha256WithRSAEncryption",
        "Subject: C = FR, CN = *.fakedom.dom",
        "DNS:*.fakedom.dom",
        "Public-Key: (2048 bit)",
        "CA:FALSE",
    ):
        assert part in text
    openssl("x509", "-in", file, "-noout", "-checkhost", "mail.fakedom.dom")
    dates = openssl("x509", "-in", file, "-noout", "-checkend", str(3 * 365 * 86400))
    assert b"will not expire" in dates
    assert run("pemdecode", "CERTIFICATE", str(file)) == der
    assert run("rsa2x509", "CN=a", data=key) != run("rsa2x509", "CN=a", data=key)


def test_certificate_fits_the_key(run: Run, key: bytes, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(key)
    der = run("rsa2x509", "-e", "60", "CN=a, b.c, 10.0.0.1, me@x", str(file))
    (tmp_path / "der").write_bytes(der)
    look: list[str | Path] = [
        "x509",
        "-inform",
        "DER",
        "-in",
        tmp_path / "der",
        "-noout",
    ]
    want = openssl("rsa", "-noout", "-modulus", data=run("secretpem", str(file)))
    assert openssl(*look, "-modulus") == want
    names = b"DNS:b.c, IP Address:10.0.0.1, email:me@x"
    assert names in openssl(*look, "-ext", "subjectAltName")
    with pytest.raises(AssertionError):  # it lives a minute
        openssl(*look, "-checkend", "120")


def test_request(run: Run, key: bytes) -> None:
    der = run("rsa2csr", "C=FR CN=mail.x.com, x.com", data=key)
    text = openssl("req", "-inform", "DER", "-verify", "-noout", "-text", data=der)
    for part in (b"CN = mail.x.com", b"DNS:x.com", b"sha256WithRSA"):
        assert part in text


def test_secret_key_goes_out_and_comes_back(run: Run, key: bytes) -> None:
    tag = "service=tls role=client owner=*"
    for flags, section in (((), "RSA PRIVATE KEY"), (("-8",), "PRIVATE KEY")):
        text = run("secretpem", *flags, data=key)
        assert text.startswith(f"-----BEGIN {section}-----\n".encode())
        assert b"ok" in openssl("rsa", "-check", "-noout", data=text)
        der = run("pemdecode", section, data=b"junk\n" + text)
        assert run("asn12rsa", "-t", tag, data=der) == key


PAGE = "req -x509 -nodes -newkey rsa:1024 -subj /CN=a"  # the page's own line
KEYS = {  # as openssl has written them over the years: sections, old and new
    "PRIVATE KEY": [],
    "RSA PRIVATE KEY": ["-traditional"],
}


@pytest.mark.parametrize("section", KEYS)
def test_key_pem_gives_the_line_of_the_factotum(
    run: Run, tmp_path: Path, section: str
) -> None:
    file, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    openssl(*PAGE.split(), "-keyout", file, "-out", cert)
    text = openssl("rsa", "-in", file, *KEYS[section])
    assert text.startswith(f"-----BEGIN {section}-----\n".encode())
    file.write_bytes(
        b"Bag Attributes\n" + cert.read_bytes() + text.replace(b"\n", b"\r\n")
    )
    line = run("secretpem", str(file)).decode()
    assert line.startswith("key proto=rsa service=tls role=client owner=* size=1024 ")
    assert line.endswith("\n")
    ring = Ring({"rsa": rsa.RSA.check})
    ring.add(line.removeprefix("key ").rstrip("\n"))
    modulus = openssl("x509", "-in", cert, "-noout", "-modulus").decode().strip()
    assert f" n={modulus.partition('=')[2].lower()} " in line
    flags = [] if KEYS[section] else ["-8"]
    assert run("secretpem", *flags, data=line.encode()) == text
    other = run("asn12rsa", "-t", "a=b", str(file))
    assert other.startswith(b"key proto=rsa a=b size=")
    assert run("rsa2x509", "CN=a", str(file))


def test_a_path_of_plan9(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """/sys/lib/tls/key.pem is below the root, as every Plan 9 path is."""
    monkeypatch.setenv("MAILFS_ROOT", str(tmp_path))
    file = tmp_path / "sys/lib/tls/key.pem"
    file.parent.mkdir(parents=True)
    file.write_bytes(openssl("genrsa", "2048"))
    assert run("secretpem", "/sys/lib/tls/key.pem").startswith(b"key proto=rsa ")


REFUSED = {
    "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1": "it is EC, ",
    "ecparam -name prime256v1 -genkey": "it is EC, ",
    "genpkey -algorithm ED25519": "it is Ed25519, ",
    "genpkey -algorithm RSA -aes128 -pass pass:x": "the key is encrypted: openssl ",
    "genrsa -traditional -aes128 -passout pass:x": "the key is encrypted: openssl ",
    "req -x509 -nodes -newkey rsa:2048 -subj /CN=a -keyout /dev/null": "no key in the",
}


@pytest.mark.parametrize("made", REFUSED)
def test_pem_that_gives_no_key(run: Run, made: str) -> None:
    with pytest.raises(MailfsError, match=re.escape(REFUSED[made])):
        run("secretpem", data=openssl(*made.split()))


def test_half_a_key(run: Run) -> None:
    text = openssl("rsa", "-pubout", data=openssl("genrsa", "2048"))
    with pytest.raises(MailfsError, match="the key is public"):
        run("secretpem", data=text)
    assert run("asn12rsa", data=text).startswith(b"key proto=rsa size=2048 ek=")
    with pytest.raises(MailfsError, match="couldn't parse RSA PRIVATE KEY in pem"):
        run("secretpem", data=b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n")


def test_key_of_openssl(run: Run) -> None:
    text = openssl("genrsa", "2048")
    der = openssl("rsa", "-outform", "DER", "-traditional", data=text)
    line = run("asn12rsa", data=der)
    assert run("secretpem", "-8", data=line) == text
    public = run("rsa2pub", data=line)
    assert b"!" not in public
    for flags in (["-pubout"], ["-RSAPublicKey_out"]):
        half = openssl("rsa", *flags, "-outform", "DER", data=text)
        assert run("asn12rsa", data=half) == public
    modulus = openssl("rsa", "-noout", "-modulus", data=text).decode().strip()
    assert f"n={modulus.partition('=')[2].lower()}\n" in public.decode()


def test_rsa2pub_mends_the_size(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    line = b"key a=b proto=rsa ek=7 n=8F\nnot looked at\n"
    assert run("rsa2pub", data=line) == b"key a=b proto=rsa size=8 ek=7 n=8f\n"
    assert capsys.readouterr().err == "warning: missing size; will add\n"


ERRORS = [
    ("rsagen", ["-b", "x"], b"", "invalid int value"),
    ("rsagen", ["-b", "512"], b"", "512 bits: want 1024"),
    ("rsagen", ["-t", "!dk=1"], b"", "!dk in the tag"),
    ("rsa2pub", [], b"", "bad key format"),
    ("rsa2pub", [], b"\xff", "standard input: not text"),
    ("rsa2pub", [], b"x" * (1 << 20) + b"x", "standard input: over 1048576 octets"),
    ("rsa2x509", ["CN=a"], b"key proto=rsa ek=7 n=8F size=8", "no !dk"),
    ("rsa2x509", ["a"], b"", "no name in 'a'"),
    ("rsa2x509", [], b"", "required: names"),
    ("rsa2csr", ["CN=a"], b"key proto=p9sk1", "proto not rsa"),
    ("asn12rsa", [], b"", "couldn't parse asn1 key"),
    ("asn12rsa", [], b"0\x82", "couldn't parse asn1 key"),
    ("pemdecode", ["X"], b"\xff", "cannot extract section 'X' from pem"),
    ("pemencode", ["X\n"], b"", "cannot name a section"),
    ("secretpem", [], b"key proto=rsa ek=7 n=8F size=8", "no !dk"),
]


@pytest.mark.parametrize(("verb", "args", "data", "why"), ERRORS)
def test_errors(run: Run, verb: str, args: list[str], data: bytes, why: str) -> None:
    with pytest.raises((MailfsError, UsageError), match=re.escape(why)):
        run(verb, *args, data=data)


def test_lifetime_is_bounded(run: Run, key: bytes) -> None:
    for seconds in ("0", "-1", str(1 << 40)):
        with pytest.raises(MailfsError, match="lifetime"):
            run("rsa2x509", "-e", seconds, "CN=a", data=key)


def test_keys_that_are_not_rsa(run: Run) -> None:
    der = openssl("genpkey", "-algorithm", "ED25519", "-outform", "DER")
    with pytest.raises(MailfsError, match="not an RSA key"):
        run("asn12rsa", data=der)
    text = openssl("genpkey", "-algorithm", "RSA", "-aes128", "-pass", "pass:x")
    der = run("pemdecode", "ENCRYPTED PRIVATE KEY", data=text)
    with pytest.raises(MailfsError, match="the key is encrypted"):
        run("asn12rsa", data=der)


def test_missing_file(run: Run, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run("rsa2pub", str(tmp_path / "none"))
