"""What was found: one line, and a command that mends it."""

import enum
from dataclasses import dataclass

from mailfs.printable import shown


class FindingState(enum.Enum):
    """How bad it is; the value is what is printed."""

    OK = "ok"
    NOTE = "note"  # nothing is wrong, but somebody may want to know
    BAD = "BAD"


@dataclass(frozen=True, slots=True)
class Finding:
    """One result.  remedy is a command for a shell, empty if there is none to give."""

    state: FindingState
    what: str
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        line = f"{self.state.value:<5} {_line(self.what)}: {_line(self.text)}"
        return f"{line}\n      {_line(self.remedy)}" if self.remedy else line


def _line(text: str) -> str:
    """Show a text on one line, without what a terminal would obey."""
    return shown(" ".join(text.split("\n")))


def ok(what: str, text: str) -> Finding:
    """Return that all is well."""
    return Finding(FindingState.OK, what, text)


def note(what: str, text: str, remedy: str = "") -> Finding:
    """Make a finding that needs no remedy."""
    return Finding(FindingState.NOTE, what, text, remedy)


def bad(what: str, text: str, remedy: str = "") -> Finding:
    """Make a finding of a fault."""
    return Finding(FindingState.BAD, what, text, remedy)
