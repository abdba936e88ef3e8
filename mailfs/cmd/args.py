"""Arguments of a verb: argparse that refuses in one line and explains by example."""

import argparse
import os
from pathlib import Path
from typing import NoReturn

from mailfs.errors import UsageError, reason


class Parser(argparse.ArgumentParser):
    """A parser for one verb.  Arguments that cannot be meant raise UsageError."""

    def __init__(
        self, verb: str, summary: str, *, example: str = "", files: str = ""
    ) -> None:
        """Make it; example and files are shown at the end of --help, a line each."""
        epilog = ""
        for title, text in (("example", example), ("files", files)):
            if text:
                lines = "".join(f"  {line}\n" for line in text.strip().splitlines())
                epilog += f"{title}:\n{lines}\n"
        super().__init__(
            prog=f"mailfs {verb}",
            description=summary,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(f"{message} (try --help)")

    def add_root(self) -> None:
        """Add --root, where Plan 9 paths lie."""
        self.add_argument(
            "--root",
            metavar="DIR",
            help="where Plan 9 paths lie; default $MAILFS_ROOT, else "
            "~/.local/share/mailfs",
        )


def why(err: Exception) -> str:
    """Return an error as one line: what, and why."""
    if isinstance(err, OSError):
        name = err.filename
        text = reason(err)
        if isinstance(name, (str, bytes, Path)) and name:
            return f"{os.fsdecode(name)}: {text}"
        return text
    return " ".join(str(err).split())
