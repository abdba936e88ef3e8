"""Lines in sys/log: who was sent what, and what went wrong; syslog(2).

A line is ``SYSNAME Mon dd hh:mm:ss TEXT``.  A log is never created: remove the file
and that log is off; then the text goes to the log of the program.
"""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from mailfs.printable import shown

log = logging.getLogger(__name__)

FOLDER = "sys/log"
MAX_LINE = 1024  # octets of one line, as Plan 9's buffer has
MAX_LINES = 64  # of one text


class SysLog:
    """The logs of one root, which all that send share; safe in any thread."""

    def __init__(
        self, root: Path, sysname: str, clock: Callable[[], float] = time.time
    ) -> None:
        self.folder = root / FOLDER
        self.sysname = sysname
        self._clock = clock

    def write(self, name: str, text: str) -> None:
        """Add a text to the log called name: ``mail``, ``smtp.fail``, ``runq`` ...

        The lines of a text are written at once and the first has the stamp.  What is
        not printable is shown as ``?``.  Never raises: mail goes on without a log.
        """
        lines = text.rstrip("\n").split("\n")[:MAX_LINES]
        stamp = time.ctime(self._clock())[4:19]
        lines[0] = f"{self.sysname} {stamp} {lines[0]}"
        data = b"".join(
            _printable(line).encode("utf-8", "replace")[:MAX_LINE] + b"\n"
            for line in lines
        )
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
            fd = os.open(self.folder / name, flags)
        except OSError:
            log.info("%s: %s", name, text)
            return
        try:
            os.write(fd, data)  # one call, so that lines of others come before or after
        except OSError as e:
            log.warning("%s: %s", self.folder / name, e.strerror)
        finally:
            os.close(fd)


def _printable(line: str) -> str:
    return shown(line, keep="\t")
