"""A cache on a full disk: mail is read all the same, and kept again when there is room.

The cache lies on a tmpfs of its own, so that this takes root.
"""

import logging
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailfs.mailbox.index import outage_of
from tests.remote.account import Account, mail, until
from tests.remote.test_imap import numbers

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a tmpfs"),
]

ROOM = 512 << 10  # octets of the disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "cache"
    place.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", place], check=True
    )
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def fill(disk: Path) -> Path:
    """Leave no octet on the disk."""
    path = disk / "filler"
    with path.open("ab") as f:
        fd = f.fileno()
        try:
            while os.write(fd, bytes(4096)):
                pass
        except OSError:
            return path
    raise AssertionError


def test_reading_goes_on(
    disk: Path, account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "mailfs")
    account.stop()
    filler = fill(disk)
    account.start()
    net = account.tree.boxes.place.net
    assert net is not None
    for outage in (net.pack.outage, outage_of(disk / "index")):
        outage.retry = 0.2
    account.fill(20)
    long = mail(99, body="a line of some length\n" * 60_000)  # 1.3 MB
    with account.other() as imap:
        imap.append("INBOX", "", None, long)
    account.open()
    with account.client() as client:
        for _ in range(2):
            assert numbers(client, "mbox") == list(range(1, 22))
            for n in range(1, 21):
                assert client.read(f"/mbox/{n}/subject") == b"message %d" % n
                assert client.read(f"/mbox/{n}/body") == b"body of %d\n" % n
            assert len(client.read("/mbox/21/raw")) == len(long.replace(b"\r", b""))
        assert b"\ncache not written: " in client.read("/mbox/status")
        account.fill(1, first=22)
        until(lambda: numbers(client, "mbox")[-1:] == [22])
        assert client.read("/mbox/22/body") == b"body of 22\n"
        warnings = [r for r in caplog.records if r.levelno >= logging.WARNING]
        assert len(warnings) <= 2, [r.getMessage() for r in warnings]
        filler.unlink()
        account.fill(1, first=23)

        def kept() -> bool:
            assert client.read("/mbox/23/body") == b"body of 23\n"
            account.fill(1, first=24)
            numbers(client, "mbox")
            return b" not written: " not in client.read("/mbox/status")

        until(lambda: numbers(client, "mbox")[22:23] == [23])
        until(kept)
        assert client.read("/mbox/1/body") == b"body of 1\n"
