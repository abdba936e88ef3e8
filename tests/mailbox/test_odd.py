"""Odd names, odd files, odd neighbours: what is no message is passed over."""

import os
import shutil
import subprocess
from itertools import permutations
from pathlib import Path

import pytest

from mailfs.disk import lock
from mailfs.errors import Refused
from mailfs.mailbox.driver import Driver, Place
from mailfs.mailbox.drivers import mh, open_store
from mailfs.mailbox.folder import MailboxState
from mailfs.mailbox.index import Index
from mailfs.mailbox.kinds import Flag, Listing, Stale
from mailfs.mailboxes.spec import last, named
from tests.mailbox.bench import (
    BENCHES,
    FIRST,
    Bench,
    MaildirBench,
    Mbox,
    MhBench,
    everything,
    mail,
    octets,
)

ODD = ["fifo", "folder", "loop", "nowhere", "device"]


def put_odd(path: str, kind: str) -> None:
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "folder":
            os.mkdir(path)
        case "loop":
            os.symlink(os.path.basename(path), path)
        case "nowhere":
            os.symlink("nonesuch", path)
        case "device":
            os.symlink("/dev/zero", path)


def state(driver: Driver, index: Path | None = None) -> MailboxState:
    return MailboxState(driver, Index(index, driver.kind, driver.path), lambda: 1000.0)


def shown(box: MailboxState) -> dict[int, bytes]:
    """Return the octets of every message, by number."""
    found = {}
    for number in box.view:
        message = box.message(number)
        assert message is not None
        found[number] = message.stored.read(0, message.size)
    return found


@pytest.fixture(params=BENCHES, ids=lambda cls: cls.kind)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    bench: Bench = request.param(tmp_path)
    bench.make()
    bench.fill(3)
    return bench


@pytest.mark.parametrize("name", [b"caf\xe9", b"a\nb", b"caf\xc3\xa9", b"\x80\xff"])
def test_a_mailbox_of_any_name(bench: Bench, tmp_path: Path, name: bytes) -> None:
    path = os.path.join(os.fsencode(bench.box.parent), name)
    os.rename(bench.box, path)
    bench.box = Path(os.fsdecode(path))
    index = tmp_path / "index"
    driver = bench.open()
    box = state(driver, index)
    box.list()
    assert list(shown(box).values()) == [bench.stored(n) for n in range(3)]
    box.set_flags([(1, Flag.FLAGGED, Flag(0))])
    driver.append(mail(9), FIRST + 9, "a@example.com", Flag(0))
    box.list()
    box.delete([2])
    box.close()
    box = state(bench.open(), index)
    box.list()
    assert list(box.view) == [1, 3, 4]
    message = box.message(1)
    assert message is not None
    assert box.view.listing.flags[0] & Flag.FLAGGED
    box.close()


def test_flags_kept_apart_for_such_a_mailbox(tmp_path: Path) -> None:
    bench = Mbox(tmp_path)
    bench.make()
    bench.fill(1)
    path = os.path.join(os.fsencode(bench.box.parent), b"caf\xe9")
    os.rename(bench.box, path)
    bench.box = Path(os.fsdecode(path))
    os.mkdir(path + b".flags")  # so they cannot lie beside it
    driver = bench.open()
    listing = driver.set_flags(driver.list(), [(0, Flag.SEEN)])
    assert listing.flags[0] & Flag.SEEN
    driver = bench.open()
    assert driver.list().flags[0] & Flag.SEEN


