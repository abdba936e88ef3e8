"""Plumbing and biff: what is sent, in which form, and that nobody waits for it."""

import asyncio
import contextlib
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailfs.attr import tokenize
from mailfs.errors import Refused
from mailfs.fs.biff import Biff
from mailfs.fs.plumb import WAITING, PlumbForm, Plumbing, Sender, keyed, upas
from mailfs.mailboxes.events import Event
from mailfs.mailboxes.scopedset import ScopedMailboxes
from mailfs.p9.fcall import OREAD, OWRITE, QTDIR, QTFILE, Qid
from mailfs.p9.file import File, Handle
from mailfs.p9.srv import Server
from mailfs.where import DialString
from tests.wait import until

from .conftest import mbox
from .serving import Tree
from .test_event import FIFTH, append

WAIT = 30.0  # seconds until a test is given up


class Plumber:
    """What there is of plumber(4): a file send that hands on what is written."""

    def __init__(self, tree: Tree, address: DialString) -> None:
        self.messages: queue.Queue[bytes] = queue.Queue()
        self.refuses = False
        self.dialled = 0
        self._tree = tree
        self._server = Server(lambda uname, aname: Root(self))
        tree.do(self._server.listen(address))

    def next(self) -> tuple[list[str], dict[str, str], str]:
        """Return the next message: its first four lines, attributes, and data."""
        head = self.messages.get(timeout=WAIT).decode()
        *lines, attrs, size, data = head.split("\n")
        assert len(data) == int(size)
        pairs = [word.partition("=") for word in tokenize(attrs)]
        return lines, {name: value for name, _, value in pairs}, data

    def close(self) -> None:
        self._tree.do(self._server.close())


class Root(File):
    def __init__(self, plumber: Plumber) -> None:
        self.plumber = plumber
        plumber.dialled += 1

    @property
    def qid(self) -> Qid:
        return Qid(QTDIR, 0, 1)

    def walk(self, name: str) -> File:
        assert name == "send"
        return Send(self.plumber)


class Send(File):
    def __init__(self, plumber: Plumber) -> None:
        self.plumber = plumber

    @property
    def qid(self) -> Qid:
        return Qid(QTFILE, 0, 2)

    def open(self, mode: int) -> Handle:
        assert mode & 3 == OWRITE != OREAD
        return Port(self.plumber)


class Port(Handle):
    def __init__(self, plumber: Plumber) -> None:
        self.plumber = plumber

    def write(self, offset: int, data: bytes) -> int:
        if self.plumber.refuses:
            raise Refused("no matching plumb rule")
        self.plumber.messages.put(bytes(data))
        return len(data)


@pytest.fixture
def address(tmp_path: Path) -> DialString:
    return DialString("unix", str(tmp_path / "plumb"))


@contextlib.contextmanager
def running(tree: Tree, work: Callable[[], object]) -> Iterator[None]:
    """Run what work makes on the tree's loop until the end of the block."""

    async def begin() -> "asyncio.Task[None]":
        made = work()
        return asyncio.ensure_future(made.run())  # type: ignore[attr-defined]

    async def end(task: "asyncio.Task[None]") -> None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    task = tree.do(begin())
    try:
        yield
    finally:
        tree.do(end(task))


@contextlib.contextmanager
def plumbing(tree: Tree, form: PlumbForm, address: DialString) -> Iterator[None]:
    with running(
        tree, lambda: Plumbing(ScopedMailboxes(tree.boxes), form, address, look=0.02)
    ):
        yield


def test_the_form_of_upas(tree: Tree, address: DialString, box: Path) -> None:
    plumber = Plumber(tree, address)
    with plumbing(tree, upas(), address), tree.client() as client:
        until(tree.heard)
        append(box, FIFTH)
        lines, attrs, data = plumber.next()
        assert lines == ["mailfs", "seemail", "/mail/fs", "text"]
        assert data == "/mail/fs/mbox/5"
        digest = client.read("/mbox/5/digest").decode()
        assert attrs == {
            "filetype": "mail",
            "sender": "e@example.org",
            "length": client.read("/mbox/5/size").decode(),
            "mailtype": "new",
            "date": client.read("/mbox/5/unixdate").decode(),
            "digest": digest,
        }
        assert list(attrs)[1:4] == ["sender", "length", "mailtype"]
        client.write("/mbox/5/flags", b"+s")
        assert plumber.next()[1]["mailtype"] == "modify"
        client.remove("/mbox/5")
        _, attrs, data = plumber.next()
        assert data == "/mail/fs/mbox/5"
        assert (attrs["mailtype"], attrs["digest"]) == ("delete", digest)
        assert attrs["sender"] == ""
    plumber.close()


