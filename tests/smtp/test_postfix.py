"""Deliveries to a real Postfix: TLS, forms, recipients, signatures, a drained queue."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dkim
import pytest

from mailfs.queue.spool import enqueue, jobs
from tests.factotum.serving import Served
from tests.queue.world import remotemail
from tests.smtp.postfix import Postfix
from tests.smtp.test_dkim import line, records
from tests.smtp.world import TEXT, client, logged, logs, posted
from tests.tls.pki import Pki

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def postfix(pki: Pki) -> Iterator[Postfix]:
    if shutil.which("postfix") is None or os.getuid() != 0:
        pytest.skip("needs Postfix, and root to start it")
    with Postfix(pki.folder / "good.pem", {"smtpd_recipient_limit": "50"}) as server:
        yield server


@pytest.fixture
def fresh(postfix: Postfix) -> Iterator[Postfix]:
    """Empty its mailbox."""
    yield postfix
    for path in (postfix.root / "box/all/new").glob("*"):
        path.unlink()


def test_everything_on(
    tmp_path: Path, our_ca: Pki, fresh: Postfix, served: Served
) -> None:
    served.add(line(domain="h.org", selector="s1"))
    logs(tmp_path)
    text = "From: Jürgen <glenda@h.org>\nTo: a@b.com\nSubject: grüße\n\nköln\n.\n.x\n"
    sender = client(tmp_path, "-s", keys=served.keys)
    dest = f"net!localhost!{fresh.port}"
    rcpts = ("b.com!a", "nobody@elsewhere.org", "größe@b.com")
    fates = sender.deliver(posted(text.encode(), dest, "glenda@h.org", rcpts))
    sender.close()
    assert [f.ok for f in fates] == [True, False, True]
    assert fates[1].permanent
    assert fates[1].enhanced == "5.7.1"  # it does not relay
    (got, _) = fresh.mail(2)
    octets = got.replace(b"\n", b"\r\n")
    octets = octets[octets.index(b"DKIM-Signature") :]
    assert dkim.verify(octets, dnsfunc=records("s1", "h.org"))
    assert got.endswith("\n\nköln\n.\n.x\n".encode())
    assert re.search(rb"with (UTF8)?E?SMTPS? ", got)
    assert b"using TLSv1.3" in got or b"ESMTPS" in got or b"UTF8SMTPS" in got
    assert "started TLS to localhost" in logged(tmp_path)


def test_more_recipients_than_it_takes(tmp_path: Path, fresh: Postfix) -> None:
    sender = client(tmp_path)
    rcpts = tuple(f"u{i}@b.com" for i in range(120))
    dest = f"net!127.0.0.1!{fresh.port}"
    fates = sender.deliver(posted(TEXT, dest, "glenda@h.org", rcpts))
    sender.close()
    assert all(f.ok for f in fates)
    assert len(fresh.mail(120)) == 120


def test_odd_octets(tmp_path: Path, fresh: Postfix) -> None:
    sender = client(tmp_path)
    text = b"From: g@h.org\nSubject: x\n\n" + bytes(range(1, 256)) + b"\n" + b"y" * 3000
    dest = f"net!127.0.0.1!{fresh.port}"
    assert sender.deliver(posted(text, dest, "g@h.org", ("a@b.com",)))[0].ok
    sender.close()
    (got,) = fresh.mail(1)
    assert max(map(len, got.split(b"\n"))) <= 1000


def test_queue_drained_into_it(tmp_path: Path, fresh: Postfix) -> None:
    lib = tmp_path / "mail/lib"
    lib.mkdir(parents=True)
    (lib / "remotemail").write_text(remotemail())
    queue = tmp_path / "mail/queue"
    for i in range(100):
        text = f"From: g@h.org\nSubject: n{i}\n\nhello\n".encode()
        words = ("mail", "g@h.org", f"net!127.0.0.1!{fresh.port}", "a@b.com")
        enqueue(queue, "glenda", text, words)
    env = os.environ | {"MAILFS_ROOT": str(tmp_path)}
    command = [sys.executable, "-P", "-m", "mailfs", "runq", "-a"]
    subprocess.run(command, env=env, check=True, timeout=60)
    assert jobs(queue / "glenda") == []
    subjects = {re.search(rb"^Subject: (.*)$", m, re.M)[1] for m in fresh.mail(100)}  # type: ignore[index]
    assert len(subjects) == 100
