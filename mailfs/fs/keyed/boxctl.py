"""The commands of a mailbox's ctl in the keyed dialect.

Numbers may end with a slash.  An error ends with the command it is about.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mailfs.attr import quote, tokenize
from mailfs.errors import ECONTROL, ENOBOX, ENOMSG, Refused
from mailfs.fs import boxctl
from mailfs.fs.keyed.visit import KeyedAttach
from mailfs.mailbox.kinds import Flag
from mailfs.mailboxes import transfer
from mailfs.mailboxes.scoped import ScopedMailbox

JUNK = "junk"  # the folder that junk goes to
INBOX = "mbox"  # and where it comes from
SERVERS_JUNK, SERVERS_INBOX = "\\Junk", "INBOX"  # on a server; RFC 6154
_SHOWN = 128  # characters of a command that an error repeats


@dataclass(frozen=True, slots=True)
class BoxVerb:
    """One command: what does it, and how many words may follow."""

    do: Callable[[KeyedAttach, ScopedMailbox, list[str]], Awaitable[None]]
    least: int
    most: int | None = None


async def _delete(visit: KeyedAttach, box: ScopedMailbox, words: list[str]) -> None:
    """Take ``delete [mailbox] n...``; messages that have gone are no error.

    A first word that is a mailbox's name is that, even if it is a number: acme Mail
    gives the name, and no numbers if it has none.  It may be another's, for acme
    opens one mailbox from the ctl of another of the same name.
    """
    first = words[0]
    if first == box.name or not _is_number(first):
        named = visit.find(first)
        if named is None:
            raise Refused(ENOBOX)
        box, words = named, words[1:]
    await box.delete(_numbers(words))


async def _save(visit: KeyedAttach, box: ScopedMailbox, words: list[str]) -> None:
    await transfer.copy(visit.boxes, box, _numbers(words[1:]), words[0])


def _junk_of(box: ScopedMailbox) -> str:
    """Name the folder for junk: in an account, the server's."""
    return JUNK if box.sibling(JUNK) is None else SERVERS_JUNK


def _inbox_of(box: ScopedMailbox) -> str:
    return INBOX if box.sibling(INBOX) is None else SERVERS_INBOX


async def _junk(visit: KeyedAttach, box: ScopedMailbox, words: list[str]) -> None:
    await transfer.move(visit.boxes, box, _known(box, words), _junk_of(box))


async def _nonjunk(visit: KeyedAttach, box: ScopedMailbox, words: list[str]) -> None:
    await transfer.move(visit.boxes, box, _known(box, words), _inbox_of(box))


def _flag(
    flag: Flag,
) -> Callable[[KeyedAttach, ScopedMailbox, list[str]], Awaitable[None]]:
    async def do(visit: KeyedAttach, box: ScopedMailbox, words: list[str]) -> None:
        numbers = _known(box, words)
        await box.set_flags([(number, flag, Flag(0)) for number in numbers])

    return do


async def _refresh(visit: KeyedAttach, box: ScopedMailbox, words: list[str]) -> None:
    await boxctl.command(box, "refresh")


async def _open(visit: KeyedAttach, box: ScopedMailbox, words: list[str]) -> None:
    await visit.open(*words)


async def _close(visit: KeyedAttach, box: ScopedMailbox, words: list[str]) -> None:
    await visit.close(words[0])


VERBS: dict[str, BoxVerb] = {
    "delete": BoxVerb(_delete, 1),
    "refresh": BoxVerb(_refresh, 0, 0),
    "save": BoxVerb(_save, 2),
    "read": BoxVerb(_flag(Flag.SEEN), 1),
    "replied": BoxVerb(_flag(Flag.ANSWERED), 1),
    "junk": BoxVerb(_junk, 1),
    "nonjunk": BoxVerb(_nonjunk, 1),
    "open": BoxVerb(_open, 1, 2),
    "close": BoxVerb(_close, 1, 1),
}


async def command(visit: KeyedAttach, box: ScopedMailbox, line: str) -> None:
    """Do one command.  Raises Refused, MailfsError or OSError if it cannot be done."""
    words = tokenize(line)
    verb = VERBS.get(words[0]) if words else None
    if verb is None:
        raise Refused(f"bad message: {shown(words)}")
    count = len(words) - 1
    if count < verb.least or (verb.most is not None and count > verb.most):
        raise Refused(f"{ECONTROL}: {shown(words)}")
    await box.awake()
    await verb.do(visit, box, words[1:])


def shown(words: list[str]) -> str:
    """Return a command as an error repeats it, in double quotes."""
    return f'"{" ".join(map(quote, words))[:_SHOWN]}"'


def _is_number(word: str) -> bool:
    word = word.removesuffix("/")
    return word.isascii() and word.isdecimal()


def _numbers(words: list[str]) -> list[int]:
    for word in words:
        if not _is_number(word):
            raise Refused(f"{ECONTROL}: {shown([word])}")
    return [int(word.removesuffix("/")[:18]) for word in words]


def _known(box: ScopedMailbox, words: list[str]) -> list[int]:
    """Return numbers.  Raises Refused unless all are messages of the mailbox."""
    numbers = _numbers(words)
    if any(box.view.row(number) is None for number in numbers):
        raise Refused(ENOMSG)
    return numbers
