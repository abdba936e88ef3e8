"""The file event: what it tells, when, to whom, and how a reader's wait ends."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailfs.errors import EPERM, Refused
from mailfs.fs.eventfile import MAX_UNREAD, EventHandle
from mailfs.mailbox.index import Index, index_path
from mailfs.mailboxes.events import Event
from mailfs.p9.client import Client, OpenFile
from mailfs.p9.errstr import EINTERRUPTED
from mailfs.p9.fcall import (
    NOFID,
    ORDWR,
    OREAD,
    OTRUNC,
    OWRITE,
    Rclunk,
    Rerror,
    Rflush,
    Rread,
    Tattach,
    Tclunk,
    Tflush,
    Topen,
    Tread,
    Tversion,
    Twalk,
    pack,
)
from tests.p9.serving import Raw

from .conftest import MESSAGES, mbox
from .serving import USER, Tree, serving

FIFTH = [("e@example.org", "Mon Mar  2 13:00:00 2026", "Subject: five\n\nfifth\n")]
SIXTH = [("f@example.org", "Mon Mar  2 14:00:00 2026", "Subject: six\n\nsixth\n")]


class Reader:
    """An open event file, read on demand with a deadline."""

    def __init__(self, tree: Tree, path: str, aname: str = "") -> None:
        self.client = Client(tree.address, aname=aname, uname=USER, timeout=30)
        self.file: OpenFile = self.client.open(path)
        self._lines: list[str] = []

    def next(self) -> str:
        while not self._lines:
            data = self.file.read(8192)
            assert data.endswith(b"\n"), data
            self._lines = data.decode().splitlines()
        return self._lines.pop(0)

    def take(self, count: int) -> list[str]:
        return [self.next() for _ in range(count)]

    def close(self) -> None:
        self.client.close()


@pytest.fixture
def root(tree: Tree) -> Iterator[Reader]:
    reader = Reader(tree, "/event")
    yield reader
    reader.close()


def append(box: Path, messages: list[tuple[str, str, str]]) -> None:
    with box.open("ab") as f:
        f.write(mbox(messages))


def digest(client: Client, number: int) -> str:
    return client.read(f"/mbox/{number}/digest").decode()


def test_new_mail_without_anybody_looking(
    client: Client, root: Reader, box: Path
) -> None:
    append(box, FIFTH)
    assert root.next() == f"new mbox/5 {digest(client, 5)}"
    append(box, SIXTH)
    assert root.next() == f"new mbox/6 {digest(client, 6)}"


def test_changes_are_told_without_digests(
    tree: Tree, client: Client, box: Path
) -> None:
    """No listing shows the file, and no message is read for its sake."""
    reader = Reader(tree, "/changes")
    try:
        append(box, FIFTH)
        assert reader.next() == "new mbox/5 -"
        client.write("/ctl", b"flag mbox +s 5")
        client.write("/ctl", b"delete mbox 1")
        assert reader.take(2) == ["modify mbox/5 -", "delete mbox/1 -"]
        assert "changes" not in [entry.name for entry in client.ls("/")]
    finally:
        reader.close()


def test_what_we_do_ourselves(client: Client, root: Reader) -> None:
    first, second = digest(client, 1), digest(client, 2)
    client.write("/mbox/2/flags", b"+f")
    client.write("/ctl", b"delete mbox 1")
    client.remove("/mbox/2")
    assert root.take(3) == [
        f"modify mbox/2 {second}",
        f"delete mbox/1 {first}",
        f"delete mbox/2 {second}",
    ]


def test_several_at_once_ascend(client: Client, root: Reader) -> None:
    client.write("/ctl", b"flag mbox +s 3 1")
    assert [line.split()[:2] for line in root.take(2)] == [
        ["modify", "mbox/1"],
        ["modify", "mbox/3"],
    ]


def test_what_others_do(client: Client, root: Reader, box: Path) -> None:
    second = digest(client, 2)
    box.with_name("next").write_bytes(mbox([MESSAGES[0], *MESSAGES[2:]]))
    box.with_name("next").rename(box)
    assert root.next() == f"delete mbox/2 {second}"
    text = box.read_bytes()
    head = b"Subject: three\n"
    box.write_bytes(text.replace(head, head + b"X-Seen: by other\n"))
    assert root.next().startswith("modify mbox/3 ")


def test_a_message_that_comes_and_goes(tree: Tree, box: Path) -> None:
    before = box.read_bytes()
    with tree.client() as client:
        reader = Reader(tree, "/mbox/event")
        append(box, FIFTH)
        new = reader.next()
        client.remove("/mbox/5")
        assert reader.next() == new.replace("new", "delete")
        assert box.read_bytes() == before
        reader.close()


def test_each_reader_hears_what_happens_from_its_open_on(
    tree: Tree, client: Client, root: Reader, box: Path
) -> None:
    append(box, FIFTH)
    first = root.next()
    late = Reader(tree, "/mbox/event")
    append(box, SIXTH)
    second = root.next()
    assert late.next() == second != first
    late.close()


def test_mail_that_came_before_the_open_is_not_told(tree: Tree, box: Path) -> None:
    append(box, FIFTH)  # nobody has listed it yet
    reader = Reader(tree, "/event")
    append(box, SIXTH)
    assert reader.next().startswith("new mbox/6 ")
    reader.close()


def test_only_its_own_mailbox(tree: Tree, client: Client, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(mbox(MESSAGES[:2]))
    tree.open(other, "two words")
    mine, both = Reader(tree, "/mbox/event"), Reader(tree, "/event")
    client.write("/two words/1/flags", b"+s")
    client.write("/mbox/1/flags", b"+s")
    assert mine.next().startswith("modify mbox/1 ")
    assert both.next().startswith("modify 'two words/1' ")
    assert both.next().startswith("modify mbox/1 ")
    mine.close()
    both.close()


def test_mailboxes_opened_later(client: Client, root: Reader, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(mbox(MESSAGES[:2]))
    client.write("/ctl", f"open {other}".encode())
    client.write("/other/1/flags", b"+s")
    assert root.next().startswith("modify other/1 ")
    client.write("/ctl", b"close other")
    client.write("/ctl", f"open {other} again".encode())
    client.write("/again/1/flags", b"-s")
    assert root.next().startswith("modify again/1 ")


def test_a_closed_mailbox_ends_the_file(tree: Tree, client: Client) -> None:
    reader = Reader(tree, "/mbox/event")
    client.write("/ctl", b"close mbox")
    assert reader.file.read(8192) == b""
    reader.close()


@pytest.mark.parametrize("kind", ["maildir", "mh", "mdir"])
def test_other_kinds(tmp_path: Path, kind: str) -> None:
    box = tmp_path / "there"
    box.mkdir()
    for name in {"maildir": ("cur", "new", "tmp")}.get(kind, ()):
        (box / name).mkdir()
    if kind == "mh":
        (box / ".mh_sequences").write_text("")
    deliver = {
        "maildir": ("tmp/1772445764.1.x", "new/1772445764.1.x", ""),
        "mh": (",1", "1", ""),
        "mdir": ("1772445764.00.tmp", "1772445764.00", f"From a@b {FIFTH[0][1]}\n"),
    }[kind]
    with serving(tmp_path / "s", mbox=box) as tree:
        reader = Reader(tree, "/event")
        (box / deliver[0]).write_text(deliver[2] + "Subject: x\n\ny\n")
        (box / deliver[0]).rename(box / deliver[1])
        new = reader.next()
        assert new.startswith("new mbox/1 ")
        (box / deliver[1]).unlink()
        assert reader.next() == new.replace("new", "delete")
        reader.close()


OPENS = [OWRITE, ORDWR, OREAD | OTRUNC]


@pytest.mark.parametrize("mode", OPENS)
def test_it_is_only_read(client: Client, mode: int) -> None:
    for path in ("/event", "/mbox/event"):
        with pytest.raises(Refused, match=EPERM):
            client.open(path, mode)
        with pytest.raises(Refused, match=EPERM):
            client.remove(path)
        assert client.stat(path).mode == 0o444


@pytest.fixture
def raw(tree: Tree) -> Iterator[Raw]:
    with Raw(tree.address) as raw:
        raw.ask(Tversion(8192, "9P2000"))
        raw.ask(Tattach(0, NOFID, USER, ""))
        raw.ask(Twalk(0, 1, ("event",)))
        assert not isinstance(raw.ask(Topen(1, OREAD)), Rerror)
        yield raw


def test_a_flush_ends_the_wait_and_loses_nothing(raw: Raw, client: Client) -> None:
    raw.send(pack(5, Tread(1, 0, 8000)), pack(6, Tflush(5)))
    assert raw.recv() == (6, Rflush())
    client.write("/mbox/1/flags", b"+s")
    reply = raw.ask(Tread(1, 0, 8000))
    assert isinstance(reply, Rread)
    assert reply.data.startswith(b"modify mbox/1 ")


def test_a_clunk_ends_the_wait(raw: Raw, tree: Tree) -> None:
    raw.send(pack(5, Tread(1, 0, 8000)), pack(6, Tclunk(1)))
    replies = dict([raw.recv(), raw.recv()])
    assert replies == {5: Rerror(EINTERRUPTED), 6: Rclunk()}
    assert not tree.heard()


def test_many_reads_at_once_take_turns(raw: Raw, client: Client) -> None:
    for tag in (5, 6, 7):
        raw.send(pack(tag, Tread(1, 0, 8000)))
    raw.send(pack(8, Tflush(5)))
    assert raw.recv() == (8, Rflush())
    client.write("/mbox/1/flags", b"+s")
    tag, reply = raw.recv()
    assert tag == 6
    assert isinstance(reply, Rread)
    client.write("/mbox/2/flags", b"+s")
    tag, reply = raw.recv()
    assert tag == 7
    assert isinstance(reply, Rread)
    assert reply.data.startswith(b"modify mbox/2 ")


def test_nobody_listens_once_all_have_gone(tree: Tree) -> None:
    reader = Reader(tree, "/event")
    other = Reader(tree, "/mbox/event")
    assert tree.heard()
    other.close()
    reader.close()
    end = time.monotonic() + 30
    while tree.heard():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_hundred_readers(tree: Tree, client: Client, box: Path) -> None:
    readers = [Reader(tree, "/event") for _ in range(100)]
    texts: list[list[str]] = []

    def listen(reader: Reader) -> None:
        texts.append(reader.take(3))

    threads = [threading.Thread(target=listen, args=(reader,)) for reader in readers]
    for thread in threads:
        thread.start()
    append(box, FIFTH)
    client.write("/mbox/1/flags", b"+s")
    client.remove("/mbox/1")
    for thread in threads:
        thread.join()
    assert len(texts) == 100
    assert all(sorted(text) == sorted(texts[0]) for text in texts)
    assert {line.split()[0] for line in texts[0]} == {"new", "modify", "delete"}
    for reader in readers:
        reader.close()


def test_a_digest_that_the_index_has_lost(
    tree: Tree, client: Client, box: Path
) -> None:
    """What was told of a message that came is known still when it goes."""
    reader = Reader(tree, "/event")
    append(box, FIFTH)
    new = reader.next()
    (mailbox,) = tree.boxes
    index = Index(index_path(tree.boxes.cache, str(box)), "mbox", str(box))
    while tree.do(mailbox.run(lambda: index.body(5))) is None:
        pass
    tree.do(mailbox.run(lambda: index.outdate([1, 5])))
    client.remove("/mbox/5")
    client.remove("/mbox/1")
    assert reader.next() == new.replace("new", "delete")
    assert reader.next() == "delete mbox/1 -"
    reader.close()


def test_a_read_flushed_at_its_turn_passes_it_on() -> None:
    async def work() -> None:
        handle = EventHandle()
        first, second = (asyncio.ensure_future(handle._wait(99)) for _ in range(2))
        await asyncio.sleep(0)
        handle.put([event(1)])
        first.cancel()
        assert await asyncio.wait_for(second, 30) == b"new mbox/1 d\n"
        assert first.cancelled()

    asyncio.run(work())


def test_reads_that_wait_keep_their_order() -> None:
    async def work() -> None:
        handle = EventHandle()
        reads = [asyncio.ensure_future(handle._wait(99)) for _ in range(3)]
        await asyncio.sleep(0)
        handle.put([event(1)])
        handle.put([event(2)])  # the second is woken too, and finds nothing
        await asyncio.sleep(0.01)
        assert [read.done() for read in reads] == [True, False, False]
        assert reads[0].result() == b"new mbox/1 d\nnew mbox/2 d\n"
        handle.put([event(3)])
        assert await reads[1] == b"new mbox/3 d\n"
        handle.end()
        assert await reads[2] == b""

    asyncio.run(work())


def event(number: int, digest: str = "d") -> Event:
    return Event("new", "mbox", number, digest)


LINES = [
    (event(1, "ab"), b"new mbox/1 ab\n"),
    (event(1, ""), b"new mbox/1 -\n"),
    (Event("delete", "it's", 7, "ab"), b"delete 'it''s/7' ab\n"),
    (Event("modify", "two words", 7, "ab"), b"modify 'two words/7' ab\n"),
]


@pytest.mark.parametrize(("told", "line"), LINES)
def test_lines(told: Event, line: bytes) -> None:
    assert told.line() == line


def test_whole_lines_and_what_is_too_long() -> None:
    handle = EventHandle()
    handle.put([event(1), event(22), event(3)])
    lines = [b"new mbox/1 d\n", b"new mbox/22 d\n", b"new mbox/3 d\n"]
    assert handle.read(0, len(lines[0]) + 5) == lines[0]
    assert handle.read(99, 5) == lines[1][:5]  # wherever the client believes to be
    assert handle.read(0, 4) == lines[1][5:9]
    assert handle.read(0, 1000) == lines[1][9:] + lines[2]


def test_a_reader_that_lags_is_told() -> None:
    handle = EventHandle(room=3)
    handle.put([event(n) for n in range(1, 8)])
    handle.put([event(8)])
    assert handle.read(0, 30) == b"new mbox/1 d\nnew mbox/2 d\n"
    handle.put([event(9)])  # room, but in order: it comes after what was lost
    assert handle.read(0, 13) == b"new mbox/3 d\n"
    assert handle.read(0, 1000) == b"lost 6\n"
    handle.put([event(10)])
    assert handle.read(0, 1000) == b"new mbox/10 d\n"


def test_memory_is_bounded(tree: Tree) -> None:
    handle = EventHandle()
    for n in range(10):
        handle.put([event(n)] * MAX_UNREAD)
    assert len(handle._lines) == MAX_UNREAD
    assert handle._lost == 9 * MAX_UNREAD
