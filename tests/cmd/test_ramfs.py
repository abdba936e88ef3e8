"""The verb ramfs as a process: started, used, traced, ended."""

import subprocess
import sys
from pathlib import Path

import pytest

from mailfs.p9.client import Client
from mailfs.p9.fcall import DMDIR, OREAD
from tests.p9.serving import WAIT
from tests.p9.test_srv import await_socket

MAILFS = [sys.executable, "-m", "mailfs"]


def test_ramfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("NAMESPACE", str(tmp_path))
    with subprocess.Popen(
        [*MAILFS, "ramfs", "-D", "-l", "ramfs"], stderr=subprocess.PIPE
    ) as ramfs:
        assert ramfs.stderr is not None
        await_socket(tmp_path / "ramfs")
        with Client("ramfs", timeout=WAIT) as client:
            client.create("/d", DMDIR | 0o755, OREAD).close()
            with client.create("/d/f") as file:
                file.write(b"hello\n")
            assert client.read("/d/f") == b"hello\n"
        done = subprocess.run(
            [*MAILFS, "9p", "read", "ramfs/d/f"],
            capture_output=True,
            timeout=WAIT,
            check=True,
        )
        assert done.stdout == b"hello\n"
        ramfs.terminate()
        _, trace = ramfs.communicate(timeout=WAIT)
        assert ramfs.returncode == 0
    assert b"mailfs ramfs: <- Tversion tag 65535 msize 1048576" in trace
    assert b"mailfs ramfs: -> Rread tag 0 data 6 'hello\\n'" in trace


@pytest.mark.parametrize(
    ("argv", "error"),
    [
        (
            ["-l", "tcp!*!5640"],
            "tcp!*!5640: refused: 9P authentication is needed on other than loopback "
            "addresses",
        ),
        (["-l", "udp!x"], None),
        (["-l", "unix!/nonexistent/s"], "unix!/nonexistent/s: file does not exist"),
        (["x"], "unrecognized arguments: x (try --help)"),
    ],
)
def test_errors(argv: list[str], error: str | None) -> None:
    done = subprocess.run(
        [*MAILFS, "ramfs", *argv], capture_output=True, timeout=WAIT, text=True
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert error is None or done.stderr == f"mailfs ramfs: {error}\n"


def test_one_bad_address_ends_the_start(tmp_path: Path) -> None:
    path = tmp_path / "s"
    done = subprocess.run(
        [*MAILFS, "ramfs", "-l", f"unix!{path}", "-l", "tcp!*!5640"],
        capture_output=True,
        timeout=WAIT,
    )
    assert done.returncode == 1
    assert not path.exists()
