"""Few connections for many mailboxes."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from mailfs.remote.limit import ConnectionLimit


class Line:
    """A connection that leaves when it is parked, if it is idle."""

    def __init__(self, limit: ConnectionLimit, *, idle: bool = True) -> None:
        self._limit = limit
        self.idle = idle
        self.ended = False
        self.asked = 0
        self.parked = False

    def park(self) -> bool:
        self.asked += 1
        if self.idle and not self.parked:
            self.parked = True
            threading.Timer(0.01, self._limit.leave, ("x", self)).start()
        return self.idle


SOON = 20.0  # seconds, more than anything here takes


def test_the_one_whose_use_is_longest_ago_is_parked() -> None:
    limit = ConnectionLimit(2)
    a, b, c = (Line(limit) for _ in "abc")
    assert limit.enter("x", a)
    assert limit.enter("x", b)
    limit.use("x", a)
    assert limit.enter("x", c, SOON)
    assert [a.parked, b.parked, c.parked] == [False, True, False]
    assert limit.count("x") == 2


def test_what_is_being_used_is_spared_and_asked_to_go_afterwards() -> None:
    limit = ConnectionLimit(2)
    a, b, c = Line(limit, idle=False), Line(limit), Line(limit)
    for line in (a, b, c):
        assert limit.enter("x", line, SOON)
    assert [a.parked, b.parked, c.parked] == [False, True, False]
    assert a.asked


def test_no_more_than_allowed_though_all_are_used() -> None:
    limit = ConnectionLimit(1)
    a, b = Line(limit, idle=False), Line(limit)
    assert limit.enter("x", a)
    assert not limit.enter("x", b, 0.05)
    assert limit.count("x") == 1
    ending = threading.Timer(0.1, limit.leave, ("x", a))
    ending.start()
    assert limit.enter("x", b, SOON)
    ending.join()


def test_whose_mailbox_is_closed_waits_no_longer() -> None:
    limit = ConnectionLimit(1)
    a, b = Line(limit, idle=False), Line(limit)
    assert limit.enter("x", a)
    b.ended = True
    began = time.monotonic()
    assert not limit.enter("x", b, 1000)
    assert time.monotonic() - began < SOON


def test_accounts_and_those_that_left_do_not_count() -> None:
    limit = ConnectionLimit(1)
    a, b, c = (Line(limit) for _ in "abc")
    assert limit.enter("x", a)
    assert limit.enter("y", b)
    limit.leave("x", a)
    assert limit.enter("x", c)
    assert not any(line.parked for line in (a, b, c))


def test_a_refusal_lowers_the_limit_for_a_while() -> None:
    now = [0.0]
    limit = ConnectionLimit(8, lowered=60, clock=lambda: now[0])
    a, b, c = (Line(limit, idle=False) for _ in "abc")
    for line in (a, b, c):
        assert limit.enter("x", line)
    limit.refused("x", c)
    assert not limit.enter("x", c)
    assert limit.enter("y", c)
    now[0] = 61
    assert limit.enter("x", c)


def test_one_connection_may_always_be_made() -> None:
    limit = ConnectionLimit(8)
    a, b = Line(limit), Line(limit)
    assert limit.enter("x", a)
    limit.refused("x", a)
    assert limit.enter("x", b)


def test_the_herald_goes_only_where_there_is_no_other() -> None:
    limit = ConnectionLimit(2)
    a, b, c = (Line(limit) for _ in "abc")
    assert limit.enter("x", a)
    assert limit.herald("x", a)
    assert limit.enter("x", b)
    assert not limit.herald("x", b)
    assert limit.enter("x", c, SOON)
    assert [a.parked, b.parked] == [False, True]
    limit.refused("x", c)
    assert limit.enter("x", b, SOON)  # one is allowed, which the herald has
    assert a.parked


def test_what_is_lent_counts_and_is_bounded() -> None:
    limit = ConnectionLimit(4)
    a, b, c, d, e = (Line(limit, idle=False) for _ in "abcde")
    assert limit.lend("x", a)
    assert limit.lend("x", b)
    assert not limit.lend("x", c, 0.05)
    assert limit.enter("x", d)
    assert limit.enter("x", e)
    assert not limit.enter("x", c)
    limit.leave("x", a)
    assert limit.lend("x", c)


def test_many_threads_hold_the_limit() -> None:
    limit = ConnectionLimit(3)
    lock, there, most = threading.Lock(), [0], [0]

    def come_and_go() -> None:
        for _ in range(50):
            line = Line(limit, idle=False)
            assert limit.enter("x", line, SOON)
            with lock:
                there[0] += 1
                most[0] = max(most[0], there[0])
            limit.use("x", line)
            with lock:
                there[0] -= 1
            limit.leave("x", line)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(come_and_go) for _ in range(8)]:
            done.result()
    assert 1 <= most[0] <= 3
