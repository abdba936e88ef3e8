"""Sixty folders on a server that allows ten connections, one of them another's."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from mailfs.remote.limit import MOST
from tests.net.dovecot import Dovecot
from tests.remote.account import Account, mail
from tests.remote.test_imap import numbers

pytestmark = pytest.mark.live

COUNT = 60
ALLOWED = 10
LIMIT = f"""
protocol imap {{
  mail_max_userip_connections = {ALLOWED}
}}
"""
ESTABLISHED = "01"  # in /proc/net/tcp


def connections(port: int) -> int:
    """Count the established connections to a port of the loopback."""
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    words = [row.split() for row in rows]
    return sum(w[2].endswith(f":{port:04X}") and w[3] == ESTABLISHED for w in words)


@contextmanager
def counted(port: int) -> Iterator[list[int]]:
    """Give the largest count of connections there was within the block."""
    most, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            most[0] = max(most[0], connections(port))

    watcher = threading.Thread(target=watch)
    watcher.start()
    yield most
    done.set()
    watcher.join()


@pytest.fixture(scope="module")
def narrow() -> Iterator[Dovecot]:
    with Dovecot(extra=LIMIT) as server:
        yield server


@pytest.mark.parametrize("at_once", [1, COUNT])
@pytest.mark.parametrize("others", [1, 6])
def test_every_folder_is_listed(
    narrow: Dovecot, tmp_path: Path, at_once: int, others: int
) -> None:
    """One after another, or all at a time; whether we know how many are left or not."""
    with Account(narrow, tmp_path) as account:
        with account.other() as imap:
            for n in range(COUNT):
                imap.create(f"f{n}")
                imap.append(f"f{n}", "", None, mail(n))
        port = narrow.ports["imap"]

        def listed(n: int) -> list[int]:
            with account.client() as client:
                return numbers(client, f"f{n}")

        with ExitStack() as stack:
            client = stack.enter_context(account.client())
            for _ in range(others):
                stack.enter_context(account.other())
            with counted(port) as most, ThreadPoolExecutor(at_once) as pool:
                client.write("/ctl", f"open {account.spec(folder='*')}".encode())
                assert [*pool.map(listed, range(COUNT))] == [[1]] * COUNT
            assert most[0] <= max(ALLOWED, MOST + others)
            for n in range(COUNT):
                assert b"error" not in client.read(f"/f{n}/status")
