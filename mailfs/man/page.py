"""One page of the manual, by sections: some written by hand, some by a synopsis.

NAME, SYNOPSIS, OPTIONS, FILES and EXAMPLES of a verb's page follow from its parser;
all others are kept as they are.
"""

from collections.abc import Sequence
from pathlib import Path

from mailfs.man import mdoc
from mailfs.man.synopsis import Synopsis

FOLDER = Path(__file__).parent
DATE = "November 22, 2026"  # of a page that has none yet

ORDER = (
    *("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "VERBS", "ENVIRONMENT", "FILES"),
    *("EXIT STATUS", "EXAMPLES", "DIAGNOSTICS", "SEE ALSO", "STANDARDS", "BUGS"),
)

Sections = dict[str, list[str]]


def path(name: str) -> Path:
    """Name the path of a page, as ``mailfs-fs.1`` or ``mailfs.4``."""
    return FOLDER / f"man{name.rpartition('.')[2]}" / name


def split(source: str) -> tuple[list[str], Sections]:
    """Return the lines before the first section, and those of each."""
    head: list[str] = []
    found: Sections = {}
    into = head
    for line in source.splitlines():
        if line.startswith(".Sh "):
            into = found.setdefault(line.removeprefix(".Sh ").strip('"'), [])
        else:
            into.append(line)
    return head, found


def join(head: Sequence[str], found: Sections) -> str:
    """Return a page; sections of no usual name stand behind OPTIONS."""
    last = ORDER.index("OPTIONS")
    places = {name: (i, 0) for i, name in enumerate(ORDER)}
    odd = {name: (last, 1 + i) for i, name in enumerate(found) if name not in places}
    lines = list(head)
    for name in sorted(found, key=(places | odd).__getitem__):
        if found[name]:
            lines += [f".Sh {name}", *found[name]]
    return "\n".join(lines) + "\n"


def verb_page(of: Synopsis, source: str = "") -> str:
    """Return the page of a verb, its sections by hand taken from source."""
    name = f"mailfs-{of.verb}"
    head, found = split(source)
    if not head:
        head = [f".Dd {DATE}", f".Dt {name.upper()} 1", ".Os"]
    found.setdefault("DESCRIPTION", mdoc.prose(of.text))
    found.setdefault("SEE ALSO", [".Xr mailfs 1"])
    found |= {
        "NAME": [f".Nm {name}", f".Nd {of.summary.rstrip(' .')}"],
        "SYNOPSIS": _usage(of),
        "OPTIONS": _options(of),
        "FILES": _files(of),
        "EXAMPLES": _literal(of.example),
    }
    return join(head, found)


def _usage(of: Synopsis) -> list[str]:
    lines = [f".Nm mailfs {of.verb}", *mdoc.usage(of)]
    if not of.verbs:
        return lines
    lines += [".Ar VERB ..."]
    for one in of.verbs:
        lines += [f".Nm mailfs {of.verb}", ".Op Ar options"]
        lines += [f".Cm {mdoc.word(one.verb)}", *mdoc.usage(one)]
    return lines


def _options(of: Synopsis) -> list[str]:
    lines = mdoc.items(of)
    for one in of.verbs:
        lines += [f".Ss {one.verb}: {one.summary}", *mdoc.items(one)]
    return lines


def _files(of: Synopsis) -> list[str]:
    if not of.files:
        return []
    lines = [".Bl -tag -width Ds"]
    for name, told in of.files:
        lines += [f".It Pa {mdoc.word(name)}", *mdoc.prose(told)]
    return [*lines, ".El"]


def _literal(example: str) -> list[str]:
    if not example:
        return []
    lines = [mdoc.literal(line.rstrip()) for line in example.splitlines()]
    return [".Bd -literal", *lines, ".Ed"]


def main_page(groups: dict[str, tuple[Synopsis, ...]], source: str) -> str:
    """Return mailfs(1), with the list of verbs in it."""
    head, found = split(source)
    lines = []
    for group, verbs in groups.items():
        lines += [f".Ss {group}", ".Bl -tag -width mailfs-secstored(1)"]
        for of in verbs:
            lines += [f".It Xr mailfs-{of.verb} 1", mdoc.text(of.summary)]
        lines.append(".El")
    return join(head, found | {"VERBS": lines})
