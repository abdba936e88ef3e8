"""A mailbox is asleep or open, and empty is as open as any."""

import asyncio
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailfs.mailbox.driver import Place
from mailfs.mailbox.drivers import open_store
from mailfs.mailbox.mailbox import Mailbox
from mailfs.mailbox.view import NOTHING
from mailfs.poll import readable

HIGH = 1100  # a descriptor that select cannot take


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "box"
    date = "Mon Mar  2 09:00:00 2026"
    path.write_text(f"From a@b {date}\nSubject: 1\n\nbody\n\n")
    os.utime(path, (1_000_000_000, 1_000_000_000))
    return path


def test_an_emptied_mailbox_keeps_its_version(path: Path, tmp_path: Path) -> None:
    async def work() -> None:
        driver = open_store(str(path), Place(tmp_path / "root", "me"))
        box = Mailbox("mbox", str(path), driver, tmp_path / "cache")
        assert box.view is NOTHING
        await box.open()
        before = box.view
        await box.delete([1])
        assert box.view.count == 0
        assert box.view.vers == before.vers + 1
        assert box.view.mtime >= before.mtime > 0
        while not box.view.listing.settled:  # until the clock has ticked on
            await asyncio.sleep(0.05)
            await box.refreshed()
        assert [box.refresh() for _ in range(5)] == [None] * 5
        assert ("messages", "0") in box.status()
        await box.close()

    asyncio.run(work())


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe whose ends are above what select takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, HIGH + 200), hard))
    low = os.pipe()
    ends = []
    for n, fd in enumerate(low):
        os.dup2(fd, HIGH + n)
        os.close(fd)
        ends.append(HIGH + n)
    yield ends[0], ends[1]
    for fd in ends:
        os.close(fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_descriptors_above_those_of_select(pipe: tuple[int, int]) -> None:
    assert readable([pipe[0]], 0) == set()
    os.write(pipe[1], b"x")
    assert readable([pipe[0]]) == {pipe[0]}
    os.read(pipe[0], 1)
    os.close(pipe[1])
    assert readable([pipe[0]], 1.0) == {pipe[0]}  # the other end has hung up
    os.dup2(pipe[0], pipe[1])


def test_nobody_selects() -> None:
    """select.select takes no descriptor above 1023."""
    source = Path(__file__).parents[2] / "mailfs"
    users = [p for p in source.rglob("*.py") if "select.select" in p.read_text()]
    assert users == []
