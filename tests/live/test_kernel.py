"""The harness itself, as far as it goes without a boot."""

import pytest

from tests.live.kernel import Result, mount, parse

STEPS = ["first", "second"]
STREAM = b"0 3 0\na\nb1 0 2\n\xff\n"


def test_results_are_octets() -> None:
    first, second = parse(STREAM, STEPS)
    assert first == Result("first", 0, b"a\nb", b"")
    assert second == Result("second", 1, b"", b"\xff\n")
    assert first.check().lines == ["a", "b"]
    with pytest.raises(AssertionError, match="second\nstatus 1"):
        second.check()


@pytest.mark.parametrize("cut", range(len(STREAM)))
def test_results_cut_short(cut: int) -> None:
    whole = parse(STREAM, STEPS)
    assert parse(STREAM[:cut], STEPS) == whole[: 1 if cut >= 9 else 0]


def test_options_given_last_win() -> None:
    command = mount(564, "/a b", options="version=9p2000.u")
    assert command.startswith("mkdir -p '/a b' && mount -t 9p -o trans=tcp,port=564,")
    assert command.endswith(",version=9p2000.u 10.0.2.2 '/a b'")
