"""Everybody changes everything, servers die; then the tree is what the server has."""

import imaplib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mailfs.errors import MailfsError
from mailfs.p9.client import Client
from mailfs.where import DialString
from tests.net.dovecot import PASSWORD, Dovecot
from tests.net.proxy import Proxy
from tests.remote.account import Account, letters, mail, until

pytestmark = [pytest.mark.live, pytest.mark.slow]

OTHERS = 2  # programs beside ours
STEPS = 40  # of each of them, and of ours
DEATHS = 3
SEED = int((os.environ.get("MAILFS_STORM") or "1:3").split(":")[0])


class Other(threading.Thread):
    """Another program: it appends, flags, moves away and expunges at random."""

    def __init__(self, account: Account, seed: int) -> None:
        super().__init__()
        self.account = account
        self.random = random.Random(seed)
        self.seed = seed
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            for step in range(STEPS):
                self._step(step)
        except BaseException as e:  # noqa: BLE001  # the test raises it
            self.failure = e

    def _step(self, step: int) -> None:
        for _ in range(100):
            try:
                with self.account.other() as imap:
                    self._change(imap, step)
            except (OSError, imaplib.IMAP4.error):
                time.sleep(0.1)  # the server is dead; soon it will not be
            else:
                return
        raise AssertionError("the server never came back")

    def _change(self, imap: imaplib.IMAP4, step: int) -> None:
        _, found = imap.uid("search", "ALL")
        uids = (found[0] or b"").split()
        what = self.random.choice(["append", "append", "flag", "flag", "expunge"])
        if what == "append" or not uids:
            imap.append("INBOX", "", None, mail(1000 * self.seed + step))
            return
        uid = self.random.choice(uids).decode()
        if what == "flag":
            sign = self.random.choice("+-")
            flag = self.random.choice(["\\Seen", "\\Flagged", "\\Answered", "word"])
            imap.uid("store", uid, f"{sign}FLAGS", f"({flag})")
        else:
            imap.uid("store", uid, "+FLAGS", "(\\Deleted)")
            imap.uid("expunge", uid)


def ours(client: Client, chance: random.Random) -> None:
    """Do one thing through the tree; what has gone meanwhile is no failure."""
    try:
        numbers = [e.name for e in client.ls("/mbox") if e.name.isdecimal()]
        number = chance.choice(numbers)
        what = chance.choice(["read", "read", "flag", "flag", "remove"])
        if what == "read":
            subject = client.read(f"/mbox/{number}/subject").decode()
            body = client.read(f"/mbox/{number}/body").decode()
            # Whatever happens, octets of two messages are never mixed.
            assert body == f"body of {subject.removeprefix('message ')}\n"
        elif what == "flag":
            client.write(
                f"/mbox/{number}/flags",
                chance.choice(["+s", "-s", "+f", "-f", "+a"]).encode(),
            )
        else:
            client.remove(f"/mbox/{number}")
    except MailfsError:
        pass


def settled(account: Account, client: Client) -> bool:
    """Whether the tree shows what the server has; uids do not show, so subjects do."""
    found = []
    with account.other() as imap:
        _, rows = imap.uid("fetch", "1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        for row in rows:
            if isinstance(row, tuple):
                words = imaplib.ParseFlags(row[0])
                flags = frozenset(word.decode() for word in words)
                subject = row[1].decode().strip().removeprefix("Subject: ")
                found.append((subject, letters(flags)))
    shown = []
    try:
        for entry in client.ls("/mbox"):
            if entry.name.isdecimal():
                flags_ = client.read(f"/mbox/{entry.name}/flags").decode()
                subject = client.read(f"/mbox/{entry.name}/subject").decode()
                shown.append((subject, flags_.replace("r", "-")))
    except MailfsError:
        return False
    return shown == found


def test_storm_on_the_server(tmp_path: Path) -> None:
    """The server is killed again and again."""
    with Dovecot() as dovecot, Account(dovecot, tmp_path) as account:
        account.fill(20)
        account.open()
        others = [Other(account, seed) for seed in range(1, OTHERS + 1)]
        for other in others:
            other.start()
        chance = random.Random(0)
        with account.client() as client:
            for step in range(STEPS):
                ours(client, chance)
                if step % (STEPS // DEATHS) == STEPS // DEATHS - 1:
                    dovecot.kill()
                    ours(client, chance)
                    dovecot.start()
            for other in others:
                other.join()
                assert other.failure is None
            until(lambda: settled(account, client), 60)


@pytest.mark.parametrize("seed", [SEED, SEED + 1])
def test_storm_on_the_line(seed: int, tmp_path: Path) -> None:
    """The line between us is cut again and again, also in the middle of a change."""
    chance = random.Random(seed)
    with (
        Dovecot() as dovecot,
        Proxy(dovecot.ports["imap"]) as line,
        Account(dovecot, tmp_path) as account,
    ):
        account.fill(20)
        account.open(port=line.port)
        others = [Other(account, seed) for seed in range(1, OTHERS + 1)]
        for other in others:
            other.start()
        ended = threading.Event()

        def cut() -> None:
            cuts = random.Random(seed)
            while not ended.wait(cuts.random() * 0.4):
                line.cut()

        cutting = threading.Thread(target=cut)
        cutting.start()
        try:
            with account.client() as client:
                for _ in range(STEPS):
                    ours(client, chance)
                for other in others:
                    other.join()
                    assert other.failure is None
                ended.set()
                until(lambda: settled(account, client), 90)
        finally:
            ended.set()
            cutting.join()


@contextmanager
def process(account: Account) -> Iterator[Client]:
    """Run mailfs fs as a process of its own; it is killed at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="ns") as namespace:
        os.chmod(namespace, 0o700)
        os.symlink(account.keys.address.host, f"{namespace}/factotum")
        env = {
            **os.environ,
            "NAMESPACE": namespace,
            "XDG_CACHE_HOME": str(account.scratch / "xdg"),
        }
        command = [sys.executable, "-m", "mailfs", "fs", "--root"]
        command += [str(account.scratch / "root"), "-f", f"mbox={account.spec()}"]
        server = subprocess.Popen(command, env=env)
        try:
            address = DialString("unix", f"{namespace}/upasfs")
            until(lambda: os.path.exists(address.host), 60)
            with Client(address) as client:
                yield client
        finally:
            server.send_signal(signal.SIGKILL)
            server.wait()


def test_storm_on_us(tmp_path: Path) -> None:
    """Our server is killed again and again; its index and cache go on being used."""
    with Dovecot() as dovecot, Account(dovecot, tmp_path) as account:
        account.fill(20)
        others = [Other(account, seed) for seed in range(1, OTHERS + 1)]
        for other in others:
            other.start()
        chance = random.Random(0)
        for _ in range(DEATHS):
            with process(account) as client:
                for _ in range(chance.randrange(5, STEPS // DEATHS)):
                    ours(client, chance)
        for other in others:
            other.join()
            assert other.failure is None
        with process(account) as client:
            until(lambda: settled(account, client), 60)
    assert PASSWORD.encode() not in b"".join(
        path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()
    )
