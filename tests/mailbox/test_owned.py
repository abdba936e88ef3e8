"""Mailboxes of users whose server may do more than they: nothing leads elsewhere."""

import mailbox
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mailfs.disk.rights import acting, check_path
from mailfs.errors import MailfsError, Refused
from mailfs.mailbox.driver import Driver, Place
from mailfs.mailbox.drivers import open_store
from mailfs.mailbox.kinds import Flag, Stale
from tests.mailbox.bench import (
    BENCHES,
    FIRST,
    Bench,
    MaildirBench,
    Mbox,
    MhBench,
    everything,
    from_line,
    mail,
)

USER = 4711
OTHER = 4712
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root acts as others")
SECRET = b"Subject: secret\n\nof another\n"


@pytest.fixture
def world() -> Iterator[Path]:
    """Return a directory that everybody can look into; pytest's own are private."""
    with tempfile.TemporaryDirectory(prefix="owned") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def give(path: Path, uid: int) -> None:
    """Make a user the owner of all there is from path on."""
    for base, folders, files in os.walk(path):
        for name in (".", *folders, *files):
            os.chown(os.path.join(base, name), uid, uid, follow_symlinks=False)
    os.chown(path, uid, uid, follow_symlinks=False)


def made(cls: type[Bench], world: Path, owner: int = USER) -> Bench:
    bench = cls(world)
    bench.make()
    bench.fill(3)
    (world / "root" / "mail" / "tmp").mkdir(parents=True)
    (world / "root" / "mail" / "tmp").chmod(0o1777)
    give(bench.box.parent, owner)
    return bench


def opened(bench: Bench, owner: int = USER) -> Driver:
    place = Place(bench.root, "user", owner=(owner, owner))
    return open_store(str(bench.box), place)


def secrets(world: Path, uid: int) -> Path:
    """Make a file of another, whom the mailbox's owner must not reach."""
    path = world / "secret"
    path.write_bytes(from_line(0) + SECRET)
    path.chmod(0o600)
    os.chown(path, uid, uid)
    return path


@needs_root
@pytest.mark.parametrize("cls", BENCHES)
def test_all_is_done_as_the_user(world: Path, cls: type[Bench]) -> None:
    bench = made(cls, world)
    driver = opened(bench)
    listing = driver.list()
    assert everything(listing) == [bench.stored(n) for n in range(3)]
    listing = driver.set_flags(listing, [(0, Flag.FLAGGED)])
    driver.append(mail(7), FIRST + 7, "a@example.com", Flag.SEEN)
    listing = driver.delete(driver.list(), [1])
    assert len(listing) == 3
    assert len(everything(listing)) == 3
    driver.close()
    for base, folders, files in os.walk(bench.box.parent):
        for name in (".", *folders, *files):
            assert os.lstat(os.path.join(base, name)).st_uid == USER, name


@pytest.mark.parametrize("owner", [USER, os.geteuid()])
@pytest.mark.parametrize("cls", BENCHES[1:])
def test_a_message_that_is_a_link_is_none(
    world: Path, cls: type[Bench], owner: int
) -> None:
    if owner != os.geteuid() and os.geteuid() != 0:
        return  # only root acts as others
    bench = made(cls, world, owner)
    secret = secrets(world, os.geteuid())
    name = {
        "maildir": f"cur/{FIRST + 9}.x,S={secret.stat().st_size}:2,S",
        "mdir": f"{FIRST + 9}.00",
        "mh": "9",
    }[bench.kind]
    os.symlink(secret, bench.box / name)
    os.chown(bench.box / name, owner, owner, follow_symlinks=False)
    driver = opened(bench, owner)
    listing = driver.list()
    with suppress(Stale):
        assert SECRET not in b"".join(everything(listing))
    listing = driver.list()
    assert everything(listing) == [bench.stored(n) for n in range(3)]
    assert driver.state() == (("passed", "1 that are no readable files"),)


