"""Messages in, held, out; and killed at every step of it."""

import errno
import io
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mailfs.queue import spool
from mailfs.queue.control import BadControl
from mailfs.queue.place import QueueError
from mailfs.queue.retry import Times
from mailfs.queue.spool import Job, claim, enqueue, jobs

DATA = b"From glenda Sun Nov 22 12:45:08 2026 remote from gnot\nSubject: x\n\nhello\n"
WORDS = ("mail", "glenda", "net!b.com", "a", "c")


def put(queue: Path, **told: Any) -> Job:
    return enqueue(queue, "glenda", DATA, WORDS, **told)


@pytest.mark.parametrize("umask", [0, 0o22, 0o77, 0o277])
def test_layout(tmp_path: Path, umask: int) -> None:
    old = os.umask(umask)
    try:
        job = put(tmp_path / "q")
        shared = enqueue(tmp_path / "q", "none", io.BytesIO(DATA), WORDS)
    finally:
        os.umask(old)
    assert job.folder == tmp_path / "q/glenda"
    assert sorted(os.listdir(job.folder)) == [f"C.{job.name}", f"D.{job.name}"]
    assert len(f"C.{job.name}") < 28  # what upas allows
    assert job.path("D").read_bytes() == DATA
    assert job.path("C").read_bytes() == b"mail glenda net!b.com a c \n"
    assert job.words() == WORDS
    modes = [
        p.stat().st_mode & 0o777 for p in (job.folder, job.path("D"), job.path("C"))
    ]
    assert modes == [0o700, 0o600, 0o600]
    modes = [p.stat().st_mode & 0o777 for p in (shared.folder, shared.path("D"))]
    assert modes == [0o777, 0o664]
    assert jobs(job.folder) == [job]
    assert spool.folders(tmp_path / "q") == [job.folder, shared.folder]
    assert spool.folders(tmp_path / "none") == []


def test_order_and_names(tmp_path: Path) -> None:
    made = [put(tmp_path) for _ in range(20)]
    assert sorted(j.name for j in made) == [j.name for j in jobs(tmp_path / "glenda")]
    names = iter(["same", "same", "other"])
    put(tmp_path, fresh=lambda: next(names))
    assert put(tmp_path, fresh=lambda: next(names)).name == "other"


def test_copies(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"one")
    copies = [tmp_path / "file", tmp_path / "file"]
    job = enqueue(tmp_path / "q", "glenda", DATA, WORDS, copies)
    assert job.path("F").read_bytes() == job.path("G").read_bytes() == b"one"
    assert job.words() == (*WORDS, str(job.path("F")), str(job.path("G")))
    held = claim(job)
    assert held is not None
    held.remove()
    held.close()
    assert os.listdir(job.folder) == []
    with pytest.raises(QueueError, match=r"copying .* to queue"):
        enqueue(tmp_path / "q", "glenda", DATA, WORDS, [tmp_path / "none"])
    assert os.listdir(job.folder) == []


@pytest.mark.parametrize("login", ["", "..", "a/b", "x" * 100])
def test_no_user(tmp_path: Path, login: str) -> None:
    with pytest.raises(QueueError, match="unknown user"):
        enqueue(tmp_path, login, DATA, WORDS)


def test_refusals_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadControl):
        enqueue(tmp_path, "glenda", DATA, ["mail", "a\nb", "c"])
    (tmp_path / "bob").write_text("")
    with pytest.raises(QueueError, match="not a directory"):
        enqueue(tmp_path, "bob", DATA, WORDS)
    (tmp_path / "file").write_text("")
    with pytest.raises(QueueError):
        enqueue(tmp_path / "file", "bob", DATA, WORDS)
    assert not (tmp_path / "glenda").exists() or not os.listdir(tmp_path / "glenda")


