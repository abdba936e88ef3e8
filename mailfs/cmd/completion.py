"""mailfs completion: what a shell needs to complete command lines of mailfs."""

import argparse
import importlib
import sys

from mailfs.cmd.args import Parser
from mailfs.cmd.man import PAGES
from mailfs.completion import FILES

SUMMARY = "print what a shell needs to complete our command lines"


def main(argv: list[str]) -> int:
    """Run the verb."""
    options = _parse(argv)
    made = FILES[options.shell]
    sys.stdout.write(made.read_text() if made.exists() else script(options.shell))
    return 0


def script(shell: str) -> str:
    """Return the script of a shell, made from what the parsers of all verbs say."""
    from mailfs.cmd import synopses
    from mailfs.completion.row import rows

    writer = importlib.import_module(f"mailfs.completion.{shell}")
    verbs = [one for group in synopses.groups().values() for one in group]
    text: str = writer.script(rows(verbs), [*PAGES, *(one.verb for one in verbs)])
    return text


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        "completion",
        "Print the completion of a shell: verbs, options, mailboxes, and paths of 9P\n"
        "servers, which are asked.  pip has put it where shells look for it, if the\n"
        "prefix's share is among their places.",
        example='eval "$(mailfs completion bash)"            in ~/.bashrc\n'
        "mailfs completion zsh >~/.zfunc/_mailfs     with ~/.zfunc in $fpath\n"
        "mailfs completion fish >~/.config/fish/completions/mailfs.fish",
        files="share/bash-completion/completions/mailfs\n"
        "share/zsh/site-functions/_mailfs\n"
        "share/fish/vendor_completions.d/mailfs.fish",
    )
    parser.add_argument("shell", metavar="SHELL", choices=list(FILES))
    return parser.parse_args(argv)
