"""IMAP folders on servers that count, refuse and hang up as no server should."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from mailfs.cache.pack import Pack
from mailfs.errors import MailfsError
from mailfs.imap.grammar.ranges import Ranges
from mailfs.mailbox.driver import Place
from mailfs.mailbox.drivers.imap.driver import Imap, claim
from mailfs.mailbox.drivers.imap.later import WaitingChange
from mailfs.mailbox.drivers.imap.link import Link, ServerUnreachable
from mailfs.mailbox.kinds import Flag, Listing, Want
from mailfs.mailbox.net import Network
from mailfs.poll import readable
from mailfs.remote.limit import ConnectionLimit
from mailfs.tls.trust import Policy, Trust
from tests.factotum.serving import Served
from tests.net.scripted import Answer, Gone, Play, Scripted, Talk, imap

FREE = 6  # connections that the server allows us: fewer than we would make
Start = Callable[[Play], tuple[Imap, Scripted]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Make drivers of INBOX on scripted servers."""
    with ExitStack() as stack:
        sockets = tmp_path / "s"
        sockets.mkdir()
        keys = Served(sockets)
        stack.callback(keys.close)
        keys.add("proto=pass server=localhost user=glenda !password=secret")
        pack = Pack(tmp_path / "pack", 1 << 24)
        stack.callback(pack.close)
        net = Network(keys.keys, Trust(tmp_path, Policy.THUMBPRINT), pack)

        def make(play: Play) -> tuple[Imap, Scripted]:
            server = stack.enter_context(Scripted(play))
            path = f"/imap/tcp!localhost!{server.port}/glenda"
            driver = claim(path, Place(tmp_path, "glenda", net=net))
            assert driver is not None
            stack.callback(driver.close)
            return driver, server

        yield make


def opened(exists: int | None = 3, validity: str = "7") -> list[str]:
    told = [] if exists is None else [f"* {exists} EXISTS"]
    return [*told, f"* OK [UIDVALIDITY {validity}]", "$ OK [READ-WRITE] done"]


def row(n: int, uid: object) -> str:
    date = '"01-Jan-2020 00:00:00 +0000"'
    return f"* {n} FETCH (UID {uid} FLAGS () INTERNALDATE {date} RFC822.SIZE 9)"


ROWS = [row(1, 11), row(2, 12), row(3, 13)]
USUAL = {"UID SEARCH .*": ["* ESEARCH UID ALL 11:13", "$ OK done"]}


@pytest.mark.parametrize("exists", [4, 2, 4294967295, None])
def test_a_count_that_is_wrong(start: Start, exists: int | None) -> None:
    """What can be had is listed, and not asked for again and again."""
    driver, server = start(
        imap({**USUAL, "SELECT .*": opened(exists), "UID FETCH .*": [*ROWS, "$ OK"]})
    )
    listing = driver.list()
    assert list(listing.keys) == [11, 12, 13]
    before = len(server.said("UID .*"))
    assert driver.signature() == listing.signature
    driver.list(listing)
    assert len(server.said("UID .*")) == before
    names = dict(driver.state())
    assert ("unlisted" in names) == (exists is not None and exists > 3)


@pytest.mark.parametrize(
    ("more", "why"), [([], "uid 14"), ([row(4, 4294967299)], "uid 4294967299")]
)
def test_a_row_that_cannot_be_had_is_named(
    start: Start, more: list[str], why: str
) -> None:
    rows = [*ROWS, *more, "$ OK done"]
    search = ["* ESEARCH UID ALL 11:14", "$ OK done"]
    driver, _ = start(
        imap(
            {
                "SELECT .*": opened(4),
                "UID SEARCH .*": search,
                "UID FETCH (1:\\*|14) .*": rows,
                "UID FETCH .*": [*ROWS, "$ OK done"],
            }
        )
    )
    assert list(driver.list().keys) == [11, 12, 13]
    unlisted = dict(driver.state())["unlisted"]
    assert unlisted.startswith("1 messages: ")
    assert why in unlisted


@pytest.mark.parametrize("validity", ["0", "NIL", "99999999999"])
def test_a_uidvalidity_that_is_none_is_unlike_itself(
    start: Start, validity: str
) -> None:
    driver, _ = start(
        imap(
            {
                **USUAL,
                "SELECT .*": opened(3, validity),
                "UID FETCH .*": [*ROWS, "$ OK done"],
            }
        )
    )
    first = driver.list()
    driver.line.drop()
    second = driver.list(first)
    assert list(second.keys) == [11, 12, 13]
    assert not set(first.idents) & set(second.idents)
    assert first.signature.partition(":")[0] != second.signature.partition(":")[0]


