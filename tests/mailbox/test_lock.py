"""Locks: who excludes whom, what is stale, and that nothing is left behind."""

import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from mailfs.disk import holder, lock
from mailfs.errors import ELOCK, MailfsError

HOLDER = """
import fcntl, os, sys, time
f = open(sys.argv[1], "rb+")
fcntl.lockf(f, getattr(fcntl, sys.argv[2]))
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def box(tmp_path: Path) -> Path:
    path = tmp_path / "box" / "mbox"
    path.parent.mkdir()
    path.write_bytes(b"")
    return path


def take(
    box: Path, *, exclusive: bool = True, create: bool = True, wait: float = 0.0
) -> AbstractContextManager[lock.HeldLock]:
    root = box.parent.parent / "root"
    return lock.locked(
        str(box), root=root, exclusive=exclusive, create=create, wait=wait
    )


def refused(box: Path, *, exclusive: bool = True, create: bool = True) -> None:
    before = sorted(os.listdir(box.parent))
    with (
        pytest.raises(MailfsError, match=ELOCK),
        take(box, exclusive=exclusive, create=create, wait=0.02),
    ):
        pass
    assert sorted(os.listdir(box.parent)) == before


def test_writers_exclude_each_other_and_readers(box: Path) -> None:
    with take(box) as held:
        assert (box.parent / "mbox.lock").read_text().startswith(f"{os.getpid()}:")
        held.refresh()
        refused(box)
        refused(box, exclusive=False)
    with take(box, exclusive=False), take(box, exclusive=False):
        assert os.listdir(box.parent) == ["mbox"]
        refused(box)
    assert os.listdir(box.parent) == ["mbox"]
    with take(box):
        pass


@pytest.mark.parametrize("kind", ["LOCK_EX", "LOCK_SH"])
def test_other_programs_fcntl_locks(box: Path, kind: str) -> None:
    command = [sys.executable, "-c", HOLDER, str(box), kind]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        refused(box)
        if kind == "LOCK_EX":
            refused(box, exclusive=False)
        else:
            with take(box, exclusive=False):
                pass
        other.communicate(b"\n")
    with take(box):
        probe = open(box, "rb+")  # noqa: SIM115
        with pytest.raises(OSError, match=r"[Rr]esource|[Pp]ermission"):
            fcntl.lockf(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
        probe.close()
        # That close would have cost us an ordinary lock; ours is still held.
        refused(box)


def test_it_waits(box: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(box), "LOCK_EX"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        os.kill(other.pid, signal.SIGKILL)
        with take(box, wait=30):
            pass
        other.communicate()


ME = holder.own().decode()
TEXTS = {
    "ours": ME,
    "of another run of the machine": re.sub("boot=.", "boot=x", ME),
    "of a process that had our id": re.sub("start=.*", "start=1", ME),
    "of another namespace": re.sub("ns=.*start=.*", "ns=1 start=1", ME),
    "no more than a name": ME.splitlines()[0],
    "init's": f"1:{holder.host()}\n",
}


@pytest.mark.parametrize(
    ("text", "age", "held"),
    [
        ("ours", 0, True),
        ("ours", 1000, True),
        ("ours", 2000, False),  # whoever holds one touches it
        ("no more than a name", 0, True),
        ("no more than a name", 2000, False),
        ("init's", 0, True),
        ("init's", 2000, False),
        ("of another run of the machine", 0, False),
        ("of a process that had our id", 0, False),
        ("of another namespace", 0, True),  # where our ids mean nothing
        ("of another namespace", 2000, False),
    ],
)
def test_a_dotlock_of_the_living(box: Path, text: str, age: int, held: bool) -> None:
    dot = box.parent / "mbox.lock"
    dot.write_text(TEXTS[text])
    then = time.time() - age
    os.utime(dot, (then, then))
    os.utime(box, (1, 1))
    if held:
        refused(box)
        refused(box, exclusive=False)
        assert dot.read_text() == TEXTS[text]
        return
    with take(box):
        assert dot.read_text() == ME
    assert os.listdir(box.parent) == ["mbox"]


def test_a_process_that_nobody_has_waited_for_is_dead(box: Path) -> None:
    with subprocess.Popen(["/bin/true"], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.read() == b""
        dot = box.parent / "mbox.lock"
        dot.write_text(f"{child.pid}:{holder.host()}\n")
        with take(box, wait=30):
            assert dot.read_text() == ME


def test_a_process_that_began_later_is_another(box: Path) -> None:
    """As after a restart of the machine, when process ids come again."""
    dot = box.parent / "mbox.lock"
    dot.write_text(f"{os.getpid()}:{holder.host()}\n")
    os.utime(dot, (1, 1))  # long before this process, and the mailbox is in use
    with take(box):
        assert dot.read_text() == ME


@pytest.mark.parametrize("name", ["mbox.lock", "L.mbox"])
@pytest.mark.parametrize("kind", ["fifo", "folder", "link", "loop", "device"])
def test_what_is_no_lock_bars_nobody(box: Path, name: str, kind: str) -> None:
    odd = box.parent / name
    make_odd(odd, kind)
    for exclusive in (False, True):
        with take(box, exclusive=exclusive):
            pass
    assert os.path.lexists(odd)
    assert not os.path.exists(box.parent / "nonesuch")


@pytest.mark.parametrize("kind", ["fifo", "folder", "link", "loop", "device"])
def test_what_is_no_mailbox_is_refused_at_once(box: Path, kind: str) -> None:
    box.unlink()
    make_odd(box, kind)
    with pytest.raises(OSError, match=r"not a regular|no such|symbolic|Is a dir|No su"):
        with take(box):
            pass


def make_odd(path: Path, kind: str) -> None:
    """Put something there that is no regular file."""
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to(path.parent / "nonesuch")
        case "loop":
            path.symlink_to(path.name)
        case "device":
            path.symlink_to("/dev/zero")


def dead() -> int:
    with subprocess.Popen(["/bin/true"]) as child:
        pass
    return child.pid


@pytest.mark.parametrize(
    ("text", "age", "box_age", "broken"),
    [
        ("{dead}:{host}\n", 0, 0, True),
        ("{dead}:elsewhere\n", 0, 0, False),
        ("{dead}\n", 0, 0, False),  # perhaps another host's
        ("", 10, 10, False),
        ("", 2000, 10, False),  # somebody is at work
        ("", 10, 2000, False),
        ("", 2000, 2000, True),
        ("{dead}:elsewhere\n", 2000, 2000, True),
        ("0", 2000, 2000, True),  # procmail's
    ],
)
def test_stale_dotlocks(
    box: Path, text: str, age: int, box_age: int, broken: bool
) -> None:
    dot = box.parent / "mbox.lock"
    dot.write_text(text.format(dead=dead(), host=holder.host()))
    now = time.time()
    os.utime(dot, (now - age, now - age))
    os.utime(box, (now - box_age, now - box_age))
    if not broken:
        refused(box)
        refused(box, exclusive=False)
        assert dot.exists()
        return
    with take(box, exclusive=False, create=False):
        assert dot.exists()
    with take(box, exclusive=False):
        # a reader breaks only what a dead process of this host has left
        assert dot.exists() is ("{host}" not in text)
    with take(box):
        assert dot.read_text().startswith(f"{os.getpid()}:")
    assert os.listdir(box.parent) == ["mbox"]


def test_a_dotlock_taken_over_is_not_removed(box: Path) -> None:
    dot = box.parent / "mbox.lock"
    with take(box):
        dot.write_text("somebody\n")
    assert dot.read_text() == "somebody\n"


def test_no_dotlock_without_leave(box: Path) -> None:
    with take(box, create=False):
        assert os.listdir(box.parent) == ["mbox"]


def test_where_links_are_unknown(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(os, "link", link)
    with take(box):
        assert sorted(os.listdir(box.parent)) == ["mbox", "mbox.lock"]
        refused(box)
    assert os.listdir(box.parent) == ["mbox"]


def test_a_mailbox_replaced_meanwhile(
    box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_lock = lock.lock_fd
    other = box.with_name("other")
    other.write_bytes(b"new")

    def late(fd: int, *, exclusive: bool) -> bool:
        if other.exists():
            os.rename(other, box)
        return true_lock(fd, exclusive=exclusive)

    monkeypatch.setattr(lock, "lock_fd", late)
    with take(box, wait=5) as held:
        assert os.pread(held.fd, 10, 0) == b"new"


def test_plan9s_lock(box: Path) -> None:
    plan9 = box.parent / "L.mbox"
    with take(box):
        assert not plan9.exists()
    plan9.write_bytes(b"")
    with open(plan9, "rb+") as f:
        assert lock.lock_fd(f.fileno(), exclusive=True)
        refused(box)
        refused(box, exclusive=False)
    with take(box):
        pass
    assert plan9.exists()
    below = box.parent.parent / "root" / "mail" / "box" / "me" / "mbox"
    below.parent.mkdir(parents=True)
    below.write_bytes(b"")
    root = box.parent.parent / "root"
    with lock.locked(str(below), root=root, exclusive=False, create=True, wait=0):
        assert os.listdir(below.parent) == ["mbox"]
    with lock.locked(str(below), root=root, exclusive=True, create=True, wait=0):
        assert (below.parent / "L.mbox").exists()
    assert sorted(os.listdir(below.parent)) == ["L.mbox", "mbox"]


def test_a_symbolic_link_is_locked_where_it_leads(box: Path) -> None:
    link = box.parent.parent / "link"
    link.symlink_to(box)
    with take(link):
        assert (box.parent / "mbox.lock").exists()
        refused(box)
    with pytest.raises(FileNotFoundError), take(box.with_name("none")):
        pass


def test_without_description_locks(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_OFD", None)
    with take(box) as held:
        fd = os.open(box, os.O_RDONLY)
        lock.close(fd)
        os.fstat(fd)  # not closed yet: that would have unlocked the mailbox
        command = [sys.executable, "-c", HOLDER, str(box), "LOCK_EX"]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other:
            try:
                held.release()
                assert other.stdout is not None
                assert other.stdout.readline() == b"held\n"
                other.communicate(b"\n")
            finally:
                other.kill()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fd)
