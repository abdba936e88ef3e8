"""The demo: its tour, and that it ends."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mailfs.p9.client import Client

from .test_fs import PATIENCE, environment, fails


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "ns").mkdir(mode=0o700)
    return tmp_path


def run(home: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "mailfs", "demo", *arguments],
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def test_tour(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = fails(home, "demo", "--once", "--port", str(port))
        assert line == f"mailfs demo: tcp!127.0.0.1!{port}: address in use"
    shown = run(home, "--once")
    for text in (
        "ctl outbox mbox\n",
        "ctl 1 2 3 4 5 6 7\n",
        "Réunion reportée à jeudi\n",
        "Umsatz_März_2026.csv\n",
        "Log, night of the 13th — fog\n",
        "ctl 2 3 4 5 6 7\n",
        "mount -t 9p -o trans=tcp,port=",
    ):
        assert text in shown
    assert list((home / "ns").iterdir()) == []
    assert "ctl 1 2 3 4 5 6 7\n" in run(home, "--once")  # what it deleted is back


def test_it_serves_until_interrupted(home: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "mailfs", "demo", "--port", "0"],
        env=environment(home) | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("Serving"):
                break
        address = f"unix!{home}/ns/mailfsdemo"
        with Client(address, uname="nobody-here") as client:
            assert client.read("/mbox/3/subject") == b"The report, and a picture"
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.communicate()
    assert not os.path.exists(home / "ns/mailfsdemo")
