"""The server over real sockets, and what bad peers cannot do to good ones."""

import asyncio
import logging
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailfs.errors import MailfsError
from mailfs.p9.client import Client
from mailfs.p9.conn import UNSENT, Connection
from mailfs.p9.dial import announce
from mailfs.p9.errstr import EPROTO
from mailfs.p9.fcall import (
    NOFID,
    OREAD,
    Rerror,
    Rflush,
    Rread,
    Rstat,
    Rversion,
    Rwalk,
    Tattach,
    Tclunk,
    Tflush,
    Topen,
    Tread,
    Tstat,
    Tversion,
    Twalk,
    pack,
    unpack_stats,
)
from mailfs.p9.ramfs import Ram
from mailfs.p9.session import FIRST_MSIZE, Limits
from mailfs.p9.srv import Server
from mailfs.where import DialString
from tests.p9.serving import WAIT, Raw, Served, serving


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as running:
        yield running


@pytest.fixture(params=["unix", "tcp"])
def client(served: Served, request: pytest.FixtureRequest) -> Iterator[Raw]:
    with Raw(getattr(served, request.param)) as raw:
        yield raw


SCRIPT = [
    pack(0xFFFF, Tversion(8216, "9P2000")),
    pack(1, Tattach(0, NOFID, "g", "")),
    pack(2, Twalk(0, 1, ("alpha",))),
    pack(3, Topen(1, OREAD)),
    pack(4, Tread(1, 0, 99)),
    pack(5, Tread(1, 6, 99)),
    pack(6, Tclunk(1)),
    pack(7, Tstat(1)),
]
KINDS = ["Rversion", "Rattach", "Rwalk", "Ropen", "Rread", "Rread", "Rclunk", "Rerror"]


def check_script(client: Raw) -> None:
    got = [client.recv() for _ in SCRIPT]
    assert [type(msg).__name__ for _, msg in got] == KINDS
    assert [tag for tag, _ in got] == [0xFFFF, 1, 2, 3, 4, 5, 6, 7]
    assert got[4][1] == Rread(b"alpha\n")


def test_one_by_one(client: Raw) -> None:
    for frame, kind in zip(SCRIPT, KINDS, strict=True):
        client.send(frame)
        assert type(client.recv()[1]).__name__ == kind


def test_all_at_once(client: Raw) -> None:
    client.send(*SCRIPT)
    check_script(client)


@pytest.mark.parametrize("step", [1, 3, 10])
def test_in_pieces(client: Raw, step: int) -> None:
    octets = b"".join(SCRIPT)
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    for i in range(0, len(octets), step):
        client.send(octets[i : i + step])
    check_script(client)


def test_a_thousand_in_flight(client: Raw) -> None:
    client.begin("alpha")
    client.send(*(pack(tag, Tread(1, tag % 7, 99)) for tag in range(1000)))
    for tag in range(1000):
        assert client.recv() == (tag, Rread(b"alpha\n"[tag % 7 :]))


def test_long_messages_in_pieces(served: Served) -> None:
    data = bytes(range(256)) * 4096
    with Client(served.unix, timeout=WAIT) as client:
        with client.create("/big") as file:
            file.write(data[: file.iounit])
            file.write(data[file.iounit :])
        assert client.read("/big") == data
        assert client.stat("/big").length == len(data)


def test_flush_order(served: Served, client: Raw) -> None:
    client.begin("waits")
    client.send(pack(5, Tread(1, 0, 99)))
    assert isinstance(client.ask(Tstat(1), 6), Rstat)
    client.send(pack(7, Tflush(5)))
    assert client.recv() == (7, Rflush())
    served.call(served.tree.waits.go.set)
    assert client.ask(Tread(1, 0, 99), 5) == Rread(b"late")


def test_flush_and_answer(served: Served, client: Raw) -> None:
    client.begin("stubborn")
    client.send(pack(5, Tread(1, 0, 99)), pack(6, Tstat(1)))
    assert client.recv()[0] == 6
    client.send(pack(7, Tflush(5)))
    assert client.recv() == (5, Rread(b"done"))
    assert client.recv() == (7, Rflush())


