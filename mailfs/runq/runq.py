"""runq put together: a queue, what delivers, who is told; qer(8)."""

import fcntl
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mailfs import where
from mailfs.errors import MailfsError
from mailfs.msg.escape import unescape
from mailfs.queue import place, spool
from mailfs.runq import transport
from mailfs.runq.attempt import RULES, QueueWorker, RetryRules
from mailfs.runq.drain import LIMITS, Drain, DrainLimits
from mailfs.runq.local import WithLocal
from mailfs.runq.users import Owner, UserDrains
from mailfs.send.refusal import Refusal
from mailfs.send.submit import submit
from mailfs.site.site import Site, here
from mailfs.smtp import make
from mailfs.smtp.client import SmtpClient
from mailfs.smtp.fate import DeliveryError
from mailfs.smtp.options import Options
from mailfs.smtp.session import Trace

log = logging.getLogger(__name__)

LOCK = ".runq"  # in the queue, locked by who watches it


@dataclass(frozen=True, slots=True)
class RunqOrder:
    """What to drain and how.

    queue     the directory of users' directories
    command   what delivers, remotemail
    users     whose directories; empty: all that are there
    """

    queue: Path
    command: Path
    users: tuple[str, ...] = ()
    rules: RetryRules = RULES
    limits: DrainLimits = LIMITS

    def every(self) -> Sequence[Path]:
        """List the directories, of whatever owner."""
        found = [self.queue / user for user in self.users]
        return found or spool.folders(self.queue)

    def folders(self) -> Sequence[Path]:
        """List the directories that this process drains itself.

        Root has those of others drained in their name; see users.py.
        """
        kept = []
        for folder in self.every():
            if place.drained(folder):
                kept.append(folder)
            elif os.geteuid() != 0:
                log.warning("%s: not ours: left alone", folder)
        return kept


def drain(site: Site, order: RunqOrder, trace: Trace = lambda line: None) -> Drain:
    """Make the drain of a queue.  Raises OSError if the command cannot be read."""

    def client(options: Options) -> SmtpClient:
        return make.client(site, options, cache=where.cache(), trace=trace)

    carry = WithLocal(site, transport.choose(site, order.command, client))

    def tell(user: str, to: str, message: bytes) -> None:
        try:
            results = submit(
                replace(site, user=user), "", [unescape(to)], message, to_line=False
            )
        except Refusal as e:
            raise DeliveryError(e.text, permanent=e.permanent) from e
        refused = [r for r in results if r.refused]
        if refused and len(refused) == len(results):
            text = f"{refused[0].address}: {refused[0].text}"
            permanent = all(r.permanent for r in refused)
            raise DeliveryError(text, permanent=permanent)

    worker = QueueWorker(site, carry, tell, order.rules)
    return Drain(order.folders, worker, order.limits, site.clock)


def users(order: RunqOrder, root: Path, trace: Trace) -> UserDrains:
    """Prepare to drain other users' directories as root.

    All that their children need is imported now: they may be unable to.
    """
    import mailfs.mailbox.drivers
    import mailfs.tls.vouch  # noqa: F401

    "x.ä".encode("idna")

    def one(folder: Path, who: Owner) -> Drain:
        return drain(here(root, who.name), replace(order, users=(folder.name,)), trace)

    return UserDrains(order.every, one)


class WatchedQueue(MailfsError):
    """Another process watches the queue already."""


def lock(queue: Path) -> int:
    """Return a descriptor that says we watch a queue, as long as it is open.

    Raises Watched if another process does, and OSError.
    """
    queue.mkdir(parents=True, exist_ok=True)
    fd = os.open(queue / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise WatchedQueue(f"{queue}: another runq watches it") from None
    return fd


def watched(queue: Path) -> bool:
    """Whether a process watches a queue, so that nobody needs to start one."""
    try:
        fd = os.open(queue / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
