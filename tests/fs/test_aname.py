"""Attach names: their grammar, and every way around a restriction."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.errors import (
    ECTL,
    EGONE,
    ENOBOX,
    ENOENT,
    ENOMSG,
    EPERM,
    EROFS,
    MailfsError,
    Refused,
)
from mailfs.fs.aname import Aname, parse
from mailfs.fs.root import attach
from mailfs.mailbox.kinds import Flag
from mailfs.mailbox.mailbox import Mailbox
from mailfs.mailboxes.scope import EVERYTHING, Scope
from mailfs.mailboxes.scoped import ScopedMailbox
from mailfs.mailboxes.scopedset import ScopedMailboxes
from mailfs.p9.client import Client
from mailfs.p9.fcall import ORDWR, OWRITE, Tremove, Twalk
from mailfs.p9.srv import Server
from mailfs.where import DialString

from .conftest import MESSAGES, mbox, names
from .serving import USER, Tree
from .test_event import FIFTH, Reader, append

MARCH_2 = 1772409600
HOUR = Scope(since=MARCH_2 + 3600, before=MARCH_2 + 7200, free=False)

ANAMES = [
    ("", Aname()),
    ("upas", Aname("upas")),
    ("mailfs", Aname("mailfs")),
    ("upas/all", Aname("upas", everything=True)),
    ("upas/modes", Aname("upas", modes=True)),
    ("upas/ro", Aname("upas", scope=Scope(readonly=True, free=False))),
    ("upas/noctl", Aname("upas", scope=Scope(ctl=False, free=False))),
    ("upas/box=a", Aname("upas", scope=Scope(frozenset("a"), free=False))),
    ("upas/box=a/box=b", Aname("upas", scope=Scope(frozenset("ab"), free=False))),
    ("upas/box=a=b", Aname("upas", scope=Scope(frozenset({"a=b"}), free=False))),
    ("upas/box=a%2Fb", Aname("upas", scope=Scope(frozenset({"a/b"}), free=False))),
    ("upas/newest=10", Aname("upas", scope=Scope(newest=10, free=False))),
    ("upas/newest=0", Aname("upas", scope=Scope(newest=0, free=False))),
    ("upas/newest=5/newest=10", Aname("upas", scope=Scope(newest=5, free=False))),
    ("upas/since=2026-03-02", Aname("upas", scope=Scope(since=MARCH_2, free=False))),
    (f"upas/before={MARCH_2}", Aname("upas", scope=Scope(before=MARCH_2, free=False))),
    (
        "upas/since=2026-03-02T01:00:00/before=2026-03-02T03:00:00+01:00",
        Aname("upas", scope=HOUR),
    ),
    (
        "mailfs/all/box=work/ro/newest=1000",
        Aname(
            "mailfs",
            everything=True,
            scope=Scope(frozenset({"work"}), readonly=True, newest=1000, free=False),
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "read"), ANAMES)
def test_grammar(text: str, read: Aname) -> None:
    assert parse(text) == read


NONSENSE = [
    "/",
    "upas/",
    "all",
    "ro",
    "Upas",
    "upas//ro",
    "upas/rw",
    "upas/RO",
    "upas/ro=",
    "upas/ro=1",
    "upas/all=1",
    "upas/box",
    "upas/box=",
    "upas/newest=",
    "upas/newest=-1",
    "upas/newest=x",
    "upas/newest=1e3",
    "upas/newest=٣",
    "upas/newest=9999999999999",
    "upas/since=",
    "upas/since=yesterday",
    "upas/since=2026-13-01",
    "upas/since=-5",
    "upas/before=2026-02-30",
    "upas/ro/",
    "mailfs/upas",
]


@pytest.mark.parametrize("text", NONSENSE)
def test_what_means_nothing_is_refused(tree: Tree, text: str) -> None:
    with pytest.raises(Refused, match="unknown attach name"):
        tree.client(text)


@given(st.text(max_size=40) | st.lists(st.sampled_from(
    ["upas", "mailfs", "ro", "all", "box=x", "newest=3", "since=9999-99-99", "%", ""]
)).map("/".join))  # fmt: skip
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(Refused):
        parse(text)


SCOPES = st.builds(
    Scope,
    boxes=st.none() | st.frozensets(st.sampled_from("abc")),
    readonly=st.booleans(),
    ctl=st.booleans(),
    free=st.booleans(),
    newest=st.none() | st.integers(0, 9),
    since=st.integers(-9, 9) | st.just(EVERYTHING.since),
    before=st.integers(-9, 9) | st.just(EVERYTHING.before),
)


@given(SCOPES, SCOPES)
def test_narrowing_never_widens(one: Scope, other: Scope) -> None:
    both = one.narrowed(other)
    assert both == other.narrowed(one)
    assert both.narrowed(one) == both == both.narrowed(other)
    assert one.narrowed(EVERYTHING) == one
    for name in "abc":
        assert both.sees(name) == (one.sees(name) and other.sees(name))
    for scope in (one, other):
        assert both.readonly >= scope.readonly
        assert both.ctl <= scope.ctl
        assert both.free <= scope.free
        assert both.since >= scope.since
        assert both.before <= scope.before
        assert scope.newest is None or (
            both.newest is not None and both.newest <= scope.newest
        )


@pytest.fixture
def other(tree: Tree, tmp_path: Path) -> Path:
    """Serve a second mailbox, other, of two messages."""
    path = tmp_path / "other"
    path.write_bytes(mbox(MESSAGES[:2]))
    tree.open(path, "other")
    return path


def test_one_mailbox(tree: Tree, other: Path, box: Path) -> None:
    with tree.client("upas/box=mbox") as client:
        assert names(client, "/") == ["ctl", "mbox"]
        for path in ("/other", "/other.x", "/mbox/../other", "/other/1/subject"):
            with pytest.raises(Refused, match=ENOENT):
                client.stat(path)
        for command in ("delete other 1", "flag other +s 1"):
            with pytest.raises(Refused, match=ENOBOX):
                client.write("/ctl", command.encode())
        for command in (
            "close other",
            "close mbox",
            f"open {other} mine",
            f"open {other}",
            "create new",
            f"remove {other}",
            f"remove -t {other}",
            f"rename {other} {other}2",
        ):
            with pytest.raises(Refused, match=EPERM):
                client.write("/ctl", command.encode())
        client.write("/ctl", b"delete mbox 1")
    assert other.read_bytes() == mbox(MESSAGES[:2])
    assert box.read_bytes() == mbox(MESSAGES[1:])
    with tree.client() as client:
        assert names(client, "/") == ["ctl", "outbox", "mbox", "other"]
    with pytest.raises(Refused, match=ENOBOX):
        tree.client("upas/box=nonesuch")
    with tree.client("upas/box=mbox/box=other") as client:
        assert names(client, "/") == ["ctl", "mbox", "other"]


def test_events_of_one_mailbox(tree: Tree, other: Path, tmp_path: Path) -> None:
    reader = Reader(tree, "/event", "upas/box=mbox")
    with tree.client() as client:
        client.write("/other/1/flags", b"+s")
        third = tmp_path / "third"
        third.write_bytes(mbox(MESSAGES[:2]))
        client.write("/ctl", f"open {third}".encode())
        client.write("/third/1/flags", b"+s")
        client.write("/mbox/1/flags", b"+s")
    assert reader.next().startswith("modify mbox/1 ")
    reader.close()


def test_a_name_given_to_another_mailbox(tree: Tree, other: Path, box: Path) -> None:
    """Who holds a mailbox's directory does not come by the next of that name."""
    with tree.client("upas/box=other") as client, tree.client() as whole:
        line = client._line
        line.rpc(Twalk(0, 50, ("other",)))
        whole.write("/ctl", b"close other")
        with pytest.raises(Refused, match=ENOENT):
            client.stat("/other")
        whole.write("/ctl", f"open {box} other".encode())
        assert names(client, "/other") == ["ctl", "1", "2", "3", "4"]


