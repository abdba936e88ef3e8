"""The files that say what the server takes, read again when they have changed."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mailfs.disk.open import read_regular
from mailfs.errors import EFBIG, MailfsError, reason
from mailfs.serve.smtpd import conf as confs
from mailfs.serve.smtpd import lists
from mailfs.serve.smtpd.blocked import Blocked
from mailfs.serve.smtpd.conf import Conf
from mailfs.serve.smtpd.lists import NamesBlocked, Senders
from mailfs.serve.smtpd.net import Nets

log = logging.getLogger(__name__)

MAX_FILE = 16 << 20  # octets; half a million networks
LIB = "mail/lib"
FILES = (
    f"{LIB}/smtpd.conf",
    f"{LIB}/blocked",
    f"{LIB}/names.blocked",
    f"{LIB}/senders",
    "mail/grey/whitelist",
)


@dataclass(frozen=True, slots=True)
class Tables:
    """What the files hold; a file that is not there holds nothing."""

    conf: Conf = field(default_factory=Conf)
    blocked: Blocked = field(default_factory=Blocked)
    names: NamesBlocked = field(default_factory=NamesBlocked)
    senders: Senders = field(default_factory=Senders)
    white: Nets = field(default_factory=Nets)

    @property
    def complaints(self) -> Iterable[str]:
        """Lines that make no sense, with the file's name in front."""
        yield from (f"smtpd.conf: {text}" for text in self.conf.complaints)
        yield from (f"blocked: {text}" for text in self.blocked.complaints)


def load(root: Path) -> Tables:
    """Read the files.  Raises MailfsError for one that cannot be read."""
    conf, blocked, names, senders, white = (read_text(root / name) for name in FILES)
    return Tables(
        confs.parse(conf),
        Blocked(blocked),
        NamesBlocked(names),
        Senders(senders),
        lists.whitelist(white),
    )


def read_text(path: Path) -> str:
    """Return a file's text, empty if it is not there.  Raises MailfsError."""
    try:
        raw = read_regular(path, MAX_FILE + 1, follow=True)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as e:
        raise MailfsError(f"{path}: {reason(e)}") from e
    if len(raw) > MAX_FILE:
        raise MailfsError(f"{path}: {EFBIG}")
    return raw.decode("utf-8", "replace")


class Current:
    """The tables as the files are now; a file that turns unreadable changes nothing."""

    def __init__(self, root: Path) -> None:
        """Read the files.  Raises MailfsError."""
        self._root = root
        self._stamp = self._stamps()
        self._tables = load(root)
        self._complain()

    def get(self) -> Tables:
        """Return the tables; reads what has changed, so it may block."""
        stamp = self._stamps()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._tables = load(self._root)
            except MailfsError as e:
                log.error("%s: the settings before stay in force", e)  # noqa: TRY400
            else:
                self._complain()
        return self._tables

    def _stamps(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_stamp(self._root / name) for name in FILES)

    def _complain(self) -> None:
        for text in self._tables.complaints:
            log.warning("%s", text)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        st = path.stat()
    except OSError:
        return None
    return st.st_ino, st.st_size, st.st_mtime_ns
