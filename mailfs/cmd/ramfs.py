"""mailfs ramfs: serve a file system in memory; ramfs(4)."""

import logging

from mailfs import where
from mailfs.cmd.args import Parser

SUMMARY = "serve a file system in memory"

SERVICE = "ramfs"


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = Parser(
        "ramfs",
        "Serve files that live in memory and end with the server.",
        example="mailfs ramfs &\n"
        "mailfs 9p create ramfs/greeting\n"
        "echo hello | mailfs 9p write ramfs/greeting",
        files="$NAMESPACE/ramfs, else /tmp/ns.$USER.$DISPLAY/ramfs   the service",
    )
    parser.add_argument(
        "-l",
        metavar="ADDR",
        dest="addresses",
        action="append",
        help="serve on unix!PATH, tcp!HOST!PORT, stdio or a service name;"
        f" may be repeated; default {SERVICE}",
    )
    parser.add_argument("-D", action="store_true", dest="trace", help="trace messages")
    options = parser.parse_args(argv)
    addresses = [where.dialstring(a) for a in options.addresses or [SERVICE]]
    from mailfs.p9.ramfs import Ram
    from mailfs.p9.srv import Server, run, serve

    level = logging.INFO if options.trace else logging.WARNING
    logging.basicConfig(level=level, format="mailfs ramfs: %(message)s")
    server = Server(Ram(where.user()).attach, trace=options.trace)
    run(serve(server, addresses))
    return 0