def writes(client: Client, box: str = "mbox") -> Iterator[Callable[[], object]]:
    """Give every way to change a mailbox."""
    yield lambda: client.remove(f"/{box}/1")
    yield lambda: client.write(f"/{box}/1/flags", b"+s")
    yield lambda: client.open(f"/{box}/1/flags", ORDWR)
    yield lambda: client.write("/ctl", f"delete {box} 1".encode())
    yield lambda: client.write("/ctl", f"flag {box} +s 1".encode())
    yield lambda: client.write("/ctl", f"flag {box} 1 +s".encode())
    yield lambda: client.write("/ctl", b"create elsewhere")
    yield lambda: client.write("/ctl", b"remove -t mbox")
    yield lambda: client.write("/ctl", b"rename mbox other")


def test_ro(tree: Tree, box: Path) -> None:
    before = box.read_bytes()
    with tree.client("upas/ro") as client:
        for write in writes(client):
            with pytest.raises(Refused, match=EROFS):
                write()
        for command in (f"open {box} again", "close mbox"):
            with pytest.raises(Refused, match=EPERM):
                client.write("/ctl", command.encode())
        client.write("/mbox/ctl", b"refresh")
        with pytest.raises(Refused, match=EPERM):
            client.write("/mbox/ctl", b"debug")
        assert client.read("/mbox/1/flags") == b"----r--"
        assert len(names(client, "/mbox")) == 5
    assert box.read_bytes() == before


