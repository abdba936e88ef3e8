"""mailfs aliasmail: what names stand for."""

import sys

from mailfs import where
from mailfs.cmd.args import Parser

SUMMARY = "look names up in the alias files"


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = Parser(
        "aliasmail",
        "Print what each name stands for, one address a line; local!NAME if nothing.",
        example="mailfs aliasmail postmaster",
        files="mail/lib/namefiles        lists alias files, below the root\n"
        "mail/lib/fromfiles        lists those that give outgoing domains, for -f",
    )
    parser.add_argument("name", nargs="+")
    lists = parser.add_mutually_exclusive_group()
    lists.add_argument(
        "-f",
        dest="domain",
        action="store_true",
        help="print the domain that mail from NAME goes out under",
    )
    lists.add_argument("-n", dest="lists", metavar="FILE", help="not namefiles")
    parser.add_argument("-d", dest="debug", action="store_true", help="name the files")
    parser.add_root()
    options = parser.parse_args(argv)
    from mailfs.send import alias
    from mailfs.site import site

    here = site.here(where.root(options.root), where.user())
    lists_file = alias.FROM_LISTS if options.domain else options.lists or alias.LISTS
    if options.debug:
        for path in alias.files(here, lists_file):
            print(path, file=sys.stderr)
    for name in options.name:
        if options.domain:
            sys.stdout.write(alias.sender_domain(here, name))
            continue
        for address in alias.lookup(here, name, lists_file):
            line = f"{address}\n".encode("utf-8", "surrogateescape")
            sys.stdout.buffer.write(line)
    return 0
