"""Commands as values, and what is refused."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.mailbox.kinds import Flag
from mailfs.serve.imapd import actions as a
from mailfs.serve.imapd import criteria as c
from mailfs.serve.imapd.command import COMMANDS, Refused, State, parse
from mailfs.serve.imapd.cursor import Cursor
from mailfs.serve.imapd.items import Items, Octets, Section, Text
from mailfs.serve.imapd.listing import ListOptions
from mailfs.serve.imapd.reader import Literal, Piece, Upload
from mailfs.serve.imapd.server import HANDLERS
from mailfs.serve.imapd.sets import SequenceSet

ONE = SequenceSet(((1, 1),))
ALL = SequenceSet(((1, None),))

CASES: list[tuple[tuple[Piece, ...], State, object]] = [
    ((b"t noop",), State.STRANGER, a.Plain("NOOP")),
    ((b't LOGIN "a\\"b" c',), State.STRANGER, a.Login(b'a"b', b"c")),
    (
        (b"t login ", Literal(b"u"), b" ", Literal(b"p"), b""),
        State.STRANGER,
        a.Login(b"u", b"p"),
    ),
    (
        (b"t authenticate plain AHUAcA==",),
        State.STRANGER,
        a.Authenticate("PLAIN", b"\0u\0p"),
    ),
    ((b"t authenticate plain =",), State.STRANGER, a.Authenticate("PLAIN", b"")),
    ((b"t id nil",), State.STRANGER, a.Id(())),
    ((b't id ("name" "x" "v" nil)',), State.AUTH, a.Id(((b"name", b"x"), (b"v", b"")))),
    (
        (b"t enable qresync utf8=accept",),
        State.AUTH,
        a.Enable(("QRESYNC", "UTF8=ACCEPT")),
    ),
    ((b"t select inbox",), State.AUTH, a.Select("INBOX", False)),
    ((b"t examine Inbox/x",), State.AUTH, a.Select("INBOX/x", True)),
    ((b"t select &Jjo-",), State.AUTH, a.Select("\u263a", False)),
    (
        (b"t select x (qresync (7 20010715194045000 41,43:211 (1:2 3:4)))",),
        State.AUTH,
        a.Select(
            "x",
            False,
            True,
            a.Resync(
                7,
                20010715194045000,
                SequenceSet(((41, 41), (43, 211))),
                (SequenceSet(((1, 2),)), SequenceSet(((3, 4),))),
            ),
        ),
    ),
    ((b"t create x (use (\\Sent))",), State.AUTH, a.Create("x", ("\\Sent",))),
    ((b"t rename a b",), State.AUTH, a.Rename("a", "b")),
    ((b't list "" *',), State.AUTH, a.ListFolders("", ("*",), ListOptions())),
    (
        (b't list (subscribed) "" (a b%) return (children status (unseen))',),
        State.AUTH,
        a.ListFolders(
            "",
            ("a", "b%"),
            ListOptions(subscribed=True, extended=True, status=("UNSEEN",)),
        ),
    ),
    (
        (b"t status x (messages uidnext)",),
        State.AUTH,
        a.Status("x", ("MESSAGES", "UIDNEXT")),
    ),
    (
        (
            b'APP append x (\\Seen foo) "17-Jul-1996 02:44:25 -0700" ',
            Upload(0, 3),
            b" ",
            Upload(1, 4, True),
            b"",
        ),
        State.AUTH,
        a.Append(
            "x",
            (
                a.Appended(Upload(0, 3), ("\\Seen", "foo"), 837596665),
                a.Appended(Upload(1, 4, True)),
            ),
        ),
    ),
    ((b"t uid expunge 1:*",), State.SELECTED, a.Expunge(ALL)),
    ((b"t expunge",), State.SELECTED, a.Expunge()),
    (
        (b"t fetch 1 (flags body.peek[1.header.fields (to from)]<5.7>)",),
        State.SELECTED,
        a.Fetch(
            ONE,
            Items(
                ("FLAGS",),
                (
                    Octets(
                        b"BODY[1.HEADER.FIELDS (to from)]<5>",
                        Section(
                            (1,),
                            Text.FIELDS,
                            (b"to", b"from"),
                            b"1.HEADER.FIELDS (to from)",
                        ),
                        5,
                        7,
                        True,
                    ),
                ),
            ),
            False,
        ),
    ),
    (
        (b"t uid fetch 1:* flags (changedsince 12 vanished)",),
        State.SELECTED,
        a.Fetch(ALL, Items(("FLAGS",)), True, 12, True),
    ),
    (
        (b"t fetch 1 binary.size[2]",),
        State.SELECTED,
        a.Fetch(
            ONE,
            Items(
                (),
                (
                    Octets(
                        b"BINARY.SIZE[2]",
                        Section((2,), spelled=b"2"),
                        decoded=True,
                        length=True,
                    ),
                ),
            ),
            False,
        ),
    ),
    (
        (b"t store 1 (unchangedsince 5) -flags.silent (\\Seen a)",),
        State.SELECTED,
        a.Store(ONE, "-", ("\\Seen", "a"), True, False, 5),
    ),
    (
        (b"t uid move $ x",),
        State.SELECTED,
        a.Copy(SequenceSet(saved=True), "x", True, True),
    ),
    (
        (b"t search not (or seen answered 2) unkeyword X",),
        State.SELECTED,
        a.Search(
            c.And(
                (
                    c.Not(
                        c.And(
                            (
                                c.Or(c.HasFlag(Flag.SEEN), c.HasFlag(Flag.ANSWERED)),
                                c.Numbers(SequenceSet(((2, 2),)), False),
                            )
                        )
                    ),
                    c.HasKeyword("x", False),
                )
            ),
            False,
        ),
    ),
    (
        (
            b"t uid search return () charset utf-8 subject ",
            Literal("\u00c4x".encode()),
            b"",
        ),
        State.SELECTED,
        a.Search(c.Field(b"subject", "\u00e4x"), True, a.Results(frozenset({"ALL"}))),
    ),
    (
        (b"t search since 1-Jan-1970 senton 2-Jan-1970",),
        State.SELECTED,
        a.Search(c.And((c.Arrived(0, 1 << 40), c.Arrived(1, 2, True))), False),
    ),
]


@pytest.mark.parametrize(("pieces", "state", "action"), CASES)
def test_actions(pieces: tuple[Piece, ...], state: State, action: object) -> None:
    assert parse(Cursor(pieces), state).action == action


BAD = [
    b"",
    b"t",
    b"* noop",
    b"+ noop",
    b"t  noop",
    b"t noop ",
    b"t noop x",
    b"t nosuch",
    b"t login a",
    b"t login a\xff b",
    b't login "a b',
    b't login "a\xe4" b',
    b"t authenticate plain !!",
    b"t select a{",
    b"t select " + b"a" * 5000,
    b"t enable",
    b"t search",
    b"t search (",
    b"t search ()",
    b"t search )",
    b"t search (seen",
    b"t search seen)",
    b"t search not",
    b"t search or seen",
    b"t search since 30-Feb-2001",
    b"t search return (x) seen",
    b"t search " + b"(" * 200 + b"seen" + b")" * 200,
    b"t search " + b"not " * 200 + b"seen",
    b"t search " + b"or " * 200 + b"seen " * 201,
    b"t noop " + b"(" * 1000,
    b"t fetch 0 flags",
    b"t fetch 1 ()",
    b"t fetch 1 body[",
    b"t fetch 1 body[0]",
    b"t fetch 1 body[mime]",
    b"t fetch 1 body[header.fields ()]",
    b"t fetch 1 body[]<1.0>",
    b"t fetch 1 (flags",
    b"t fetch 1 flags (vanished)",
    b"t uid fetch 1 flags (vanished)",
    b"t fetch 1 " + b"(" * 500,
    b"t fetch 4294967296 flags",
    b"t fetch 1,,2 flags",
    b"t store 1 flags (",
    b"t store 1 xflags a",
    b't list (recursivematch) "" *',
    b't list (x) "" *',
    b't list "" * return (x)',
    b"t status x ()",
    b"t status x (x)",
    b"t append x",
    b"t select x (qresync (1))",
]


@pytest.mark.parametrize("line", BAD)
def test_refused(line: bytes) -> None:
    with pytest.raises(Refused) as e:
        parse(Cursor((line,)), State.STRANGER | State.AUTH | State.SELECTED)
    assert e.value.status == "BAD"


def test_charset() -> None:
    with pytest.raises(Refused) as e:
        parse(Cursor((b"t search charset koi8-r all",)), State.SELECTED)
    assert (e.value.status, e.value.code[:10]) == ("NO", "BADCHARSET")


STATES = [
    (b"t select x", State.STRANGER),
    (b"t login a b", State.AUTH),
    (b"t fetch 1 flags", State.AUTH),
]


@pytest.mark.parametrize(("line", "state"), STATES)
def test_states(line: bytes, state: State) -> None:
    with pytest.raises(Refused, match="not now"):
        parse(Cursor((line,)), state)


def test_each_command_is_done() -> None:
    assert COMMANDS.keys() == HANDLERS.keys()


WORDS = st.sampled_from(
    [
        *(b"uid", b"fetch", b"search", b"store", b"list", b"1:*", b"(", b")", b'"x"'),
        *(b"body[", b"]", b"header.fields", b"not", b"or", b"flags", b"{", b"*", b"%"),
        *(b"return", b"<0.1>", b"since", b"1-Jan-2001", b"\\Seen", b"NIL", b"$", b"~"),
    ]
)


@given(st.lists(WORDS | st.binary(max_size=8), max_size=30), st.booleans())
def test_junk_is_refused_or_read(words: list[bytes], spaced: bool) -> None:
    line = b"t " + (b" " if spaced else b"").join(words)
    with suppress(Refused):
        parse(Cursor((line,)), State.SELECTED)