@pytest.mark.parametrize(
    "name", [b"1000000002.caf\xe9.host", b"1000000002.\xff,S=", b"1000000002.x\xc3"]
)
def test_messages_of_any_name(tmp_path: Path, name: bytes) -> None:
    bench = MaildirBench(tmp_path)
    bench.make()
    bench.fill(2)
    if name.endswith(b"="):
        name += b"%d" % len(mail(7))
    path = os.path.join(os.fsencode(bench.box), b"new", name)
    with open(path, "wb") as f:
        f.write(mail(7))
    index = tmp_path / "index"
    for _ in range(2):
        box = state(bench.open(), index)
        box.list()
        assert shown(box) == {1: mail(0), 2: mail(1), 3: mail(7)}
        box.close()
    box = state(bench.open(), index)
    box.list()
    box.set_flags([(3, Flag.SEEN, Flag(0))])
    assert os.path.exists(path.replace(b"/new/", b"/cur/") + b":2,S")
    assert shown(box)[3] == mail(7)
    box.delete([3])
    assert not os.listdir(bench.box / "cur")
    box.close()


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("cls", BENCHES[1:])
def test_what_is_no_message_is_passed_over(
    tmp_path: Path, cls: type[Bench], kind: str
) -> None:
    bench = cls(tmp_path)
    bench.make()
    bench.fill(3)
    name = {
        "maildir": f"cur/{FIRST}.odd,S=5:2,S",
        "mdir": f"{FIRST + 7}.00",
        "mh": "2147",
    }[bench.kind]
    driver = bench.open()
    box = state(driver)
    box.list()
    path = os.path.join(bench.box, name)
    put_odd(path, kind)
    for _ in range(3):  # a name that says all is believed until it is read
        box.list()
        for number in box.view:
            message = box.message(number)
            assert message is not None
            try:
                message.stored.read(0, message.size)
            except Stale:
                break
    assert list(shown(box).values()) == [bench.stored(n) for n in range(3)]
    assert driver.state() == (("passed", "1 that are no readable files"),)
    box.set_flags([(1, Flag.SEEN, Flag(0))])
    box.delete([2])
    assert [*shown(box)] == [1, 3]
    if kind == "folder":
        os.rmdir(path)
    else:
        os.unlink(path)
    box.list()
    assert driver.state() == ()
    box.close()


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("beside", [".flags", ".lock", "L.mbox", "inside"])
def test_odd_neighbours(bench: Bench, beside: str, kind: str) -> None:
    """They are not opened, and bar nobody from reading or changing."""
    path = f"{bench.box}{beside}"
    if beside == "L.mbox":
        path = str(bench.box.parent / beside)
    if beside == "inside":
        if bench.kind != "mh":
            return  # only MH keeps such a file
        path = str(bench.box / ".mh_sequences")
        os.unlink(path)
    put_odd(path, kind)
    box = state(bench.open())
    box.list()
    assert list(shown(box).values()) == [bench.stored(n) for n in range(3)]
    if beside == "inside":
        with pytest.raises((OSError, Stale)):
            box.delete([2])
        assert len(shown(box)) == 3
    else:
        box.set_flags([(1, Flag.FLAGGED, Flag(0))])
        assert box.view.listing.flags[0] & Flag.FLAGGED
        box.delete([2])
        assert [*shown(box)] == [1, 3]
    assert os.path.lexists(path)
    box.close()


@pytest.mark.parametrize("kind", [*ODD, "forged"])
@pytest.mark.parametrize("suffix", ["journal", "addition"])
def test_journals_of_others_are_not_believed(
    tmp_path: Path, suffix: str, kind: str
) -> None:
    from mailfs.mailbox.drivers.mbox import addition, journal

    bench = Mbox(tmp_path)
    bench.make()
    bench.fill(2)
    before = bench.box.read_bytes()
    (bench.root / "mail" / "tmp").mkdir(parents=True)
    of = {"journal": journal.journal_path, "addition": addition.note_path}[suffix]
    path = of(bench.root, str(bench.box))
    if kind == "forged":
        forge(path, bench.box, suffix)
        if os.geteuid() != 0:
            return  # only root can give a file away
        os.chown(path, 4711, 4711)
    else:
        put_odd(path, kind)
    driver = bench.open()
    listing = driver.list()
    assert everything(listing) == [bench.stored(n) for n in range(2)]
    assert bench.box.read_bytes() == before
    assert os.path.lexists(path)


def forge(path: str, box: Path, suffix: str) -> None:
    """Write a journal that would empty the mailbox, or a note that would cut it."""
    import json
    import zlib

    data = box.read_bytes()
    st = box.stat()
    if suffix == "journal":
        plan = {
            "magic": "mailfs journal 1",
            "path": str(box),
            "inode": st.st_ino,
            "offset": 0,
            "new": 0,
            "old": st.st_size,
            "tail": 0,
            "stale": zlib.crc32(data),
        }
        Path(path).write_bytes(json.dumps(plan).encode() + b"\n")
        return
    half = len(data) // 2
    note = {
        "magic": "mailfs addition 1",
        "path": str(box),
        "inode": st.st_ino,
        "offset": half,
        "before": zlib.crc32(data[:half][-1024:]),
        "size": len(data),
        "head": 1,
    }
    Path(path).write_bytes(json.dumps(note).encode() + b"\n" + data[half:] + b"x")


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone gives files away")
def test_the_forgery_would_work_if_it_were_ours(tmp_path: Path) -> None:
    from mailfs.mailbox.drivers.mbox import addition, journal

    for suffix, of in (("journal", journal.journal_path), ("a", addition.note_path)):
        bench = Mbox(tmp_path / suffix)
        bench.make()
        bench.fill(2)
        (bench.root / "mail" / "tmp").mkdir(parents=True)
        forge(of(bench.root, str(bench.box)), bench.box, suffix)
        assert len(bench.open().list()) < 2