BAD_SIZES = [0, 6, 8217, 1 << 20, 0xFFFFFFFF]


@pytest.mark.parametrize("size", BAD_SIZES)
def test_bad_size_ends_the_connection(served: Served, client: Raw, size: int) -> None:
    with Raw(served.unix) as other:
        other.begin("alpha")
        client.begin()
        client.send(
            pack(4, Tstat(0)),
            size.to_bytes(4, "little") + pack(5, Tstat(0))[4:],
            pack(6, Tstat(0)),
        )
        assert client.recv()[0] == 4
        assert client.recv() == (5, Rerror(EPROTO))
        assert client.ended()
        assert other.ask(Tread(1, 0, 99)) == Rread(b"alpha\n")


def test_bad_size_before_the_version(client: Raw) -> None:
    raw = pack(1, Tversion(FIRST_MSIZE, "9P2000" + "." * FIRST_MSIZE))
    client.send(raw[:100])  # refused before it has come
    assert client.recv() == (1, Rerror(EPROTO))
    assert client.ended()


def test_malformed_fields_do_not_end_the_connection(client: Raw) -> None:
    client.begin()
    raw = bytearray(pack(5, Twalk(0, 9, ("abc",))))
    raw[-5] = 200
    client.send(bytes(raw))
    assert client.recv() == (5, Rerror(EPROTO))
    assert isinstance(client.ask(Twalk(0, 9, ("alpha",))), Rwalk)


def test_tag_in_use_ends_the_connection(served: Served, client: Raw) -> None:
    client.begin("waits")
    client.send(pack(5, Tread(1, 0, 9)), pack(5, Tread(1, 0, 9)))
    assert client.ended()
    with Raw(served.unix) as other:
        other.begin("alpha")


def test_a_peer_that_does_not_read(tmp_path: Path) -> None:
    with serving(tmp_path, limits=Limits(msize=1 << 16)) as served:
        served.call(served.tree.put, "big", bytes(1 << 16))
        count = 4 * UNSENT // (1 << 16)
        with Raw(served.unix) as stuck:
            stuck.begin("big", msize=1 << 16)
            asks = b"".join(pack(t, Tread(1, 0, 1 << 16)) for t in range(count))
            stuck.send(asks)
            others = [
                threading.Thread(target=read_much, args=(served,)) for _ in "8" * 8
            ]
            for other in others:
                other.start()
            for other in others:
                other.join(WAIT)
                assert not other.is_alive()
            unsent = max(map(unsent_to, list(served.server.connections)))
            assert UNSENT // 2 < unsent <= UNSENT + (1 << 16)
            # It is stopped, not lost: all answers come once it reads.
            for tag in range(count):
                got, reply = stuck.recv()
                assert (got, type(reply)) == (tag, Rread)
            assert isinstance(stuck.ask(Tstat(1)), Rstat)


def unsent_to(connection: Connection) -> int:
    size: int = connection.transport.get_write_buffer_size()
    return size


def read_much(served: Served) -> None:
    with Raw(served.unix) as client:
        client.begin("alpha")
        for _ in range(200):
            assert client.ask(Tread(1, 0, 99)) == Rread(b"alpha\n")


def test_a_peer_that_does_not_read_what_comes_late(tmp_path: Path) -> None:
    with serving(tmp_path) as served, Raw(served.unix) as client:
        client.begin("waits")
        client.send(*(pack(t, Tread(1, 0, 4)) for t in range(500)))
        assert client.ask(Tstat(1), 600)
        served.call(served.tree.waits.go.set)
        assert sorted(client.recv()[0] for _ in range(500)) == list(range(500))


def test_a_peer_that_says_no_version(tmp_path: Path) -> None:
    with serving(tmp_path, patience=0.05) as served, Raw(served.unix) as silent:
        assert silent.ended()


def test_a_peer_that_stops_in_a_message(tmp_path: Path) -> None:
    with serving(tmp_path, patience=1.0) as served, Raw(served.unix) as client:
        client.begin()
        client.send(pack(5, Tclunk(0))[:-1])
        assert client.ended()


