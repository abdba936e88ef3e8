"""A mailbox for servers whose clients keep its numbers: uids; RFC 9051 section 2.3.1.

Each function does one thing with a mailbox's state, on its worker (Mailbox.consult and
Mailbox.alter).  A message's number is its uid.  What is told of them is on disk first.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mailfs.mailbox.derive import Shape
from mailfs.mailbox.folder import MailboxState
from mailfs.mailbox.index import WireRow
from mailfs.mailbox.kinds import Flag, Stale
from mailfs.mailbox.octets import Memory, Octets
from mailfs.mailbox.retry import rereading
from mailfs.mailbox.uidfile import Claim
from mailfs.mailbox.view import View
from mailfs.mailbox.wiretext import digest, plaintext, wiretext

MAX_KEYWORDS = 64  # of one mailbox; RFC 9051 section 7.1 lets a server have a limit
_NONE = Flag(0)
_QUOTED = (b"\n From ", b"\nFrom ")  # an mbox quotes such a line; see msg.fromline

Describe = Callable[[Octets], tuple[bytes, bytes, bytes]]
"""Describe a message to clients: envelope, body, bodystructure."""


class TooManyKeywords(Exception):
    """A mailbox would have more than MAX_KEYWORDS different ones."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a client is told when it opens a mailbox."""

    claim: Claim
    view: View
    base: int  # modseq of messages that are not in modseqs
    modseqs: Mapping[int, int]

    def modseq(self, number: int) -> int:
        """Return a message's mod-sequence; RFC 7162."""
        return self.modseqs.get(number, self.base)


def tell(state: MailboxState, view: View, now: int) -> Claim:
    """Note that a view is told to clients.  now: seconds since the epoch."""
    return state.uids.claim(state.name, state.index.born, view.next, now)


def opened(state: MailboxState, now: int) -> Told:
    """Return the mailbox as it is in the store now."""
    state.list()
    view = state.catch_up()
    index = state.index
    return Told(tell(state, view, now), view, index.base, index.modseqs())


@dataclass(frozen=True, slots=True)
class FlagChange:
    """Flags and keywords to set and to clear; with replace, all others are cleared."""

    add: Flag = _NONE
    drop: Flag = _NONE
    words: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    replace: bool = False


_SETTABLE = ~(Flag.RECENT | Flag.STORED)


def store(
    state: MailboxState,
    numbers: Iterable[int],
    change: FlagChange,
    unchanged: int | None = None,
) -> list[int]:
    """Change flags; return the numbers of messages touched later than unchanged.

    Those are left alone.  Raises TooManyKeywords.
    """
    state.list()
    view = state.catch_up()
    there = [n for n in numbers if view.row(n) is not None]
    late: set[int] = set()
    if unchanged is not None:
        touched, base = state.index.modseqs(unchanged), state.index.base
        late = {n for n in there if touched.get(n, base) > unchanged}
        there = [n for n in there if n not in late]
    drop = Flag(_SETTABLE & ~change.add) if change.replace else change.drop
    words = _words(view, there, change)
    if change.add or drop:
        state.set_flags([(n, change.add, drop) for n in there])
    if words:
        state.set_keywords(words)
    return sorted(late)


