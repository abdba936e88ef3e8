"""Searching a mailbox: message by message, on its worker, a step at a time.

Between two steps the worker does what others have asked for, and whoever no longer
wants the answer stops the rest.
"""

import asyncio
import codecs
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from mailfs.mailbox.kinds import Stale
from mailfs.mailbox.message import Need
from mailfs.mailbox.octets import Memory, Octets
from mailfs.mailboxes.entity import Entity
from mailfs.mailboxes.query import ANYWHERE, MAX_QUERY, Find, Term
from mailfs.mailboxes.retry import retrying_some
from mailfs.mailboxes.scoped import ScopedMailbox
from mailfs.msg import decoded

STEP = 1 << 20  # octets of messages looked through at a time
MESSAGES = 64  # in one step, however short: a mailbox remembers as many
PIECE = 256 << 10  # octets matched at once: a few milliseconds
_OVERLAP = 2 * MAX_QUERY  # characters of a piece that are looked at with the next

_VALUES: dict[str, Callable[[Entity], str]] = {
    "from": lambda item: f"{item.envelope.ffrom} {item.envelope.from_}",
    "to": lambda item: item.envelope.to,
    "cc": lambda item: item.envelope.cc,
    "bcc": lambda item: item.envelope.bcc,
    "sender": lambda item: item.envelope.sender,
    "subject": lambda item: item.envelope.subject,
}


Finders = list[tuple[str, Find]]


async def search(box: ScopedMailbox, terms: Sequence[Term]) -> list[int]:
    """Return the numbers of the messages that match all terms, ascending."""
    index = [(t.field, t.finder()) for t in terms if t.field in _VALUES]
    octets = [(t.field, t.finder()) for t in terms if t.field not in _VALUES]
    await box.refreshed()
    found: list[int] = []
    for numbers in _steps(box):
        if index:
            numbers = await _step(box, numbers, index, Need.HEAD)
        if octets:
            numbers = await _step(box, numbers, octets, Need.WHOLE)
        found += numbers
    return found


def _steps(box: ScopedMailbox) -> Iterator[list[int]]:
    """Give the numbers of a mailbox in portions."""
    view = box.view
    sizes = view.listing.sizes
    numbers: list[int] = []
    size = 0
    for row in view.order:
        numbers.append(view.numbers[row])
        size += sizes[row]
        if size >= STEP or len(numbers) >= MESSAGES:
            yield numbers
            numbers, size = [], 0
    if numbers:
        yield numbers


async def _step(
    box: ScopedMailbox, numbers: list[int], finders: Finders, need: Need
) -> list[int]:
    """Choose the messages that match; those that have gone do not."""
    found: list[int] = []

    async def look(numbers: Sequence[int]) -> list[int]:
        messages = [m for number in numbers if (m := box.message(number)) is not None]
        await asyncio.gather(*(box.prepare(message, need) for message in messages))
        items = [Entity(box, message) for message in messages]
        hits, stale = await box.run(partial(_matching, items, finders))
        found.extend(hits)
        return stale

    await retrying_some(box, numbers, look)
    return sorted(found)


def _matching(items: list[Entity], finders: Finders) -> tuple[list[int], list[int]]:
    """Choose the messages that match, and those not found where they were listed."""
    hits, stale = [], []
    for item in items:
        try:
            if all(_matches(item, field, find) for field, find in finders):
                hits.append(item.message.number)
        except Stale:
            stale.append(item.message.number)
    return hits, stale


def _matches(item: Entity, field: str, find: Find) -> bool:
    value = _VALUES.get(field)
    if value is not None:
        return find(value(item))
    if field == "header":
        return _in_header(item, find)
    if field == ANYWHERE and _in_header(item, find):
        return True
    return _in_body(item, find)


def _in_header(item: Entity, find: Find) -> bool:
    return _in_octets(Memory(decoded.header(item.header)), find)


def _in_body(item: Entity, find: Find) -> bool:
    """Whether a text is in a part that people read, or in a message inside."""
    tree = item.tree
    if tree.parts:
        return any(_in_part(part, find) for part in item.children())
    return tree.type.startswith("text/") and _in_octets(item.body(), find)


def _in_part(part: Entity, find: Find) -> bool:
    return (part.whole and _in_header(part, find)) or _in_body(part, find)


def _in_octets(octets: Octets, find: Find) -> bool:
    """Whether a text is in octets of UTF-8, which are looked at piece by piece."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    held = ""
    for start in range(0, len(octets), PIECE):
        piece = decoder.decode(octets.read(start, start + PIECE))
        if find(held + piece):
            return True
        held = _tail(held + piece)
    return False


def _tail(text: str) -> str:
    """Return the end of a text that a hit may begin in, blanks run together.

    What is sought is matched by any white space between its words.
    """
    last = text[-_OVERLAP:]
    if " ".join(last.split()) == last:
        return last
    words = text.split()[-_OVERLAP:]
    end = " " if text[-1:].isspace() else ""
    return (" ".join(words) + end)[-_OVERLAP:]
