"""A site with a clock that tests move, a transport that does what they say."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mailfs.ndb import shipped
from mailfs.ndb.db import open_ndb
from mailfs.ndb.sysname import SystemNames
from mailfs.queue.spool import Claim, Job, enqueue
from mailfs.runq.attempt import RULES, QueueWorker, RetryRules
from mailfs.runq.transport import Outcome, recipients
from mailfs.site.log import SysLog
from mailfs.site.site import Site
from mailfs.smtp.fate import Fate, failed
from mailfs.smtp.limit import Cut, DeliveryLimit

DATA = b"From glenda Sun Nov 22 12:45:08 2026 remote from gnot\nSubject: x\n\nhello\n"
LOGS = ("runq", "smtp", "smtp.fail", "mail")

Answer = Callable[[tuple[str, ...]], Sequence[Fate]]


def ok(words: tuple[str, ...]) -> list[Fate]:
    return [Fate(r, True, code=250, line="250 ok") for r in recipients(words)]


def later(words: tuple[str, ...]) -> list[Fate]:
    return [
        Fate(
            r,
            False,
            code=450,
            enhanced="4.2.0",
            line="450 4.2.0 later",
            host="mx.b.com",
        )
        for r in recipients(words)
    ]


def never(words: tuple[str, ...]) -> list[Fate]:
    return [
        Fate(r, False, True, 550, "5.1.1", "550 5.1.1 nobody", "mx.b.com")
        for r in recipients(words)
    ]


@dataclass
class Fake:
    """A transport: answers by host, remembers what it was given.

    A silent host it waits for until it is cut, or for its patience in seconds.
    """

    quiet = 0.1
    slow = 8
    patience = 2.0

    answers: dict[str, Answer] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    given: list[tuple[str, ...]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    active: dict[str, int] = field(default_factory=dict)
    most: dict[str, int] = field(default_factory=dict)
    gate: threading.Barrier | None = None

    def __call__(self, claim: Claim, limit: DeliveryLimit) -> Outcome:
        words = claim.words
        host = words[2]
        with self.lock:
            self.given.append(words)
            self.active[host] = self.active.get(host, 0) + 1
            self.most[host] = max(self.most.get(host, 0), self.active[host])
        try:
            if self.gate is not None:
                self.gate.wait(20)
            if host in self.silent:
                return self._wait(words, limit)
            if host in self.down:
                fates = [
                    Fate(r, False, enhanced="4.4.1", line="connection refused")
                    for r in recipients(words)
                ]
                return Outcome(tuple(fates), down=True)
            return Outcome(tuple(self.answers.get(host, ok)(words)))
        finally:
            with self.lock:
                self.active[host] -= 1

    def _wait(self, words: tuple[str, ...], limit: DeliveryLimit) -> Outcome:
        cut, why = threading.Event(), Cut("timed out")
        try:
            with limit.interruptible(cut.set):
                cut.wait(limit.left(self.patience))
                limit.check()
        except Cut as e:
            why = e
        return Outcome(tuple(failed(recipients(words), why)), down=True)

    def prune(self) -> None:
        pass

    def close(self) -> None:
        pass


class World:
    """A root with a queue."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now = 0.0
        self.queue = root / "mail/queue"
        self.fake = Fake()
        self.told: list[tuple[str, str, bytes]] = []
        (root / "sys/log").mkdir(parents=True)
        for name in LOGS:
            (root / "sys/log" / name).touch()
        names = SystemNames("gnot.h.org", "gnot", ("gnot.h.org",))
        log = SysLog(root, "gnot", lambda: 0.0)
        self.site = Site(
            root, "glenda", open_ndb(root), names, log, {}, lambda: self.now
        )

    def put(self, *rcpts: str, host: str = "net!b.com", reply: str = "glenda") -> Job:
        words = ("mail", reply, host, *(rcpts or ("a@b.com",)))
        job = enqueue(self.queue, "glenda", DATA, words)
        self.now = max(self.now, job.path("D").stat().st_mtime)
        return job

    def tell(self, user: str, to: str, message: bytes) -> None:
        self.told.append((user, to, message))

    def worker(self, rules: RetryRules = RULES) -> QueueWorker:
        return QueueWorker(self.site, self.fake, self.tell, rules)

    def log(self, name: str = "runq") -> str:
        return (self.root / "sys/log" / name).read_text()


def remotemail() -> str:
    """Make the script as a user has to edit it: with a domain for local names."""
    text = shipped.path("remotemail").read_text()
    return text.replace("-h yourdomain.dom", "-h kremvax.org")