def test_a_peer_that_hangs_up(served: Served, client: Raw) -> None:
    client.begin("waits")
    client.send(pack(5, Tread(1, 0, 9)), pack(6, Tstat(1)))
    assert client.recv()[0] == 6
    client.sock.shutdown(socket.SHUT_WR)
    assert client.ended()
    with Raw(served.unix) as other:
        other.begin("alpha")
        for _ in range(100):
            if served.tree.waits.closed:
                break
            other.ask(Tstat(1))
    assert (served.tree.waits.cancelled, served.tree.waits.closed) == (1, 1)


def test_big_directory_at_odd_counts(served: Served) -> None:
    names = [f"f{i}" for i in range(10_000)]

    def fill() -> None:
        for name in names:
            served.tree.dir.create(name, 0o644, OREAD)[1].close()

    served.call(fill)
    with Client(served.unix, timeout=WAIT) as client:
        assert [s.name for s in client.ls("/dir")] == names
        for count in 80, 131, 1000, 8191:
            got = []
            with client.open("/dir") as file:
                while data := file.read(count):
                    got += [s.name for s in unpack_stats(data)]
            assert got == names


def test_trace(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), serving(tmp_path, trace=True) as served:
        with Raw(served.unix) as client:
            client.begin("alpha")
            client.send(pack(5, Tread(1, 0, 9)), pack(6, Tclunk(1)))
            client.recv()
            client.recv()
            client.send(b"\x0b\0\0\0\x63\x01\0" + b"xxxx")
            client.recv()
    lines = [r.getMessage() for r in caplog.records]
    assert "<- Tread tag 5 fid 1 offset 0 count 9" in lines
    assert r"-> Rread tag 5 data 6 'alpha\n'" in lines
    assert "-> Rclunk tag 6" in lines
    assert "<- 11 octets: message type 99 is unknown" in lines


