"""The verbs qer, runq, kickqueue, queue, smtp as programs."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from mailfs.cmd.main import main
from mailfs.ndb import install, shipped
from mailfs.queue import spool, status
from mailfs.queue.spool import Job, enqueue, jobs
from mailfs.runq import runq
from tests.queue.world import DATA, World, remotemail
from tests.smtp.world import Box, context, logged, logs, receiver
from tests.tls.pki import Pki

PATIENCE = 30.0  # seconds


def run(
    world: World, *words: object, data: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "mailfs", *map(str, words)],
        input=data,
        capture_output=True,
        env=os.environ | {"MAILFS_ROOT": str(world.root), "sysname": "gnot.h.org"},
        check=False,
        timeout=PATIENCE * 2,
    )


def login() -> str:
    from mailfs import where

    return where.user()


@pytest.fixture
def lib(world: World) -> Path:
    folder = world.root / "mail/lib"
    folder.mkdir(parents=True)
    for name in ("remotemail", "qmail", "justqmail", "kickqueue"):
        edited = name == "remotemail"
        text = remotemail() if edited else shipped.path(name).read_text()
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def test_qer(world: World, tmp_path: Path) -> None:
    (tmp_path / "extra").write_text("x")
    words = ["mail", "glenda", "net!b.com", "a@b.com"]
    done = run(world, "qer", "-f", tmp_path / "extra", world.queue, *words, data=DATA)
    assert (done.returncode, done.stderr) == (0, b"")
    (job,) = jobs(world.queue / login())
    assert job.words() == (*words, str(job.path("F")))
    assert job.path("D").read_bytes() == DATA
    assert run(world, "qer", "-q", "sub", world.queue, *words).returncode == 0
    assert len(jobs(world.queue / "sub")) == 1
    assert "qer usys data starts with" in world.log("smtp")


def test_qer_refuses(world: World) -> None:
    done = run(world, "qer", world.queue, "mail", "glenda")
    assert done.returncode == 1
    done = run(world, "qer", "-q", "a/b", world.queue, "mail", "glenda", "x")
    assert done.stderr == b"mailfs qer: unknown user 'a/b'\n"


def test_from_the_scripts_to_the_server(world: World, lib: Path) -> None:
    """Run justqmail and kickqueue as rewrite and cron do."""
    box = Box()
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    env.pop("MAILFS_ROOT", None)
    with receiver(box) as port:
        dest = f"net!127.0.0.1!{port}"
        words = ["sh", lib / "justqmail", "glenda@h.org", dest, "a@b.com"]
        subprocess.run(list(map(str, words)), input=DATA, env=env, check=True)
        assert len(jobs(world.queue / login())) == 1
        subprocess.run(["sh", str(lib / "kickqueue")], env=env, check=True)
        assert jobs(world.queue / login()) == []
        words[1] = lib / "qmail"
        subprocess.run(list(map(str, words)), input=DATA, env=env, check=True)
        end = time.monotonic() + PATIENCE
        while jobs(world.queue / login()):
            assert time.monotonic() < end
            time.sleep(0.01)
    assert [e.rcpt_tos for e in box.got] == [["a@b.com"], ["a@b.com"]]


def test_remotemail_as_a_program(world: World, lib: Path) -> None:
    """One that does more is run, and still each recipient has a fate of its own."""
    script = lib / "remotemail"
    script.write_text(script.read_text().replace("shift 3", "shift 3; : more"))
    box = Box()
    box.rcpts = {"b@b.com": "450 4.2.0 later", "c@b.com": "550 5.1.1 no"}
    with receiver(box) as port:
        dest = f"net!127.0.0.1!{port}"
        words = ("mail", "/dev/null", dest, "a@b.com", "b@b.com", "c@b.com")
        spool.enqueue(world.queue, login(), DATA, words)
        done = run(world, "runq")
        assert (done.returncode, done.stderr) == (0, b"")
    (job,) = jobs(world.queue / login())
    assert job.words()[3:] == ("b@b.com",)
    assert box.got[0].rcpt_tos == ["a@b.com"]
    assert "mail to b@b.com failed: 450 4.2.0 later" in job.path("E").read_text()


def test_bounce_reaches_the_sender(world: World, lib: Path) -> None:
    """Through send, into a mailbox below the root."""
    rules = "(local!)?([^!@.]+) >> /mail/box/\\2/mbox\n"
    (lib / "rewrite").write_text(rules)
    mbox = world.root / "mail/box/glenda/mbox"
    mbox.parent.mkdir(parents=True)
    mbox.touch()
    box = Box()
    box.rcpts = {"a@b.com": "550 5.1.1 no such user"}
    with receiver(box) as port:
        words = ("mail", "glenda", f"net!127.0.0.1!{port}", "a@b.com")
        spool.enqueue(world.queue, login(), DATA, words)
        done = run(world, "kickqueue", "-a")
        assert (done.returncode, done.stderr) == (0, b"")
    assert jobs(world.queue / login()) == [], world.log()
    assert b"Final-Recipient: rfc822; a@b.com" in mbox.read_bytes()


def test_runq_without_remotemail(world: World) -> None:
    install.install(world.root, login())
    (world.root / "mail/lib/remotemail").unlink()
    done = run(world, "runq")
    assert done.returncode == 1
    assert b"remotemail: No such file or directory" in done.stderr
    assert run(world, "runq", "-n", "0").returncode == 1


@contextmanager
def _killed(
    command: list[str], env: dict[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program, and wait for no end of it that does not come."""
    with subprocess.Popen(command, env=env) as process:
        try:
            yield process
        finally:
            process.kill()


