"""The server as a process: its options, its errors, its end."""

import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from mailfs.errors import MailfsError, Refused
from mailfs.p9.client import Client

MESSAGE = "From a@b Mon Mar  2 09:00:00 2026\nSubject: {}\n\nbody\n\n"
PATIENCE = 30  # seconds


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in ("ns", "home"):
        (tmp_path / name).mkdir(mode=0o700)
    return tmp_path


def environment(home: Path) -> dict[str, str]:
    return os.environ | {
        "HOME": str(home / "home"),
        "NAMESPACE": str(home / "ns"),
        "MAILFS_ROOT": str(home / "root"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "USER": "nobody-here",
        "LOGNAME": "nobody-here",
    }


class Fs:
    """``mailfs fs`` with arguments, in a world of its own."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.home = home
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "mailfs", "fs", *arguments],
            env=environment(home),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ready(self, service: str = "upasfs") -> "Fs":
        end = time.monotonic() + PATIENCE
        while not (self.home / "ns" / service).exists():
            assert self.process.poll() is None, self.process.communicate()[1]
            assert time.monotonic() < end
            time.sleep(0.01)
        return self

    def client(self, service: str = "upasfs", aname: str = "") -> Client:
        address = f"unix!{self.home / 'ns' / service}"
        return Client(address, uname="nobody-here", aname=aname)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(how)
        errors = self.process.communicate(timeout=PATIENCE)[1]
        return self.process.returncode, errors


@pytest.fixture
def fs(home: Path) -> Iterator[list[Fs]]:
    """Give a list; what servers are in it are killed at the end."""
    servers: list[Fs] = []
    yield servers
    for server in servers:
        server.process.kill()
        server.process.communicate()


def fails(home: Path, *arguments: str) -> str:
    """Return the one line of an error."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "mailfs", *arguments],
        env=environment(home),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    return done.stderr.rstrip("\n")


REFUSALS: list[tuple[Sequence[str], str]] = [
    (["index", "/no/such"], "mailfs index: /no/such: file does not exist"),
    (["fs", "-f"], "mailfs fs: argument -f: expected one argument (try --help)"),
    (["fs", "x"], "mailfs fs: unrecognized arguments: x (try --help)"),
    (
        ["fs", "-n", "-l", "tcp!0.0.0.0!0"],
        "mailfs fs: serving other machines needs a factotum with a p9any key:"
        " no factotum runs: mailfs factotum &",
    ),
    (
        ["fs", "-n", "-l", "tcp!*!9fs"],
        "mailfs fs: serving other machines needs a factotum with a p9any key:"
        " no factotum runs: mailfs factotum &",
    ),
    (
        ["fs", "-n", "-l", "nowhere!x"],
        "mailfs fs: nowhere!x: not an address: want unix!PATH, tcp!HOST!PORT,"
        " tls!HOST!PORT, stdio or a service",
    ),
    (
        ["fs", "-n", "-l", "tcp!127.0.0.1!nonesuch"],
        "mailfs fs: tcp!127.0.0.1!nonesuch: unknown service nonesuch",
    ),
    (["nonesuch"], "mailfs: nonesuch: unknown verb (try mailfs --help)"),
    (["upas/nonesuch"], "mailfs: upas/nonesuch: unknown verb (try mailfs --help)"),
]


@pytest.mark.parametrize(("arguments", "line"), REFUSALS)
def test_refusals(home: Path, arguments: list[str], line: str) -> None:
    assert fails(home, *arguments) == line.format(home=home)


def test_no_mailbox(home: Path) -> None:
    line = fails(home, "fs")
    assert line.startswith("mailfs fs: no mailbox: ")
    assert line.endswith(
        f"{home}/root/mail/box/nobody-here/mbox: none exists; name one with -f"
    )


def test_one_bad_mailbox_ends_no_other(home: Path, fs: list[Fs]) -> None:
    """Its directory says why; it is there as soon as its file is."""
    good, bad = home / "good", home / "bad"
    good.write_text(MESSAGE.format(1))
    fs.append(Fs(home, "-f", f"bad={bad}", "-f", f"good={good}").ready())
    with fs[-1].client() as client:
        names = [e.name for e in client.ls("/")]
        assert names[-2:] == ["bad", "good"]
        assert client.read("/good/1/subject") == b"1"
        status = client.read("/bad/status")
        assert b"state error\n" in status
        assert b"error " in status
        assert b"does not exist" in status
        with pytest.raises(Refused, match="does not exist"):
            client.ls("/bad")
        assert len(list((home / "cache/mailfs/index").glob("*.db"))) == 1
        bad.write_text(MESSAGE.format(2))
        assert client.read("/bad/1/subject") == b"2"
        assert b"state ready\n" in client.read("/bad/status")
    status_, errors = fs[-1].stop()
    assert status_ == 0
    assert f"bad of nobody-here ({bad}): " in errors


def test_a_server_without_a_terminal_waits_for_its_mailbox(
    home: Path, fs: list[Fs]
) -> None:
    late = home / "late"
    fs.append(Fs(home, "-f", str(late)).ready())
    late.write_text(MESSAGE.format(1))
    with fs[-1].client() as client:
        assert client.read("/mbox/1/subject") == b"1"


def at_terminal(home: Path, spec: str) -> str:
    """Return what a server prints that ends at once, having nothing to serve."""
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "mailfs", "fs", "-f", spec],
        env=environment(home),
        stdin=subprocess.DEVNULL,
        stderr=theirs,
        timeout=PATIENCE,
        check=False,
    )
    os.close(theirs)
    text = os.read(ours, 4096).decode()
    os.close(ours)
    assert done.returncode == 1
    return text


