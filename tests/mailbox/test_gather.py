"""Wishes gathered into batches, and reading ahead."""

import asyncio
from array import array
from collections.abc import Sequence

import pytest

from mailfs.mailbox import gather
from mailfs.mailbox.gather import Batcher
from mailfs.mailbox.kinds import Key, Listing, MessageReader
from mailfs.mailbox.view import View, first_view


class Nothing(MessageReader):
    def read(self, key: Key, size: int, ident: int, start: int, end: int) -> bytes:
        return b""


def view(count: int, size: int = 1000) -> View:
    n = range(count)
    listing = Listing(
        signature="s",
        settled=True,
        keys=array("Q", n),
        sizes=array("Q", [size] * count),
        idents=array("Q", [i + 1 for i in n]),
        weaks=array("Q", [0] * count),
        dates=array("q", n),
        flags=bytearray(count),
        store=Nothing(),
    )
    return first_view(listing, 0)


class Server:
    """Fetches; each batch takes until go is set, and is noted."""

    def __init__(self, shown: View, most: int = 64) -> None:
        self.have: set[int] = set()
        self.batches: list[list[int]] = []
        self.error: Exception | None = None
        self.started = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()
        here = self.have.__contains__
        self.gather = Batcher(lambda: shown, here, self.fetch, most)

    async def fetch(self, numbers: Sequence[int]) -> None:
        self.batches.append(list(numbers))
        self.started.set()
        await self.go.wait()
        if self.error is not None:
            raise self.error
        self.have.update(numbers)

    async def read(self, number: int) -> None:
        if number not in self.have:
            await self.gather.want(number)
        assert number in self.have


@pytest.mark.parametrize("step", [1, -1])
def test_one_after_another(step: int) -> None:
    async def main() -> None:
        server = Server(view(200))
        numbers = range(1, 201) if step > 0 else range(200, 0, -1)
        for number in numbers:
            await server.read(number)
        assert len(server.batches) < 12
        fetched = [number for batch in server.batches for number in batch]
        assert sorted(fetched) == list(range(1, 201))  # each once
        assert max(map(len, server.batches)) <= 65

    asyncio.run(main())


def test_here_and_there_reads_nothing_ahead() -> None:
    async def main() -> None:
        server = Server(view(100))
        for number in (5, 50, 20, 90, 3):
            await server.read(number)
        assert server.batches == [[5], [50], [20], [90], [3]]

    asyncio.run(main())


def test_all_at_once_is_one_batch() -> None:
    async def main() -> None:
        server = Server(view(100))
        await asyncio.gather(*(server.read(n) for n in range(1, 101)))
        assert len(server.batches) == 1

    asyncio.run(main())


def test_what_comes_during_a_batch_goes_in_the_next() -> None:
    async def main() -> None:
        server = Server(view(100))
        server.go.clear()
        first = asyncio.ensure_future(server.read(10))
        await server.started.wait()
        rest = [asyncio.ensure_future(server.read(n)) for n in (70, 40, 70)]
        await asyncio.sleep(0)
        server.go.set()
        await asyncio.gather(first, *rest)
        assert server.batches == [[10], [70, 40]]

    asyncio.run(main())


def test_batches_are_bounded_in_octets() -> None:
    async def main() -> None:
        server = Server(view(40, gather.MAX_OCTETS // 4), most=0)
        await asyncio.gather(*(server.read(n) for n in range(1, 41)))
        assert max(map(len, server.batches)) == 4

    asyncio.run(main())


def test_a_reader_that_gives_up_takes_no_other_along() -> None:
    async def main() -> None:
        server = Server(view(10))
        server.go.clear()
        tasks = [asyncio.ensure_future(server.read(4)) for _ in range(2)]
        await server.started.wait()
        tasks[0].cancel()
        server.go.set()
        await tasks[1]
        assert server.batches == [[4]]

    asyncio.run(main())


def test_a_failure_is_told_to_all_who_wait_and_then_forgotten() -> None:
    async def main() -> None:
        server = Server(view(10))
        server.error = ConnectionError("gone")
        done = await asyncio.gather(
            *(server.read(n) for n in (1, 5)), return_exceptions=True
        )
        assert [str(e) for e in done] == ["gone", "gone"]
        server.error = None
        await server.read(1)

    asyncio.run(main())


def test_a_message_that_has_gone_is_waited_for_no_longer() -> None:
    async def main() -> None:
        server = Server(view(3))
        await server.gather.want(77)
        assert server.batches == [[77]]

    asyncio.run(main())
