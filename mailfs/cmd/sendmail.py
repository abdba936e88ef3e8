"""sendmail's modes: what it does besides sending, answered or refused by send.

Programs that call ``sendmail`` ask it for the queue (``mailq`` is ``sendmail -bp``), to
run the queue, or to rebuild aliases; others would have a daemon or a dialogue.
"""

import os
import re
from collections.abc import Sequence

from mailfs.errors import UsageError

_MODE = re.compile(r"-b([adDhHimpPsv])")
_RUN = re.compile(r"-q(f*|[!]?[IRSQ].*)")  # once, now; what it selects by is not heeded

_REFUSED = {
    "a": "no such dialogue: give a message on standard input",
    "s": "no SMTP on standard input: give a message there, or run mailfs smtpd",
    "d": "no daemon: run mailfs smtpd to take mail, mailfs runq --watch to deliver it",
    "D": "no daemon: run mailfs smtpd to take mail, mailfs runq --watch to deliver it",
    "h": "no host status: see mailfs queue",
    "H": "no host status: see mailfs queue",
}


def answer(argv: Sequence[str]) -> int | None:
    """Do what a mode of sendmail asks for and return its exit status.

    None if the arguments ask to send a message.  Raises UsageError for modes that are
    not ours.
    """
    for word in argv:
        if word == "--":
            return None
        if m := _MODE.fullmatch(word):
            if m[1] in _REFUSED:
                raise UsageError(f"{word}: {_REFUSED[m[1]]}")
            if m[1] in "pP":
                return _queue(argv)
            if m[1] == "i":
                return 0  # alias files are read as they are
        elif _RUN.fullmatch(word):
            return _run(argv)
        elif word.startswith("-q"):
            raise UsageError(f"{word}: no daemon: run mailfs runq --watch")
    return None


def plain(argv: Sequence[str]) -> list[str]:
    """Drop modes that mean to send, and turn ``-bv`` into send's own ``-x``."""
    kept = [word for word in argv if word not in ("-bm", "-G")]
    return ["-x" if word == "-bv" else word for word in kept]


def _root(argv: Sequence[str]) -> list[str]:
    words = list(argv)
    if "--root" in words[:-1]:
        at = words.index("--root")
        return words[at : at + 2]
    return [word for word in words if word.startswith("--root=")]


def _queue(argv: Sequence[str]) -> int:
    from mailfs.cmd import queue

    return queue.main(_root(argv))


def _run(argv: Sequence[str]) -> int:
    from mailfs.cmd import runq

    every = ["-a"] if os.geteuid() == 0 else []
    return runq.main([*every, *_root(argv)])
