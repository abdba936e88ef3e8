"""mail/lib/remotemail, read: the options with which it calls ``mailfs smtp``.

A script of the shape that ships needs no shell: what it would do is done by the
process that drains the queue.  One that does anything else is run.
"""

import re
import shlex
from pathlib import Path

from mailfs.errors import UsageError
from mailfs.smtp.options import Options, parse

MAX_SCRIPT = 64 << 10  # octets that are read; longer ones are run

_CALL = re.compile(
    r"sender=\$2 host=\$3\nshift 3\nexec mailfs smtp"
    r"([A-Za-z0-9_./@:=,+%'! -]*)"
    r' "\$host" "\$sender" "\$@"'
)


def options(script: Path) -> Options | None:
    """Return the options of a remotemail that only calls smtp, else None.

    Raises OSError if it cannot be read.
    """
    with script.open("rb") as f:
        raw = f.read(MAX_SCRIPT + 1)
    if len(raw) > MAX_SCRIPT:
        return None
    return _read(raw.decode(errors="replace"))


def _read(text: str) -> Options | None:
    first, *rest = text.split("\n")
    if first != "#!/bin/sh":
        return None
    lines = [line.strip() for line in rest]
    code = [line for line in lines if line and not line.startswith("#")]
    m = _CALL.fullmatch("\n".join(code))
    if m is None:
        return None
    try:
        return parse(shlex.split(m[1]))
    except (UsageError, ValueError):
        return None  # what is wrong with it, smtp itself had better say
