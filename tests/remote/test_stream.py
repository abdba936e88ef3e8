"""A connection that any thread may end, and a handshake that may not drip for ever."""

import contextlib
import errno
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest

from mailfs.remote.deadline import Deadline
from mailfs.remote.stream import Stream, dial, number, tcp
from mailfs.tls.service import peer
from mailfs.tls.trust import Policy, Trust
from tests.descriptors import none_left

SOON = 20.0  # seconds, more than anything here takes


def test_a_wait_is_ended_by_another_thread() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = Stream(ours)
        threading.Timer(0.05, stream.sever).start()
        assert stream.sock.recv(1) == b""


def test_who_is_parked_hears_of_the_server_when_it_hangs_up() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = Stream(ours)
        stream.finish()
        assert theirs.recv(1) == b""
        theirs.sendall(b"x")
        assert stream.sock.recv(1) == b"x"


@pytest.mark.parametrize("severed", [False, True])
def test_a_handshake_that_drips(tmp_path: Path, severed: bool) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream, end = Stream(ours), threading.Event()

        def drip() -> None:
            """A record of TLS whose octets take longer than anybody waits."""
            with contextlib.suppress(OSError):
                theirs.sendall(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")
                while not end.wait(0.05):
                    theirs.sendall(b"\0")

        dripping = threading.Thread(target=drip)
        dripping.start()
        if severed:
            threading.Timer(0.2, stream.sever).start()
        began = time.monotonic()
        trust = Trust(tmp_path, Policy.THUMBPRINT)
        with pytest.raises(OSError, match="closed|reset" if severed else "timed out"):
            stream.start_tls(peer("imaps", "localhost"), trust, 60 if severed else 0.5)
        assert time.monotonic() - began < SOON
        end.set()
        dripping.join()


def test_dialling_names_server_and_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        tcp("localhost", port, SOON).close()
    where = peer("imap", "localhost", port)
    with pytest.raises(ConnectionRefusedError, match="me: connection refused"):
        dial("me", where, SOON)


def test_nothing_is_waited_for_longer_than_the_longest() -> None:
    now = [0.0]
    deadline = Deadline(60, clock=lambda: now[0], slowest=1, longest=100)
    deadline.got(1000)
    with deadline.waiting() as left:
        assert left == 100
        now[0] += 99
    with deadline.waiting() as left:
        assert left == 1
        now[0] += 1
    deadline.got(1000)
    with pytest.raises(TimeoutError), deadline.waiting():
        pass


def test_there_are_no_descriptors() -> None:
    where = peer("imap", "127.0.0.1", 1)
    with none_left(), pytest.raises(OSError, match="me: too many open files") as e:
        dial("me", where, SOON)
    assert e.value.errno == errno.EMFILE


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.EMFILE, "x"), errno.EMFILE),
        (ssl.SSLError(1, "bad record"), errno.ECONNRESET),
        (socket.gaierror(-2, "unknown"), errno.ECONNRESET),
        (OSError("no number"), errno.ECONNRESET),
    ],
)
def test_an_error_keeps_its_number(error: OSError, told: int) -> None:
    assert number(error) == told
