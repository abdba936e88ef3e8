"""Where keys come from and changed ones go back to: files, secstore, the keyring.

A file in the clear is only read.  What keeps secrets (a secstore, the desktop's
keyring) also takes back a key whose token was replaced.
"""

import os
import stat
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from mailfs.attr import Attrs, lines
from mailfs.errors import MailfsError
from mailfs.factotum.key import Key, Source, matches, parse_key

MAX_FILE = 1 << 20  # octets of a file of keys
NAME = "factotum"  # of the file in a secstore, and of the entry in a keyring


def read_file(path: Path) -> str:
    """Return the text of a file of control messages.

    Raises MailfsError if others could have read or written it.
    """
    with path.open("rb") as file:
        st = os.fstat(file.fileno())
        if st.st_uid not in (os.getuid(), 0) or st.st_mode & 0o077:
            raise MailfsError(f"{path}: others may read or write it: chmod 600 it")
        if not stat.S_ISREG(st.st_mode) or st.st_size > MAX_FILE:
            raise MailfsError(f"{path}: not a file of keys")
        raw = file.read(MAX_FILE)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise MailfsError(f"{path}: not UTF-8") from None


class Keeper(ABC):
    """Keeps a text of control messages, one a line, and keeps it secret."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @abstractmethod
    def load(self) -> str:
        """Return the text; blocks.  Raises MailfsError."""

    @abstractmethod
    def save(self, text: str) -> None:
        """Replace the text, wholly or not at all; blocks.  Raises MailfsError."""

    @property
    def source(self) -> Source:
        """What a key from here carries: it puts the key's new self in its place."""
        return self._put

    def _put(self, key: Key) -> None:
        with self._lock:
            self.save(put(self.load(), key))


def put(text: str, key: Key) -> str:
    """Return text with a key's line replaced, or added at the end."""
    rows = lines(text)
    for i, line in enumerate(rows):
        if _same(line, key):
            rows[i] = key.reveal()
            break
    else:
        rows.append(key.reveal())
    return "\n".join(rows) + "\n"


def drop(text: str, pattern: Attrs) -> str:
    """Remove the lines whose keys a template matches, all of them."""
    rows = lines(text)
    kept = [line for line in rows if not _fits(line, pattern)]
    return text if kept == rows else "".join(f"{line}\n" for line in kept)


def _fits(line: str, pattern: Attrs) -> bool:
    found = keys_of(line)
    return bool(found) and all(matches(pattern, key) for key in found)


def keys_of(line: str) -> list[Key]:
    """Read the keys of a line; none if it is another control message."""
    if not line.startswith("key "):
        return []
    try:
        return parse_key(line[4:])
    except MailfsError:
        return []


def _same(line: str, key: Key) -> bool:
    found = keys_of(line)
    # A line that makes keys of several protocols cannot stand for one of them.
    return len(found) == 1 and (
        matches(found[0].public, key) and matches(key.public, found[0])
    )


class Remote(Keeper):
    """A file elsewhere, by the functions that fetch and store its octets.

    Each raises MailfsError; for a secstore they encrypt and decrypt.
    """

    def __init__(
        self, fetch: Callable[[], bytes], store: Callable[[bytes], None]
    ) -> None:
        super().__init__()
        self._fetch = fetch
        self._store = store

    def load(self) -> str:
        """Fetch the file."""
        try:
            return self._fetch().decode()
        except UnicodeDecodeError:
            raise MailfsError(f"{NAME}: not UTF-8") from None

    def save(self, text: str) -> None:
        """Store the file."""
        self._store(text.encode())


class Keyring(Keeper):
    """The desktop's keyring, through the package keyring (an extra)."""

    def __init__(self, user: str) -> None:
        super().__init__()
        try:
            import keyring
            import keyring.errors
        except ImportError:
            raise MailfsError("no keyring: pip install 'mailfs[keyring]'") from None
        self._ring = keyring
        self._user = user

    def load(self) -> str:
        """Return the entry's text, empty if there is none."""
        try:
            return self._ring.get_password(f"mailfs {NAME}", self._user) or ""
        except self._ring.errors.KeyringError as e:
            raise MailfsError(f"keyring: {e}") from None

    def save(self, text: str) -> None:
        """Replace the entry."""
        try:
            self._ring.set_password(f"mailfs {NAME}", self._user, text)
        except self._ring.errors.KeyringError as e:
            raise MailfsError(f"keyring: {e}") from None