@pytest.mark.parametrize(("spec", "name"), [("/no/such", "mbox"), ("x=/no/such", "x")])
def test_with_nothing_to_serve_it_ends_at_a_terminal(
    home: Path, spec: str, name: str
) -> None:
    line = f"mailfs fs: {name} of nobody-here (/no/such): file does not exist\r\n"
    assert at_terminal(home, spec) == line


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("text", "path not served by this file server"),
        ("/etc", "path not served by this file server"),
        ("/imaps/127.0.0.1/u", "connection refused"),  # that comes before any key
        ("/imaps/127.0.0.1/u/*", "connection refused"),
        ("/no/such/*", "file does not exist"),
    ],
)
def test_what_cannot_be_opened_says_why_beside_what_can(
    home: Path, fs: list[Fs], what: str, why: str
) -> None:
    good, text = home / "good", home / "text"
    good.write_text(MESSAGE.format(1))
    text.write_text("From here on no mail\n")
    path = str(text) if what == "text" else what
    fs.append(Fs(home, "-f", f"bad={path}", "-f", f"good={good}").ready())
    with fs[-1].client() as client:
        assert client.read("/good/1/subject") == b"1"
        status = client.read("/bad/status").decode()
        assert "state error\n" in status
        assert re.search(f"\nerror .*{why}", status)
        with pytest.raises(Refused, match=why):
            client.ls("/bad")
        # Of what could not be opened no index is left.
        assert len(list((home / "cache/mailfs/index").glob("*.db"))) == 1
    _, errors = fs[-1].stop()
    assert f"bad of nobody-here ({path}): " in errors


def test_two_of_one_name(home: Path) -> None:
    line = fails(home, "fs", "-f", "a=/x", "-f", "a=/y")
    assert line == "mailfs fs: /y: mbox name in use: a (say NAME=/y)"


def test_a_mailbox_others_hide(home: Path, fs: list[Fs]) -> None:
    if os.getuid() == 0:
        # root may read anything; a directory that is none of ours says as much
        (home / "dir").mkdir()
        (home / "fifo").unlink(missing_ok=True)
        os.mkfifo(home / "fifo")
        assert "path not served by this file server" in at_terminal(
            home, str(home / "fifo")
        )
        return
    box = home / "box"
    box.write_text(MESSAGE.format(1))
    box.chmod(0)
    assert at_terminal(home, str(box)) == f"mailfs fs: {box}: permission denied\r\n"


