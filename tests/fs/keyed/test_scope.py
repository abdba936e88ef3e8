"""What an attach name leaves of the keyed tree; spec upasfs sections 10 and 11."""

from pathlib import Path

import pytest

from mailfs.errors import ENOENT, EPERM, EROFS, Refused
from mailfs.p9.fcall import OWRITE

from ..conftest import names
from .serving import BothTrees
from .test_search import search


def test_the_name_chooses_the_dialect(tree: BothTrees) -> None:
    with tree.client("mailfs") as client:
        assert client.read("/mbox/1/info").startswith(b"unixdate ")
        assert names(client, "/mbox")[:2] == ["ctl", "search"]
    with tree.client("upas") as client:
        assert client.read("/mbox/1/info").startswith(b"glenda@example.org\n")


def test_no_ctl(tree: BothTrees) -> None:
    with tree.client("mailfs/noctl") as client:
        assert names(client, "/") == ["mbox"]
        assert names(client, "/mbox")[0] == "search"
        for path in ("/ctl", "/mbox/ctl"):
            with pytest.raises(Refused, match=ENOENT):
                client.open(path, OWRITE)
        assert search(client, "needle") == "1 3"


def test_readonly(tree: BothTrees) -> None:
    with tree.client("mailfs/ro") as client:
        for command in (b"delete 1", b"save stored 1", b"read 1", b"junk 1"):
            with pytest.raises(Refused, match=EROFS):
                client.write("/mbox/ctl", command)
        with pytest.raises(Refused, match=EROFS):
            client.write("/ctl", b"delete mbox 1")
        with pytest.raises(Refused, match=EROFS):
            client.open("/mbox/1/flags", OWRITE)
        with pytest.raises(Refused, match=EROFS):
            client.remove("/mbox/1")
        client.write("/mbox/ctl", b"refresh")


def test_one_mailbox_only(tree: BothTrees, box: Path) -> None:
    other = box.with_name("other")
    other.write_bytes(b"")
    tree.open(other, "other")
    with tree.client("mailfs/box=mbox") as client:
        assert names(client, "/") == ["ctl", "mbox"]
        for command in (
            b"save other 1",
            b"save stored 1",
            f"save {other} 1".encode(),
            b"junk 1",
            b"open stored",
            b"delete other 1",
        ):
            with pytest.raises(Refused, match=f"{EPERM}|no such mailbox"):
                client.write("/mbox/ctl", command)
        client.write("/mbox/ctl", b"save mbox 1")
        assert names(client, "/mbox")[-1] == "5"
    assert other.read_bytes() == b""


def test_the_newest_only(tree: BothTrees) -> None:
    with tree.client("mailfs/newest=2") as client:
        assert names(client, "/mbox") == ["ctl", "search", "3", "4"]
        assert search(client, "needle") == "3"
        with pytest.raises(Refused, match=ENOENT):
            client.read("/mbox/1/body")
        with pytest.raises(Refused, match="no such message"):
            client.write("/mbox/ctl", b"read 1")
        with pytest.raises(Refused, match="no such message"):
            client.write("/mbox/ctl", b"save mbox 1")
        client.write("/mbox/ctl", b"delete 1")
        client.write("/mbox/ctl", b"delete 4")
        assert names(client, "/mbox") == ["ctl", "search", "2", "3"]
