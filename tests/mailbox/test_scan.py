"""Blocks of any size find the same messages as looking at the whole file."""

import os
import re
import sys
import tempfile
import zlib
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.mailbox.drivers.mbox import scan
from mailfs.mailbox.drivers.mbox.scan import Rows
from mailfs.mailbox.kinds import Flag
from mailfs.msg import date, fromline

A = b"From a@b Sat Jan  3 01:05:34 1998\n"
B = b"From someone else@example.com Mon, 4 Jan 1999 10:00:00 +0100 1999\n"


LOOK, LINE, HEAD = 200, 100, 60  # octets; small, so that blocks can be small


FIELD = re.compile(rb"[!-9;-~]+[ \t]*:")
BOM = b"\xef\xbb\xbf"


def naive(data: bytes) -> list[tuple[int, int, int, int, int]]:
    """Do the same line by line, with everything in memory."""
    starts: list[tuple[int, bytes, int | None]] = []
    at = len(BOM) if data.startswith(BOM) else 0
    rows = lines(data[at:])
    bare = begins(rows, 0, at) and fromline.epoch(rows[0]) is None
    for i, line in enumerate(rows):
        if line.startswith(b"From ") and line.endswith(b"\n") and len(line) <= LINE:
            when = fromline.epoch(line)
            if when is not None or (bare and begins(rows, i, at)):
                starts.append((at, line, when))
        at += len(line)
    found = []
    for i, (start, line, when) in enumerate(starts):
        end = starts[i + 1][0] if i + 1 < len(starts) else len(data)
        text = data[start : min(end, start + LOOK)]
        head = zlib.crc32(text[:HEAD])
        said = fields(text, line)
        weak = zlib.crc32(line) | named(said) << 32
        if when is None:
            when = dated(said)
        found.append((start, head, weak, when, status(text, line)))
    return found


def begins(rows: list[bytes], i: int, at: int) -> bool:
    """Whether a From_ line without a date begins a message."""
    words = rows[i].removesuffix(b"\n").removesuffix(b"\r").split(b" ")
    named = [word for word in b" ".join(words).split() if word]
    plain = rows[i].startswith(b"From ") and rows[i].endswith(b"\n") and len(named) < 3
    follows = i + 1 < len(rows) and FIELD.match(rows[i + 1]) is not None
    first = i == 0
    ends = i > 1 and rows[i - 1] in (b"\n", b"\r\n")
    return (
        plain
        and follows
        and (first or ends or (i == 1 and rows[0] == b"\n" and at > 1))
    )


def fields(text: bytes, line: bytes) -> list[bytes]:
    """Return the lines of a header."""
    found = []
    for row in lines(text[len(line) :]):
        if row in (b"\n", b"\r\n") and (row == b"\n") == (not line.endswith(b"\r\n")):
            break
        found.append(row)
    return found


def named(said: list[bytes]) -> int:
    found = 0
    for name in (b"Message-ID:", b"Message-Id:", b"Message-id:", b"Date:"):
        for row in said:
            if row.startswith(name):
                value = row.removesuffix(b"\n").rstrip(b"\r")
                found = zlib.crc32(value, found)
                break
    return found


def dated(said: list[bytes]) -> int:
    for row in said:
        if row.lower().startswith(b"date:"):
            when = date.parse(row[5:].removesuffix(b"\n").strip())
            return 0 if when is None else when.epoch
    return 0


def lines(data: bytes) -> list[bytes]:
    parts = data.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + parts[-1:]


def status(text: bytes, line: bytes) -> int:
    flags = Flag.RECENT
    for row in lines(text[len(line) :]):
        if row in (b"\n", b"\r\n") and (row == b"\n") == (not line.endswith(b"\r\n")):
            break
        name, colon, value = row.partition(b":")
        if colon and name in (b"Status", b"X-Status"):
            value = value.rstrip(b"\n")
            if b"R" in value or b"O" in value:
                flags &= ~Flag.RECENT
            for letter, flag in zip(
                b"RAFDT",
                (
                    Flag.SEEN,
                    Flag.ANSWERED,
                    Flag.FLAGGED,
                    Flag.DELETED,
                    Flag.DRAFT,
                ),
                strict=True,
            ):
                flags |= flag if letter in value else Flag(0)
    return int(flags)


