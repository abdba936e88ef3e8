"""How a test waits for what another thread, process or program does."""

import time
from collections.abc import Callable

SOON = 30.0  # seconds in which what must happen happens, on the slowest machine
PAUSE = 0.005  # seconds between two looks


def until(true: Callable[[], object], seconds: float = SOON) -> None:
    """Wait until something is so; an AssertionError after some seconds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never happened"
        time.sleep(PAUSE)
