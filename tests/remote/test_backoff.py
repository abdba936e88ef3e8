"""The times between attempts."""

from mailfs.remote.backoff import Backoff


def test_each_failure_doubles_the_time_up_to_the_longest() -> None:
    now = [100.0]
    backoff = Backoff(1.0, 10.0, clock=lambda: now[0])
    assert backoff.left == 0
    for most in (1, 2, 4, 8, 10, 10):
        left = backoff.failed()
        assert most / 2 <= left <= most
        assert backoff.left == left
    now[0] += 10
    assert backoff.left == 0
    backoff.succeeded()
    assert backoff.failed() <= 1


def test_some_failures_ask_for_more() -> None:
    backoff = Backoff(1.0, 10.0, jitter=0.0, clock=lambda: 0.0)
    assert backoff.failed(60) == 60
    assert backoff.failed() == 10
