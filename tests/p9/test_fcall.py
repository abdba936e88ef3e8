"""Messages and directory entries against their octets, both ways, cut everywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.p9.fcall import (
    DMDIR,
    ENTRY,
    HEADER,
    LAYOUTS,
    MAXWELEM,
    NOFID,
    NOTAG,
    NOTOUCH,
    NUMBERS,
    QTDIR,
    TYPES,
    Fcall,
    FormatError,
    Qid,
    Rattach,
    Rauth,
    Rclunk,
    Rcreate,
    Rerror,
    Rflush,
    Ropen,
    Rread,
    Rremove,
    Rstat,
    Rversion,
    Rwalk,
    Rwrite,
    Rwstat,
    Stat,
    Tattach,
    Tauth,
    Tclunk,
    Tcreate,
    Tflush,
    Topen,
    Tread,
    Tremove,
    Tstat,
    Tversion,
    Twalk,
    Twrite,
    Twstat,
    owners,
    pack,
    show,
    unpack,
    unpack_stats,
)

QID = Qid(0x80, 0x01020304, 0x1112131415161718)
QIDHEX = "80 04030201 1817161514131211"
STAT = Stat(1, 2, QID, DMDIR | 0o755, 3, 4, 5, "näm", "u", "gr", "")
STATHEX = (
    f"3600 0100 02000000 {QIDHEX} ed010080 03000000 04000000 0500000000000000"
    "0400 6ec3a46d 0100 75 0200 6772 0000"
)

# The fields of each message after its header: size[4] type[1] tag[2], the tag being 1.
CASES: list[tuple[Fcall, int, str]] = [
    (Tversion(8216, "9P2000"), 100, "18200000 0600 395032303030"),
    (Rversion(8216, "9P2000"), 101, "18200000 0600 395032303030"),
    (Tauth(7, "glenda", "x"), 102, "07000000 0600 676c656e6461 0100 78"),
    (Rauth(QID), 103, QIDHEX),
    (Tattach(1, NOFID, "g", ""), 104, "01000000 ffffffff 0100 67 0000"),
    (Rattach(QID), 105, QIDHEX),
    (Rerror("no"), 107, "0200 6e6f"),
    (Tflush(513), 108, "0102"),
    (Rflush(), 109, ""),
    (Twalk(1, 2, ()), 110, "01000000 02000000 0000"),
    (Twalk(1, 2, ("a", "..")), 110, "01000000 02000000 0200 0100 61 0200 2e2e"),
    (Rwalk(()), 111, "0000"),
    (Rwalk((QID, QID)), 111, f"0200 {QIDHEX} {QIDHEX}"),
    (Topen(1, 0x11), 112, "01000000 11"),
    (Ropen(QID, 8192), 113, f"{QIDHEX} 00200000"),
    (Tcreate(1, "f", 0o644, 1), 114, "01000000 0100 66 a4010000 01"),
    (Rcreate(QID, 0), 115, f"{QIDHEX} 00000000"),
    (Tread(1, 0, 512), 116, "01000000 0000000000000000 00020000"),
    (Rread(b"abc"), 117, "03000000 616263"),
    (Twrite(1, 1 << 32, b"xy"), 118, "01000000 0000000001000000 02000000 7879"),
    (Rwrite(2), 119, "02000000"),
    (Tclunk(1), 120, "01000000"),
    (Rclunk(), 121, ""),
    (Tremove(1), 122, "01000000"),
    (Rremove(), 123, ""),
    (Tstat(1), 124, "01000000"),
    (Rstat(STAT), 125, f"3800 {STATHEX}"),
    (Twstat(1, STAT), 126, f"01000000 3800 {STATHEX}"),
    (Rwstat(), 127, ""),
]


def frame(number: int, fields: str) -> bytes:
    body = bytes.fromhex(fields)
    return HEADER.pack(HEADER.size + len(body), number, 1) + body


@pytest.mark.parametrize(("msg", "number", "fields"), CASES)
def test_wire(msg: Fcall, number: int, fields: str) -> None:
    raw = frame(number, fields)
    tag, got = unpack(raw)
    assert (tag, got, type(got)) == (1, msg, type(msg))
    assert pack(1, msg) == raw
    for cut in range(len(raw)):
        with pytest.raises(FormatError):
            unpack(raw[:cut])
    for body in [raw[7:cut] for cut in range(7, len(raw))] + [raw[7:] + b"!"]:
        with pytest.raises(FormatError):
            unpack(HEADER.pack(7 + len(body), number, 1) + body)
    with pytest.raises(FormatError):
        unpack(b"\xff" + raw[1:])


def test_every_type_has_a_case() -> None:
    assert {number for _, number, _ in CASES} == set(TYPES)
    assert set(range(100, 128)) - set(TYPES) == {106}
    assert {TYPES[NUMBERS[cls]] for cls in TYPES.values()} == set(TYPES.values())


JUNK = [
    ("a type nobody knows", 99, ""),
    ("Terror", 106, "0000"),
    ("not UTF-8", 107, "0200 c328"),
    ("half of a surrogate pair", 107, "0300 eda080"),
    ("NUL in a string", 107, "0300 610062"),
    ("a name beyond the end", 110, "01000000 02000000 0100 ff00 61"),
    ("fewer names than said", 110, "01000000 02000000 0200 0100 61"),
    ("more names than said", 110, "01000000 02000000 0100 0100 61 0100 62"),
    ("17 names", 110, "01000000 02000000 1100" + "0100 61" * 17),
    ("17 qids", 111, "1100" + QIDHEX * 17),
    ("fewer octets than said", 117, "04000000 616263"),
    ("more octets than said", 117, "02000000 616263"),
    ("a count of 4 GB", 118, "01000000 0000000000000000 ffffffff 61"),
    ("stat: n disagrees with size", 125, f"3700 {STATHEX}"),
    ("stat: size disagrees with n", 125, f"3800 3700 {STATHEX[5:]}"),
    ("stat: n and size agree, the fields do not", 125, f"3900 3700 {STATHEX[5:]} 00"),
    ("stat of no octets", 125, "0000"),
]


@pytest.mark.parametrize(("_why", "number", "fields"), JUNK)
def test_junk(_why: str, number: int, fields: str) -> None:
    with pytest.raises(FormatError):
        unpack(frame(number, fields))


UNFIT: list[Fcall] = [
    Rerror("a\0b"),
    Rerror("\ud800"),
    Rerror("x" * 65536),
    Twalk(1, 2, ("x",) * (MAXWELEM + 1)),
    Twalk(1, 2, ("x" * 65536,)),
    Rwalk((QID,) * (MAXWELEM + 1)),
    Tread(1, 0, 1 << 32),
    Tread(-1, 0, 1),
    Rattach(Qid(256, 0, 0)),
    Rstat(STAT._replace(length=1 << 64)),
    Rstat(STAT._replace(name="x" * 65500)),
]


@pytest.mark.parametrize("msg", UNFIT)
def test_what_does_not_fit_is_refused(msg: Fcall) -> None:
    with pytest.raises(FormatError):
        pack(1, msg)


def test_entry_is_what_stat_packs() -> None:
    raw = STAT.pack()
    assert raw == bytes.fromhex(STATHEX)
    assert pack(1, Rstat(STAT))[9:] == raw
    assert raw[ENTRY.size :] == "näm".encode() + owners("u", "gr", "")


@pytest.mark.parametrize(
    "stat",
    [
        STAT._replace(mtime=1 << 32),
        STAT._replace(name="x" * 65500),
        STAT._replace(name="a\0"),
        STAT._replace(uid="u" * 65536),
        STAT._replace(muid="\udcff"),
    ],
)
def test_entry_that_does_not_fit(stat: Stat) -> None:
    with pytest.raises(FormatError):
        stat.pack()


def test_directory() -> None:
    stats = [STAT, STAT._replace(name="b"), NOTOUCH]
    raw = b"".join(s.pack() for s in stats)
    assert list(unpack_stats(raw)) == stats
    whole = {0}
    for s in stats:
        whole.add(max(whole) + len(s.pack()))
    for cut in range(len(raw)):
        if cut in whole:
            continue
        with pytest.raises(FormatError):
            list(unpack_stats(raw[:cut]))


def test_notouch_is_all_ones_and_empty() -> None:
    assert NOTOUCH.pack()[2:] == b"\xff" * 39 + bytes(8)


SHOWN: list[tuple[Fcall, str]] = [
    (Tread(2, 0, 512), "Tread tag 1 fid 2 offset 0 count 512"),
    (Rflush(), "Rflush tag 1"),
    (Twalk(1, 2, ("a", "b")), "Twalk tag 1 fid 1 newfid 2 wname 2 'a' 'b'"),
    (Rwalk((Qid(QTDIR, 1, 2),)), "Rwalk tag 1 wqid 1 (0000000000000002 1 d)"),
    (Rattach(Qid(0x68, 0, 255)), "Rattach tag 1 qid (00000000000000ff 0 alA)"),
    (Rread(b"a\n" * 99), "Rread tag 1 data 198 " + repr("a\n" * 16)),
    (Rerror("\x1b[m"), r"Rerror tag 1 ename '\x1b[m'"),
    (
        Twstat(1, STAT._replace(qid=Qid(0, 1, 2))),
        "Twstat tag 1 fid 1 stat 'näm' 'u' 'gr' '' q (0000000000000002 1 ) "
        "m 020000000755 at 3 mt 4 l 5 t 1 d 2",
    ),
]


@pytest.mark.parametrize(("msg", "line"), SHOWN)
def test_show(msg: Fcall, line: str) -> None:
    assert show(1, msg) == line


@given(st.sampled_from(sorted(TYPES)), st.binary(max_size=96))
def test_garbage_is_refused_or_round_trips(number: int, body: bytes) -> None:
    raw = HEADER.pack(HEADER.size + len(body), number, 7) + body
    try:
        tag, msg = unpack(raw)
    except FormatError:
        return
    assert pack(tag, msg) == raw
    assert show(tag, msg)


def values(note: object) -> st.SearchStrategy[object]:
    """Give values for a field so annotated."""
    text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
    args = getattr(note, "__metadata__", ())
    if args and args[0] in "BHIQ" and note.__origin__ is int:  # type: ignore[attr-defined]
        bits = {"B": 8, "H": 16, "I": 32, "Q": 64}[args[0]]
        return st.integers(0, (1 << bits) - 1)
    if args:
        return st.binary(max_size=64)
    if note is str:
        return text
    if hasattr(note, "_fields"):
        fields = map(values, note.__annotations__.values())
        return st.tuples(*fields).map(note._make)  # type: ignore[attr-defined]
    item = note.__args__[0]  # type: ignore[attr-defined]
    return st.lists(values(item), max_size=MAXWELEM).map(tuple)


@given(st.data())
def test_all_values_round_trip(data: st.DataObject) -> None:
    cls = data.draw(st.sampled_from(sorted(LAYOUTS, key=lambda c: c.__name__)))
    msg = data.draw(values(cls))
    assert isinstance(msg, cls)
    raw = pack(NOTAG, msg)
    tag, got = unpack(raw)
    assert (tag, got, type(got)) == (NOTAG, msg, cls)
    assert show(NOTAG, msg)