def test_claimed_once(tmp_path: Path) -> None:
    job = put(tmp_path)
    first = claim(job)
    assert first is not None
    assert first.words == WORDS
    assert claim(job) is None
    with pytest.raises(QueueError, match="being delivered"):
        spool.remove(job)
    first.rewrite(WORDS[:4])
    assert claim(job) is None  # the new file is locked as the old one was
    first.close()
    again = claim(job)
    assert again is not None
    assert again.words == WORDS[:4]
    again.close()
    spool.remove(job)
    assert claim(job) is None
    assert os.listdir(job.folder) == []


def test_a_file_replaced_meanwhile_is_not_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = put(tmp_path)
    real = os.open

    def slow(path: Any, *rest: Any, **more: Any) -> int:
        fd = real(path, *rest, **more)
        if path == job.file("C"):
            monkeypatch.setattr(os, "open", real)
            first = claim(job)
            assert first is not None
            first.rewrite(WORDS[:4])
            first.close()
        return fd

    monkeypatch.setattr(os, "open", slow)
    assert claim(job) is None


def test_hold(tmp_path: Path) -> None:
    job = put(tmp_path)
    spool.hold(job)
    assert jobs(job.folder) == []
    (held,) = jobs(job.folder, held=True)
    assert held.held
    assert held.words() == WORDS
    assert spool.find(tmp_path, f"glenda/{job.name}") == held
    assert spool.find(tmp_path, job.name) == held
    with pytest.raises(QueueError):
        spool.find(tmp_path, "nonesuch")
    spool.release(held)
    assert jobs(job.folder) == [job]
    with pytest.raises(QueueError):
        spool.release(held)


def test_errors_are_appended_and_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = claim(put(tmp_path))
    assert held is not None
    monkeypatch.setattr(spool, "MAX_ERRORS", 100)
    for i in range(50):
        held.note(f"line {i}\n")
    text = held.job.path("E").read_text()
    assert text.endswith("line 48\nline 49\n")
    assert len(text) < 200
    held.close()


def test_sweep(tmp_path: Path) -> None:
    job = put(tmp_path)
    for name in ("D.dead", "E.dead", "t.dead", f"E.{job.name}", "unrelated"):
        (job.folder / name).write_text("")
    now = job.path("D").stat().st_mtime
    assert spool.sweep(job.folder, now, 100) == []
    gone = spool.sweep(job.folder, now + 1000, 100)
    assert sorted(gone) == ["D.dead", "E.dead", "t.dead"]
    assert jobs(job.folder) == [job]
    assert (job.folder / "unrelated").exists()


def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "glenda"
    folder.mkdir()
    os.chown(folder, 12345, 12345)
    with pytest.raises(QueueError, match="belongs to user 12345"):
        put(tmp_path)
    assert os.listdir(folder) == []
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(QueueError, match="not a directory"):
        put(tmp_path)
    assert os.listdir(tmp_path / "elsewhere") == []


def test_a_directory_open_to_others_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "glenda"
    folder.mkdir()
    folder.chmod(0o777)
    put(tmp_path)
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("kind", "CDE")
@pytest.mark.parametrize("what", ["link", "fifo", "directory", "foreign"])
def test_only_regular_files_of_the_right_owner(
    tmp_path: Path, kind: str, what: str
) -> None:
    job = put(tmp_path)
    path, secret = job.path(kind), tmp_path / "secret"
    secret.write_text("mail root net!b.com a@b.com\n")
    path.unlink(missing_ok=True)
    if what == "link":
        path.symlink_to(secret)
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "directory":
        path.mkdir()
    else:
        path.write_text("mail root net!b.com a@b.com\n")
        os.chown(path, 12345, 12345)
    flags = os.O_RDWR if kind == "C" else os.O_WRONLY | os.O_APPEND | os.O_CREAT
    for how in (os.O_RDONLY, flags):
        with pytest.raises(OSError, match=r"regular|owner"):
            job.open(kind, how)
    assert secret.read_text() == "mail root net!b.com a@b.com\n"


