"""Control commands of the keyed dialect and their errors; spec upasfs section 10.4."""

from pathlib import Path

import pytest

from mailfs.errors import (
    EBOXUSE,
    ECONTROL,
    ENOBOX,
    ENOENT,
    ENOMSG,
    EPERM,
    EROFS,
    Refused,
)
from mailfs.p9.client import Client
from mailfs.p9.fcall import OWRITE

from ..conftest import mbox, names
from ..serving import USER
from .conftest import BOX
from .serving import BothTrees, both

REFUSED = [
    ("\n", 'bad message: ""'),
    ("nonesuch 1", 'bad message: "nonesuch 1"'),
    ("hangup 'a b'", "bad message: \"hangup 'a b'\""),
    ("delete", f'{ECONTROL}: "delete"'),
    ("delete 1 x", f'{ECONTROL}: "x"'),
    ("delete nonesuch 1", ENOBOX),
    ("delete 1x", ENOBOX),
    ("refresh now", ECONTROL),
    ("save", ECONTROL),
    ("save stored", ECONTROL),
    ("save stored x", ECONTROL),
    ("save stored 9", ENOMSG),
    ("save stored 1 9", ENOMSG),
    ("save /nonesuch/box 1", ENOENT),
    ("read", ECONTROL),
    ("read 9", ENOMSG),
    ("read 1 -2", ECONTROL),
    ("replied 1 9", ENOMSG),
    ("junk 9", ENOMSG),
    ("nonjunk 9", ENOMSG),
    ("open", ECONTROL),
    ("open /etc/passwd mbox", EBOXUSE),
    ("open /nonesuch x", ENOENT),
    ("close mbox", EPERM),
    ("close nonesuch", EPERM),
]


@pytest.mark.parametrize(("command", "error"), REFUSED)
def test_refused(tree: BothTrees, box: Path, command: str, error: str) -> None:
    with tree.keyed() as client:
        with client.open("/mbox/ctl", OWRITE) as ctl:
            with pytest.raises(Refused) as caught:
                ctl.write(command.encode())
        assert error in str(caught.value)
        assert names(client, "/") == ["ctl", "mbox"]
        assert [client.read(f"/mbox/{n}/flags") for n in range(1, 5)] == [b""] * 4
    assert box.read_bytes() == BOX.read_bytes()
    assert not (tree.root / "mail" / "box" / USER / "stored").exists()


DELETES = [
    ("delete 2", [1, 3, 4]),
    ("delete 2\n", [1, 3, 4]),
    ("delete mbox 2 3", [1, 4]),  # acme Mail
    ("delete 1/ 9 4/", [2, 3]),
    ("delete mbox", [1, 2, 3, 4]),  # acme Mail's Put where nothing is deleted
]


@pytest.mark.parametrize(("command", "left"), DELETES)
def test_delete(client: Client, command: str, left: list[int]) -> None:
    with client.open("/mbox/ctl", OWRITE) as ctl:
        ctl.write(b"refresh")
        ctl.write(command.encode())  # acme keeps the file open: its offset grows
    assert names(client, "/mbox") == ["ctl", "search", *map(str, left)]


def test_the_first_word_may_be_a_mailbox(tree: BothTrees, box: Path) -> None:
    other = box.with_name("other")
    other.write_bytes(box.read_bytes())
    tree.open(other, "3")
    with tree.keyed() as client:
        client.write("/3/ctl", b"delete 3 1")  # acme Mail, of the mailbox 3
        assert names(client, "/3") == ["ctl", "search", "2", "3", "4"]
        client.write("/3/ctl", b"delete 3")
        assert names(client, "/3") == ["ctl", "search", "2", "3", "4"]
        # acme opens a mailbox of the same name by the ctl of the one that is there
        client.write("/mbox/ctl", f"open {other} mbox-0".encode())
        client.write("/mbox/ctl", b"delete mbox-0 2")
        assert names(client, "/mbox") == ["ctl", "search", "1", "2", "3", "4"]
        assert names(client, "/mbox-0") == ["ctl", "search", "3", "4"]


def test_a_split_command_is_done_whole(tree: BothTrees, tmp_path: Path) -> None:
    many = [(f"m{i}@x.org", "Mon Mar  2 09:00:00 2026", "\n") for i in range(3000)]
    (tmp_path / "many").write_bytes(mbox(many))
    tree.open(tmp_path / "many", "many")
    with tree.keyed() as client:
        numbers = " ".join(map(str, range(1, 2999)))
        with client.open("/many/ctl", OWRITE) as ctl:
            ctl.write(f"delete many {numbers}".encode())
        assert names(client, "/many") == ["ctl", "search", "2999", "3000"]


@pytest.mark.parametrize(
    ("command", "words"), [("read 1 3/", b"seen"), ("replied 1 3\n", b"replied")]
)
def test_marks(client: Client, command: str, words: bytes) -> None:
    client.write("/mbox/ctl", command.encode())
    shown = [client.read(f"/mbox/{n}/flags") for n in range(1, 5)]
    assert shown == [words, b"", words, b""]


def test_refresh(client: Client, box: Path) -> None:
    with box.open("ab") as file:
        file.write(mbox([("e@example.org", "Mon Mar  2 13:00:00 2026", "\nfive\n")]))
    client.write("/mbox/ctl", b"refresh")
    assert client.read("/mbox/5/body") == b"five\n"
    box.unlink()
    with pytest.raises(Refused, match=ENOENT):
        client.write("/mbox/ctl", b"refresh")


