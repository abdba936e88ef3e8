"""Building the index in a process of its own, for threads only wait well.

A thread that computes beside the server's loop would cut its rate to a hundredth.
So listing a large store, and reading every message for the index, is done by
``mailfs index --report``: it writes the index and tells its progress, one line a
step, on standard output.

    listed N            the view is in the index
    head DONE TOTAL     headers read
    body DONE TOTAL     messages read
    text DONE TOTAL     their words in the full text
    done                nothing is left to do
    error TEXT          it ended, and why
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mailfs.errors import MailfsError
from mailfs.mailbox.derive import Shape, body, head
from mailfs.mailbox.driver import Place
from mailfs.mailbox.feed import feed, renew, unfed
from mailfs.mailbox.folder import MailboxState
from mailfs.mailbox.kinds import Stale
from mailfs.mailbox.message import Message
from mailfs.mailbox.remotestate import RemoteState
from mailfs.mailbox.retry import rereading
from mailfs.msg import envelope, part

BATCH = 0.25  # seconds of work between two transactions
FEW = 64  # messages that are derived on the spot, without a process
SLICES = 5000  # headers asked for at once; progress is told so often
BODIES = 1000  # messages fetched at once
BODY_OCTETS = 32 << 20  # octets of them
FEW_HEADERS = 2000  # headers on a server that are fetched without a process
LITTLE = 4 << 20  # octets of them at most


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a build has come; phase is list, head, body or done."""

    phase: str
    done: int = 0
    total: int = 0

    def __str__(self) -> str:
        if self.phase == "listed":
            return f"listed {self.done}"
        return (
            self.phase
            if self.phase == "done"
            else (f"{self.phase} {self.done} {self.total}")
        )

    @classmethod
    def parse(cls, line: str) -> "Progress":
        """Read one line of a report.  Raises MailfsError with an error's text."""
        phase, _, rest = line.strip().partition(" ")
        if phase == "error":
            raise MailfsError(rest)
        numbers = [int(word) for word in rest.split()]
        return cls(phase, *numbers[:2])


Report = Callable[[Progress], None]


def derive(folder: MailboxState, report: Report, *, bodies: bool = False) -> None:
    """Put into the index what is missing there, headers first, newest mail first.

    With bodies, whole messages of a remote store are fetched into the cache as well.
    """
    if isinstance(folder, RemoteState):
        _slice(folder, list(folder.unsliced(-1)), report)
        if bodies:
            _fetch(folder, report)
    else:
        for phase in ("head", "body"):
            missing = list(folder.index.missing(phase, newest=True))
            _derive(folder, phase, missing, report)
    _feed(folder, report)
    report(Progress("done"))


def _feed(folder: MailboxState, report: Report) -> None:
    """Put the words of messages into the full text."""
    if folder.fulltext is not None:
        renew(folder.fulltext, folder.view.count)
    feed(
        folder, unfed(folder), lambda done, total: report(Progress("text", done, total))
    )


def _slice(folder: RemoteState, numbers: list[int], report: Report) -> None:
    """Fetch headers from a server."""
    total = len(numbers)
    for at in range(0, total, SLICES):
        folder.slice(numbers[at : at + SLICES])
        report(Progress("head", min(at + SLICES, total), total))


def _fetch(folder: RemoteState, report: Report) -> None:
    """Fetch the messages that the cache lacks."""
    view, total = folder.view, folder.view.count
    batch: list[int] = []
    octets = 0
    for done, number in enumerate(reversed(list(view)), 1):
        size = folder.uncached(number)
        if size is not None:
            batch.append(number)
            octets += size
        if len(batch) >= BODIES or octets > BODY_OCTETS or done == total:
            folder.fetch(batch)
            batch, octets = [], 0
            report(Progress("body", done, total))


def derive_few(folder: MailboxState) -> bool:
    """Derive what is missing if it is little; say whether nothing is left."""
    missing = folder.index.missing("body", FEW + 1)
    wordless = unfed(folder)
    if max(len(missing), len(wordless)) > FEW:
        return False
    sizes = folder.view.listing.sizes
    if sum(sizes[row] for row in folder.view.rows([*missing, *wordless])) > LITTLE:
        return False
    for phase in ("head", "body"):
        _derive(folder, phase, list(missing), lambda _: None)
    feed(folder, wordless)
    return True