def test_noctl(tree: Tree) -> None:
    for aname in ("upas/noctl", "upas/all/noctl"):
        with tree.client(aname) as client:
            assert "ctl" not in names(client, "/")
            assert "ctl" not in names(client, "/mbox")
            for path in ("/ctl", "/mbox/ctl", "/ctl.x", "/mbox/ctl.x", "/mbox/../ctl"):
                with pytest.raises(Refused, match=ENOENT):
                    client.stat(path)
            client.write("/mbox/1/flags", b"+s")  # it is no ro


PARTS = [
    ("newest=2", ["3", "4"]),
    ("newest=0", []),
    ("newest=99", ["1", "2", "3", "4"]),
    ("since=2026-03-02T11:00:00", ["3", "4"]),
    ("before=2026-03-02T11:00:00", ["1", "2"]),
    ("since=2026-03-02T10:00:00/before=2026-03-02T11:00:00", ["2"]),
    ("before=2026-03-02T12:00:00/newest=1", ["3"]),
    ("since=2027-01-01", []),
]


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Read the dates of From_ lines as UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(("element", "seen"), PARTS)
def test_a_part_of_the_messages(tree: Tree, element: str, seen: list[str]) -> None:
    hidden = [n for n in "1234" if n not in seen]
    with tree.client(f"upas/{element}") as client:
        assert names(client, "/mbox") == ["ctl", *seen]
        assert f"messages {len(seen)}\n".encode() in client.read("/mbox/status")
        for n in seen:
            client.read(f"/mbox/{n}/raw")
        for n in hidden:
            for path in (n, f"{n}.eml", f"{n}/raw", f"{n}/1", f"{n}/1/raw", f"./{n}"):
                with pytest.raises(Refused, match=ENOENT):
                    client.stat(f"/mbox/{path}")
            for command in (f"flag mbox +f {n}", f"delete mbox {n}"):
                with pytest.raises(Refused, match=ENOMSG):
                    client.write("/ctl", command.encode())
    with tree.client() as client:
        for n in "1234":
            assert client.read(f"/mbox/{n}/flags") == b"----r--"


def test_neighbours_of_what_is_seen(tree: Tree) -> None:
    with tree.client("upas/newest=1") as client:
        for path in ("/mbox/4/../1", "/mbox/4/../../mbox/1", "/mbox/4/subject/../../1"):
            with pytest.raises(Refused):
                client.stat(path)


def test_batches_touch_only_what_is_seen(tree: Tree, box: Path) -> None:
    with tree.client("upas/newest=2") as client:
        for command in (b"flag mbox 1 +f 3 +f", b"delete mbox 1 2 4"):
            with pytest.raises(Refused, match=ENOMSG):  # but what is seen is served
                client.write("/ctl", command)
        assert client.read("/mbox/3/flags") == b"---fr--"
    assert box.read_bytes() == mbox(MESSAGES[:3])
    with tree.client() as client:
        assert client.read("/mbox/1/flags") == b"----r--"


