"""Doing all checks side by side, each for a limited time."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from mailfs.doctor.finding import Finding, bad
from mailfs.errors import MailfsError, reason

LIMIT = 6  # times the timeout of one answer: what a whole check may take

Check = Callable[[], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class ProbeJob:
    """A check and what it is called."""

    what: str
    check: Check


def run(jobs: Sequence[ProbeJob], seconds: float) -> Iterator[Finding]:
    """Yield the jobs' findings in the order of the jobs; a job has so many seconds.

    A thread that still waits is left behind: it must not keep the process.
    """
    end = time.monotonic() + seconds
    lines = [_start(job) for job in jobs]
    for job, line in zip(jobs, lines, strict=True):
        while True:
            try:
                found = line.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                yield bad(job.what, f"timed out after {seconds:.0f} s")
                break
            if found is None:
                break
            if not isinstance(found, Finding):
                raise found
            yield found


def _start(job: ProbeJob) -> "queue.SimpleQueue[Finding | BaseException | None]":
    line: queue.SimpleQueue[Finding | BaseException | None] = queue.SimpleQueue()

    def work() -> None:
        try:
            for found in job.check():
                line.put(found)
        except OSError as e:
            name = f"{e.filename}: " if isinstance(e.filename, str) else ""
            line.put(bad(job.what, f"{name}{reason(e)}"))
        except MailfsError as e:
            line.put(bad(job.what, str(e)))
        except BaseException as e:  # noqa: BLE001  # raised again by who waits
            line.put(e)
        line.put(None)

    threading.Thread(target=work, name=job.what, daemon=True).start()
    return line
