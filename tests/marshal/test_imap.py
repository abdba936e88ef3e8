"""Copies saved into a folder of a real Dovecot, and kept when it takes none."""

import imaplib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailfs.cmd.main import main
from tests.factotum.serving import Served, serving
from tests.net.dovecot import PASSWORD, Dovecot
from tests.net.fixtures import dovecot as dovecot

from .conftest import World

pytestmark = pytest.mark.live


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """Post a factotum where the verb looks for one."""
    namespace = tmp_path / "ns"
    namespace.mkdir(mode=0o700)
    monkeypatch.setenv("NAMESPACE", str(namespace))
    with serving(tmp_path) as served:
        os.symlink(served.address.host, namespace / "factotum")
        yield served


@pytest.mark.parametrize("folder", ["Sent", "Grüße/Gesendet"])
def test_saved(
    world: World,
    agent: Served,
    dovecot: Dovecot,
    monkeypatch: pytest.MonkeyPatch,
    folder: str,
    tmp_path: Path,
) -> None:
    user = dovecot.user()
    monkeypatch.setenv("MAILFS_ROOT", str(world.root))
    (world.root / "mail/box" / os.environ.get("USER", "root")).mkdir(exist_ok=True)
    text = tmp_path / "text"
    text.write_text("To: bob\nBcc: glenda\nSubject: thé\n\nhello é\n")
    spec = f"/imap/tcp!127.0.0.1!{dovecot.ports['imap']}/{user}/{folder}"

    def send() -> int:
        old = os.dup(0)
        with text.open() as stdin:
            os.dup2(stdin.fileno(), 0)
        try:
            return main(["mail", "-S", spec])
        finally:
            os.dup2(old, 0)
            os.close(old)

    assert send() == 0  # its certificate is unknown: sent, and kept
    assert len(world.mail(user="bob")) == 1
    assert len(list(world.root.glob("mail/box/*/unfiled/*"))) == 1
    dovecot.trust(world.root)
    agent.add(f"proto=pass server=127.0.0.1 user={user} !password={PASSWORD}")
    assert send() == 0
    assert len(list(world.root.glob("mail/box/*/unfiled/*"))) == 1
    sent = world.mail(user="bob")[1]
    client = imaplib.IMAP4("127.0.0.1", dovecot.ports["imap"])
    client.login(user, PASSWORD)
    name = folder if folder.isascii() else "Gr&APwA3w-e/Gesendet"
    assert client.select(name)[0] == "OK"
    _, found = client.fetch("1:*", "(FLAGS RFC822)")
    assert isinstance(found[0], tuple)
    assert b"\\Seen" in found[0][0]
    assert found[0][1].replace(b"\r\n", b"\n").decode() == sent
    assert len(found) == 2
    client.logout()