def test_names_and_order(home: Path, fs: list[Fs]) -> None:
    for name in ("one", "two", "three"):
        (home / name).write_text(MESSAGE.format(name))
    server = Fs(
        home,
        *("-f", f"first={home}/one"),
        *("-f", str(home / "two")),
        *("-f", str(home / "three")),
    )
    fs.append(server)
    with server.ready().client() as client:
        found = [entry.name for entry in client.ls("/")]
        assert found == ["ctl", "outbox", "first", "mbox", "three"]
        assert client.read("/mbox/1/subject") == b"two"
    assert server.stop() == (0, "")
    assert list((home / "ns").iterdir()) == []


def test_defaults(home: Path, fs: list[Fs]) -> None:
    there = home / "root/mail/box/nobody-here"
    there.mkdir(parents=True)
    (there / "mbox").write_text(MESSAGE.format("plan 9"))
    fs.append(Fs(home))
    with fs[-1].ready().client() as client:
        assert client.read("/mbox/1/subject") == b"plan 9"
    fs[-1].stop()
    for name in ("cur", "new", "tmp"):
        (home / "home/Maildir" / name).mkdir(parents=True)
    (home / "home/Maildir/new/1.a").write_text("Subject: maildir\n\n")
    fs.append(Fs(home))
    with fs[-1].ready().client() as client:
        assert client.read("/mbox/1/subject") == b"maildir"
    fs[-1].stop()
    fs.append(Fs(home, "-n"))
    with fs[-1].ready().client() as client:
        assert [entry.name for entry in client.ls("/")] == ["ctl", "outbox"]


def test_relative_names_are_relative_to_us(home: Path, fs: list[Fs]) -> None:
    (home / "box").write_text(MESSAGE.format("here"))
    where = os.getcwd()
    os.chdir(home)
    try:
        fs.append(Fs(home, "-f", "box"))
        with fs[-1].ready().client() as client:
            assert client.read("/mbox/1/subject") == b"here"
    finally:
        os.chdir(where)


def test_several_addresses_and_a_second_server(home: Path, fs: list[Fs]) -> None:
    box = home / "box"
    box.write_text(MESSAGE.format("x"))
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    tcp = f"tcp!127.0.0.1!{port}"
    fs.append(Fs(home, "-f", str(box), "-l", "a", "-l", tcp, "-l", "b"))
    fs[-1].ready("b")
    assert (home / "ns/a").stat().st_mode & 0o777 == 0o600
    for service in ("a", "b"):
        with fs[-1].client(service) as client:
            assert client.read("/mbox/1/subject") == b"x"
    with Client(tcp, uname="nobody-here") as client:
        assert client.read("/mbox/1/subject") == b"x"
    assert fails(home, "fs", "-n", "-l", "a").endswith("address in use")
    assert fails(home, "fs", "-n", "-l", tcp).endswith("address in use")
    # a server that was killed leaves its socket behind; the next one takes it over
    fs[-1].stop(signal.SIGKILL)
    assert (home / "ns/a").exists()
    fs.append(Fs(home, "-f", str(box), "-l", "a"))
    time.sleep(0.1)
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with fs[-1].client("a") as client:
                assert client.read("/mbox/1/subject") == b"x"
            break
        except MailfsError:
            assert time.monotonic() < end
            time.sleep(0.05)
    assert fs[-1].stop(signal.SIGINT) == (0, "")


def test_stdio(home: Path) -> None:
    box = home / "box"
    box.write_text(MESSAGE.format("x"))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "mailfs", "fs", "-f", str(box), "-l", "stdio"],
            env=environment(home),
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
        )
        theirs.close()
        ours.sendall(bytes.fromhex("13000000 64 ffff 00200000 0600") + b"9P2000")
        answer = ours.recv(100)
        assert answer[4:5] == b"\x65"
        assert answer.endswith(b"9P2000")
        ours.shutdown(socket.SHUT_WR)
        assert process.wait(PATIENCE) == 0