def test_a_refusal_that_passes_leaves_no_change_waiting(start: Start) -> None:
    refused = iter([["$ NO [UNAVAILABLE] later"]])

    def store(talk: Talk, tag: str, words: str) -> None:
        talk.answer(tag, next(refused, ["$ OK done"]))

    driver, server = start(
        imap(
            {
                **USUAL,
                "SELECT .*": opened(),
                "UID STORE .*": store,
                "UID FETCH .*": [*ROWS, "$ OK done"],
            }
        )
    )
    driver._later.add([WaitingChange("flags", 7, uid, Flag.SEEN) for uid in (11, 12)])
    listing = driver.list()
    names = dict(driver.state())
    assert names["waiting"] == "2 changes"
    assert "later" in names["waiting-error"]
    wake, _ = os.pipe()
    end = time.monotonic() + 20
    while driver._later.waiting():
        assert time.monotonic() < end
        if driver.listen(5, wake):
            listing = driver.list(listing)
    assert "waiting-error" not in dict(driver.state())
    assert len(server.said("UID STORE .*")) == 2


def test_a_server_that_hangs_up_at_one_message(start: Start) -> None:
    """All others are told; it is asked for no more, and named."""
    wanted = range(11, 31)

    def fetch(talk: Talk, tag: str, words: str) -> None:
        uids: list[int] = []
        for part in words.split()[2].split(","):
            first, _, last = part.partition(":")
            uids += range(int(first), int(last or first) + 1)
        for uid in uids:
            if uid == 18:
                raise Gone
            talk.send(f"* 1 FETCH (UID {uid} BODY[HEADER] {{8}}", b"A: 1\r\n\r\n)\r\n")
        talk.send(f"{tag} OK done")

    rows = [row(n, uid) for n, uid in enumerate(wanted, 1)]
    driver, server = start(
        imap(
            {
                "SELECT .*": opened(20),
                "UID SEARCH .*": ["* ESEARCH UID ALL 11:30", "$ OK done"],
                "UID FETCH .*HEADER.*": fetch,
                "UID FETCH .*": [*rows, "$ OK done"],
            }
        )
    )
    driver.list()
    found = [head.key for head in driver.heads(list(wanted))]
    assert sorted(found) == [uid for uid in wanted if uid != 18]
    assert dict(driver.state())["unreadable"] == "1 messages: uid 18"
    before = server.connections
    assert [*driver.heads([18])] == []
    assert server.connections == before


def test_a_closed_connection_is_not_waited_on(start: Start) -> None:
    driver, _ = start(
        imap({**USUAL, "SELECT .*": opened(), "UID FETCH .*": [*ROWS, "$ OK done"]})
    )
    driver.list()
    session = driver.line.session
    assert session is not None
    session.wire.reader.refuse("nonsense")
    assert "nonsense" not in dict(driver.state())["server"]
    wake, _ = os.pipe()
    driver.listen(0.1, wake)
    assert dict(driver.state())["server"].endswith("not connected")


@pytest.mark.parametrize("told", ["NIL", '"31-Feb-2020 00:00:00 +0000"', '""'])
def test_a_date_that_is_none(start: Start, told: str) -> None:
    """Date: counts where INTERNALDATE is none, and only there."""
    odd = f"* 2 FETCH (UID 12 FLAGS () INTERNALDATE {told} RFC822.SIZE 9)"
    text = "Date: Tue, 28 Mar 2006 21:58:10 -0600\r\n\r\n"
    head = f"* 2 FETCH (UID 12 BODY[HEADER.FIELDS (DATE)] {{{len(text)}}}\r\n{text})"
    driver, server = start(
        imap(
            {
                **USUAL,
                "SELECT .*": opened(),
                "UID FETCH .*HEADER.*": [head, "$ OK"],
                "UID FETCH .*": [ROWS[0], odd, ROWS[2], "$ OK"],
            }
        )
    )
    assert list(driver.list().dates) == [1577836800, 1143604690, 1577836800]
    assert len(server.said("UID FETCH 12 .*HEADER.*")) == 1


