"""Our own certificate and key, and those by which clients are known."""

import ssl
from pathlib import Path

import pytest

from mailfs.errors import MailfsError
from mailfs.tls import rsa
from mailfs.tls.clients import BadClient, Clients
from mailfs.tls.keypair import Keypair, KeypairError, client, server

from . import pki as made


def pair(pki: made.Pki, folder: Path, who: str) -> Keypair:
    issued: made.Issued = getattr(pki, who)
    pem, key = issued.write(folder, who)
    key.chmod(0o600)
    return Keypair(pem, key)


def load(keys: Keypair) -> None:
    keys.load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


def test_pem(pki: made.Pki, tmp_path: Path) -> None:
    for who in ("good", "rsa", "alone"):
        load(pair(pki, tmp_path, who))
    keys = pair(pki, tmp_path, "good")
    both = tmp_path / "both.pem"
    both.write_text(keys.key.read_text() + keys.cert.read_text())
    both.chmod(0o600)
    load(Keypair(both, both))


def test_a_key_as_rsagen_prints_it(pki: made.Pki, tmp_path: Path) -> None:
    keys = pair(pki, tmp_path, "rsa")
    key = pki.rsa.key
    assert isinstance(key, rsa.Private)
    text = rsa.write_private(rsa.tagged(key, "service=tls role=client"))
    keys.key.write_text(text + "\n")
    load(keys)
    keys.key.write_text(rsa.write_public(rsa.RsaKey(key)))
    with pytest.raises(KeypairError, match="no !dk"):
        load(keys)
    keys.key.write_text("key proto=rsa nonsense")
    with pytest.raises(KeypairError, match=str(keys.key)):
        load(keys)


def test_what_cannot_be_used(pki: made.Pki, tmp_path: Path) -> None:
    good, other = pair(pki, tmp_path, "good"), pair(pki, tmp_path, "alone")
    with pytest.raises(KeypairError, match="mismatch"):
        load(Keypair(good.cert, other.key))
    good.key.chmod(0o640)
    with pytest.raises(KeypairError, match="others may read it"):
        load(good)
    good.key.chmod(0o600)
    with pytest.raises(KeypairError, match="file does not exist"):
        load(Keypair(tmp_path / "nonesuch", good.key))
    with pytest.raises(KeypairError, match="file does not exist"):
        load(Keypair(good.cert, tmp_path / "nonesuch"))
    good.cert.write_text("nonsense")
    with pytest.raises(KeypairError, match=str(good.cert)):
        load(good)
    encrypted = tmp_path / "encrypted"
    encrypted.write_bytes(
        made.openssl("pkey", "-in", other.key, "-aes128", "-passout", "pass:x")
    )
    encrypted.chmod(0o600)
    with pytest.raises(KeypairError, match="encrypted"):
        load(Keypair(other.cert, encrypted))


def test_where_they_lie(tmp_path: Path) -> None:
    assert server(tmp_path).cert == tmp_path / "sys/lib/tls/cert.pem"
    assert client(tmp_path) is None
    folder = tmp_path / "sys/lib/tls"
    folder.mkdir(parents=True)
    (folder / "client.pem").touch()
    assert client(tmp_path) == Keypair(folder / "client.pem", folder / "client.key")


@pytest.mark.parametrize(
    ("files", "cert", "key"),
    [
        ("cert key", "cert", "key"),  # as rsagen and rsa2x509 leave them
        ("cert.pem key", "cert.pem", "key"),
        ("cert.pem key.pem", "cert.pem", "key.pem"),
        ("imap.pem key.pem cert key", "imap.pem", "key.pem"),  # as openssl's are kept
        ("imap.pem cert key", "cert", "key"),
        ("imap.pem", "imap.pem", "key.pem"),
    ],
)
def test_the_first_pair_that_is_whole(
    files: str, cert: str, key: str, tmp_path: Path
) -> None:
    folder = tmp_path / "sys/lib/tls"
    folder.mkdir(parents=True)
    for name in files.split():
        (folder / name).touch()
    assert server(tmp_path) == Keypair(folder / cert, folder / key)


@pytest.fixture
def clients(tmp_path: Path) -> Clients:
    clients = Clients(tmp_path)
    clients.folder.mkdir(parents=True)
    return clients


def test_users(clients: Clients, pki: made.Pki, tmp_path: Path) -> None:
    assert Clients(tmp_path / "elsewhere").load() == {}
    one, two = pair(pki, tmp_path, "good"), pair(pki, tmp_path, "alone")
    (clients.folder / "glenda.pem").write_text(
        "what is this?\n" + one.cert.read_text() + two.cert.read_text()
    )
    (clients.folder / "rob.pem").write_text(pair(pki, tmp_path, "rsa").cert.read_text())
    (clients.folder / "README").write_text("x")
    (clients.folder / ".new.pem").write_text("x")
    want = {pki.good.der: "glenda", pki.alone.der: "glenda", pki.rsa.der: "rob"}
    assert clients.load() == want
    assert clients.user(pki.rsa.der) == "rob"
    assert (
        clients.user(pki.unknown.der) == clients.user(b"") == clients.user(None) == ""
    )


def test_a_doubtful_list_is_nobody(
    clients: Clients, pki: made.Pki, tmp_path: Path
) -> None:
    good = pair(pki, tmp_path, "good").cert.read_text()
    listed = clients.folder / "glenda.pem"
    other = clients.folder / "rob.pem"
    for text, why in (
        (good, "is glenda's too"),
        ("", "no certificate in PEM"),
        (good[:300], "not a certificate in PEM"),
        (good.replace("MI", "AA"), "not a certificate in PEM"),
        ("x" * (1 << 20 | 1), "over 1048576 octets"),
    ):
        listed.write_text(good)
        other.write_text(text)
        with pytest.raises(BadClient, match=why):
            clients.load()
        assert clients.user(pki.good.der) == ""
    other.unlink()
    assert clients.user(pki.good.der) == "glenda"
    listed.chmod(0o666)
    with pytest.raises(MailfsError, match="anyone may write there"):
        clients.load()
    listed.unlink()
    listed.mkdir()
    with pytest.raises(BadClient):
        clients.load()