def twins(
    tmp_path: Path, order: tuple[int, ...] = (0, 1, 2)
) -> tuple[MaildirBench, list[bytes]]:
    """Make three files of one unique name; order is that of their inodes."""
    bench = MaildirBench(tmp_path)
    bench.make()
    bodies = [mail(1), mail(2, b"other\n"), mail(3)]
    names = ["cur/1000000001.dup.host:2,S", "cur/1000000001.dup.host:2,"]
    names.append("new/1000000001.dup.host")
    temps = [bench.box / "tmp" / str(n) for n in range(3)]
    for temp in temps:
        temp.touch()
    for which, temp in zip(
        order, sorted(temps, key=lambda temp: temp.stat().st_ino), strict=True
    ):
        temp.write_bytes(bodies[which])
        temp.rename(bench.box / names[which])
    return bench, bodies


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("victim", range(3))
def test_twins_are_flagged_and_removed_one_by_one(
    tmp_path: Path, victim: int, order: tuple[int, ...]
) -> None:
    bench, bodies = twins(tmp_path, order)
    box = state(bench.open(), tmp_path / "index")
    box.list()
    by_body = {body: number for number, body in shown(box).items()}
    assert sorted(by_body) == sorted(bodies)
    number = by_body[bodies[victim]]
    for flags in (Flag.SEEN, Flag(0), Flag.SEEN | Flag.FLAGGED, Flag(0), Flag.SEEN):
        for other in by_body.values():
            box.set_flags([(other, flags, ~flags)])
            assert {body: n for n, body in shown(box).items()} == by_body
            row = box.view.row(other)
            assert row is not None
            assert Flag(box.view.listing.flags[row]) & ~Flag.RECENT == flags
        box.list()
        assert {body: n for n, body in shown(box).items()} == by_body
    box.delete([number])
    del by_body[bodies[victim]]
    assert {body: n for n, body in shown(box).items()} == by_body
    box.close()
    box = state(bench.open(), tmp_path / "index")
    box.list()
    assert {body: n for n, body in shown(box).items()} == by_body
    box.close()


@pytest.mark.parametrize(
    ("name", "flags", "then"),
    [
        ("X:2,:2,S", Flag.SEEN, "X:2,FS"),
        ("X:2,S,extra", Flag.SEEN, "X:2,FS,extra"),
        ("X:2,,F=S", Flag(0), "X:2,F,F=S"),
        ("X:2,aS", Flag.SEEN, "X:2,FSa"),
        ("X;2,S", Flag.SEEN, "X;2,FS"),
        ("X", Flag(0), "X:2,F"),
        ("X:2,SS", Flag.SEEN, "X:2,FS"),
    ],
)
def test_names_are_rewritten_well(
    tmp_path: Path, name: str, flags: Flag, then: str
) -> None:
    bench = MaildirBench(tmp_path)
    bench.make()
    (bench.box / "cur" / f"{FIRST}.{name}").write_bytes(mail(1))
    driver = bench.open()
    listing = driver.list()
    assert Flag(listing.flags[0]) & ~Flag.RECENT == flags
    listing = driver.set_flags(listing, [(0, flags | Flag.FLAGGED)])
    assert os.listdir(bench.box / "cur") == [f"{FIRST}.{then}"]
    assert octets(listing, 0) == mail(1)
    assert driver.list().idents == listing.idents


def pack(box: Path) -> None:
    """Number an MH folder's messages from 1, as ``folder -pack`` does."""
    numbers = sorted(int(name) for name in os.listdir(box) if name.isdigit())
    for new, old in enumerate(numbers, 1):
        os.rename(box / str(old), box / str(new))


