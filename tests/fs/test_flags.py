"""The flags file; spec upasfs section 3.3."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.errors import EFLAG, Refused
from mailfs.mailbox.kinds import Flag
from mailfs.mailboxes.flags import LETTERS, parse, show
from mailfs.p9.client import Client

from .serving import serving

CASES = [
    ("", "", ""),
    ("s", "s", ""),
    ("+s", "s", ""),
    ("-f", "", "f"),
    ("+a-f", "a", "f"),
    ("a+d-Df+S", "adS", "Df"),
    ("++s--f", "s", "f"),
    ("s-s", "", "s"),
    ("-s+s", "s", ""),
    ("+r", "", ""),
    ("-r+s", "s", ""),
]


def flags(letters: str) -> Flag:
    found = Flag(0)
    for letter in letters:
        found |= LETTERS[letter]
    return found


@pytest.mark.parametrize(("text", "add", "drop"), CASES)
def test_parse(text: str, add: str, drop: str) -> None:
    assert parse(text) == (flags(add), flags(drop))


@pytest.mark.parametrize("text", ["x", "sx", "+s -f", "seen", "s\n", "é"])
def test_bad_letters(text: str) -> None:
    with pytest.raises(Refused, match=EFLAG):
        parse(text)


def test_show() -> None:
    assert show(Flag(0)) == "-------"
    assert show(Flag.RECENT) == "----r--"
    assert show(~Flag(0)) == "aDdfrsS"


@given(st.sets(st.sampled_from("aDdfsS")), st.sets(st.sampled_from("aDdfsS")))
def test_what_is_shown_can_be_written(on: set[str], off: set[str]) -> None:
    add, drop = parse("+" + "".join(on) + "-" + "".join(off - on))
    assert show(add).replace("-", "") == "".join(c for c in LETTERS if c in on)
    assert not add & drop


@pytest.mark.parametrize(
    ("writes", "want"),
    [
        (["+s"], "----rs-"),
        (["s\n"], "----rs-"),
        (["+sa", "-s"], "a---r--"),
        (["D"], "-D--r--"),
        (["+S", "+f", "-S"], "---fr--"),
        (["-r"], "----r--"),
    ],
)
def test_write(client: Client, writes: list[str], want: str) -> None:
    with client.open("/mbox/1/flags", 2) as file:
        for text in writes:
            file.write(text.encode())
    assert client.read("/mbox/1/flags").decode() == want
    assert client.read("/mbox/1/info").decode().split("\n")[17] == want


def test_bad_write_changes_nothing(client: Client) -> None:
    with pytest.raises(Refused, match=EFLAG):
        client.write("/mbox/1/flags", b"+sx")
    assert client.read("/mbox/1/flags") == b"----r--"


def test_flags_are_on_disk_when_the_write_returns(tmp_path: Path, box: Path) -> None:
    octets = box.read_bytes()
    with serving(tmp_path, mbox=box) as tree, tree.client() as client:
        client.write("/mbox/2/flags", b"+sa")
        # another server, which knows nothing of this one, sees them
        with (
            serving(tmp_path / "other", mbox=box) as tree2,
            tree2.client() as second,
        ):
            assert second.read("/mbox/2/flags") == b"a---rs-"
            second.write("/mbox/2/flags", b"-a")
        client.ls("/mbox")
        assert client.read("/mbox/2/flags") == b"----rs-"
    assert box.read_bytes() == octets
