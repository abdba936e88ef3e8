"""What ``>>`` means: a user's forward file, pipeto program, or mailbox; send(8).

A path is taken apart at its last slash: ``DIR/mbox``.  ``DIR/forward`` has addresses
that take the mailbox's place; ``DIR/pipeto`` takes the message on standard input, with
the address and the mailbox as arguments.  A mailbox may be an mbox, an mdir, a Maildir
or an MH folder; one that is not there is made as an mdir.
"""

import errno
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mailfs.errors import ELOCK, MailfsError, reason
from mailfs.mailbox.driver import Driver, Place
from mailfs.mailbox.kinds import Flag
from mailfs.msg import date as date_of
from mailfs.send import address, trace
from mailfs.send.owner import do_as
from mailfs.send.refusal import (
    LOCKED,
    NOT_OURS,
    UNKNOWN,
    UNOPENED,
    UNWRITTEN,
    permanent,
    temporary,
)
from mailfs.site.site import Site

MAX_FORWARD = 1 << 20  # octets of a forward file
_OTHERS = 0o022  # mode bits: a program that others may change is not run


@dataclass(frozen=True, slots=True)
class LocalMailbox:
    """A mailbox to append to."""

    path: Path
    owner: tuple[int, int] | None = None  # (uid, gid) to do it as, where we are root


@dataclass(frozen=True, slots=True)
class Pipeto:
    """A user's program that takes mail, and the mailbox it stands before."""

    program: Path
    mailbox: Path
    owner: tuple[int, int] | None  # (uid, gid) to run it as, where we are root

    @property
    def user(self) -> str:
        """Whose it is."""
        return self.mailbox.parent.name


@dataclass(frozen=True, slots=True)
class Forward:
    """Addresses in place of a mailbox."""

    addresses: tuple[str, ...]


def check_part(part: str) -> None:
    """Raise Refusal if a piece of an address cannot be one name in a path."""
    if part in ("", ".", "..") or "/" in part or "\0" in part:
        raise permanent(UNKNOWN)


def find(path: Path, *, forwarded: bool) -> LocalMailbox | Pipeto | Forward:
    """Say what to do for a mailbox; forwarded if a forward file has led here.

    Raises Refusal if its directory is not there, or the mailbox has no mode bit that
    lets anyone write.
    """
    if path == Path(os.devnull):
        return LocalMailbox(path)
    folder = path.parent
    try:
        st = folder.stat()
        if not stat.S_ISDIR(st.st_mode):
            raise permanent(UNKNOWN)
        other = _other(st)
        plain = other is not None
        listed = () if forwarded else _forward(folder / "forward", plain=plain)
        program = _pipeto(folder / "pipeto")
    except (FileNotFoundError, NotADirectoryError):
        raise permanent(UNKNOWN) from None
    except OSError as e:
        if e.errno == errno.ENAMETOOLONG:
            raise permanent(UNKNOWN) from None
        raise temporary(f"{UNOPENED}: {reason(e)}") from e
    if listed:
        return Forward(listed)
    if program is not None:
        _check_program(st, program)
        return Pipeto(folder / "pipeto", path, other)
    with suppress(OSError):
        if not path.stat().st_mode & 0o222:
            raise permanent(UNKNOWN)
    return LocalMailbox(path, other)


def _forward(path: Path, *, plain: bool) -> tuple[str, ...]:
    """Return the addresses of a forward file; lines that begin with # are comments.

    plain: it must be no symbolic link, which could lead root where its user may not
    look.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        fd = os.open(path, flags | (os.O_NOFOLLOW if plain else 0))
        with open(fd, "rb") as f:
            raw = f.read(MAX_FORWARD + 1)
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        return ()
    except OSError as e:
        if e.errno == errno.ELOOP:
            return ()
        raise
    if len(raw) > MAX_FORWARD:
        raise temporary(f"forward: over {MAX_FORWARD} octets")
    text = raw.decode("utf-8", "surrogateescape").replace("\\\n", " ")
    lines = (line for line in text.split("\n") if not line.lstrip().startswith("#"))
    return tuple(address.split("\n".join(lines)))


def _pipeto(path: Path) -> os.stat_result | None:
    """Return the stat of a program that somebody may run, None if there is none."""
    try:
        st = path.stat()
    except FileNotFoundError:
        return None
    return st if stat.S_ISREG(st.st_mode) and st.st_mode & 0o111 else None


def _other(folder: os.stat_result) -> tuple[int, int] | None:
    """Find the owner of a mail directory, if we are root and it is another's."""
    if os.geteuid() != 0 or folder.st_uid == 0:
        return None
    return folder.st_uid, folder.st_gid


def _check_program(folder: os.stat_result, program: os.stat_result) -> None:
    """Raise Refusal for a program that is not its user's, or not ours to run.

    It runs as the user whose directory it is in: never with the rights of somebody
    else who sends mail.
    """
    if program.st_uid not in (folder.st_uid, 0) or program.st_mode & _OTHERS:
        raise temporary("pipeto: others may change it")
    if os.geteuid() not in (folder.st_uid, 0):
        raise temporary(NOT_OURS)


def deliver(
    site: Site, to: LocalMailbox, message: bytes, date: int, sender: str
) -> None:
    """Put a message into a mailbox, with the rights of its owner; raises Refusal."""

    def act() -> None:
        append(site, to.path, message, date, sender)

    if to.owner is None:
        act()
        return
    import mailfs.mailbox.drivers  # noqa: F401  # or the owner would have to find them

    do_as(to.owner, act)


def append(site: Site, path: Path, message: bytes, date: int, sender: str) -> None:
    """Put a message into a mailbox, on disk when it returns; raises Refusal.

    The mailbox is that of the user whose directory it is in.
    """
    if path == Path(os.devnull):
        return
    try:
        driver = _open(site, path)
    except (OSError, MailfsError) as e:
        why = reason(e) if isinstance(e, OSError) else str(e)
        raise temporary(f"{UNOPENED}: {why}") from e
    to = trace.address(site, path.parent.name)
    domain, envelope = site.names.domain, driver.envelope
    try:
        text = trace.delivered(message, sender, to, domain, envelope=envelope)
        driver.append(text, date, sender, Flag(0))
    except OSError as e:
        raise temporary(f"{UNWRITTEN}: {reason(e)}") from e
    except MailfsError as e:
        raise temporary(LOCKED if str(e) == ELOCK else f"{UNWRITTEN}: {e}") from e
    finally:
        driver.close()


def log_delivery(site: Site, recipient: str, sender: str, when: int, size: int) -> None:
    """Write the line in sys/log/mail of a message that a filter has delivered."""
    line = f"delivered {recipient[:256]} From {sender[:256]}"
    site.log.write("mail", f"{line} {date_of.unixdate(when, site.local)} {size}")


def _open(site: Site, path: Path) -> Driver:
    # The kinds of mailboxes, networked ones too, are much to load where none is needed.
    from mailfs.mailbox.drivers import open_store
    from mailfs.mailbox.drivers.mdir import Mdir

    place = Place(site.root, site.user)
    if not os.path.lexists(path):
        with suppress(FileExistsError):  # another has made it
            Mdir(str(path), place).make()
    return open_store(str(path), place)
