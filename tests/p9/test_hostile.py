"""Peers that want to take a server's memory and places, in processes of their own."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailfs.p9.auth import AuthHandle
from mailfs.p9.client import Client
from mailfs.p9.fcall import Rerror, Rversion, Tauth, Tread, Tversion, pack
from mailfs.p9.strangers import Strangers
from mailfs.where import DialString
from tests.p9.serving import WAIT, Raw, serving
from tests.wait import until

MB = 1 << 20
MORE = 80 * MB  # octets that a server may take beyond what it has at rest
LEFT = 32 * MB  # octets that it may keep of them when all have gone

HOSTILE = """
import sys
from mailfs.where import DialString
from mailfs.p9.fcall import Tread, pack
from tests.p9.serving import Raw
address = DialString("unix", sys.argv[1])
held = []
for i in range(int(sys.argv[2])):
    raw = Raw(address)
    raw.begin("big", msize=1 << 20)
    if i % 5 == 0:
        raw.send(*(pack(9 + n, Tread(1, 0, 1 << 20)) for n in range(50)))
    held.append(raw)
print("ready", flush=True)
sys.stdin.read()
"""


def anonymous(pid: int) -> int:
    """Return the private memory of a process, in octets."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"RssAnon:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) << 10


@pytest.fixture
def ramfs(tmp_path: Path) -> Iterator[tuple[int, DialString]]:
    """Run a server with a long file; its process and its address."""
    address = DialString("unix", str(tmp_path / "s"))
    words = [sys.executable, "-m", "mailfs", "ramfs", "-l", str(address)]
    with subprocess.Popen(words) as server:
        end = time.monotonic() + WAIT
        while not (tmp_path / "s").exists():
            assert time.monotonic() < end
            time.sleep(0.02)
        with Client(address) as client, client.create("/big") as file:
            for _ in range(4):
                file.write(os.urandom(MB))
        yield server.pid, address
        server.terminate()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
def test_peers_that_do_not_read(ramfs: tuple[int, DialString]) -> None:
    pid, address = ramfs
    rest = anonymous(pid)
    words = [sys.executable, "-c", HOSTILE, address.host, "500"]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as hostile:
        assert hostile.stdout is not None
        assert hostile.stdout.readline() == b"ready\n"
        assert anonymous(pid) - rest < MORE
        with Client(address) as client, client.open("/big") as file:
            assert len(file.read(MB)) > 0  # the others are served all the same
        hostile.communicate()
    with Client(address) as client:
        assert len(client.read("/big")) == 4 * MB
    until(lambda: anonymous(pid) - rest < LEFT)


def test_silent_strangers_are_replaced(tmp_path: Path) -> None:
    strangers = Strangers(most=8, of_one=4)
    auth = lambda uname, aname: AuthHandle()  # noqa: E731
    with serving(tmp_path, auth=auth, strangers=strangers) as served:
        silent = [Raw(served.tcp) for _ in range(20)]
        with Raw(served.tcp) as late:
            assert isinstance(late.ask(Tversion(8216, "9P2000")), Rversion)
        with Raw(served.unix) as owner:
            owner.begin()
        assert silent[0].ended()
        for one in silent:
            one.sock.close()


def test_who_does_not_attach_is_hung_up_on(tmp_path: Path) -> None:
    auth = lambda uname, aname: AuthHandle()  # noqa: E731
    with serving(tmp_path, auth=auth, patience=0.2) as served:
        with Raw(served.tcp) as silent, Raw(served.unix) as owner:
            owner.ask(Tversion(8216, "9P2000"))
            silent.ask(Tversion(8216, "9P2000"))
            assert silent.ended()
            owner.begin()  # a multiplexer may wait for its first client


def test_strangers_send_short_messages_only(tmp_path: Path) -> None:
    auth = lambda uname, aname: AuthHandle()  # noqa: E731
    with serving(tmp_path, auth=auth) as served, Raw(served.tcp) as raw:
        reply = raw.ask(Tversion(MB, "9P2000"))
        assert isinstance(reply, Rversion)
        raw.send((MB - 1).to_bytes(4, "little") + pack(1, Tread(1, 0, 9))[4:])
        assert isinstance(raw.recv()[1], Rerror)
        assert raw.ended()


def test_so_many_authentications_of_one(tmp_path: Path) -> None:
    auth = lambda uname, aname: AuthHandle()  # noqa: E731
    with serving(tmp_path, auth=auth) as served, Raw(served.tcp) as raw:
        raw.ask(Tversion(8216, "9P2000"))
        replies = [raw.ask(Tauth(fid, "glenda", "")) for fid in range(6)]
        assert [isinstance(reply, Rerror) for reply in replies] == [False] * 4 + [
            True
        ] * 2


def test_what_is_agreed_falls_with_how_many_there_are(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        held = [Raw(served.unix) for _ in range(64)]
        reply = held[-1].ask(Tversion(MB, "9P2000"))
        assert isinstance(reply, Rversion)
        assert reply.msize == 256 << 10
        for one in held:
            one.sock.close()
