"""One process for 9P, IMAP and POP3: all see the same mail, and what the others do."""

import imaplib
import os
import poplib
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mailfs import where
from mailfs.p9 import Client
from tests.serve.imapd.conftest import agent
from tests.serve.imapd.served import PASSWORD

__all__ = ["agent"]


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.usefixtures("agent")
def test_three_kinds_of_clients_see_one_mailbox(tmp_path: Path, agent: Path) -> None:
    box = tmp_path / "box"
    for name in ("cur", "new", "tmp"):
        (box / name).mkdir(parents=True)
    for number in (1, 2, 3):
        (box / "new" / f"{number}.a").write_bytes(b"Subject: s%d\n\nx\n" % number)
    socket = tmp_path / "9p"
    command = [sys.executable, "-P", "-m", "mailfs", "serve", "-f", str(box), "-d"]
    command += ["--root", str(tmp_path / "root"), "-l", f"unix!{socket}"]
    command += ["--imap", "tcp!127.0.0.1!0", "--pop3", "tcp!127.0.0.1!0", "-p"]
    env = os.environ | {"NAMESPACE": str(agent), "XDG_CACHE_HOME": str(tmp_path / "c")}
    with subprocess.Popen(
        command, env=env, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            ports: dict[str, int] = {}
            for line in process.stderr:
                for what in ("IMAP", "POP3"):
                    if f"{what} at tcp" in line:
                        ports[what] = int(line.rpartition("!")[2])
                if len(ports) == 2:
                    break
            _until(socket.exists)
            _look(socket, ports)
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
        assert process.returncode == 0


def _look(socket: Path, ports: dict[str, int]) -> None:
    user = where.user()
    with (
        Client(f"unix!{socket}") as files,
        imaplib.IMAP4("127.0.0.1", ports["IMAP"]) as imap,
    ):
        imap.login(user, PASSWORD)
        imap.select()
        subject = imap.fetch("2", "(UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1][0]
        assert isinstance(subject, tuple)
        assert b"UID 2" in subject[0]
        assert b"s2" in subject[1]
        assert files.read("/mbox/2/subject") == b"s2"
        imap.store("2", "+FLAGS", "(\\Flagged \\Seen)")
        _until(lambda: files.read("/mbox/2/flags").count(b"s") == 1)
        pop = poplib.POP3("127.0.0.1", ports["POP3"], timeout=30)
        pop.user(user)
        pop.pass_(PASSWORD)
        assert b"Subject: s3" in pop.retr(3)[1]
        pop.dele(1)
        pop.quit()
        imap.noop()
        assert imap.search(None, "ALL")[1] == [b"1 2"]
        assert [
            entry.name for entry in files.ls("/mbox") if entry.name.isdecimal()
        ] == [*("2", "3")]
