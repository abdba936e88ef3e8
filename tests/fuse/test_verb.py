"""``mailfs mount`` of mail: the verb, and what users do with a mounted mailbox."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailfs.fuse import mountpoint
from tests.corpus import corpus, quoted, write_mbox
from tests.fuse.world import (
    WAIT,
    Mounted,
    command,
    fuse,
    gone,
    mounting,
    need_fuse,
    serving,
)

SAMPLE = Path(__file__).parents[2] / "mailfs/sample/mbox"
MANY = 300  # messages of the mailbox that is searched


@pytest.fixture
def box(tmp_path: Path) -> Path:
    return Path(shutil.copy(SAMPLE, tmp_path / "box"))


@pytest.fixture
def mail(box: Path, tmp_path: Path) -> Iterator[Mounted]:
    with mounting(tmp_path / "m", "--start", f"mbox={box}") as mounted:
        yield mounted


def sh(script: str, where: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["sh", "-c", script],
        cwd=where,
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=False,
        env=os.environ | {"LC_ALL": "C.UTF-8"},
    )


def out(script: str, where: Path) -> str:
    done = sh(script, where)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def run(*words: object, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run the verb to its end."""
    return subprocess.run(
        command(*words),
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=False,
        env=os.environ | env,
    )


def fails(*words: object, **env: str) -> str:
    """Return the one line that the verb fails with."""
    done = run(*words, **env)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


# Arguments


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "the following arguments are required: DIR (try --help)"),
        (["-a", "x", "--start", "y", "/"], "-a and --start exclude each other"),
    ],
)
def test_arguments_that_cannot_be_meant(words: list[str], text: str) -> None:
    assert fails(*words) == f"mailfs mount: {text}"


def test_help() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert "fusermount3 -u" in done.stdout


@pytest.mark.skipif(not mountpoint.DEVICE.exists(), reason="no /dev/fuse")
def test_fuse_is_missing(tmp_path: Path) -> None:
    line = fails(tmp_path, PATH=str(tmp_path))
    assert line == (
        "mailfs mount: fusermount3 is missing: install the package fuse3 "
        "(Debian, Ubuntu, Fedora, Arch, Alpine: fuse3)"
    )


def test_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "this is darwin" in str(mountpoint.missing())
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "install the package fuse3" in str(mountpoint.missing())
    helper = tmp_path / "fusermount3"
    helper.touch(0o755)
    monkeypatch.setattr(mountpoint, "DEVICE", tmp_path / "none")
    assert "modprobe fuse" in str(mountpoint.missing())
    monkeypatch.setattr(mountpoint, "DEVICE", Path(os.devnull))
    assert mountpoint.missing() is None


