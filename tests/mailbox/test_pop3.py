"""The POP3 driver against a server with every fault a server can have."""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from mailfs.errors import ENONET, EROFS, MailfsError, Refused
from mailfs.mailbox.driver import Place
from mailfs.mailbox.drivers.pop3 import link
from mailfs.mailbox.drivers.pop3.driver import Pop3, claim
from mailfs.mailbox.drivers.pop3.link import Link3
from mailfs.mailbox.drivers.pop3.listings import keys_of
from mailfs.mailbox.drivers.pop3.lock import Turn
from mailfs.mailbox.kinds import Flag, Listing, Stale, Want
from mailfs.pop import reader
from mailfs.pop.account import parse
from mailfs.pop.error import Busy, LoginRefused, PopError
from tests.mailbox import contract
from tests.mailbox.bench import FIRST, Bench
from tests.mailbox.contract import consistent
from tests.mailbox.pop3 import Serve, World, everything, serving_drops, wants, world
from tests.net.scripted import Gone, Talk
from tests.pop.drop import STAMP, drop, mail


@pytest.fixture
def there(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as found:
        yield found


@pytest.fixture
def serve() -> Iterator[Serve]:
    with serving_drops() as found:
        yield found


class Brief(Pop3):
    """A driver that leaves the maildrop to others at once."""

    def list(self, old: Listing | None = None) -> Listing:
        try:
            return super().list(old)
        finally:
            self.line.close()

    def fetch(self, wants: Sequence[Want]) -> None:
        super().fetch(wants)
        self.line.close()


class Pop3Bench(Bench):
    """A maildrop for the contract's checks."""

    kind = "pop3"
    cls = Brief

    def __init__(self, there: World, serve: Serve) -> None:
        super().__init__(there.folder)
        self._there = there
        self._serve = serve

    def open(self, *, readonly: bool = False) -> Brief:
        spec = f"/pop/tcp!localhost!{self._port}/glenda"
        account = parse(spec)
        place = self._there.place(readonly=readonly)
        assert account is not None
        assert place.net is not None
        return Brief(spec, place, account, Link3(account, place.net))

    def stored(self, n: int, extra: bytes = b"") -> bytes:
        date = time.strftime("%a, %d %b %Y %T +0000", time.gmtime(FIRST + n))
        return b"Date: %s\r\n" % date.encode() + mail(n, extra)

    def make(self) -> None:
        self._box = drop(0)
        self._port = self._serve(self._box)

    def deliver(self, n: int, extra: bytes = b"") -> None:
        self._box.add(f"uid{n}", self.stored(n, extra))

    def rewrite(self, kept: Sequence[int]) -> None:
        ids = {f"uid{n}" for n in kept}
        self._box.mails = [m for m in self._box.mails if m.uid in ids]


# What a maildrop can do; it is no path, takes no mail, and gives none that has gone.
CHECKS = [
    contract.an_empty_store_lists_nothing,
    contract.lists_oldest_first,
    contract.an_unchanged_store_is_not_listed_again,
    contract.deliveries_by_others_are_seen,
    contract.removals_by_others_are_seen,
    contract.a_settled_listing_sees_what_follows,
    contract.deletion_of_all_leaves_an_empty_store,
    contract.mail_that_came_meanwhile_is_kept,
    contract.flags_are_kept,
    contract.every_flag_is_kept,
    contract.flags_set_by_another_server_are_seen,
    contract.reads_of_what_is_gone_are_stale,
]


@pytest.mark.parametrize("check", CHECKS)
def test_contract(there: World, serve: Serve, check: contract.Check) -> None:
    check(Pop3Bench(there, serve))


def test_a_listing_fetches_no_message(there: World, serve: Serve) -> None:
    box = drop(12)
    driver = there.open(serve(box))
    listing = driver.list()
    consistent(listing)
    assert listing.keys == [f"uid{n}" for n in range(12)]
    assert listing.sizes.tolist() == [len(mail(n)) for n in range(12)]
    assert list(listing.dates) == [999_999_960 + n for n in range(12)]
    assert set(listing.flags) == {int(Flag.RECENT)}
    assert len(driver.digest("uid1")) == 20
    assert driver.digest("uid1") != driver.digest("uid2")
    assert box.count("RETR") == 0
    assert everything(driver, listing) == [mail(n) for n in range(12)]
    driver.close()


def test_an_empty_maildrop(there: World, serve: Serve) -> None:
    driver = there.open(serve(drop(0)))
    assert len(driver.list()) == 0
    assert len(driver.list(driver.list())) == 0
    driver.close()


def test_nothing_is_fetched_twice(there: World, serve: Serve) -> None:
    box = drop(10)
    port = serve(box)
    driver = there.open(port)
    listing = driver.list()
    driver.fetch(wants(listing)[:7])
    driver.fetch(wants(listing)[:9])
    everything(driver, listing)
    driver.close()
    again = there.open(port, form="popnotls")
    everything(again, again.list(listing))
    again.close()
    assert sorted(c for c in box.commands if c.startswith("RETR")) == sorted(
        f"RETR {n}" for n in range(1, 11)
    )


def test_an_unchanged_maildrop_costs_little(there: World, serve: Serve) -> None:
    box = drop(300)
    driver = there.open(serve(box))
    listing = driver.list()
    driver.close()
    box.commands.clear()
    assert driver.list(listing) is listing
    assert driver.signature() == listing.signature
    driver.close()
    words = [c.split()[0] for c in box.commands]
    assert words == ["CAPA", "USER", "PASS", "CAPA", "STAT", "UIDL", "QUIT"]
    for n in range(300, 303):
        box.add(f"uid{n}", mail(n))
    box.commands.clear()
    more = driver.list(listing)
    assert list(more.keys) == [f"uid{n}" for n in range(303)]
    assert more.idents[:300] == listing.idents
    assert box.count("UIDL") == 4
    assert box.count("LIST") == 3
    driver.close()


def test_what_others_do_is_seen(there: World, serve: Serve) -> None:
    box = drop(6)
    port = serve(box)
    driver = there.open(port)
    old = driver.list()
    driver.close()
    del box.mails[1], box.mails[3]
    box.add("new", mail(9))
    listing = driver.list(old)
    assert listing.keys == ["uid0", "uid2", "uid3", "uid5", "new"]
    kept = [old.idents[n] for n in (0, 2, 3, 5)]
    assert listing.idents[:4].tolist() == kept
    assert everything(driver, listing) == [mail(n) for n in (0, 2, 3, 5, 9)]
    assert listing.signature != old.signature
    driver.close()
    box.mails.clear()
    assert len(driver.list(listing)) == 0
    driver.close()


def test_the_order_stays_though_the_server_shuffles(there: World, serve: Serve) -> None:
    box = drop(5)
    driver = there.open(serve(box))
    old = driver.list()
    driver.close()
    box.mails.reverse()
    driver._roll._since = 1 << 30
    listing = driver.list(old)
    assert listing is old or listing.keys == old.keys
    assert everything(driver, listing) == [mail(n) for n in range(5)]
    driver.close()


def test_numbers_of_another_session_are_not_believed(
    there: World, serve: Serve
) -> None:
    box = drop(6)
    driver = there.open(serve(box))
    listing = driver.list()
    driver.close()
    del box.mails[0]
    found = wants(listing)
    driver.fetch(found[3:5])
    store = listing.store
    assert store.read("uid3", 0, 0, 0, -1) == mail(3)
    assert store.read("uid4", 0, 0, 0, -1) == mail(4)
    with pytest.raises(Stale):
        store.read("uid0", 0, 0, 0, -1)
    driver.close()


def test_headers_come_by_top(there: World, serve: Serve) -> None:
    box = drop(500)
    driver = there.open(serve(box))
    listing = driver.list()
    driver.fetch(wants(listing)[:3])
    found = {one.key: one.header for one in driver.heads(keys_of(listing)[::-1])}
    assert found == {f"uid{n}": mail(n).partition(b"body")[0] for n in range(500)}
    assert box.count("RETR") == 3
    assert box.count("TOP") == 497
    assert driver.line.session is None  # others have their turn
    assert list(driver.heads(["nobody"])) == []
    driver.close()


def test_headers_of_new_mail_come_with_the_listing(there: World, serve: Serve) -> None:
    box = drop(5)
    driver = there.open(serve(box))
    listing = driver.list()
    sessions = len(box.logins)
    heads = list(driver.heads(keys_of(listing)))
    assert len(heads) == 5
    assert box.count("TOP") == 5
    assert len(box.logins) == sessions
    driver.close()


FORMS_OF_IDENTITY = [
    ({"UIDL"}, 3),
    ({"UIDL", "TOP"}, 3),
    ({"TOP"}, 3),
    ({"CAPA"}, 3),
    ({"CAPA", "UIDL", "TOP"}, 3),
]


@pytest.mark.parametrize(("lacks", "count"), FORMS_OF_IDENTITY)
def test_servers_that_lack_commands(
    there: World, serve: Serve, lacks: set[str], count: int
) -> None:
    box = drop(count, lacks=frozenset(lacks))
    driver = there.open(serve(box))
    old = driver.list()
    assert len(set(old.keys)) == count
    heads = {one.key: one.header for one in driver.heads(keys_of(old))}
    assert heads == {
        key: mail(n).partition(b"body")[0] for n, key in enumerate(old.keys)
    }
    assert everything(driver, old) == [mail(n) for n in range(count)]
    driver.close()
    assert driver.list(old).keys == old.keys
    driver.close()
    del box.mails[0]
    box.add("new", mail(7))
    listing = driver.list(old)
    assert list(listing.idents[:2]) == list(old.idents[1:])
    assert everything(driver, listing) == [mail(n) for n in (1, 2, 7)]
    after = driver.delete(listing, [0, 2])
    assert [m.octets for m in box.mails] == [mail(2)]
    assert everything(driver, after) == [mail(2)]
    driver.close()
    assert box.count("RETR") == 4 if "TOP" not in lacks else True


def test_without_uidl_another_message_is_never_taken_for_it(
    there: World, serve: Serve
) -> None:
    # All of one size, and the count stays: only the message tells.
    box = drop(4, lacks=frozenset({"UIDL"}))
    driver = there.open(serve(box))
    listing = driver.list()
    driver.close()
    for m, n in zip(box.mails, (5, 6, 7, 8), strict=True):
        m.octets = mail(n)
    driver.fetch(wants(listing)[:2])
    with pytest.raises(Stale):
        listing.store.read(listing.keys[0], 0, 0, 0, -1)
    assert driver.signature() != listing.signature
    again = driver.list(listing)
    assert everything(driver, again) == [mail(n) for n in (5, 6, 7, 8)]
    assert not set(again.idents) & set(listing.idents)
    driver.close()


def test_ids_that_are_not_unique(there: World, serve: Serve) -> None:
    box = drop(2)
    for n in (5, 6, 7, 7):
        box.add("same", mail(n))
    box.add("with space", mail(8))
    box.add("", mail(9))
    driver = there.open(serve(box))
    listing = driver.list()
    assert len(set(listing.keys)) == 8
    expected = [mail(n) for n in (0, 1, 5, 6, 7, 7, 8, 9)]
    assert everything(driver, listing) == expected
    listing = driver.set_flags(listing, [(2, Flag.SEEN)])
    driver.close()
    del box.mails[2]
    again = driver.list(listing)
    del expected[2]
    assert everything(driver, again) == expected
    assert not any(f & Flag.SEEN for f in again.flags)
    driver.close()


def test_an_id_given_again_to_another_message(there: World, serve: Serve) -> None:
    box = drop(2)
    driver = there.open(serve(box))
    old = driver.list()
    assert everything(driver, old) == [mail(0), mail(1)]
    driver.close()
    gone = box.mails.pop(1)
    without = driver.list(old)
    driver.close()
    box.add("uid1", mail(5))
    assert everything(driver, driver.list(without)) == [mail(0), mail(5)]
    driver.close()
    # One that only was out of sight is not fetched again.
    box.mails[1:] = []
    without = driver.list(without)
    driver.close()
    box.mails.append(gone)
    gone.octets = mail(5)
    count = box.count("RETR")
    assert everything(driver, driver.list(without)) == [mail(0), mail(5)]
    assert box.count("RETR") == count
    driver.close()


OCTETS = [
    b"",
    b"\r\n",
    b"no header",
    b"Subject: x\r\n\r\n.\r\n..\r\n.a\r\n",
    b"Subject: nul\0\r\n\r\n\0\xff\xfe8-bit\x80\r\n",
    b"Subject: bare\r\n\r\na\nb\r\r\nc\n\r\n",
    b"Subject: long\r\n\r\n" + b"x" * 200_000 + b"\r\n",
    b"Subject: dots\r\n\r\n" + b".\r\n" * 70_000,
]


def test_octets_are_kept_as_they_are(there: World, serve: Serve) -> None:
    box = drop(0)
    for n, octets in enumerate(OCTETS):
        box.add(f"u{n}", octets, listed=[0, 7, 10**9][n % 3])
    driver = there.open(serve(box))
    listing = driver.list()
    ended = [o if o.endswith(b"\r\n") or not o else o + b"\r\n" for o in OCTETS]
    assert everything(driver, listing) == ended
    driver.close()


@pytest.mark.parametrize("pipelining", [True, False])
def test_servers_that_leave_line_ends_as_they_are(
    there: World,
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    pipelining: bool,
) -> None:
    monkeypatch.setattr(reader, "QUIET", 0.3)
    box = drop(0, wire=lambda octets: octets + b".\r\n")
    if not pipelining:
        box.capabilities = ("TOP", "UIDL")
    texts = [b"Subject: %d\n\nbody\n" % n for n in range(3)]
    texts.append(b"Subject: forged\n\n.\n+OK\nSubject: x\n")
    for n, octets in enumerate(texts):
        box.add(f"u{n}", octets)
    driver = there.open(serve(box))
    listing = driver.list()
    driver.fetch(wants(listing))
    assert everything(driver, listing) == texts
    driver.close()


def test_one_bad_message_holds_up_no_other(there: World, serve: Serve) -> None:
    box = drop(4)

    def refuse(talk: Talk) -> bool:
        talk.send("-ERR cannot read that one")
        return True

    box.faults = {"RETR 2": refuse, "TOP 2 0": refuse}
    driver = there.open(serve(box))
    listing = driver.list()
    heads = [one.key for one in driver.heads(keys_of(listing))]
    assert heads == ["uid0", "uid2", "uid3"]
    driver.fetch(wants(listing))
    store = listing.store
    assert [store.has(f"uid{n}", 0, 0, -1) for n in range(4)] == [1, 0, 1, 1]
    with pytest.raises(MailfsError, match=r"localhost/pop: cannot read that one"):
        store.read("uid1", 9, 0, 0, 9)
    box.faults.clear()
    assert store.read("uid1", 9, 0, 0, -1) == mail(1)
    driver.close()


def test_a_message_longer_than_the_cache(there: World, serve: Serve) -> None:
    box = drop(2)
    long = b"Subject: long\r\n\r\n" + b"0123456789abcdef" * 1280 * 1024 + b"\r\n"
    box.add("long", long)
    driver = there.open(serve(box))
    listing = driver.list()
    assert there.pack.limit < len(long)
    assert everything(driver, listing) == [mail(0), mail(1), long]
    assert box.count("RETR") == 3
    driver.close()


def test_a_server_that_dies_in_the_middle(there: World, serve: Serve) -> None:
    box = drop(3)
    half = b"Subject: half\r\n\r\n" + b"line\r\n" * 50_000
    box.add("half", half)

    def die(talk: Talk) -> bool:
        talk.send(b"+OK\r\n" + half[:200_000])
        raise Gone

    box.faults = {"RETR 4": die}
    driver = there.open(serve(box))
    listing = driver.list()
    with pytest.raises(ConnectionError, match="localhost/pop: server hung up"):
        driver.fetch(wants(listing))
    assert listing.store.has("uid2", 0, 0, -1)
    assert not listing.store.has("half", 0, 0, -1)
    assert driver.line.error == "localhost/pop: server hung up"
    box.faults.clear()
    driver.line._failure = None
    assert everything(driver, listing)[3] == half
    driver.close()


def test_a_session_that_was_kept_and_died_is_made_again(
    there: World, serve: Serve
) -> None:
    box = drop(2)
    driver = there.open(serve(box))
    listing = driver.list()
    session = driver.line.session
    assert session is not None
    session.wire.stream.sever()
    assert everything(driver, listing) == [mail(0), mail(1)]
    assert len(box.logins) == 2
    driver.close()


# Deleting.


def test_deletion(there: World, serve: Serve) -> None:
    box = drop(6)
    driver = there.open(serve(box))
    listing = driver.list()
    everything(driver, listing)
    after = driver.delete(listing, [4, 0])
    assert [m.uid for m in box.mails] == ["uid1", "uid2", "uid3", "uid5"]
    assert after.keys == ["uid1", "uid2", "uid3", "uid5"]
    assert driver.line.session is None
    assert everything(driver, after) == [mail(n) for n in (1, 2, 3, 5)]
    assert everything(driver, listing) == [mail(n) for n in range(6)]
    box.add("new", mail(7))
    assert driver.list(after).keys == [*after.keys, "new"]
    assert driver.delete(after, [3]).keys == ["uid1", "uid2", "uid3"]
    assert [m.uid for m in box.mails] == ["uid1", "uid2", "uid3", "new"]
    driver.close()


def test_what_has_gone_already_makes_the_listing_stale(
    there: World, serve: Serve
) -> None:
    box = drop(4)
    driver = there.open(serve(box))
    listing = driver.list()
    driver.close()
    del box.mails[1]
    with pytest.raises(Stale):
        driver.delete(listing, [0, 1])
    assert len(box.mails) == 3
    assert driver.delete(driver.list(listing), [0]).keys == ["uid2", "uid3"]
    driver.close()


def test_a_session_that_dies_deletes_nothing(there: World, serve: Serve) -> None:
    box = drop(4)

    def die(talk: Talk) -> bool:
        raise Gone

    box.faults = {"DELE 2": die}
    driver = there.open(serve(box))
    listing = driver.list()
    driver.close()
    with pytest.raises(ConnectionError):
        driver.delete(listing, [0, 1])
    assert len(box.mails) == 4
    box.faults.clear()
    driver.line._failure = None
    assert driver.delete(listing, [0, 1]).keys == ["uid2", "uid3"]
    driver.close()


def test_one_that_may_not_be_deleted_saves_the_others(
    there: World, serve: Serve
) -> None:
    box = drop(4)

    def refuse(talk: Talk) -> bool:
        talk.send("-ERR read-only")
        return True

    box.faults = {"DELE 3": refuse}
    driver = there.open(serve(box))
    listing = driver.list()
    with pytest.raises(PopError, match="read-only"):
        driver.delete(listing, [0, 2])
    driver.close()
    assert len(box.mails) == 4


@pytest.mark.parametrize("done", [True, False])
def test_the_answer_to_quit_is_lost(there: World, serve: Serve, done: bool) -> None:
    box = drop(4)
    driver = there.open(serve(box))
    listing = driver.list()
    driver.close()

    def lose(talk: Talk) -> bool:
        box.faults.clear()
        if done:
            del box.mails[0], box.mails[1]
        raise Gone

    box.faults = {"QUIT": lose}
    if done:
        assert driver.delete(listing, [0, 2]).keys == ["uid1", "uid3"]
    else:
        with pytest.raises(MailfsError, match=r"not deleted: .*server hung up"):
            driver.delete(listing, [0, 2])
        assert driver.signature() != listing.signature
        assert driver.list(listing).keys == listing.keys
    driver.close()


def test_a_server_that_deletes_some(there: World, serve: Serve) -> None:
    box = drop(4)

    def some(talk: Talk) -> bool:
        box.faults.clear()
        del box.mails[0]
        talk.send("-ERR some deleted messages not removed")
        raise Gone

    driver = there.open(serve(box))
    listing = driver.list()
    driver.close()
    box.faults = {"QUIT": some}
    with pytest.raises(MailfsError, match=r"not deleted: .*some deleted"):
        driver.delete(listing, [0, 1])
    assert driver.list(listing).keys == ["uid1", "uid2", "uid3"]
    driver.close()


# Flags.


def test_flags_are_kept_here(there: World, serve: Serve) -> None:
    box = drop(3)
    port = serve(box)
    driver = there.open(port)
    listing = driver.list()
    driver.close()
    sessions = len(box.logins)
    seen = driver.set_flags(listing, [(1, Flag.SEEN | Flag.FLAGGED)])
    assert len(box.logins) == sessions
    wanted = [0, int(Flag.SEEN | Flag.FLAGGED), 0]
    mask = ~int(Flag.RECENT)
    assert [f & mask for f in seen.flags] == wanted
    assert seen.signature != listing.signature
    assert driver.signature() == seen.signature
    other = there.open(port, form="popnotls")
    assert [f & mask for f in other.list().flags] == wanted
    other.set_flags(other.list(), [(0, Flag.ANSWERED)])
    other.close()
    sessions = len(box.logins)
    assert driver.signature() != seen.signature
    again = driver.list(seen)
    assert [f & mask for f in again.flags] == [int(Flag.ANSWERED), wanted[1], 0]
    assert len(box.logins) == sessions  # the server was not asked
    assert list((there.folder / "root/mail/box/me/flags").iterdir())
    driver.close()


def test_readers_change_nothing(there: World, serve: Serve) -> None:
    box = drop(2)
    driver = there.open(serve(box), readonly=True)
    listing = driver.list()
    assert everything(driver, listing) == [mail(0), mail(1)]
    with pytest.raises(Refused, match=EROFS):
        driver.delete(listing, [0])
    with pytest.raises(Refused, match=EROFS):
        driver.set_flags(listing, [(0, Flag.SEEN)])
    for refused in (driver.make, driver.remove, lambda: driver.rename("/pop/x")):
        with pytest.raises(Refused, match="not supported"):
            refused()
    with pytest.raises(Refused, match="append not supported"):
        driver.append(b"", 0, "", Flag.SEEN)
    driver.close()
    assert len(box.mails) == 2
    assert not (there.folder / "root/mail").exists()


def test_a_listing_is_restored(there: World, serve: Serve) -> None:
    box = drop(3)
    port = serve(box)
    driver = there.open(port)
    listing = driver.list()
    everything(driver, listing)
    driver.close()
    again = there.open(port)
    restored = again.restore(listing)
    assert restored is not None
    assert everything(again, restored) == [mail(n) for n in range(3)]
    assert again.line.sessions == 0
    assert again.list(restored).keys == listing.keys
    again.close()
    driver.set_flags(listing, [(1, Flag.SEEN)])
    restored = there.open(port).restore(listing)
    assert restored is not None
    assert restored.flags[1] & Flag.SEEN


# What servers want, and will not have.


def test_mail_that_may_not_be_left_is_not_fetched(there: World, serve: Serve) -> None:
    box = drop(2, capabilities=("TOP", "UIDL", "EXPIRE 0", "PIPELINING"))
    driver = there.open(serve(box))
    with pytest.raises(PopError, match="server does not allow mail to be left on"):
        driver.list()
    assert box.count("RETR") == 0
    box.capabilities = ("TOP", "UIDL", "EXPIRE 30 USER")
    driver.line._failure = None
    driver.list()
    assert ("expire", "30 USER") in driver.state()
    driver.close()


def test_a_delay_between_logins_is_kept(there: World, serve: Serve) -> None:
    box = drop(2, capabilities=("TOP", "UIDL", "LOGIN-DELAY 900"))
    driver = there.open(serve(box))
    now = [1000.0]
    slept: list[float] = []
    driver.line._clock = driver._clock = lambda: now[0]
    driver.line._sleeping = slept.append
    listing = driver.list()
    assert driver._next == now[0] + 900
    driver.close()
    now[0] += 30
    with pytest.raises(Busy, match="server wants 900 seconds between logins"):
        driver.list(listing)
    now[0] += 865
    assert driver.list(listing).keys == listing.keys
    assert slept == [5.0]
    driver.close()


def test_a_maildrop_in_use_is_tried_again(there: World, serve: Serve) -> None:
    box = drop(1)
    tries = []

    def locked(talk: Talk) -> bool:
        tries.append(1)
        if len(tries) > 2:
            return False
        talk.send("-ERR [IN-USE] do you have another session?")
        return True

    box.faults = {"PASS": locked}
    driver = there.open(serve(box))
    assert len(driver.list()) == 1
    driver.close()
    tries[:] = [1] * -100


@pytest.mark.parametrize(
    ("line", "error", "tries"),
    [
        ("-ERR [IN-USE] locked", Busy, 4),
        ("-ERR maildrop already locked", Busy, 4),
        ("-ERR [SYS/TEMP] no disk", Busy, 1),
        ("-ERR [LOGIN-DELAY] too soon", Busy, 1),
        ("-ERR [SYS/PERM] no such host", PopError, 1),
        ("-ERR [AUTH] no", LoginRefused, 1),
        ("-ERR no", LoginRefused, 1),
    ],
)
def test_refusals_at_login(
    there: World, serve: Serve, line: str, error: type[Exception], tries: int
) -> None:
    box = drop(1)

    def refuse(talk: Talk) -> bool:
        talk.send(line)
        return True

    box.faults = {"PASS": refuse}
    driver = there.open(serve(box))
    now = [0.0]
    driver.line._clock = driver._clock = lambda: now[0]
    for _ in range(2):  # within a moment nobody is asked again
        with pytest.raises(error, match="localhost/pop: "):
            driver.list()
        assert box.count("PASS") == tries
    pause = driver._next
    least = link.REFUSED if error is LoginRefused else link.FIRST
    assert pause >= 0.7 * least
    now[0] = 100.0
    with pytest.raises(error):
        driver.list()
    assert driver.line._backoff.seconds == min(2 * least, link.LONGEST)
    box.faults.clear()
    now[0] = 200.0
    if error is LoginRefused:  # the server is asked again when there is another key
        with pytest.raises(error):
            driver.list()
        there.agent.add("proto=pass server=elsewhere user=x !password=x")
        now[0] = 300.0
    assert len(driver.list()) == 1
    assert driver._next == now[0] + 60
    driver.close()


def test_a_greeting_that_sends_us_away(there: World, serve: Serve) -> None:
    box = drop(1, greeting="-ERR too many connections")
    driver = there.open(serve(box))
    with pytest.raises(Busy, match="too many connections"):
        driver.list()
    box.greeting = "* OK IMAP4rev1"
    driver.line._failure = None
    with pytest.raises(ConnectionError, match="out of sync"):
        driver.list()
    box.greeting = "+ huh"
    driver.line._failure = None
    with pytest.raises(PopError, match="error in initial handshake"):
        driver.list()


def test_no_server(there: World) -> None:
    driver = there.open(1)
    with pytest.raises(ConnectionError, match=r"localhost/pop: connection refused"):
        driver.list()
    assert dict(driver.state())["connect"] == "localhost/pop: connection refused"


def test_a_server_that_is_away_is_not_asked_all_the_time(
    there: World, serve: Serve, pipe: tuple[int, int]
) -> None:
    box = drop(2)
    port = serve(box)
    driver = there.open(port)
    listing = driver.list()
    everything(driver, listing)
    driver.close()
    box.greeting = "-ERR too many connections"
    again = there.open(port)
    now = [0.0]
    again._clock = again.line._clock = lambda: now[0]
    restored = again.restore(listing)
    assert restored is not None
    with pytest.raises(Busy):
        again.list(restored)
    assert again.signature() == restored.signature
    assert everything(again, restored) == [mail(0), mail(1)]
    assert again.listen(0, pipe[0]) is False
    assert dict(again.state())["next"] != "0"
    now[0] += 2 * link.FIRST
    assert again.listen(0, pipe[0]) is True
    box.greeting = "+OK"
    assert again.list(restored).keys == listing.keys
    again.close()


def test_apop_or_nothing(there: World, serve: Serve) -> None:
    box = drop(1, greeting=f"+OK {STAMP}")
    port = serve(box)
    driver = there.open(port, form="apop")
    assert len(driver.list()) == 1
    driver.close()
    assert box.count("PASS") == 0
    assert box.count("APOP") == 1
    for greeting in ("+OK ready", "+OK <a@b@c>", "+OK <nothing>", "+OK <a\x01@b>"):
        box.greeting = greeting
        again = there.open(port, form="apop")
        with pytest.raises(PopError, match="no APOP hdr from server"):
            again.list()
    assert box.count("PASS") == 0


def test_no_password_in_clear_beyond_this_machine(
    there: World, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailfs.where.local_peer", lambda sock: False)
    box = drop(1)
    box.capabilities += ("SASL PLAIN LOGIN",)
    port = serve(box)
    driver = there.open(port)
    with pytest.raises(PopError, match="no password is sent in clear: want pops, "):
        driver.list()
    assert not [c for c in box.commands if c not in ("CAPA", "QUIT")]
    asked = there.open(port, form="popnotls")
    assert len(asked.list()) == 1
    asked.close()


# Time.


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_it_looks_again_when_it_is_time(
    there: World,
    serve: Serve,
    pipe: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link, "LINGER", 0.05)
    box = drop(1)
    driver = there.open(serve(box))
    now = [0.0]
    driver._clock = lambda: now[0]
    listing = driver.list()
    assert driver.line.session is not None
    assert driver.listen(0.01, pipe[0]) is False
    assert driver.line.session is None  # the maildrop is free
    assert box.count("QUIT") == 1
    os.write(pipe[1], b"\0")
    assert driver.listen(60, pipe[0]) is False  # at once
    os.read(pipe[0], 1)
    now[0] += 60
    assert driver.listen(60, pipe[0]) is True
    assert driver.signature() != listing.signature
    assert driver.list(listing) is listing
    assert driver.signature() == listing.signature
    driver.close()


def test_a_session_lasts_while_somebody_reads_on(
    there: World, serve: Serve, pipe: tuple[int, int]
) -> None:
    box = drop(5)
    driver = there.open(serve(box))
    listing = driver.list()
    os.write(pipe[1], b"\0")
    for want in wants(listing):
        driver.fetch([want])
        assert driver.listen(60, pipe[0]) is False
    assert len(box.logins) == 1
    driver.close()


def test_processes_take_turns(there: World, serve: Serve) -> None:
    box = drop(3)
    port = serve(box)
    one, two = there.open(port), there.open(port)
    listing = one.list()
    two.line._turn.take(0)
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        one.close()

    two.line._sleeping = sleep
    assert two.list().keys == listing.keys
    assert waits
    two.close()


def test_a_turn_that_does_not_come(tmp_path: Path) -> None:
    one, two = Turn(tmp_path, "a"), Turn(tmp_path, "a")
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += 1

    assert one.take(5)
    assert not two.take(5, lambda: now[0], sleep)
    assert Turn(tmp_path, "b").take(0)
    one.give()
    assert two.take(5, lambda: now[0], sleep)
    two.give()
    assert Turn(tmp_path / "nowhere", "a").take(0)


def test_whoever_waits_is_next(tmp_path: Path) -> None:
    one, two, three = (Turn(tmp_path, "a") for _ in range(3))
    assert one.take(0)

    def sleep(seconds: float) -> None:
        # One lets go and would have it again at once, but two is waiting.
        one.give()
        assert not three.take(0)

    assert two.take(9, time.monotonic, sleep)
    two.give()


def test_where_there_is_no_network(tmp_path: Path) -> None:
    place = Place(tmp_path, "me")
    assert claim("/imap/h", place) is None
    assert claim(str(tmp_path), place) is None
    with pytest.raises(MailfsError, match=f"/pops/h/u: {ENONET}"):
        claim("/pops/h/u", place)