def test_packing_gives_no_number_to_another_message(tmp_path: Path) -> None:
    bench = MhBench(tmp_path)
    bench.make()
    bench.fill(6)
    os.unlink(bench.box / "1")
    box = state(bench.open())
    box.list()
    was = shown(box)
    stale = box.view.listing
    pack(bench.box)
    with pytest.raises(Stale):
        box.driver.delete(stale, [1])
    assert sorted(shown_now(bench)) == sorted(was.values())
    box.delete([2])  # whose number another message has by now
    assert shown(box) == {n: body for n, body in was.items() if n != 2}
    box.close()


def shown_now(bench: Bench) -> list[bytes]:
    listing: Listing = bench.open().list()
    return everything(listing)


def test_a_number_given_again_is_another_message(tmp_path: Path) -> None:
    """Even with size, time and inode of the one that had it."""
    bench = MhBench(tmp_path)
    bench.make()
    bench.fill(2)
    box = state(bench.open())
    box.list()
    path = bench.box / "2"
    st = path.stat()
    data = mail(1).replace(b"body", b"BODY")
    with path.open("r+b") as f:  # in place, so that the inode stays
        f.write(data)
    os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))
    stale = box.view.listing
    with pytest.raises(Stale):
        box.driver.delete(stale, [1])
    with pytest.raises(Stale):
        box.driver.set_flags(stale, [(1, Flag.SEEN)])
    assert path.read_bytes() == data
    box.close()


def test_an_annotated_message_keeps_its_number(tmp_path: Path) -> None:
    bench = MhBench(tmp_path)
    bench.make()
    bench.fill(3)
    box = state(bench.open())
    box.list()
    (bench.box / "2").write_bytes(b"Replied: now\n" + mail(1))
    box.list()
    assert shown(box) == {1: mail(0), 2: b"Replied: now\n" + mail(1), 3: mail(2)}
    box.close()


@pytest.mark.skipif(
    shutil.which("/usr/bin/mh/folder") is None, reason="nmh is not installed"
)
def test_nmh_packs_while_we_delete(tmp_path: Path) -> None:
    bench = MhBench(tmp_path)
    bench.make()
    bench.fill(60)
    profile = tmp_path / "profile"
    profile.write_text(f"Path: {bench.box.parent}\n")
    env = {**os.environ, "MH": str(profile), "HOME": str(tmp_path)}
    box = state(bench.open())
    box.list()
    want = shown(box)
    for number in range(2, 60, 3):
        with subprocess.Popen(
            ["/usr/bin/mh/folder", "-pack", f"+{bench.box}"],
            env=env,
            stdout=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        ):
            box.delete([number])
            del want[number]
        box.list()
        assert shown(box) == want
    box.close()


def test_nothing_at_such_a_path() -> None:
    with pytest.raises(FileNotFoundError):
        open_store("/nonesuch/caf\udce9", Place(Path("/nonesuch"), "me"))


DATED = b"From a@x Mon Mar  2 10:00:00 2020\n"
BARE = b"From \n"
ONE = b"From: a1@example.org\nSubject: m1\n\nbody 1\n"
TWO = b"From: a2@example.org\nSubject: m2\n\nbody 2\n"


