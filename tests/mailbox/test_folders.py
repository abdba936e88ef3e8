"""Maildir, mdir and MH: what the contract does not say of all kinds."""

import mailbox
import os
import sys
from pathlib import Path
from typing import TypeVar

import pytest

from mailfs.errors import ENONET, ENOTSERVED, MailfsError, Refused
from mailfs.mailbox.driver import Place
from mailfs.mailbox.drivers import folder, open_store
from mailfs.mailbox.drivers.maildir import Maildir
from mailfs.mailbox.drivers.mbox.driver import Spool
from mailfs.mailbox.drivers.mdir import Mdir
from mailfs.mailbox.drivers.mh import Mh
from mailfs.mailbox.drivers.sequences import Sequences
from mailfs.mailbox.drivers.stamp import COARSE, FUTURE, TICK, Stamp, settled
from mailfs.mailbox.kinds import Flag, Stale
from tests.mailbox.bench import (
    FIRST,
    Bench,
    MaildirBench,
    MdirBench,
    MhBench,
    everything,
    octets,
)
from tests.mailbox.contract import settle

B = TypeVar("B", bound=Bench)


@pytest.fixture
def maildir(tmp_path: Path) -> MaildirBench:
    return made(MaildirBench(tmp_path))


@pytest.fixture
def mdir(tmp_path: Path) -> MdirBench:
    return made(MdirBench(tmp_path))


@pytest.fixture
def mh(tmp_path: Path) -> MhBench:
    return made(MhBench(tmp_path))


def made(bench: B) -> B:
    bench.make()
    return bench


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        (["cur/", "new/", "tmp/"], Maildir),
        (["cur/", "new/", "1"], Maildir),
        (["cur/"], Mdir),
        ([], Mdir),
        (["1234567890.00"], Mdir),
        (["1234567890.00", "1"], Mdir),
        (["inner/"], Mdir),
        (["1234567890.00", "notes"], Mdir),
        (["1", "2", ",3"], Mh),
        (["1234567890.00", ".mh_sequences"], Mh),
        ([".xmhcache"], Mh),
    ],
)
def test_claims(tmp_path: Path, files: list[str], kind: type) -> None:
    box = tmp_path / "box"
    box.mkdir()
    for name in files:
        (box / name).mkdir() if name.endswith("/") else (box / name).touch()
    driver = open_store(str(box), Place(tmp_path, "me", readonly=True))
    assert type(driver) is kind


def test_claims_of_files_and_specifications(tmp_path: Path) -> None:
    place = Place(tmp_path, "me")
    (tmp_path / "any").write_bytes(b"\n  \n")
    assert type(open_store(str(tmp_path / "any"), place)) is Spool
    (tmp_path / "late").write_bytes(
        b"a list\nof mine\n\nFrom a@b Mon Mar  2 09:00:00 2026\n"
    )
    assert type(open_store(str(tmp_path / "late"), place)) is Spool
    (tmp_path / "gone.tmp").touch()
    assert type(open_store(str(tmp_path / "gone"), place)) is Spool
    for spec in ("/imap/host/user/box", "/imaps/host", "/pop/h", "/apoptls/h/u"):
        with pytest.raises(MailfsError, match=ENONET):
            open_store(spec, place)
    with pytest.raises(MailfsError, match=ENOTSERVED):
        open_store("/dev/null", place)


def test_what_is_no_mailbox_is_refused(tmp_path: Path) -> None:
    place = Place(tmp_path, "me")
    text, folder, mine = tmp_path / "text", tmp_path / "dir", tmp_path / "mail/box/me/f"
    text.write_bytes(b"From here on: no mail\n" * 5)
    for one in (folder, mine):
        one.mkdir(parents=True)
        (one / "notes").touch()
    for path in (text, folder, "/etc", "/etc/passwd", "/"):
        with pytest.raises(MailfsError, match=ENOTSERVED):
            open_store(str(path), place)
    assert type(open_store(str(mine), place)) is Mdir
    (tmp_path / "text.flags").touch()  # it was a mailbox, and has a preamble only
    assert type(open_store(str(text), place)) is Spool


