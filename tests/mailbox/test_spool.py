"""Mailbox files: what the contract does not say of all kinds."""

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mailfs.disk import holder, lock, replace
from mailfs.errors import EFULL, ELOCK, MailfsError, reason
from mailfs.mailbox.drivers import open_store
from mailfs.mailbox.drivers.mbox import file, journal, scan
from mailfs.mailbox.drivers.mbox.driver import Spool
from mailfs.mailbox.kinds import Flag, Stale
from tests.mailbox.bench import Mbox, everything, from_line, mail

DATE = b"From a@b Sat Jan  3 01:05:34 1998\n"


@pytest.fixture
def bench(tmp_path: Path) -> Mbox:
    bench = Mbox(tmp_path)
    bench.make()
    return bench


def opened(bench: Mbox) -> Spool:
    driver = bench.open()
    assert isinstance(driver, Spool)
    return driver


def test_junk_before_the_first_message_survives(bench: Mbox) -> None:
    bench.box.write_bytes(b"\x00junk\nFrom nowhere\n")
    bench.fill(3)
    driver = opened(bench)
    listing = driver.list()
    assert len(listing) == 3
    after = driver.delete(listing, [0, 2])
    assert everything(after) == [bench.stored(1)]
    assert bench.box.read_bytes() == b"\x00junk\nFrom nowhere\n" + bench.stored(1)
    driver.delete(after, [0])
    assert bench.box.read_bytes() == b"\x00junk\nFrom nowhere\n"


def test_octets_are_not_normalised(bench: Mbox) -> None:
    odd = [
        DATE + b"A: b\r\n\r\nCR\rNUL\0\r\n",
        DATE + b"no blank line after\n",
        DATE,
        DATE[:-1] + b"\r\n\r\n",
        DATE + b"\n>From here\n\n\n\n",
        DATE + b"Content-Length: 5\n\n" + b"x" * 3_000_000 + b"\n",
        DATE + b"\nno newline at the end",
    ]
    bench.box.write_bytes(b"".join(odd))
    driver = opened(bench)
    assert everything(driver.list()) == odd
    after = driver.delete(driver.list(), [1, 4])
    assert everything(after) == [odd[i] for i in (0, 2, 3, 5, 6)]
    assert bench.box.read_bytes() == b"".join(odd[i] for i in (0, 2, 3, 5, 6))


@pytest.mark.parametrize(
    ("header", "flags"),
    [
        (b"", Flag.RECENT),
        (b"Status: O\n", Flag(0)),
        (b"Status: RO\n", Flag.SEEN),
        (b"Subject: x\nStatus: R\nX-Status: AFDT\n", Flag(0x2F)),
        (b"X-Status: F\n", Flag.RECENT | Flag.FLAGGED),
        (b"X-Spam-Status: RO\n", Flag.RECENT),
        (b"\nStatus: RO\n", Flag.RECENT),
    ],
)
def test_status_lines(bench: Mbox, header: bytes, flags: Flag) -> None:
    bench.box.write_bytes(DATE + header + b"\nbody\n")
    assert opened(bench).list().flags[0] == flags


