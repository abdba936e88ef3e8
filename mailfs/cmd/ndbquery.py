"""mailfs ndbquery: search the network database."""

from pathlib import Path

from mailfs import where
from mailfs.cmd.args import Parser
from mailfs.errors import MailfsError, UsageError

SUMMARY = "search the network database"


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = Parser(
        "ndbquery",
        "Print the entries with ATTR=VALUE, one a line; or the values they have of\n"
        "WANTED.  VALUE * is any.",
        example="mailfs ndbquery sys gnot\n"
        "mailfs ndbquery tcp submission port\n"
        "mailfs ndbquery -i sys gnot smtp         its own, or its network's",
        files="lib/ndb/local    the database, below the root; it names the other files",
    )
    parser.add_argument("attr", metavar="ATTR")
    parser.add_argument("value", metavar="VALUE")
    parser.add_argument("wanted", metavar="WANTED", nargs="*")
    parser.add_argument(
        "-a", dest="all", action="store_true", help="of every entry, every value"
    )
    parser.add_argument(
        "-m", dest="many", action="store_true", help="of the first entry, every value"
    )
    parser.add_argument(
        "-i", dest="inherit", action="store_true", help="of its networks as well"
    )
    parser.add_argument("-f", dest="file", type=Path, metavar="FILE", help="search it")
    parser.add_root()
    options = parser.parse_args(argv)
    from mailfs.ndb.db import open_ndb
    from mailfs.ndb.ipinfo import ipinfo
    from mailfs.ndb.parse import show

    ndb = open_ndb(where.root(options.root), options.file)
    if options.inherit:
        if not options.wanted:
            raise UsageError("-i wants attributes to look for (try --help)")
        found = ipinfo(ndb, options.attr, options.value, options.wanted)
        lines = [found[name] for name in options.wanted if name in found]
    elif not options.wanted:
        matches = list(ndb.search(options.attr, options.value))
        lines = [show(match.pairs) for match in matches]
    else:
        lines = []
        for name in options.wanted:
            matches = [m for m in ndb.search(options.attr, options.value)]
            lists = [values for m in matches if (values := m.values(name))]
            if not options.all:
                lists = lists[:1]
            for values in lists:
                lines += values if options.all or options.many else values[:1]
    if not lines:
        raise MailfsError(f"{options.attr}={options.value}: no match")
    print("\n".join(lines))
    return 0