def test_an_unreadable_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: object) -> None:  # root would be let in
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(PermissionError):
        open_store(str(tmp_path), Place(tmp_path, "me"))


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("new/5.x.h", Flag.RECENT),
        ("cur/5.x.h", Flag(0)),
        ("cur/5.x.h:2,", Flag(0)),
        ("cur/5.x.h:2,DFPRST", Flag(0x6F)),
        ("cur/5.x.h:2,Sab", Flag.SEEN),
        ("cur/5.x.h;2,S", Flag.SEEN),
        ("cur/5.x.h!2,F", Flag.FLAGGED),
        ("cur/5.x.h:1,S", Flag(0)),
        ("cur/5.x.h,S=3:2,S", Flag.SEEN),
        ("cur/5.x.h,S=3,W=4:2,S", Flag.SEEN),
        ("cur/5.x.h,S=:2,S", Flag.SEEN),
        ("cur/5.x.h,W=4:2,S", Flag.SEEN),
    ],
)
def test_maildir_names(maildir: MaildirBench, name: str, flags: Flag) -> None:
    (maildir.box / name).write_bytes(b"a\nb")
    driver = maildir.open()
    listing = driver.list()
    assert (listing.keys, listing.sizes.tolist()) == ([name], [3])
    assert listing.flags[0] == flags
    assert listing.dates[0] == 5
    ident = listing.idents[0]
    listing = driver.set_flags(listing, [(0, Flag.ANSWERED)])
    assert Flag(driver.list().flags[0]) == Flag.ANSWERED
    assert driver.list().idents[0] == ident
    kept = "ab" if "ab" in name else ""
    assert str(listing.keys[0]).endswith(f"2,R{kept}")
    assert str(listing.keys[0])[:9] == "cur/" + name[4:9]
    assert octets(listing, 0) == b"a\nb"


def test_maildir_names_without_seconds(maildir: MaildirBench) -> None:
    for name, when in (("zz", 50), ("aa", 70)):
        (maildir.box / "cur" / name).write_bytes(b"x")
        os.utime(maildir.box / "cur" / name, (when, when))
    (maildir.box / "cur" / "60.b").write_bytes(b"x")
    (maildir.box / "cur" / "60.a").write_bytes(b"x")
    (maildir.box / "cur" / ".hidden").write_bytes(b"x")
    (maildir.box / "cur" / "directory").mkdir()
    listing = maildir.open().list()
    assert listing.keys == ["cur/zz", "cur/60.a", "cur/60.b", "cur/aa"]
    assert listing.dates.tolist() == [50, 60, 60, 70]


def test_a_maildir_name_of_digits(maildir: MaildirBench) -> None:
    (maildir.box / "new" / "1000000005").write_bytes(b"abc")
    (maildir.box / "new" / "1000000004.x,S=2").write_bytes(b"ab")
    listing = maildir.open().list()
    assert listing.sizes.tolist() == [2, 3]
    assert listing.dates.tolist() == [1000000004, 1000000005]


def test_a_size_that_lies(maildir: MaildirBench) -> None:
    (maildir.box / "cur" / "5.x,S=3:2,S").write_bytes(b"longer than that")
    driver = maildir.open()
    listing = settle(driver)
    assert listing.sizes[0] == 3
    with pytest.raises(Stale):
        octets(listing, 0)
    assert driver.signature() != listing.signature
    again = driver.list(listing)
    assert octets(again, 0) == b"longer than that"
    assert again.idents == listing.idents


def test_renames_by_others_are_followed(maildir: MaildirBench) -> None:
    maildir.fill(3)
    driver = maildir.open()
    listing = driver.list()
    for n, flags in ((0, "S"), (1, "F")):
        name = maildir.name(n)
        os.rename(maildir.box / "new" / name, maildir.box / "cur" / f"{name}:2,{flags}")
    with pytest.raises(Stale):
        octets(listing, 0)
    after = driver.set_flags(listing, [(0, Flag.ANSWERED)])
    assert str(after.keys[0]).endswith(":2,R")
    assert len(driver.delete(after, [1])) == 2
    found = driver.list(after)
    assert everything(found) == [maildir.stored(0), maildir.stored(2)]
    assert list(found.idents) == [listing.idents[0], listing.idents[2]]