def _derive(
    folder: MailboxState, phase: str, numbers: list[int], report: Report
) -> None:
    total = len(numbers)
    rows: list[tuple[object, ...]] = []
    since = time.monotonic()
    for done, number in enumerate(numbers, 1):
        row = _row(folder, phase, number)
        if row is not None:
            rows.append(row)
        if done == total or time.monotonic() - since > BATCH:
            folder.derived(partial(_put, folder, phase, rows))
            rows = []
            since = time.monotonic()
            report(Progress(phase, done, total))


def _put(folder: MailboxState, phase: str, rows: list[tuple[object, ...]]) -> None:
    if phase == "head":
        folder.index.put_heads(rows)  # type: ignore[arg-type]  # as made
    else:
        folder.index.put_bodies(rows)  # type: ignore[arg-type]  # as made


def _row(folder: MailboxState, phase: str, number: int) -> tuple[object, ...] | None:
    """Derive one message; None if it is gone or cannot be read."""
    make = _head_row if phase == "head" else _body_row

    def row(message: Message) -> tuple[object, ...] | None:
        try:
            return make(message, folder.shape)
        except OSError:
            return None  # one message that cannot be read holds up no other

    try:
        return rereading(folder, number, row)
    except Stale:
        return None


def _head_row(message: Message, shape: Shape) -> tuple[object, ...]:
    found = head(message.stored, shape)  # no more of it than the header
    return (message.number, found.start, found.body, envelope.join(found.envelope))


def _body_row(message: Message, shape: Shape) -> tuple[object, ...]:
    found = body(message.octets, shape, message.head)
    digest = bytes.fromhex(found.digest)
    return (message.number, digest, found.lines, part.dump(found.parts))


class Build:
    """The process that builds one mailbox's index, seen from the server."""

    def __init__(
        self,
        path: str,
        place: Place,
        cache: Path,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        """Start it for the mailbox at path, whose index lies below cache.

        ended is called on a thread of its own when the process has ended.
        """
        command = [sys.executable, "-P", "-m", "mailfs", "index", "--report"]
        command += ["--root", str(place.root), "--indexes", str(cache)]
        if place.net is not None:
            command += ["--cache", str(place.net.pack.limit)]
            command += ["--trust", place.net.trust.policy.value]
        if place.readonly:
            command.append("--readonly")
        if place.owner is not None:
            command += ["--owner", "{}:{}".format(*place.owner)]
        self._process = subprocess.Popen(  # noqa: S603  # our own program
            [*command, "--", path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self.progress = Progress("list")
        self.error: str | None = None
        self._listed = threading.Event()
        self._ended = ended
        self._reader = threading.Thread(target=self._follow, daemon=True)
        self._reader.start()

    def _follow(self) -> None:
        """Read the report to its end; a thread that only waits."""
        assert self._process.stdout is not None
        with self._process.stdout as report:
            for line in report:
                try:
                    self.progress = Progress.parse(line)
                except (MailfsError, ValueError) as e:
                    self.error = str(e)
                self._listed.set()
        status = self._process.wait()
        if status and self.error is None:
            self.error = f"index process ended with status {status}"
        self._ended()
        self._listed.set()

    def wait_listed(self) -> None:
        """Wait until the view is in the index.  Raises MailfsError if it never will."""
        self._listed.wait()
        if self.error is not None:
            raise MailfsError(self.error)

    @property
    def running(self) -> bool:
        """Whether the process is still at work."""
        return self._process.poll() is None

    def wait(self) -> None:
        """Wait until the process has ended, by itself or stopped."""
        self._reader.join()

    def stop(self) -> None:
        """End the process; what it has written stays."""
        if self.running:
            self._process.terminate()
        self._process.wait()
        self._reader.join()


def be_nice() -> None:
    """Leave the processors to whoever waits for an answer."""
    os.nice(10)
