"""Control commands and their errors; spec upasfs section 3."""

import asyncio
from pathlib import Path

import pytest

from mailfs.errors import (
    EARGS,
    EBOXGONE,
    EBOXNAME,
    EBOXUSE,
    ECTL,
    EFBIG,
    EFLAG,
    EFLAGS,
    EFULL,
    ENOBOX,
    ENOENT,
    ENOMSG,
    EPERM,
    EROFS,
    ESLASH,
    Refused,
)
from mailfs.fs.ctl import CtlHandle, Held
from mailfs.p9.client import Client
from mailfs.p9.fcall import OWRITE

from .conftest import MESSAGES, mbox, names
from .serving import USER, Tree, serving

REFUSED = [
    ("\n", ECTL),
    ("nonesuch", ECTL),
    ("Delete mbox 1", ECTL),
    ("open", EARGS),
    ("open a b c", EARGS),
    ("open /nonesuch", ENOENT),
    ("open /nonesuch x", ENOENT),
    ("open nonesuch", ENOENT),
    ("open /etc/passwd a/b", ESLASH),
    ("open /etc/", EBOXNAME),
    ("open /etc/passwd ''", EBOXNAME),
    ("open /etc/passwd ctl", EBOXNAME),
    ("open /etc/passwd ..", EBOXNAME),
    ("open /etc/passwd mbox", EBOXUSE),
    ("open /imap/mail.example.org", "network mailboxes are not served here"),
    ("delete", EARGS),
    ("delete mbox", EARGS),
    ("delete nonesuch 1", ENOBOX),
    ("delete mbox x", EARGS),
    ("delete mbox 1 x 2", EARGS),
    ("delete mbox -1", EARGS),
    ("flag mbox", EARGS),
    ("flag mbox +s", EARGS),
    ("flag mbox +x 1", EFLAG),
    ("flag mbox 1 2", EFLAGS),
    ("flag mbox 1 +s 2", EFLAGS),
    ("flag nonesuch +s 1", ENOBOX),
    ("move mbox 1", EARGS),
    ("move nonesuch 1 x", ENOBOX),
    ("move mbox x y", EARGS),
    ("move mbox 1 /nonesuch", ENOENT),
    ("move mbox 77 other", ENOMSG),
    ("copy mbox 1", EARGS),
    ("copy mbox 1 /nonesuch", ENOENT),
    ("expunge mbox", EARGS),
    ("remove", EARGS),
    ("remove -r", EARGS),
    ("remove -x box", EARGS),
    ("remove nonesuch", EBOXGONE),
    ("rename a", EARGS),
    ("rename a b c", EARGS),
    ("rename -x a b", EARGS),
    ("rename nonesuch other", EBOXGONE),
]


@pytest.mark.parametrize(("command", "error"), REFUSED)
def test_refused(client: Client, box: Path, command: str, error: str) -> None:
    before = box.read_bytes()
    with client.open("/ctl", OWRITE) as ctl:
        with pytest.raises(Refused, match=error):
            ctl.write(command.encode())
    assert box.read_bytes() == before
    assert names(client, "/") == ["ctl", "outbox", "mbox"]


DELETES = [
    ("delete mbox 2", [1, 3, 4]),
    ("delete mbox 2\n", [1, 3, 4]),
    ("delete 'mbox' 1 4 1", [2, 3]),
    ("delete mbox 1/ 2/", [3, 4]),
    ("delete mbox 1 2 3 4", []),
]


@pytest.mark.parametrize(("command", "left"), DELETES)
def test_delete(client: Client, box: Path, command: str, left: list[int]) -> None:
    client.write("/ctl", command.encode())
    # on disk when the write returns
    assert box.read_bytes() == mbox([MESSAGES[n - 1] for n in left])
    assert names(client, "/mbox") == ["ctl", *map(str, left)]


MISSED = [
    ("delete mbox 7 3", [1, 2, 4]),
    ("delete mbox 99999999999999999999", [1, 2, 3, 4]),
    ("expunge mbox 3 7", [1, 2, 4]),
    ("flag mbox +s 7", [1, 2, 3, 4]),
    ("move mbox 1 7 elsewhere", [1, 2, 3, 4]),
    ("copy mbox 1 7 elsewhere", [1, 2, 3, 4]),
]


@pytest.mark.parametrize(("command", "left"), MISSED)
def test_what_is_not_there_is_said(
    client: Client, command: str, left: list[int]
) -> None:
    with pytest.raises(Refused, match=ENOMSG):
        client.write("/ctl", command.encode())
    assert names(client, "/mbox") == ["ctl", *map(str, left)]
    with pytest.raises(Refused, match=EBOXGONE):
        client.write("/ctl", b"remove nonesuch")