class TestReal:
    pytestmark = fuse

    def test_what_cannot_be_mounted(self, tmp_path: Path, box: Path) -> None:
        need_fuse()
        none = tmp_path / "none"
        space = str(tmp_path)  # no server is there
        assert fails(none, NAMESPACE=space) == (
            "mailfs mount: no mail server runs: mailfs fs &"
        )
        assert not none.exists()
        assert fails(box) == f"mailfs mount: {box}: not a directory"
        for words in ([], ["-f"]):
            line = fails(*words, "-a", f"unix!{none}", tmp_path)
            assert line == f"mailfs mount: unix!{none}: file does not exist"
        assert not tmp_path.is_mount()

    def test_a_mailbox_that_is_missing_says_why(self, tmp_path: Path) -> None:
        """It is mounted all the same, and served once it is there."""
        need_fuse()
        here, none = tmp_path / "m", tmp_path / "none"
        here.mkdir()
        done = run("--start", none, here)
        try:
            assert done.returncode == 0
            assert "file does not exist" in done.stderr
            status = here / "mbox" / "status"
            assert "file does not exist" in status.read_text()
        finally:
            subprocess.run(["fusermount3", "-u", here], check=True)
            gone(here)

    def test_it_returns_when_it_is_mounted(self, box: Path, tmp_path: Path) -> None:
        need_fuse()
        here = tmp_path / "m"
        here.mkdir()
        done = run("--start", box, here)  # and nobody holds its standard error
        try:
            assert (done.returncode, done.stderr) == (0, "")
            assert (here / "mbox/1/subject").read_text() == "Welcome to mail as files"
            assert fails("--start", box, here) == (
                f"mailfs mount: {here}: something is mounted there already"
            )
        finally:
            subprocess.run(["fusermount3", "-u", here], check=True)
            gone(here)

    def test_trees_of_a_server(self, tmp_path: Path) -> None:
        """The default is tried first; a server that does not know it has another."""
        with serving(tmp_path) as served:
            address = served.address
            with mounting(tmp_path / "m", "-a", address) as mounted:
                assert "hello" in os.listdir(mounted.path)
                assert re.search(
                    rf"^{address} on {mounted.path} type fuse.9p ",
                    out("mount", tmp_path),
                    re.MULTILINE,
                )
            line = fails("-a", address, "-A", "other", tmp_path / "m")
            assert line == f"mailfs mount: {address}: no such tree"
            line = fails("-a", address, "-A", "file", tmp_path / "m")
            assert line == f"mailfs mount: {address}: not a directory"

    def test_mail_reads(self, mail: Mounted) -> None:
        here = mail.path
        assert out("ls mbox", here).split() == [
            *"1234567",
            "ctl",
            "index.jsonl",
            "status",
        ]
        assert "4" in out("ls mbox/search/lighthouse", here).split()
        assert out("cat mbox/2/subject", here) == "Réunion reportée à jeudi"
        assert out("head -c 4 mbox/3/2/body.png | tail -c 3", here) == "PNG"
        assert out("grep -l lighthouse mbox/*/subject", here) == "mbox/4/subject\n"
        assert out("find mbox/3 -name type -exec cat {} + | tr / '\\n' | wc -l", here)
        untold = ("/ctl", "status", "/text", "/json", ".jsonl")
        lengths = "find . -type f ! -name event | xargs -n1 wc -c"
        assert all(
            int(line.split()[0]) == (here / line.split()[1]).stat().st_size
            for line in out(lengths, here).splitlines()
            if not line.endswith(untold)
        )

    def test_what_waits_is_there_and_not_listed(self, mail: Mounted) -> None:
        assert out("ls -A . mbox | grep event || echo none", mail.path) == "none\n"
        with subprocess.Popen(
            ["head", "-n1", mail.path / "mbox/event"], stdout=subprocess.PIPE
        ) as reader:
            try:
                # The reader is told what comes after its opening, which nobody sees.
                while reader.poll() is None:
                    out("echo +f >mbox/2/flags; echo -f >mbox/2/flags", mail.path)
                assert reader.communicate()[0].startswith(b"modify mbox/2 ")
            finally:
                reader.kill()

    def test_flags_and_commands(self, mail: Mounted, box: Path) -> None:
        here = mail.path / "mbox"
        assert out("echo +s >3/flags; cat 3/flags", here)[5] == "s"
        assert out("echo -s >>3/flags; cat 3/flags", here)[5] == "-"
        assert out("echo delete mbox 1 >../ctl; ls -d ?", here).split() == [*"234567"]
        for script in ("frob >../ctl", "x >3/flags", "frob >ctl"):
            assert "Invalid argument" in sh(f"/bin/echo {script}", here).stderr
        done = sh("/bin/echo delete none 1 >../ctl", here)
        assert "No such file" in done.stderr
        assert "Permission denied" in sh("echo x >3/subject", here).stderr
        assert box.read_bytes().count(b"\nFrom ") == 5

    def test_removing_messages(self, mail: Mounted, box: Path) -> None:
        here = mail.path / "mbox"
        before = box.read_bytes()
        for script in ("rm 3/subject", "rm -f 3/*", "rm -r 3/1", "rmdir 3/1", "rm ctl"):
            assert sh(script, here).returncode != 0
        assert box.read_bytes() == before
        out("rm -r 3; find 5 -delete; rmdir 7", here)
        assert out("ls -d ?", here).split() == [*"1246"]
        left = [
            m for i, m in enumerate(before.split(b"\nFrom "), 1) if i in (1, 2, 4, 6)
        ]
        assert box.read_bytes().rstrip(b"\n") == b"\nFrom ".join(left).rstrip(b"\n")

    def test_what_the_server_says_is_kept(self, mail: Mounted) -> None:
        here = mail.path
        assert out("cat error; ls | grep error || echo none", here) == "none\n"
        for script in ("frob >ctl", "x >mbox/3/flags", "delete none 1 >ctl"):
            assert sh(f"/bin/echo {script}", here).returncode != 0
        assert sh("rm mbox/3/subject; mkdir mbox/new", here).returncode != 0
        assert sh("cat mbox/99/subject; cat nonesuch", here).returncode != 0
        assert out("cat error", here).splitlines() == [
            "ctl: unknown control message",
            "mbox/3/flags: bad flag",
            "ctl: no such mailbox",
            "mbox/3/subject: permission denied",
            "mbox/new: permission denied",
        ]
        assert sh("/bin/echo x >error", here).returncode != 0
        assert out("stat -c %A error; wc -l <error", here).split() == [
            "-r--------",
            "6",
        ]

    def test_moving_messages(self, box: Path, tmp_path: Path) -> None:
        """To another mailbox by rename(2), to a plain directory as a copy."""
        other = tmp_path / "other"
        other.write_bytes(b"From a@b Mon Mar  2 13:00:00 2026\n\nfirst\n\n")
        starts = ("--start", f"mbox={box}", "--start", f"it's={other}")
        with mounting(tmp_path / "m", *starts) as mounted:
            here = mounted.path
            whole = [(here / f"mbox/{n}/raw").read_bytes() for n in (3, 1)]
            subject = out("cat mbox/3/subject", here)
            out('ls -R . >/dev/null; mv mbox/3 "it\'s/"; mv -v mbox/1 "it\'s"', here)
            assert out("ls -d [0-9]", here / "mbox").split() == [*"24567"]
            assert out("ls -d [0-9]", here / "it's").split() == [*"123"]
            assert out("cat 2/subject", here / "it's") == subject
            assert [(here / f"it's/{n}/raw").read_bytes() for n in (2, 3)] == whole
            refused = 'mv mbox/2 "it\'s/9"', 'mv mbox/2/subject "it\'s/"', "mv mbox ."
            for script in (*refused, "mv mbox/2 outbox/", "mv mbox/2 mbox/8"):
                assert sh(script, here).returncode != 0, script
            assert out("ls -d [0-9]", here / "mbox").split() == [*"24567"]
            out(f"mv mbox/2 {tmp_path}", here)
            assert out("ls -d [0-9]", here / "mbox").split() == [*"4567"]
            assert (tmp_path / "2/subject").exists()

    def test_readonly(self, box: Path, tmp_path: Path) -> None:
        before = box.read_bytes()
        words = ("--readonly", "--start", f"mbox={box}")
        with mounting(tmp_path / "m", *words) as mounted:
            here = mounted.path / "mbox"
            assert "Read-only file system" in sh("rm -r 3", here).stderr
            assert "Read-only file system" in sh("echo +s >3/flags", here).stderr
        assert box.read_bytes() == before

    def test_readonly_and_a_directory_made(self, tmp_path: Path) -> None:
        address, made = f"unix!{tmp_path / 's'}", tmp_path / "made"
        words = [sys.executable, "-m", "mailfs", "ramfs", "-l", address]
        with subprocess.Popen(words) as server:
            try:
                done = run("-a", address, "-A", "", "--readonly", made)
                assert done.returncode == 0, done.stderr
                assert "Read-only file system" in sh("echo x >y", made).stderr
            finally:
                subprocess.run(["fusermount3", "-u", made], check=False)
                server.terminate()
        for _ in range(200):
            if not made.exists():
                break
            time.sleep(0.02)
        assert not made.exists()

    def test_searches_find_all(self, tmp_path: Path) -> None:
        messages = list(corpus(MANY, seed=5))
        write_mbox(tmp_path / "many", messages)
        needle = "5.25@example.com"
        found = {str(n) for n, m in enumerate(messages, 1) if needle.encode() in m.data}
        assert len(found) > 1
        start = f"mbox={tmp_path / 'many'}"
        with mounting(tmp_path / "m", "--start", start) as mounted:
            here = mounted.path / "mbox"
            for program in ("grep -rlF", "rg -lF"):
                lines = out(f"{program} {needle} .", here).splitlines()
                # The mailbox's index has what headers hold.
                assert {line.split("/")[1] for line in lines} - {"index.jsonl"} == found
            sums = "cat [0-9]*/raw | md5sum; cat [0-9]*/raw | wc -c"
            whole = out(sums, here)
            assert whole == out(sums, here)
            for n in (1, 2, MANY):
                assert (here / f"{n}/raw").read_bytes() in (
                    quoted(messages[n - 1].data),
                    quoted(messages[n - 1].data).replace(b"\r\n", b"\n"),
                )

    def test_its_server_ends_with_it(self, mail: Mounted) -> None:
        server = own_server(mail)
        assert mail.end(signal.SIGTERM) == 0
        assert not Path(f"/proc/{server}").exists()

    def test_its_server_is_started_again(self, mail: Mounted) -> None:
        before = out("ls mbox", mail.path)
        for number in (signal.SIGKILL, signal.SIGTERM):
            os.kill(own_server(mail), number)
            end = time.monotonic() + WAIT
            while (done := sh("ls mbox", mail.path)).returncode:
                assert "Input/output error" in done.stderr
                assert time.monotonic() < end
                time.sleep(0.02)
            assert done.stdout == before
        assert mail.end(signal.SIGTERM) == 0


def own_server(mail: Mounted) -> int:
    """Find the process that a mount has started to serve it."""
    tasks = Path(f"/proc/{mail.process.pid}/task").glob("*/children")
    children = [int(p) for task in tasks for p in task.read_text().split()]
    names = {p: Path(f"/proc/{p}/cmdline").read_bytes() for p in children}
    (server,) = [p for p, name in names.items() if b"\0fs\0" in name]
    return server
