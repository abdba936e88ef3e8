"""The time of one delivery: its end, cutting it, and when that is too late."""

import pytest

from mailfs.smtp.limit import Cut, DeliveryLimit


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_wait_ends_with_the_delivery() -> None:
    clock = Clock()
    limit = DeliveryLimit(60, clock=clock)
    assert limit.left(300) == 60
    clock.now += 50
    assert limit.left(300) == 10
    assert limit.left(5) == 5
    clock.now += 10
    with pytest.raises(Cut, match="gave up after 60 seconds"):
        limit.left(5)


def test_cut_interrupts_the_wait() -> None:
    limit, calls = DeliveryLimit(), list[str]()
    with limit.interruptible(lambda: calls.append("outer")):
        with limit.interruptible(lambda: calls.append("inner")):
            pass
        assert limit.cut("runq ends")
    assert calls == ["outer"]
    assert limit.cut_off
    for act in (limit.check, limit.seal, lambda: limit.left(1)):
        with pytest.raises(Cut, match="runq ends"):
            act()
    with pytest.raises(Cut), limit.interruptible(lambda: None):
        pass


def test_what_a_server_may_have_taken_is_waited_for() -> None:
    clock = Clock()
    limit = DeliveryLimit(60, clock=clock)
    with limit.paused():
        assert not limit.sealed
        limit.seal()
        clock.now += 100
        assert limit.sealed
        assert not limit.cut("runq ends")
        assert limit.left(600) == 600
    assert limit.left(600) == 60
    assert limit.cut("runq ends")
    with pytest.raises(Cut):
        limit.left(600)


def test_slow() -> None:
    clock = Clock()
    limit = DeliveryLimit(quiet=1.0, clock=clock)
    assert limit.slow_at == 101.0
    clock.now = 129.5
    limit.heard()
    assert limit.slow_at == 130.0
