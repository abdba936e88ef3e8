"""TLS around a program."""

import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tls import pki

VERB = [sys.executable, "-P", "-m", "mailfs", "tlssrv"]


@pytest.fixture
def pair(tmp_path: Path) -> list[str]:
    cert, key = pki.leaf(pki.authority("ours"), "localhost").write(tmp_path, "own")
    key.chmod(0o600)
    return ["-c", str(cert), "-K", str(key)]


def _start(
    arguments: list[str],
) -> "tuple[socket.socket, subprocess.Popen[bytes]]":
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [*VERB, *arguments],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.PIPE,
        )
    ours.settimeout(30)
    return ours, process


def _secure(sock: socket.socket) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(sock, server_hostname="localhost")


def test_octets_pass_both_ways_and_the_status_is_the_programs(pair: list[str]) -> None:
    script = 'read line; echo "got $line"; head -c 300000 /dev/zero; exit 3'
    ours, process = _start([*pair, "/bin/sh", "-c", script])
    with process, _secure(ours) as line:
        line.sendall(b"hello\n")
        got = b""
        while octets := line.recv(65536):
            got += octets
        assert got == b"got hello\n" + bytes(300000)
        assert process.wait(30) == 3


def test_a_client_that_goes_ends_the_program(pair: list[str]) -> None:
    ours, process = _start([*pair, "cat"])
    with process:
        line = _secure(ours)
        line.sendall(b"x")
        assert line.recv(1) == b"x"
        line.close()
        process.wait(30)


def test_who_speaks_no_tls_is_told_of_in_one_line(pair: list[str]) -> None:
    ours, process = _start([*pair, "cat"])
    with process, ours:
        ours.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert process.wait(30) == 1
        assert process.stderr is not None
        said = process.stderr.read()
        assert said.startswith(b"mailfs tlssrv: ")
        assert said.count(b"\n") == 1


@pytest.mark.parametrize(
    ("arguments", "why"),
    [(["cat"], "no connection"), ([], "want a command"), (["-a", "x"], "not offered")],
)
def test_what_cannot_be(arguments: list[str], why: str) -> None:
    done = subprocess.run(
        [*VERB, *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert done.returncode != 0
    assert why in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
