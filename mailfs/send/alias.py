"""Aliases: names that stand for addresses; aliasmail(8).

``mail/lib/namefiles`` lists files, by default ``names.local``.  In them a line is a
name and what it stands for; ``#`` begins a comment, a backslash before the newline goes
on, ``#include FILE`` is replaced by that file.  ASCII case does not matter, the first
entry of a name counts.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from mailfs.errors import EFBIG, MailfsError
from mailfs.msg.escape import unescape
from mailfs.send.address import bang
from mailfs.site.site import Site

LISTS = "namefiles"  # of alias files
FROM_LISTS = "fromfiles"  # of those that give outgoing domains
MAX_FILE = 16 << 20  # octets; a quarter of a million aliases
MAX_DEPTH = 32  # of includes, upas' limit
MAX_FILES = 256  # read for one list, or includes of includes never end

_FIELD = re.compile(r"""'([^']*)'?|"([^"]*)"?|(\S+)""")
_INCLUDE = re.compile(r"#include[ \t]+(\S.*)")

Entries = dict[str, list[str]]


def lookup(site: Site, name: str, lists: str = LISTS) -> list[str]:
    """Expand a name; ``local!NAME`` if it is no alias.

    An alias that leads back to its own name means the local mailbox.  A name with
    ``!`` is not looked up.  Raises MailfsError or OSError if a file cannot be read.
    """
    name = unescape(name).lower()
    found = _find(site, name, lists)
    if not found:
        return [f"local!{name}"]
    own = {name} | {f"{system}!{name}".lower() for system in site.names.all}
    return [f"local!{name}" if bang(to).lower() in own else to for to in found]


def sender_domain(site: Site, name: str) -> str:
    """Return the domain that ``fromfiles`` gives a sender, or ""; aliasmail -f."""
    found = _find(site, unescape(name).lower(), FROM_LISTS)
    if not found:
        return ""
    first = found[0]
    if "!" in first:
        return first.partition("!")[0]
    return first.partition("@")[2] or first


def _find(site: Site, name: str, lists: str) -> list[str]:
    if "!" in name:
        return []
    keys = [name, *(f"{system.lower()}!{name}" for system in site.names.all)]
    for path in files(site, lists):
        entries = load(site, path)
        for key in keys:
            if entries.get(key):
                return entries[key]
    return []


def files(site: Site, lists: str = LISTS) -> list[Path]:
    """Return the alias files that a list in mail/lib names; none if it is not there."""
    found: list[Path] = []
    for line in _read(site.path(lists)).split("\n"):
        words = [m[1] or m[2] or m[3] for m in _FIELD.finditer(line.partition("#")[0])]
        found += (site.path(word) for word in words if word)
    return found[:MAX_FILES]


def load(site: Site, path: Path, *, exact: bool = False) -> Entries:
    """Return the entries of an alias file, those it includes among them.

    Names are in lower case, unless exact, as in a user's own ``names``.  A file that
    is not there has none.
    """
    entries: Entries = {}
    budget = iter(range(MAX_FILES))
    for fields in _fields(site, path, (), budget):
        name = fields[0] if exact else fields[0].lower()
        entries.setdefault(name, fields[1:])
    return entries


def _fields(
    site: Site, path: Path, above: tuple[Path, ...], budget: Iterator[int]
) -> Iterator[list[str]]:
    if path in above:
        raise MailfsError(f"{path}: includes itself")
    if len(above) > MAX_DEPTH or next(budget, None) is None:
        raise MailfsError(f"too many includes, last file {path}")
    for line in parse(_read(path)):
        if isinstance(line, str):
            yield from _fields(site, site.path(line), (*above, path), budget)
        else:
            yield line


def parse(text: str) -> Iterable[list[str] | str]:
    """Yield the fields of each line of an alias file, or the file it includes."""
    for line in re.sub(r"\\\n", " ", text).split("\n"):
        included = _INCLUDE.match(line.strip())
        if included is not None:
            yield included[1].strip()
            continue
        fields = []
        for m in _FIELD.finditer(line):
            if m[0].startswith("#"):
                break
            fields.append(m[1] or m[2] or m[3] or "")
        fields = [field for field in fields if field]
        if fields:
            yield fields


def _read(path: Path) -> str:
    try:
        with open(path, "rb") as f:
            raw = f.read(MAX_FILE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    if len(raw) > MAX_FILE:
        raise MailfsError(f"{path}: {EFBIG}")
    return raw.decode("utf-8", "surrogateescape")
