"""The fixed names of a directory: one row a name."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from mailfs.fs.node import Attach
from mailfs.p9.fcall import Stat
from mailfs.p9.file import File

D = TypeVar("D", bound=File)
Rule = Callable[[Attach], bool]


def always(attachment: Attach) -> bool:
    """Every attach has the name."""
    return True


def controlled(attachment: Attach) -> bool:
    """Attaches have the name that may use control files."""
    return attachment.ctl


def everything(attachment: Attach) -> bool:
    """Attaches have the name that asked for names which upas/fs does not have."""
    return attachment.everything


def never(attachment: Attach) -> bool:
    """No attach has the name."""
    return False


@dataclass(frozen=True, slots=True)
class NameRow(Generic[D]):
    """One name: the node, who can walk to it, and whose listing shows it."""

    make: Callable[[D], File]
    there: Rule = always
    listed: Rule = always


def walk(
    rows: Mapping[str, NameRow[D]], of: D, attachment: Attach, name: str
) -> File | None:
    """Make the node of that name; None if the attach has none."""
    row = rows.get(name)
    return row.make(of) if row is not None and row.there(attachment) else None


def entries(
    rows: Mapping[str, NameRow[D]], of: D, attachment: Attach
) -> Iterator[bytes]:
    """Give the packed entries of the names that the attach's listing shows."""
    for row in rows.values():
        if row.there(attachment) and row.listed(attachment):
            stat = row.make(of).stat()
            assert isinstance(stat, Stat)  # control files have theirs at hand
            yield stat.pack()