def test_what_is_open_is_read_on_after_a_rename(maildir: MaildirBench) -> None:
    maildir.fill(1)
    driver = maildir.open()
    first = driver.list()
    listing = first
    for flags in (Flag.SEEN, Flag(0), Flag.SEEN, Flag.FLAGGED):
        listing = driver.set_flags(listing, [(0, flags)])
        assert octets(first, 0) == maildir.stored(0)
    names = folder.FolderNames()
    for n in range(10):
        names.rename(str(n % 3), str((n + 1) % 3))
    assert names.follow("0") == names.follow("2") == "1"


def test_two_names_of_one_file(maildir: MaildirBench) -> None:
    maildir.fill(2)
    name = maildir.name(0)
    os.link(maildir.box / "new" / name, maildir.box / "cur" / f"{name}:2,S")
    driver = maildir.open()
    listing = driver.list()
    assert listing.keys == [f"cur/{name}:2,S", f"new/{maildir.name(1)}"]
    assert driver.list(listing).keys == listing.keys
    driver.delete(listing, [0])
    assert len(maildir.open().list()) == 1


def test_two_files_of_one_name(maildir: MaildirBench) -> None:
    maildir.fill(1)
    name = maildir.name(0)
    driver = maildir.open()
    before = driver.list()
    (maildir.box / "cur" / f"{name}:2,S").write_bytes(b"another")
    listing = driver.list(before)
    assert sorted(everything(listing)) == sorted([b"another", maildir.stored(0)])
    assert len(set(listing.idents)) == 2
    driver.delete(listing, [everything(listing).index(b"another")])
    assert everything(driver.list()) == [maildir.stored(0)]


def test_many_changes_at_once(maildir: MaildirBench) -> None:
    maildir.fill(100)
    driver = maildir.open()
    old = driver.list()
    for n in range(0, 100, 2):
        name = maildir.name(n)
        os.rename(maildir.box / "new" / name, maildir.box / "cur" / f"{name}:2,S")
    maildir.fill(50)
    listing = driver.list(old)
    fresh = maildir.open().list()
    assert (listing.keys, listing.idents) == (fresh.keys, fresh.idents)
    assert (listing.sizes, listing.flags) == (fresh.sizes, fresh.flags)
    maildir.rewrite(range(0, 150, 3))
    assert driver.list(listing).keys == maildir.open().list().keys


def test_maildir_removal_spares_what_is_not_mail(maildir: MaildirBench) -> None:
    maildir.fill(2)
    (maildir.box / "dovecot-uidlist").touch()
    (maildir.box / "mine").touch()
    sub = maildir.box / ".Sub"
    mailbox.Maildir(str(sub), create=True).close()
    driver = maildir.open()
    driver.remove(recurse=True)
    assert os.listdir(maildir.box) == ["mine"]


def test_mdir_order_and_names(mdir: MdirBench) -> None:
    names = ["1000000002.00", "1000000001.10", "1000000001.9", "999999.00", "x.00"]
    for name in [*names, "1000000001.03.tmp", "L.mbox", "1000000001", "12.34"]:
        (mdir.box / name).write_bytes(b"From a\n" + name.encode())
    (mdir.box / "1000000003.00").touch()  # empty
    (mdir.box / "1000000004.00").mkdir()
    listing = mdir.open().list()
    assert listing.keys == ["1000000001.9", "1000000001.10", "1000000002.00"]
    assert listing.seqs == bytearray([9, 10, 0])


