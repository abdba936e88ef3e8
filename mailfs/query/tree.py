"""A query as a value: what is sought, and how conditions are joined."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

# Fields that a text may be sought in; the empty one is any of those of ANYWHERE.
ANYWHERE = ""
FIELDS = ("from", "to", "cc", "bcc", "subject", "body", "file")

# The words that is: takes, and how they stand in an index's flags: a letter of the
# tree's file flags, and whether it is set.
FLAGS: dict[str, tuple[str, bool]] = {
    "unread": ("s", False),
    "read": ("s", True),
    "seen": ("s", True),
    "flagged": ("f", True),
    "starred": ("f", True),
    "answered": ("a", True),
    "replied": ("a", True),
    "draft": ("d", True),
    "deleted": ("D", True),
}


@dataclass(frozen=True, slots=True)
class Text:
    """Words in a row, as tokens.fold cuts them, in one field or in any.

    prefix: the last may be the beginning of a word.
    said: the text as it was typed, for who cuts words otherwise.
    """

    field: str
    words: tuple[str, ...]
    prefix: bool = False
    said: str = dataclasses.field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Identifier:
    """A Message-ID without its brackets."""

    value: str


@dataclass(frozen=True, slots=True)
class MailingList:
    """A text that List-Id contains, folded."""

    value: str


@dataclass(frozen=True, slots=True)
class Thread:
    """The Message-ID of a message, without brackets: its thread is meant."""

    value: str


@dataclass(frozen=True, slots=True)
class Flagged:
    """A flag, by its letter in the file flags, set or not."""

    letter: str
    set: bool = True


@dataclass(frozen=True, slots=True)
class Tagged:
    """A tag that is no flag."""

    name: str


@dataclass(frozen=True, slots=True)
class Arrived:
    """When it came: since <= date < before, in seconds since the epoch."""

    since: float
    before: float


@dataclass(frozen=True, slots=True)
class Sized:
    """How many octets it has: least <= size <= most."""

    least: int
    most: float


@dataclass(frozen=True, slots=True)
class Attached:
    """It has an attachment."""


@dataclass(frozen=True, slots=True)
class Inside:
    """The name of the mailbox that it lies in."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class Not:
    """Whatever the query does not find."""

    query: "Query"


@dataclass(frozen=True, slots=True)
class And:
    """What all of the queries find; everything without any."""

    queries: tuple["Query", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """What any of the queries finds."""

    queries: tuple["Query", ...]


Leaf: TypeAlias = (
    Text
    | Identifier
    | MailingList
    | Thread
    | Flagged
    | Tagged
    | Arrived
    | Sized
    | Attached
    | Inside
)
Query: TypeAlias = Leaf | Not | And | Or


def leaves(query: Query) -> set[Leaf]:
    """Return the conditions that a query is made of."""
    match query:
        case Not(inner):
            return leaves(inner)
        case And(queries) | Or(queries):
            return set().union(*map(leaves, queries))
        case _:
            return {query}


def holds(query: Query, leaf: Callable[[Leaf], bool]) -> bool:
    """Whether a query holds, given which of its leaves do."""
    match query:
        case Not(inner):
            return not holds(inner, leaf)
        case And(queries):
            return all(holds(one, leaf) for one in queries)
        case Or(queries):
            return any(holds(one, leaf) for one in queries)
        case _:
            return leaf(query)
