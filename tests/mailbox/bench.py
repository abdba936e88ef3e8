"""Mailboxes of each kind, and the other programs that use them, for the contract."""

import mailbox
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from mailfs.mailbox.driver import Driver, Place
from mailfs.mailbox.drivers import open_store
from mailfs.mailbox.drivers.maildir import Maildir
from mailfs.mailbox.drivers.mbox.driver import Spool
from mailfs.mailbox.drivers.mdir import Mdir
from mailfs.mailbox.drivers.mh import Mh
from mailfs.mailbox.kinds import Flag, Listing
from mailfs.msg import fromline

FIRST = 1_000_000_000  # seconds; date of message 0


def from_line(n: int) -> bytes:
    return time.strftime(
        "From a@example.com %a %b %e %H:%M:%S +0000 %Y\n", time.gmtime(FIRST + n)
    ).encode()


def mail(n: int, extra: bytes = b"") -> bytes:
    """Return message n: header, blank line, body; no two are alike."""
    return (
        b"From: a@example.com\nSubject: message %d\nMessage-ID: <%d@example.com>\n\n"
        b"body of %d\n%s" % (n, n, n, extra)
    )


class Bench(ABC):
    """One mailbox, as programs other than ours see it."""

    kind: str
    cls: type[Driver]
    flags = ~Flag.RECENT & Flag(0x7F)  # those the store can keep

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.box = folder / "boxes" / "box"
        self.count = 0

    def place(self, *, readonly: bool = False) -> Place:
        return Place(self.root, "me", readonly)

    def open(self, *, readonly: bool = False) -> Driver:
        driver = open_store(str(self.box), self.place(readonly=readonly))
        assert type(driver) is self.cls
        if hasattr(driver, "wait"):
            driver.wait = 2.0
        return driver

    def stored(self, n: int, extra: bytes = b"") -> bytes:
        """Return the octets of message n as the store has them."""
        return mail(n, extra)

    def fill(self, count: int) -> None:
        for _ in range(count):
            self.deliver(self.count)
            self.count += 1

    def added(self, message: bytes, date: int, sender: str) -> bytes:
        """Return the octets of a message that Driver.append was given."""
        return message

    @abstractmethod
    def make(self) -> None:
        """Create an empty mailbox."""

    @abstractmethod
    def deliver(self, n: int, extra: bytes = b"") -> None:
        """Add message n as a delivery program does."""

    @abstractmethod
    def rewrite(self, kept: Sequence[int]) -> None:
        """Leave only those messages, as another mail program does."""


class Mbox(Bench):
    kind = "mbox"
    cls = Spool

    def stored(self, n: int, extra: bytes = b"") -> bytes:
        return from_line(n) + mail(n, extra) + b"\n"

    def added(self, message: bytes, date: int, sender: str) -> bytes:
        quoted = message.replace(b"\nFrom ", b"\n From ")
        return fromline.make(sender, date) + quoted + b"\n"

    def make(self) -> None:
        self.box.parent.mkdir(parents=True)
        self.box.write_bytes(b"")

    def deliver(self, n: int, extra: bytes = b"") -> None:
        with open(self.box, "ab") as f:
            f.write(self.stored(n, extra))

    def rewrite(self, kept: Sequence[int]) -> None:
        temp = self.box.with_name("other")
        temp.write_bytes(b"".join(self.stored(n) for n in kept))
        os.rename(temp, self.box)


class MaildirBench(Bench):
    kind = "maildir"
    cls = Maildir

    def name(self, n: int) -> str:
        return f"{FIRST + n}.M{n}P1.host"

    def make(self) -> None:
        self.box.parent.mkdir(parents=True)
        mailbox.Maildir(str(self.box), create=True).close()

    def deliver(self, n: int, extra: bytes = b"") -> None:
        temp = self.box / "tmp" / self.name(n)
        temp.write_bytes(self.stored(n, extra))
        os.rename(temp, self.box / "new" / self.name(n))

    def rewrite(self, kept: Sequence[int]) -> None:
        names = {self.name(n) for n in kept}
        for sub in ("new", "cur"):
            for path in (self.box / sub).iterdir():
                if path.name.partition(":")[0] not in names:
                    path.unlink()


class MdirBench(Bench):
    kind = "mdir"
    cls = Mdir

    def stored(self, n: int, extra: bytes = b"") -> bytes:
        return from_line(n) + mail(n, extra)

    def added(self, message: bytes, date: int, sender: str) -> bytes:
        return fromline.make(sender, date) + message

    def make(self) -> None:
        self.box.mkdir(parents=True)

    def deliver(self, n: int, extra: bytes = b"") -> None:
        temp = self.box / f"{FIRST + n}.00.tmp"
        temp.write_bytes(self.stored(n, extra))
        os.rename(temp, self.box / f"{FIRST + n}.00")

    def rewrite(self, kept: Sequence[int]) -> None:
        names = {f"{FIRST + n}.00" for n in kept}
        for path in self.box.iterdir():
            if path.name not in names:
                path.unlink()


class MhBench(Bench):
    kind = "mh"
    cls = Mh

    def make(self) -> None:
        self.box.mkdir(parents=True)
        (self.box / ".mh_sequences").write_bytes(b"cur: 1\nmine: 2-3\n")

    def deliver(self, n: int, extra: bytes = b"") -> None:
        path = self.box / str(n + 1)
        temp = self.box / f"#{n + 1}"
        temp.write_bytes(self.stored(n, extra))
        os.rename(temp, path)
        os.utime(path, (FIRST + n, FIRST + n))

    def rewrite(self, kept: Sequence[int]) -> None:
        for path in self.box.iterdir():
            if path.name.isdigit() and int(path.name) - 1 not in kept:
                path.unlink()


BENCHES: tuple[type[Bench], ...] = (Mbox, MaildirBench, MdirBench, MhBench)


def octets(listing: Listing, row: int) -> bytes:
    """Return a listed message's octets, read in two pieces."""
    key, size, ident = listing.keys[row], listing.sizes[row], listing.idents[row]
    cut = size // 2
    first = listing.store.read(key, size, ident, 0, cut)
    return first + listing.store.read(key, size, ident, cut, size + 100)


def everything(listing: Listing) -> list[bytes]:
    return [octets(listing, row) for row in range(len(listing))]
