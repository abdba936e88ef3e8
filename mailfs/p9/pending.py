"""The requests of one session that wait for their answers; flush(5).

A request is a task and the functions that finish it.  Flushing cancels the task; the
Rflush goes out when the task has ended, behind the reply if there is one after all.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from mailfs.errors import EIO, MailfsError, Refused
from mailfs.p9.budget import Budget
from mailfs.p9.errstr import EINTERRUPTED
from mailfs.p9.fcall import Rflush
from mailfs.p9.reply import empty, refusal, rerror

log = logging.getLogger(__name__)

ETOOMANY = "too many outstanding requests"

Commit = Callable[[Any], bytes]
"""Take what a File answered and return the reply."""


class Waiting:
    """One request that waits.  Flushes are the tags of the Tflushes that name it."""

    __slots__ = ("after", "commit", "cost", "dropped", "flushes", "stay", "tag", "task")

    def __init__(
        self,
        tag: int,
        task: "asyncio.Future[Any]",
        commit: Commit,
        after: Callable[[], None],
        *,
        cost: int,
        stay: bool,
    ) -> None:
        self.tag = tag
        self.task = task
        self.commit = commit
        self.after = after
        self.cost = cost  # octets that the request or its reply may hold
        self.stay = stay  # to be finished even if flushed: the fid is gone already
        self.flushes: list[int] = []
        self.dropped = False  # the session has ended: nobody is told


class Pending:
    """Waiting requests by tag.  A pending Tflush stands under its own tag too."""

    def __init__(
        self,
        send: Callable[[bytes], None],
        msize: int,
        limit: int,
        held: int,
        budget: Budget | None = None,
    ) -> None:
        self.tags: dict[int, Waiting] = {}
        self.msize = msize
        self.words: Callable[[str], str] = str  # what an error text is told as
        self._send = send
        self._limit = limit  # requests
        self._room = held  # octets
        self._budget = budget or Budget()
        self._tasks: set[asyncio.Future[Any]] = set()

    def wait(
        self,
        tag: int,
        later: Awaitable[Any],
        commit: Commit,
        after: Callable[[], None],
        *,
        cost: int = 0,
        stay: bool = False,
    ) -> None:
        """Let the request tag wait for later; then send what commit makes of it.

        After runs in any case, flushed or refused included.  Raises Refused if too
        much is waiting already.
        """
        room = min(self._room, self._budget.held - self._budget.unread)
        # One request may always wait, or a crowd could shut a client out.
        if len(self.tags) >= self._limit or (cost > room and self.tags):
            discard(later)
            after()
            raise Refused(ETOOMANY)
        task = asyncio.ensure_future(later)
        waiting = Waiting(tag, task, commit, after, cost=cost, stay=stay)
        self.tags[tag] = waiting
        self._room -= cost
        self._budget.held -= cost
        self._tasks.add(task)
        task.add_done_callback(partial(self._finish, waiting))

    def _finish(self, waiting: Waiting, task: "asyncio.Future[Any]") -> None:
        self._tasks.discard(task)
        self._room += waiting.cost
        self._budget.held += waiting.cost
        reply = self._outcome(waiting, task)
        waiting.after()
        if waiting.dropped:
            return
        del self.tags[waiting.tag]
        if reply:
            self._send(reply)
        for tag in waiting.flushes:
            del self.tags[tag]
            self._send(empty(tag, Rflush))

    def _outcome(self, waiting: Waiting, task: "asyncio.Future[Any]") -> bytes:
        tag = waiting.tag
        if task.cancelled():
            flushed = waiting.flushes or waiting.dropped
            return b"" if flushed else self._rerror(tag, EINTERRUPTED)
        try:
            return waiting.commit(task.result())
        except (MailfsError, OSError) as e:
            return self._rerror(tag, refusal(e))
        except Exception:
            log.exception("unexpected error while answering a request")
            return self._rerror(tag, EIO)

    def _rerror(self, tag: int, text: str) -> bytes:
        return rerror(tag, self.words(text), self.msize)

    def flush(self, tag: int, oldtag: int) -> None:
        """Answer Tflush: at once if oldtag is not waiting, else when it has ended.

        The flush of a flush waits for the request that the first one named.
        """
        waiting = self.tags.get(oldtag)
        if waiting is None:
            self._send(empty(tag, Rflush))
            return
        waiting.flushes.append(tag)
        self.tags[tag] = waiting
        if not waiting.stay:
            waiting.task.cancel()

    def background(self, later: Awaitable[Any]) -> None:
        """Let later run to its end with nobody to be told of it."""
        task = asyncio.ensure_future(later)
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: "asyncio.Future[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("after a fid was gone: %r", error)

    def drop(self) -> None:
        """End all requests without a reply; what they hold is let go as they end."""
        for waiting in set(self.tags.values()):
            waiting.dropped = True
            if not waiting.stay:
                waiting.task.cancel()
        self.tags.clear()

    async def settle(self) -> None:
        """Wait until nothing that was begun is still running."""
        while self._tasks:
            await asyncio.wait(self._tasks)
            await asyncio.sleep(0)  # the tasks' callbacks run, and may begin others


def discard(later: Awaitable[Any]) -> None:
    """Let go of something nobody will wait for."""
    if isinstance(later, asyncio.Future):
        later.cancel()
    elif isinstance(later, Coroutine):
        later.close()
