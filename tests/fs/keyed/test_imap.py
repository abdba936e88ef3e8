"""The keyed dialect over a real IMAP server, which plan9port's mailfs was for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailfs.p9.client import Client
from tests.mailbox.pop3 import world
from tests.net.dovecot import PASSWORD, Dovecot

from ..conftest import names
from .conftest import BOX
from .serving import BothTrees
from .test_search import search
from .test_tree import info

pytestmark = pytest.mark.live


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[tuple[Client, str]]:
    """Attach to a tree whose mbox is an INBOX with the four messages."""
    with Dovecot() as dovecot, world(tmp_path) as there:
        dovecot.trust(tmp_path / "root")
        user = dovecot.user()
        key = f"proto=pass server=localhost user={user} !password={PASSWORD}"
        there.agent.add(key)
        for message in BOX.read_bytes().split(b"\nFrom "):
            dovecot.deliver(user, message.split(b"\n", 1)[1])
        tree = BothTrees(tmp_path / "t")
        try:
            tree.boxes.place = there.place()
            port = dovecot.ports["imaps"]
            spec = f"/imaps/tcp!localhost!{port}/{user}"
            tree.open(spec, "mbox")
            with tree.keyed() as client:
                yield client, spec
        finally:
            tree.close()


def test_imap(remote: tuple[Client, str]) -> None:
    client, spec = remote
    assert names(client, "/mbox") == ["ctl", "search", "1", "2", "3", "4"]
    before = info(client, "/mbox/1")
    assert before["from"] == "Glenda glenda@example.org"
    assert before["messageid"] == "<one@example.org>"
    # a length is true or, before anything was fetched, 0; never an estimate
    for entry in client.ls("/mbox/3"):
        if entry.name.isalpha():
            octets = client.read(f"/mbox/3/{entry.name}")
            assert entry.length in (0, len(octets))
            assert client.stat(f"/mbox/3/{entry.name}").length == len(octets)
    for text, found in (("needle", "1 3"), ("café", "1 2"), ("cc:ring", "1")):
        assert search(client, text) == found
    assert client.read("/mbox/3/2/1/1/body") == b"the needle within\n"
    assert client.read("/mbox/1/to").startswith(b"'Doe, John' john@example.org ")
    assert info(client, "/mbox/1") == before  # and not marked as seen
    client.write("/mbox/ctl", b"read 1")
    client.write("/mbox/ctl", b"save stored 1 3")
    client.write("/mbox/ctl", b"delete 2")
    client.write("/mbox/ctl", b"junk 4")
    assert names(client, "/mbox") == ["ctl", "search", "1", "3"]
    assert client.read("/mbox/1/flags") == b"seen"
    client.write("/ctl", f"open {spec}/stored stored".encode())
    saved = {client.read(f"/stored/{n}/raw") for n in (1, 2)}
    assert saved == {client.read(f"/mbox/{n}/raw") for n in (1, 3)}
