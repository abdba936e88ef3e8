"""Numbers that clients keep: what was told holds, whatever becomes of the index."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mailfs.mailbox import folder, uid
from mailfs.mailbox.driver import Place
from mailfs.mailbox.drivers import open_store
from mailfs.mailbox.drivers.mdir import Mdir
from mailfs.mailbox.folder import MailboxState, index_of
from mailfs.mailbox.index import CRASHED
from mailfs.mailbox.kinds import Flag
from mailfs.mailbox.octets import Memory
from mailfs.mailbox.uid import FlagChange, NewMessage

NOW = 1_796_000_000  # seconds since the epoch


class World:
    """A root, a cache and one mailbox."""

    def __init__(self, folder: Path, kind: str = "mdir") -> None:
        self.place = Place(folder / "root", "glenda")
        self.cache = folder / "cache"
        self.path = folder / "root" / "mail" / "box" / "glenda" / "box"
        self.path.parent.mkdir(parents=True)
        if kind == "mbox":
            self.path.touch()
        else:
            Mdir(str(self.path), self.place).make()

    @contextmanager
    def open(self) -> Iterator[MailboxState]:
        driver = open_store(str(self.path), self.place)
        state = MailboxState(driver, index_of(driver, self.cache))
        try:
            state.load()
            state.list()
            yield state
        finally:
            state.close()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def _new(text: str, *words: str) -> NewMessage:
    octets = Memory(f"Subject: {text}\nMessage-ID: <{text}@x>\n\nbody\n".encode())
    return NewMessage(octets, NOW, "a@b", Flag.SEEN, words)


def _texts(state: MailboxState) -> dict[int, bytes]:
    return {
        n: uid.text_of(state, state.view, n).read(0, 1 << 20).split(b"\r\n")[0]
        for n in state.view
    }


def _describe(text: object) -> tuple[bytes, bytes, bytes]:
    return b"e", b"b", b"s"


def _told(state: MailboxState, number: int) -> None:
    """Tell a client of a message's octets."""
    row, _ = uid.described(state, state.view, number, _describe)
    uid.keep(state, [(number, row)])


def test_an_index_set_back_gives_no_number_again(world: World, tmp_path: Path) -> None:
    with world.open() as state:
        uid.append(state, [_new("a")])
        before = uid.opened(state, NOW)
    shutil.copytree(world.cache, tmp_path / "copy")
    with world.open() as state:
        uid.append(state, [_new("b"), _new("c")])
        told = uid.opened(state, NOW)
        seen = _texts(state)
        state.remove([2], state.driver.expunge)
    # The machine loses its power, and with it what the index wrote last.
    shutil.rmtree(world.cache)
    (tmp_path / "copy").rename(world.cache)
    with world.open() as state:
        now = uid.opened(state, NOW)
        assert now.claim.validity == told.claim.validity == before.claim.validity
        found = _texts(state)
        assert found.keys() & seen.keys() == {1}
        assert sorted(found.values()) == [b"Subject: a", b"Subject: c"]


@pytest.mark.parametrize("later", [NOW, NOW - 10**6, NOW + 5])
def test_a_lost_index_is_another_validity(world: World, later: int) -> None:
    with world.open() as state:
        uid.append(state, [_new("a")])
        first = uid.opened(state, NOW).claim.validity
    shutil.rmtree(world.cache)
    with world.open() as state:
        second = uid.opened(state, later).claim.validity
        state.uids.forget(state.name)
        assert first < second < uid.opened(state, later).claim.validity