def tuples(rows: Rows) -> list[tuple[int, ...]]:
    return list(
        zip(rows.starts, rows.heads, rows.weaks, rows.dates, rows.flags, strict=True)
    )


def file_of(data: bytes) -> int:
    with tempfile.TemporaryFile() as f:
        f.write(data)
        f.flush()
        return os.dup(f.fileno())


PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                A,
                B,
                A[:-1],
                b"From the beginning\n",
                b">From a@b Sat Jan  3 01:05:34 1998\n",
                b"From a@b Sat Jan  3 01:05:34 1998\r\n",
                b"Status: RO\n",
                b"X-Status: AF\n",
                b"Status: \n",
                b"X-Spam-Status: RO\n",
                b"\n",
                b"\r\n",
                b"F",
                b"From ",
                b"From \n",
                b"\nFrom \nSubject: x\n",
                b"\nFrom -\r\nX-Y: x\n",
                b"\r\nFrom a b\nX-Y: x\n",
                b"Message-ID: <1@x>\n",
                b"Message-Id: <2@x>\r\n",
                b"Date: Sat, 3 Jan 1998 01:05:34 +0000\n",
                BOM,
                b"x" * 70,
                b"y" * 300,
            ]
        ),
        st.binary(max_size=5).map(lambda b: b.replace(b"\r", b"")),
    ),
    max_size=30,
).map(b"".join)
BEGINNINGS = st.sampled_from(
    [b"", BOM, b"From \nA: b\n\n", BOM + A, BOM + b"From -\nDate: x\n"]
)


@given(st.builds(bytes.__add__, BEGINNINGS, PIECES), st.integers(1, 400))
def test_any_block_size(data: bytes, block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "LOOK", LOOK)
        patch.setattr(scan, "LINE", LINE)
        pattern = scan._SEPARATOR.pattern.replace(b"4090", b"%d" % (LINE - 6))
        patch.setattr(scan, "_SEPARATOR", re.compile(pattern))
        patch.setattr(scan, "HEAD", HEAD)
        fd = file_of(data)
        try:
            want = naive(data)
            assert tuples(scan.scan(fd, 0, len(data), len(data), block=block)) == want
            rows = Rows()
            cuts = [len(data) * i // 3 for i in range(4)]
            for low, high in pairwise(cuts):
                rows.extend(scan.scan(fd, low, high, len(data), block=block))
            assert tuples(rows) == want
            assert tuples(Rows.unpack(rows.pack())) == want
        finally:
            os.close(fd)


def test_several_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mbox"
    path.write_bytes(
        b"junk\n" + b"".join(A + b"Subject: %d\n\nx\n\n" % i for i in range(500))
    )
    fd = os.open(path, os.O_RDONLY)
    size = os.fstat(fd).st_size
    want = tuples(scan.scan(fd, 0, size, size))
    monkeypatch.setattr(scan, "PARALLEL", 100)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    assert tuples(scan.scan_all(fd, 0, size)) == want
    assert len(want) == 500
    os.close(fd)


def test_a_helper_that_dies_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    fd = file_of(A * 10)
    monkeypatch.setattr(scan, "PARALLEL", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(OSError, match="scanning process"):
        scan.scan_all(fd, 0, len(A) * 10)
    os.close(fd)
    with pytest.raises(OSError, match="ended early"):
        Rows.unpack(b"123")


def test_long_lines_and_headers_end_nothing() -> None:
    long = A + b"X: " + b"z" * (scan.LOOK + 10) + b"\nStatus: R\n\n" + A + b"\n"
    fd = file_of(long)
    rows = scan.scan(fd, 0, len(long), len(long), block=1000)
    assert rows.starts.tolist() == [0, len(long) - len(A) - 1]
    assert rows.flags[0] == Flag.RECENT  # the header is too long to be believed
    os.close(fd)
