"""The trash: nothing deleted is lost, nothing is there twice, old mail goes."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mailfs.errors import Refused
from mailfs.mailbox.derive import Shape
from mailfs.mailbox.driver import Place
from mailfs.mailbox.drivers import open_store
from mailfs.mailbox.drivers.maildir import Maildir
from mailfs.mailbox.kinds import Flag, Listing
from mailfs.mailbox.mailbox import Mailbox
from mailfs.mailbox.octets import Memory
from mailfs.mailbox.trash import AGE, LOOK, MANY, Trash

DATE = "Mon Mar  2 09:00:00 2026"
SECONDS = 1772442000


def raw(n: int) -> bytes:
    return f"Subject: {n}\n\nbody {n}\n>From quoted\n".encode()


def letter(n: int) -> bytes:
    return f"From a@b {DATE}\n".encode() + raw(n) + b"\n"


def as_mbox(path: Path, count: int) -> None:
    path.write_bytes(b"".join(letter(n) for n in range(1, count + 1)))


def as_mdir(path: Path, count: int) -> None:
    path.mkdir()
    for n in range(1, count + 1):
        (path / f"{SECONDS + n}.00").write_bytes(letter(n)[:-1])


def as_mh(path: Path, count: int) -> None:
    path.mkdir()
    for n in range(1, count + 1):
        (path / str(n)).write_bytes(raw(n))


def as_maildir(path: Path, count: int) -> None:
    for name in ("cur", "new", "tmp"):
        (path / name).mkdir(parents=True)
    for n in range(1, count + 1):
        (path / "cur" / f"{SECONDS + n}.{n}.h:2,S").write_bytes(raw(n))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "root", "me", trash=True)


def trash_path(place: Place) -> Path:
    return place.root / "mail/box/me/trash"


def trashed(place: Place) -> list[bytes]:
    path = trash_path(place)
    if not path.exists():
        return []
    assert os.listdir(path / "tmp") == []
    return sorted(one.read_bytes() for one in files(place))


def files(place: Place) -> list[Path]:
    path = trash_path(place)
    return [*(path / "new").iterdir(), *(path / "cur").iterdir()]


def using(
    path: Path, place: Place, work: Callable[[Mailbox], Any], tmp_path: Path
) -> list[int]:
    """Do work with the mailbox at path; the numbers left."""

    async def all_of_it() -> list[int]:
        driver = open_store(str(path), place)
        box = Mailbox("box", str(path), driver, tmp_path / "cache")
        try:
            await box.open()
            await work(box)
            await box.refreshed()
            return [*box.view]
        finally:
            await box.close()

    return asyncio.run(all_of_it())


@pytest.mark.parametrize("make", [as_mbox, as_mdir, as_mh, as_maildir])
def test_what_is_deleted_is_kept_as_it_was(
    tmp_path: Path, place: Place, make: Callable[[Path, int], None]
) -> None:
    path = tmp_path / "box"
    make(path, 3)
    left = using(path, place, lambda box: box.delete([1, 3]), tmp_path)
    assert left == [2]
    assert trashed(place) == [raw(1), raw(3)]
    dates = [int(one.name.partition(".")[0]) for one in files(place)]
    assert all(abs(date - SECONDS) < 86400 for date in dates if make is not as_mh)
    # What lies in the trash is a mailbox, and deleted there it is gone.
    left = using(trash_path(place), place, lambda box: box.delete([1]), tmp_path)
    assert left == [2]
    assert len(trashed(place)) == 1


def test_expunge_is_for_good_and_so_is_no_trash(tmp_path: Path, place: Place) -> None:
    path = tmp_path / "box"
    as_mbox(path, 3)
    assert using(path, place, lambda box: box.expunge([1]), tmp_path) == [2, 3]
    off = replace(place, trash=False)
    assert using(path, off, lambda box: box.delete([2]), tmp_path) == [3]
    assert trashed(place) == []


def test_a_crash_between_the_two_loses_and_doubles_nothing(
    tmp_path: Path, place: Place
) -> None:
    path = tmp_path / "box"
    as_mbox(path, 3)

    class Cut(Exception):
        pass

    async def cut_short(box: Mailbox) -> None:
        def die(listing: Listing, rows: object) -> Listing:
            raise Cut

        box.driver.delete = die  # type: ignore[method-assign]
        with pytest.raises(Cut):
            await box.delete([1, 2])

    assert using(path, place, cut_short, tmp_path) == [1, 2, 3]
    assert trashed(place) == [raw(1), raw(2)]
    assert using(path, place, lambda box: box.delete([1, 2, 3]), tmp_path) == []
    assert trashed(place) == [raw(1), raw(2), raw(3)]


def test_where_there_can_be_no_trash_nothing_is_deleted(
    tmp_path: Path, place: Place
) -> None:
    path = tmp_path / "box"
    as_mbox(path, 2)
    trash_path(place).parent.mkdir(parents=True)
    trash_path(place).write_text("in the way")

    async def refused(box: Mailbox) -> None:
        with pytest.raises(Refused, match=r"trash: .*: not a Maildir"):
            await box.delete([1])

    before = path.read_bytes()
    assert using(path, place, refused, tmp_path) == [1, 2]
    assert path.read_bytes() == before


def test_many_at_once(tmp_path: Path, place: Place) -> None:
    path = tmp_path / "box"
    count = MANY + 20
    as_mbox(path, count)
    numbers = range(1, count + 1)
    assert using(path, place, lambda box: box.delete(numbers), tmp_path) == []
    assert len(trashed(place)) == count


def test_old_mail_goes_and_what_others_put_there_stays(
    tmp_path: Path, place: Place
) -> None:
    path = tmp_path / "box"
    as_mbox(path, 2)
    now = [1e9]
    trash = Trash(place, clock=lambda: now[0])
    driver = open_store(str(path), place)
    listing = driver.list()
    shape = Shape(driver.envelope, driver.blank, driver.crlf)
    trash.keep(listing, [0], shape)
    foreign = Maildir(str(trash_path(place)), place)
    foreign.add([("1.theirs.h,S=3", Memory(b"x\n\n"), Flag.SEEN)])
    now[0] += AGE - 10
    trash.keep(listing, [1], shape)
    assert len(trashed(place)) == 3
    now[0] += 11
    trash.empty()  # a moment after the last look
    assert len(trashed(place)) == 3
    now[0] += LOOK
    trash.empty()
    assert trashed(place) == [raw(2), b"x\n\n"]
    now[0] += AGE
    trash.empty()
    assert trashed(place) == [b"x\n\n"]
    driver.close()
