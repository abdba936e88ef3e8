"""Servers that return when they are ready, and say so to systemd."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailfs.p9.client import Client
from mailfs.p9.dial import STARTING, NoServer, Starting, announce, dial, dial_soon
from mailfs.setup.daemon import Daemons, units
from mailfs.where import DialString
from tests.cmd.test_fs import PATIENCE, environment, home
from tests.wait import until

__all__ = ["home"]


def peer(path: Path) -> int:
    """Return the pid of the server of a Unix socket."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(raw[:4], sys.byteorder)


@pytest.fixture
def ended(home: Path) -> Iterator[Path]:
    """Give the name space; what is served there is ended."""
    yield home / "ns"
    for path in (home / "ns").iterdir():
        if path.is_socket():
            os.kill(peer(path), signal.SIGKILL)


def run(home: Path, *argv: str) -> "subprocess.CompletedProcess[str]":
    """Run a verb; it has to leave our pipes alone, or this does not return."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "mailfs", *argv],
        env=environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize(
    ("argv", "service", "file"),
    [
        (["fs", "-B", "-f", "mbox"], "upasfs", "/mbox/1/subject"),
        (["factotum", "-B", "-n"], "factotum", "/proto"),
    ],
)
def test_returns_when_ready(
    home: Path,
    ended: Path,
    monkeypatch: pytest.MonkeyPatch,
    argv: list[str],
    service: str,
    file: str,
) -> None:
    monkeypatch.chdir(home)
    (home / "mbox").write_text("From a@b Mon Mar  2 09:00:00 2026\nSubject: x\n\n\n")
    done = run(home, *argv)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with Client(f"unix!{ended / service}", uname="nobody-here") as client:
        assert client.read(file)
    pid = peer(ended / service)
    assert os.getsid(pid) == pid
    assert [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)] == [
        os.devnull,
        os.devnull,
        str(home / f"root/sys/log/{argv[0]}.err"),
    ]
    os.kill(pid, signal.SIGTERM)
    until(lambda: not (ended / service).exists())
    until(lambda: not Path(f"/proc/{pid}/cmdline").exists() or _is_dead(pid))


def _is_dead(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_what_is_logged_later_has_a_file(home: Path, ended: Path) -> None:
    missing = home / "no/such"
    done = run(home, "fs", "-B", "-f", str(missing))
    assert done.returncode == 0
    assert f"mbox of nobody-here ({missing}): " in done.stderr
    log = home / "root/sys/log/fs.err"
    assert log.stat().st_mode & 0o777 == 0o600
    assert log.read_text() == ""


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (["fs", "-B", "-n", "-l", "tcp!127.0.0.1!nonesuch"], "unknown service"),
        (["fs", "-B", "-n", "-l", "unix!/no/such/x"], "file does not exist"),
        (["factotum", "-B", "-n", "--service", "/no/such/x"], "file does not exist"),
        (["factotum", "-B", "-n", "-f", "/no/such"], "file does not exist"),
    ],
)
def test_what_fails_before_is_an_error(home: Path, argv: list[str], why: str) -> None:
    done = run(home, *argv)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"mailfs {argv[0]}: ")
    assert why in done.stderr
    assert done.stderr.count("\n") == 1


def test_one_that_is_killed_is_no_success(home: Path) -> None:
    """The pipe it was to write to ends with it."""
    (home / "root").mkdir()
    (home / "mbox").write_text("")
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom mailfs.cmd import background\n"
        f"background.begin('fs', Path({str(home)!r}), background=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=PATIENCE)
    assert done.returncode == 128 + signal.SIGKILL


@pytest.mark.parametrize("abstract", [False, True])
@pytest.mark.parametrize(
    ("argv", "service"), [(["fs", "-n"], "upasfs"), (["factotum", "-n"], "factotum")]
)
def test_systemd_is_told(
    home: Path, argv: list[str], service: str, *, abstract: bool
) -> None:
    name = f"@mailfs-test-{os.getpid()}-{service}" if abstract else f"{home}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name.replace("@", "\0", 1))
        sock.settimeout(PATIENCE)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "mailfs", *argv],
            env=environment(home) | {"NOTIFY_SOCKET": name},
            stdin=subprocess.DEVNULL,
        )
        try:
            assert sock.recv(100) == b"READY=1"
            Client(f"unix!{home}/ns/{service}", uname="nobody-here").close()
        finally:
            process.terminate()
            process.wait(PATIENCE)


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd-analyze here"
)
def test_units_are_what_systemd_knows(home: Path) -> None:
    folder = home / "units"
    folder.mkdir()
    servers = Daemons(home, "glenda", mount=str(home / "my mail"))
    for change in units(servers, folder, factotum=True):
        change.apply()
    paths = sorted(map(str, folder.iterdir()))
    assert len(paths) == 4
    done = subprocess.run(
        ["systemd-analyze", "--man=no", "verify", *paths],
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{folder}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if str(folder) in line]
    assert said == []
    texts = {Path(path).name: Path(path).read_text() for path in paths}
    for name in ("factotum", "fs"):
        text = texts[f"mailfs-{name}.service"]
        assert "\nType=notify\n" in text
        assert "\nNoNewPrivileges=yes\n" in text
        assert "\nAfter=network-online.target" in text


def test_a_client_waits_for_a_socket(tmp_path: Path) -> None:
    address = DialString("unix", str(tmp_path / "s"))
    with pytest.raises(NoServer, match="file does not exist"):
        dial(address)
    got: list[socket.socket] = []
    thread = threading.Thread(target=lambda: got.append(dial(address, wait=PATIENCE)))
    thread.start()
    announced = announce(address)
    thread.join(PATIENCE)
    assert got
    got[0].close()
    announced.close()
    with pytest.raises(NoServer):
        dial_soon(address)


def test_a_server_that_is_on_its_way_is_waited_for(tmp_path: Path) -> None:
    """Longer than for one that nobody has started; until it serves, or is dead."""
    address = DialString("unix", str(tmp_path / "s"))
    got: list[socket.socket] = []
    with Starting([address, DialString("tcp", "127.0.0.1", 1)]) as starting:
        thread = threading.Thread(target=lambda: got.append(dial(address, wait=1e-9)))
        thread.start()
        assert len(list(tmp_path.iterdir())) == 1
        announced = announce(address)
        thread.join(PATIENCE)
        starting.over()
        assert [path.name for path in tmp_path.iterdir()] == ["s"]
    got[0].close()
    announced.close()
    (tmp_path / f"s{STARTING}").touch()  # of one that was killed
    with pytest.raises(NoServer):
        dial(address, wait=1e-9)


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["ls", "upasfs"], "upasfs: no mail server runs: mailfs fs &"),
        (["read", "mail/mbox"], "mail/mbox: no mail server runs: mailfs fs -l mail &"),
        (["read", "factotum/ctl"], "factotum/ctl: no factotum runs: mailfs factotum &"),
        (["ls", "other"], "other: unix!{home}/ns/other: file does not exist"),
    ],
)
def test_who_is_not_there(home: Path, argv: list[str], line: str) -> None:
    done = run(home, "9p", *argv)
    assert done.stderr == f"mailfs 9p: {line.format(home=home)}\n"
    assert done.returncode == 1


def test_a_key_for_nobody(home: Path) -> None:
    done = run(home, "factotum", "-g", "proto=pass server=a user? !password?")
    assert done.stderr == "mailfs factotum: no factotum runs: mailfs factotum &\n"


@pytest.mark.parametrize("argv", [["fs", "-f", "mbox"], ["factotum", "-n"]])
def test_the_socket_proves_its_owner(
    home: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str]
) -> None:
    """Under sudo the password file names another user than $USER does."""
    monkeypatch.chdir(home)
    (home / "mbox").write_text("From a@b Mon Mar  2 09:00:00 2026\nSubject: x\n\n\n")
    assert run(home, argv[0], "-B", *argv[1:]).returncode == 0
    service = "factotum" if argv[0] == "factotum" else "upasfs"
    with Client(f"unix!{home}/ns/{service}", uname="root-by-passwd") as client:
        if service == "factotum":
            client.write("/ctl", b"key proto=pass server=a user=b !password=c")
            assert b"server=a" in client.read("/ctl")
        else:
            assert client.read("/mbox/1/subject") == b"x"
            client.write("/ctl", b"delete mbox 1")
    os.kill(peer(home / "ns" / service), signal.SIGTERM)
    until(lambda: not (home / "ns" / service).exists())
