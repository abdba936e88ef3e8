"""How a queued message leaves: by our own client, or by the command runq was given."""

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from mailfs.errors import MailfsError, reason
from mailfs.queue.spool import Claim
from mailfs.runq import call, script
from mailfs.runq.call import REPORT
from mailfs.runq.prefork import Prefork
from mailfs.send import command
from mailfs.site.site import Site
from mailfs.smtp.client import HostUnreachable, SmtpClient, SmtpMail
from mailfs.smtp.fate import DeliveryError, Fate, failed, read
from mailfs.smtp.limit import QUIET, Cut, DeliveryLimit
from mailfs.smtp.options import Options
from mailfs.smtp.source import FileSource

RETRY = (2, 75)  # exit statuses that ask for another try: plan9port's, sysexits(3)'s
MAX_REPORT = 1 << 20  # octets of what a command tells
COMMAND = 1800.0  # seconds a command may take
ENDING = 3.0  # seconds it has to end once it is told to
MAX_ERRORS = 4096  # octets of what it says on standard error that go into a report


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an attempt: a fate for each recipient.

    down says that the host could not be talked to at all, so that others for it need
    not be tried now.
    """

    fates: tuple[Fate, ...]
    down: bool = False

    @property
    def idle(self) -> bool:
        """Whether no recipient's fate is settled."""
        return all(fate.temporary for fate in self.fates)


class Transport(Protocol):
    """A way to deliver messages; safe in any thread.

    quiet  seconds of an attempt without a word from the other side, after which it is
           slow: then it no longer counts as one of the messages under way
    slow   attempts of that kind there may be besides
    """

    @property
    def quiet(self) -> float:
        """See above."""

    @property
    def slow(self) -> int:
        """See above."""

    def __call__(self, claim: Claim, limit: DeliveryLimit) -> Outcome:
        """Deliver a message to all its recipients within limit.

        Raises nothing that is to be expected.
        """

    def prune(self) -> None:
        """Let go of what has been idle."""

    def close(self) -> None:
        """Let go of everything."""


def recipients(words: Sequence[str]) -> tuple[str, ...]:
    """Return the recipients in the words of a control file; never none."""
    return tuple(words[3:]) or (words[2],)


def host(words: Sequence[str]) -> str:
    """Make the key that messages for the same host share."""
    return words[2]


class Direct:
    """Our own client, in this process, with the options remotemail would give it."""

    quiet = QUIET
    slow = 100  # a thread and a socket each

    def __init__(self, client: Callable[[], SmtpClient]) -> None:
        """Take what makes the client, once a message needs it."""
        self._make = client
        self._client: SmtpClient | None = None
        self._lock = threading.Lock()

    def __call__(self, claim: Claim, limit: DeliveryLimit) -> Outcome:
        """Deliver a message."""
        words = claim.words
        rcpts = recipients(words)
        with self._lock:
            client = self._client = self._client or self._make()
        fd = claim.job.open("D")
        try:
            mail = SmtpMail(
                FileSource(fd), words[2], words[1], rcpts, dsn=claim.job.dsn()
            )
            return Outcome(tuple(client.deliver(mail, limit)))
        except HostUnreachable as e:
            return Outcome(tuple(failed(rcpts, e)), down=not e.permanent)
        except DeliveryError as e:
            return Outcome(tuple(failed(rcpts, e)))
        finally:
            os.close(fd)

    def prune(self) -> None:
        """End idle connections."""
        if self._client is not None:
            self._client.pool.prune()

    def close(self) -> None:
        """End all connections."""
        if self._client is not None:
            self._client.close()


