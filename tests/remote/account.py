"""An account on a real server, our tree of it, and another program that uses it."""

import contextlib
import email.utils
import imaplib
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from mailfs.cache.pack import Pack
from mailfs.mailbox.mailbox import Mailbox
from mailfs.mailbox.net import Network
from mailfs.p9.client import Client
from tests.factotum.serving import Served
from tests.fs.serving import Tree
from tests.net.dovecot import PASSWORD, Dovecot
from tests.wait import SOON as SOON
from tests.wait import until as until


def mail(n: int, body: str = "", extra: str = "") -> bytes:
    """Return message n, with network line ends."""
    text = (
        f"From: Ann <ann{n}@example.com>\nTo: me@example.com\n"
        f"Subject: message {n}\nMessage-ID: <{n}@example.com>\n"
        f"Date: {email.utils.formatdate(1_000_000_000 + n)}\n{extra}\n"
        f"{body or f'body of {n}'}\n"
    )
    return text.encode().replace(b"\n", b"\r\n")


class Account:
    """One user of a Dovecot; entered, there is a tree without a mailbox."""

    def __init__(
        self, dovecot: Dovecot, scratch: Path, kind: str = "mdbox", user: str = ""
    ) -> None:
        self.dovecot = dovecot
        self.user = user or dovecot.user(kind)
        self.scratch = scratch
        self.cache = scratch / "cache"
        self._tree: Tree | None = None

    def __enter__(self) -> "Account":
        self._sockets = tempfile.TemporaryDirectory(prefix="mf")
        self.namespace = Path(self._sockets.name)
        self.keys = Served(self.namespace)
        (self.namespace / "factotum").symlink_to("f")  # for programs we start
        self.keys.add(
            f"proto=pass server=localhost user={self.user} !password={PASSWORD}"
        )
        self.trust = self.dovecot.trust(self.scratch / "root")
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self.keys.close()
        self._sockets.cleanup()

    def start(self) -> None:
        """Start our server."""
        pack = Pack(self.cache / "pack", 1 << 28)
        net = Network(self.keys.keys, self.trust, pack)
        self._tree = Tree(self.scratch, net=net)

    def stop(self) -> None:
        """End it, as a user does."""
        if self._tree is not None:
            self._tree.close()
            self._tree = None

    @property
    def tree(self) -> Tree:
        assert self._tree is not None
        return self._tree

    def spec(self, folder: str = "", kind: str = "imap", port: int = 0) -> str:
        port = port or self.dovecot.ports["imaps" if kind == "imaps" else "imap"]
        return f"/{kind}/tcp!localhost!{port}/{self.user}" + (folder and f"/{folder}")

    def open(self, name: str = "mbox", **spec: object) -> Mailbox:
        """Open a folder in the tree."""
        self.tree.open(self.spec(**spec), name)  # type: ignore[arg-type]
        box = self.tree.boxes.get(name)
        assert box is not None
        return box

    def client(self, aname: str = "") -> Client:
        return self.tree.client(aname)

    @contextmanager
    def other(self, folder: str = "INBOX") -> Iterator[imaplib.IMAP4]:
        """Another program, with a folder selected."""
        imap = imaplib.IMAP4("127.0.0.1", self.dovecot.ports["imap"])
        try:
            imap.login(self.user, PASSWORD)
            status, _ = imap.select(folder)
            assert status == "OK"
            yield imap
            imap.logout()
        finally:
            with contextlib.suppress(OSError):
                imap.shutdown()

    def fill(self, count: int, folder: str = "INBOX", first: int = 1) -> None:
        """Append messages as another program does."""
        with self.other() as imap:
            for n in range(first, first + count):
                date = imaplib.Time2Internaldate(1_000_000_000 + n)
                assert imap.append(folder, "", date, mail(n))[0] == "OK"

    def server(self, folder: str = "INBOX") -> list[tuple[int, frozenset[str]]]:
        """Return what the server has: uids, and their system flags."""
        with self.other(folder) as imap:
            _, rows = imap.uid("fetch", "1:*", "(UID FLAGS)")
            found = []
            for row in rows:
                if row is not None:
                    m = re.search(rb"UID (\d+) FLAGS \(([^)]*)\)", row)
                    assert m is not None, row
                    flags = m[2].decode().split()
                    found.append((int(m[1]), frozenset(flags) - {"\\Recent"}))
            return found

    def shown(self, name: str = "mbox") -> list[tuple[int, str]]:
        """Return what our tree has: uids, and the flags file without recent."""
        box = self.tree.boxes.get(name)
        assert box is not None
        with self.client() as client:
            numbers = [e.name for e in client.ls(f"/{name}") if e.name.isdecimal()]
            found = []
            for number in numbers:
                row = box.view.row(int(number))
                if row is None:
                    continue  # it went meanwhile
                flags = client.read(f"/{name}/{number}/flags").decode()
                found.append((int(box.view.listing.keys[row]), flags.replace("r", "-")))
            return found

    def same(self, name: str = "mbox", folder: str = "INBOX") -> bool:
        """Whether the tree shows what the server has."""
        theirs = [(uid, letters(flags)) for uid, flags in self.server(folder)]
        return theirs == self.shown(name)


LETTERS = {
    "\\Answered": "a",
    "\\Deleted": "D",
    "\\Draft": "d",
    "\\Flagged": "f",
    "\\Seen": "s",
}


def letters(flags: frozenset[str]) -> str:
    """Return flags as the file of that name shows them."""
    set_ = {LETTERS[flag] for flag in flags if flag in LETTERS}
    return "".join(c if c in set_ else "-" for c in "aDdfrsS")
