"""The keys of a verb that logs in: the factotum's, or those of a person at a terminal.

A server logs in in threads of its mailboxes, and its main thread has the signals; so
a question is asked there, and Ctrl-C ends it.
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from mailfs.attr import Attrs, lines, parse, typed, without
from mailfs.errors import MailfsError

if TYPE_CHECKING:
    from mailfs.factotum.client import Factotum
    from mailfs.factotum.private import PrivateFactotum
    from mailfs.where import DialString


def at_terminal() -> bool:
    """Whether a person can be asked: on a terminal, and in its foreground."""
    try:
        return os.isatty(0) and sys.stderr.isatty() and os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _nothing() -> None:
    """Do nothing before a question."""


class LoginKeys:
    """Makes the connections to the factotum by which mailboxes log in.

    While a server starts, a factotum that was started a moment ago is waited for; at
    a terminal a key that is missing is asked for, and where no factotum runs it is
    held in this process until the end of the run.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None  # while it starts
        self._asks = False
        self._before: Callable[[], None] = _nothing
        self._one = threading.Lock()  # held while a person is asked
        self._private: PrivateFactotum | None = None

    def __call__(self) -> "Factotum":
        """Make a connection, dialled at the first question."""
        from mailfs.factotum.client import Factotum
        from mailfs.p9.dial import dial, dial_soon

        starts = self._loop is not None
        agent = Factotum(
            dial=dial_soon if starts and self._private is None else dial,
            instead=self._instead if self._asks or self._private else None,
        )
        if self._asks:
            agent.getkey = lambda template: self._add(agent, template)
        return agent

    @contextmanager
    def starting(self, before: Callable[[], None] = _nothing) -> Iterator[None]:
        """Wait for the factotum and ask for keys meanwhile; on the loop's thread.

        before is called ahead of each question.
        """
        self._before = before
        self._loop, self._asks = asyncio.get_running_loop(), at_terminal()
        try:
            yield
        finally:
            self._loop, self._asks = None, False

    def close(self) -> None:
        """Forget the keys that were asked for."""
        if self._private is not None:
            self._private.__exit__(None, None, None)
            self._private = None

    def _instead(self) -> "DialString":
        """Start the factotum of this run, if it has not been."""
        from mailfs.factotum.fetch import fetcher
        from mailfs.factotum.private import PrivateFactotum

        with self._one:
            if self._private is None:
                self._private = PrivateFactotum(fetcher()).__enter__()
            return self._private.address

    def _add(self, agent: "Factotum", template: str) -> None:
        """Ask for the key of a template, unless it came meanwhile, and add it."""
        with self._one:
            wanted = parse(lines(template)[-1])
            listed = agent.keys()
            if any(_answers(key, wanted) for key in listed):
                return
            answer: Future[str] = Future()
            if self._loop is None:
                raise MailfsError("too late to ask for a key")
            self._loop.call_soon_threadsafe(self._before)
            self._loop.call_soon_threadsafe(_ask, template, answer)
            agent.control(answer.result())


def _answers(key: Attrs, wanted: Attrs) -> bool:
    names = {a.name for a in key}
    return all(
        a.name in names if a.value is None else a in key
        for a in without(wanted, "role")
    )


def _ask(template: str, answer: "Future[str]") -> None:
    """Ask for a key on the terminal, in the main thread."""
    from mailfs import where
    from mailfs.cmd import tty
    from mailfs.factotum.getkey import getkey, wanted

    asked = wanted(template)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        answer.set_result(
            getkey(
                replace(asked, attrs=typed(asked.attrs)),
                where.user(),
                say=tty.say,
                ask=tty.ask,
                ask_secret=tty.password,
            )
        )
    except KeyboardInterrupt:
        answer.set_exception(MailfsError("interrupted"))
        raise
    except (MailfsError, OSError) as e:
        answer.set_exception(e)
    finally:
        signal.signal(signal.SIGINT, before)
