"""The verb 9p, against ramfs; formats as plan9port's 9p(1) prints them."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mailfs.cmd import main as command
from mailfs.cmd.p9 import _write_lines, address, listing, main, mode_letters, when
from mailfs.errors import MailfsError, Refused, UsageError
from mailfs.p9.client import Client
from mailfs.p9.fcall import DMAPPEND, DMAUTH, DMDIR, DMEXCL, NOTOUCH, OREAD, Qid, Stat
from mailfs.where import DialString
from tests.p9.serving import WAIT, Served, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("ns")
    directory.chmod(0o700)
    with serving(directory) as running:
        yield running


@pytest.fixture(autouse=True)
def _namespace(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAMESPACE", str(Path(served.unix.host).parent))
    monkeypatch.setenv("TZ", "UTC")


Feed = Callable[[bytes], None]


class Ran:
    """What a run of the command printed, and its status."""

    def __init__(self, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        self._capture = capfdbinary

    def __call__(self, *argv: str) -> tuple[int, str, str]:
        status = command.main(["9p", *argv])
        out, err = self._capture.readouterr()
        return status, out.decode(), err.decode()


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes]) -> Ran:
    return Ran(capfdbinary)


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Feed]:
    """Give a function that makes data the standard input, descriptor 0 included."""
    real = os.read
    with ExitStack() as stack:

        def make(data: bytes) -> None:
            read, write = os.pipe()
            os.write(write, data)
            os.close(write)
            text = stack.enter_context(os.fdopen(read))
            monkeypatch.setattr("sys.stdin", text)
            monkeypatch.setattr(
                "os.read", lambda fd, n: real(read if fd == 0 else fd, n)
            )

        yield make


def test_read(run: Ran) -> None:
    assert run("read", "s/alpha") == (0, "alpha\n", "")
    assert run("read", "s//./alpha") == (0, "alpha\n", "")
    assert run("read", "s/empty") == (0, "", "")


def test_address_and_aname(run: Ran, served: Served) -> None:
    for addr in (str(served.tcp), str(served.unix), served.unix.host, "s"):
        assert run("-a", addr, "read", "alpha") == (0, "alpha\n", "")
        assert run("-a", addr, "-A", "late", "-n", "read", "/alpha")[0] == 0
    assert address("s") == served.unix
    assert address("host.example") == DialString("tcp", "host.example", 564)


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (("read", "s/nix"), "s/nix: file does not exist"),
        (("read", "s/alpha/x"), "s/alpha/x: not a directory"),
        (("read", "s/refuses"), "s/refuses: not today"),
        (("stat", "s/nix"), "s/nix: file does not exist"),
        (("write", "s/dir"), "s/dir: Is a directory"),
        (("rdwr", "s/dir"), "s/dir: Is a directory"),
        (("ls", "s/nix"), "s/nix: file does not exist"),
        (("rm", "s/nix"), "s/nix: file does not exist"),
        (("create", "s/alpha"), "s/alpha: file already exists"),
        (("-A", "nix", "read", "s/alpha"), "s/alpha: no such tree"),
        (("read", "/alpha"), "/alpha: want SERVICE/PATH, or -a ADDR"),
        (
            ("-a", "tcp!127.0.0.1!1", "read", "x"),
            "x: tcp!127.0.0.1!1: connection refused",
        ),
        (("ls",), "ls: want SERVICE/PATH, or -a ADDR"),
        (("read",), "the following arguments are required: PATH (try --help)"),
        (("frobnicate",), None),
        ((), "the following arguments are required: VERB (try --help)"),
    ],
)
def test_errors_are_one_line(run: Ran, argv: tuple[str, ...], why: str | None) -> None:
    status, out, err = run(*argv)
    assert (status, out) == (1, "")
    assert err.count("\n") == 1
    assert err == f"mailfs 9p: {why}\n" or why is None


def test_no_such_service(run: Ran) -> None:
    status, _, err = run("read", "nix/x")
    assert status == 1
    assert err.startswith("mailfs 9p: nix/x: unix!")
    assert err.endswith("/nix: file does not exist\n")


def test_one_failure_does_not_stop_the_others(run: Ran) -> None:
    status, out, err = run("ls", "s/nix", "s/alpha")
    assert (status, out) == (1, "alpha\n")
    assert err == "mailfs 9p: s/nix: file does not exist\n"


def test_write(run: Ran, feed: Feed) -> None:
    assert run("create", "s/new", "s/newer") == (0, "", "")
    feed(b"one\ntwo\n")
    assert run("write", "s/new") == (0, "", "")
    assert run("read", "s/new")[1] == "one\ntwo\n"
    feed(b"1\n2")
    assert run("write", "-l", "s/new") == (0, "", "")
    assert run("read", "s/new")[1] == "1\n2"
    for option in ([], ["-l"]):
        feed(b"")
        assert run("write", *option, "s/new") == (0, "", "")
        assert run("read", "s/new")[1] == ""
    assert run("rm", "s/new", "s/newer") == (0, "", "")


class Writes:
    """A file that remembers what it was written, and refuses a word."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.writes.append(data)
        if b"bad" in data:
            raise Refused("no")
        return len(data)


