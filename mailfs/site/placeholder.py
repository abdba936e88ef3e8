"""``yourdomain.dom``: the domain in files that ship, which their reader has to edit."""

import re
import shlex
from pathlib import Path

NAME = "yourdomain.dom"
SAMPLE = "YOURDOMAIN.DOM"  # as the rules have it; in patterns with \. for the dot
EXAMPLE = "example.org"  # in a command for somebody whose domain is not known

_SPELLINGS = re.compile(r"yourdomain\\?\.dom\b", re.IGNORECASE)


def left(text: str) -> list[int]:
    """List the numbers, from 1, of the lines that still have it, comments aside."""
    return [
        number
        for number, line in enumerate(text.split("\n"), 1)
        if not line.lstrip().startswith("#") and _SPELLINGS.search(line)
    ]


def is_placeholder(domain: str) -> bool:
    """Whether a domain, or the domain of a host, is the one nobody has."""
    name = domain.lower().rstrip(".")
    return name == NAME or name.endswith(f".{NAME}")


def mend(path: Path, domain: str) -> str:
    """Return the command that writes a domain for it, in both spellings."""
    name = domain.lower()
    escaped = name.replace(".", r"\\.")
    edits = (rf"s/YOURDOMAIN\\\.DOM/{escaped}/gI", rf"s/YOURDOMAIN\.DOM/{name}/gI")
    words = ["sed", "-i", *(word for edit in edits for word in ("-e", edit))]
    return shlex.join([*words, str(path)])
