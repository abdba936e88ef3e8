"""A mounted 9P server, as the programs of a Unix system see it."""

import ctypes
import errno
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.fuse.world import WAIT, Mounted, Served, fuse, mounting, serving

pytestmark = fuse


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as served:
        yield served


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    """Return a mount for tests that change nothing."""
    place = tmp_path_factory.mktemp("still")
    with (
        serving(place) as served,
        mounting(place / "m", "-a", served.address) as mounted,
    ):
        yield mounted


@pytest.fixture
def mounted(served: Served, tmp_path: Path) -> Iterator[Mounted]:
    with mounting(tmp_path / "m", "-a", served.address) as mounted:
        yield mounted


def sh(mounted: Mounted, script: str) -> "subprocess.CompletedProcess[str]":
    """Run a script in the mount."""
    return subprocess.run(
        ["sh", "-c", script],
        cwd=mounted.path,
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=False,
        env=os.environ | {"LC_ALL": "C"},
    )


def out(mounted: Mounted, script: str) -> str:
    done = sh(mounted, script)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def refused(number: int) -> "pytest.RaisesExc[OSError]":
    return pytest.raises(OSError, match=rf"\[Errno {number}\]")


# Reading


def test_files_read(still: Mounted) -> None:
    assert out(still, "cat hello empty") == "hello, world\n"
    assert out(still, "tail -c 6 hello; head -c 5 hello") == "world\nhello"
    assert (still.path / "long").read_bytes() == bytes(range(256)) * 12_000
    assert out(still, "wc -c <long") == "3072000\n"
    assert out(still, "dd if=long bs=1 skip=300 count=2 2>/dev/null | od -An -tu1")
    assert out(still, "rg -l world hello") == "hello\n"
    assert out(still, "stat -c '%s %a %F' hello box") == (
        "13 644 regular file\n0 555 directory\n"
    )


def test_files_without_a_length_read(still: Mounted) -> None:
    assert (still.path / "odd").stat().st_size == 0
    assert out(still, "cat odd; cat odd") == "contents nevertheless\n" * 2
    assert out(still, "grep never odd") == "contents nevertheless\n"


def test_a_file_that_waits_is_not_listed(mounted: Mounted, served: Served) -> None:
    names = set(os.listdir(mounted.path))
    assert "event" not in names
    assert {"other", "hello", "odd", "box", "many1000"} <= names
    assert (mounted.path / "event").exists()
    served.do(lambda: served.world.root.children.pop("other"))
    found = out(mounted, "grep -rl --exclude-dir='many*' world . || :")
    assert set(found.split()) == {"./hello", "./late/hello"}


def test_long_paths(mounted: Mounted) -> None:
    """9P walks sixteen names at a time."""
    path = "/".join(str(i) for i in range(40))
    assert out(mounted, f"mkdir -p {path} && echo x >{path}/f && cat {path}/f") == "x\n"
    assert out(mounted, f"rm -r 0 && ls -d {path} 2>/dev/null || echo gone") == "gone\n"


# Listing


@pytest.mark.parametrize("count", [1000, 10_000, 100_000])
def test_listings_are_complete(still: Mounted, count: int) -> None:
    names = [str(i) for i in range(1, count + 1)]
    where = still.path / f"many{count}"
    assert os.listdir(where) == names
    assert [e.name for e in os.scandir(where) if e.is_dir()] == names
    lines = out(still, f"ls -lU {where.name}").splitlines()
    assert [line.split()[-1] for line in lines if line[0] == "d"] == names
    assert out(still, f"find {where.name} -maxdepth 1 -type d | wc -l") == (
        f"{count + 1}\n"
    )


@pytest.mark.parametrize("size", [24, 48, 100, 333, 4096, 1 << 20])
def test_listings_with_odd_buffers(still: Mounted, size: int) -> None:
    """getdents64(2) with a buffer of so many octets; musl's readdir has a small one."""
    count = 1000
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(size)
    names = []
    fd = os.open(still.path / f"many{count}", os.O_RDONLY)
    try:
        while done := libc.syscall(217, fd, buffer, size):
            if done < 0:
                raise OSError(ctypes.get_errno(), "getdents64")
            at = 0
            while at < done:
                length = int.from_bytes(buffer.raw[at + 16 : at + 18], "little")
                names.append(buffer.raw[at + 19 : at + length].split(b"\0")[0])
                at += length
    finally:
        os.close(fd)
    assert names == [b".", b"..", *(b"%d" % i for i in range(1, count + 1))]


def test_a_directory_rewinds(mounted: Mounted, served: Served) -> None:
    fd = os.open(mounted.path / "box", os.O_RDONLY)
    try:
        assert os.listdir(fd) == ["1", "2", "3", "4", "5"]
        served.do(served.world.message, "6")
        os.lseek(fd, 0, os.SEEK_SET)
        assert os.listdir(fd) == ["1", "2", "3", "4", "5", "6"]
    finally:
        os.close(fd)


