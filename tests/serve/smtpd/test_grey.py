"""The greylist: first calls, second calls, calls too early and too late."""

from pathlib import Path

from mailfs.serve.smtpd.grey import PAUSE, REMEMBERED, WINDOW, Greylist
from mailfs.serve.smtpd.net import Address, address

NOW = 1_800_000_001


def peer(text: str) -> Address:
    found = address(text)
    assert found is not None
    return found


def test_a_call_that_comes_again(tmp_path: Path) -> None:
    grey = Greylist(tmp_path)

    def call(at: int, who: str = "10.1.2.3", rcpt: str = "c@d") -> bool:
        return grey.passes(peer(who), "a@b", [rcpt], NOW + at)

    assert not call(0)
    assert not call(PAUSE - 1)  # too early, and no new beginning
    assert not call(PAUSE, rcpt="other@d")
    assert not call(PAUSE, who="10.1.3.3")
    assert call(PAUSE, who="10.1.2.99")  # the same network
    assert call(PAUSE + 1, rcpt="anyone@d")  # which is believed from now on
    assert call(PAUSE + REMEMBERED)
    assert not call(PAUSE + 3 * REMEMBERED, rcpt="new@d")


def test_a_call_that_comes_too_late(tmp_path: Path) -> None:
    grey = Greylist(tmp_path)
    for at in (0, WINDOW + 1, WINDOW + PAUSE):
        assert not grey.passes(peer("10.1.2.3"), "a@b", ["c@d"], NOW + at)
    assert grey.passes(peer("10.1.2.3"), "a@b", ["c@d"], NOW + WINDOW + PAUSE + 1)


def test_a_call_from_ahead_of_the_clock(tmp_path: Path) -> None:
    grey = Greylist(tmp_path)
    assert not grey.passes(peer("2001:db8::1"), "a@b", ["c@d"], NOW + 10**6)
    assert not grey.passes(peer("2001:db8::1"), "a@b", ["c@d"], NOW)
    assert grey.passes(peer("2001:db8::2"), "A@b", ["c@D"], NOW + PAUSE)
