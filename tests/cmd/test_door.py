"""Where ``mailfs fs`` listens and whom it lets in, as processes."""

import contextlib
import os
import pwd
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailfs.cmd.door import At, read
from mailfs.errors import MailfsError, Refused, UsageError
from mailfs.fs.aname import Aname, parse
from mailfs.p9.client import Client
from mailfs.where import DialString

from .test_fs import MESSAGE, PATIENCE, Fs, environment, fails, fs, home, mailfs

__all__ = ["fs", "home"]  # fixtures
US = pwd.getpwuid(os.getuid()).pw_name

PLACES = [
    ("unix!/a/b", At(DialString("unix", "/a/b"), Aname())),
    ("unix!/a/mail", At(DialString("unix", "/a/mail"), Aname("mailfs"))),
    ("unix!/a/mail=upas", At(DialString("unix", "/a/mail"), Aname("upas"))),
    ("unix!/a=b/c", At(DialString("unix", "/a=b/c"), Aname())),
    ("unix!/a=b=upas/ro", At(DialString("unix", "/a=b"), parse("upas/ro"))),
    ("unix!/a=upasfs", At(DialString("unix", "/a=upasfs"), Aname())),
    (
        "tcp!*!564=upas/box=a/ro",
        At(DialString("tcp", "*", 564), parse("upas/box=a/ro")),
    ),
    ("tls!mail!9fs=mailfs", At(DialString("tls", "mail", 564), Aname("mailfs"))),
    ("stdio=upas/noctl", At(DialString("stdio"), parse("upas/noctl"))),
]


@pytest.mark.parametrize(("text", "at"), PLACES)
def test_places(text: str, at: At) -> None:
    assert read(text) == at


@pytest.mark.parametrize("text", ["tcp!*!564=upas/rw", "unix!/a=upas/", "x!y=upas"])
def test_places_that_make_no_sense(text: str) -> None:
    with pytest.raises((UsageError, Refused)):
        read(text)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as s:
        port: int = s.getsockname()[1]
        return port


