"""Folder, Mailbox and Message: numbers, workers, long messages, what goes wrong."""

import asyncio
import base64
import hashlib
import sqlite3
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mailfs.errors import MailfsError
from mailfs.mailbox.build import Build, Progress, derive, derive_few
from mailfs.mailbox.driver import Place
from mailfs.mailbox.drivers import open_store
from mailfs.mailbox.folder import MailboxState
from mailfs.mailbox.index import Index
from mailfs.mailbox.kinds import Flag, Stale
from mailfs.mailbox.mailbox import Mailbox
from mailfs.mailbox.message import STREAM, Need
from mailfs.mailbox.octets import IN_MEMORY, Slice, Spilled
from mailfs.mailboxes.entity import Entity

DATE = "Mon Mar  2 09:00:00 2026"


def text(i: int, body: str = "body\n") -> str:
    return f"From a{i}@b {DATE}\nSubject: {i}\n\n{body}\n"


def folder(path: Path, index: Path | None) -> MailboxState:
    driver = open_store(str(path), Place(path.parent / "root", "me"))
    return MailboxState(driver, Index(index, driver.kind, driver.path), lambda: 1000.0)


@pytest.fixture
def box(tmp_path: Path) -> Path:
    path = tmp_path / "box"
    path.write_text("".join(text(i) for i in range(1, 6)))
    return path


def subjects(of: MailboxState) -> dict[int, str]:
    found = {}
    for number in of.view:
        message = of.message(number)
        assert message is not None
        found[number] = message.head.envelope.subject
    return found


def test_two_folders_on_one_index_agree(box: Path, tmp_path: Path) -> None:
    index = tmp_path / "i.db"
    one, two = folder(box, index), folder(box, index)
    one.list()
    two.list()
    assert subjects(one) == subjects(two) == {i: str(i) for i in range(1, 6)}
    with box.open("a") as f:
        f.write(text(6))
    one.list()
    one.delete([2, 6])
    with box.open("a") as f:
        f.write(text(7))
    # two has seen neither: it must take the numbers that one gave
    two.list()
    want = {1: "1", 3: "3", 4: "4", 5: "5", 7: "7"}
    assert subjects(two) == want
    one.list()
    assert subjects(one) == want
    assert one.view.vers == two.view.vers
    two.delete([7])
    one.delete([1])
    two.list()
    assert subjects(one) == subjects(two) == {3: "3", 4: "4", 5: "5"}
    for each in (one, two):
        each.close()


def test_deleting_with_an_outdated_view(box: Path, tmp_path: Path) -> None:
    one, two = folder(box, tmp_path / "1.db"), folder(box, tmp_path / "2.db")
    one.list()
    two.list()
    one.delete([1])
    two.delete([2])
    two.set_flags([(3, Flag.SEEN, Flag(0)), (1, Flag.SEEN, Flag(0))])
    assert subjects(two) == {3: "3", 4: "4", 5: "5"}
    one.list()
    assert subjects(one) == {3: "3", 4: "4", 5: "5"}
    row = one.view.row(3)
    assert row is not None
    assert one.view.listing.flags[row] & Flag.SEEN
    one.close()
    two.close()


def test_a_store_that_never_holds_still(box: Path) -> None:
    one = folder(box, None)
    one.list()

    def stale(*_: object) -> None:
        raise Stale("again")

    one.driver.delete = stale  # type: ignore[method-assign,assignment]
    with pytest.raises(MailfsError, match="changes too fast"):
        one.delete([1])
    one.close()