def test_a_write_a_line(feed: Feed, capsys: pytest.CaptureFixture[str]) -> None:
    file: Any = Writes()
    feed(b"a\nbad\nc")
    with pytest.raises(MailfsError, match="lines refused: 1"):
        _write_lines(file, "f")
    assert file.writes == [b"a\n", b"bad\n", b"c"]
    assert capsys.readouterr().err == "mailfs 9p: f: no\n"
    file.writes.clear()
    feed(b"")
    _write_lines(file, "f")
    assert file.writes == [b""]


def test_rdwr(run: Ran, feed: Feed) -> None:
    run("create", "s/rdwr")
    feed(b"one\ntwo\n")
    # The line goes where the reading ended, as with any file.
    assert run("rdwr", "s/rdwr") == (0, "\none\nonetwo\n", "")
    run("rm", "s/rdwr")


def test_rdwr_prints_errors_but_does_not_give_up(
    run: Ran, served: Served, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(served.unix) as client:
        client.create("/rd", 0o666).close()
    feed(b"x\ny\n")
    monkeypatch.setattr("mailfs.p9.client.OpenFile.write", refuse)
    status, out, err = run("rdwr", "s/rd")
    assert (status, out) == (0, "\n\n\n")
    assert err == "mailfs 9p: s/rd: no\n" * 2
    feed(b"x\n")
    monkeypatch.setattr("mailfs.p9.client.OpenFile.read", refuse)
    status, out, err = run("rdwr", "s/rd")
    assert (status, out, err) == (0, "", "mailfs 9p: s/rd: no\n" * 3)
    run("rm", "s/rd")


def refuse(file: object, data: object) -> int:
    raise Refused("no")


def test_stat(run: Ran) -> None:
    status, out, _ = run("stat", "s/alpha")
    assert status == 0
    assert out == (
        "'alpha' 'glenda' 'glenda' 'glenda' q (0000000000000002 1 ) m 0644 "
        "at 1000000000 mt 1000000000 l 6 t 0 d 0\n"
    )


def test_ls(run: Ran, served: Served) -> None:
    _, out, _ = run("ls", "s/")
    names = out.split()
    assert names == sorted(names)
    assert run("ls", "-n", "s")[1].split()[:3] == ["alpha", "empty", "dir"]
    assert run("ls", "s/dir") == (0, "", "")
    assert run("ls", "-d", "s/dir") == (0, "dir\n", "")
    assert run("ls", "-ld", "s/dir")[1] == (
        "d-rwxr-xr-x M 0 glenda glenda 0 Sep  9  2001 dir\n"
    )
    assert run("-a", str(served.tcp), "ls") == run("ls", "s")
    with Client(served.unix) as client:
        client.create("/t", DMDIR | 0o755, OREAD).close()
        for name, mtime in ("a", 3), ("b", 1), ("c", 2):
            client.create(f"/t/{name}").close()
            client.wstat(f"/t/{name}", NOTOUCH._replace(mtime=mtime))
    assert run("ls", "-t", "s/t")[1] == "b\nc\na\n"


def entry(name: str, **changes: Any) -> Stat:
    stat = Stat(0, 0, Qid(0, 0, 0), 0o644, 0, 0, 0, name, "glenda", "sys", "")
    return stat._replace(**changes)


def test_columns() -> None:
    stats = [
        entry("a b", length=7),
        entry("it's", uid="r", length=12345, mode=DMDIR | 0o755, mtime=1_000_000_000),
    ]
    assert list(listing(stats, 1_000_000_100, long=True)) == [
        "--rw-r--r-- M 0 glenda sys     7 Jan  1  1970 'a b'\n",
        "d-rwxr-xr-x M 0 r      sys 12345 Sep  9 01:46 'it''s'\n",
    ]
    assert list(listing(stats, 0, long=False)) == ["'a b'\n", "'it''s'\n"]
    assert list(listing([], 0, long=True)) == []


@pytest.mark.parametrize(
    ("mode", "letters"),
    [
        (0o644, "--rw-r--r--"),
        (DMDIR | 0o755, "d-rwxr-xr-x"),
        (DMAPPEND | 0o222, "a--w--w--w-"),
        (DMEXCL | 0o111, "-l--x--x--x"),
        (DMAUTH | 0, "A----------"),
        (DMDIR | DMAPPEND | DMEXCL | 0o777, "dlrwxrwxrwx"),
    ],
)
def test_mode_letters(mode: int, letters: str) -> None:
    assert mode_letters(mode) == letters


HALF_YEAR = 6 * 30 * 86400


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (0, "Sep  9 01:46"),
        (HALF_YEAR - 1, "Sep  9 01:46"),
        (HALF_YEAR, "Sep  9  2001"),
        (-99, "Sep  9 01:46"),
    ],
)
def test_when(ago: int, text: str) -> None:
    assert when(1_000_000_000, 1_000_000_000 + ago) == text


def test_unknown_options_are_usage_errors() -> None:
    for argv in (["-x"], ["ls", "-x"], ["read", "a", "b"]):
        with pytest.raises(UsageError, match="try --help"):
            main(argv)


def test_it_imports_little() -> None:
    """What the verb does not need would cost its 100 ms."""
    code = (
        "import sys, mailfs.cmd.main, mailfs.cmd.p9;"
        "print(*{'asyncio', 'rich', 'uvloop', 'sqlite3', 'ssl'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=WAIT, check=True
    )
    assert done.stdout == b"\n"
