"""Certificates, an authority of our own, and openssl's server on loopback."""

import os
import select
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailfs.tls.service import Peer, peer
from tests.tls import pki as made


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> made.Pki:
    return made.make(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def our_ca(pki: made.Pki, monkeypatch: pytest.MonkeyPatch) -> made.Pki:
    """Make Test CA the only authority of the system."""
    monkeypatch.setenv("SSL_CERT_FILE", str(pki.ca_file))
    monkeypatch.setenv("SSL_CERT_DIR", str(pki.folder / "none"))
    return pki


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a root that lists nobody."""
    (tmp_path / "sys/lib/tls").mkdir(parents=True)
    return tmp_path


Serve = Callable[..., int]


@pytest.fixture
def s_server(pki: made.Pki) -> Iterator[Serve]:
    """Start openssl s_server with one of the certificates; returns its port."""
    running: list[subprocess.Popen[bytes]] = []

    def start(who: str, *flags: str) -> int:
        pem, key = pki.folder / f"{who}.pem", pki.folder / f"{who}.key"
        args = ["-accept", "127.0.0.1:0", "-cert", pem, "-key", key, *flags]
        if who == "deep":
            args += ["-cert_chain", pki.folder / "middle.pem"]
        child = subprocess.Popen(
            ["openssl", "s_server", *map(str, args)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"]},  # else it adds the authorities' own
            bufsize=0,
        )
        running.append(child)
        assert child.stdout is not None
        text = b""
        while b"\n" not in text.partition(b"ACCEPT ")[2]:
            assert select.select([child.stdout], [], [], 20)[0], text
            more = child.stdout.read(4096)
            assert more, "s_server ended"
            text += more
        return int(text.partition(b"ACCEPT ")[2].split()[0].rpartition(b":")[2])

    yield start
    for child in running:
        child.kill()
        child.communicate()


@pytest.fixture
def dead_port() -> int:
    """Find a port nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        port: int = s.getsockname()[1]
        return port


def imaps(host: str = "localhost", port: int = 993) -> Peer:
    return peer("imaps", host, port)