def test_an_index_that_cannot_be_written(
    box: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = folder(box, tmp_path / "i.db")
    one.list()
    limit = one.index._db.execute("pragma page_count").fetchone()[0]
    one.index._db.execute(f"pragma max_page_count={limit}")  # the disk is full
    with box.open("a") as f:
        f.writelines(text(i, "x") for i in range(6, 2000))
    one.list()
    assert one.view.count == 1999
    assert one.index.path is None
    assert "kept in memory" in caplog.text
    one.delete([1])
    assert next(iter(one.view)) == 2
    assert derive_few(one) is False
    one.close()


def test_derive(box: Path, tmp_path: Path) -> None:
    one = folder(box, tmp_path / "i.db")
    one.list()
    seen: list[str] = []
    derive(one, lambda p: seen.append(str(p)))
    assert seen == ["head 5 5", "body 5 5", "text 5 5", "done"]
    message = one.message(3)
    assert message is not None
    row = one.index.body(3)
    assert row is not None
    stored = text(3).encode()
    assert row[0] == hashlib.sha1(stored[:-1]).digest()
    assert row[1] == 1
    assert message.body.lines == 1
    # what was derived goes with the octets it came from
    box.write_text(box.read_text().replace("Subject: 3\n", "Subject: 3\nStatus: O\n"))
    one.list()
    assert one.index.head(3) is None
    assert one.index.head(1) is None
    assert derive_few(one)
    # an append leaves the others alone
    with box.open("a") as f:
        f.write(text(6))
    one.list()
    assert one.index.head(3) is not None
    assert one.index.head(6) is None
    # and so do flags, ours and others'
    derive_few(one)
    one.set_flags([(1, Flag.SEEN, Flag(0))])
    two = folder(box, tmp_path / "2.db")
    two.list()
    two.set_flags([(2, Flag.SEEN, Flag(0))])
    one.list()
    row_of = one.view.row(2)
    assert row_of is not None
    assert one.view.listing.flags[row_of] & Flag.SEEN
    assert not list(one.index.missing("head"))
    one.close()
    two.close()


def test_derive_passes_over_what_cannot_be_read(box: Path, tmp_path: Path) -> None:
    maildir = tmp_path / "Maildir"
    for name in ("cur", "new", "tmp"):
        (maildir / name).mkdir(parents=True)
    for i in range(3):
        (maildir / f"new/{i + 1}.x").write_text(f"Subject: {i}\n\n")
    one = folder(maildir, tmp_path / "i.db")
    one.list()
    (maildir / "new/2.x").unlink()
    derive(one, lambda _: None)
    assert list(one.index.missing("head")) == []
    assert one.view.count == 2
    one.close()


PROGRESS = ["listed 5", "head 3 10", "body 10 10", "done"]


@pytest.mark.parametrize("line", PROGRESS)
def test_progress(line: str) -> None:
    assert str(Progress.parse(line + "\n")) == line


def test_build_tells_errors(tmp_path: Path) -> None:
    started = Build(str(tmp_path / "nonesuch"), Place(tmp_path, "me"), tmp_path)
    with pytest.raises(MailfsError, match=r"file does not exist|status 1"):
        started.wait_listed()
    started.stop()
    assert not started.running


def test_build_can_be_stopped(
    box: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 60\n")
    silent.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(silent))
    started = Build(str(box), Place(box.parent, "me"), tmp_path)
    assert started.running
    started.stop()
    assert not started.running
    assert started.error == "index process ended with status -15"


def in_loop(
    box: Path, cache: Path, work: Callable[[Mailbox], Coroutine[Any, Any, None]]
) -> None:
    """Run work on an open mailbox."""

    async def main() -> None:
        driver = open_store(str(box), Place(cache / "root", "me"))
        mailbox = Mailbox("mbox", str(box), driver, cache)
        await mailbox.open()
        try:
            await work(mailbox)
        finally:
            await mailbox.close()

    asyncio.run(main())


def test_waiters_share_a_listing_and_may_leave(box: Path, tmp_path: Path) -> None:
    async def work(mailbox: Mailbox) -> None:
        with box.open("a") as f:
            f.write(text(6))
        gate = threading.Event()
        blocker = asyncio.ensure_future(mailbox.run(gate.wait))
        await asyncio.sleep(0)
        first, second = mailbox.refresh(), mailbox.refresh()
        assert first is not None
        assert second is not None
        impatient = asyncio.ensure_future(first)
        patient = asyncio.ensure_future(second)
        await asyncio.sleep(0.01)
        impatient.cancel()
        gate.set()
        await patient
        await blocker
        assert impatient.cancelled()
        assert list(mailbox.view) == [1, 2, 3, 4, 5, 6]

    in_loop(box, tmp_path, work)


def test_a_change_outlives_whoever_asked(box: Path, tmp_path: Path) -> None:
    async def work(mailbox: Mailbox) -> None:
        gate = threading.Event()
        blocker = asyncio.ensure_future(mailbox.run(gate.wait))
        asked = asyncio.ensure_future(mailbox.delete([2]))
        await asyncio.sleep(0.01)
        asked.cancel()
        await asyncio.sleep(0)
        gate.set()
        await blocker
        await mailbox.delete([3])
        assert list(mailbox.view) == [1, 4, 5]

    in_loop(box, tmp_path, work)


def test_a_message_read_before_goes_on(box: Path, tmp_path: Path) -> None:
    long = "y" * 79 + "\n"
    with box.open("a") as f:
        f.write(text(6, long * 5000))

    async def work(mailbox: Mailbox) -> None:
        message = mailbox.message(6)
        assert message is not None
        assert not message.ready(Need.WHOLE)
        assert message.ready(Need.HEAD)
        octets = message.octets.read(0, 50)
        await mailbox.delete([1, 6])
        assert message.octets.read(0, 50) == octets
        assert mailbox.message(6) is None
        assert mailbox.message(2) is mailbox.message(2)

    in_loop(box, tmp_path, work)


def test_many_messages_do_not_stay_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "many"
    path.write_text("".join(text(i) for i in range(1, 500)))

    async def work(mailbox: Mailbox) -> None:
        for number in mailbox.view:
            mailbox.message(number)
        assert len(mailbox._recent) == 64

    in_loop(path, tmp_path, work)


@pytest.mark.parametrize("latin", [False, True])
def test_long_bodies_are_decoded_outside_memory(tmp_path: Path, latin: bool) -> None:
    line = ("é" * 1000 + "\n").encode("latin-1" if latin else "utf-8")
    data = line * (IN_MEMORY // len(line) + 1000)
    encoded = base64.encodebytes(data).decode()
    header = "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n"
    path = tmp_path / "long"
    path.write_text(f"From a@b {DATE}\n{header}\n{encoded}\n")
    want = ("é" * 1000 + "\n").encode() * (len(data) // len(line))

    async def work(mailbox: Mailbox) -> None:
        message = mailbox.message(1)
        assert message is not None
        item = Entity(mailbox, message)
        assert not item.ready(Need.WHOLE)
        body = await mailbox.run(item.body)
        assert isinstance(body, Spilled)
        assert len(body) == len(want) == item.body_length()
        middle = len(want) // 2
        assert body.read(middle, middle + 9999) == want[middle : middle + 9999]
        assert body.read(len(body) - 3, len(body) + 9) == want[-3:]
        assert not message.bodies

    in_loop(path, tmp_path, work)


def test_long_plain_text_is_read_from_the_store(tmp_path: Path) -> None:
    body = "plain enough é\n" * (STREAM // 10)
    path = tmp_path / "plain"
    path.write_text(text(1, body))

    async def work(mailbox: Mailbox) -> None:
        message = mailbox.message(1)
        assert message is not None
        found = await mailbox.run(Entity(mailbox, message).body)
        assert isinstance(found, Slice)
        assert found.read(0, len(found)) == body.encode()

    in_loop(path, tmp_path, work)


def test_status(box: Path, tmp_path: Path) -> None:
    async def work(mailbox: Mailbox) -> None:
        status = dict(mailbox.status())
        assert status["kind"] == "mbox"
        assert status["messages"] == "5"
        assert status["state"] == "ready"
        box.unlink()  # noqa: ASYNC240
        waiting = mailbox.refresh()
        assert waiting is not None
        await waiting
        status = dict(mailbox.status())
        assert status["state"] == "error"
        assert status["error"] == "file does not exist"

    in_loop(box, tmp_path, work)


def test_a_torn_index_is_no_trouble(box: Path, tmp_path: Path) -> None:
    async def nothing(mailbox: Mailbox) -> None:
        assert mailbox.view.count == 5

    in_loop(box, tmp_path, nothing)
    (path,) = tmp_path.rglob("*.db")
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    in_loop(box, tmp_path, nothing)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("pragma quick_check").fetchone() == ("ok",)


def test_closing_stops_the_index_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 60\n")
    silent.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(silent))
    path = tmp_path / "many"
    path.write_text("".join(text(i) for i in range(200)))
    seen: list[Build | None] = []

    async def work(mailbox: Mailbox) -> None:
        while mailbox._build is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert dict(mailbox.status())["state"] == "indexing"
        seen.append(mailbox._build)

    in_loop(path, tmp_path, work)
    assert seen[0] is not None
    assert not seen[0].running
