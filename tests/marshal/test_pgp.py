"""OpenPGP messages, checked by gpg itself; RFC 3156."""

import email
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailfs.errors import MailfsError
from mailfs.marshal import draft
from mailfs.marshal.attachment import Attachment
from mailfs.marshal.compose import Author, ComposedMail, Order, compose
from mailfs.marshal.entity import Entity
from mailfs.marshal.pgp import Pgp

TEXT = "From here on: é, and a blank \nThe end\n"


@pytest.fixture(scope="module")
def keys() -> Iterator[Path]:
    """Make a key for glenda, in a place of its own: a socket's path must be short."""
    if shutil.which("gpg") is None:
        pytest.skip("no gpg")
    with (
        tempfile.TemporaryDirectory(prefix="gpg") as home,
        pytest.MonkeyPatch.context() as env,
    ):
        env.setenv("GNUPGHOME", home)
        gpg("--quick-generate-key", "glenda@x.example", "ed25519", "default", "never")
        gpg("--quick-add-key", fingerprint(), "cv25519", "encr", "never")
        yield Path(home)
        subprocess.run(["gpgconf", "--kill", "all"], check=True)


def gpg(*words: str, octets: bytes = b"") -> bytes:
    """Run gpg without a passphrase."""
    quiet = [
        "gpg",
        "--batch",
        "--quiet",
        "--passphrase",
        "",
        "--pinentry-mode",
        "loopback",
    ]
    return subprocess.run(
        [*quiet, *words], input=octets, capture_output=True, check=True
    ).stdout


def fingerprint() -> str:
    """Return the only key's."""
    rows = gpg("--list-keys", "--with-colons").decode().splitlines()
    return next(row.split(":")[9] for row in rows if row.startswith("fpr"))


def mail(letters: str, file: Path, text: str = TEXT) -> ComposedMail:
    """Compose a message with a file, signed or encrypted."""
    numbers = iter(range(100))
    token = lambda: f"t{next(numbers)}"  # noqa: E731
    order = Order(
        to=("glenda@x.example",),
        files=(Attachment(str(file)),),
        wrap=Pgp(letters, token),
    )
    taken = draft.typed(text.encode())
    return compose(taken, order, Author("glenda", "x.example"), now=1e9, token=token)


def part(octets: bytes, boundary: bytes, number: int) -> bytes:
    """Return a part of a multipart to the octet."""
    return octets.split(b"\n--" + boundary)[number].partition(b"\n")[2]


@pytest.mark.live
def test_signed(keys: Path, tmp_path: Path) -> None:
    file = tmp_path / "note"
    file.write_bytes("ein Blatt über Öl \n".encode())
    made = mail("s", file)
    message: Any = email.message_from_bytes(made.octets)
    assert message.get_content_type() == "multipart/signed"
    assert message.get_param("protocol") == "application/pgp-signature"
    assert message.get_param("micalg") == "pgp-sha256"
    content, signature = message.get_payload()
    assert content.get_content_type() == "multipart/mixed"
    boundary = message.get_boundary()
    assert boundary is not None
    signed = part(made.octets, boundary.encode(), 1).replace(b"\n", b"\r\n")
    kept = tmp_path / "signature"
    kept.write_bytes(signature.get_payload(decode=True))
    gpg("--verify", str(kept), "-", octets=signed)
    with pytest.raises(subprocess.CalledProcessError):
        gpg("--verify", str(kept), "-", octets=signed.replace(b"The", b"the"))
    assert made.octets.isascii()
    first, second = content.get_payload()
    assert first.get_payload(decode=True) == TEXT.encode()
    assert second.get_payload(decode=True) == file.read_bytes()


@pytest.mark.live
@pytest.mark.parametrize("letters", ["e", "se"])
def test_encrypted(keys: Path, tmp_path: Path, letters: str) -> None:
    file = tmp_path / "note"
    file.write_bytes(b"secret note\n")
    made = mail(letters, file)
    message: Any = email.message_from_bytes(made.octets)
    assert message.get_content_type() == "multipart/encrypted"
    version, sealed = message.get_payload()
    assert version.get_payload() == "Version: 1\n"
    inner: Any = email.message_from_bytes(
        gpg("--decrypt", octets=sealed.get_payload(decode=True))
    )
    expect = "multipart/signed" if "s" in letters else "multipart/mixed"
    assert inner.get_content_type() == expect
    octets = [
        leaf.get_payload(decode=True)
        for leaf in inner.walk()
        if not leaf.is_multipart()
    ]
    assert octets[0].replace(b"\r\n", b"\n") == TEXT.encode()
    assert octets[1].replace(b"\r\n", b"\n") == b"secret note\n"
    assert b"secret" not in made.octets


@pytest.mark.live
def test_no_key(keys: Path) -> None:
    content = Entity(b"Content-Type: text/plain\n", b"x\n")
    with pytest.raises(MailfsError, match="gpg: "):
        Pgp("e", lambda: "t")(content, ("nobody@x.example",))


def test_no_program() -> None:
    content = Entity(b"Content-Type: text/plain\n", b"x\n")
    with pytest.raises(MailfsError, match="/nonesuch: No such file"):
        Pgp("s", lambda: "t", "/nonesuch")(content, ())


def test_octets_that_a_signature_would_not_survive() -> None:
    content = Entity(b"Content-Type: text/plain\n", "é\n".encode())
    with pytest.raises(MailfsError, match="octets of 8 bits"):
        Pgp("s", lambda: "t")(content, ())
