"""A mail to oneself: sent as any mail is, and seen in the tree when it comes."""

import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from mailfs.attr import lines, tokenize
from mailfs.errors import MailfsError, Refused
from mailfs.marshal import compose
from mailfs.marshal.author import author
from mailfs.marshal.dispatch import dispatch
from mailfs.marshal.draft import Draft
from mailfs.marshal.entity import tokens
from mailfs.p9.client import Client
from mailfs.site.site import Site

WAIT = 120.0  # seconds for the mail to arrive; greylisting servers take longer
TURN = 0.5  # seconds between looks at the queue
MAX_TEXT = 64 << 10  # octets of a queue's complaints

FAILURES = "sys/log/smtp.fail"
BODY = b"""\
This is the mail that mailfs setup sent to you to see that sending and receiving work.
"""


@dataclass(frozen=True, slots=True)
class Arrived:
    """Where the mail is, and how many seconds it took."""

    path: str
    seconds: float


class ArrivalWatch:
    """Who listens to a mailbox of the tree, from its entering on."""

    def __init__(self, mailbox: str) -> None:
        self._box = mailbox
        self._client = Client()
        self._told: SimpleQueue[str | MailfsError] = SimpleQueue()
        try:
            self._file = self._client.open(f"/{mailbox}/event")
        except BaseException:
            self._client.close()
            raise
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        try:
            while data := self._file.read(self._file.iounit):
                for line in lines(data.decode("utf-8", "replace")):
                    self._told.put(line)
            self._told.put(MailfsError(f"{self._box}: the mailbox was closed"))
        except MailfsError as e:
            self._told.put(e)

    def event(self, seconds: float) -> list[str] | None:
        """Return the words of the next event, None if none comes in time."""
        try:
            told = self._told.get(timeout=seconds)
        except Empty:
            return None
        if isinstance(told, MailfsError):
            raise told
        what, path, *rest = [*tokenize(told), "", ""]  # ``lost N`` has no more
        return [what, path, *rest]


def send(site: Site, address: str) -> str:
    """Send the mail and return its subject, which no other has.

    Raises MailfsError or OSError if it cannot be sent, or queued.
    """
    token = tokens(site.random)
    subject = f"mailfs setup {token()}"
    order = compose.Order(to=(address,), subject=subject)
    mail = compose.compose(
        Draft((), BODY), order, author(site), now=site.clock(), token=token
    )
    sent = dispatch(site, mail)
    if sent.refused:
        raise MailfsError(sent.refused)
    return subject


def wait(
    site: Site,
    watch: ArrivalWatch,
    subject: str,
    say: Callable[[str], None],
    *,
    since: int,
    seconds: float = WAIT,
    clock: Callable[[], float] = time.monotonic,
    progress: Callable[[str], None] = lambda text: None,
) -> Arrived | None:
    """Find the mailbox where the mail has arrived; None if it has not in time.

    Meanwhile say what the queue has to complain of, once each, and show as progress
    how long it has been; what was refused for good since the mark is not waited for.
    """
    began, said = clock(), set[str]()
    with closing(Client()) as tree:
        while clock() - began < seconds:
            progress(f"{clock() - began:.0f} s")
            words = watch.event(TURN)
            if words is not None:
                if words[0] == "new" and _subject(tree, words[1]) == subject:
                    return Arrived(f"upasfs/{words[1]}", clock() - began)
                continue
            for line in complaints(site):
                if line not in said:
                    said.add(line)
                    say(line)
            if not waiting(site) and failed(site, since):
                break
    return None


def mark(site: Site) -> int:
    """Tell the size of smtp.fail in octets, for failed to look behind them."""
    try:
        return (site.root / FAILURES).stat().st_size
    except OSError:
        return 0


def failed(site: Site, since: int) -> list[str]:
    """Return the lines that smtp.fail has got since a mark."""
    return lines(_text(site.root / FAILURES, since))


def waiting(site: Site) -> bool:
    """Whether anything of the user's is in the queue."""
    return any((site.root / "mail" / "queue" / site.user).glob("C.*"))


def _subject(tree: Client, path: str) -> str:
    try:
        return tree.read(f"/{path}/subject").decode("utf-8", "replace").strip()
    except Refused:
        return ""  # gone again


def complaints(site: Site) -> list[str]:
    """Return why mail of the user's waits in the queue: the last reason of each."""
    folder = site.root / "mail" / "queue" / site.user
    found = []
    for path in sorted(folder.glob("E.*")):
        said = lines(_text(path).strip())
        if said:
            found.append(said[-1].strip())
    return list(dict.fromkeys(found))


def _text(path: Path, start: int = 0) -> str:
    try:
        with open(path, "rb") as f:
            f.seek(start)
            return f.read(MAX_TEXT).decode("utf-8", "replace")
    except OSError:
        return ""  # delivered meanwhile
