"""mailfs mail and mailfs marshal as they are typed."""

import os
import pty
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from email import message_from_bytes, policy
from pathlib import Path
from typing import NamedTuple

import pytest

from mailfs.cmd.main import main

from .conftest import World
from .reading import Leaf, both

PNG = b"\x89PNG\r\n\x1a\n\0"


class Done(NamedTuple):
    """What a verb did, run in this process: starting one costs half a second."""

    returncode: int
    stdout: bytes
    stderr: bytes


Run = Callable[..., Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Return what runs a verb as glenda, in the environment that is given."""

    def do(world: World, *argv: str, text: str = "", **env: str) -> Done:
        for name, value in environment(world, env).items():
            monkeypatch.setenv(name, value)
        old = os.dup(0)
        with tempfile.TemporaryFile() as stdin:
            stdin.write(text.encode())
            stdin.seek(0)
            os.dup2(stdin.fileno(), 0)
        monkeypatch.setattr(sys, "stdin", open(0, closefd=False))  # noqa: SIM115
        try:
            status = main([*argv])
        finally:
            os.dup2(old, 0)
            os.close(old)
            for name in env:
                monkeypatch.delenv(name)
        out, err = capfd.readouterr()
        return Done(status, out.encode(), err.encode())

    return do


def command(*argv: str) -> list[str]:
    """Return how a verb is run."""
    return [sys.executable, "-P", "-m", "mailfs", *argv]


def environment(world: World, more: dict[str, str] | None = None) -> dict[str, str]:
    """Return where glenda lives."""
    own = {"MAILFS_ROOT": str(world.root), "LOGNAME": "glenda", "site": "gnot"}
    return {**os.environ, **own, **(more or {})}


def test_plain(world: World) -> None:
    done = subprocess.run(
        command("mail", "bob"),
        input=b"hello\n",
        capture_output=True,
        env=environment(world),
        check=True,
    )
    assert (done.stdout, done.stderr) == (b"", b"")
    (got,) = world.mail(user="bob")
    assert "From: glenda\n" in got
    assert got.endswith("\n\nhello\n")


def test_upasname(world: World, run: Run) -> None:
    world.write("headers", 'From: "Glenda" <glenda@myserver.dom>\n')
    run(world, "mail", "bob", text="one\n")
    run(world, "mail", "bob", text="two\n", upasname="janet@machine.dom")
    one, two = world.mail(user="bob")
    assert 'From: "Glenda" <glenda@myserver.dom>\n' in one
    assert "From: janet@machine.dom\n" in two
    first = sorted((world.root / "mail/box/bob/mbox").glob("*.*"))
    assert first[-1].read_text().startswith("From janet@machine.dom ")


def test_a_copy_of_every_letter(world: World, run: Run) -> None:
    world.write("headers", "From: Glenda <glenda@myserver.dom>\nFcc: sent\n")
    assert run(world, "mail", "bob", text="one\n").returncode == 0
    assert run(world, "mail", "-S", "other", "bob", text="two\n").returncode == 0
    one, two = world.mail(user="bob")
    assert (world.mail("sent"), world.mail("other")) == ([one], [two])
    assert "fcc" not in one.lower()
    assert run(world, "mail", "nosuch", text="three\n").returncode == 1
    assert world.mail("sent") == [one]
    world.write("headers", "Fcc: names\n")
    done = run(world, "mail", "bob", text="four\n")
    assert b"won't overwrite names" in done.stderr


def test_everything_at_once(world: World, run: Run, tmp_path: Path) -> None:
    (tmp_path / "dots.png").write_bytes(PNG)
    (tmp_path / "note").write_text("note\n")
    world.write("names", "team bob glenda\n")
    done = run(
        world,
        *("mail", "-s", "Thé", "-C", "glenda", "-B", "x@out.example", "-S", "sent"),
        *("-A", str(tmp_path / "dots.png"), "-t", "text/x-own"),
        *("-a", str(tmp_path / "note"), "team"),
        text="see this\n",
    )
    assert (done.returncode, done.stderr) == (0, b"")
    (got,) = world.mail(user="bob")
    assert [*both(got.encode())] == [
        Leaf("text/plain", "", b"see this\n"),
        Leaf("image/png", "dots.png", PNG),
        Leaf("text/x-own", "note", b"note\n"),
    ]
    assert world.mail("sent") == [got]
    assert got in world.kept.read_text()
    assert "out.example" not in got


def test_recipients_in_the_text(world: World, run: Run) -> None:
    text = "To: bob\nBcc: glenda\nAttach: /etc/hostname\nSubject: s\n\nx\n"
    assert run(world, "mail", text=text).returncode == 0
    (got,) = world.mail(user="bob")
    assert 'filename="hostname"' in got
    assert "Attach:" not in got
    assert world.mail() == [got]
    assert run(world, "marshal", "bob", text=text).returncode == 0
    assert len(world.mail(user="bob")) == 2
    assert run(world, "marshal", "-8", text=text).returncode == 0
    assert len(world.mail(user="bob")) == 3


def test_arguments_that_are_no_utf8(world: World, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "caf\udce9"
    file.write_bytes(b"x\n")
    done = run(world, "mail", "-s", "caf\udce9", "-a", str(file), "bob", text="x\n")
    assert (done.returncode, done.stderr) == (0, b"")
    (got,) = world.mail(user="bob")
    assert "Subject: =?utf-8?q?caf=C3=A9?=\n" in got
    assert "filename*=utf-8''caf%EF%BF%BD" in got


def test_filed_by_name(world: World, run: Run) -> None:
    assert run(world, "marshal", "-F", "bob@here", text="x\n").returncode == 0
    assert len(world.mail("bob")) == 1


def test_nothing_to_send(world: World, run: Run) -> None:
    done = run(world, "mail", "bob")
    assert (done.returncode, done.stderr) == (0, b"")
    assert world.mail(user="bob") == []
    done = run(world, "mail", "-n", "-s", "just this", "-a", __file__, "bob")
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(both(world.mail(user="bob")[0].encode())) == 1


# Arguments and a text that cannot be sent; what is said, and the exit status.
FAILURES = [
    (["mail", "nosuch"], "nosuch: unknown user", 1),
    (["mail", "bob", "nosuch"], "not sent to nosuch: unknown user", 1),
    (["mail", "later@out.example"], "busy", 75),
    (["mail"], "no addresses found, message not sent", 1),
    (["mail", "a b"], "rfc822 syntax error", 1),
    (["mail", "-S", "names", "bob"], "won't overwrite names", 1),
]


@pytest.mark.parametrize(("argv", "said", "status"), FAILURES)
def test_what_cannot_be_sent_is_kept(
    world: World, run: Run, argv: list[str], said: str, status: int
) -> None:
    for text in ("first try\n", "Subject: second\n\ntry\n"):
        done = run(world, *argv, text=text)
        line = done.stderr.decode()
        assert line.startswith(f"mailfs {argv[0]}: ")
        assert line.count("\n") == 1
        assert said in line
        assert f"saved in {world.box}/dead.letter" in line
        assert done.returncode == status
    dead = (world.box / "dead.letter").read_text()
    assert "first try\n" in dead
    assert "Subject: second\n" in dead
    assert dead.count("From glenda ") == 2


USAGE = [
    (["marshal"], "no addresses"),
    (["marshal", "--root", "ROOT"], "no addresses"),
    (["marshal", "-n", "-8"], "can't use both -n and -8"),
    (["mail", "-p", "x", "bob"], "want s, e or both"),
    (["mail", "--all", "bob"], "--all without -R"),
    (["mail", "-a", "/nonesuch", "bob"], "/nonesuch: can't read file: file does not"),
    (["mail", "-R", "nonesuch/mbox/3"], "nonesuch/mbox/3: "),
    (["marshal", "-R", "nonesuch/mbox/3"], "no addresses found"),
    (["mail", "-f", "mbox"], "reading mail"),
]


@pytest.mark.parametrize(("argv", "said"), USAGE)
def test_usage(world: World, run: Run, argv: list[str], said: str) -> None:
    argv = [str(world.root) if word == "ROOT" else word for word in argv]
    done = run(world, *argv, text="typed in vain?\n")
    assert done.returncode == 1
    assert said in done.stderr.decode()
    if "-n" in argv or "-f" in argv:
        return
    assert f"; saved in {world.box}/dead.letter" in done.stderr.decode()
    assert "typed in vain?\n" in (world.box / "dead.letter").read_text()


def test_where_it_would_go(world: World, run: Run) -> None:
    world.write("names", "team bob glenda\n")
    done = run(world, "mail", "-x", "team", "nosuch")
    lines = done.stdout.decode().splitlines()
    assert (done.returncode, lines[-1]) == (0, "unknown user: nosuch")
    assert lines[:2] == ["bob", "glenda"]


def test_sent_but_not_filed(world: World, run: Run) -> None:
    (world.box / "sent").symlink_to("/nonexistent/nowhere")
    done = run(world, "mail", "-S", "sent", "bob", text="x\n")
    assert done.returncode == 0
    assert done.stderr.startswith(b"mailfs mail: sent, but copy not saved in ")
    assert len(world.mail("unfiled")) == len(world.mail(user="bob")) == 1
    assert not (world.box / "dead.letter").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted(world: World, number: signal.Signals) -> None:
    argv = command("mail", "bob")
    with subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(world),
    ) as mail:
        assert mail.stdin is not None
        assert mail.stderr is not None
        mail.stdin.write(b"half a let")
        mail.stdin.flush()
        wait_until_read(mail.stdin.fileno())
        mail.send_signal(number)
        said = mail.stderr.read().decode()
        assert mail.wait(30) == 128 + number
    assert said == f"mailfs mail: interrupted; saved in {world.box}/dead.letter\n"
    assert "half a let" in (world.box / "dead.letter").read_text()
    assert world.mail(user="bob") == []


def test_no_signal_comes_between(world: World) -> None:
    script = f"#!/bin/sh\nkill -TERM $PPID\nsleep 0.1\ncat >{world.kept}\n"
    world.write("pipefrom", script, 0o700)
    done = subprocess.run(
        command("mail", "-S", "sent", "bob"),
        input=b"x\n",
        capture_output=True,
        env=environment(world),
        check=True,
    )
    assert done.stderr == b""
    assert world.mail("sent") == [world.kept.read_text()]
    assert not (world.box / "dead.letter").exists()


def wait_until_read(fd: int) -> None:
    """Wait until nobody has anything left to read from a pipe or terminal."""
    import array
    import fcntl
    import termios

    left = array.array("i", [1])
    deadline = time.monotonic() + 30
    while left[0]:
        assert time.monotonic() < deadline
        fcntl.ioctl(fd, termios.FIONREAD, left)
        time.sleep(0.01)


def test_on_a_terminal(world: World) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command("mail", "bob"),
        stdin=theirs,
        stderr=subprocess.PIPE,
        env=environment(world),
    ) as mail:
        os.close(theirs)
        os.write(ours, b"Subject: typed\nhello there\n~ and a tilde\n\x04")
        assert mail.wait(30) == 0
        assert mail.stderr is not None
        assert mail.stderr.read() == b""
    os.close(ours)
    (got,) = world.mail(user="bob")
    assert "Subject: typed\n" in got
    assert got.endswith("\n\nhello there\n~ and a tilde\n")


def test_reply(world: World, run: Run, tmp_path: Path) -> None:
    parent = tmp_path / "3"
    parent.mkdir()
    head = "From: bob\nTo: glenda\nCc: x@out.example\nSubject: Tea\nMessage-ID: <m@x>\n"
    (parent / "rawheader").write_text(head)
    (parent / "messageid").write_text("m@x")
    assert run(world, "mail", "-R", str(parent), text="yes\n").returncode == 0
    (got,) = world.mail(user="bob")
    assert "Subject: Re: Tea\n" in got
    assert "In-Reply-To: <m@x>\n" in got
    assert "References: <m@x>\n" in got
    assert not world.kept.exists()
    done = run(world, "mail", "--all", "-R", str(parent), text="all\n")
    assert done.returncode == 0
    assert "Cc: x@out.example\n" in world.kept.read_text()
    assert world.mail() == []


# What is typed with which arguments; the first try fails, and the dead letter goes.
AGAIN = [
    (["mail", "-s", "Thé", "-C", "glenda"], "hello\n"),
    (["mail"], "Cc: glenda\nSubject: Thé\nX-Own: 1\n\nhello\n"),
    (["mail", "-C", "glenda"], "Subject: =?utf-8?q?Th=C3=A9?=\n\n" + "x" * 2000 + "\n"),
    (["mail", "-s", "Thé", "-C", "glenda", "-R", "none/mbox/1"], "hé\n"),
]


@pytest.mark.parametrize("resend", [["send", "-t"], ["mail"], ["marshal", "-8"]])
@pytest.mark.parametrize(("argv", "text"), AGAIN)
@pytest.mark.parametrize("how", ["rules", "address", "file"])
def test_a_dead_letter_can_be_sent_again(
    world: World,
    run: Run,
    tmp_path: Path,
    how: str,
    argv: list[str],
    text: str,
    resend: list[str],
) -> None:
    (tmp_path / "dots.png").write_bytes(PNG)
    argv = [*argv, "-B", "x@out.example", "-a", str(tmp_path / "dots.png"), "bob"]
    rules = world.root / "mail/lib/rewrite"
    good = rules.read_text()
    if how == "rules":
        rules.write_text("")
    elif how == "address":
        argv.append("a b")
    else:
        argv[1:1] = ["-a", str(tmp_path / "none")]
    assert run(world, *argv, text=text).returncode == 1
    rules.write_text(good)
    dead = (world.box / "dead.letter").read_text()
    assert dead.count("From glenda ") == 1
    if how == "address":
        dead = dead.replace(", a b", "")
    if how == "file":
        dead = dead.replace(f"Attach: {tmp_path}/none\n", "")
    (world.box / "dead.letter").unlink()
    done = run(world, *resend, text=dead)
    assert (done.returncode, done.stderr) == (0, b"")
    assert world.mail(user="bob") == world.mail(user="glenda")
    (got,) = world.mail(user="bob")
    assert got in world.kept.read_text()
    head = got.partition("\n\n")[0]
    assert "Bcc" not in head
    assert "out.example" not in head
    assert "Cc: glenda" in head
    mail = message_from_bytes(got.encode(), policy=policy.default)
    assert mail["Subject"] == "Thé"
    one, two = both(got.encode())
    assert two == Leaf("image/png", "dots.png", PNG)
    assert one.octets.rstrip() == text.rpartition("\n\n")[2].strip().encode()
    assert ("X-Own: 1" in head) == ("X-Own" in text)


def test_a_dead_letter_without_files(world: World, run: Run) -> None:
    assert run(world, "mail", "-s", "s", "bob", "a b", text="typed\n").returncode == 1
    dead = (world.box / "dead.letter").read_text()
    assert dead.partition("\n")[2] == "To: bob, a b\nSubject: s\n\ntyped\n\n"


def test_only_who_was_refused_gets_the_dead_letter(world: World, run: Run) -> None:
    assert run(world, "mail", "bob", "-B", "nosuch", text="hi\n").returncode == 1
    assert len(world.mail(user="bob")) == 1
    dead = (world.box / "dead.letter").read_text()
    assert "\nResent-To: nosuch\n" in dead
    (world.root / "mail/box/nosuch").mkdir()
    assert run(world, "send", "-t", text=dead).returncode == 0
    assert len(world.mail(user="bob")) == 1
    assert len(world.mail(user="nosuch")) == 1


def test_encrypted_for_others_is_kept_as_typed(world: World, run: Run) -> None:
    done = run(
        world, "mail", "-p", "e", "nosuch@x", text="private\n", GNUPGHOME="/nonexistent"
    )
    assert done.returncode == 1
    assert "\n\nprivate\n" in (world.box / "dead.letter").read_text()


def test_what_cannot_be_replied_to_is_a_warning(world: World, run: Run) -> None:
    done = run(world, "mail", "-R", "Mail/mbox/10/", "bob", text="yes\n")
    assert done.returncode == 0
    assert done.stderr.startswith(b"mailfs mail: Mail/mbox/10/: ")
    assert done.stderr.count(b"\n") == 1
    (got,) = world.mail(user="bob")
    assert "In-Reply-To" not in got
    assert not (world.box / "dead.letter").exists()


def test_a_text_that_comes_slowly_is_not_waited_for(world: World) -> None:
    with subprocess.Popen(
        command("mail", "--nonsense", "bob"),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(world),
    ) as mail:
        assert mail.stdin is not None
        assert mail.stderr is not None
        mail.stdin.write(b"as far as it came")
        mail.stdin.flush()
        said = mail.stderr.read().decode()
        assert mail.wait(30) == 1
    assert (
        f"unrecognized arguments: --nonsense (try --help); saved in {world.box}" in said
    )
    assert "as far as it came" in (world.box / "dead.letter").read_text()
