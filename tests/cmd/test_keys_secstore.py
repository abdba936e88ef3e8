"""The verbs secstore, secuser and secstored."""

import importlib
import io
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mailfs.errors import MailfsError, UsageError
from mailfs.secret import Secret
from mailfs.secstore import edit, kdf, seal
from mailfs.secstore.account import Accounts
from mailfs.secstore.kdf import Cost
from mailfs.secstore.seal import SealFormat
from tests.secstore.conftest import Running, server

__all__ = ["server"]  # a fixture

Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a verb with text on its standard input; returns its output."""

    def call(verb: str, *args: str, stdin: str = "") -> str:
        raw = io.BytesIO(stdin.encode())
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(raw))
        out = io.TextIOWrapper(io.BytesIO(), write_through=True)
        with monkeypatch.context() as m:
            m.setattr("sys.stdout", out)
            assert importlib.import_module(f"mailfs.cmd.{verb}").main(list(args)) == 0
        assert isinstance(out.buffer, io.BytesIO)
        return out.buffer.getvalue().decode()

    return call


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make passwords cheap by default, for the time of a test."""
    monkeypatch.setattr(kdf.Cost.__init__, "__defaults__", (14, 1))


@pytest.fixture
def at(server: Running, run: Run, cheap: None) -> Run:
    """Run secstore as the user old, by the password on standard input."""

    def call(*args: str, stdin: str = "", user: str = "old") -> str:
        address = f"tcp!127.0.0.1!{server.port}"
        text = f"sesame123\n{stdin}"
        return run("secstore", "-i", "-s", address, "-u", user, *args, stdin=text)

    return call


