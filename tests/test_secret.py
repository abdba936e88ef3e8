"""A secret prints as a question mark, whoever prints it."""

import copy
import logging
import pickle
import resource
import traceback

import pytest

from mailfs.secret import Secret, no_core


@pytest.mark.parametrize("raw", [b"hush", "hush"])
def test_reveal(raw: bytes | str) -> None:
    assert Secret(raw).reveal() == b"hush"
    assert Secret(raw).text() == "hush"
    assert Secret("\u00e9").reveal() == b"\xc3\xa9"


def test_never_prints(caplog: pytest.LogCaptureFixture) -> None:
    s = Secret("hush")
    logging.getLogger("x").error("%s %r", s, {"k": s})
    for text in (str(s), repr(s), f"{s}", f"{s!r:>1}", "%s" % s, repr([s]), f"{s:s}"):  # noqa: UP031
        assert "hush" not in text
        assert "?" in text
    assert "hush" not in caplog.text
    with pytest.raises(ValueError, match=r"[?]") as e:
        raise ValueError(s)
    assert "hush" not in "".join(traceback.format_exception(e.value))


def test_equality() -> None:
    assert Secret("a") == Secret(b"a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != b"a"
    with pytest.raises(TypeError, match="unhashable"):
        hash(Secret("a"))
    assert Secret("a")
    assert not Secret("")


def test_neither_written_out_nor_changed() -> None:
    s = Secret("hush")
    for work in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not written out"):
            work(s)
    with pytest.raises(AttributeError):
        s.x = 1
    with pytest.raises(AttributeError):
        s._raw = bytearray()


def test_octets_are_overwritten_at_the_end() -> None:
    s = Secret("hush")
    raw = s._raw
    del s
    assert raw == bytes(4)


def test_no_core() -> None:
    no_core()
    assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)


def test_bad_argument() -> None:
    with pytest.raises(TypeError):
        Secret(None)  # type: ignore[arg-type]
