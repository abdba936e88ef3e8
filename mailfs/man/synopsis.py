"""What a verb takes on its command line, as values: read from its parser.

The manual's pages and the completion of shells are written from these.
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

HIDDEN = argparse.SUPPRESS  # the help of what is taken and not told of


@dataclass(frozen=True, slots=True)
class Option:
    """An option under all its names; one without a metavar takes no argument."""

    names: tuple[str, ...]
    help: str
    metavar: str = ""
    choices: tuple[str, ...] = ()
    many: bool = False  # it may be repeated

    @property
    def short(self) -> str:
        """The letter, if it can be clustered: one without an argument."""
        name = self.names[0]
        return name[1] if len(name) == 2 and not self.metavar else ""


@dataclass(frozen=True, slots=True)
class Operand:
    """An argument that is no option."""

    name: str
    help: str
    optional: bool = False
    many: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Synopsis:
    """A verb, or a verb of a verb.

    files has pairs of a path and what lies there; text is the description.
    """

    verb: str
    summary: str
    text: str = ""
    options: tuple[Option, ...] = ()
    operands: tuple[Operand, ...] = ()
    verbs: tuple["Synopsis", ...] = ()
    example: str = ""
    files: tuple[tuple[str, str], ...] = ()


Places = Mapping[str, str]
"""Paths of this machine, and what a manual calls them."""


def read(
    verb: str, summary: str, parser: argparse.ArgumentParser, places: Places
) -> Synopsis:
    """Read a verb's synopsis from its parser; --help is left out."""
    options, operands, verbs = [], [], []
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction) or action.help == HIDDEN:
            continue
        text = _text(parser, action, places)
        if isinstance(action, argparse._SubParsersAction):
            told = {row.dest: row.help or "" for row in action._choices_actions}
            verbs = [
                read(name, told.get(name, ""), below, places)
                for name, below in action.choices.items()
            ]
        elif action.option_strings:
            options.append(_option(action, text))
        else:
            operands.append(_operand(action, text))
    return Synopsis(
        verb,
        summary,
        parser.description or "",
        tuple(options),
        tuple(operands),
        tuple(verbs),
        getattr(parser, "example", ""),
        tuple(_files(getattr(parser, "files", ""))),
    )


def _option(action: argparse.Action, text: str) -> Option:
    metavar = ""
    if action.nargs != 0:
        choices = "|".join(map(str, action.choices or ()))
        metavar = str(action.metavar or choices or action.dest.upper())
    return Option(
        tuple(sorted(action.option_strings, key=len)),
        text,
        metavar,
        tuple(map(str, action.choices or ())),
        isinstance(action, argparse._AppendAction),
    )


def _operand(action: argparse.Action, text: str) -> Operand:
    return Operand(
        str(action.metavar or action.dest),
        text,
        action.nargs in ("?", "*"),
        action.nargs in ("*", "+"),
        tuple(map(str, action.choices or ())),
    )


def _text(
    parser: argparse.ArgumentParser, action: argparse.Action, places: Places
) -> str:
    """Return an action's help on one line, the same on every machine."""
    text = (action.help or "") % {**vars(action), "prog": parser.prog}
    for path, name in places.items():
        text = text.replace(path, name)
    return " ".join(text.split())


def _files(text: str) -> Iterator[tuple[str, str]]:
    """Give path and text of each file: two blanks part them, an indent goes on."""
    path, words = "", ""
    for line in text.splitlines():
        if line.startswith(" "):
            words += f" {line.strip()}"
            continue
        if path:
            yield path, words
        path, _, words = line.partition("  ")
        words = words.strip()
    if path:
        yield path, words