def test_too_many_connections(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailfs.p9.conn.CONNECTIONS", 2)
    with Raw(served.unix) as a, Raw(served.unix) as b:
        a.begin()
        b.begin()
        with Raw(served.unix) as c:
            assert c.ended()
        assert isinstance(a.ask(Tstat(0)), Rstat)


def test_only_loopback_without_authentication() -> None:
    server = Server(Ram("g").attach)
    with pytest.raises(MailfsError) as e:
        asyncio.run(server.listen(DialString("tcp", "*", 564)))
    assert str(e.value) == (
        "tcp!*!564: refused: 9P authentication is needed on other than loopback "
        "addresses"
    )


def test_authentication_is_asked_of_tcp_only(tmp_path: Path) -> None:
    from mailfs.p9.auth import AuthHandle

    with serving(tmp_path, auth=lambda uname, aname: AuthHandle()) as served:
        with Raw(served.unix) as near:
            near.begin()
        with Raw(served.tcp) as far:
            far.ask(Tversion(8216, "9P2000"))
            assert far.ask(Tattach(0, NOFID, "g", "")) == Rerror(
                "authentication failed"
            )


def test_close_ends_requests_and_connections(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        client = Raw(served.unix)
        client.begin("waits")
        client.send(pack(5, Tread(1, 0, 9)))
        client.ask(Tstat(0), 6)
        client.ask(Twalk(0, 2, ("stubborn",)))
        client.ask(Topen(2, OREAD))
        client.send(pack(6, Tread(2, 0, 9)))
        client.ask(Tstat(0), 7)
        waits, stubborn = served.tree.waits, served.tree.stubborn
        stubborn.lasts = 0.05
    assert stubborn.finished
    with client:
        assert client.ended()
    assert (waits.cancelled, waits.closed) == (1, 1)
    assert not (tmp_path / "s").exists()


RAMFS = [sys.executable, "-m", "mailfs", "ramfs"]


def test_stdio_over_pipes() -> None:
    done = subprocess.run(
        [*RAMFS, "-l", "stdio"],
        input=b"".join(SCRIPT[:2]),
        capture_output=True,
        timeout=WAIT,
        check=True,
    )
    assert done.stdout.startswith(pack(0xFFFF, Rversion(8216, "9P2000")))
    assert len(done.stdout) == 19 + 20
    assert done.stderr == b""


def test_stdio_over_a_socket() -> None:
    ours, theirs = socket.socketpair()
    fd = theirs.fileno()
    with (
        ours,
        subprocess.Popen([*RAMFS, "-l", "stdio"], stdin=fd, stdout=fd) as ramfs,
    ):
        theirs.close()
        ours.settimeout(WAIT)
        ours.sendall(SCRIPT[0])
        assert ours.recv(99) == pack(0xFFFF, Rversion(8216, "9P2000"))
        ours.close()
        assert ramfs.wait(WAIT) == 0


def test_stdio_of_another_kind(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    with file.open("rb") as stdin:
        done = subprocess.run(
            [*RAMFS, "-l", "stdio"], stdin=stdin, capture_output=True, timeout=WAIT
        )
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"mailfs ramfs: stdio: not a pipe or socket\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_cleanly(tmp_path: Path, number: int) -> None:
    path = tmp_path / "ramfs"
    with subprocess.Popen(
        [*RAMFS, "-l", f"unix!{path}", "-l", "tcp!127.0.0.1!0"], stderr=subprocess.PIPE
    ) as ramfs:
        await_socket(path)
        mode = path.stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
        with Client(DialString("unix", str(path)), timeout=WAIT) as client:
            assert client.ls() == []
            ramfs.send_signal(number)
            assert ramfs.wait(WAIT) == 0
        assert ramfs.stderr is not None
        assert ramfs.stderr.read() == b""
    assert not path.exists()


def await_socket(path: Path) -> None:
    for _ in range(int(WAIT * 100)):
        if path.exists():
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"{path} does not appear")


def test_address_in_use(tmp_path: Path) -> None:
    address = DialString("unix", str(tmp_path / "s"))
    announced = announce(address)
    with pytest.raises(MailfsError, match="s: address in use"):
        announce(address)
    tcp = announce(DialString("tcp", "127.0.0.1", 0))
    with pytest.raises(MailfsError, match="address in use"):
        announce(tcp.address)
    tcp.close()
    # What a dead server leaves behind is replaced.
    for sock in announced.sockets:
        sock.close()
    again = announce(address)
    # Another server's name is left alone.
    (tmp_path / "s").unlink()
    third = announce(address)
    again.close()
    assert (tmp_path / "s").exists()
    third.close()
    assert not (tmp_path / "s").exists()
    # What is no socket stays.
    (tmp_path / "s").write_text("mine")
    with pytest.raises(MailfsError, match="address in use"):
        announce(address)
    assert (tmp_path / "s").read_text() == "mine"


@pytest.mark.parametrize(
    ("address", "why"),
    [
        (DialString("unix", "/nonexistent/s"), "file does not exist"),
        (DialString("unix", "/tmp/" + "s" * 200), "too long"),
        (DialString("tcp", "host.invalid", 1), "tcp!host.invalid!1: "),
        (DialString("stdio"), "cannot be announced"),
    ],
)
def test_what_cannot_be_announced(address: DialString, why: str) -> None:
    with pytest.raises(MailfsError, match=why) as e:
        announce(address)
    assert str(e.value).startswith(f"{address}: ")


def test_umask_is_left_alone(tmp_path: Path) -> None:
    before = os.umask(0o22)
    try:
        announce(DialString("unix", str(tmp_path / "s"))).close()
        assert os.umask(0o22) == 0o22
    finally:
        os.umask(before)


@pytest.mark.parametrize("net", ["unix", "tcp"])
def test_a_peer_can_be_turned_away(
    tmp_path: Path, net: str, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[int] = []

    def admit(sock: socket.socket) -> bool:
        asked.append(sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE))
        return len(asked) > 1

    with serving(tmp_path, admit=admit) as running:
        with Raw(getattr(running, net)) as first:
            with pytest.raises((EOFError, ConnectionError)):
                first.begin("alpha")
        with Raw(getattr(running, net)) as second:
            second.begin("alpha")
            assert second.ask(Tread(1, 0, 99), 5) == Rread(b"alpha\n")
    assert asked == [socket.SOCK_STREAM] * 2
    assert "another user's" in caplog.text
