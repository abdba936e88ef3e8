"""The post: the letters of one user's outbox, and the thread that sends them.

A letter that was closed is sent, here or by the next server after a crash, or it is
kept with the reason.  One that may have been sent already is never sent by itself.

Editors close files that they have not finished: they write a new file and rename it,
or save and go on.  So a closed letter rests before it is sent, and who renames,
removes, truncates or opens it to write has it back.
"""

import fcntl
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mailfs.attr import lines
from mailfs.disk.replace import sync_dir
from mailfs.errors import (
    EEXIST,
    EFULL,
    EGONE,
    EINUSE,
    ENAME,
    MailfsError,
    Refused,
    reason,
)
from mailfs.fs.outbox.letter import IDLE, Letter, LetterState
from mailfs.fs.outbox.schedule import Schedule
from mailfs.mailbox.driver import Place

if TYPE_CHECKING:
    from mailfs.send.result import Result

log = logging.getLogger(__name__)

FOLDER = "outbox"  # in the user's mail directory
MAX_LETTERS = 1000  # in the outbox at once
MAX_HANDLES = 100  # fids that have letters open; each takes a descriptor
MAX_QUEUED = 100  # of which the status is remembered
MAX_NAME = 200  # octets, so that what stands before and after it fits too
REST = 2.0  # seconds from the close of a letter until it is sent
SYNCED = 0.3  # seconds for one put on disk by its writer: only a rename may follow
FAREWELL = 3.0  # seconds for letters to be sent when the server ends
STATUS = "status"
SUFFIX = ".status"

_UNSURE = "error interrupted while being queued: it may have been sent\n"

Send = Callable[[Place, bytes, Sequence[str]], "Sequence[Result]"]
"""Send the octets of a letter, to some only of its recipients if any are given."""


def send(place: Place, octets: bytes, todo: Sequence[str]) -> "Sequence[Result]":
    """Send a letter; see outbox/send, which a server that sends nothing never loads."""
    from mailfs.fs.outbox.send import send as submit

    return submit(place, octets, todo)


