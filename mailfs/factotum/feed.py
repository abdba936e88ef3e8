"""Files that give one message a read and wait for the next: log, needkey, confirm."""

import asyncio
from collections import deque

from mailfs.attr import Attrs, parse, value
from mailfs.errors import MailfsError, Refused

DEPTH = 128  # messages kept for a reader that is slow or not there yet; the oldest go
MIN_READ = 5  # octets: room for one, the dots and a newline
ASK_TIMEOUT = 600.0  # seconds a person has to answer before the asker is told no


class Feed:
    """Messages, oldest first; each goes to one read."""

    def __init__(self) -> None:
        self.opened = False
        self._messages: deque[str] = deque(maxlen=DEPTH)
        self._waiting: deque[asyncio.Future[None]] = deque()

    def put(self, text: str) -> None:
        """Add a message of one line."""
        self._messages.append(text)
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def read(self, count: int) -> bytes:
        """Wait for a message; return it with a newline, cut to count octets.

        What was cut off ends in three dots and is lost.
        """
        if count < MIN_READ:
            raise Refused("factotum: read request count too short")
        while not self._messages:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
        raw = self._messages.popleft().encode(errors="replace") + b"\n"
        if self._messages and self._waiting:
            self._wake()
        if len(raw) <= count:
            return raw
        kept = raw[: count - 4].decode(errors="ignore")  # whole characters only
        return kept.encode() + b"...\n"

    def _wake(self) -> None:
        waiter = self._waiting.popleft()
        if not waiter.done():
            waiter.set_result(None)

    def close(self) -> None:
        """Say that the reader has gone."""
        self.opened = False


class Unanswered(MailfsError):
    """Nobody has the file open, or its reader went away or took too long."""


class Questions(Feed):
    """Messages that want an answer, by tag: needkey and confirm."""

    def __init__(self, verb: str) -> None:
        super().__init__()
        self.verb = verb
        self._tag = 0
        self._asked: dict[int, asyncio.Future[Attrs]] = {}

    async def ask(self, text: str) -> Attrs:
        """Post ``verb tag=N text`` and return the attributes of the answer.

        Raises Unanswered.
        """
        if not self.opened:
            raise Unanswered(f"{self.verb} is closed")
        tag, self._tag = self._tag, self._tag + 1
        answer: asyncio.Future[Attrs] = asyncio.get_running_loop().create_future()
        self._asked[tag] = answer
        self.put(f"{self.verb} tag={tag} {text}")
        try:
            async with asyncio.timeout(ASK_TIMEOUT):
                return await answer
        except TimeoutError:
            raise Unanswered(f"{self.verb}: no answer") from None
        finally:
            del self._asked[tag]

    def write(self, text: str) -> None:
        """Take ``tag=N`` and what else the answer says.  Raises Refused."""
        if not text.strip():
            raise Refused("empty write")
        attrs = parse(text)
        tag = value(attrs, "tag")
        if tag is None:
            raise Refused("no tag")
        if self.verb == "confirm":
            _check_answer(value(attrs, "answer"))
        waiter = self._asked.get(int(tag)) if _is_number(tag) else None
        if waiter is None or waiter.done():
            raise Refused("tag not found")
        waiter.set_result(attrs)

    def close(self) -> None:
        """Say that the reader has gone, to whoever waits for its answer too."""
        super().close()
        self._messages.clear()
        for waiter in self._asked.values():
            if not waiter.done():
                waiter.set_exception(Unanswered(f"{self.verb} is closed"))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 20


def _check_answer(answer: str | None) -> None:
    if answer is None:
        raise Refused("no answer")
    if answer not in ("yes", "no"):
        raise Refused("bad answer")