def test_an_mdir_name_that_comes_back(mdir: MdirBench) -> None:
    mdir.fill(2)
    driver = mdir.open()
    listing = settle(driver)
    path = mdir.box / f"{FIRST}.00"
    other = mdir.box / "other"
    other.write_bytes(b"x" * listing.sizes[0])
    os.rename(other, path)
    with pytest.raises(Stale):
        octets(listing, 0)
    with pytest.raises(Stale):
        driver.delete(listing, [0])
    again = driver.list(listing)
    assert octets(again, 0) == b"x" * listing.sizes[0]
    assert again.idents[0] != listing.idents[0]
    assert again.idents[1] == listing.idents[1]


def test_mdir_removal_spares_what_is_not_mail(mdir: MdirBench) -> None:
    mdir.fill(2)
    driver = mdir.open()
    driver.set_flags(driver.list(), [(0, Flag.SEEN)])
    assert sorted(os.listdir(mdir.box.parent)) == ["box", "box.flags"]
    (mdir.box / "L.mbox").touch()
    sub = mdir.box / "sub"
    sub.mkdir()
    (sub / f"{FIRST}.00").write_bytes(b"x")
    driver.remove()
    assert os.listdir(mdir.box) == ["sub"]
    assert os.listdir(mdir.box.parent) == ["box"]
    (mdir.box / "mine").touch()
    driver.remove(recurse=True)
    assert os.listdir(mdir.box) == ["mine"]


CASES = [
    (b"", {}, b""),
    (b"cur: 3\nunseen: 1-3 5\n", {"unseen": {1, 2, 3, 5}}, None),
    (b"a: 1 2 3 7\n", {"a": {1, 2, 3, 7}}, b"a: 1 2 3 7\n"),
    (b"a: 1-2\n  4-999999999\n", {"a": {1, 2, 4, 5, 7}}, b"a: 1-2 4-999999999\n"),
    (b"nonsense\nb: x y\n", {"b": set()}, b"b: x y\n"),
    (b"\xff: 1\n", {"\udcff": {1}}, None),
]


@pytest.mark.parametrize(("data", "members", "after"), CASES)
def test_sequences(
    data: bytes, members: dict[str, set[int]], after: bytes | None
) -> None:
    sequences = Sequences(data)
    for name, numbers in members.items():
        assert sequences.get(name, {1, 2, 3, 4, 5, 7}) & numbers == numbers
        assert sequences.get(name, set()) == set()
    assert sequences.pack() == (data if after is None else after)
    sequences.set("z", {9, 1, 2, 3})
    assert sequences.pack().endswith(b"z: 1-3 9\n")
    sequences.set("z", ())
    assert sequences.pack() == (data if after is None else after)


def test_mh_beside_python(mh: MhBench) -> None:
    mh.fill(4)
    other = mailbox.MH(str(mh.box))
    other.set_sequences({"unseen": [1, 2], "replied": [2], "mine": [2, 3], "cur": [4]})
    driver = mh.open()
    listing = driver.list()
    seen, replied = Flag.SEEN, Flag.ANSWERED
    assert [f & ~Flag.RECENT for f in listing.flags] == [0, replied, seen, seen]
    listing = driver.set_flags(listing, [(0, seen), (3, Flag.FLAGGED)])
    assert other.get_sequences() == {
        "unseen": [2, 4],
        "replied": [2],
        "mine": [2, 3],
        "cur": [4],
        "flagged": [4],
    }
    idents = listing.idents
    listing = driver.delete(listing, [1])
    assert other.get_sequences() == {
        "unseen": [4],
        "mine": [3],
        "cur": [4],
        "flagged": [4],
    }
    driver.delete(listing, [2])
    assert b"cur: 4\n" in (mh.box / ".mh_sequences").read_bytes()
    mh.deliver(3)
    listing = driver.list(listing)
    idents = listing.idents[:1] + idents[1:2] + listing.idents[1:]
    other.pack()
    packed = driver.list(listing)
    assert packed.keys == ["1", "2", "3"]
    assert packed.idents.tolist() == [idents[n] for n in (0, 2, 3)]
    assert everything(packed) == [mh.stored(n) for n in (0, 2, 3)]
    with pytest.raises(Stale):
        driver.delete(listing, [1])


