"""Accounts of a secstore server: one file each in who/, readable by it alone.

    exp TAB seconds    DISABLED    STA    failed TAB n    other TAB text
    PAK-Hi TAB base64    kdf TAB scrypt LOGN R P SALT

The last line is ours: the account's verifier is of a stretched password, which only
our client knows to make.  Source: secstore(1), secuser.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path

from mailfs.attr import lines
from mailfs.disk.replace import replace
from mailfs.secstore.error import SecstoreError
from mailfs.secstore.kdf import Stretch, stretch
from mailfs.secstore.pak import MAX_NAME, b64, element

MAX_FILE = 16 << 10  # octets; an account has a few hundred
MAX_FAILED = 10  # wrong passwords before the account rests
REST = 300.0  # seconds
FICTITIOUS = "FICTITIOUS"  # stands in for accounts that do not exist, if it does


class NoAccount(SecstoreError):
    """There is no such account, or it cannot be used now."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account.  expires is in seconds since the epoch; 0 is never."""

    user: str
    hi: int
    expires: int = 0
    enabled: bool = True
    token: bool = False  # STA: wants a hardware token besides
    failed: int = 0
    other: str = ""
    stretch: Stretch | None = None

    def lines(self) -> bytes:
        """Return the file."""
        rows = [f"exp\t{self.expires}"]
        if not self.enabled:
            rows.append("DISABLED")
        if self.token:
            rows.append("STA")
        if self.failed:
            rows.append(f"failed\t{self.failed}")
        if self.other:
            rows.append(f"other\t{self.other}")
        rows.append(f"PAK-Hi\t{b64(self.hi).decode()}")
        if self.stretch is not None:
            rows.append(f"kdf\t{self.stretch}")
        return "".join(f"{row}\n" for row in rows).encode()


def parse(user: str, raw: bytes) -> Account:
    """Read an account file.  Raises NoAccount if a part of it cannot be meant."""
    try:
        rows = dict(_row(line) for line in lines(raw.decode()) if line.strip())
        return Account(
            user=user,
            hi=element(rows["PAK-Hi"].encode()),
            expires=_number(rows.get("exp", "0")),
            enabled="DISABLED" not in rows,
            token="STA" in rows,
            failed=_number(rows.get("failed", "0")),
            other=rows.get("other", ""),
            stretch=stretch(rows["kdf"]) if "kdf" in rows else None,
        )
    except (KeyError, ValueError, SecstoreError) as e:
        raise NoAccount("corrupted account file") from e


def _row(line: str) -> tuple[str, str]:
    name, _, rest = line.replace("\t", " ", 1).partition(" ")
    return name, rest.strip()


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise ValueError(text)
    return int(text)


def good_id(user: str) -> bool:
    """Whether an account may be called that; it is a file's name."""
    return (
        0 < len(user.encode()) <= MAX_NAME
        and user.isprintable()
        and not user.startswith(".")
        and not any(c in "/ " for c in user)
    )


class Accounts:
    """The folder of accounts; every change is made under its lock."""

    def __init__(self, root: Path) -> None:
        """Root holds who/, for accounts, and store/, for their files."""
        self.root = root
        self._who = root / "who"

    def make(self) -> None:
        """Make the folders, closed to others."""
        for folder in (self.root, self._who, self.root / "store"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def files(self, user: str) -> Path:
        """Return the folder of an account's files."""
        return self.root / "store" / user

    def exists(self, user: str) -> bool:
        """Whether there is a file for the account, usable or not."""
        return good_id(user) and (self._who / user).exists()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        fd = os.open(self._who, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def read(self, user: str) -> Account:
        """Return an account as it is, expired or not.  Raises NoAccount."""
        if not good_id(user):
            raise NoAccount("account does not exist")
        try:
            raw = (self._who / user).read_bytes()[: MAX_FILE + 1]
        except FileNotFoundError as e:
            raise NoAccount("account does not exist") from e
        except OSError as e:
            raise NoAccount("account cannot be read") from e
        if len(raw) > MAX_FILE:
            raise NoAccount("corrupted account file")
        return parse(user, raw)

    def write(self, account: Account) -> None:
        """Replace an account's file.  Raises OSError."""
        with self._locked():
            self._write(account)

    def _write(self, account: Account) -> None:
        replace(self._who / account.user, account.lines())

    def usable(self, user: str, now: float) -> Account:
        """Return an account one may log in to at now, seconds since the epoch.

        Raises NoAccount with the text the client is told.
        """
        try:
            account = self.read(user)
        except NoAccount:
            if self.exists(user) or not self.exists(FICTITIOUS):
                raise
            account = self.read(FICTITIOUS)
        if account.expires and account.expires <= now:
            raise NoAccount("account expired")
        if not account.enabled:
            raise NoAccount("account disabled")
        if account.failed >= MAX_FAILED and now < self._touched(account) + REST:
            raise NoAccount("too many failures; try again in five minutes")
        return account

    def _touched(self, account: Account) -> float:
        return (self._who / account.user).stat().st_mtime

    def attempt(self, user: str, now: float) -> Account:
        """Return a usable account, one failure counted against it already.

        A client that hangs up when it sees it has guessed wrong is then counted too.
        Raises NoAccount and OSError.
        """
        with self._locked():
            account = self.usable(user, now)
            failed = account.failed + 1 if account.failed < MAX_FAILED else 1
            self._write(changed(account, failed=failed))
            os.utime(self._who / account.user, (now, now))
            return account

    def succeeded(self, account: Account) -> None:
        """Take the failures back.  Raises NoAccount and OSError."""
        with self._locked():
            self._write(changed(self.read(account.user), failed=0))

    def set_verifier(self, account: Account, hi: int) -> None:
        """Change an account's password.  Raises NoAccount and OSError."""
        with self._locked():
            self._write(changed(self.read(account.user), hi=hi))