def run(home: Path, *words: str, data: bytes = b"") -> bytes:
    """Run a verb and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "mailfs", *words],
        env=environment(home),
        input=data,
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture
def box(home: Path) -> Path:
    path = home / "box"
    path.write_text("".join(MESSAGE.format(n) for n in ("one", "two")))
    return path


def test_a_listener_bound_to_an_aname(home: Path, box: Path, fs: list[Fs]) -> None:
    bound = "a=upas/newest=1/ro"
    fs.append(Fs(home, "-f", str(box), "-l", bound, "-l", "mail", "-l", "b"))
    fs[-1].ready("b")
    with fs[-1].client("a", "upas/newest=9") as client:
        assert [entry.name for entry in client.ls("/mbox")] == ["ctl", "2"]
        with pytest.raises(Refused, match="read only file system"):
            client.remove("/mbox/2")
    with fs[-1].client("b") as client:
        assert len(client.ls("/mbox")) == 3
        assert client.read("/mbox/1/info").startswith(b"a@b\n")
    with fs[-1].client("mail") as client:  # whose clients know the keyed dialect
        assert client.read("/mbox/1/info").startswith(b"unixdate ")


def tls(home: Path, name: str) -> Path:
    """Make a certificate and key as README says; return where they lie."""
    folder = home / "root/sys/lib/tls"
    (folder / "clients").mkdir(parents=True, exist_ok=True)
    key = {"cert": folder / "key"}.get(name, folder / f"{name}.key")
    key.touch(0o600)
    key.write_bytes(run(home, "rsagen"))
    der = run(home, "rsa2x509", "CN=localhost", str(key))
    (folder / f"{name}.pem").write_bytes(
        run(home, "pemencode", "CERTIFICATE", data=der)
    )
    return folder


def test_tls(home: Path, box: Path, fs: list[Fs]) -> None:
    folder = tls(home, "cert")
    tls(home, "client")
    user = environment(home)["USER"]
    (folder / "clients" / f"{user}.pem").write_bytes(
        (folder / "client.pem").read_bytes()
    )
    addr = f"tls!127.0.0.1!{free_port()}"
    fs.append(Fs(home, "-f", str(box), "-l", addr, "-l", "ready"))
    fs[-1].ready("ready")
    ls = ("9p", "-a", addr, "ls", "mbox")
    status, text = mailfs(home, *ls)
    assert status == 1
    assert "mailfs trust t9fs" in text
    run(home, "trust", "-y", "t9fs", addr.replace("tls", "tcp"))
    assert mailfs(home, *ls) == (0, "1\n2\nctl\n")
    (folder / "mine.pem").write_bytes((folder / "client.pem").read_bytes())
    (folder / "client.pem").unlink()
    refused = (1, "mailfs 9p: mbox: authentication failed\n")
    assert mailfs(home, *ls) == refused
    named = ("--cert", str(folder / "mine.pem"), "--key", str(folder / "client.key"))
    assert mailfs(home, "9p", *named, *ls[1:]) == (0, "1\n2\nctl\n")
    assert mailfs(home, "9p", *named, "-u", "mallory", *ls[1:]) == refused
    assert fs[-1].stop() == (0, "")


TLS_REFUSALS = [
    ("cert.pem", None, "file does not exist"),
    ("key", None, "file does not exist"),
    ("key", "nonsense", "cert.pem: "),
    ("clients/x.pem", "nonsense", "no certificate in PEM"),
]


@pytest.mark.parametrize(("name", "text", "why"), TLS_REFUSALS)
def test_tls_that_cannot_be_served(
    home: Path, name: str, text: str | None, why: str
) -> None:
    folder = tls(home, "cert")
    (folder / "clients/me.pem").write_bytes((folder / "cert.pem").read_bytes())
    if text is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(text)
    line = fails(home, "fs", "-n", "-l", f"tls!127.0.0.1!{free_port()}")
    assert why in line


def test_tls_without_clients_needs_a_factotum(home: Path) -> None:
    tls(home, "cert")
    line = fails(home, "fs", "-n", "-l", "tls!127.0.0.1!0")
    assert "needs a factotum with a p9any key" in line


def test_several_users(home: Path, box: Path, fs: list[Fs]) -> None:
    folder = tls(home, "cert")
    tls(home, "client")
    (folder / "clients/glenda.pem").write_bytes((folder / "client.pem").read_bytes())
    other = home / "other"
    other.write_text(MESSAGE.format("glenda's"))
    users = home / "users"
    users.write_text(f"user={US} box={box}\nuser=glenda box={other} aname=upas/ro\n")
    addr = f"tls!127.0.0.1!{free_port()}"
    fs.append(Fs(home, "--users", str(users), "-l", addr, "-l", "s"))
    fs[-1].ready("s")
    unix = home / "ns/s"
    assert unix.stat().st_mode & 0o777 == 0o666
    with Client(f"unix!{unix}", uname=US) as client:  # as the system says we are
        assert client.read("/mbox/1/subject") == b"one"
    for uname in ("glenda", "nobody-here", ""):
        with pytest.raises(MailfsError, match="authentication failed"):
            Client(f"unix!{unix}", uname=uname)
    run(home, "trust", "-y", "t9fs", addr.replace("tls", "tcp"))
    read = ("9p", "-a", addr, "-u")
    assert run(home, *read, "glenda", "read", "mbox/1/subject") == b"glenda's"
    for words in (
        ("glenda", "rm", "mbox/1"),
        ("glenda", "read", "mbox/2/subject"),
        (US, "read", "mbox/1/subject"),
    ):
        assert mailfs(home, *read, *words)[0] == 1
    assert other.read_text() == MESSAGE.format("glenda's")
    assert fs[-1].stop() == (0, "")


def test_several_users_and_no_proof(home: Path) -> None:
    users = home / "users"
    users.write_text("user=glenda\n")
    line = fails(home, "fs", "--users", str(users), "-l", "tcp!127.0.0.1!0")
    assert "needs a factotum with a p9any key" in line
    users.write_text("user=glenda\nuser\n")
    assert f"{users}:2: " in fails(home, "fs", "--users", str(users))
    assert "no -f" in fails(home, "fs", "--users", str(users), "-f", "/x")


@contextlib.contextmanager
def reading(home: Path, path: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "mailfs", "9p", "read", path],
        env=environment(home),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_events_are_printed_as_they_come(home: Path, box: Path, fs: list[Fs]) -> None:
    fs.append(Fs(home, "-p", "-b", "-f", str(box)))
    with fs[-1].ready().client() as client, reading(home, "upasfs/event") as events:
        assert events.stdout is not None
        # The reader is there once it hears of what we do again and again.
        end = time.monotonic() + PATIENCE
        done = False
        while not done:
            assert time.monotonic() < end
            for flag in (b"+s", b"-s"):
                client.write("/mbox/1/flags", flag)
            os.set_blocking(events.stdout.fileno(), False)
            done = "modify mbox/1 " in (events.stdout.readline() or "")
        os.set_blocking(events.stdout.fileno(), True)
        with box.open("a") as f:
            f.write(MESSAGE.format("three"))
        line = events.stdout.readline()
        while line.startswith("modify"):
            line = events.stdout.readline()
        digest = client.read("/mbox/3/digest").decode()
        assert line == f"new mbox/3 {digest}\n"
        told = fs[-1].process.stderr
        assert told is not None
        assert told.readline() == f"[ a@b / three / {len('Subject: three') + 7} ]\n"
    assert fs[-1].stop() == (0, "")
