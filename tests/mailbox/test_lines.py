"""Few connections for many mailboxes."""

from concurrent.futures import ThreadPoolExecutor

from mailfs.mailbox.lines import ConnectionLimit


class Line:
    def __init__(self, *, idle: bool = True) -> None:
        self.idle = idle
        self.parked = False

    def park(self) -> bool:
        self.parked = self.idle
        return self.idle


def test_the_one_whose_use_is_longest_ago_is_parked() -> None:
    lines = ConnectionLimit(2)
    a, b, c = Line(), Line(), Line()
    lines.enter("x", a)
    lines.enter("x", b)
    lines.use("x", a)
    lines.enter("x", c)
    assert [a.parked, b.parked, c.parked] == [False, True, False]


def test_what_is_being_used_is_spared() -> None:
    lines = ConnectionLimit(2)
    a, b, c = Line(idle=False), Line(), Line()
    for line in (a, b, c):
        lines.enter("x", line)
    assert [a.parked, b.parked, c.parked] == [False, True, False]


def test_more_than_allowed_where_all_are_used() -> None:
    lines = ConnectionLimit(1)
    a, b = Line(idle=False), Line()
    lines.enter("x", a)
    lines.enter("x", b)
    assert not b.parked


def test_accounts_and_those_that_left_do_not_count() -> None:
    lines = ConnectionLimit(1)
    a, b, c = Line(), Line(), Line()
    lines.enter("x", a)
    lines.enter("y", b)
    lines.leave("x", a)
    lines.enter("x", c)
    assert not any(line.parked for line in (a, b, c))


def test_many_threads() -> None:
    """Others come and go while one looks whom to park."""
    lines = ConnectionLimit(3)

    def come_and_go() -> None:
        for _ in range(2000):
            line = Line()
            lines.enter("x", line)
            lines.use("x", line)
            lines.leave("x", line)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(come_and_go) for _ in range(8)]:
            done.result()