@pytest.mark.parametrize(
    ("octets", "raws"),
    [
        (BARE + ONE + b"\n" + BARE + TWO, [ONE, TWO]),
        (b"From -\n" + ONE + b"\n" + BARE + TWO + b"\n", [ONE, TWO]),
        (BARE + ONE + b"\n" + DATED + TWO, [ONE, TWO]),
        # Text that looks like one: no empty line before, or no field after.
        (BARE + ONE + BARE + TWO, [ONE + BARE + TWO]),
        (BARE + ONE + b"\nFrom \nhere on\n", [ONE + b"\nFrom \nhere on\n"]),
        # In a file of dated ones it is text.
        (DATED + ONE + b"\n" + BARE + TWO, [ONE + b"\n" + BARE + TWO]),
        (b"\xef\xbb\xbf" + DATED + ONE + b"\n" + DATED + TWO, [ONE, TWO]),
        (b"\xef\xbb\xbf" + BARE + ONE + b"\n" + BARE + TWO, [ONE, TWO]),
        (b"\xef\xbb\xbf", []),
        (DATED, [b""]),
        (DATED + b"\n", [b""]),
        (DATED + DATED + ONE, [b"", ONE]),
        (DATED.replace(b"\n", b"\r\n"), [b""]),
        # What is stored is shown, where no empty line is the mailbox's.
        (DATED + ONE + DATED + TWO, [ONE, TWO]),
        (DATED + ONE + b"\n" + DATED + TWO + b"\n", [ONE, TWO]),
        (DATED + ONE + b"\n\n" + DATED + TWO[:-1], [ONE + b"\n", TWO[:-1]]),
        # A length that a message says it has is not believed.
        (
            DATED + b"Content-Length: 999\n" + ONE + b"\n" + DATED + TWO,
            [b"Content-Length: 999\n" + ONE, TWO],
        ),
    ],
)
def test_what_mailbox_files_hold(
    tmp_path: Path, octets: bytes, raws: list[bytes]
) -> None:
    path = tmp_path / "box"
    path.write_bytes(octets)
    box = state(open_store(str(path), Place(tmp_path / "root", "me")))
    box.list()
    found = []
    for number in box.view:
        message = box.message(number)
        assert message is not None
        assert 0 <= message.head.start <= message.head.body <= message.end
        found.append(message.stored.read(message.head.start, message.end))
    assert found == raws
    again = box.driver.list(box.view.listing)
    assert again.idents == box.view.listing.idents
    box.driver.append(mail(5), FIRST, "a@example.com", Flag(0))
    box.list()
    assert box.view.count == len(raws) + 1
    last = box.message(len(raws) + 1)
    assert last is not None
    assert last.stored.read(last.head.start, last.end) == mail(5)
    if len(raws) > 1:
        box.delete([1])
        assert box.view.count == len(raws)
        assert path.read_bytes()[:3] == octets[:3]
    box.close()


def test_undated_mail_is_dated_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "box"
    when = b"Date: Mon, 2 Mar 2020 10:00:00 +0000\n"
    path.write_bytes(BARE + when + ONE + b"\n" + BARE + TWO)
    listing = open_store(str(path), Place(tmp_path / "root", "me")).list()
    assert listing.dates.tolist() == [1583143200, 0]


def test_undated_mail_is_not_hidden_by_a_deletion(tmp_path: Path) -> None:
    path = tmp_path / "box"
    octets = BARE + ONE + b"\n" + DATED + ONE + b"\n" + BARE + TWO
    path.write_bytes(octets)
    driver = open_store(str(path), Place(tmp_path / "root", "me"))
    listing = driver.list()
    with pytest.raises(Refused, match="would come first"):
        driver.delete(listing, [0])
    assert path.read_bytes() == octets
    assert len(driver.delete(listing, [0, 1])) == 1


def spool(messages: list[tuple[int, bytes]]) -> bytes:
    """Return a file of (number, further header lines); all From_ lines are equal."""
    return b"".join(DATED + extra + mail(n) + b"\n" for n, extra in messages)


def test_equal_from_lines_give_no_number_to_another(tmp_path: Path) -> None:
    """Another program marks one read, and removes or adds others, in one go."""
    path = tmp_path / "box"
    seen = b"Status: RO\n"
    path.write_bytes(spool([(n, b"") for n in range(4)]))
    box = state(open_store(str(path), Place(tmp_path / "root", "me")))
    box.list()
    path.write_bytes(spool([(1, seen), (2, b""), (3, seen), (7, b""), (8, seen)]))
    box.list()
    found = {n: body.partition(b"Subject: ")[2][:9] for n, body in shown(box).items()}
    want = [(2, 1), (3, 2), (4, 3), (5, 7), (6, 8)]
    assert found == {n: b"message %d" % i for n, i in want}
    box.close()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/x/caf\udce9", "caf\\xe9"),
        ("/x/café", "café"),
        ("caf\udcc3", "caf\\xc3"),
        ("/x/", ""),
    ],
)
def test_names_that_clients_are_told(path: str, name: str) -> None:
    assert last(path) == name
    if name:
        assert named(["other", path])[1] == (name, path)


def test_a_number_that_is_reserved_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between sequences and file no program that locks can take the number."""
    bench = MhBench(tmp_path)
    bench.make()
    bench.fill(1)
    free: list[bool] = []

    def link(temp: str, name: str) -> None:
        fd = os.open(bench.box / ".mh_sequences", os.O_RDWR)
        free.append(lock.lock_fd(fd, exclusive=True))
        os.close(fd)
        os.rename(temp, name)

    monkeypatch.setattr(mh, "give_name", link)
    driver = bench.open()
    driver.append(mail(1), FIRST + 1, "a@example.com", Flag(0))
    assert free == [False]
    assert everything(driver.list()) == [mail(0), mail(1)]