def test_an_mh_message_edited_in_place(mh: MhBench) -> None:
    mh.fill(2)
    driver = mh.open()
    listing = settle(driver)
    (mh.box / "1").write_bytes(b"edited")
    with pytest.raises(Stale):
        octets(listing, 0)
    for _ in range(2):
        listing = driver.list(listing)
        assert octets(listing, 0) == b"edited"
    assert octets(listing, 1) == mh.stored(1)


def test_mh_removal(mh: MhBench) -> None:
    mh.fill(2)
    (mh.box / ",7").touch()
    mh.open().remove()
    assert not mh.box.exists()


def test_a_folder_is_not_moved_onto_anything(mdir: MdirBench) -> None:
    (mdir.box.parent / "there").mkdir()
    with pytest.raises(Refused, match="box: can't rename"):
        mdir.open().rename(str(mdir.box.parent / "there"))
    with pytest.raises(Refused, match="can't rename"):
        mdir.open().rename(str(mdir.box.parent / "none" / "there"))


def test_more_deletions_than_files_are_kept_open(
    mdir: MdirBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "MAX_KEPT", 2)
    mdir.fill(4)
    driver = mdir.open()
    listing = driver.list()
    driver.delete(listing, range(4))
    assert [octets(listing, n) for n in (0, 1)] == [mdir.stored(0), mdir.stored(1)]
    with pytest.raises(Stale):
        octets(listing, 2)


def test_stamps() -> None:
    stamp = Stamp(1, 2, 3, 4)
    assert Stamp.parse(str(stamp)) == stamp
    for bad in ("", "1.2.3", "1.2.3.x", "1.2.3.4.5"):
        assert Stamp.parse(bad) is None
    now = 1_700_000_000_123_456_789
    assert not settled(now, now)
    assert not settled(now - TICK, now)
    assert settled(now - TICK - 1, now)
    whole = 1_700_000_000_000_000_000
    assert not settled(whole, whole + COARSE)
    assert settled(whole, whole + COARSE + 1)
    assert not settled(now + FUTURE, now)
    assert settled(now + FUTURE + 1, now)
    assert not Stamp(1, 2, now - 10 * TICK, now).settled(now)


@pytest.mark.parametrize("kind", [MdirBench, MhBench])
def test_a_name_that_is_taken_meanwhile(
    tmp_path: Path, kind: type[Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = kind(tmp_path)
    bench.make()
    module = sys.modules[bench.cls.__module__]
    give_name = module.give_name
    taken: list[str] = []

    def late(temp: str, name: str) -> None:
        if len(taken) < 3:
            taken.append(name)
            Path(name).write_bytes(bench.stored(0))
        give_name(temp, name)

    monkeypatch.setattr(module, "give_name", late)
    driver = bench.open()
    driver.append(b"Subject: late\n\nx\n", FIRST, "a@example.com", Flag(0))
    found = everything(driver.list())
    assert len(set(taken)) == 3
    assert found.count(bench.stored(0)) == 3
    assert b"Subject: late" in found[3]


def test_what_killed_deliverers_left_is_removed(tmp_path: Path) -> None:
    for kind in (MdirBench, MhBench):
        bench = kind(tmp_path / kind.__name__)
        bench.make()
        dead = bench.box / f".append.mailfs-tmp.{os.uname().nodename}.999999999.0"
        mine = bench.box / f".append.mailfs-tmp.{os.uname().nodename}.{os.getpid()}.9"
        for path in (dead, mine):
            path.write_bytes(b"half")
        bench.open().append(b"\nx\n", FIRST, "a", Flag(0))
        assert (dead.exists(), mine.exists()) == (False, True)
    maildir = made(MaildirBench(tmp_path / "maildir"))
    old, young = maildir.box / "tmp" / "old", maildir.box / "tmp" / "young"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (FIRST, FIRST))
    maildir.open().append(b"\nx\n", FIRST, "a", Flag(0))
    assert (old.exists(), young.exists()) == (False, True)
