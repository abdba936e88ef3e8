"""A message is read where a new listing says it is, and no third time."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailfs.mailbox.driver import Place
from mailfs.mailbox.drivers import open_store
from mailfs.mailbox.folder import MailboxState, index_of
from mailfs.mailbox.kinds import Stale
from mailfs.mailbox.message import Message
from mailfs.mailbox.retry import rereading
from mailfs.mailboxes.retry import retrying, retrying_some


@pytest.fixture
def state(tmp_path: Path) -> Iterator[MailboxState]:
    path = tmp_path / "box"
    for name in ("new", "cur", "tmp"):
        (path / name).mkdir(parents=True)
    for number in (1, 2):
        letter = b"Subject: %d\n\nbody\n" % number
        (path / "cur" / f"{number}.x:2,").write_bytes(letter)
    driver = open_store(str(path), Place(tmp_path, "glenda"))
    state = MailboxState(driver, index_of(driver, tmp_path / "cache"))
    state.load()
    state.list()
    yield state
    state.close()


def _text(message: Message) -> bytes:
    return message.stored.read(0, 1 << 20)


def test_a_message_is_found_where_it_lies_by_now(state: MailboxState) -> None:
    view, folder = state.view, Path(state.driver.path) / "cur"
    (folder / "1.x:2,").unlink()
    (folder / "2.x:2,").rename(folder / "2.x:2,S")
    found = rereading(state, 2, _text, view)
    assert found == b"Subject: 2\n\nbody\n"
    assert rereading(state, 1, _text, view) is None
    assert rereading(state, 1, _text) is None


def test_a_store_that_changes_each_time_is_stale(state: MailboxState) -> None:
    seen = []

    def never(message: Message) -> None:
        seen.append(message.number)
        raise Stale("again")

    with pytest.raises(Stale):
        rereading(state, 2, never)
    assert seen == [2, 2]


class _Listed:
    """Counts how often it was listed."""

    def __init__(self) -> None:
        self.times = 0

    async def refreshed(self) -> None:
        self.times += 1


def test_the_second_attempt_may_be_another() -> None:
    box = _Listed()

    async def attempt() -> str:
        raise Stale("moved")

    async def again() -> str:
        return "there"

    assert asyncio.run(retrying(box, attempt, again)) == "there"
    assert box.times == 1
    with pytest.raises(Stale):
        asyncio.run(retrying(box, attempt))
    assert box.times == 2


def test_only_what_was_stale_is_attempted_again() -> None:
    box, seen = _Listed(), []

    async def attempt(numbers: object) -> list[int]:
        seen.append(numbers)
        return [2]

    asyncio.run(retrying_some(box, [1, 2, 3], attempt))
    assert seen == [[1, 2, 3], [2]]
    assert box.times == 1
