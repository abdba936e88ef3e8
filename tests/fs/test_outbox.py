"""The outbox: letters written in any way, sent once, or kept with the reason."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mailfs.errors import (
    EEXIST,
    EFBIG,
    EFULL,
    EGONE,
    EINUSE,
    ENAME,
    ENOENT,
    EPERM,
    EROFS,
    MailfsError,
    Refused,
)
from mailfs.fs.node import Attach
from mailfs.fs.outbox import post
from mailfs.fs.outbox.letter import MAX_LETTER, Letter, LetterState
from mailfs.fs.outbox.post import Post
from mailfs.fs.outbox.tree import Outbox, may_send
from mailfs.mailbox.driver import Place
from mailfs.mailboxes.registry import MailboxRegistry
from mailfs.mailboxes.scope import Scope
from mailfs.mailboxes.scopedset import ScopedMailboxes
from mailfs.p9.client import Client
from mailfs.p9.errstr import EWSTAT
from mailfs.p9.fcall import (
    DMDIR,
    NOTOUCH,
    ORCLOSE,
    ORDWR,
    OREAD,
    OTRUNC,
    OWRITE,
    VERSION,
    Tflush,
    Tremove,
    Tversion,
    Twrite,
    pack,
)
from mailfs.p9.srv import Server
from mailfs.send.result import Result
from mailfs.send.result import State as Fate
from mailfs.where import DialString

from .serving import USER

TEXT = b"to: bob\nsubject: tea\n\nat four?\n"


class Office:
    """A served outbox whose letters go to us; its root directory is the outbox."""

    def __init__(self, scratch: Path) -> None:
        self.place = Place(scratch / "root", USER)
        self.folder = scratch / "root/mail/box" / USER / "outbox"
        self.scope = Scope()
        self.address = DialString("unix", str(scratch / "s"))
        self.sent: list[tuple[bytes, tuple[str, ...]]] = []
        self.fate: Callable[[bytes], Sequence[Result]] = lambda octets: [
            Result("bob", "local!bob", Fate.DELIVERED)
        ]
        self.gate = threading.Event()  # open: letters are sent at once
        self.gate.set()
        self.post = self.new_post()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.server = Server(lambda uname, aname: Outbox(self.attachment()))
        self.do(self.server.listen(self.address))

    def new_post(self, rest: float = 0.0) -> Post:
        """Make a post, as a new server would."""
        self.post = Post(self.place, self.send, rest)
        post._posts[self.place.root, USER] = self.post
        return self.post

    def attachment(self) -> Attach:
        """Attach within the scope."""
        boxes = MailboxRegistry(self.place, self.place.root / "cache")
        return Attach(ScopedMailboxes(boxes, self.scope))

    def send(
        self, place: Place, octets: bytes, todo: Sequence[str]
    ) -> Sequence[Result]:
        """Take a letter once the gate is open."""
        self.gate.wait(30)
        results = self.fate(octets)
        self.sent.append((octets, tuple(todo)))
        return results

    def do(self, work: Coroutine[Any, Any, object]) -> None:
        """Do work on the server's loop."""
        asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def client(self) -> Client:
        """Attach."""
        return Client(self.address, uname=USER)

    def settle(self) -> None:
        """Wait until the thread has done what it was given."""
        self.gate.set()
        self.post.settle()

    def close(self) -> None:
        """End everything."""
        self.settle()
        self.do(self.server.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
        self.post.stop()
        post._posts.pop((self.place.root, USER), None)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """Serve an outbox."""
    made = Office(tmp_path)
    yield made
    made.close()


@pytest.fixture
def client(office: Office) -> Iterator[Client]:
    """Attach to it."""
    with office.client() as client:
        yield client


def names(client: Client) -> list[str]:
    """Return the listing."""
    return [entry.name for entry in client.ls("/")]


def put(client: Client, name: str, *pieces: bytes) -> None:
    """Write a letter as cp does."""
    with client.create(f"/{name}") as file:
        for piece in pieces:
            file.write(piece)


def test_open_letters_are_bounded(office: Office, client: Client) -> None:
    """Each takes a descriptor, and a client has many fids."""
    files = [
        client.create(f"/{n}.swp", 0o600, OWRITE) for n in range(post.MAX_HANDLES - 1)
    ]
    files.append(client.open("/0.swp"))
    with pytest.raises(Refused, match="too many letters are open"):
        client.open("/0.swp")
    with pytest.raises(Refused, match="too many letters are open"):
        client.create("/more.swp", 0o600, OWRITE)
    assert "more.swp" not in [entry.name for entry in client.ls("/")]
    for file in files:
        file.close()
    assert office.post.handles == 0
    client.open("/0.swp").close()


def test_a_letter_is_sent_when_it_is_closed(office: Office, client: Client) -> None:
    with client.create("/tea") as file:
        file.write(TEXT[:10])
        assert names(client) == ["status", "tea", "tea.status"]
        assert client.read("/tea.status") == b"state unfinished\n"
        file.write(TEXT[10:])
        assert client.read("/tea") == TEXT
        assert client.stat("/tea").length == len(TEXT)
        assert office.sent == []
    office.settle()
    assert office.sent == [(TEXT, ())]
    assert names(client) == ["status", "tea.status"]
    assert client.read("/tea.status") == b"state queued\nto bob delivered\n"
    assert client.read("/status") == b"tea queued to bob delivered\n"
    with pytest.raises(Refused, match=ENOENT):
        client.read("/tea")
    assert {path.name for path in office.folder.iterdir()} == {"L.outbox", "w.tea"}


def test_pieces_in_any_order(office: Office, client: Client) -> None:
    with client.create("/tea", mode=ORDWR) as file:
        for at in (20, 0, 10):
            file.seek(at)
            file.write(TEXT[at : at + 10])
        file.seek(0)
        assert file.read(30) == TEXT[:30]
        file.seek(30)
        file.write(TEXT[30:])
    office.settle()
    assert office.sent == [(TEXT, ())]


def test_two_writers(office: Office, client: Client) -> None:
    first = client.create("/tea")
    second = client.open("/tea", OWRITE)
    reader = client.open("/tea", OREAD)
    second.seek(10)
    second.write(TEXT[10:])
    second.close()
    assert office.post.get("tea") is not None
    assert client.read("/tea.status") == b"state unfinished\n"
    first.write(TEXT[:10])
    first.close()
    office.settle()
    assert office.sent == [(TEXT, ())]
    assert reader.read(10) == TEXT[:10]
    reader.close()


def test_while_it_is_sent(office: Office, client: Client) -> None:
    office.gate.clear()
    put(client, "tea", TEXT)
    assert client.read("/tea.status") == b"state waiting\n"
    assert client.read("/tea") == TEXT
    for refused in (
        lambda: client.open("/tea", OWRITE),
        lambda: client.open("/tea", OREAD | OTRUNC),
        lambda: client.remove("/tea"),
        lambda: client.rename("/tea", "coffee"),
        lambda: client.wstat("/tea", NOTOUCH._replace(length=0)),
    ):
        with pytest.raises(Refused, match=EINUSE):
            refused()
    held = client.open("/tea")
    office.settle()
    assert len(office.sent) == 1
    with pytest.raises(Refused, match=EGONE):
        held.stat()
    assert held.read(100) == TEXT
    held.close()


def refuse(octets: bytes) -> Sequence[Result]:
    """Refuse a letter."""
    raise MailfsError("no such\nluck")


def test_refused_it_stays(office: Office, client: Client) -> None:
    office.fate = refuse
    put(client, "tea", TEXT)
    office.settle()
    assert client.read("/tea.status") == b"state refused\nerror no such luck\n"
    assert client.read("/status") == b"tea refused error no such luck\n"
    assert client.read("/tea") == TEXT
    office.post.stop()
    office.new_post()
    assert client.read("/tea.status") == b"state refused\nerror no such luck\n"
    office.fate = lambda octets: [Result("x", "x", Fate.QUEUED)]
    with client.open("/tea", OWRITE | OTRUNC) as file:
        file.write(b"to: x\n\nbetter\n")
        assert client.read("/tea.status") == b"state unfinished\n"
    office.settle()
    assert office.sent == [(b"to: x\n\nbetter\n", ())]
    assert client.read("/tea.status") == b"state queued\nto x queued\n"


def test_looking_at_a_refused_one_does_not_send_it(
    office: Office, client: Client
) -> None:
    office.fate = refuse
    put(client, "tea", TEXT)
    office.settle()
    office.fate = lambda octets: []
    client.open("/tea", OWRITE).close()
    client.open("/tea", OREAD).close()
    client.wstat("/tea", NOTOUCH)
    client.wstat("/tea", NOTOUCH._replace(mtime=1, mode=0o644))
    office.settle()
    assert office.sent == []
    assert client.read("/tea.status").startswith(b"state refused")


def test_a_new_name_tries_again(office: Office, client: Client) -> None:
    office.fate = refuse
    put(client, "tea", TEXT)
    office.settle()
    office.fate = lambda octets: [Result("bob", "bob", Fate.QUEUED)]
    client.rename("/tea", "tea2")
    office.settle()
    assert office.sent == [(TEXT, ())]
    assert names(client) == ["status", "tea2.status"]


def test_those_who_have_it_do_not_get_it_again(office: Office, client: Client) -> None:
    office.fate = lambda octets: [
        Result("a", "a", Fate.QUEUED),
        Result("b", "b", Fate.REFUSED, permanent=False, text="busy\nnow"),
    ]
    put(client, "tea", TEXT)
    office.settle()
    text = b"state refused\nto a queued\nto b refused busy now\n"
    assert client.read("/tea.status") == text
    office.post.stop()
    office.new_post()
    assert client.read("/tea.status") == text
    client.rename("/tea", "again")
    office.settle()
    assert office.sent == [(TEXT, ()), (TEXT, ("b",))]
    with client.open("/again", OWRITE | OTRUNC) as file:
        file.write(TEXT)
    office.settle()
    assert office.sent[2:] == [(TEXT, ())]


@pytest.mark.parametrize("name", [".tea", "tea~"])
def test_held_until_it_has_its_name(office: Office, client: Client, name: str) -> None:
    put(client, name, TEXT)
    office.settle()
    assert office.sent == []
    assert client.read(f"/{name}") == TEXT
    client.rename(f"/{name}", ".other")
    office.settle()
    assert office.sent == []
    client.rename("/.other", "tea")
    office.settle()
    assert office.sent == [(TEXT, ())]


def test_removed_it_is_not_sent(office: Office, client: Client) -> None:
    file = client.create("/tea")
    file.write(TEXT)
    client.remove("/tea")
    with pytest.raises(Refused, match=EGONE):
        file.write(TEXT)
    file.close()
    with client.create("/own", mode=ORDWR | ORCLOSE) as file:
        file.write(TEXT)
    office.settle()
    assert office.sent == []
    assert names(client) == ["status"]
    assert [path.name for path in office.folder.iterdir()] == ["L.outbox"]


def test_remove_instead_of_clunk(office: Office, client: Client) -> None:
    file = client.create("/tea")
    file.write(TEXT)
    client.rpc(Tremove(file._fid))
    office.settle()
    assert office.sent == []
    assert names(client) == ["status"]


def test_an_empty_one_is_a_draft(office: Office, client: Client) -> None:
    put(client, "tea")
    office.settle()
    assert client.read("/tea.status") == b"state unfinished\n"
    with client.open("/tea", OWRITE) as file:
        file.write(TEXT)
    office.settle()
    assert office.sent == [(TEXT, ())]


NAMES = [
    ("status", EEXIST),
    ("x.status", EEXIST),
    ("x" * 201, ENAME),
    ("a\nb", ENAME),
    ("é" * 101, ENAME),
]


@pytest.mark.parametrize(("name", "error"), NAMES)
def test_names(client: Client, name: str, error: str) -> None:
    with pytest.raises(Refused, match=error):
        client.create(f"/{name}")
    put(client, ".draft", TEXT)
    with pytest.raises(Refused, match=error):
        client.rename("/.draft", name)
    assert names(client) == ["status", ".draft", ".draft.status"]


def test_a_name_that_is_taken(office: Office, client: Client) -> None:
    put(client, ".one", b"1")
    put(client, ".two", b"2")
    for refused in (
        lambda: client.create("/.one"),
        lambda: client.rename("/.one", ".two"),
        lambda: client.create("/dir", DMDIR | 0o777, OREAD),
    ):
        with pytest.raises(Refused, match=f"{EEXIST}|{EPERM}"):
            refused()
    assert client.read("/.two") == b"2"
    put(client, "tea", TEXT)
    office.settle()
    put(client, "tea", TEXT)
    office.settle()
    assert len(office.sent) == 2


def test_bounds(
    office: Office, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(post, "MAX_LETTERS", 2)
    put(client, ".one", b"1")
    file = client.create("/two")
    with pytest.raises(Refused, match=EFULL):
        client.create("/three")
    file.write(TEXT)
    file.seek(MAX_LETTER)
    with pytest.raises(Refused, match=EFBIG):
        file.write(b"x")
    with pytest.raises(Refused, match=EFBIG):
        client.wstat("/two", NOTOUCH._replace(length=MAX_LETTER + 1))
    file.close()
    office.settle()
    assert office.sent == []
    assert client.read("/two.status") == (
        b"state unfinished\nerror incomplete: file too big\n"
    )
    with client.open("/two", OWRITE | OTRUNC) as file:
        file.write(TEXT)
    office.settle()
    assert office.sent == [(TEXT, ())]


def test_statuses_are_forgotten(
    office: Office, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(post, "MAX_QUEUED", 2)
    for name in "abc":
        put(client, name, TEXT)
        office.settle()
    assert names(client) == ["status", "b.status", "c.status"]
    client.remove("/b.status")
    assert names(client) == ["status", "c.status"]
    put(client, ".draft", TEXT)
    for name in (".draft.status", "status"):
        with pytest.raises(Refused, match=EPERM):
            client.remove(f"/{name}")
        with pytest.raises(Refused, match=EPERM):
            client.open(f"/{name}", OWRITE)


@pytest.mark.parametrize(
    "change",
    [{"uid": "bob"}, {"muid": "x"}, {"type": 1}, {"mode": DMDIR | 0o700}],
)
def test_wstat(client: Client, change: dict[str, str | int]) -> None:
    put(client, ".tea", TEXT)
    with pytest.raises(Refused, match=f"{EWSTAT}|Is a directory"):
        client.wstat("/.tea", NOTOUCH._replace(**change))  # type: ignore[arg-type]


def test_truncated_in_place(office: Office, client: Client) -> None:
    put(client, ".tea", TEXT + b"more")
    client.wstat("/.tea", NOTOUCH._replace(length=len(TEXT)))
    client.rename("/.tea", "tea")
    office.settle()
    assert office.sent == [(TEXT, ())]


def test_a_write_that_was_flushed(
    office: Office, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go = threading.Event(), threading.Event()
    write = Letter.write

    def slow(self: Letter, fd: int, offset: int, data: bytes) -> int:
        begun.set()
        go.wait(30)
        return write(self, fd, offset, data)

    monkeypatch.setattr(Letter, "write", slow)
    file = client.create("/tea")
    line = client._line
    assert line._sock is not None
    line._sock.sendall(pack(7, Twrite(file._fid, 0, TEXT)))
    assert begun.wait(30)
    line.rpc(Tflush(7))
    file.close()
    go.set()
    office.settle()
    assert office.sent == []
    assert b"Interrupted" in client.read("/tea.status")


@pytest.mark.parametrize("again", [False, True])
def test_a_session_that_ends_sends_nothing(office: Office, again: bool) -> None:
    with office.client() as client:
        file = client.create("/tea")
        file.write(TEXT[:20])
        if again:
            client.rpc(Tversion(8192, VERSION))
    with office.client() as other:
        office.settle()
        assert office.sent == []
        assert other.read("/tea") == TEXT[:20]
        with other.open("/tea", OWRITE | OTRUNC) as file:
            file.write(TEXT)
        office.settle()
    assert office.sent == [(TEXT, ())]


RESTRICTED = [
    (Scope(readonly=True), EROFS),
    (Scope(ctl=False), EPERM),
    (Scope(free=False), EPERM),
]


@pytest.mark.parametrize(("scope", "error"), RESTRICTED)
def test_who_may_not_send(office: Office, scope: Scope, error: str) -> None:
    with office.client() as client:
        put(client, ".tea", TEXT)
    office.scope = scope
    assert not may_send(office.attachment())
    with office.client() as client:
        assert client.stat("/").mode & 0o777 == 0o500
        for refused in (
            lambda: client.ls("/"),
            lambda: client.create("/x"),
            lambda: client.read("/.tea"),
            lambda: client.read("/status"),
            lambda: client.remove("/.tea"),
        ):
            with pytest.raises(Refused, match=error):
                refused()


def test_unexpected_errors_keep_the_letter(
    office: Office, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(octets: bytes) -> Sequence[Result]:
        raise ZeroDivisionError

    office.fate = fail
    put(client, "tea", TEXT)
    office.settle()
    assert b"error unexpected" in client.read("/tea.status")
    assert "ZeroDivisionError" in caplog.text


def test_another_server_keeps_off(office: Office, client: Client) -> None:
    put(client, ".tea", TEXT)
    other = Post(office.place, office.send)
    assert list(other) == []
    with pytest.raises(Refused, match="another server's"):
        other.create("x")
    other.stop()


def test_what_a_dead_server_left(office: Office, client: Client) -> None:
    office.post.stop()
    office.folder.mkdir(parents=True)
    for name in ("d.draft", "c.closed", "s.sending", "r.refused"):
        (office.folder / name).write_bytes(TEXT)
    (office.folder / "w.refused").write_text("error why\n")
    (office.folder / "w.done").write_text("to a queued\n")
    (office.folder / "t.done").write_text("half")
    (office.folder / "stray").write_text("x")
    office.new_post()
    office.settle()
    assert office.sent == [(TEXT, ())]
    states = {
        line.split()[0]: line.split()[1]
        for line in client.read("/status").decode().splitlines()
    }
    assert states == {
        "draft": "unfinished",
        "closed": "queued",
        "sending": "refused",
        "refused": "refused",
        "done": "queued",
    }
    assert b"it may have been sent" in client.read("/sending.status")


KILLED = """
import os, sys, time
from pathlib import Path
from mailfs.fs.outbox.post import Post
from mailfs.mailbox.driver import Place
from mailfs.send.result import Result, State
root, kept = Path(sys.argv[1]), Path(sys.argv[2])
def send(place, octets, todo):
    number = octets.split()[-1].decode()
    with open(kept / number, "ab") as f:  # each sending leaves one octet
        f.write(b"x")
    return [Result("a", "a", State.QUEUED)]
post = Post(Place(root, "glenda"), send)
sys.stdout.write("ready\\n"); sys.stdout.flush()
for number in range(int(sys.argv[3]), 1 << 30):
    while sum(one.there for one in post) > 10:
        time.sleep(0.001)
    letter = post.create(f"n{number}")
    letter.path().write_bytes(b"to: a\\n\\n%d\\n" % number)
    post.close(letter)
    sys.stdout.write(f"{number}\\n"); sys.stdout.flush()
"""


def test_killed_again_and_again(tmp_path: Path) -> None:
    root, kept = tmp_path / "root", tmp_path / "kept"
    kept.mkdir()
    last = -1  # the last letter that was closed
    for turn in range(4):
        argv = [sys.executable, "-c", KILLED, str(root), str(kept), str(last + 1)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as server:
            assert server.stdout is not None
            for _ in range(3 + turn):
                server.stdout.readline()
            deadline = time.monotonic() + 30
            while len(list(kept.iterdir())) < 4 * turn:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            server.kill()
            server.stdout.read()
        made = (root / "mail/box/glenda/outbox").glob("?.n*")
        numbers = [int(path.name.partition("n")[2]) for path in made]
        last = max([last, *numbers, *(int(path.name) for path in kept.iterdir())])
    again: list[bytes] = []

    def send(place: Place, octets: bytes, todo: Sequence[str]) -> Sequence[Result]:
        again.append(octets)
        return []

    post = Post(Place(root, "glenda"), send)
    post.settle()
    there = {
        letter.name
        for letter in post
        if letter.state in (LetterState.REFUSED, LetterState.DRAFT)
    }
    sent = {p.name for p in kept.iterdir() if p.read_bytes()}
    resent = {octets.split()[-1].decode() for octets in again}
    for number in range(last):
        assert str(number) in sent | resent or f"n{number}" in there
    assert sent & resent == set()
    assert all(path.read_bytes() in (b"", b"x") for path in kept.iterdir())
    assert len(sent) >= 12
    post.stop()


def test_sent_for_real(tmp_path: Path) -> None:
    place = Place(tmp_path, USER)
    box = tmp_path / "mail/box" / USER
    (tmp_path / "mail/lib").mkdir(parents=True)
    (tmp_path / "mail/lib/rewrite").write_text("[^!@]+ >> /mail/box/\\0/mbox\n")
    box.mkdir(parents=True)
    (box / "names").write_text(f"me {USER}\n")
    post = Post(place)
    letters = {
        "good": (b"to: me\nsubject: th\xc3\xa9\nbcc: glenda\n\nx\n", "state queued"),
        "nobody": (b"subject: x\n\nx\n", "error no addresses found"),
        "plain": (b"hello\n", "error line 1 is no header field"),
        "files": (b"to: me\nattach: /etc/passwd\n\nx", "error Attach and Include"),
        "unknown": (b"to: nosuch\n\nx", "to nosuch refused unknown user"),
        "cut": (
            b'to: me\ncontent-type: multipart/mixed; boundary="b"\n\n--b\n\nx',
            "error incomplete",
        ),
    }
    again = post.create("again")
    again.path().write_bytes(b"to: me, nosuch\n\nx")
    again.todo = ("nosuch",)
    post.close(again)
    for name, (octets, _) in letters.items():
        letter = post.create(name)
        letter.path().write_bytes(octets)
        post.close(letter)
    post.settle()
    for name, (_, expect) in letters.items():
        found = post.get(name)
        assert found is not None
        assert expect in found.lines()
    assert again.lines() == "state refused\nto nosuch refused unknown user\n"
    (got,) = (box / "mbox").iterdir()
    text = got.read_text()
    assert "subject: =?utf-8?q?th=C3=A9?=" in text
    assert "Message-ID: <" in text
    assert "bcc" not in text.lower()
    post.stop()


def rested(office: Office, rest: float = 60.0) -> Post:
    """Let letters rest for so many seconds, in a new post."""
    office.post.stop()
    return office.new_post(rest)


def soon(done: Callable[[], bool]) -> None:
    """Wait until something is so, well before a letter of rested would be sent."""
    for _ in range(500):
        if done():
            return
        time.sleep(0.01)
    raise AssertionError("not within 5 s")


def test_a_letter_rests_before_it_is_sent(office: Office, client: Client) -> None:
    rested(office, 0.2)
    put(client, "tea", TEXT)
    assert office.sent == []
    assert client.read("/tea.status") == b"state waiting\n"
    soon(lambda: bool(office.sent))
    office.settle()
    assert office.sent == [(TEXT, ())]


CANCELS: list[Callable[[Client], object]] = [
    lambda client: client.remove("/tea"),
    lambda client: client.rename("/tea", "tea~"),
    lambda client: client.rename("/tea", "#tea#"),
    lambda client: client.wstat("/tea", NOTOUCH._replace(length=3)),
]


@pytest.mark.parametrize("cancel", CANCELS)
def test_a_letter_that_rests_is_taken_back(
    office: Office, client: Client, cancel: Callable[[Client], object]
) -> None:
    rested(office)
    put(client, "tea", TEXT)
    cancel(client)
    office.settle()
    assert office.sent == []


def test_opened_again_while_it_rests(office: Office, client: Client) -> None:
    rested(office)
    put(client, "tea", TEXT)
    client.open("/tea", OREAD).close()
    for mode in (OWRITE, OWRITE | OTRUNC):
        with client.open("/tea", mode) as file:
            assert client.read("/tea.status") == b"state unfinished\n"
            file.write(b"to: x\n\n" + TEXT)
        assert client.read("/tea.status") == b"state waiting\n"
    office.settle()
    assert office.sent == [(b"to: x\n\n" + TEXT, ())]


def test_written_beside_and_renamed(office: Office, client: Client) -> None:
    rested(office)
    put(client, "tea", b"to: old\n\n")
    put(client, "sedXyZ1", TEXT)
    client.remove("/tea")
    client.rename("/sedXyZ1", "tea")
    soon(lambda: bool(office.sent))
    office.settle()
    assert office.sent == [(TEXT, ())]


@pytest.mark.parametrize("closed", [False, True])
def test_put_on_disk_it_is_sent_soon(
    office: Office, client: Client, closed: bool
) -> None:
    rested(office)
    file = client.create("/tea")
    file.write(TEXT)
    if not closed:
        client.wstat("/tea", NOTOUCH)
    file.close()
    if closed:
        client.wstat("/tea", NOTOUCH)
    soon(lambda: bool(office.sent))
    office.settle()
    assert office.sent == [(TEXT, ())]


def test_closed_before_a_crash(office: Office, client: Client) -> None:
    rested(office)
    put(client, "tea", TEXT)
    left = office.folder / "c.tea"
    assert left.read_bytes() == TEXT
    office.post.stop()
    assert office.sent == []
    office.new_post()
    office.settle()
    assert office.sent == [(TEXT, ())]


@pytest.mark.parametrize("name", ["#tea#", ".#tea", ".tea.swp", "tea.swp", "tea.tmp"])
def test_names_of_unfinished_files(office: Office, client: Client, name: str) -> None:
    put(client, name, TEXT)
    office.settle()
    assert office.sent == []


def test_linux_renames_with_its_name(office: Office, client: Client) -> None:
    put(client, ".tea", TEXT)
    client.wstat("/.tea", NOTOUCH._replace(name="tea", muid="glenda"))
    office.settle()
    assert office.sent == [(TEXT, ())]


def test_a_stat_that_changes_nothing(client: Client) -> None:
    put(client, ".tea", TEXT)
    for name in ("/", "/status", "/.tea", "/.tea.status"):
        client.wstat(name, NOTOUCH)
