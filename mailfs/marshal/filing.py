"""A copy of what is sent, put into one of the writer's mailboxes.

From before the message is sent until it is in the mailbox the copy lies in ``unfiled``,
and stays there if the mailbox does not take it: sending again would send it twice.
"""

import os
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from mailfs import where
from mailfs.errors import MailfsError, reason
from mailfs.imap.error import ImapError
from mailfs.mailbox.driver import Driver, Place
from mailfs.mailbox.drivers import open_store
from mailfs.mailbox.drivers.mdir import Mdir
from mailfs.mailbox.drivers.spec import is_network
from mailfs.mailbox.kinds import Flag, Stale
from mailfs.mailbox.net import Network
from mailfs.marshal import unfiled
from mailfs.marshal.compose import ComposedMail
from mailfs.send import deadletter
from mailfs.site.site import Site

# Files of a mail directory that are no mailboxes; marshal(1).
_NOT_MAILBOXES = frozenset(
    {"pipeto", "pipefrom", "L.mbox", "forward", "names", "headers"}
    | {"imap.subscribed", deadletter.NAME, unfiled.NAME}
)


# Codes of a server that has no such folder; RFC 9051 section 7.1.  Some give none.
_MISSING = ("TRYCREATE", "NONEXISTENT", "")


class Unfiled(MailfsError):
    """A copy that the mailbox did not take; it is kept, and the text says where."""


def folder(site: Site, name: str) -> str:
    """Return the mailbox that -S means: a specification, a path, or a name of ours.

    Raises MailfsError if it is a file of the mail directory that is no mailbox.
    """
    if is_network(name):
        return name
    path = str(site.path(name)) if name.startswith("/") else name
    if os.path.basename(path) in _NOT_MAILBOXES:
        raise MailfsError(f"won't overwrite {name}")
    return where.box(site.root, path, site.user)


def named_after(site: Site, address: str) -> str:
    """Return the mailbox that -F means: one named after who gets the message."""
    name = address.rpartition("!")[2].partition("@")[0].replace("/", "_").lstrip(".")
    if not name or name in _NOT_MAILBOXES:
        raise MailfsError(f"won't overwrite {name or address}")
    box = site.box(site.user)
    filed = box / "f"
    return str((filed if filed.is_dir() else box) / name)


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy that waits for its mailbox."""

    site: Site
    mail: ComposedMail
    path: str
    kept: Path
    net: Network | None = None

    @classmethod
    def made(
        cls, site: Site, mail: ComposedMail, path: str, net: Network | None = None
    ) -> "Copy":
        """Keep a copy until it is known whether the message could be sent.

        net is needed for a folder of a server.  Raises MailfsError if the copy cannot
        be kept, and then nothing shall be sent.
        """
        try:
            kept = unfiled.keep(site, mail.octets, mail.date, mail.sender)
        except OSError as e:
            raise MailfsError(f"copy for {path}: {reason(e)}") from e
        return cls(site, mail, path, kept, net)

    def drop(self) -> None:
        """Forget it: the message was not sent."""
        with suppress(OSError):
            self.kept.unlink()

    def file(self) -> None:
        """Put it into its mailbox, made as an mdir if it is not there.

        Raises Unfiled if it does not take it.
        """
        try:
            self._append()
        except (OSError, MailfsError) as e:
            why = reason(e) if isinstance(e, OSError) else e
            raise Unfiled(
                f"copy not saved in {self.path}: {why}; it is in {self.kept}"
            ) from e
        self.drop()

    def _open(self) -> Driver:
        place = Place(self.site.root, self.site.user, net=self.net)
        if not is_network(self.path) and not os.path.lexists(self.path):
            with suppress(FileExistsError):  # somebody was quicker
                Mdir(self.path, place).make()
        return open_store(self.path, place)

    def _append(self) -> None:
        try:
            self._once()
        except (FileNotFoundError, ImapError) as e:
            if isinstance(e, ImapError) and (e.kind != "NO" or e.code not in _MISSING):
                raise
            try:
                with closing(self._open()) as driver:
                    driver.make()
            except MailfsError:  # it is there: that was not why
                raise e from None
            self._once()

    def _once(self) -> None:
        mail = self.mail
        message = mail.octets, mail.date, mail.sender, Flag.SEEN
        with closing(self._open()) as driver:
            try:
                driver.append(*message)
            except Stale:  # no listed message matters here; what was wrong is mended
                driver.append(*message)