def test_one_fid_many_commands(client: Client) -> None:
    with client.open("/ctl", OWRITE) as ctl:
        ctl.write(b"delete mbox 1")
        ctl.write(b"delete mbox 2\n")
        with pytest.raises(Refused):
            ctl.write(b"nonsense")
        ctl.write(b"delete mbox 3")
    assert names(client, "/mbox") == ["ctl", "4"]


def test_a_split_command_is_done_whole(tree: Tree, tmp_path: Path) -> None:
    many = [(f"m{i}@x.org", "Mon Mar  2 09:00:00 2026", "\n") for i in range(3000)]
    path = tmp_path / "many"
    path.write_bytes(mbox(many))
    tree.open(path, "many")
    with tree.client() as client:
        msize = 8192  # lib9pclient's
        with Client(tree.address, uname=USER, msize=msize) as small:
            numbers = " ".join(map(str, range(1, 2999)))
            command = f"delete many {numbers}".encode()
            assert len(command) > msize
            with small.open("/ctl", OWRITE) as ctl:
                ctl.write(command)
        assert names(client, "/many") == ["ctl", "2999", "3000"]


def test_a_full_write_is_done_at_the_clunk(tree: Tree) -> None:
    with Client(tree.address, uname=USER, msize=8192) as client:
        command = b"delete mbox 1".ljust(8192 - 24)
        with client.open("/ctl", OWRITE) as ctl:
            ctl.write(command)
        while "1" in names(client, "/mbox"):
            pass
        with client.open("/ctl", OWRITE) as ctl:
            for _ in range((1 << 20) // (8192 - 24)):
                ctl.write(b"delete mbox 2".ljust(8192 - 24))
            with pytest.raises(Refused, match=EFBIG):
                ctl.write(b"delete mbox 2".ljust(8192 - 24))
        assert names(client, "/mbox") == ["ctl", "2", "3", "4"]


@pytest.mark.parametrize(
    "command",
    ["flag mbox +sf 1 3", "flag mbox sf 1/ 3/", "flag mbox 1 +s 3 +sf 1 f"],
)
def test_flag(client: Client, command: str) -> None:
    client.write("/ctl", command.encode())
    assert client.read("/mbox/1/flags") == b"---frs-"
    assert client.read("/mbox/2/flags") == b"----r--"
    assert client.read("/mbox/3/flags") == b"---frs-"


def test_open_and_close(client: Client, box: Path) -> None:
    client.write("/ctl", f"open {box} again".encode())
    client.write("/ctl", f"open {box} again".encode())  # no error
    client.write("/ctl", f"open {box}".encode())
    assert names(client, "/") == ["ctl", "outbox", "mbox", "again", "box"]
    with pytest.raises(Refused, match=EBOXUSE):
        client.write("/ctl", b"open /etc/passwd again")
    with client.open("/again/1/raw") as raw:
        with pytest.raises(Refused, match=ENOBOX):
            client.write("/ctl", b"close again nonesuch box")
        assert raw.read() == b"Subject: one\n\nfirst\n"
    client.write("/ctl", b"close")
    assert names(client, "/") == ["ctl", "outbox", "mbox"]


def test_names_with_blanks(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "it's a box"
    path.write_bytes(mbox(MESSAGES[:1]))
    command = "open '{}' 'two words'".format(str(path).replace("'", "''"))
    client.write("/ctl", command.encode())
    assert names(client, "/two words") == ["ctl", "1"]
    client.write("/ctl", b"delete 'two words' 1")
    assert names(client, "/two words") == ["ctl"]


def test_relative_names_lie_in_the_users_mail_directory(tree: Tree) -> None:
    there = tree.root / "mail" / "box" / USER
    there.mkdir(parents=True)
    (there / "sent").write_bytes(mbox(MESSAGES[:2]))
    with tree.client() as client:
        client.write("/ctl", b"open sent")
        assert names(client, "/sent") == ["ctl", "1", "2"]
        assert client.read("/sent/ctl").split()[0].decode() == str(there / "sent")


def test_create(tree: Tree, box: Path) -> None:
    with tree.client() as client:
        client.write("/ctl", b"create new/box")
        there = tree.root / "mail" / "box" / USER / "new" / "box"
        assert there.is_dir()
        assert names(client, "/") == ["ctl", "outbox", "mbox", "box"]
        assert names(client, "/box") == ["ctl"]
        client.write("/ctl", f"create {box} other".encode())  # there already
        assert len(names(client, "/other")) == 5


def test_remove(tree: Tree, tmp_path: Path) -> None:
    with tree.client() as client:
        client.write("/ctl", b"create a")
        there = tree.root / "mail" / "box" / USER / "a"
        message = f"From a@b {MESSAGES[0][1]}\nSubject: x\n\ny\n"
        (there / "1772445764.00").write_text(message)
        (there / "notes").write_text("not mail")
        assert names(client, "/a") == ["ctl", "1"]
        client.write("/ctl", b"remove -t a")
        assert names(client, "/a") == ["ctl"]
        assert there.is_dir()
        client.write("/ctl", b"remove a")
        assert names(client, "/") == ["ctl", "outbox", "mbox"]
        assert [p.name for p in there.iterdir()] == ["notes"]


def test_remove_truncates_an_open_mbox(client: Client, box: Path) -> None:
    client.write("/ctl", f"remove -t {box}".encode())
    assert box.read_bytes() == b""
    assert names(client, "/mbox") == ["ctl"]
    client.write("/ctl", f"remove {box}".encode())
    assert not box.exists()
    assert names(client, "/") == ["ctl", "outbox"]


def test_rename(client: Client, box: Path) -> None:
    client.write("/mbox/2/flags", b"+f")
    octets = box.read_bytes()
    new = box.with_name("renamed")
    client.write("/ctl", f"rename {box} {new}".encode())
    assert names(client, "/") == ["ctl", "outbox", "renamed"]
    assert new.read_bytes() == octets
    assert not box.exists()
    assert client.read("/renamed/2/flags")[3:4] == b"f"
    client.write("/ctl", f"rename -t {new} {box}".encode())
    assert new.read_bytes() == b""
    with pytest.raises(Refused, match="can't rename"):
        client.write("/ctl", f"rename {box} {new}".encode())
    assert box.read_bytes() == octets


def test_mailbox_ctl(client: Client, box: Path) -> None:
    path, version = client.read("/mbox/ctl").decode().split("\n")[:2]
    assert path == str(box)
    assert int(version) == client.stat("/mbox").qid.vers
    with box.open("ab") as f:
        f.write(mbox(MESSAGES[:1]))
    client.write("/mbox/ctl", b"refresh")
    with client.open("/mbox/5/subject") as subject:
        assert subject.read() == b"one"
    client.write("/mbox/ctl", b"refresh 60")
    for command in (b"\n", b"nonsense", b"uid 1"):
        with pytest.raises(Refused, match="bad mbox control message"):
            with client.open("/mbox/ctl", OWRITE) as ctl:
                ctl.write(command)
    with pytest.raises(Refused, match=EARGS):
        client.write("/mbox/ctl", b"refresh soon")
    box.unlink()
    with pytest.raises(Refused, match=ENOENT):
        client.write("/mbox/ctl", b"refresh")


def test_reading_a_control_file(client: Client) -> None:
    assert client.read("/ctl") == b""
    with client.open("/mbox/status") as status:
        with pytest.raises(Refused, match=f"{EPERM}|bad use of fid"):
            status.write(b"x")


WRITES = [
    "delete mbox 1",
    "flag mbox +s 1",
    "move mbox 1 x",
    "create x",
    "remove {box}",
    "remove -t {box}",
    "rename {box} {box}.2",
]


@pytest.mark.parametrize("command", WRITES)
def test_readonly(tmp_path: Path, box: Path, command: str) -> None:
    before = box.read_bytes(), box.stat().st_mtime_ns
    beside = sorted(p.name for p in box.parent.iterdir())
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with serving(scratch, readonly=True, mbox=box) as tree, tree.client() as client:
        with pytest.raises(Refused, match=EROFS):
            client.write("/ctl", command.format(box=box).encode())
        with pytest.raises(Refused, match=EROFS):
            client.remove("/mbox/1")
        with pytest.raises(Refused, match=EROFS):
            client.write("/mbox/1/flags", b"+s")
        assert names(client, "/mbox") == ["ctl", "1", "2", "3", "4"]
        assert client.read("/mbox/1/body") == b"first\n"
        client.write("/ctl", f"open {box} more".encode())
        client.write("/ctl", b"close more")
    assert (box.read_bytes(), box.stat().st_mtime_ns) == before
    assert sorted(p.name for p in box.parent.iterdir()) == sorted([*beside, "scratch"])


def test_unfinished_commands_are_bounded_together() -> None:
    held = Held(most=100)
    handles = [CtlHandle(nothing, held=held) for _ in range(3)]
    assert handles[0].write_full(0, b"x" * 60) == 60
    with pytest.raises(Refused, match=EFULL):
        handles[1].write_full(0, b"x" * 60)
    assert handles[1].write_full(0, b"x" * 40) == 40
    asyncio.run(close(handles[0]))
    assert handles[2].write_full(0, b"x" * 60) == 60
    assert held.octets == 100


async def nothing(line: str) -> None:
    """Take a command."""


async def close(handle: CtlHandle) -> None:
    """Clunk it in a loop."""
    handle.close()
    await asyncio.sleep(0)