def test_a_half_delivered_message_grows(
    bench: Mbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailfs.mailbox.drivers.mbox.driver.WHOLE", 0)
    bench.fill(20)
    whole = bench.box.read_bytes() + bench.stored(20) + bench.stored(21)
    driver = opened(bench)
    old = driver.list()
    for cut in range(len(bench.box.read_bytes()), len(whole) + 1):
        bench.box.write_bytes(whole[:cut])  # the same inode
        listing = driver.list(old)
        assert b"".join(everything(listing)) == whole[:cut]
        fresh = opened(bench).list()
        assert (fresh.keys, fresh.idents) == (listing.keys, listing.idents)
        assert (fresh.weaks, fresh.flags) == (listing.weaks, listing.flags)
        old = listing
    assert everything(old) == [bench.stored(n) for n in range(22)]


def test_a_message_that_has_grown_is_not_deleted(bench: Mbox) -> None:
    bench.fill(2)
    driver = opened(bench)
    listing = driver.list()
    with open(bench.box, "ab") as f:
        f.write(b"more of it\n")
    with pytest.raises(Stale):
        driver.delete(listing, [1])
    after = driver.delete(listing, [0])
    assert everything(after) == [bench.stored(1) + b"more of it\n"]


def test_changes_of_one_size_in_one_tick(bench: Mbox) -> None:
    bench.fill(3)
    driver = opened(bench)
    old = driver.list()
    assert not old.settled
    st = os.stat(bench.box)
    data = bench.box.read_bytes().replace(b"message 1", b"MESSAGE 1")
    bench.box.write_bytes(data)
    os.utime(bench.box, ns=(st.st_atime_ns, st.st_mtime_ns))
    with pytest.raises(Stale):
        driver.delete(old, [1])
    with pytest.raises(Stale):
        driver.set_flags(old, [(1, Flag.SEEN)])
    with pytest.raises(Stale):
        old.store.read(old.keys[1], old.sizes[1], old.idents[1], 0, 10)
    assert b"".join(everything(driver.list(old))) == data


def test_large_files_are_sampled(bench: Mbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailfs.mailbox.drivers.mbox.driver.WHOLE", 0)
    bench.fill(40)
    driver = opened(bench)
    old = driver.list()
    data = bench.box.read_bytes()
    scanned: list[int] = []
    true_scan = scan.scan_all

    def scan_all(fd: int, start: int, size: int) -> object:
        scanned.append(start)
        return true_scan(fd, start, size)

    monkeypatch.setattr(file, "scan_all", scan_all)
    bench.fill(1)
    listing = driver.list(old)
    assert scanned == [old.keys[-1]]
    assert len(listing) == 41
    # The same inode, longer, but not by appending: a Status line in the middle.
    bench.box.write_bytes(
        data.replace(b"Subject: message 20\n", b"Subject: message 20\nStatus: RO\n")
        + bench.stored(40)
        + bench.stored(41)
    )
    again = driver.list(listing)
    assert scanned[-1] == 0
    assert again.flags[20] == Flag.SEEN
    assert len(again) == 42
    assert again.weaks[:41] == listing.weaks
    # And one whose octets changed where they are, before something was appended.
    data = bench.box.read_bytes().replace(b"message 20\n", b"MESSAGE 20\n")
    bench.box.write_bytes(data + bench.stored(42))
    last = driver.list(again)
    assert scanned[-1] == 0
    assert [n for n in range(42) if last.idents[n] != again.idents[n]] == [20]


def test_flags_survive_another_program_writing_status(bench: Mbox) -> None:
    bench.fill(4)
    driver = opened(bench)
    driver.set_flags(
        driver.list(), [(1, Flag.FLAGGED), (2, Flag.SEEN), (3, Flag.DRAFT)]
    )
    # mutt, say: everything is old, 2 was answered, 3 read; sizes and inode change.
    texts = [bench.stored(n) for n in range(4)]
    says = [
        b"Status: O\n",
        b"Status: O\n",
        b"Status: O\nX-Status: A\n",
        b"Status: RO\n",
    ]
    new = [
        text.replace(b"\n\nbody", b"\n" + say + b"Content-Length: 9\nLines: 1\n\nbody")
        for text, say in zip(texts, says, strict=True)
    ]
    bench.box.with_name("new").write_bytes(b"".join(new))
    os.rename(bench.box.with_name("new"), bench.box)
    want = [
        Flag(0),
        Flag.FLAGGED,
        Flag.SEEN | Flag.ANSWERED,
        Flag.DRAFT | Flag.SEEN,
    ]
    assert list(opened(bench).list().flags) == want
    # Then it takes the flag back, which is newer than our change.
    listing = driver.set_flags(driver.list(), [(2, Flag.SEEN | Flag.ANSWERED)])
    data = bench.box.read_bytes().replace(b"X-Status: A\n", b"")
    bench.box.write_bytes(data)
    assert driver.list(listing).flags[2] == Flag.SEEN


def test_copies_of_one_message_have_flags_of_their_own(bench: Mbox) -> None:
    same = DATE + b"Subject: same\n\nbody\n\n"
    bench.box.write_bytes(same * 4)
    driver = opened(bench)
    listing = driver.set_flags(driver.list(), [(1, Flag.SEEN), (3, Flag.FLAGGED)])
    want = [0, Flag.SEEN, 0, Flag.FLAGGED]
    assert [f & ~Flag.RECENT for f in listing.flags] == want
    listing = driver.delete(listing, [0])
    assert [f & ~Flag.RECENT for f in listing.flags] == want[1:]
    assert [f & ~Flag.RECENT for f in opened(bench).list().flags] == want[1:]
    driver.delete(listing, [1])
    assert [f & ~Flag.RECENT for f in opened(bench).list().flags] == [
        Flag.SEEN,
        Flag.FLAGGED,
    ]


def test_what_upas_fs_left_half_done(bench: Mbox) -> None:
    bench.fill(2)
    temp = bench.box.with_name("box.tmp")
    os.rename(bench.box, temp)
    reader = open_store(str(bench.box), bench.place(readonly=True))
    assert len(reader.list()) == 2
    assert temp.exists()
    assert len(opened(bench).list()) == 2
    assert os.listdir(bench.box.parent) == ["box"]
    # With a mailbox there, it may be anything.
    temp.write_bytes(b"mine")
    opened(bench).list()
    assert temp.read_bytes() == b"mine"


def test_what_a_killed_process_left_is_swept(bench: Mbox) -> None:
    bench.fill(1)
    with subprocess.Popen(["/bin/true"]) as child:
        pass
    for what, pid in (("tmp", child.pid), ("lock", child.pid), ("tmp", os.getppid())):
        name = f".box.mailfs-{what}.{holder.host()}.{pid}.0"
        bench.box.with_name(name).write_bytes(b"x")
    bench.box.with_name(f".other.mailfs-tmp.{holder.host()}.{child.pid}.0").touch()
    opened(bench).list()
    left = sorted(os.listdir(bench.box.parent))
    assert left == sorted(
        [
            f".box.mailfs-tmp.{holder.host()}.{os.getppid()}.0",
            f".other.mailfs-tmp.{holder.host()}.{child.pid}.0",
            "box",
        ]
    )


def test_a_full_disk_changes_nothing(
    bench: Mbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.fill(5)
    before = bench.box.read_bytes()
    driver = opened(bench)
    listing = driver.list()

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    for name in ("copy_file_range", "fsync", "rename"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, full, raising=False)
            with pytest.raises(OSError, match="No space") as e:
                driver.delete(listing, [1])
            assert reason(e.value) == EFULL
        assert os.listdir(bench.box.parent) == ["box"]
        assert bench.box.read_bytes() == before
    assert len(driver.delete(driver.list(), [1])) == 4


def test_a_small_file_system(bench: Mbox, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("may not mount a tmpfs")
    try:
        box = folder / "mbox"
        data = b"".join(
            from_line(n) + mail(n, b"x" * 60_000) + b"\n" for n in range(10)
        )
        box.write_bytes(data)
        driver = open_store(str(box), bench.place())
        listing = driver.list()
        with pytest.raises(OSError, match="No space"):
            driver.delete(listing, [0])
        assert box.read_bytes() == data
        assert os.listdir(folder) == ["mbox"]
        assert len(driver.delete(driver.list(), range(8))) == 2
        del listing
        driver.close()
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_where_the_kernel_cannot_copy(
    bench: Mbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "copy_file_range", unknown, raising=False)
    bench.fill(5)
    driver = opened(bench)
    driver.delete(driver.list(), [1, 3])
    assert everything(opened(bench).list()) == [bench.stored(n) for n in (0, 2, 4)]


def test_owner_mode_and_link_are_kept(bench: Mbox, tmp_path: Path) -> None:
    bench.fill(2)
    os.chmod(bench.box, 0o620)
    if os.getuid() == 0:
        os.chown(bench.box, 12, 34)
    before = os.stat(bench.box)
    link = tmp_path / "link"
    link.symlink_to(bench.box)
    driver = open_store(str(link), bench.place())
    driver.delete(driver.list(), [0])
    assert link.is_symlink()
    after = os.stat(bench.box)
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    assert everything(driver.list()) == [bench.stored(1)]
    other = tmp_path / "hard"
    os.link(bench.box, other)
    bench.fill(1)
    driver.delete(driver.list(), [0])
    assert os.path.samefile(bench.box, other)
    assert other.read_bytes() == bench.stored(2)


def test_a_locked_mailbox_is_an_error(bench: Mbox) -> None:
    bench.fill(1)
    driver = opened(bench)
    listing = driver.list()
    driver.wait = 0.02
    with open(bench.box, "rb+") as f:
        lock.lock_fd(f.fileno(), exclusive=True)
        acts: list[Callable[[], object]] = [
            driver.list,
            lambda: driver.delete(listing, [0]),
            lambda: driver.set_flags(listing, [(0, Flag.SEEN)]),
        ]
        for act in acts:
            with pytest.raises(MailfsError, match=ELOCK):
                act()


APPENDER = """
import fcntl, sys
f = open(sys.argv[1], "ab")
print("open", flush=True)
sys.stdin.buffer.readline()
fcntl.lockf(f, fcntl.LOCK_EX)
f.write(sys.stdin.buffer.readline().replace(b"|", b"\\n"))
f.flush()
fcntl.lockf(f, fcntl.LOCK_UN)
print("done", flush=True)
sys.stdin.readline()
"""


class Appender:
    """A deliverer that knows only fcntl and opens the file before it waits."""

    def __init__(self, box: Path) -> None:
        self.p = subprocess.Popen(
            [sys.executable, "-c", APPENDER, str(box)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.expect(b"open\n")

    def expect(self, line: bytes) -> None:
        assert self.p.stdout is not None
        assert self.p.stdout.readline() == line

    def send(self, line: bytes) -> None:
        assert self.p.stdin is not None
        self.p.stdin.write(line + b"\n")
        self.p.stdin.flush()

    def end(self) -> None:
        if self.p.poll() is None:
            self.p.communicate(b"\n" * 3, timeout=30)


@pytest.mark.parametrize("when", ["during", "later", "at the end", "after a crash"])
def test_mail_appended_to_a_replaced_file(bench: Mbox, when: str) -> None:
    bench.fill(3)
    driver = opened(bench)
    listing = driver.list()
    appender = Appender(bench.box)
    text = bench.stored(9)[:-1].replace(b"\n", b"|")
    try:
        if when == "during":
            true_copy = replace.copy
            told: list[bool] = []

            def copy(*args: object) -> None:
                if not told:  # it waits for the lock we hold, then appends
                    told.append(True)
                    appender.send(b"")
                    appender.send(text)
                    threading.Event().wait(0.05)
                true_copy(*args)  # type: ignore[arg-type]

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("mailfs.mailbox.drivers.mbox.driver.copy", copy)
                listing = driver.delete(listing, [1])
            appender.expect(b"done\n")
        else:
            listing = driver.delete(listing, [1])
            before = driver.signature()
            appender.send(b"")
            appender.send(text)
            appender.expect(b"done\n")
            assert driver.signature() != before
            assert os.stat(bench.box).st_size == sum(listing.sizes)
        if when == "later":
            listing = driver.list(listing)
        elif when == "at the end":
            appender.end()
            driver.close()
            listing = opened(bench).list()
        elif when == "after a crash":
            abandon(bench)
            driver = opened(bench)
            listing = driver.list()
    finally:
        appender.end()
    want = [bench.stored(n) for n in (0, 2, 9)]
    assert sorted(everything(driver.list(listing))) == sorted(want)
    assert bench.box.read_bytes() == b"".join(everything(opened(bench).list()))
    driver.close()
    again = opened(bench)
    again.list()
    assert os.listdir(bench.box.parent) == ["box"]


def abandon(bench: Mbox) -> None:
    """Make the names of what we keep look like a dead process's."""
    with subprocess.Popen(["/bin/true"]) as child:
        pass
    for name in os.listdir(bench.box.parent):
        if ".mailfs-" in name:
            old = f".{os.getpid()}."
            new = name.replace(old, f".{child.pid}.")
            os.rename(bench.box.with_name(name), bench.box.with_name(new))


@pytest.mark.parametrize("done", ["nothing", "half", "all", "replaced"])
def test_a_carry_that_was_interrupted(bench: Mbox, done: str) -> None:
    bench.fill(2)
    size = os.stat(bench.box).st_size
    late = bench.stored(7)
    with subprocess.Popen(["/bin/true"]) as child:
        pass
    left = bench.box.with_name(
        f".box.mailfs-old-100-{size}.{holder.host()}.{child.pid}.0"
    )
    left.write_bytes(b"x" * 100 + late)
    with open(bench.box, "ab") as f:
        f.write({"half": late[:20], "all": late}.get(done, b""))
    if done == "replaced":
        bench.rewrite([1])
    want = [bench.stored(n) for n in ((0, 1, 7) if done != "replaced" else (1, 7))]
    assert everything(opened(bench).list()) == want
    assert everything(opened(bench).list()) == want
    assert os.listdir(bench.box.parent) == ["box"]


def test_a_link_left_before_the_replacement(bench: Mbox) -> None:
    bench.fill(2)
    with subprocess.Popen(["/bin/true"]) as child:
        pass
    left = bench.box.with_name(f".box.mailfs-old-50.{holder.host()}.{child.pid}.0")
    os.link(bench.box, left)
    assert everything(opened(bench).list()) == [bench.stored(n) for n in range(2)]
    assert os.listdir(bench.box.parent) == ["box"]


@pytest.fixture
def inplace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse files in the mailbox's directory, as /var/mail does."""

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("mailfs.mailbox.drivers.mbox.driver.create_like", refuse)


def test_an_owner_that_cannot_be_given(
    bench: Mbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", refuse)
    bench.fill(3)
    inode = os.stat(bench.box).st_ino
    driver = opened(bench)
    driver.delete(driver.list(), [0])
    assert os.stat(bench.box).st_ino == inode
    assert os.listdir(bench.box.parent) == ["box"]


def test_mail_that_waited_for_a_removal(bench: Mbox) -> None:
    bench.fill(2)
    driver = opened(bench)
    appender = Appender(bench.box)
    driver.remove()
    assert not bench.box.exists()
    appender.send(b"")
    appender.send(bench.stored(5)[:-1].replace(b"\n", b"|"))
    appender.expect(b"done\n")
    appender.end()
    driver.close()
    assert bench.box.read_bytes() == bench.stored(5)
    assert os.listdir(bench.box.parent) == ["box"]


def test_in_place(bench: Mbox, inplace: None) -> None:
    bench.fill(6)
    inode = os.stat(bench.box).st_ino
    driver = opened(bench)
    listing = driver.list()
    after = driver.delete(listing, [2, 4])
    want = [bench.stored(n) for n in (0, 1, 3, 5)]
    assert everything(after) == want
    assert bench.box.read_bytes() == b"".join(want)
    assert os.stat(bench.box).st_ino == inode
    assert everything(driver.list(after)) == want
    with pytest.raises(Stale):  # its place is another message's now
        listing.store.read(listing.keys[4], listing.sizes[4], listing.idents[4], 0, 9)
    assert list((bench.root / "mail" / "tmp").iterdir()) == []
    driver.delete(driver.list(), range(4))
    assert bench.box.read_bytes() == b""


class Killed(Exception):
    pass


def journal_file(bench: Mbox) -> Path:
    return Path(journal.journal_path(bench.root, os.path.realpath(bench.box)))


@pytest.mark.parametrize("late", [0, 1, 3])
@pytest.mark.parametrize("step", range(8))
def test_in_place_interrupted(
    bench: Mbox, inplace: None, monkeypatch: pytest.MonkeyPatch, step: int, late: int
) -> None:
    bench.fill(6)
    driver = opened(bench)
    listing = driver.list()
    whole = [bench.stored(n) for n in range(6)]
    count = 0

    def before(name: str) -> None:
        nonlocal count
        if count == step:
            raise Killed(name)
        count += 1

    true = {name: getattr(os, name) for name in ("fsync", "rename", "ftruncate")}
    with monkeypatch.context() as patch:
        for name in ("fsync", "rename", "ftruncate"):

            def call(*args: object, name: str = name) -> object:
                before(name)
                return true[name](*args)

            patch.setattr(os, name, call)
        try:
            driver.delete(listing, [1, 2])
            finished = True
        except Killed:
            finished = False
    temp_only = not journal_file(bench).exists()
    for n in range(late):  # a deliverer comes before us
        bench.deliver(10 + n)
    extra = [bench.stored(10 + n) for n in range(late)]
    if journal_file(bench).exists():
        reader = open_store(str(bench.box), bench.place(readonly=True))
        with pytest.raises(MailfsError, match="interrupted"):
            reader.list()
    found = everything(opened(bench).list())
    assert not journal_file(bench).exists()
    new = [whole[n] for n in (0, 3, 4, 5)]
    if temp_only and not finished:
        assert found in (whole + extra, new + extra)
    else:
        assert found == new + extra


def test_a_journal_overtaken_by_another_program(bench: Mbox) -> None:
    bench.fill(4)
    path = journal_file(bench)
    with lock.locked(
        str(bench.box), root=bench.root, exclusive=True, create=True, wait=1
    ) as held:
        size = os.stat(bench.box).st_size
        journal._write(str(path), held, 0, 10, size, [(0, 10)])
    bench.rewrite([0])
    before = bench.box.read_bytes()
    with pytest.raises(MailfsError, match="interrupted"):
        opened(bench).list()
    assert bench.box.read_bytes() == before
    assert path.with_name(path.name + ".unused").exists()
    assert len(opened(bench).list()) == 1
    path.write_bytes(b"garbage\n")
    with pytest.raises(MailfsError, match="interrupted"):
        opened(bench).list()


def test_rename_and_removal(bench: Mbox, tmp_path: Path) -> None:
    bench.fill(2)
    driver = opened(bench)
    driver.set_flags(driver.list(), [(0, Flag.SEEN)])
    bench.box.with_name("box.imp").write_bytes(b"uids")
    there = bench.box.with_name("there")
    driver.rename(str(there))
    assert sorted(os.listdir(there.parent)) == ["there", "there.flags", "there.imp"]
    with pytest.raises(MailfsError, match="there: can't rename"):
        driver.rename(str(tmp_path / "none" / "x"))
    driver.remove(truncate=True)
    assert sorted(os.listdir(there.parent)) == ["there", "there.imp"]
    driver.remove()
    assert os.listdir(there.parent) == []


def test_sync_of_directories_that_cannot() -> None:
    replace.sync_dir("/proc")
    assert fcntl is not None