def test_the_form_of_plan9port(tree: Tree, address: DialString, box: Path) -> None:
    plumber = Plumber(tree, address)
    with plumbing(tree, keyed(), address), tree.client("mailfs") as client:
        until(tree.heard)
        append(
            box,
            [(FIFTH[0][0], FIFTH[0][1], "From: J D <j@d>\nSubject: it's = x\n\n\n")],
        )
        lines, attrs, data = plumber.next()
        assert lines == ["mailfs", "seemail", "/", "text"]
        assert data == "Mail/mbox/5"
        assert list(attrs) == "filetype mailtype sender subject digest date".split()
        assert attrs["mailtype"] == "new"
        assert attrs["sender"] == "'J D' j@d"
        assert attrs["subject"] == "it's = x"
        info = client.read("/mbox/5/info").decode().split("\n")
        assert f"digest {attrs['digest']}" in info
        assert any(line.endswith(attrs["date"]) for line in info)
        client.write("/mbox/5/flags", b"+seen")  # of which they would complain
        client.remove("/mbox/5")
        assert plumber.next()[1]["mailtype"] == "delete"
    plumber.close()


def test_a_plumber_that_comes_later_and_again(
    tree: Tree, address: DialString, box: Path
) -> None:
    with plumbing(tree, upas("/n/mail"), address), tree.client() as client:
        client.write("/mbox/1/flags", b"+s")
        assert not tree.heard()  # nobody there, nobody pays
        for _ in range(2):
            plumber = Plumber(tree, address)
            until(tree.heard)
            client.write("/mbox/1/flags", b"-s")
            assert plumber.next()[2] == "/n/mail/mbox/1"
            client.write("/mbox/1/flags", b"+s")
            assert plumber.next()[2] == "/n/mail/mbox/1"
            plumber.close()
            until(lambda: not tree.heard())


def test_refused_messages_are_forgotten(tree: Tree, address: DialString) -> None:
    plumber = Plumber(tree, address)
    sender = Sender(address)
    plumber.refuses = True
    sender.send(b"1")
    sender.send(b"2")
    plumber.refuses = False
    until(lambda: not sender._queue.qsize())
    sender.send(b"3")
    while plumber.messages.get(timeout=WAIT) != b"3":
        pass
    assert plumber.dialled == 1
    sender.close()
    plumber.close()


def test_a_plumber_that_hangs_costs_no_time(tmp_path: Path) -> None:
    path = str(tmp_path / "hung")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        sender = Sender(DialString("unix", path), timeout=0.1)
        for _ in range(2 * WAITING):
            sender.send(b"message")
        assert sender._queue.qsize() <= WAITING
        thread = sender._thread
        assert thread is not None
        sender.close()
        thread.join(WAIT)
        assert not thread.is_alive()


def test_nobody_there(address: DialString) -> None:
    sender = Sender(address)
    sender.send(b"message")
    until(lambda: not sender._queue.qsize())
    sender.close()
    sender.close()
    assert sender._thread is not None
    sender._thread.join(WAIT)


def test_a_message_that_has_gone_meanwhile() -> None:
    event = Event("new", "two words", 7, "")
    assert upas().message(event, None) == (
        b"mailfs\nseemail\n/mail/fs\ntext\n"
        b"filetype=mail sender= length=0 mailtype=new date=\n20\n/mail/fs/two words/7"
    )
    assert keyed().message(event, None).split(b"\n")[4] == b"filetype=mail mailtype=new"


BIFFS = [
    ("Subject: hello\n\nx\n", "[ e@example.org / hello / {} ]"),
    ("From: A <a@b>\nSubject: =?utf-8?q?h=C3=A9?=\n\n", "[ a@b / hé / {} ]"),
    ("Subject: =?utf-8?q?a=E2=80=AEb?=\n\n", "[ e@example.org / a?b / {} ]"),
]


@pytest.mark.parametrize(("text", "line"), BIFFS)
def test_biff(tree: Tree, box: Path, text: str, line: str) -> None:
    shown: queue.Queue[str] = queue.Queue()
    with running(tree, lambda: Biff(ScopedMailboxes(tree.boxes), shown.put)):
        until(tree.heard)
        with tree.client() as client:
            client.write("/mbox/1/flags", b"+s")
            client.remove("/mbox/1")
        with box.open("ab") as f:
            f.write(mbox([(FIFTH[0][0], FIFTH[0][1], text)]))
        assert shown.get(timeout=WAIT) == line.format(len(text))
    until(lambda: not tree.heard())
    assert shown.empty()
    assert threading.active_count() < 50
