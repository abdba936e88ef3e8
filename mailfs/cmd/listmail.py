"""mailfs list: whether addresses are in a list, and putting them in; filter(1)."""

import sys
from pathlib import Path

from mailfs.cmd.args import Parser
from mailfs.errors import UsageError

SUMMARY = "look addresses up in a list of patterns, or add them"


def main(argv: list[str]) -> int:
    """Run the verb; check fails unless an address is accepted."""
    parser = Parser(
        "list",
        "check: whether a pattern in PATTERNFILE accepts one of the addresses in\n"
        "ADDRESSFILE; add: append a pattern for each that none means.",
        example="mailfs list check _pattern senders && echo known\n"
        "mailfs list add _pattern senders",
    )
    parser.add_argument(
        "-d", dest="debug", action="store_true", help="say what is done"
    )
    parser.add_argument("what", choices=("check", "add"))
    parser.add_argument("patterns", metavar="PATTERNFILE", type=Path)
    parser.add_argument("files", metavar="ADDRESSFILE", nargs="+", type=Path)
    options = parser.parse_args(argv)
    from mailfs.filters import patterns

    addresses = _addresses(options.files)
    if options.what == "add":
        for address in patterns.add(options.patterns, addresses):
            if options.debug:
                print(f"{patterns.made(address)} for {address}", file=sys.stderr)
        return 0
    verdict = patterns.judge(patterns.load(options.patterns), addresses)
    if verdict is patterns.Verdict.MATCH:
        return 0
    print(verdict.value, file=sys.stderr)
    return 1


def _addresses(files: list[Path]) -> list[str]:
    """Read addresses: of each line that is no comment, the first that stands there."""
    from mailfs.send import address

    found: list[str] = []
    for path in files:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        for line in text.split("\n"):
            if line.strip() and not line.lstrip().startswith("#"):
                found += address.split(line)
    if not found:
        raise UsageError("no addresses")
    return found
