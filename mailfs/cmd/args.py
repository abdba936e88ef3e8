"""Arguments of a verb: argparse that refuses in one line and explains by example."""

import argparse
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from mailfs.errors import UsageError, reason
from mailfs.printable import shown

if TYPE_CHECKING:
    from _typeshed import SupportsWrite


# Who wants the parser itself when a verb is asked for --help: manual, completion.
asking: "ContextVar[Callable[[Parser], None] | None]"
asking = ContextVar("asking", default=None)


class Parser(argparse.ArgumentParser):
    """A parser for one verb.  Arguments that cannot be meant raise UsageError."""

    def __init__(
        self,
        verb: str,
        summary: str,
        *,
        example: str = "",
        files: str = "",
        own_h: bool = False,
    ) -> None:
        """Make it; example and files are shown at the end of --help, a line each.

        own_h: the verb's -h is an option of its own, and only --help shows the help.
        """
        self.example = example.strip()
        self.files = files.strip()
        self._fills_root = False
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
            conflict_handler="resolve" if own_h else "error",
        )

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(f"{message} (try --help)")

    def print_help(self, file: "SupportsWrite[str] | None" = None) -> None:
        """Show the help, or hand the parser to who asks for it."""
        ask = asking.get()
        if ask is None:
            super().print_help(file)
        else:
            ask(self)

    def add_root(self, *, fill: bool = True) -> None:
        """Add --root, where Plan 9 paths lie.

        fill: once the arguments are understood, a new root gets its directories and
        first files, so that people can write into what the manual names.
        """
        self._fills_root = fill
        self.add_argument(
            "--root",
            metavar="DIR",
            help="where Plan 9 paths lie; default $MAILFS_ROOT, else "
            "~/.local/share/mailfs",
        )

    def parse_known_args(  # type: ignore[override]  # the overloads all come to this
        self,
        args: Sequence[str] | None = None,
        namespace: argparse.Namespace | None = None,
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse, and fill a new root if the verb has one."""
        parsed, rest = super().parse_known_args(args, namespace)
        if self._fills_root and not rest:
            from mailfs import where
            from mailfs.ndb import install

            with suppress(OSError):  # the verb tells what it cannot do without it
                install.install(where.root(parsed.root), where.user())
        return parsed, rest


def why(err: Exception) -> str:
    """Return an error as one line: what, and why."""
    if isinstance(err, OSError):
        name = err.filename
        text = reason(err)
        if isinstance(name, (str, bytes, Path)) and name:
            return shown(f"{os.fsdecode(name)}: {text}")
        return shown(text)
    return shown(" ".join(str(err).split()))
