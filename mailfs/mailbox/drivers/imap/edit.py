"""Changes to the messages of an IMAP folder, made at once or when the server is back.

Each change is of one message.  What can go together, in their order, becomes one
command: the uids of a run of changes that ask for the same.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from mailfs.errors import MailfsError
from mailfs.imap.changes import Flagged
from mailfs.imap.error import ImapError
from mailfs.imap.folders import special
from mailfs.imap.grammar.flags import Flags, System
from mailfs.imap.grammar.ranges import Ranges
from mailfs.imap.session import ImapSession
from mailfs.mailbox.drivers.imap.later import NONE, WaitingChange
from mailfs.mailbox.kinds import Flag

log = logging.getLogger(__name__)

TRASH = "trash"  # what RFC 6154 calls \\Trash
DELETED = Flags(System.DELETED)


def reflagged(
    validity: int, uids: Sequence[int], flags: Sequence[tuple[Flag, Flag]]
) -> Iterator[WaitingChange]:
    """Give the changes that turn each message's flags from the first to the second."""
    for uid, (was, now) in zip(uids, flags, strict=True):
        add, drop = now & ~was & ~Flag.RECENT, was & ~now & ~Flag.RECENT
        if add | drop:
            yield WaitingChange("flags", validity, uid, add, drop)


def perform(
    session: ImapSession, folder: str, changes: Sequence[WaitingChange], validity: int
) -> list[Flagged]:
    """Make changes in the selected folder, whose uidvalidity is given.

    Returns the flags that messages have now, as far as the server told.

    Messages that have gone are passed over.  Made twice, a change does no more than
    made once.  Raises ImapError where the server refuses, MailfsError if the folder
    is not the one that was changed.
    """
    if any(one.validity != validity for one in changes):
        raise MailfsError(f"{session.server}: {folder}: the folder was made anew")
    told: list[Flagged] = []
    for (verb, add, drop, target), run in groupby(changes, _same):
        uids = Ranges.of(one.uid for one in run)
        if verb == "flags":
            told += _flag(session, uids, add, drop)
        elif verb == "move":
            transfer(session, session.move, uids, target)
        elif verb == "delete" and (trash := trash_of(session, folder)):
            session.move(uids, trash)
        else:
            expunge(session, uids)
    return told


def _same(one: WaitingChange) -> tuple[str, Flag, Flag, str]:
    return (one.verb, one.add, one.drop, one.folder)


def _flag(session: ImapSession, uids: Ranges, add: Flag, drop: Flag) -> list[Flagged]:
    told: list[Flagged] = []
    for sign, bits in (("+", add), ("-", drop)):
        if bits != NONE:
            flags = Flags(System(int(bits) & int(_ALL)))
            told += session.store(uids, sign, flags).flagged
    return told


_ALL = System.ANSWERED | System.DELETED | System.DRAFT | System.FLAGGED | System.SEEN


def trash_of(session: ImapSession, folder: str) -> str:
    """Name the folder for deleted messages; empty: they are expunged."""
    trash = special(session.folders(), TRASH)
    return "" if trash is None or trash.name == folder else trash.name


def transfer(
    session: ImapSession,
    how: Callable[[Ranges, str], object],
    uids: Ranges,
    target: str,
) -> None:
    """Move or copy messages to a folder, which is made if there is none.

    Raises ImapError where the server refuses.
    """
    folder = folder_of(session, target)
    try:
        how(uids, folder)
    except ImapError as e:
        if e.code != "TRYCREATE":
            raise
        session.create(folder)
        session.subscribe(folder)
        how(uids, folder)


def folder_of(session: ImapSession, name: str) -> str:
    r"""Return the folder a name means: ``\Junk`` is whatever serves as that, RFC 6154.

    Where nothing does it is a folder of that name.
    """
    if not name.startswith("\\"):
        return name
    found = special(session.folders(), name[1:].lower())
    return name[1:] if found is None else found.name


def expunge(session: ImapSession, uids: Ranges) -> None:
    """Remove messages for good, and no others that somebody has marked.

    Raises ImapError where the server has no UIDPLUS: they stay, marked.
    """
    session.store(uids, "+", DELETED)
    session.expunge(uids)


def lasting(e: MailfsError) -> bool:
    """Whether a change that was refused would be refused again."""
    return not isinstance(e, ImapError) or e.permanent
