"""Several users on one server: the list of them, and that none sees another's."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailfs.errors import EPERM, MailfsError, Refused, UsageError
from mailfs.fs.aname import Aname, parse
from mailfs.fs.users import User, Users, load, owner, read
from mailfs.mailbox.driver import Place
from mailfs.mailboxes.registry import MailboxRegistry
from mailfs.p9.client import Client
from mailfs.p9.srv import Server
from mailfs.where import DialString

from .conftest import MESSAGES, mbox, names
from .serving import Tree

LINES = [
    ("user=glenda", User("glenda")),
    (
        "user=glenda box=/a box='b=/it''s' aname=upas/ro",
        User("glenda", ("/a", "b=/it's"), parse("upas/ro")),
    ),
    ("  user=rob aname=mailfs ", User("rob", (), Aname("mailfs"))),
]


@pytest.mark.parametrize(("line", "user"), LINES)
def test_lines(line: str, user: User) -> None:
    assert read(line) == user


BAD = [
    "glenda",
    "user=",
    "user?",
    "box=/a",
    "user=a user=b",
    "user=a aname=upas aname=upas",
    "user=a aname=upas/rw",
    "user=a box=",
    "user=a mode=ro",
    "user=../root",
    "user=a/b",
    "user=..",
    "user='a\x1bb'",
]


@pytest.mark.parametrize("line", BAD)
def test_bad_lines_end_the_start(tmp_path: Path, line: str) -> None:
    file = tmp_path / "users"
    file.write_text(f"# who\n\nuser=good\n{line}\n")
    with pytest.raises(UsageError, match=f"^{file}:4: "):
        load(file)


def test_a_list(tmp_path: Path) -> None:
    file = tmp_path / "users"
    file.write_text("# who\nuser=a\n\n  user=b\n")
    assert list(load(file)) == ["a", "b"]
    file.write_text("user=a\nuser=a\n")
    with pytest.raises(UsageError, match="a again"):
        load(file)
    file.write_bytes(b"user=\xff")
    with pytest.raises(UsageError, match="not UTF-8"):
        load(file)
    with pytest.raises(UsageError, match="file does not exist"):
        load(tmp_path / "nonesuch")


class Several:
    """A server of glenda, rob and nobody else; rob is bound."""

    def __init__(self, tree: Tree, scratch: Path) -> None:
        self.tree = tree
        self.glendas = scratch / "glendas"
        self.glendas.write_bytes(mbox(MESSAGES[:2]))
        self.robs = tree.root / "mail/box/rob/mbox"
        self.robs.parent.mkdir(parents=True)
        self.robs.write_bytes(mbox(MESSAGES))
        listed = [
            User("glenda", (str(self.glendas), f"list={self.robs}2")),
            User("rob", (), parse("upas/newest=3")),
            User("lost"),
        ]
        Path(f"{self.robs}2").write_bytes(mbox(MESSAGES[:1]))
        place = Place(tree.root, "server")
        self.users = Users(
            {user.name: user for user in listed},
            lambda place: MailboxRegistry(place, scratch / "cache"),
            place,
        )
        bound = Aname()
        self.server = Server(lambda u, a: self.users.attach(u, a, bound))
        self.address = DialString("unix", str(scratch / "several"))
        tree.do(self.server.listen(self.address))

    def client(self, uname: str, aname: str = "") -> Client:
        return Client(self.address, uname=uname, aname=aname)

    def close(self) -> None:
        self.tree.do(self.server.close())
        self.tree.do(self.users.close_all())


@pytest.fixture
def several(tree: Tree, tmp_path: Path) -> Iterator[Several]:
    several = Several(tree, tmp_path)
    yield several
    several.close()


def test_each_sees_their_own(several: Several) -> None:
    with several.client("glenda") as glenda, several.client("rob") as rob:
        assert names(glenda, "/") == ["ctl", "mbox", "list"]
        assert names(rob, "/") == ["ctl", "mbox"]
        assert names(glenda, "/mbox") == ["ctl", "1", "2"]
        assert names(rob, "/mbox") == ["ctl", "2", "3", "4"]
        assert {entry.uid for entry in glenda.ls("/mbox")} == {"glenda"}
        assert {entry.uid for entry in rob.ls("/mbox")} == {"rob"}
        with pytest.raises(Refused):
            rob.stat("/list")
        assert glenda.read("/mbox/index.jsonl").count(b"\n") == 2
        assert rob.read("/mbox/index.jsonl").startswith(b'{"number": 2,')
        assert names(glenda, "/search/size:>0") == ["mbox", "list"]
        assert names(rob, "/search/size:>0") == ["mbox"]
        assert names(rob, "/search/size:>0/mbox") == ["4", "3", "2"]
        with pytest.raises(Refused):
            rob.stat("/search/size:>0/list")
        rob.write("/ctl", b"delete mbox 2")
        assert names(glenda, "/mbox") == ["ctl", "1", "2"]
    assert several.glendas.read_bytes() == mbox(MESSAGES[:2])
    assert several.robs.read_bytes() == mbox([MESSAGES[0], *MESSAGES[2:]])


@pytest.mark.parametrize("uname", ["", "server", "mallory", "root", "GLENDA"])
def test_others_stay_out(several: Several, uname: str) -> None:
    with pytest.raises(MailfsError, match=EPERM):
        several.client(uname)


@pytest.mark.parametrize("aname", ["", "upas/all", "mailfs"])
@pytest.mark.parametrize("uname", ["rob", "glenda"])
def test_no_way_to_what_is_another_s(several: Several, uname: str, aname: str) -> None:
    mine, other = several.robs, several.glendas
    if uname == "glenda":
        mine, other = other, mine
    with several.client(uname, aname) as client:
        for command in (
            f"open {other} mine",
            f"open {other}",
            "create mine",
            f"remove {other}",
            f"remove -t {other}",
            f"rename {other} {other}2",
            f"rename {mine} {mine}3",
            f"move mbox 2 {other}",
            f"copy mbox 2 {other}",
            f"copy mbox 2 {mine}4",
            "copy mbox 2 fresh",
            "close mbox",
        ):
            with pytest.raises(Refused):
                client.write("/ctl", command.encode())
        if aname == "mailfs":
            for command in (f"save {other} 2", f"open {other} x"):
                with pytest.raises(Refused):
                    client.write("/mbox/ctl", command.encode())
    assert several.glendas.read_bytes() == mbox(MESSAGES[:2])
    assert several.robs.read_bytes() == mbox(MESSAGES)
    assert not os.path.lexists(f"{mine}4")
    assert not list((several.tree.root / "mail/box").rglob("fresh"))


def test_a_bound_user_only_narrows(several: Several) -> None:
    with several.client("rob", "upas/newest=4") as rob:
        assert names(rob, "/mbox") == ["ctl", "2", "3", "4"]
    with several.client("rob", "upas/newest=1/ro") as rob:
        assert names(rob, "/mbox") == ["ctl", "4"]


def test_mail_that_is_not_there_yet(several: Several) -> None:
    for _ in range(2):
        with pytest.raises(MailfsError, match="no mailbox"):
            several.client("lost")
    there = several.tree.root / "mail/box/lost/mbox"
    there.parent.mkdir()
    there.write_bytes(mbox(MESSAGES[:1]))
    with several.client("lost") as lost:
        assert names(lost, "/mbox") == ["ctl", "1"]


def test_owners() -> None:
    """A user whom the system knows is who it says; others are told by their mail."""
    assert owner("root", ["/nonesuch"]) == (0, 0)
    assert owner("nobody-of-this-name", ["/nonesuch", "/"]) == (0, 0)
    ours = (os.geteuid(), os.getegid())
    assert owner("nobody-of-this-name", ["/nonesuch"]) == ours


@pytest.mark.skipif(os.geteuid() != 0, reason="only root serves others")
def test_a_link_in_a_user_s_mail_shows_nothing(several: Several) -> None:
    secret = several.glendas.with_name("secret")
    secret.write_bytes(mbox(MESSAGES))
    secret.chmod(0o600)
    several.glendas.unlink()
    several.glendas.symlink_to(secret)
    os.chown(several.glendas, 4711, 4711, follow_symlinks=False)
    with several.client("glenda") as client:
        with pytest.raises(MailfsError):
            client.ls("/mbox")
        assert b"state error\n" in client.read("/mbox/status")
        assert client.read("/list/1/raw")  # the other mailbox is served
    assert secret.read_bytes() == mbox(MESSAGES)
