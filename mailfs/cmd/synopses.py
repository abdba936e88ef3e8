"""What every verb takes on its command line, asked of the verbs themselves."""

import contextlib
import importlib

from mailfs import where
from mailfs.cmd.args import Parser, asking
from mailfs.cmd.main import GROUPS, VERBS
from mailfs.man.synopsis import Synopsis, read


def parser(verb: str) -> Parser:
    """Return the parser of a verb, made and not used."""
    found: list[Parser] = []
    module = importlib.import_module(f"mailfs.cmd.{VERBS[verb]}")
    token = asking.set(found.append)
    try:
        with contextlib.suppress(SystemExit):
            module.main(["--help"])
    finally:
        asking.reset(token)
    (one,) = found
    return one


def synopsis(verb: str) -> Synopsis:
    """Read a verb's synopsis."""
    summary = importlib.import_module(f"mailfs.cmd.{VERBS[verb]}").SUMMARY
    places = {str(where.cache()): "$XDG_CACHE_HOME/mailfs", str(where.root()): "ROOT"}
    return read(verb, summary, parser(verb), places)


def groups() -> dict[str, tuple[Synopsis, ...]]:
    """Read the synopses of all verbs, by group."""
    return {
        group: tuple(synopsis(verb) for verb in verbs)
        for group, verbs in GROUPS.items()
    }