def test_served_recipients_are_blanked_where_no_file_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = claim(put(tmp_path))
    assert held is not None

    def full(path: str, data: bytes, mode: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spool, "write_fresh", full)
    size = held.job.path("C").stat().st_size
    held.rewrite(("mail", "glenda", "net!b.com", "c"))
    assert held.job.path("C").stat().st_size == size
    assert held.job.words() == ("mail", "glenda", "net!b.com", "c")
    with pytest.raises(OSError, match="No space"):
        held.rewrite([*WORDS, "one@more.org"])
    held.close()
    assert sorted(os.listdir(held.job.folder)) == [held.job.path(k).name for k in "CD"]


def test_times_ahead_of_the_clock_count_as_now(tmp_path: Path) -> None:
    job = put(tmp_path)
    job.mark("E")
    for kind in "DE":
        os.utime(job.path(kind), (5e9, 5e9))
    assert spool.times(job, 1e9) == Times(1e9, 1e9)
    assert spool.times(job, 1e9 + 600) == Times(1e9, 1e9)  # it grows old from now


CALLS = ("open", "write", "fsync", "rename", "unlink", "close", "mkdir", "chmod")


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do work in a child that dies before its step-th system call; False if it ends."""
    pid = os.fork()
    if pid == 0:
        count = 0

        def dying(name: str) -> Any:
            real = getattr(os, name)

            def call(*args: Any, **more: Any) -> Any:
                nonlocal count
                count += 1
                if count == step:
                    os._exit(9)
                return real(*args, **more)

            return call

        for name in CALLS:
            setattr(os, name, dying(name))
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9


def test_killed_while_queueing(tmp_path: Path) -> None:
    """A control file is there whole, with the whole message, or not at all."""
    folder = tmp_path / "glenda"
    for step in range(1, 100):
        died = killed_at(step, lambda: put(tmp_path))
        for job in jobs(folder):
            assert job.words() == WORDS
            assert job.path("D").read_bytes() == DATA
            spool.remove(job)
        if not died:
            break
        spool.sweep(folder, 1e12, 0)
        assert not folder.exists() or os.listdir(folder) == []
    assert 5 < step < 99


def test_killed_while_rewriting(tmp_path: Path) -> None:
    """The recipients are those of before or those of after."""
    for step in range(1, 100):
        job = put(tmp_path)

        def work(job: Job = job) -> None:
            held = claim(job)
            assert held is not None
            held.rewrite(WORDS[:4])

        died = killed_at(step, work)
        assert jobs(job.folder) == [job]
        assert job.words() in (WORDS, WORDS[:4])
        spool.remove(job)
        if not died:
            break
    assert 3 < step < 99


def test_killed_while_removing(tmp_path: Path) -> None:
    """Once it is not queued it does not come back; what is left is swept."""
    seen = set()
    for step in range(1, 100):
        job = put(tmp_path)

        def work(job: Job = job) -> None:
            held = claim(job)
            assert held is not None
            held.remove()

        died = killed_at(step, work)
        left = jobs(job.folder)
        seen.add(len(left))
        for one in left:
            assert one.path("D").exists()
            spool.remove(one)
        spool.sweep(job.folder, 1e12, 0)
        assert os.listdir(job.folder) == []
        if not died:
            break
    assert seen == {0, 1}


def test_many_threads(tmp_path: Path) -> None:
    def work() -> None:
        for _ in range(20):
            put(tmp_path)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(jobs(tmp_path / "glenda")) == 160


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="no /proc")
def test_on_disk_in_this_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message, its control file, and only then the name that makes it one."""
    (tmp_path / "glenda").mkdir()
    seen = []
    fsync, rename = os.fsync, os.rename

    def synced(fd: int) -> None:
        seen.append(os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))[:2])
        fsync(fd)

    def renamed(source: Any, to: Any, **more: Any) -> None:
        seen.append("rename")
        rename(source, to, **more)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    job = put(tmp_path)
    assert seen == ["D.", "t.", "rename", "gl"]
    seen.clear()
    held = claim(job)
    assert held is not None
    held.rewrite(WORDS[:4])
    held.close()
    assert seen == ["t.", "rename", "gl"]
