"""What can stand where on a command line: a row for each verb."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mailfs.man.synopsis import Option, Synopsis

NONE = "none"  # an argument of which nobody knows anything
FORMS = (
    *("imap", "imaps", "imaptls"),
    *("pop", "pops", "poptls", "apop", "apops", "apoptls"),
)

# What a metavar stands for; for single verbs where the same word means another thing.
KINDS: dict[str, str] = {
    "FILE": "file",
    "file": "file",
    "QUEUE": "dir",
    "queue": "dir",
    "COMMAND": "file",
    "DIR": "dir",
    "MAILBOX": "mailbox",
    "[NAME=]MAILBOX": "mailbox",
    "PATH": "path",
    "PAGE": "page",
}
VERB_KINDS: dict[tuple[str, str], str] = {
    ("9p", "ADDR"): "service",
    ("mount", "ADDR"): "service",
    ("fs", "ADDR[=ANAME]"): "service",
    **{(verb, "ADDR"): "service" for verb in ("ls", "show", "search", "save")},
    **{(verb, "MAILBOX"): NONE for verb in ("ls", "search")},  # names on the server
    ("secstore", "FILE"): NONE,  # names on the server
}


@dataclass(frozen=True, slots=True)
class Choice:
    """An argument: of a kind, or one of some words."""

    kind: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OptionRow:
    """A verb, or a verb of a verb, which path then has behind it.

    operands are in order; the last stands for all that follow if many.
    """

    path: tuple[str, ...]
    summary: str
    options: tuple[tuple[Option, Choice | None], ...]
    operands: tuple[Choice, ...]
    many: bool
    verbs: tuple[str, ...]


def rows(verbs: Iterable[Synopsis]) -> list[OptionRow]:
    """Return the rows of all verbs; those of a verb's verbs follow it."""
    return [row for of in verbs for row in _rows(of, (of.verb,))]


def _rows(of: Synopsis, path: tuple[str, ...]) -> Iterator[OptionRow]:
    operands = tuple(_choice(path, one.name, one.choices) for one in of.operands)
    options = [
        (one, _choice(path, one.metavar, one.choices) if one.metavar else None)
        for one in of.options
    ]
    many = bool(of.operands) and of.operands[-1].many
    below = tuple(one.verb for one in of.verbs)
    yield OptionRow(path, of.summary, tuple(options), operands, many, below)
    for one in of.verbs:
        yield from _rows(one, (*path, one.verb))


def _choice(path: tuple[str, ...], name: str, words: tuple[str, ...]) -> Choice:
    if words:
        return Choice("words", words)
    return Choice(VERB_KINDS.get((path[0], name)) or KINDS.get(name, NONE))