def test_put_get_list_remove(
    at: Run,
    server: Running,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d").mkdir()
    (tmp_path / "d/factotum").write_text("key a=b\nkey c=d\n")
    at("-p", "d/factotum")
    err = capsys.readouterr().err
    assert err == "server: test server\nsaved 16 bytes\n"
    stored = server.accounts.files("old") / "factotum"
    assert seal.form(stored.read_bytes()) is SealFormat.SEALED
    assert at("-G", "factotum") == "key a=b\nkey c=d\n"
    assert at("-g", "factotum") == ""
    assert (tmp_path / "factotum").read_text() == "key a=b\nkey c=d\n"
    assert (tmp_path / "factotum").stat().st_mode & 0o777 == 0o600
    at("-P", "more", stdin="from a pipe")
    assert at("-G", "more", "-G", "factotum") == "from a pipekey a=b\nkey c=d\n"
    assert re.fullmatch(
        r"factotum\t79 .{24} [^ ]{28}\nmore    \t74 .{24} [^ ]{28}\n", at("-g", ".")
    )
    at("-r", "more")
    assert "more" not in at("-g", ".")
    odd = "key a=b !password='\\r\u2028\x85\x0b\x0c\x1c'\nkey c=d\n".encode()
    (tmp_path / "factotum").write_bytes(odd)
    at("-p", "factotum")
    at("-g", "factotum")
    assert (tmp_path / "factotum").read_bytes() == odd
    assert "bravo" not in capsys.readouterr().err
    at("-v", "-g", ".")
    assert re.search(r"^(alpha|bravo|charlie|delta|echo|foxtrot|golf|hotel)$",
                     capsys.readouterr().err, re.MULTILINE)  # fmt: skip


def test_form_is_kept(at: Run, server: Running) -> None:
    file = server.accounts.files("old") / "f"

    def form() -> SealFormat:
        return seal.form(file.read_bytes())

    at("-9", "-P", "f", stdin="1")
    assert form() is SealFormat.PLAN9
    at("-P", "f", stdin="2")
    assert form() is SealFormat.PLAN9
    at("--form", "sealed", "-P", "f", stdin="3")
    assert form() is SealFormat.SEALED
    at("-P", "f", stdin="4")
    assert form() is SealFormat.SEALED
    assert at("-G", "f") == "4"
    file.write_bytes(bytes(100))  # which the password does not open: no reason to obey
    at("-P", "f", stdin="5")
    assert form() is SealFormat.SEALED


def test_change_of_password(
    at: Run, server: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    at("-P", "f", stdin="hello")
    at("-c", stdin="another1\n")
    assert "reencrypting 'f'\n" in capsys.readouterr().err
    with server.login("old", Secret("another1")) as session:
        assert session.get("f") == b"hello"
    with pytest.raises(MailfsError, match="old: password mistyped"):
        at("-g", ".")


def test_short_new_password(at: Run, server: Running) -> None:
    for new in ("", "\n", "short1\n"):
        with pytest.raises(MailfsError, match=r"at least 7|no new password"):
            at("-c", stdin=new)
    server.login("old").close()


def test_errors(at: Run, run: Run, tmp_path: Path) -> None:
    for args, why in (
        (["-g", "none"], "remote file none does not exist"),
        (["-g", "../x"], "simple filenames"),
        (["-r", "none"], "none: remove failed: file does not exist"),
        (["-c", "-g", "x"], "invalid with password change"),
        (["-p"], "expected one argument"),
        (["-s", "udp!x"], "not an address"),
    ):
        with pytest.raises((MailfsError, UsageError), match=why):
            at(*args)
    with pytest.raises(FileNotFoundError):
        at("-p", str(tmp_path / "none"))
    with pytest.raises(MailfsError, match="nobody: account does not exist"):
        at("-g", ".", user="nobody")
    for text, why in (("", "no password on standard input"), ("\n", "no password"),
                      ("x" * 2000, "over 1024")):  # fmt: skip
        with pytest.raises(MailfsError, match=why):
            run("secstore", "-i", "-s", "127.0.0.1", stdin=text)


EDIT = pytest.mark.skipif(
    edit.kind(Path("/dev/shm")) not in edit.MEMORY, reason="no file system in memory"
)


@EDIT
def test_edit(
    at: Run,
    server: Running,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    script = tmp_path / "editor"
    script.write_text('#!/bin/sh\necho key a=$1 >>"$2"\n')
    script.chmod(0o755)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", f"{script} one")
    at("-e", "factotum")
    monkeypatch.setenv("EDITOR", f"{script} two")
    at("-e", "factotum")
    assert at("-G", "factotum") == "key a=one\nkey a=two\n"
    monkeypatch.setenv("EDITOR", "true")
    capsys.readouterr()
    at("-e", "factotum")
    assert capsys.readouterr().err.endswith("no change\n")


@EDIT
def test_edit_does_not_undo_somebody_else_s(
    at: Run, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    at("-P", "f", stdin="old")

    def meanwhile(data: bytes, *rest: object) -> bytes:
        with server.login("old") as session:
            session.put("f", b"theirs", cost=Cost(14))
        return b"ours"

    monkeypatch.setattr(edit, "edit", meanwhile)
    with pytest.raises(MailfsError, match="changed on the server meanwhile"):
        at("-e", "f")
    assert at("-G", "f") == "theirs"


def test_secuser(run: Run, cheap: None, tmp_path: Path) -> None:
    accounts = Accounts(tmp_path)

    def secuser(*args: str, password: str = "sesame123") -> str:
        return run("secuser", "-i", "-d", str(tmp_path), *args, stdin=password + "\n")

    assert secuser("bob") == "change written\n"
    bob = accounts.read("bob")
    assert bob.stretch is not None
    assert bob.enabled
    assert accounts.files("bob").stat().st_mode & 0o777 == 0o700
    secuser("-9", "old")
    old = accounts.read("old")
    assert old.stretch is None
    secuser("old", password="sesame124")
    assert accounts.read("old").stretch is None  # it stays as it was
    assert accounts.read("old").hi != old.hi
    assert accounts.read("old").expires == old.expires
    secuser("--stretched", "old")
    assert accounts.read("old").stretch is not None
    for args, password, why in (
        (["bob"], "short1", "at least 7 characters"),
        (["-9", "bob"], "x" * 64, "over 63 octets"),
        (["../x"], "sesame123", "not a name"),
        (["a b"], "sesame123", "not a name"),
    ):
        with pytest.raises((MailfsError, UsageError), match=why):
            secuser(*args, password=password)
    assert accounts.read("bob") == bob


def answers(monkeypatch: pytest.MonkeyPatch, *texts: str) -> list[str]:
    """Answer questions on the terminal; returns the prompts as they come."""
    left, prompts = list(texts), []

    def ask(prompt: str, default: str = "") -> str:
        prompts.append(prompt)
        return left.pop(0) or default

    monkeypatch.setattr("mailfs.cmd.tty.ask", ask)
    monkeypatch.setattr("mailfs.cmd.tty.password", lambda p: Secret(ask(p)))
    return prompts


def test_secuser_asks(
    run: Run, cheap: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = Accounts(tmp_path)
    prompts = answers(
        monkeypatch, "sesame123", "sesame123", "31022030", "x", "31122030", "d", "me\t"
    )
    run("secuser", "-d", str(tmp_path), "bob")
    assert prompts[0] == "bob password: "
    assert re.fullmatch(r"expires \[DDMMYYYY, default = \d{8}\]: ", prompts[2])
    bob = accounts.read("bob")
    assert (bob.enabled, bob.other) == (False, "me")
    prompts = answers(monkeypatch, "", "never", "", "")
    run("secuser", "-d", str(tmp_path), "bob")
    assert prompts == [
        "bob password [default = don't change]: ",
        "expires [DDMMYYYY, default = 31122030]: ",
        "Enabled or Disabled [default Disabled]: ",
        "comments [default = me]: ",
    ]
    assert accounts.read("bob").expires == 0
    assert accounts.read("bob").hi == bob.hi
    answers(monkeypatch, "sesame123", "sesame124")
    with pytest.raises(MailfsError, match="didn't match"):
        run("secuser", "-d", str(tmp_path), "bob")


def test_mistyped_password_is_asked_again(
    run: Run, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = ["-s", f"tcp!127.0.0.1!{server.port}", "-u", "old"]
    prompts = answers(monkeypatch, "wrong", "sesame123")
    assert run("secstore", *where, "-g", ".") == ""
    assert prompts == ["secstore password: "] * 2
    answers(monkeypatch, "wrong", "wrong", "wrong")
    with pytest.raises(MailfsError, match="mistyped"):
        run("secstore", *where, "-g", ".")
    answers(monkeypatch, "")
    with pytest.raises(MailfsError, match="no password"):
        run("secstore", *where, "-g", ".")
    answers(monkeypatch, "sesame123", "newpass12", "newpass13")
    with pytest.raises(MailfsError, match="didn't match"):
        run("secstore", *where, "-c")
    answers(monkeypatch, "sesame123", "")
    with pytest.raises(MailfsError, match="aborted"):
        run("secstore", *where, "-c")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_secstored_starts_and_ends(tmp_path: Path, number: signal.Signals) -> None:
    code = "import sys; from mailfs.cmd.secstored import main as m; m(sys.argv[1:])"
    child = subprocess.Popen(
        [sys.executable, "-c", code, "--root", str(tmp_path), "-S", "me",
         "-s", "tcp!127.0.0.1!0"],
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert child.stderr is not None
    line = child.stderr.readline()
    found = re.search(r"ANNOUNCE tcp!127\.0\.0\.1!(\d+)", line)
    assert found, line
    from mailfs.secstore.client import dial, probe
    from mailfs.secstore.error import SecstoreRefused

    with pytest.raises(SecstoreRefused, match="does not exist"):
        probe(dial(f"tcp!127.0.0.1!{found[1]}"), "bob")
    child.send_signal(number)
    _, rest = child.communicate(timeout=20)
    assert child.returncode == 0
    assert "Traceback" not in rest
    assert (tmp_path / "adm/secstore/who").is_dir()


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["-R"], "cannot check tokens"),
        (["-s", "x"], "not an address"),
        (["-s", "tcp!*!x"], "not an address"),
        (["-s", "tcp!*!99999"], "not an address"),
        (["-s", "tcp!192.0.2.1!0"], "tcp!192.0.2.1!0: "),
    ],
)
def test_secstored_errors(tmp_path: Path, args: list[str], why: str) -> None:
    from mailfs.cmd.secstored import main

    with pytest.raises(MailfsError, match=re.escape(why)):
        main(["-d", str(tmp_path / "d"), *args])


def test_a_server_that_is_not_there_asks_no_password(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = answers(monkeypatch, "sesame123")
    monkeypatch.delenv("secstore", raising=False)
    why = r"no server is named: set \$secstore or use -s \(can't dial tcp!secstore!"
    with pytest.raises(MailfsError, match=why):
        run("secstore", "-g", "factotum")
    with socket.create_server(("127.0.0.1", 0)) as s:
        gone = s.getsockname()[1]
    with pytest.raises(MailfsError, match=r"^can't dial tcp!127\.0\.0\.1!"):
        run("secstore", "-s", f"tcp!127.0.0.1!{gone}", "-g", "factotum")
    assert prompts == []


def test_no_terminal(server: Running) -> None:
    """Ask nothing of a standard input that is no terminal."""
    code = (
        "import sys; from mailfs.cmd.secstore import main\n"
        "from mailfs.errors import MailfsError\n"
        f"try: main(['-s', 'tcp!127.0.0.1!{server.port}'])\n"
        "except MailfsError as e: print(e)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input="sesame123\n",
        capture_output=True,
        text=True,
        start_new_session=True,  # no /dev/tty
        check=False,
        env=os.environ,
    )
    assert done.stdout == "no terminal to ask for a password on\n"
    assert done.stderr == ""
