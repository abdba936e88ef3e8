"""What is in the queue: a row for each message, from its files."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mailfs.attr import quote
from mailfs.msg.escape import unescape
from mailfs.queue import retry, spool
from mailfs.queue.control import BadControl
from mailfs.queue.retry import Times
from mailfs.queue.spool import Job

MAX_ERRORS = 8192  # octets of the end of E.NAME that are looked at


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One queued message; times are seconds since the epoch, sizes octets.

    state is ``new``, ``waiting`` (it was tried), ``held`` or ``broken``; due is when it
    may be tried; error the last word of a server.
    """

    job: Job
    state: str
    size: int
    queued: float
    tried: float | None
    due: float
    sender: str = ""
    host: str = ""
    rcpts: tuple[str, ...] = ()
    error: str = ""

    def attrs(self) -> str:
        """Return the row as attr=value on one line; ndb(6), quoted as rc does."""
        pairs = [
            ("job", self.job.ident),
            ("state", self.state),
            ("size", str(self.size)),
            ("queued", f"{self.queued:.0f}"),
            ("tried", f"{self.tried:.0f}" if self.tried is not None else ""),
            ("due", f"{self.due:.0f}"),
            ("from", self.sender),
            ("host", self.host),
            *(("to", rcpt) for rcpt in self.rcpts),
            ("error", self.error),
        ]
        return " ".join(f"{name}={quote(told)}" for name, told in pairs if told)


def rows(folders: Iterable[Path]) -> Iterator[QueueRow]:
    """Yield a row for each message of the directories, oldest names first."""
    for folder in folders:
        for job in spool.jobs(folder, held=True):
            row = _row(job)
            if row is not None:
                yield row


def _row(job: Job) -> QueueRow | None:
    """Return a message's row, None if it has gone meanwhile."""
    try:
        st = job.path("D").lstat()
    except FileNotFoundError:
        return None
    times = Times(st.st_mtime, spool.age(job.path("E")))
    due = retry.due(times, job.name)
    state = "held" if job.held else "new" if times.tried is None else "waiting"
    try:
        words = job.words()
    except FileNotFoundError:
        return None
    except (OSError, BadControl) as e:
        return QueueRow(
            job, "broken", st.st_size, times.queued, times.tried, due, error=str(e)
        )
    return QueueRow(
        job,
        state,
        st.st_size,
        times.queued,
        times.tried,
        due,
        unescape(words[1]),
        words[2],
        tuple(map(unescape, words[3:])),
        _last(job),
    )


def _last(job: Job) -> str:
    """Return the last line of what went wrong."""
    try:
        with open(job.open("E"), "rb") as f:
            f.seek(0, 2)
            f.seek(max(0, f.tell() - MAX_ERRORS))
            lines = f.read(MAX_ERRORS).decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def text(folders: Iterable[Path]) -> str:
    """Return the rows as a file has them, a line each."""
    return "".join(f"{row.attrs()}\n" for row in rows(folders))
