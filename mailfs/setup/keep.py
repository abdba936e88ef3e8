"""Where keys stay when the factotum ends: a file, the keyring, a secstore, nowhere."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mailfs.factotum import keeper, keyfile
from mailfs.factotum.key import parse_key
from mailfs.factotum.keyfile import KeyFile
from mailfs.secret import Secret

FILE, KEYRING, SECSTORE, NONE = "file", "keyring", "secstore", "none"
ROWS = {
    FILE: "a file only you can read; works after a restart, without anybody there",
    KEYRING: "the desktop's keyring, encrypted; there once you have logged in",
    SECSTORE: "a secstore, encrypted elsewhere; asks its password at each start",
    NONE: "the factotum's memory alone: gone with it",
}

Put = Callable[[Secret], None]
"""Keep a key's line, ``key ...``, in the place of the one it equals; raises
MailfsError."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A choice: how a line is kept, what a factotum is told to find it, what to say."""

    put: Put
    flags: tuple[str, ...]
    shown: str


def usual() -> str:
    """Return the safest place that needs nobody to be there: the keyring, if any.

    On a machine without a desktop there is none; then a file.
    """
    return KEYRING if _keyring() else FILE


def _keyring() -> bool:
    if not os.environ.get("DBUS_SESSION_BUS_ADDRESS"):
        return False
    try:
        import keyring
    except ImportError:
        return False
    return float(keyring.get_keyring().priority) >= 1


def choose(
    where: str,
    root: Path,
    user: str,
    secstore: Callable[[], "keeper.Keeper"],
) -> Kept:
    """Make the keeper of keys at a place, one of ROWS.  Raises MailfsError."""
    if where == FILE:
        file = KeyFile(keyfile.path(root, user))
        file.load()  # refused now rather than later
        flags = ("-f", str(file.file))
        return Kept(
            lambda line: file.put(line.text()), flags, f"{file.file}, mode 0600"
        )
    if where == KEYRING:
        ring = keeper.Keyring(user)
        ring.load()
        return Kept(lambda line: _put(ring, line), ("--keyring",), "your keyring")
    if where == SECSTORE:
        store = secstore()
        return Kept(lambda line: _put(store, line), (), "the secstore's file factotum")
    return Kept(lambda line: None, (), "the factotum's memory, until it ends")


def _put(store: keeper.Keeper, line: Secret) -> None:
    for key in parse_key(line.text().removeprefix("key ")):
        store.source(key)


def filed(root: Path, user: str) -> bool:
    """Whether the user has a file of keys."""
    return bool(keyfile.usual(root, user))


def secstore(host: str, user: str, password: Secret) -> keeper.Keeper:
    """Return the file factotum of a secstore as a keeper.  Raises MailfsError."""
    from mailfs.secstore import client

    connect = client.dial(host)

    def fetch() -> bytes:
        with client.login(connect, user, password) as session:
            return session.get(keeper.NAME) if session.has(keeper.NAME) else b""

    def store(data: bytes) -> None:
        with client.login(connect, user, password) as session:
            if session.has(keeper.NAME):
                form, _ = session.read(keeper.NAME)  # other programs read it as it is
                session.put(keeper.NAME, data, form)
            else:
                session.put(keeper.NAME, data)

    found = keeper.Remote(fetch, store)
    found.load()  # a wrong password is told now
    return found
