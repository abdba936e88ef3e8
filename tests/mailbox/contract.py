"""What every driver must do: checks over a Bench; see mailfs.mailbox.driver."""

import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mailfs.errors import EROFS, Refused
from mailfs.mailbox.driver import Driver
from mailfs.mailbox.kinds import Flag, Listing, Stale
from tests.mailbox.bench import FIRST, Bench, everything, octets

Check = Callable[[Bench], None]


def consistent(listing: Listing) -> None:
    n = len(listing)
    columns = (
        listing.keys,
        listing.sizes,
        listing.idents,
        listing.weaks,
        listing.dates,
        listing.flags,
    )
    assert [len(column) for column in columns] == [n] * 6
    assert len(set(listing.idents)) == n
    assert list(listing.dates) == sorted(listing.dates)


def settle(driver: Driver) -> Listing:
    """List until nothing can hide in the clock's tick any more."""
    listing = driver.list()
    for _ in range(100):
        if listing.settled:
            return listing
        time.sleep(0.02)
        listing = driver.list(listing)
    raise AssertionError("never settled")


def snapshot(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return what readers must leave alone: every file's and directory's stamps."""
    found: dict[str, tuple[int, ...]] = {}
    for base, dirs, files in os.walk(folder):
        for name in (".", *dirs, *files):
            st = os.lstat(os.path.join(base, name))
            found[os.path.join(base, name)] = (
                st.st_ino,
                st.st_size,
                st.st_mtime_ns,
                st.st_ctime_ns,
                st.st_mode,
            )
    return found


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file's octets, but those of locks."""
    found = {str(path): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items()}


@contextmanager
def small_files(size: int) -> Iterator[None]:
    """Let no file grow beyond size octets during the block, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


_watchers: list[list[int]] = []


def _heard(event: str, args: tuple[object, ...]) -> None:
    if event == "open" and _watchers and isinstance(args[2], int):
        for flags in _watchers:
            flags.append(args[2])


sys.addaudithook(_heard)


@contextmanager
def watching() -> Iterator[list[int]]:
    """Give the flags of every open(2) in this process during the block."""
    flags: list[int] = []
    _watchers.append(flags)
    try:
        yield flags
    finally:
        _watchers.remove(flags)


def an_empty_store_lists_nothing(bench: Bench) -> None:
    bench.make()
    listing = bench.open().list()
    assert len(listing) == 0
    consistent(listing)


def lists_oldest_first(bench: Bench) -> None:
    bench.make()
    bench.fill(12)
    listing = bench.open().list()
    consistent(listing)
    assert everything(listing) == [bench.stored(n) for n in range(12)]
    assert list(listing.dates) == [FIRST + n for n in range(12)]
    assert listing.sizes.tolist() == [len(bench.stored(n)) for n in range(12)]


def an_unchanged_store_is_not_listed_again(bench: Bench) -> None:
    bench.make()
    bench.fill(3)
    driver = bench.open()
    listing = settle(driver)
    assert driver.signature() == listing.signature
    assert driver.list(listing) is listing
    assert not driver.heavy(listing)


def deliveries_by_others_are_seen(bench: Bench) -> None:
    bench.make()
    bench.fill(3)
    driver = bench.open()
    old = driver.list()
    for _ in range(3):  # mostly within one tick of the clock
        bench.fill(1)
        listing = driver.list(old)
        assert everything(listing) == [bench.stored(n) for n in range(bench.count)]
        assert listing.idents[: len(old)] == old.idents
        consistent(listing)
        old = listing


def removals_by_others_are_seen(bench: Bench) -> None:
    bench.make()
    bench.fill(5)
    driver = bench.open()
    old = driver.list()
    bench.rewrite([1, 3])
    listing = driver.list(old)
    assert everything(listing) == [bench.stored(1), bench.stored(3)]
    assert listing.idents.tolist() == [old.idents[1], old.idents[3]]


def a_settled_listing_sees_what_follows(bench: Bench) -> None:
    bench.make()
    bench.fill(3)
    driver = bench.open()
    old = settle(driver)
    bench.rewrite([0, 2])
    bench.fill(1)
    listing = driver.list(old)
    assert everything(listing) == [bench.stored(n) for n in (0, 2, 3)]


def deletion_keeps_the_rest(bench: Bench) -> None:
    bench.make()
    bench.fill(7)
    driver = bench.open()
    before = driver.list()
    after = driver.delete(before, [5, 0, 3])
    kept = [bench.stored(n) for n in (1, 2, 4, 6)]
    assert everything(after) == kept
    assert after.idents.tolist() == [before.idents[n] for n in (1, 2, 4, 6)]
    consistent(after)
    assert everything(driver.list(after)) == kept
    assert everything(bench.open().list()) == kept
    # Whoever has a message open goes on reading it.
    assert everything(before) == [bench.stored(n) for n in range(7)]


def deletion_of_all_leaves_an_empty_store(bench: Bench) -> None:
    bench.make()
    bench.fill(2)
    driver = bench.open()
    assert len(driver.delete(driver.list(), [0, 1])) == 0
    assert len(bench.open().list()) == 0
    bench.fill(1)
    assert everything(bench.open().list()) == [bench.stored(2)]


def mail_that_came_meanwhile_is_kept(bench: Bench) -> None:
    bench.make()
    bench.fill(3)
    driver = bench.open()
    before = settle(driver)
    bench.fill(2)
    after = driver.delete(before, [1])
    assert everything(driver.list(after)) == [bench.stored(n) for n in (0, 2, 3, 4)]


def an_outdated_listing_is_refused(bench: Bench) -> None:
    bench.make()
    bench.fill(4)
    driver = bench.open()
    old = settle(driver)
    bench.rewrite([0, 2, 3])
    with pytest.raises(Stale):
        driver.delete(old, [1])
    with pytest.raises(Stale):
        driver.set_flags(old, [(1, Flag.SEEN)])
    assert everything(bench.open().list()) == [bench.stored(n) for n in (0, 2, 3)]


def flags_are_kept(bench: Bench) -> None:
    bench.make()
    bench.fill(4)
    driver = bench.open()
    listing = driver.list()
    wanted = [Flag.SEEN, Flag.SEEN | Flag.ANSWERED, Flag(0), Flag.FLAGGED | Flag.DRAFT]
    listing = driver.set_flags(listing, list(enumerate(wanted)))
    for found in (listing, driver.list(listing), bench.open().list()):
        assert [f & bench.flags for f in found.flags] == wanted
        assert everything(found) == [bench.stored(n) for n in range(4)]
    listing = driver.set_flags(listing, [(1, Flag(0)), (3, Flag.SEEN)])
    again = bench.open().list()
    assert [f & bench.flags for f in again.flags] == [Flag.SEEN, 0, 0, Flag.SEEN]
    # They belong to messages, not to places.
    driver.delete(listing, [0])
    assert [f & bench.flags for f in bench.open().list().flags] == [0, 0, Flag.SEEN]


def every_flag_is_kept(bench: Bench) -> None:
    bench.make()
    bench.fill(1)
    for flag in Flag:
        if flag in bench.flags:
            driver = bench.open()
            driver.set_flags(driver.list(), [(0, flag)])
            assert bench.open().list().flags[0] & bench.flags == flag


def flags_set_by_another_server_are_seen(bench: Bench) -> None:
    bench.make()
    bench.fill(3)
    one, two = bench.open(), bench.open()
    old = settle(one)
    two.set_flags(two.list(), [(1, Flag.FLAGGED)])
    listing = one.list(old)
    assert [f & Flag.FLAGGED for f in listing.flags] == [0, Flag.FLAGGED, 0]


def a_listing_is_restored(bench: Bench) -> None:
    bench.make()
    bench.fill(3)
    driver = bench.open()
    listing = settle(driver)
    listing = driver.set_flags(listing, [(2, Flag.SEEN)])
    listing = settle(driver)
    saved = replace(listing, store=None)  # type: ignore[arg-type]  # as from the index
    again = bench.open().restore(saved)
    assert again is not None
    assert everything(again) == [bench.stored(n) for n in range(3)]
    assert again.flags == listing.flags
    bench.fill(1)
    assert bench.open().restore(saved) is None


def reads_of_what_is_gone_are_stale(bench: Bench) -> None:
    bench.make()
    bench.fill(3)
    driver = bench.open()
    listing = driver.list()
    if bench.kind == "mbox":
        os.truncate(bench.box, listing.sizes[0])
    else:
        bench.rewrite([0])
    assert octets(listing, 0) == bench.stored(0)
    for row in (1, 2):
        with pytest.raises(Stale):
            octets(listing, row)


def readers_change_nothing(bench: Bench) -> None:
    bench.make()
    bench.fill(3)
    before = snapshot(bench.folder)
    with watching() as opened:
        driver = bench.open(readonly=True)
        listing = driver.list()
        assert everything(listing) == [bench.stored(n) for n in range(3)]
        refused: list[Callable[[], object]] = [
            lambda: driver.delete(listing, [0]),
            lambda: driver.set_flags(listing, [(0, Flag.SEEN)]),
            driver.make,
            lambda: driver.append(b"x\n", FIRST, "a", Flag(0)),
            lambda: driver.rename(str(bench.box) + "2"),
            driver.remove,
            lambda: driver.remove(truncate=True),
        ]
        for act in refused:
            with pytest.raises(Refused, match=EROFS):
                act()
        driver.list(listing)
        driver.close()
    assert opened
    assert not any(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) for flags in opened)
    assert snapshot(bench.folder) == before


def a_missing_store_is_an_error(bench: Bench) -> None:
    bench.make()
    driver = bench.open()
    listing = driver.list()
    os.rename(bench.box, bench.box.with_name("elsewhere"))
    for act in (driver.signature, driver.list, lambda: driver.list(listing)):
        with pytest.raises(FileNotFoundError):
            act()
    assert driver.restore(listing) is None
    with pytest.raises(FileNotFoundError) as e:
        bench.open()
    assert e.value.filename == str(bench.box)


def a_store_is_made_renamed_and_removed(bench: Bench) -> None:
    place = bench.place()
    bench.cls(str(bench.box), place).make()
    with pytest.raises(FileExistsError):
        bench.cls(str(bench.box), place).make()
    bench.fill(3)
    driver = bench.open()
    driver.set_flags(driver.list(), [(1, Flag.FLAGGED)])
    there = bench.box.with_name("there")
    bench.cls(str(there), place).make()
    with pytest.raises(Refused, match="can't rename"):
        driver.rename(str(there))
    assert everything(driver.list()) == [bench.stored(n) for n in range(3)]
    bench.cls(str(there), place).remove()
    assert not there.exists()
    driver.rename(str(there), keep=True)
    assert everything(driver.list()) == [bench.stored(n) for n in range(3)]
    assert driver.list().flags[1] & Flag.FLAGGED
    assert len(bench.cls(str(bench.box), place).list()) == 0
    driver.remove(truncate=True)
    assert len(driver.list()) == 0
    driver.remove()
    bench.cls(str(bench.box), place).remove()
    assert os.listdir(bench.box.parent) == []


LETTER = b"Subject: added\n\nwords\nFrom me to you\n.\n\xff\n"
NEW = FIRST + 500
SENDER = "b@example.com"


def appended_mail_is_listed(bench: Bench) -> None:
    bench.make()
    bench.fill(2)
    driver = bench.open()
    old = driver.list()
    driver.append(LETTER, NEW, SENDER, Flag(0))
    added = bench.added(LETTER, NEW, SENDER)
    want = [bench.stored(0), bench.stored(1), added]
    for listing in (driver.list(old), bench.open().list()):
        consistent(listing)
        assert everything(listing) == want
        assert listing.dates[2] == NEW
        assert listing.flags[2] & ~Flag.RECENT == 0
        assert listing.idents[:2] == old.idents


def appending_keeps_what_came_before(bench: Bench) -> None:
    bench.make()
    bench.fill(1)
    driver = bench.open()
    letters = [b"Subject: %d\n\n%s\n" % (n, b"x" * n) for n in range(150)]
    for letter in letters:  # more than mdir has names for in one second
        driver.append(letter, NEW, SENDER, Flag(0))
    listing = bench.open().list()
    consistent(listing)
    first, *found = everything(listing)
    assert first == bench.stored(0)
    assert sorted(found) == sorted(bench.added(l, NEW, SENDER) for l in letters)


def appended_flags_are_kept(bench: Bench) -> None:
    bench.make()
    bench.fill(1)
    for n, flag in enumerate((Flag.SEEN, Flag.SEEN | Flag.ANSWERED, Flag.DRAFT), 1):
        bench.open().append(LETTER, NEW + n, SENDER, flag)
    listing = bench.open().list()
    kept = Flag.SEEN | Flag.ANSWERED | Flag.DRAFT
    assert [f & kept for f in listing.flags[1:]] == [
        Flag.SEEN,
        Flag.SEEN | Flag.ANSWERED,
        Flag.DRAFT,
    ]
    assert all(b"words" in octets for octets in everything(listing)[1:])


def a_message_without_header_or_end_is_appended(bench: Bench) -> None:
    bench.make()
    driver = bench.open()
    for n, letter in enumerate((b"\nno header\n", b"Subject: x\n\nno end", b"")):
        driver.append(letter, NEW + n, SENDER, Flag(0))
    listing = driver.list()
    assert len(listing) == 3
    assert [b"no header" in octets for octets in everything(listing)] == [1, 0, 0]
    assert [b"no end" in octets for octets in everything(listing)] == [0, 1, 0]


def a_full_disk_leaves_nothing(bench: Bench) -> None:
    bench.make()
    large = b"x" * 30000  # so that a mailbox file is larger than what is added to it
    bench.deliver(0, large)
    driver = bench.open()
    before = contents(bench.folder)
    for size in (2000, bench.box.stat().st_size + 2000):
        with small_files(size), pytest.raises(OSError, match="large"):
            driver.append(b"Subject: big\n\n" + b"x" * 10000, NEW, SENDER, Flag.SEEN)
        left = contents(bench.folder)
        assert {path: left.get(path) for path in before} == before
        assert set(left) - set(before) <= {str(bench.box) + ".flags"}
        assert everything(driver.list()) == [bench.stored(0, large)]
    driver.append(LETTER, NEW, SENDER, Flag(0))
    assert len(driver.list()) == 2


CHECKS: tuple[Check, ...] = (
    appended_mail_is_listed,
    appending_keeps_what_came_before,
    appended_flags_are_kept,
    a_message_without_header_or_end_is_appended,
    a_full_disk_leaves_nothing,
    an_empty_store_lists_nothing,
    lists_oldest_first,
    an_unchanged_store_is_not_listed_again,
    deliveries_by_others_are_seen,
    removals_by_others_are_seen,
    a_settled_listing_sees_what_follows,
    deletion_keeps_the_rest,
    deletion_of_all_leaves_an_empty_store,
    mail_that_came_meanwhile_is_kept,
    an_outdated_listing_is_refused,
    flags_are_kept,
    every_flag_is_kept,
    flags_set_by_another_server_are_seen,
    a_listing_is_restored,
    reads_of_what_is_gone_are_stale,
    readers_change_nothing,
    a_missing_store_is_an_error,
    a_store_is_made_renamed_and_removed,
)


def check_driver(make: Callable[[Path], Bench], folder: Path) -> None:
    """Run every check, each on a fresh Bench in a directory of its own."""
    for check in CHECKS:
        check(make(folder / check.__name__))
