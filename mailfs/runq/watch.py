"""Waking when a message comes into a queue.

One thread waits in poll(2) and costs nothing until a control file is made.  Where the
system has no inotify, it looks every LOOK seconds.
"""

import os
import select
import threading
from collections.abc import Callable
from pathlib import Path

from mailfs.disk.inotify import CREATE, MOVED_TO, OVERFLOW, Inotify
from mailfs.errors import MailfsError

LOOK = 5.0  # seconds between looks where nothing tells of changes


class QueueWatch:
    """Watches a queue and its directories from start to close."""

    def __init__(
        self, queue: Path, wake: Callable[[], None], look: float = LOOK
    ) -> None:
        """Do nothing yet; wake is called in a thread of its own."""
        self._queue = str(queue)
        self._wake = wake
        self._look = look
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ended, self._end = os.pipe()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End, and wait for the end."""
        os.close(self._end)
        self._thread.join()
        os.close(self._ended)

    def _run(self) -> None:
        try:
            notify = Inotify()
        except MailfsError:
            while not self._poll(-1, self._look):
                self._wake()
            return
        try:
            self._follow(notify)
        finally:
            notify.close()

    def _follow(self, notify: Inotify) -> None:
        top = notify.add(self._queue)
        self._enter(notify)
        # What came before the watches were in place is found by this.
        self._wake()
        while not self._poll(notify.fd, None):
            events = list(notify.read())
            fresh = any(number == top or mask & OVERFLOW for number, mask, _ in events)
            if fresh:
                self._enter(notify)
            if fresh or any(map(_is_message, events)):
                self._wake()

    def _enter(self, notify: Inotify) -> None:
        """Watch each directory of the queue; one watched already stays so."""
        with os.scandir(self._queue) as entries:
            found = [e.path for e in entries if e.is_dir(follow_symlinks=False)]
        for path in found:
            try:
                notify.add(path)
            except OSError:
                continue  # it has gone

    def _poll(self, fd: int, timeout: float | None) -> bool:
        """Wait for fd or the timeout in seconds; whether the end has come instead."""
        poll = select.poll()
        poll.register(self._ended, select.POLLIN)
        if fd >= 0:
            poll.register(fd, select.POLLIN)
        ready = poll.poll(None if timeout is None else timeout * 1000)
        return any(which == self._ended for which, _ in ready)


def _is_message(event: tuple[int, int, str]) -> bool:
    _, mask, name = event
    return bool(mask & (CREATE | MOVED_TO)) and name.startswith("C.")