@needs_root
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("cls", BENCHES)
def test_a_mailbox_that_is_a_link(world: Path, cls: type[Bench], late: bool) -> None:
    """Made before or after it was opened."""
    bench = made(cls, world)
    (world / "theirs").mkdir()
    theirs = cls(world / "theirs")
    theirs.make()
    theirs.fill(3)
    give(theirs.folder, OTHER)
    before = {p: p.read_bytes() for p in theirs.folder.rglob("*") if p.is_file()}
    driver = opened(bench)
    listing = driver.list()
    bench.box.rename(bench.box.with_name("aside"))
    bench.box.symlink_to(theirs.box)
    os.chown(bench.box, USER, USER, follow_symlinks=False)
    if not late:
        with pytest.raises((MailfsError, OSError)):
            opened(bench).list()
        return
    with pytest.raises((MailfsError, OSError)):
        driver.list()
    with pytest.raises((MailfsError, OSError)):
        driver.delete(listing, [0])
    with pytest.raises((MailfsError, OSError)):
        driver.set_flags(listing, [(0, Flag.SEEN)])
    with pytest.raises((MailfsError, OSError)):
        driver.append(mail(9), FIRST, "a@example.com", Flag(0))
    after = {p: p.read_bytes() for p in theirs.folder.rglob("*") if p.is_file()}
    assert after == before


@needs_root
@pytest.mark.parametrize("sub", ["cur", "new", "tmp"])
def test_a_maildir_s_directory_that_is_a_link(world: Path, sub: str) -> None:
    bench = made(MaildirBench, world)
    theirs = world / "theirs"
    mailbox.Maildir(str(theirs), create=True).close()
    (theirs / sub / "1000000001.secret:2,S").write_bytes(SECRET)
    shutil.rmtree(bench.box / sub)
    (bench.box / sub).symlink_to(theirs / sub)
    driver = opened(bench)
    with pytest.raises((Refused, OSError)):
        driver.list()
    with pytest.raises((Refused, OSError)):
        driver.append(mail(9), FIRST, "a@example.com", Flag(0))
    assert os.listdir(theirs / sub) == ["1000000001.secret:2,S"]


@needs_root
@pytest.mark.parametrize("name", ["box.flags", "box.lock", "L.mbox", ".mh_sequences"])
def test_companions_that_are_links(world: Path, name: str) -> None:
    bench = made(MhBench if name.startswith(".mh") else Mbox, world)
    secret = secrets(world, 0)
    before = secret.read_bytes()
    path = (bench.box if name.startswith(".mh") else bench.box.parent) / name
    path.unlink(missing_ok=True)
    path.symlink_to(secret)
    driver = opened(bench)
    with suppress(MailfsError, OSError):
        driver.set_flags(driver.list(), [(0, Flag.FLAGGED)])
    with suppress(MailfsError, OSError):
        driver.delete(driver.list(), [1])
    with suppress(MailfsError, OSError):
        driver.append(mail(9), FIRST, "a@example.com", Flag(0))
    assert secret.read_bytes() == before
    assert path.is_symlink()


@needs_root
def test_another_s_file_is_not_believed(world: Path) -> None:
    bench = made(Mbox, world)
    os.chown(bench.box, OTHER, OTHER)
    bench.box.chmod(0o644)
    with pytest.raises((MailfsError, OSError), match="another user"):
        opened(bench).list()


@needs_root
def test_one_thread_acts_as_another() -> None:
    with tempfile.TemporaryDirectory() as name:
        secret = os.path.join(name, "secret")
        Path(secret).write_bytes(SECRET)
        os.chmod(secret, 0o600)

        def readable() -> bool:
            try:
                os.close(os.open(secret, os.O_RDONLY))
            except PermissionError:
                return False
            return True

        there: list[bool] = []
        go = threading.Event()

        def other() -> None:
            go.wait(60)
            there.append(readable())

        thread = threading.Thread(target=other)
        thread.start()
        with acting((USER, USER)):
            assert not readable()
            go.set()
            thread.join()
            with acting((OTHER, OTHER)):
                assert not readable()
            with acting((0, 0)):
                assert not readable()  # no way back up
            assert not readable()
        assert readable()
        assert there == [True]


@needs_root
def test_links_of_root_are_followed(world: Path) -> None:
    home = world / "home"
    home.mkdir()
    (home / "box").write_bytes(b"")
    give(home, USER)
    (world / "link").symlink_to(home)
    check_path(str(world / "link" / "box"), frozenset({USER}))
    with pytest.raises(PermissionError, match="another user"):
        check_path(str(world / "link" / "box"), frozenset({OTHER}))
    (home / "to").symlink_to(world)
    with pytest.raises(PermissionError, match="symbolic link"):
        check_path(str(home / "to" / "home" / "box"), frozenset({USER}))
    os.chown(home / "to", USER, USER, follow_symlinks=False)
    with pytest.raises(PermissionError, match="symbolic link"):
        check_path(str(home / "to"), frozenset({USER, 0}))