class Foreign:
    """Any other command, run as runq runs it.

    It gets the words as arguments, the message on standard input, and writes to the
    errors file.  Status 0 is success, one of RETRY another try, all else failure.
    ``mailfs smtp`` in it tells each recipient's fate through REPORT.
    """

    quiet = 10.0  # it says nothing to us, so this is its time
    slow = 10  # a process each

    def __init__(self, site: Site, path: Path) -> None:
        self._site = site
        self._path = path
        self._lock = threading.Lock()
        self._calls = 0
        self._prefork: Prefork | None = None

    def __call__(self, claim: Claim, limit: DeliveryLimit) -> Outcome:
        """Run the command and wait for it."""
        rcpts = recipients(claim.words)
        errors = claim.job.path("E")
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        with (
            open(claim.job.open("D"), "rb") as data,
            open(claim.job.open("E", append), "ab") as err,
            tempfile.TemporaryFile() as report,
        ):
            said = err.tell()
            try:
                status = self._run(claim, limit, data, err, report)
            except OSError as e:
                error = DeliveryError(f"{self._path}: {reason(e)}", permanent=False)
                return Outcome(tuple(failed(rcpts, error)), down=True)
            told = _told(report)
        if status == 0:
            return Outcome(tuple(told.get(r, Fate(r, True)) for r in rcpts))
        error = DeliveryError(
            _tail(errors, said) or f"{self._path} ended with status {status}",
            permanent=status > 0 and status not in RETRY,
        )
        fates = [told.get(f.rcpt, f) for f in failed(rcpts, error)]
        return Outcome(tuple(fates), down=not error.permanent and not told)

    def _run(
        self,
        claim: Claim,
        limit: DeliveryLimit,
        data: BinaryIO,
        err: BinaryIO,
        report: BinaryIO,
    ) -> int:
        told = {REPORT: str(report.fileno())}
        if (path := self._loaded()) is not None:
            told[call.SOCKET] = path
        env = command.environment(self._site, **told)
        argv = command.resolve(self._site, [str(self._path), *claim.words])
        with subprocess.Popen(  # noqa: S603  # the command runq was told to run
            argv,
            stdin=data,
            stdout=subprocess.DEVNULL,
            stderr=err,
            env=env,
            # With the lock: if we are killed, nobody else begins before it ends.
            pass_fds=(report.fileno(), claim.fd),
            start_new_session=True,
        ) as process:
            return _wait(process, limit)

    def _loaded(self) -> str | None:
        """Name the process that has smtp loaded, from the second message on.

        None if it cannot be started, or the command does not look as if it used it.
        """
        with self._lock:
            self._calls += 1
            if self._calls == 2 and self._uses_smtp():
                with suppress(OSError):
                    self._prefork = Prefork(command.environment(self._site))
            return None if self._prefork is None else self._prefork.path

    def _uses_smtp(self) -> bool:
        with suppress(OSError), self._path.open("rb") as f:
            return b"mailfs smtp" in f.read(script.MAX_SCRIPT)
        return False

    def prune(self) -> None:
        """Keep all: there is little."""

    def close(self) -> None:
        """End the process that has smtp loaded."""
        with self._lock:
            if self._prefork is not None:
                self._prefork.close()
                self._prefork = None


def _wait(process: "subprocess.Popen[bytes]", limit: DeliveryLimit) -> int:
    """Wait for a command; what limit ends is told to end, and made to after ENDING."""
    timers: list[threading.Timer] = []

    def later(seconds: float, act: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, act)
        timer.daemon = True
        timers.append(timer)
        timer.start()

    def send(number: int) -> None:
        with suppress(ProcessLookupError):
            if process.returncode is None:
                os.killpg(process.pid, number)

    def end() -> None:
        send(signal.SIGTERM)
        later(ENDING, lambda: send(signal.SIGKILL))

    try:
        with limit.interruptible(end):
            later(limit.left(COMMAND), end)
            return process.wait()
    except Cut:
        end()
        return process.wait()
    finally:
        for timer in timers:
            timer.cancel()


def _told(report: BinaryIO) -> dict[str, Fate]:
    report.seek(0)
    told = {}
    for line in report.read(MAX_REPORT).decode(errors="surrogateescape").split("\n"):
        try:
            fate = read(line)
        except MailfsError:
            continue  # cut off, as by a kill
        told[fate.rcpt] = fate
    return told


def _tail(path: Path, start: int) -> str:
    with path.open("rb") as f:
        f.seek(max(start, os.fstat(f.fileno()).st_size - MAX_ERRORS))
        return f.read(MAX_ERRORS).decode(errors="replace").strip()


def choose(
    site: Site, path: Path, client: Callable[[Options], SmtpClient]
) -> Transport:
    """Make the transport of the command at path: in process for a plain remotemail.

    Raises OSError if the command cannot be read.
    """
    options = script.options(path)
    if options is None:
        return Foreign(site, path)
    return Direct(lambda: client(options))