def test_watch(world: World, lib: Path) -> None:
    box = Box()
    command = [sys.executable, "-P", "-m", "mailfs", "runq", "--watch"]
    env = os.environ | {"MAILFS_ROOT": str(world.root)}
    with receiver(box) as port, _killed(command, env) as daemon:
        end = time.monotonic() + PATIENCE
        while not runq.watched(world.queue):
            assert time.monotonic() < end
            time.sleep(0.01)
        second = run(world, "runq", "--watch")
        assert b"another runq watches it" in second.stderr
        for _ in range(3):
            words = ("mail", "glenda", f"net!127.0.0.1!{port}", "a@b.com")
            spool.enqueue(world.queue, "glenda", DATA, words)
            while jobs(world.queue / "glenda"):
                assert time.monotonic() < end
                time.sleep(0.01)
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(PATIENCE) == 0
    assert len(box.got) == 3


def queued(world: World) -> Job:
    return world.put("a@b.com", reply="o%%27neil")


def test_queue(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    root = ["--root", str(world.root)]
    assert main(["queue", *root]) == 0
    assert capsys.readouterr().out == "0 in the queue\n"
    job = queued(world)
    job.path("E").write_text("earlier\n  mail to a@b.com failed: 450 later\n")
    assert main(["queue", *root]) == 0
    head, row, error, count = capsys.readouterr().out.splitlines()
    assert head.split() == ["message", "state", "age", "octets", "next", "from", "for"]
    assert row.split()[:2] == [job.ident, "waiting"]
    assert row.split()[-2:] == ["o'neil", "a@b.com"]
    assert error == "    mail to a@b.com failed: 450 later"
    assert count == "1 in the queue"
    assert main(["queue", "-l", *root]) == 0
    line = capsys.readouterr().out
    assert line.startswith(f"job={job.ident} state=waiting size={len(DATA)} queued=")
    assert "from='o''neil' host=net!b.com to=a@b.com error='mail to" in line
    assert line == status.text(spool.folders(world.queue))


def test_queue_actions(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    root = ["--root", str(world.root)]
    job = queued(world)
    assert main(["queue", *root, "hold", job.ident]) == 0
    assert main(["queue", *root]) == 0
    assert "held" in capsys.readouterr().out
    assert main(["queue", *root, "show", job.name]) == 0
    assert "Subject: x\n\nhello\n" in capsys.readouterr().out
    assert main(["queue", *root, "release", job.ident]) == 0
    assert jobs(job.folder) == [job]
    assert main(["queue", *root, "remove", job.ident]) == 0
    assert main(["queue", *root, "remove", job.ident]) == 1
    assert main(["queue", *root, "hold"]) == 1
    assert os.listdir(job.folder) == []
    bad = queued(world)
    bad.path("C").write_bytes(b"x\n")
    assert main(["queue", *root]) == 0
    assert "broken" in capsys.readouterr().out


def test_smtp(world: World) -> None:
    logs(world.root)
    box = Box()
    box.rcpts = {"b@b.com": "450 4.2.0 later", "c@b.com": "550 5.1.1 no"}
    with receiver(box) as port:
        dest = f"net!127.0.0.1!{port}"
        done = run(
            world, "smtp", "-d", "-h", "my.dom", dest, "me", "a@b.com", data=DATA
        )
        assert done.returncode == 0
        assert b"-> MAIL FROM:<me@my.dom>" in done.stderr
        assert box.names == ["my.dom"]  # and EHLO says the same
        # Who cannot be told of each gets all or nothing.
        done = run(world, "smtp", dest, "me", "a@b.com", "b@b.com", data=DATA)
        assert done.returncode == 2
        assert b"mail to b@b.com failed: 450 4.2.0 later" in done.stderr
        assert done.stderr.endswith(b"\nRetry, Temporary Failure\n")
        done = run(world, "smtp", dest, "me", "a@b.com", "c@b.com", data=DATA)
        assert done.returncode == 1
        assert b"mail to c@b.com failed: 550 5.1.1 no" in done.stderr
        assert done.stderr.endswith(b"\nPermanent Failure\n")
    assert [e.rcpt_tos for e in box.got] == [["a@b.com"], ["a@b.com"]]
    assert run(world, "smtp", dest, "me", "a@b.com", data=DATA).returncode == 2
    assert "connection refused" in logged(world.root, "smtp.fail")[-1]


def test_smtp_and_a_certificate_nobody_trusts(world: World, our_ca: Pki) -> None:
    """By hand a failure for good; in the queue the message waits for a person."""
    logs(world.root)
    with receiver(Box(), tls_context=context(our_ca.folder / "unknown.pem")) as port:
        dest = f"net!localhost!{port}"
        done = run(world, "smtp", "-s", dest, "me", "a@b.com", data=DATA)
        assert done.returncode == 1
        assert b"to trust it run: mailfs trust" in done.stderr
        assert done.stderr.endswith(b"\nPermanent Failure\n")
        job = world.put(host=dest)
        lib = world.root / "mail/lib"
        lib.mkdir(parents=True, exist_ok=True)
        script = '#!/bin/sh\nshift; s=$1 h=$2; shift 2\nmailfs smtp -s "$h" "$s" "$@"\n'
        (lib / "remotemail").write_text(script)
        (lib / "remotemail").chmod(0o755)
        assert run(world, "runq", "-q", "glenda", data=b"").returncode == 0
    assert job.control.exists()
    assert "to trust it run: mailfs trust" in job.path("E").read_text()


VECTOR = b"""\
From root Sun Nov 22 12:45:08 GMT 2026 remote from kremvax
To: b.com!a, c, "Q" <x.org!y.org!z>
Cc:
X-Weird: !foo

body
.dot
last"""


def test_smtp_filter(world: World) -> None:
    words = ["smtp", "-f", "-h", "mydom.org", "net!x", "kremvax!root", "a@b.com"]
    done = run(world, *words, data=VECTOR)
    first, rest = done.stdout.split(b"\r\n", 1)
    assert first.startswith(b"Message-ID: <")
    assert first.endswith(b"@mydom.org>")
    assert rest == (
        b"From: kremvax!root@mydom.org\r\nDate: Sun, 22 Nov 2026 12:45:08 +0000\r\n"
        b'To: a@b.com, c@mydom.org, "Q" <@x.org:z@y.org>\r\nCc:\r\nX-Weird: !foo\r\n'
        b"\r\nbody\r\n..dot\r\nlast\r\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["net!x", "a"],
        [".dom", "net!x", "a"],
        ["--notify", "sometimes", "net!x", "a", "b"],
        ["--notify", "never,delay", "net!x", "a", "b"],
        ["--ret", "some", "net!x", "a", "b"],
        ["--nonesuch"],
    ],
)
def test_smtp_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["smtp", *words]) == 1
    assert capsys.readouterr().err.startswith("mailfs smtp: ")


@pytest.mark.parametrize("verb", ["qer", "runq", "kickqueue", "queue", "smtp"])
def test_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as e:
        main([verb, "--help"])
    assert e.value.code == 0
    text = capsys.readouterr().out
    assert "example:" in text
    assert "files:" in text


def test_a_message_is_shown_fit_for_a_terminal(world: World) -> None:
    """Octets to a pipe, what prints to a person."""
    words = ("mail", "g", "net!b.com", "a@b.com")
    text = "Subject: \x1b]0;x\x07\u202e\n\n\xe4\n".encode()
    job = enqueue(world.queue, "glenda", text, words)
    piped = run(world, "queue", "show", job.ident)
    assert piped.stdout.endswith(b"\n" + text)
    leader, follower = pty.openpty()
    argv = [sys.executable, "-m", "mailfs", "queue", "show", job.ident]
    env = os.environ | {"MAILFS_ROOT": str(world.root), "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(argv, stdout=follower, env=env) as process:
        os.close(follower)
        said = b""
        with suppress(OSError):  # the end of a terminal
            while more := os.read(leader, 4096):
                said += more
    os.close(leader)
    assert process.returncode == 0
    assert said.endswith("Subject: ?]0;x??\r\n\r\n\xe4\r\n".encode())