def test_after_a_crash_modseqs_only_rise(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world.open() as state:
        uid.append(state, [_new("a"), _new("b")])
        uid.store(state, [1], FlagChange(Flag.FLAGGED))
        before = uid.opened(state, NOW)
        assert before.modseq(1) > before.modseq(2)
    monkeypatch.setattr(folder, "boot", lambda: "another")
    with world.open() as state:
        now = uid.opened(state, NOW)
        assert now.base >= before.view.generation + CRASHED
        assert now.modseq(1) == now.modseq(2) == now.base <= now.view.generation
        assert state.index.gone(before.view.generation) is None


def test_what_has_gone_is_known(world: World) -> None:
    with world.open() as state:
        uid.append(state, [_new("a"), _new("b"), _new("c")])
        since = uid.opened(state, NOW).view.generation
        state.remove([1, 3], state.driver.expunge)
        assert state.index.gone(since) == [1, 3]
        assert state.index.gone(state.view.generation) == []


def test_an_edited_message_that_was_told_is_another(tmp_path: Path) -> None:
    world = World(tmp_path, "mbox")
    with world.open() as state:
        uid.append(state, [_new("a"), _new("b")])
        _told(state, 1)
        text = world.path.read_bytes()
        world.path.write_bytes(text.replace(b"body", b"BODY and more"))
        state.list()
        # Nobody was told of the second one's octets.
        assert list(state.view) == [2, 3]


def test_a_status_line_makes_no_other_message(tmp_path: Path) -> None:
    world = World(tmp_path, "mbox")
    with world.open() as state:
        uid.append(state, [_new("a")])
        _told(state, 1)
        before = uid.text_of(state, state.view, 1).read(0, 999)
        text = world.path.read_bytes()
        added = b"Status: RO\nX-Status: AF\nContent-Length: 5\n\nbody"
        world.path.write_bytes(text.replace(b"Status: RO\n\nbody", added))
        state.list()
        assert list(state.view) == [1]
        assert uid.text_of(state, state.view, 1).read(0, 999) == before
        assert b"Status" not in before


def test_an_edit_that_the_listing_cannot_see(tmp_path: Path) -> None:
    world = World(tmp_path, "mbox")
    long = Memory(b"Subject: a\n\n" + b"x" * 5000 + b"end\n")
    with world.open() as state:
        uid.append(state, [NewMessage(long, NOW)])
        _told(state, 1)
        world.path.write_bytes(world.path.read_bytes().replace(b"end", b"END"))
        view = state.list()
        with pytest.raises(uid.Gone):
            uid.described(state, view, 1, _describe)
        assert list(state.view) == [2]


def test_keywords_are_kept(world: World) -> None:
    with world.open() as state:
        uid.append(state, [_new("a", "Work"), _new("b")])
        uid.store(state, [2], FlagChange(words=("work", "Home")))
        assert state.view.keywords == {1: ("Work",), 2: ("Home", "Work")}
        uid.store(state, [2], FlagChange(without=("HOME",)))
        state.remove([1], state.driver.expunge)
    with world.open() as state:
        assert state.view.keywords.get(2) == ("Work",)
    shutil.rmtree(world.cache)  # then the number is another, the message the same
    with world.open() as state:
        assert state.view.keywords == {1: ("Work",)}


def test_keywords_are_bounded(world: World) -> None:
    with world.open() as state:
        uid.append(state, [_new("a")])
        many = tuple(f"k{n}" for n in range(uid.MAX_KEYWORDS))
        uid.store(state, [1], FlagChange(words=many))
        with pytest.raises(uid.TooManyKeywords):
            uid.store(state, [1], FlagChange(words=("one",)))


def test_conflicting_stores(world: World) -> None:
    with world.open() as state:
        uid.append(state, [_new("a"), _new("b")])
        since = uid.opened(state, NOW).view.generation
        uid.store(state, [1], FlagChange(Flag.FLAGGED))
        assert uid.store(state, [1, 2], FlagChange(Flag.DRAFT), since) == [1]
        flags = [Flag(bits) for bits in state.view.listing.flags]
        assert [bool(one & Flag.DRAFT) for one in flags] == [False, True]


def test_several_appended_are_paired(world: World) -> None:
    with world.open() as state:
        messages = [
            NewMessage(Memory(b"Subject: %d\n\n%d\n" % (n, n)), NOW - n)
            for n in range(9)
        ]
        numbers = uid.append(state, messages)
        texts = _texts(state)
        assert [texts[n] for n in numbers] == [b"Subject: %d" % n for n in range(9)]


def test_all_or_none_are_appended(world: World) -> None:
    class Torn(Memory):
        """Octets that end too early."""

        def __len__(self) -> int:
            return len(self.data) + 1

    with world.open() as state:
        with pytest.raises(OSError, match="ended early"):
            uid.append(state, [_new("a"), NewMessage(Torn(b"Subject: b\n\n"), NOW)])
        assert state.list().count == 0
