"""The time of one delivery: its end, cutting it, and when that is too late."""

import threading

import pytest

from mailfs.smtp.budget import MemoryBudget
from mailfs.smtp.fate import DeliveryError
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


def test_memory_is_shared() -> None:
    budget, limit = MemoryBudget(10, wait=0.01), DeliveryLimit()
    budget.take(6, limit)
    budget.take(4, limit)
    with pytest.raises(DeliveryError, match="too many large messages") as told:
        budget.take(1, limit)
    assert not told.value.permanent
    budget.give(4)
    budget.give(6)
    budget.take(100, limit)  # alone


def test_memory_is_waited_for() -> None:
    budget, limit = MemoryBudget(10), DeliveryLimit()
    budget.take(10, limit)
    thread = threading.Thread(target=lambda: budget.take(5, limit))
    thread.start()
    budget.give(10)
    thread.join(20)
    assert not thread.is_alive()
