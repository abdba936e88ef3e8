"""Finding messages of a mailbox: by its view, its full text, and by reading the rest.

Each part of a query tells which messages answer for certain and which may.  What may
is read, a step at a time, on the mailbox's worker: phrases that the full text names,
and messages whose words it does not have.  Between two steps the worker does what
others have asked for; who no longer wants the answer stops the rest.

A message on a server that is not at hand is not fetched to be looked through: the
server is asked.
"""

import logging
import sqlite3
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from mailfs.errors import MailfsError
from mailfs.fulltext.document import Document
from mailfs.mailbox.feed import read
from mailfs.mailbox.kinds import Stale
from mailfs.mailbox.message import Message
from mailfs.mailbox.view import View
from mailfs.mailboxes.flags import LETTERS
from mailfs.mailboxes.found import Found
from mailfs.mailboxes.retry import retrying_some
from mailfs.mailboxes.scoped import ScopedMailbox
from mailfs.mailboxes.words import SeenWords
from mailfs.query import fulltext
from mailfs.query.match import answers
from mailfs.query.tree import (
    And,
    Arrived,
    Attached,
    Flagged,
    Identifier,
    Inside,
    Leaf,
    MailingList,
    Not,
    Or,
    Query,
    Sized,
    Tagged,
    Text,
    Thread,
    holds,
    leaves,
)

log = logging.getLogger(__name__)

STEP = 1 << 20  # octets of messages read through at a time
MESSAGES = 32  # in one step, however short
MAX_ASKED = 20  # conditions of one query that a server is asked for
_LISTED = (Flagged, Arrived, Sized, Inside, Tagged)  # what a view can tell


@dataclass(frozen=True, slots=True)
class _Some:
    """Messages that answer for certain, and others that may."""

    sure: frozenset[int] | set[int]
    maybe: frozenset[int] | set[int] = frozenset()


async def find(
    box: ScopedMailbox, query: Query, only: Iterable[int] | None = None
) -> Found:
    """Find the messages of a mailbox, or those of only, that answer a query.

    Raises OSError or MailfsError if the mailbox cannot be opened.
    """
    await box.refreshed()
    view, wanted = box.view, only if only is None else frozenset(only)
    known = box.findings(view).get(query)
    if known is not None:
        return known if wanted is None else _among(known, wanted)
    rows = view.order if wanted is None else sorted(view.rows(wanted), key=_by(view))
    asking = _Asking(box.name, view, rows)
    some = await box.with_words(partial(asking.asked, query))
    hits = set(some.sure)
    numbers = [view.numbers[row] for row in reversed(rows)]
    todo = [number for number in numbers if number in some.maybe]
    for thread in asking.threads - asking.roots.keys() if todo else ():
        asking.roots[thread] = await _root(box, thread)
    unread = set(await _look_through(box, query, todo, asking.roots, hits))
    asked: set[int] = set()
    if unread:
        answers = await _ask(box, query, sorted(unread))
        if answers is not None:
            asked = _judged(box.name, view, query, answers, unread)
            unread = set()
    hits |= asked
    found = Found(*(_ordered(numbers, some) for some in (hits, asked, unread)))
    if wanted is None and box.view is view and not unread:
        box.findings(view)[query] = found
    return found


def _ordered(numbers: Sequence[int], some: set[int]) -> "array[int]":
    return array("I", (number for number in numbers if number in some))


def _among(found: Found, only: frozenset[int]) -> Found:
    asked = array("I", (number for number in found.asked if number in only))
    return Found(array("I", (n for n in found.numbers if n in only)), asked)


async def _look_through(
    box: ScopedMailbox,
    query: Query,
    todo: list[int],
    roots: Mapping[str, str],
    hits: set[int],
) -> list[int]:
    """Read messages, and add those that answer to hits; return those not at hand."""
    unread: list[int] = []

    async def look(numbers: Sequence[int]) -> list[int]:
        view, stale = box.view, list[int]()
        for step in _steps(view, numbers):
            messages = [m for n in step if (m := box.message(n)) is not None]
            job = partial(_read, box.name, view, messages, query, roots)
            done = await box.run(job)
            hits.update(done.hits)
            unread.extend(done.missed)
            stale += done.stale
        return stale

    await retrying_some(box, todo, look)
    return unread


async def _ask(
    box: ScopedMailbox, query: Query, numbers: Sequence[int]
) -> dict[Leaf, set[int]] | None:
    """Ask the server what the view cannot tell; None if it does not."""
    asked = [leaf for leaf in leaves(query) if not isinstance(leaf, _LISTED)]
    if len(asked) > MAX_ASKED:
        return None
    try:
        return await box.search(asked, numbers)
    except (OSError, MailfsError) as e:
        log.info("%s: search: %s", box.name, e)
        return None


def _judged(
    name: str,
    view: View,
    query: Query,
    answers: Mapping[Leaf, set[int]],
    numbers: Iterable[int],
) -> set[int]:
    """Return the messages that answer, by what the server said and the view tells."""
    found: set[int] = set()
    for number in numbers:
        row = view.row(number)
        if row is not None and holds(
            query, partial(_holds_there, name, view, row, answers)
        ):
            found.add(number)
    return found


def _holds_there(
    name: str, view: View, row: int, answers: Mapping[Leaf, set[int]], leaf: Leaf
) -> bool:
    if leaf in answers:
        return view.numbers[row] in answers[leaf]
    return listed(name, view, leaf)(row)


def _by(view: View) -> Callable[[int], int]:
    return view.numbers.__getitem__