def serve(driver: Imap, wake: int) -> list[int]:
    """List, and wait for news until wake, as a mailbox's worker does; the uids."""
    found: list[int] | None = None
    end = time.monotonic() + 60
    while time.monotonic() < end and not (found is not None and readable([wake], 0)):
        try:
            if found is None:
                found = [int(key) for key in driver.list().keys]
            driver.listen(0.2, wake)
        except OSError:
            time.sleep(0.1)
    driver.close()
    return found or []


@pytest.mark.parametrize("refusal", ["* BYE too many connections", "LIMIT", ""])
def test_sixty_folders_on_a_server_that_allows_six(start: Start, refusal: str) -> None:
    """However it refuses; all are listed, and then no more are asked for."""
    lock, there, refused = threading.Lock(), [0], [0]
    usual = {**USUAL, "SELECT .*": opened(), "UID FETCH .*": [*ROWS, "$ OK done"]}
    denied = {"AUTHENTICATE .*": ["$ NO [LIMIT] Maximum number exceeded"]}

    def play(talk: Talk) -> None:
        with lock:
            there[0] += 1
            full = there[0] > FREE
            refused[0] += full
        try:
            if not full:
                imap(usual)(talk)
            elif refusal == "LIMIT":
                imap({**usual, **denied})(talk)
            elif refusal:
                talk.send(refusal)
        finally:
            with lock:
                there[0] -= 1

    first, _ = start(play)
    drivers = [
        Imap(f"{first.path}/f{n}", first.place, first._net, first.account, f"f{n}")
        for n in range(60)
    ]
    wake, waker = os.pipe()
    with ThreadPoolExecutor(60) as pool:
        listed = [pool.submit(serve, driver, wake) for driver in drivers]
        end = time.monotonic() + 60
        while not all(driver.line.since for driver in drivers):
            assert time.monotonic() < end
            time.sleep(0.05)
        os.close(waker)
        assert [one.result() for one in listed] == [[11, 12, 13]] * 60
    os.close(wake)
    assert refused[0] <= 10


def test_no_connection_is_free(start: Start) -> None:
    """It is not made all the same, and had when one has left."""
    first, server = start(imap({**USUAL, "SELECT .*": opened()}))
    one = ConnectionLimit(1)
    net = Network(first._net.keys, first._net.trust, first._net.pack, one)
    used = Link(first.account, "INBOX", net)
    link = Link(first.account, "Work", net, room=0.05)
    used.open(lambda: None, readonly=False)
    with pytest.raises(ServerUnreachable, match="no connection is free"):
        link.open(lambda: None, readonly=False)
    assert server.connections == 1
    used.close()
    with link.apart() as session:
        session.noop()
    used.end()
    with pytest.raises(ServerUnreachable, match="the mailbox is closed"):
        used.open(lambda: None, readonly=False)


HEAD = b"A: 1\r\n\r\n"
TEXT = HEAD + b"body\r\n"
PARTS = '("text" "plain" NIL NIL NIL "7bit" 6 1)'
CUT = ('("text" "plain" ("name" "a', 'b") NIL NIL "7bit" 6 1)')  # CR LF between them


def uids_of(words: str) -> list[int]:
    """Return the uids that a command names."""
    return list(Ranges.parse(words.split()[2].replace("*", "999").encode()))


def telling(bad: dict[int, str]) -> Answer:
    """Answer for headers and bodies, but badly for some uids.

    gone     hang up, whatever of it is asked
    shape    hang up at BODYSTRUCTURE only
    cut      a line end within the BODYSTRUCTURE
    silence  the message is left out
    refused  NO to every command that names it
    """

    def fetch(talk: Talk, tag: str, words: str) -> None:
        shape = "BODYSTRUCTURE" in words
        for uid in uids_of(words):
            how, begin = bad.get(uid, ""), f"* {uid - 10} FETCH (UID {uid} "
            if "HEADER" not in words:
                octets = b"BODY[] {%d}\r\n%s)\r\n" % (len(TEXT), TEXT)
                talk.send(begin.encode() + octets)
                continue
            if how == "gone" or (how == "shape" and shape):
                raise Gone
            if how == "refused":
                talk.send(f"{tag} NO cannot read it")
                return
            if how == "silence":
                continue
            parts = CUT if how == "cut" else (PARTS,)
            text = "BODYSTRUCTURE " + "\r\n".join(parts) + " " if shape else ""
            text += f"BODY[HEADER] {{{len(HEAD)}}}"
            talk.send(begin + text, HEAD + b")\r\n")
        talk.send(f"{tag} OK done")

    return fetch