def test_fids_kept_open_do_not_reach_further(tree: Tree, box: Path) -> None:
    """A message that is no longer among the newest can be read by who holds it."""
    with tree.client("upas/newest=1") as client:
        line = client._line
        line.rpc(Twalk(0, 50, ("mbox", "4")))
        with client.open("/mbox/4/flags", ORDWR) as flags:
            append(box, FIFTH)
            assert names(client, "/mbox") == ["ctl", "5"]
            with pytest.raises(Refused, match=EGONE):
                flags.write(b"+s")
            with tree.client() as whole:
                whole.write("/mbox/4/flags", b"+f")
            flags.seek(0)
            assert flags.read() == b"-------"
        for name in ("1", "2", "3"):
            walked = line.rpc(Twalk(50, 51, ("..", name)))
            assert len(walked.wqid) == 1  # type: ignore[union-attr]
        line.rpc(Twalk(50, 52, ("raw",)))
        line.rpc(Tremove(50))
        with pytest.raises(Refused, match=ENOENT):
            client.stat("/mbox/4")
    with tree.client() as client:
        assert client.read("/mbox/4/flags") == b"---fr--"
        assert len(names(client, "/mbox")) == 6


def test_versions_tell_what_is_seen_only(tree: Tree) -> None:
    with tree.client("upas/newest=2") as client, tree.client() as whole:

        def state() -> tuple[int, int]:
            stat = client.stat("/mbox")
            return stat.qid.vers, stat.mtime

        first = state()
        whole.write("/mbox/1/flags", b"+s")
        whole.remove("/mbox/2")
        assert state() == first
        whole.write("/mbox/3/flags", b"+s")
        assert state()[0] != first[0]


def test_events_of_a_part(tree: Tree, box: Path) -> None:
    late = Reader(tree, "/mbox/event", "upas/since=2026-03-02T11:00:00")
    newest = Reader(tree, "/event", "upas/newest=2")
    early = Reader(tree, "/event", "upas/before=2026-03-02T11:00:00")
    with tree.client() as client:
        client.write("/mbox/1/flags", b"+s")
        client.remove("/mbox/1")
        client.write("/mbox/4/flags", b"+s")
        append(box, FIFTH)
        client.stat("/mbox")
        client.remove("/mbox/3")  # no longer among the newest, but seen by its date
        client.remove("/mbox/4")
    told = [line.rsplit(" ", 1)[0] for line in late.take(4)]
    assert told == ["modify mbox/4", "new mbox/5", "delete mbox/3", "delete mbox/4"]
    told = [line.rsplit(" ", 1)[0] for line in newest.take(3)]
    assert told == ["modify mbox/4", "new mbox/5", "delete mbox/4"]
    with tree.client() as client:
        client.write("/mbox/2/flags", b"+s")
    told = [line.rsplit(" ", 1)[0] for line in early.take(3)]
    assert told == ["modify mbox/1", "delete mbox/1", "modify mbox/2"]
    for reader in (late, newest, early):
        reader.close()


def test_the_keyed_dialect_has_the_same(tree: Tree, other: Path, box: Path) -> None:
    before = box.read_bytes()
    with tree.client("mailfs/box=mbox/ro/newest=2") as client:
        seen = names(client, "/mbox")
        assert "3" in seen
        assert not {"1", "2"} & set(seen)
        assert "other" not in names(client, "/")
        for path in ("/other", "/mbox/1", "/mbox/1/raw", "/mbox/3/../2"):
            with pytest.raises(Refused):
                client.stat(path)
        for command in ("delete mbox 3", "delete 3", "read 3", f"save {box}2 3"):
            with pytest.raises(Refused, match=EROFS):
                client.write("/mbox/ctl", command.encode())
        for command in ("delete other 1", f"open {box} x", "close mbox"):
            with pytest.raises(Refused):
                client.write("/mbox/ctl", command.encode())
        with pytest.raises(Refused, match=EROFS):
            client.write("/mbox/3/flags", b"+seen")
        with pytest.raises(Refused, match=EROFS):
            client.remove("/mbox/3")
        with client.open("/mbox/search", ORDWR) as search:
            search.write(b"t")
            search.seek(0)
            assert search.read() in (b"3 4", b"3", b"4")
    with tree.client("mailfs/newest=2") as client:
        for command in ("read 1", "delete 1", "replied 1"):
            with contextlib.suppress(Refused):
                client.write("/mbox/ctl", command.encode())
        with pytest.raises(Refused):
            client.write("/mbox/ctl", f"save {box}2 3".encode())
        with pytest.raises(Refused):
            client.write("/mbox/ctl", f"save {box}2 1".encode())
    assert box.read_bytes() == before
    assert not box.with_name("box2").exists()


