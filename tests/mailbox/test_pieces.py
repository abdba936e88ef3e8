"""Messages that are added in pieces: the same octets, and never all in memory."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.mailbox.kinds import Flag, Stale
from mailfs.mailbox.octets import Memory, Octets
from mailfs.msg import fromline
from tests.fs.conftest import mbox
from tests.fs.serving import serving
from tests.mailbox.bench import BENCHES, FIRST, Bench, everything, mail
from tests.mailbox.contract import contents

WORDS = [b"\n", b"From ", b"F", b"rom ", b"\nFrom", b" ", b"x", b"\r\n", b">From "]


@given(st.lists(st.lists(st.sampled_from(WORDS)).map(b"".join)))
def test_quoting_in_pieces(pieces: list[bytes]) -> None:
    assert b"".join(fromline.quoted(pieces)) == fromline.quote(b"".join(pieces))


@given(st.lists(st.sampled_from(WORDS)).map(b"".join))
def test_quoting_octet_by_octet(data: bytes) -> None:
    pieces = [data[i : i + 1] for i in range(len(data))]
    assert b"".join(fromline.quoted(pieces)) == fromline.quote(data)


class Cut(Octets):
    """Octets that come a few at a time."""

    def __init__(self, data: bytes, most: int) -> None:
        self.data = data
        self.most = most

    def __len__(self) -> int:
        return len(self.data)

    def read(self, start: int, end: int) -> bytes:
        return self.data[start:end]

    def pieces(self, start: int, end: int) -> Iterator[bytes]:
        for at in range(start, end, self.most):
            yield self.data[at : min(at + self.most, end)]


class Gone(Cut):
    """A message whose store changes while it is read."""

    def read(self, start: int, end: int) -> bytes:
        if end > self.most:
            raise Stale("gone")
        return self.data[start:end]

    def pieces(self, start: int, end: int) -> Iterator[bytes]:
        yield self.data[start : start + self.most]
        raise Stale("gone")


class Short(Cut):
    """A message that has fewer octets than it says."""

    def read(self, start: int, end: int) -> bytes:
        return self.data[start : min(end, self.most)]

    def pieces(self, start: int, end: int) -> Iterator[bytes]:
        yield self.data[start : start + self.most]


MESSAGES = [
    mail(1),
    mail(1)[:-1],
    b"",
    b"\n",
    b"no header",
    b"From here\n\nFrom there\nFrom nowhere\n",
    b"X: " + b"y" * 200_000 + b"\nSubject: s\n\nFrom\n" + b"From it\n" * 1000,
]


@pytest.mark.parametrize("cls", BENCHES)
@pytest.mark.parametrize("flags", [Flag(0), Flag.SEEN | Flag.FLAGGED])
@pytest.mark.parametrize("octets", MESSAGES)
def test_the_same_octets(
    tmp_path: Path, cls: type[Bench], flags: Flag, octets: bytes
) -> None:
    found = []
    ways: list[bytes | Octets] = [octets, Memory(octets), Cut(octets, 997)]
    for i, message in enumerate(ways):
        bench = cls(tmp_path / str(i))
        bench.make()
        driver = bench.open()
        driver.append(message, FIRST, "a@example.com", flags)
        found.append(everything(driver.list()))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("cls", BENCHES)
@pytest.mark.parametrize("bad", [Gone, Short])
def test_half_a_message_is_none(
    tmp_path: Path, cls: type[Bench], bad: type[Cut]
) -> None:
    bench = cls(tmp_path)
    bench.make()
    bench.fill(1)
    before = contents(bench.box.parent)
    with pytest.raises((Stale, OSError)):
        bench.open().append(bad(mail(1), 10), FIRST, "a@example.com", Flag(0))
    after = contents(bench.box.parent)
    assert {n: o for n, o in after.items() if ".mh_sequences" not in n} == {
        n: o for n, o in before.items() if ".mh_sequences" not in n
    }
    assert everything(bench.open().list()) == [bench.stored(0)]


SCRIPT = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.mailbox.test_pieces import copied
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
copied(Path(sys.argv[2]), Path(sys.argv[3]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def copied(box: Path, target: Path) -> None:
    """Copy message 1 of a mailbox to another, through the tree."""
    with serving(box.parent / "tree", mbox=box, other=target) as tree:
        with tree.client() as client:
            client.write("/ctl", b"copy mbox 1 other")


@pytest.mark.parametrize("cls", BENCHES)
def test_a_long_message_is_copied_in_little_memory(
    tmp_path: Path, cls: type[Bench]
) -> None:
    size = 100 << 20
    (tmp_path / "a").mkdir()
    box = tmp_path / "a" / "long"
    text = "Subject: s\n\n" + "x\n" * (size // 2)
    box.write_bytes(mbox([("a@b", "Mon Mar  2 09:00:00 2026", text)]))
    bench = cls(tmp_path / "t")
    bench.make()
    here = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, here, str(box), str(bench.box)],
        stdout=subprocess.PIPE,
        check=True,
    )
    (octets,) = everything(bench.open().list())
    assert text.encode() in octets
    assert int(done.stdout) < 64 << 10  # kilobytes
