"""What a server logs on standard error: ``mailfs VERB: text``, fit for a terminal."""

import logging
import sys

from mailfs.printable import shown


class _Lines(logging.Formatter):
    """Names the verb; a stranger's control characters are shown as ``?``."""

    def format(self, record: logging.LogRecord) -> str:
        return shown(super().format(record), keep="\n\t")


def start(verb: str, level: int = logging.WARNING) -> None:
    """Log to standard error from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(f"mailfs {verb}: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
