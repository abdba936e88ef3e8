"""The pages as the parsers would have them.

Write them with ``python -m tests.cmd.pages`` and read the difference: of a page, the
sections NAME, SYNOPSIS, OPTIONS, FILES and EXAMPLES are written, others are yours.
"""

from collections.abc import Iterator
from pathlib import Path

from mailfs.cmd import synopses
from mailfs.man import page


def pages() -> Iterator[tuple[Path, str]]:
    """Give each file and what should be in it."""
    groups = synopses.groups()
    main = page.path("mailfs.1")
    yield main, page.main_page(groups, _source(main))
    for verbs in groups.values():
        for of in verbs:
            path = page.path(f"mailfs-{of.verb}.1")
            yield path, page.verb_page(of, _source(path))


def _source(path: Path) -> str:
    return path.read_text() if path.exists() else ""


if __name__ == "__main__":
    for path, text in pages():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