def test_trace(home: Path, fs: list[Fs]) -> None:
    fs.append(Fs(home, "-n", "-D"))
    with fs[-1].ready().client() as client:
        client.ls("/")
    status, errors = fs[-1].stop()
    assert status == 0
    assert "<- Tversion" in errors
    assert "-> Rread" in errors


def test_a_large_mailbox_is_listed_and_indexed_apart(home: Path, fs: list[Fs]) -> None:
    box = home / "box"
    filler = "x" * 70 + "\n"
    with box.open("w") as f:
        for i in range(1500):
            f.write(MESSAGE.format(i).rstrip("\n") + "\n" + filler * 100 + "\n")
    fs.append(Fs(home, "-f", str(box)))
    with fs[-1].ready().client() as client:
        assert len(client.ls("/mbox")) == 1501
        assert client.read("/mbox/1500/subject") == b"1499"
        end = time.monotonic() + PATIENCE
        seen = set()
        while b"state ready" not in (status := client.read("/mbox/status")):
            seen.add(status.split(b"progress ")[-1].split()[0])
            assert time.monotonic() < end
        assert b"\nindex" not in status
        assert client.read("/mbox/700/lines") == b"101"
    assert fs[-1].stop() == (0, "")


def test_index_verb(home: Path) -> None:
    box = home / "box"
    box.write_text("".join(MESSAGE.format(i) for i in range(10)))
    command = [sys.executable, "-P", "-m", "mailfs", "index"]
    for arguments, want in (
        ([str(box)], ("", "10 messages\n")),
        (["--report", str(box)], ("listed 10\ndone\n", "")),
    ):
        done = subprocess.run(
            [*command, *arguments],
            env=environment(home),
            capture_output=True,
            text=True,
            check=True,
        )
        assert (done.stdout, done.stderr) == want
    (path,) = (home / "cache").rglob("index/*.db")
    path.unlink()
    done = subprocess.run(
        [*command, "--report", str(box)],
        env=environment(home),
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines == ["listed 10", "head 10 10", "body 10 10", "done"]


def mailfs(home: Path, *arguments: str, text: str = "") -> tuple[int, str]:
    """Run a verb; return its status and what it printed, errors too."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "mailfs", *arguments],
        env=environment(home),
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode, done.stdout


def test_other_machines_must_prove_who_they_are(home: Path, fs: list[Fs]) -> None:
    box = home / "box"
    box.write_text(MESSAGE.format("x"))
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    keys = subprocess.Popen(
        [sys.executable, "-P", "-m", "mailfs", "factotum", "-p"],
        env=environment(home),
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + PATIENCE
        while not (home / "ns/factotum").exists():
            assert time.monotonic() < end
            time.sleep(0.01)
        fs.append(Fs(home, "-f", str(box), "-l", f"tcp!*!{port}", "-l", "last"))
        fs[-1].ready("last")
        ls = ("9p", "-a", f"tcp!127.0.0.1!{port}", "ls", "mbox")
        refused = (1, "mailfs 9p: mbox: authentication failed\n")
        assert mailfs(home, *ls) == refused
        key = "key proto=dp9ik dom=example.org user=nobody-here"
        for role, password in (("server", "open sesame"), ("client", "wrong one")):
            line = f"{key} role={role} !password='{password}'\n"
            assert mailfs(home, "9p", "write", "factotum/ctl", text=line) == (0, "")
        assert mailfs(home, *ls) == refused
        line = f"{key} role=client !password='open sesame'\n"
        assert mailfs(home, "9p", "write", "factotum/ctl", text=line) == (0, "")
        assert mailfs(home, *ls) == (0, "1\nctl\n")
        # and without a conversation there is no way in
        with pytest.raises(MailfsError, match="authentication failed"):
            Client(f"tcp!127.0.0.1!{port}", uname="nobody-here")
        errors = fs[-1].stop()[1]
        assert "sesame" not in errors
    finally:
        keys.terminate()
        keys.wait()