# Freshness


def test_changes_by_others_are_seen(mounted: Mounted, served: Served) -> None:
    hello = mounted.path / "hello"
    assert hello.read_bytes() == b"hello, world\n"
    served.do(served.world.put_again, "hello", b"good bye, all of you\n")
    assert _within(lambda: _octets(hello) == b"good bye, all of you\n")
    served.do(served.world.message, "6")
    assert "6" in os.listdir(mounted.path / "box")
    served.do(served.world.box.children.pop, "2")
    assert _within(lambda: not (mounted.path / "box/2").exists())


def _octets(path: Path) -> bytes | None:
    """Read a file; None where it changed between the opening and the read.

    Octets of two versions are never mixed: the kernel is answered ESTALE instead.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        if error.errno != errno.ESTALE:
            raise
        return None


def _within(what: "type[bool] | object") -> bool:
    """Whether something comes true before the test is given up."""
    assert callable(what)
    end = time.monotonic() + WAIT
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def test_own_changes_are_seen_at_once(mounted: Mounted) -> None:
    script = """
    for i in 1 2 3 4 5 6 7 8 9; do
        echo $i >file && cat file && ls -l file >/dev/null
        mv file other$i && cat other$i
        [ -e file ] && echo still there
        rm other$i
        [ -e other$i ] && echo still there
    done
    exit 0"""
    assert out(mounted, script).split() == [d for d in "123456789" for _ in (0, 1)]


def test_an_open_file_keeps_its_directory(mounted: Mounted) -> None:
    """What is doubted after a change is not dropped: shells stay where they are."""
    script = "cd box/1 && ls >/dev/null && echo x >../../new && /bin/pwd"
    assert out(mounted, script) == f"{mounted.path}/box/1\n"


def test_octets_are_kept_while_the_version_stays(
    mounted: Mounted, served: Served
) -> None:
    path = mounted.path / "long"
    whole = path.read_bytes()
    file = served.world.file("long")
    served.do(file.data.__setitem__, 0, 99)
    assert path.read_bytes() == whole  # the version is the same, so nobody asked
    served.do(file.changed)
    assert _within(lambda: path.read_bytes()[0] == 99)


# Changing


def test_a_writable_tree_is_writable(mounted: Mounted, served: Served) -> None:
    done = out(
        mounted,
        """
        set -e
        echo one >new; echo two >>new; cat new; cp new copy; mv copy moved
        truncate -s 3 new; cat new; echo
        mkdir -p a/b; touch -d @7 a/b; stat -c %Y a/b
        chmod 600 new; stat -c %a new
        rmdir a/b; rm -r a new; ls -A a new 2>/dev/null || :
        sed -i s/two/three/ moved; sync moved; cat moved""",
    )
    assert done == "one\ntwo\none\n7\n600\none\nthree\n"
    assert bytes(served.world.file("moved").data) == b"one\nthree\n"


def test_long_writes(mounted: Mounted, served: Served) -> None:
    data = os.urandom(3_000_000)
    (mounted.path / "big").write_bytes(data)
    assert (mounted.path / "big").read_bytes() == data
    assert bytes(served.world.file("big").data) == data


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("cat nonesuch", "No such file or directory"),
        ("cat hello/x", "Not a directory"),
        ("ls box/9", "No such file or directory"),
        ("echo x >box/new", "Permission denied"),
        ("mkdir box/new", "Permission denied"),
        ("echo x >box/1/subject", "Permission denied"),
        ("sed -i s/a/b/ box/1/subject", "Permission denied"),
        ("rm box/1/subject", "Permission denied"),
        ("rm -f box/1/*", "Permission denied"),
        ("mv hello box/hello", "Permission denied"),
        ("chown 12345 hello", "Operation not permitted"),
        ("ln hello hard", "Operation not permitted"),
        ("ln -s hello soft", "Operation not permitted"),
        ("mkfifo pipe", "Operation not permitted"),
        ("mkdir box", "File exists"),
        ("rmdir hello", "Not a directory"),
        ("cat box", "Is a directory"),
    ],
)
def test_refusals_have_an_errno(still: Mounted, script: str, text: str) -> None:
    done = sh(still, script)
    assert done.returncode != 0
    assert text in done.stderr
    assert sorted(os.listdir(still.path / "box")) == ["1", "2", "3", "4", "5"]


def test_may_it_be_written(still: Mounted) -> None:
    assert out(still, "test -w hello && test ! -w box/1/subject && test -r hello") == ""


# Removing what is one


@pytest.mark.parametrize(
    "script",
    [
        "rm -r box/3",
        "rm -rf box/3",
        "cd box && rm -r 3",
        "find box/3 -delete",
        "busybox rm -r box/3",
        "python3 -c \"import shutil; shutil.rmtree('box/3')\"",
        "rmdir box/3",
        "mkdir /tmp/$$ && mv box/3 /tmp/$$/ && cat /tmp/$$/3/1/1/body; rm -r /tmp/$$",
    ],
)
def test_whole_directories_go(mounted: Mounted, script: str) -> None:
    assert out(mounted, script) == ""
    assert sorted(os.listdir(mounted.path / "box")) == ["1", "2", "4", "5"]
    assert not (mounted.path / "box/3").exists()


@pytest.mark.parametrize(
    "script",
    [
        "rm box/3/subject",
        "rm -r box/3/subject",
        "rm -rf box/3/1",
        "cd box/3 && rm -r 1",
        "rmdir box/3/1",
        "busybox rm -r box/3/1",
        "find box/3/1 -delete",
        "python3 -c \"import os; os.unlink('box/3/body')\"",
    ],
)
def test_parts_stay(still: Mounted, script: str) -> None:
    done = sh(still, script)
    assert done.returncode != 0
    assert os.listdir(still.path / "box") == ["1", "2", "3", "4", "5"]
    assert out(still, "find box/3 | wc -l") == "9\n"


def test_a_directory_that_stays_says_so(mounted: Mounted, served: Served) -> None:
    """All that can be removed in it is, and its own refusal is told."""
    served.do(setattr, served.world.root, "mode", served.world.root.mode & ~0o222)
    done = sh(mounted, "rm -r box")
    assert done.returncode != 0
    assert "box" in done.stderr


# Waiting


def test_readers_wait_and_are_told(mounted: Mounted, served: Served) -> None:
    readers = [
        subprocess.Popen(
            ["head", "-n1", mounted.path / "event"], stdout=subprocess.PIPE
        )
        for _ in range(100)
    ]
    served.until(lambda world: len(world.event.waiting) == 100)
    assert out(mounted, "cat hello; ls box | wc -l") == "hello, world\n5\n"
    served.do(served.world.event.tell, b"new box/6\n")
    assert {reader.communicate(timeout=WAIT)[0] for reader in readers} == {
        b"new box/6\n"
    }
    served.until(lambda world: world.event.readers == 0)


@pytest.mark.parametrize("command", ["tail -f event", "tail -n 3 -f event"])
def test_followers_print_each_line(
    mounted: Mounted, served: Served, tmp_path: Path, command: str
) -> None:
    told = tmp_path / "told"
    with told.open("w") as output:
        follower = subprocess.Popen(
            command.split(), cwd=mounted.path, stdout=output, stderr=subprocess.PIPE
        )
    try:
        lines = b""
        for turn in range(3):
            served.until(lambda world: len(world.event.waiting) == 1)
            served.do(served.world.event.tell, b"%d\n" % turn)
            lines += b"%d\n" % turn
            assert _within(partial(_tells, told, lines))
    finally:
        follower.terminate()
    assert follower.communicate(timeout=WAIT)[1] == b""
    assert told.read_bytes() == lines
    served.until(lambda world: world.event.readers == 0)


def test_a_pager_prints_each_line(
    mounted: Mounted, served: Served, tmp_path: Path
) -> None:
    for program in ("less", "script"):
        if shutil.which(program) is None:
            pytest.skip(f"missing: apt-get install {program}")
    told = tmp_path / "told"
    pager = subprocess.Popen(
        ["script", "-qfc", "less +F event", told],
        cwd=mounted.path,
        env=os.environ | {"TERM": "xterm"},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    try:
        for turn in range(3):
            served.until(lambda world: len(world.event.waiting) == 1)
            line = b"modify box/%d" % turn
            served.do(served.world.event.tell, line + b"\n")
            assert _within(partial(_tells, told, line))
    finally:
        pager.kill()
        pager.communicate()


def _tells(path: Path, text: bytes) -> bool:
    return text in path.read_bytes()


def test_what_has_come_can_be_read_again(mounted: Mounted, served: Served) -> None:
    with (mounted.path / "event").open("rb", buffering=0) as file:
        for line in (b"one\n", b"two\n"):
            later = threading.Timer(0.05, served.do, (served.world.event.tell, line))
            later.start()
            assert file.read(100) == line
            later.join()
        assert os.pread(file.fileno(), 3, 0) == b"one"
        assert os.pread(file.fileno(), 100, 4) == b"two\n"
        assert file.seek(0, os.SEEK_END) == 8
        assert file.read(100) == b""  # who seeks the end is told of it


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_waiting_is_interrupted(mounted: Mounted, served: Served, number: int) -> None:
    """The request is flushed, and nothing stays open at the server."""
    reader = subprocess.Popen(["cat", mounted.path / "event"])
    served.until(lambda world: len(world.event.waiting) == 1)
    reader.send_signal(number)
    assert reader.wait(WAIT) == -number
    served.until(lambda world: world.event.cancelled == 1)
    served.until(lambda world: world.event.readers == 0)
    assert out(mounted, "cat hello") == "hello, world\n"


def test_a_signal_that_is_handled(mounted: Mounted, served: Served) -> None:
    """The system call is interrupted and begun again."""
    script = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGUSR1, lambda *_: print('signal', flush=True))\n"
        "fd = os.open('event', os.O_RDONLY)\n"
        "print(os.read(fd, 99).decode(), end='', flush=True)\n"
    )
    reader = subprocess.Popen(
        ["python3", "-c", script], cwd=mounted.path, stdout=subprocess.PIPE, text=True
    )
    served.until(lambda world: len(world.event.waiting) == 1)
    reader.send_signal(signal.SIGUSR1)
    served.until(lambda world: world.event.cancelled == 1)
    served.until(lambda world: any(not f.done() for f in world.event.waiting))
    served.do(served.world.event.tell, b"at last\n")
    assert reader.communicate(timeout=WAIT)[0] == "signal\nat last\n"


# Ending


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_unmount(mounted: Mounted, served: Served, number: int) -> None:
    busy = subprocess.Popen(["sleep", "600"], cwd=mounted.path / "box")
    reader = subprocess.Popen(["cat", mounted.path / "event"], stderr=subprocess.PIPE)
    try:
        served.until(lambda world: len(world.event.waiting) == 1)
        assert mounted.end(number) == 0
        assert not mounted.path.is_mount()
        assert reader.wait(WAIT) == 1
        assert b": Input/output error\n" in reader.communicate()[1]
    finally:
        busy.kill()
        busy.wait()
        reader.kill()


def test_killed_it_is_unmounted_too(mounted: Mounted) -> None:
    assert mounted.end(signal.SIGKILL) == -signal.SIGKILL
    assert _within(lambda: not os.path.ismount(mounted.path))


def test_unmounted_it_ends(mounted: Mounted) -> None:
    subprocess.run(["fusermount3", "-u", mounted.path], check=True)
    assert mounted.process.wait(WAIT) == 0


def _broken(path: Path) -> bool:
    try:
        path.stat()
    except OSError as e:
        return e.errno == errno.EIO
    return False


def test_a_dead_server_is_no_empty_directory(
    mounted: Mounted, served: Served, tmp_path: Path
) -> None:
    """All is EIO until it is back, so no copy is emptied; and the mount stays."""
    assert out(mounted, "ls box; cat hello").endswith("hello, world\n")
    reader = subprocess.Popen(["cat", mounted.path / "event"], stderr=subprocess.PIPE)
    served.until(lambda world: len(world.event.waiting) == 1)
    fd = os.open(mounted.path / "box", os.O_RDONLY)
    file = (mounted.path / "odd").open("rb", buffering=0)
    try:
        served.stop()
        assert reader.wait(WAIT) == 1
        assert b": Input/output error\n" in reader.communicate()[1]
        for use in (
            lambda: os.listdir(mounted.path),
            lambda: os.listdir(mounted.path / "box"),
            lambda: (mounted.path / "new").write_bytes(b"x"),
        ):
            with refused(errno.EIO):
                use()
        # What the kernel was told a moment ago it believes until that time is over.
        assert _within(lambda: _broken(mounted.path / "hello"))
        assert mounted.path.is_mount()
        with serving(tmp_path) as again:
            assert _within(lambda: sh(mounted, "ls").returncode == 0)
            assert out(mounted, "cat hello; ls box") == "hello, world\n1\n2\n3\n4\n5\n"
            for broken in (lambda: os.listdir(fd), lambda: file.read(9)):
                with refused(errno.EIO):
                    broken()
            (mounted.path / "new").write_bytes(b"x")
            assert bytes(again.world.file("new").data) == b"x"
    finally:
        os.close(fd)
        file.close()
    assert mounted.process.poll() is None


def test_eight_mounts(served: Served, tmp_path: Path) -> None:
    mounts = [mounting(tmp_path / f"m{i}", "-a", served.address) for i in range(8)]
    entered = []
    try:
        for mount in mounts:
            entered.append(mount.__enter__())
        assert {out(m, "ls many10000 | md5sum; cat hello") for m in entered} == {
            out(entered[0], "ls many10000 | md5sum; cat hello")
        }
        (entered[0].path / "shared").write_text("by the first")
        assert all((m.path / "shared").read_text() == "by the first" for m in entered)
    finally:
        for mount in mounts[: len(entered)]:
            mount.__exit__(None, None, None)