def folder_of(count: int, bad: dict[int, str]) -> dict[str, Answer]:
    """Answer for a folder of so many messages from uid 11 on."""
    rows = [row(n, n + 10) for n in range(1, count + 1)]

    def flags(talk: Talk, tag: str, words: str) -> None:
        for uid in uids_of(words):
            if uid <= count + 10:
                talk.send(f"* {uid - 10} FETCH (UID {uid} FLAGS ())")
        talk.send(f"{tag} OK done")

    return {
        "SELECT .*": opened(count),
        "UID SEARCH .*": [f"* ESEARCH UID ALL 11:{count + 10}", "$ OK done"],
        "UID FETCH [^ ]* .UID FLAGS.": flags,
        "UID FETCH .*BODY.*": telling(bad),
        "UID FETCH .*": [*rows, "$ OK done"],
    }


BAD = {15: "gone", 33: "cut", 60: "silence", 61: "refused", 200: "gone", 299: "shape"}


@pytest.mark.parametrize("way", ["all", *sorted(set(BAD.values()))])
def test_one_bad_message_takes_no_header_along(start: Start, way: str) -> None:
    """Whatever is wrong with it; it is remembered, and served by its body."""
    bad = {uid: how for uid, how in BAD.items() if way in (how, "all")}
    driver, server = start(imap(folder_of(300, bad)))
    listing = driver.list()
    found = {head.key: head.structure for head in driver.heads(range(11, 311))}
    lost = {uid for uid, how in bad.items() if how in ("gone", "silence", "refused")}
    assert found.keys() == set(range(11, 311)) - lost
    assert {uid for uid, parts in found.items() if not parts} == bad.keys() - lost
    names = dict(driver.state()).get("unreadable", "0 ")
    assert names.partition(" ")[0] == str(len(lost))
    before = len(server.heard), server.connections
    assert not [*driver.heads(sorted(lost))]
    assert (len(server.heard), server.connections) == before
    for uid in bad:
        key, size, ident, _, _ = listing_row(listing, uid)
        assert listing.store.read(key, size, ident, 0, -1) == TEXT
    driver.list(listing)  # the connection is of use
    assert "connected" in dict(driver.state())["server"]


def listing_row(listing: Listing, uid: int) -> Want:
    i = list(listing.keys).index(uid)
    return Want(listing.keys[i], listing.sizes[i], listing.idents[i], 0, -1)


def test_messages_that_have_gone_are_not_called_unreadable(start: Start) -> None:
    driver, _ = start(imap(folder_of(3, {14: "silence"})))
    driver.list()
    assert [head.key for head in driver.heads([11, 13, 14])] == [11, 13]
    assert "unreadable" not in dict(driver.state())


def test_a_hang_up_at_a_date_ends_no_listing(start: Start) -> None:
    odd = "* 2 FETCH (UID 12 FLAGS () INTERNALDATE NIL RFC822.SIZE 9)"
    answers = folder_of(3, {12: "gone"})
    answers["UID FETCH .*"] = [ROWS[0], odd, ROWS[2], "$ OK"]
    driver, _ = start(imap(answers))
    assert list(driver.list().dates) == [1577836800, 0, 1577836800]


def test_a_body_that_breaks_the_connection_takes_no_other_along(start: Start) -> None:
    """An answer that cannot be framed is as bad as a hang-up."""

    def fetch(talk: Talk, tag: str, words: str) -> None:
        for uid in uids_of(words):
            octets = "{99999999999}" if uid == 12 else f"{{{len(TEXT)}}}"
            talk.send(f"* {uid - 10} FETCH (UID {uid} BODY[] {octets}", TEXT + b")\r\n")
        talk.send(f"{tag} OK done")

    driver, _ = start(imap({**folder_of(3, {}), "UID FETCH .*BODY.*": fetch}))
    listing = driver.list()
    wants = [listing_row(listing, uid) for uid in (11, 12, 13)]
    driver.fetch(wants)
    for uid in (11, 13):
        assert listing.store.has(uid, listing_row(listing, uid).ident, 0, -1)
    assert dict(driver.state())["unreadable"] == "1 messages: uid 12"
    with pytest.raises(MailfsError, match="literal too large"):
        driver.fetch(wants[1:2])
