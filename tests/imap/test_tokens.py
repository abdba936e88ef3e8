"""Values in responses, held against imapclient's own parser."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imapclient.response_parser import parse_response

from mailfs.imap.fetched import fetched
from mailfs.imap.grammar.tokens import (
    MAX_DEPTH,
    Malformed,
    Value,
    attributes,
    number,
    skip,
    string,
    values,
)

CASES: list[tuple[bytes, list[Value]]] = [
    (b"", []),
    (b"a", [b"a"]),
    (b"NIL nil", [None, None]),
    (b'"NIL"', [b"NIL"]),
    (b'"" "a b" "q\\"q\\\\"', [b"", b"a b", b'q"q\\']),
    (b"(a (b) ())", [[b"a", [b"b"], []]]),
    (b"(a)(b)", [[b"a"], [b"b"]]),
    (b'("a""b")', [[b"a", b"b"]]),
    (b"{3}\r\na\r\n x", [b"a\r\n", b"x"]),
    (b"~{2+}\r\n() y", [b"()", b"y"]),
    (b"({0}\r\n)", [[b""]]),
    (b"\\Seen $Forwarded [x]", [b"\\Seen", b"$Forwarded", b"[x]"]),
    (b'"\xc3\xa9" \xff', [b"\xc3\xa9", b"\xff"]),
    (b"1:3,7 a{b", [b"1:3,7", b"a{b"]),
    (b"a) b", [b"a"]),
]


@pytest.mark.parametrize(("raw", "found"), CASES)
def test_values(raw: bytes, found: list[Value]) -> None:
    assert values(raw) == found


@pytest.mark.parametrize(
    "raw", [b"(", b"(a", b'"a', b'"a\\"', b"{3}\r\nab", b"{3}ab", b"((a)", b"{"]
)
def test_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        values(raw)
    with pytest.raises(Malformed):
        skip(raw, 0)


def test_depth_is_bounded() -> None:
    good = b"(" * MAX_DEPTH + b")" * MAX_DEPTH
    assert values(good)
    with pytest.raises(Malformed, match="too deep"):
        values(b"(" + good + b")")


def show(value: Value) -> bytes:
    """Write a value as a server would."""
    if value is None:
        return b"NIL"
    if isinstance(value, list):
        return b"(" + b" ".join(map(show, value)) + b")"
    if any(c < 32 or c > 126 for c in value):
        return b"{%d}\r\n%s" % (len(value), value)
    return b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


VALUES: st.SearchStrategy[Value] = st.recursive(
    st.none() | st.binary(max_size=12),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_round_trip(value: Value) -> None:
    raw = show(value)
    assert values(raw) == [value]
    assert skip(raw + b" x", 0) == len(raw)
    for cut in range(len(raw)):
        try:
            found = values(raw[:cut])
        except Malformed:
            continue
        assert found in ([], [raw[:cut].strip() or None])  # NIL cut short is an atom


@given(st.lists(VALUES, min_size=1, max_size=4))
def test_as_imapclient_reads_it(found: list[Value]) -> None:
    raw = b" ".join(map(show, found))
    whole = [raw] if b"}\r\n" not in raw else list(_as_imaplib(raw))
    assert tuple(_same(v) for v in parse_response(whole)) == tuple(map(_same, found))


def _as_imaplib(raw: bytes) -> list[bytes | tuple[bytes, bytes]]:
    """Cut a response as imaplib hands it out: text with its literal, then the rest."""
    parts: list[bytes | tuple[bytes, bytes]] = []
    at = start = 0
    while (end := raw.find(b"}\r\n", at)) >= 0:
        # A literal's header is outside quotes: ours quote no braces with line ends.
        size = int(raw[raw.rindex(b"{", 0, end) + 1 : end])
        at = end + 3 + size
        parts.append((raw[start : end + 1], raw[end + 3 : at]))
        start = at
    return [*parts, raw[start:]]


def _same(value: object) -> object:
    if isinstance(value, list | tuple):
        return tuple(map(_same, value))
    return value


@given(st.binary(max_size=60) | st.text('() "\\{}123NILa\r\n', max_size=40))
def test_garbage_is_refused_or_read(raw: bytes | str) -> None:
    octets = raw if isinstance(raw, bytes) else raw.encode()
    readers: list[Callable[[bytes], object]] = [
        values,
        lambda x: skip(x, 0),
        lambda x: list(attributes(x, 0)),
        lambda x: string(x, 0, len(x)),
        number,
    ]
    for reader in readers:
        try:
            reader(octets)
        except Malformed:
            continue
    fetched(b"* 1 FETCH " + octets)
    fetched(b"* 1 FETCH (UID 5 " + octets + b")")


ROW = (
    b'* 12 FETCH (FLAGS (\\Seen $X) UID 99 INTERNALDATE "17-Jul-1996 02:44:25 -0700" '
    b"BODY[HEADER.FIELDS (TO FROM)] {7}\r\nTo: )\r\n MODSEQ (77) "
    b'BODYSTRUCTURE ("text" "plain" NIL NIL NIL "7bit" 5 1) BODY[]<0> "x" '
    b"RFC822.SIZE 5)"
)


def test_fetched() -> None:
    row = fetched(ROW)
    assert row is not None
    assert (row.number, row.uid, row.modseq) == (12, 99, 77)
    assert row.flags is not None
    assert row.flags.keywords == ("$X",)
    assert row.value(b"BODYSTRUCTURE") == b'("text" "plain" NIL NIL NIL "7bit" 5 1)'
    where = row.items[b"BODY[HEADER.FIELDS (TO FROM)]"]
    assert string(ROW, *where) == b"To: )\r\n"
    assert list(row.items)[-2:] == [b"BODY[]<0>", b"RFC822.SIZE"]
    for cut in range(len(ROW)):
        part = fetched(ROW[:cut])
        assert part is None or part.items.keys() <= row.items.keys()


@pytest.mark.parametrize("raw", [b"* 1 EXISTS", b"* FETCH (UID 1)", b"* 1 FETCH", b""])
def test_not_fetched(raw: bytes) -> None:
    assert fetched(raw) is None


@pytest.mark.parametrize("uid", [b"0", b"4294967296", b"x", b"-1", b"()"])
def test_uids_that_are_none(uid: bytes) -> None:
    row = fetched(b"* 1 FETCH (UID " + uid + b")")
    assert row is not None
    try:
        assert row.uid is None
    except Malformed:
        assert uid != b"0"