def _words(
    view: View, numbers: Iterable[int], change: FlagChange
) -> dict[int, tuple[str, ...]]:
    """Return the keywords that messages get, of those for whom they change."""
    spelling = {w.lower(): w for row in view.keywords.values() for w in row}
    added = [spelling.setdefault(w.lower(), w) for w in change.words]
    if len(spelling) > MAX_KEYWORDS and added:
        used = {w.lower() for n, row in view.keywords.items() for w in row}
        if len(used | {w.lower() for w in added}) > MAX_KEYWORDS:
            raise TooManyKeywords
    dropped = {w.lower() for w in change.without}
    found = {}
    for number in numbers:
        was = view.keywords.get(number, ())
        kept = () if change.replace else (w for w in was if w.lower() not in dropped)
        now = tuple(sorted({*kept, *added}))
        if now != was:
            found[number] = now
    return found


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to append: LF line ends, no From_ line; date in epoch seconds."""

    octets: Octets
    date: int
    sender: str = ""
    flags: Flag = _NONE
    words: tuple[str, ...] = ()


def append(state: MailboxState, messages: Sequence[NewMessage]) -> list[int]:
    """Add messages, all or none; return their numbers, in their order.

    On disk when it returns.  Raises what the driver raises.
    """
    first = state.view.next
    done = 0
    try:
        for one in messages:
            state.driver.append(
                one.octets, one.date, one.sender, one.flags & ~Flag.RECENT
            )
            done += 1
    except BaseException:
        if done:
            state.list()
            state.remove(_paired(state, first, messages[:done]), state.driver.expunge)
        raise
    state.list()
    numbers = _paired(state, first, messages)
    for number, one in zip(numbers, messages, strict=True):
        # What a store cannot say in the message itself is set after it.
        flags = one.flags & _SETTABLE
        row = state.view.row(number)
        if row is None:
            continue
        if one.words or (state.view.listing.flags[row] & _SETTABLE) != flags:
            store(state, [number], FlagChange(flags, words=one.words, replace=True))
    return numbers


def _paired(
    state: MailboxState, first: int, messages: Sequence[NewMessage]
) -> list[int]:
    """Return the numbers, from first on, under which messages are in the store."""
    view = state.view
    came = [n for n in view if n >= first]
    if len(came) == len(messages) == 1:
        return came
    places: defaultdict[bytes, list[int]] = defaultdict(list)
    for number in came:
        message = state.message(number, view)
        assert message is not None
        places[_mark(wiretext(message.stored, state.shape))].append(number)
    bare = Shape(volatile=state.shape.volatile)
    left = Counter(came)
    numbers = []
    for one in messages:
        found = places[_mark(wiretext(one.octets, bare))]
        number = found.pop(0) if found else min(left, default=0)
        left.pop(number, None)
        numbers.append(number)
    return numbers


def _mark(text: Octets) -> bytes:
    """Make a message's digest, the same however an mbox quotes it."""
    if not isinstance(text, Memory):
        return b"%d" % len(text)
    return digest(Memory(text.data.replace(*_QUOTED)))


class Gone(Exception):
    """A message is not in its store any more, or is another one."""


def described(
    state: MailboxState, view: View, number: int, describe: Describe
) -> tuple[WireRow, Octets | None]:
    """Describe a message to clients, with its text where that had to be read.

    Raises Gone; a message that was edited under its number has then a new one.
    """
    row = state.index.wire(number)
    if row is not None and row.checked:
        return row, None
    text = text_of(state, view, number)
    if row is not None and row.digest != digest(text):
        if state.view.row(number) is not None:
            state.part([number])
        raise Gone
    made = row._replace(checked=1) if row is not None else None
    if made is None:
        made = WireRow(len(text), digest(text), 1, *describe(text))
    return made, text


def text_of(state: MailboxState, view: View, number: int) -> Octets:
    """Return a message as the network has it.  Raises Gone."""
    return _read(state, view, number, wiretext)


def _read(
    state: MailboxState,
    view: View,
    number: int,
    how: Callable[[Octets, Shape], Octets],
) -> Octets:
    try:
        text = rereading(state, number, lambda m: how(m.stored, state.shape), view)
    except Stale as e:
        raise Gone from e
    if text is None:
        raise Gone
    return text


def keep(state: MailboxState, rows: Sequence[tuple[int, WireRow]]) -> None:
    """Keep what was worked out of messages."""
    if rows:
        with state.index.transaction():
            state.index.put_wires(rows)


def carried(
    state: MailboxState, view: View, numbers: Iterable[int]
) -> Iterator[NewMessage]:
    """Give messages as append takes them.  Raises Gone."""
    for number in numbers:
        message = state.message(number, view)
        row = view.row(number)
        if message is None or row is None:
            raise Gone
        yield NewMessage(
            _read(state, view, number, plaintext),
            message.date,
            message.values.from_.split(" ")[0],
            Flag(view.listing.flags[row]),
            view.keywords.get(number, ()),
        )
