"""A message looks the same whether it lies in a directory or on a server."""

import imaplib
from pathlib import Path

import pytest

from mailfs.p9.client import Client
from mailfs.p9.fcall import QTDIR
from tests.fs.golden import boxes
from tests.remote.account import Account

pytestmark = pytest.mark.live

# What a server counts in its own way, or what tells the store.
APART = {"digest", "size", "lines", "info", "fileid", "flags"}


def files(client: Client, path: str) -> dict[str, bytes]:
    """Return all files below path that should be the same."""
    found: dict[str, bytes] = {}
    for entry in client.ls(path):
        name = f"{path}/{entry.name}"
        if entry.qid.type & QTDIR:
            found |= files(client, name)
        elif entry.name not in APART:
            found[name.partition("/")[2].partition("/")[2]] = client.read(name)
            stat = client.stat(name).length
            assert stat in (0, len(client.read(name)))
    return found


@pytest.mark.parametrize("box", boxes(), ids=lambda box: box.name)
@pytest.mark.parametrize("long", [False, True], ids=["whole", "in pieces"])
def test_same_files(
    account: Account, box: Path, long: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if long:
        monkeypatch.setattr("mailfs.mailbox.remote.SHORT", 0)
        monkeypatch.setattr("mailfs.mailbox.sparse.WINDOW", 256)
        monkeypatch.setattr("mailfs.mailbox.sparse.HOLE", 512)
        monkeypatch.setattr("mailfs.mailbox.sparse.EDGE", 64)
        monkeypatch.setattr("mailfs.mailbox.message.AT_ONCE", 0)
    account.tree.open(box, "given")
    maildir = account.scratch / "Maildir"
    for name in ("cur", "new", "tmp"):
        (maildir / name).mkdir(parents=True)
    count = 0
    with account.client() as client, account.other() as imap:
        numbers = [e.name for e in client.ls("/given") if e.name.isdecimal()]
        for number in numbers:
            raw = client.read(f"/given/{number}/raw").replace(b"\r\n", b"\n")
            if b"\0" in raw:
                continue  # no literal may hold one; RFC 9051 section 4.3
            count += 1
            date = 1_000_000_000 + count
            path = maildir / "cur" / f"{date}.{count}.x:2,"
            path.write_bytes(raw)
            network = raw.replace(b"\n", b"\r\n")
            when = imaplib.Time2Internaldate(date)
            assert imap.append("INBOX", "", when, network)[0] == "OK"
        account.tree.open(maildir, "local")
        account.open("remote")
        for n in range(1, count + 1):
            # Where server and tree see other parts in malformed mail, what is read
            # decides, from the first time on.
            if "1" in {e.name for e in client.ls(f"/remote/{n}")}:
                client.read(f"/remote/{n}/1/type")
            ours, theirs = files(client, f"/remote/{n}"), files(client, f"/local/{n}")
            assert ours == theirs