class Post:
    """The letters of one outbox.  Used from the event loop, it has its own thread."""

    def __init__(self, place: Place, send: Send = send, rest: float = REST) -> None:
        """Take up what an earlier server left, and send what was closed.

        rest is how many seconds a letter stays closed before it is sent.
        """
        self.place = place
        self._rest = rest
        self.folder = place.root / "mail" / "box" / place.user / FOLDER
        self._send = send
        self._letters: dict[str, Letter] = {}
        self.handles = 0  # letters that are open, by fids
        self._number = 0
        self._lock: int | None = None
        self._guard = threading.Lock()  # over states, which the thread changes too
        self._schedule = Schedule(self._post)
        self._take_up()

    def __iter__(self) -> Iterator[Letter]:
        with self._guard:
            return iter(list(self._letters.values()))

    def get(self, name: str) -> Letter | None:
        """Return the letter called name, even if only its status is left."""
        return self._letters.get(name)

    def check_handles(self) -> None:
        """Raise Refused unless one more letter may be opened."""
        if self.handles >= MAX_HANDLES:
            raise Refused("too many letters are open")

    def create(self, name: str) -> Letter:
        """Make a letter.  Raises Refused or OSError."""
        self.check_name(name)
        with self._guard:
            there = self._letters.get(name)
            if there is not None and there.there:
                raise Refused(EEXIST)
            if sum(one.there for one in self._letters.values()) >= MAX_LETTERS:
                raise Refused(EFULL)
            self._own()
            if there is not None:
                there.remove()
            letter = Letter(self.folder, name, self._next(), LetterState.DRAFT)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            os.close(os.open(letter.path(), flags, 0o600))
            letter.measure()
            letter.changed = True
            self._letters[name] = letter
        return letter

    def check_name(self, name: str) -> None:
        """Raise Refused for what no letter can be called."""
        if name in (STATUS, ".", "..") or name.endswith(SUFFIX):
            raise Refused(EEXIST)
        if len(name.encode()) > MAX_NAME or not name.isprintable() or "/" in name:
            raise Refused(ENAME)

    def rename(self, letter: Letter, name: str) -> None:
        """Rename a letter that is not being sent; send it unless the name holds it."""
        self.check_name(name)
        with self._guard:
            self._wake(letter)
            letter.check_idle()
            if letter.writers:
                raise Refused(EINUSE)
            there = self._letters.get(name)
            if there is not None and there is not letter:
                if there.there and there.state is not LetterState.REFUSED:
                    raise Refused(EEXIST)
                there.remove()
            old, status, todo = letter.path(), letter.status, letter.todo
            letter.forget_status()
            del self._letters[letter.name]
            letter.name = name
            os.rename(old, letter.path())
            self._letters[name] = letter
            letter.changed = True
            if letter.state is LetterState.REFUSED:
                letter.todo = todo
            if letter.held or letter.broken or not letter.size:
                if status:
                    letter.tell(status)
                return
        self.close(letter, rest=0)

    def wake(self, letter: Letter) -> None:
        """Take back a letter that rests: it is about to be changed."""
        with self._guard:
            self._wake(letter)

    def _wake(self, letter: Letter) -> None:
        if letter.state is LetterState.CLOSED and self._schedule.cancel(letter):
            letter.become(LetterState.DRAFT)
            letter.changed = True

    def synced(self, letter: Letter) -> None:
        """Note that its writer has put a letter on disk: it is as good as finished."""
        letter.synced = True
        self._schedule.hurry(letter)

    def remove(self, letter: Letter) -> None:
        """Remove a letter, or what is left of one."""
        with self._guard:
            self._wake(letter)
            if letter.state in (LetterState.CLOSED, LetterState.SENDING):
                raise Refused(EINUSE)
            if letter.state is LetterState.REMOVED:
                raise Refused(EGONE)
            letter.remove()
            self._letters.pop(letter.name, None)

    def close(self, letter: Letter, rest: float | None = None) -> None:
        """Send a letter that nobody writes any more, unless it is held or empty.

        It rests first, for so many seconds if given.  When this returns it is sure to
        be sent or kept, even if we are killed.
        """
        with self._guard:
            letter.measure()
            idle = letter.state in IDLE
            if letter.writers or not letter.changed or not idle:
                return
            if letter.held or letter.broken or not letter.size:
                return
            try:
                letter.become(LetterState.CLOSED)
            except OSError as e:
                letter.status = f"error {reason(e)}\n"
                return
            letter.changed = False
            if rest is None:
                rest = min(self._rest, SYNCED) if letter.synced else self._rest
            letter.synced = False
            self._schedule.put(letter, rest)

    def settle(self, timeout: float | None = None) -> bool:
        """Wait until every letter that was closed is queued or refused.

        Return whether that is so within so many seconds.
        """
        return self._schedule.settle(timeout)

    def stop(self) -> None:
        """End the thread, and let another server have the outbox."""
        self._schedule.stop()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _own(self) -> None:
        """Be the one server that sends from the directory.  Raises Refused if not."""
        if self._lock is not None:
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(
            self.folder / "L.outbox", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            raise Refused("outbox is another server's") from None
        self._lock = fd

    def _take_up(self) -> None:
        """Read the directory, if there is one and it is ours."""
        if not self.folder.is_dir():
            return
        with suppress(Refused):
            self._own()
        if self._lock is None:
            return
        states = {state.value: state for state in LetterState if state.value}
        found: dict[str, set[LetterState]] = {}
        for entry in sorted(os.scandir(self.folder), key=lambda e: e.stat().st_mtime):
            letter, _, name = entry.name.partition(".")
            if letter in states and name:
                found.setdefault(name, set()).add(states[letter])
        for name, had in found.items():
            self._resume(name, had)

    def _resume(self, name: str, had: set[LetterState]) -> None:
        files = had - {LetterState.QUEUED}
        state = next((s for s in LetterState if s in files), LetterState.QUEUED)
        letter = self._letters[name] = Letter(self.folder, name, self._next(), state)
        with suppress(OSError, UnicodeDecodeError):
            letter.status = letter.path(LetterState.QUEUED).read_text()
        letter.todo = refused(letter.status)
        if state is LetterState.SENDING:
            letter.become(LetterState.REFUSED)
            letter.tell(_UNSURE)
        elif state is LetterState.CLOSED:
            self._schedule.put(letter)
        elif state is LetterState.QUEUED:
            self._trim()

    def _post(self, letter: Letter) -> None:
        """Send a letter; in the thread."""
        try:
            with open(letter.path(), "rb") as file:
                os.fsync(file.fileno())
                octets = file.read()
            with self._guard:
                letter.become(LetterState.SENDING)
            sync_dir(str(self.folder))
            results = self._send(self.place, octets, letter.todo)
        except (MailfsError, OSError) as e:
            why = reason(e) if isinstance(e, OSError) else " ".join(str(e).split())
            self._refuse(letter, f"error {why}\n")
        except Exception:
            log.exception("unexpected error while sending a letter")
            self._refuse(letter, "error unexpected, see the server's log\n")
        else:
            self._done(letter, results)

    def _done(self, letter: Letter, results: "Sequence[Result]") -> None:
        status = "".join(map(_line, results))
        if any(one.refused for one in results):
            self._refuse(letter, status)
            return
        with self._guard:
            letter.tell(status)
            with suppress(OSError):
                letter.path().unlink()
            letter.state = LetterState.QUEUED
            letter.version += 1
            self._trim()

    def _refuse(self, letter: Letter, status: str) -> None:
        with self._guard:
            letter.tell(status)
            letter.todo = refused(status)
            try:
                letter.become(LetterState.REFUSED)
            except OSError as e:
                log.warning("outbox: %s: %s", letter.name, reason(e))

    def _trim(self) -> None:
        """Forget the oldest of what was queued."""
        queued = [
            one for one in self._letters.values() if one.state is LetterState.QUEUED
        ]
        for letter in queued[: max(len(queued) - MAX_QUEUED, 0)]:
            letter.remove()
            del self._letters[letter.name]


def _line(result: "Result") -> str:
    text = " ".join(result.text.split())
    return f"to {result.recipient} {result.state.value} {text}".rstrip() + "\n"


def refused(status: str) -> tuple[str, ...]:
    """Return the recipients that a status says were refused, if others were not."""
    rows = [line.split(" ", 3) for line in lines(status)]
    fates = [row[1:3] for row in rows if row[0] == "to" and len(row) > 2]
    left = dict.fromkeys(addr for addr, fate in fates if fate == "refused")
    return tuple(left) if len(left) < len({addr for addr, _ in fates}) else ()


_posts: dict[tuple[Path, str], Post] = {}


def post(place: Place) -> Post:
    """Return the post of a user below a root: one for all who attach.

    Its first call takes up what an earlier server left.
    """
    key = (place.root, place.user)
    if key not in _posts:
        _posts[key] = Post(place)
    return _posts[key]


def settle(timeout: float = FAREWELL) -> None:
    """Send what was closed, as the server ends; the next one sends what is left."""
    for one in _posts.values():
        if not one.settle(timeout):
            log.warning(
                "outbox: letters of %s are sent at the next start", one.place.user
            )
