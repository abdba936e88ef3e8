"""A line on the terminal that is shown again in its own place while something lasts."""

import logging
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from mailfs.printable import shown

_CLEAR = "\r\x1b[K"  # to the line's beginning, and erase it; ECMA-48 section 8.3.41


class RenewedLine:
    """One on standard error; nothing is shown if that is no terminal of ours."""

    def __init__(self) -> None:
        self._stands = False

    def show(self, text: str) -> None:
        """Show a text, cut to the terminal's width, in the place of the last."""
        if _foreground():
            width = shutil.get_terminal_size().columns - 1
            print(f"{_CLEAR}{shown(text)[:width]}", end="", file=sys.stderr, flush=True)
            self._stands = True

    def clear(self) -> None:
        """Leave an empty line for others."""
        if self._stands and _foreground():
            print(_CLEAR, end="", file=sys.stderr, flush=True)
        self._stands = False

    @contextmanager
    def amid_logs(self) -> Iterator[None]:
        """Clear it before whatever is logged meanwhile, and at the end."""

        def give_way(record: logging.LogRecord) -> bool:
            self.clear()
            return True

        handlers = list(logging.getLogger().handlers)
        for handler in handlers:
            handler.addFilter(give_way)
        try:
            yield
        finally:
            for handler in handlers:
                handler.removeFilter(give_way)
            self.clear()


def _foreground() -> bool:
    """Whether standard error is a terminal, and we are in its foreground."""
    try:
        return sys.stderr.isatty() and os.tcgetpgrp(2) == os.getpgrp()
    except OSError:
        return False