async def _root(box: ScopedMailbox, messageid: str) -> str:
    """Find the root of a message's thread by reading messages."""
    for number in (await find(box, Identifier(messageid))).numbers:
        message = box.message(number)
        if message is not None and message.here:
            try:
                return (await box.run(partial(read, message))).root
            except (OSError, MailfsError) as e:
                log.info("%s/%d: %s", box.name, number, e)
    return messageid


class _Asking:
    """One query of some rows of a view; all but the first method on the worker."""

    def __init__(self, name: str, view: View, rows: Sequence[int]) -> None:
        self.roots: dict[str, str] = {}  # of the threads that were asked for
        self.threads: set[str] = set()
        self._name = name
        self._view = view
        self._rows = rows
        self._among = {view.numbers[row] for row in rows}
        self._words: SeenWords | None = None
        self._unknown = self._among  # whose words the full text does not have

    def asked(self, query: Query, words: SeenWords | None) -> _Some:
        """Find out what is known without reading a message."""
        try:
            if words is not None:
                self._unknown = self._among.intersection(words.unknown())
                self._words = words
            return self.ask(query)
        except sqlite3.Error as e:
            log.warning("full text of %s: %s; messages are read", self._name, e)
            self._words, self._unknown = None, self._among
            return self.ask(query)

    def ask(self, query: Query) -> _Some:
        """Choose the messages that answer, or may."""
        match query:
            case Not(inner):
                some = self.ask(inner)
                return _Some(self._among - some.sure - some.maybe, some.maybe)
            case And(queries):
                some = self.ask(queries[0])
                for one in queries[1:]:
                    some = _both(some, self.ask(one))
                return some
            case Or(queries):
                each = [self.ask(one) for one in queries]
                sure = set().union(*(some.sure for some in each))
                maybe = set().union(*(some.maybe for some in each))
                return _Some(sure, maybe - sure)
            case Text() | Identifier() | Thread() | MailingList() | Attached():
                return self._of_words(query)
            case _:
                test = listed(self._name, self._view, query)
                numbers = self._view.numbers
                return _Some({numbers[row] for row in self._rows if test(row)})

    def _of_words(
        self, leaf: Text | Identifier | Thread | MailingList | Attached
    ) -> _Some:
        named: set[int] = set()
        if isinstance(leaf, Thread):
            self.threads.add(leaf.value)
        if self._words is not None:
            if isinstance(leaf, Thread) and (root := self._words.root(leaf.value)):
                self.roots[leaf.value] = root
            named = (self._words.numbers(leaf) & self._among) - self._unknown
        if isinstance(leaf, Text) and not fulltext.exact(leaf):
            return _Some(set(), named | self._unknown)
        return _Some(named, self._unknown)


def _both(one: _Some, other: _Some) -> _Some:
    sure = one.sure & other.sure
    return _Some(sure, ((one.sure | one.maybe) & (other.sure | other.maybe)) - sure)


def listed(name: str, view: View, leaf: Leaf) -> Callable[[int], bool]:
    """Return the test, by row, of a leaf that a view of the mailbox name can tell."""
    l = view.listing
    match leaf:
        case Flagged(letter, wanted):
            bit, flags = LETTERS[letter].value, l.flags
            return lambda row: bool(flags[row] & bit) == wanted
        case Arrived(since, before):
            return lambda row: since <= l.dates[row] < before
        case Sized(least, most):
            return lambda row: least <= l.sizes[row] <= most
        case Inside(mailbox):
            inside = mailbox == name
            return lambda row: inside
        case Tagged(tag):
            sought, numbers, words = tag.casefold(), view.numbers, view.keywords
            return lambda row: any(
                word.casefold() == sought for word in words.get(numbers[row], ())
            )
    raise TypeError(leaf)


def _steps(view: View, numbers: Sequence[int]) -> Iterable[list[int]]:
    """Give numbers in portions that take a short while."""
    sizes = view.listing.sizes
    step: list[int] = []
    octets = 0
    for number in numbers:
        row = view.row(number)
        step.append(number)
        octets += 0 if row is None else sizes[row]
        if octets >= STEP or len(step) >= MESSAGES:
            yield step
            step, octets = [], 0
    if step:
        yield step


@dataclass(frozen=True, slots=True)
class _Reading:
    """What became of messages that were to be read."""

    hits: list[int] = field(default_factory=list)
    missed: list[int] = field(default_factory=list)  # on a server only
    stale: list[int] = field(default_factory=list)  # not where they were listed


def _read(
    name: str,
    view: View,
    messages: Sequence[Message],
    query: Query,
    roots: Mapping[str, str],
) -> _Reading:
    """Read messages, on the worker, and see which answer the query."""
    done = _Reading()
    for message in messages:
        number, row = message.number, view.row(message.number)
        if row is None:
            continue
        if not message.here:
            done.missed.append(number)
            continue
        try:
            doc = read(message)
        except Stale:
            done.stale.append(number)
            continue
        except (OSError, MailfsError) as e:
            log.info("%s/%d: %s", name, number, e)
            continue
        if holds(query, partial(_holds, name, view, row, doc, roots)):
            done.hits.append(number)
    return done


def _holds(  # what is known of one message
    name: str,
    view: View,
    row: int,
    doc: Document,
    roots: Mapping[str, str],
    leaf: Leaf,
) -> bool:
    """Whether a message that has been read answers one part of a query."""
    match leaf:
        case Text():
            return answers(doc.words, leaf)
        case Identifier(value):
            return doc.messageid == value
        case Thread(value):
            thread = {value, roots.get(value, value)}
            return doc.messageid in thread or doc.root in thread
        case MailingList(value):
            return value in doc.listid
        case Attached():
            return doc.attached
    return listed(name, view, leaf)(row)