def test_who_opens_closes(tree: BothTrees, box: Path) -> None:
    with tree.keyed() as client, tree.keyed() as other:
        client.write("/mbox/ctl", f"open {box} again".encode())
        client.write("/mbox/ctl", f"open {box} again".encode())
        other.write("/ctl", f"open {box} again".encode())  # open already
        other.write("/ctl", f"open {box} third".encode())
        with pytest.raises(Refused, match=EPERM):
            other.write("/ctl", b"close again")
        assert names(other, "/") == ["ctl", "mbox", "again", "third"]
        client.write("/ctl", b"close again")
        other.write("/ctl", b"close third")
        assert names(other, "/") == ["ctl", "mbox"]


ROOT = [
    ("\n", 'unknown message: ""'),
    ("hangup 0", 'unknown message: "hangup 0"'),
    ("close", 'unknown message: "close"'),
    ("open a b c", "invalid arguments"),
    ("close mbox", EPERM),  # nedmail's last word
    ("delete mbox x", "invalid arguments"),
]


@pytest.mark.parametrize(("command", "error"), ROOT)
def test_root_ctl_refuses(client: Client, command: str, error: str) -> None:
    with client.open("/ctl", OWRITE) as ctl:
        with pytest.raises(Refused) as caught:
            ctl.write(command.encode())
    assert error in str(caught.value)
    assert names(client, "/") == ["ctl", "mbox"]


def test_root_ctl(client: Client) -> None:
    client.write("/ctl", b"delete mbox 2")
    client.write("/ctl", b"create new")
    assert names(client, "/") == ["ctl", "mbox", "new"]
    assert names(client, "/mbox") == ["ctl", "search", "1", "3", "4"]


def test_nothing_changes_where_nothing_may(tmp_path: Path, box: Path) -> None:
    with both(tmp_path, readonly=True, mbox=box) as tree, tree.keyed() as client:
        for command in ("delete 9", "save stored 1", "read 1", "junk 1", "replied 1"):
            with pytest.raises(Refused, match=EROFS):
                client.write("/mbox/ctl", command.encode())
        with pytest.raises(Refused, match=EROFS):
            client.open("/mbox/1/flags", OWRITE)
        client.write("/mbox/ctl", b"refresh")
    assert box.read_bytes() == BOX.read_bytes()


def folder(tree: BothTrees, name: str) -> Path:
    """Return where a folder lies in the user's mail directory."""
    return tree.root / "mail" / "box" / USER / name


def test_save(tree: BothTrees, box: Path) -> None:
    with tree.keyed() as client:
        client.write("/mbox/ctl", b"read 3")
        client.write("/mbox/ctl", b"save stored 1/")  # acme Mail
        client.write("/mbox/ctl", b"save 'stored' 3 1")  # nedmail
        assert names(client, "/") == ["ctl", "mbox"]
        assert folder(tree, "stored").is_dir()
        client.write("/ctl", b"open stored")
        assert names(client, "/stored") == ["ctl", "search", "1", "2", "3"]
        for number, source in ((1, 1), (2, 1), (3, 3)):  # by date, as an mdir has it
            for name in ("raw", "unixdate", "from"):
                saved = client.read(f"/stored/{number}/{name}")
                assert saved == client.read(f"/mbox/{source}/{name}")
        assert client.read("/stored/3/flags") == b"seen"
        assert client.read("/stored/1/flags") == b""
        client.write("/mbox/ctl", b"save stored 4")  # now that it is open
        assert client.read("/stored/4/subject") == b"the last"
    assert box.read_bytes() == BOX.read_bytes()


def test_save_into_a_file(tree: BothTrees, box: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(mbox([("e@example.org", "Mon Mar  2 13:00:00 2026", "\nx\n")]))
    with tree.keyed() as client:
        client.write("/mbox/ctl", f"save {other} 1".encode())
        client.write("/mbox/ctl", f"open {other} x".encode())
        assert client.read("/x/2/raw") == client.read("/mbox/1/raw")
        assert client.read("/x/2/unixheader").startswith(b"From glenda@example.org ")
        # its path is that of an open mailbox: whoever reads that sees it at once
        client.write("/mbox/ctl", f"save {other} 2".encode())
        with client.open("/x/3/raw") as raw:
            assert raw.readall() == client.read("/mbox/2/raw")


def test_junk(tree: BothTrees) -> None:
    with tree.keyed() as client:
        whole = client.read("/mbox/2/raw")
        client.write("/mbox/ctl", b"replied 4")
        client.write("/mbox/ctl", b"junk 2 4")
        assert names(client, "/mbox") == ["ctl", "search", "1", "3"]
        client.write("/ctl", b"open junk")
        assert names(client, "/junk") == ["ctl", "search", "1", "2"]
        assert client.read("/junk/1/raw") == whole
        client.write("/junk/ctl", b"junk 1")  # it is there
        client.write("/junk/ctl", b"nonjunk 1")
        assert names(client, "/junk") == ["ctl", "search", "2"]
        assert names(client, "/mbox") == ["ctl", "search", "1", "3", "5"]
        assert client.read("/mbox/5/raw") == whole
        client.write("/junk/ctl", b"nonjunk 2")
        assert client.read("/mbox/6/flags") == b"replied"


def test_what_cannot_be_copied_is_not_deleted(tree: BothTrees, box: Path) -> None:
    there = folder(tree, "junk").parent
    there.parent.mkdir(parents=True)
    there.write_text("in the way")
    with tree.keyed() as client:
        for command in (b"junk 1", b"save stored 1", b"save x/y 1"):
            with pytest.raises(Refused):
                client.write("/mbox/ctl", command)
        assert names(client, "/mbox") == ["ctl", "search", "1", "2", "3", "4"]
    assert box.read_bytes() == BOX.read_bytes()