def test_noctl_in_the_keyed_dialect(tree: Tree) -> None:
    with tree.client("mailfs/noctl") as client:
        for where in ("/", "/mbox"):
            assert "ctl" not in names(client, where)
        for path in ("/ctl", "/mbox/ctl", "/mbox/ctl.x"):
            with pytest.raises(Refused):
                client.open(path, OWRITE)


BOUND = [
    ("upas/box=mbox/newest=2/ro", "", ["3", "4"]),
    ("upas/box=mbox/newest=2/ro", "upas/newest=4", ["3", "4"]),
    ("upas/box=mbox/newest=2/ro", "upas/newest=1", ["4"]),
    ("upas/since=2026-03-02T11:00:00/ro", "upas/since=2020-01-01", ["3", "4"]),
    ("upas/before=2026-03-02T11:00:00/ro", "mailfs/box=mbox/newest=1", ["2"]),
    ("mailfs/newest=2/ro", "", ["3", "4"]),
]


@pytest.mark.parametrize(("bound", "asked", "seen"), BOUND)
def test_a_bound_listener_is_only_narrowed(
    tree: Tree, other: Path, tmp_path: Path, bound: str, asked: str, seen: list[str]
) -> None:
    limit = parse(bound)
    server = Server(lambda uname, aname: attach(tree.boxes, uname, aname, limit))
    address = DialString("unix", str(tmp_path / "bound"))
    tree.do(server.listen(address))
    with Client(address, uname=USER, aname=asked) as client:
        listed = [n for n in names(client, "/mbox") if n.isdecimal()]
        assert listed == seen
        with pytest.raises(Refused, match=EROFS):
            client.remove(f"/mbox/{seen[0]}")
        # the dialect is the listener's, unless the client says one
        keyed = (asked or bound).startswith("mailfs")
        assert client.read(f"/mbox/{seen[0]}/info").startswith(b"unixdate") == keyed
    if limit.scope.boxes:
        with pytest.raises(Refused, match=ENOBOX):
            Client(address, uname=USER, aname="upas/box=other")
    tree.do(server.close())


def test_another_user_stays_out(tree: Tree) -> None:
    for aname in ("", "upas/ro", "mailfs"):
        with pytest.raises(MailfsError, match=EPERM):
            tree.client(aname, "mallory")


def test_a_window_itself_refuses(tree: Tree, box: Path) -> None:
    """Whoever forgets to look at place.readonly changes nothing either."""
    before = box.read_bytes()
    window = ScopedMailboxes(tree.boxes, Scope(readonly=True)).get("mbox")
    assert window is not None
    for change in (
        window.delete([1]),
        window.expunge([1]),
        window.move([1], "other"),
        window.copy([1], "other"),
        window.set_flags([(1, Flag.SEEN, Flag(0))]),
        window.append(b"\n", 0, "a@b", Flag(0)),
    ):
        with pytest.raises(Refused, match=EROFS):
            tree.do(change)
    assert box.read_bytes() == before


# What a window lets through unasked tells nothing of messages, or is asked for one
# that was seen.  A new name of Mailbox has to be thought about here.
def test_a_window_is_the_only_opening() -> None:
    shared = {n for n in vars(ScopedMailbox) if not n.startswith("_")} & set(
        vars(Mailbox)
    )
    assert shared <= {
        "place", "view", "first", "run", "prepare", "refresh", "message", "flags",
        "delete", "expunge", "move", "copy", "set_flags", "status", "asleep", "hurry",
        "refreshed", "with_words", "search", "alter", "consult", "check_writable",
    }  # fmt: skip
    assert not hasattr(ScopedMailbox, "__getattr__")
    assert not hasattr(ScopedMailbox, "driver")


def test_unknown_commands_stay_unknown(tree: Tree) -> None:
    with tree.client("upas/ro") as client, pytest.raises(Refused, match=ECTL):
        client.write("/ctl", b"nonesuch")
