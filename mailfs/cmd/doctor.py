"""mailfs doctor: look for what keeps mail from being read and sent."""

import argparse

from mailfs import where
from mailfs.cmd.args import Parser
from mailfs.errors import UsageError

SUMMARY = "look for what is wrong, and tell how to mend it"

TIMEOUT = 10.0  # seconds for each answer
MAX_TIMEOUT = 600.0  # seconds


def main(argv: list[str]) -> int:
    """Run the verb; status 1 if something is wrong."""
    options = _parse(argv)
    from mailfs.doctor.checks import examine
    from mailfs.doctor.finding import FindingState
    from mailfs.doctor.world import DoctorWorld
    from mailfs.tls.trust import Policy, Trust

    root = where.root(options.root)
    world = DoctorWorld(
        root,
        where.user(),
        where.cache(),
        where.namespace,
        Trust(root, Policy(options.trust)),
        options.timeout,
    )
    wrong = 0
    for found in examine(world, options.specs):
        wrong += found.state is FindingState.BAD
        if found.state is not FindingState.OK or not options.quiet:
            print(found, flush=True)
    return 1 if wrong else 0


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        "doctor",
        "Look at everything mail needs: files and permissions, the factotum, whom we\n"
        "trust, the clock, FUSE, running servers, each account (dial, TLS, login,\n"
        "folder), the settings for sending and the queue.  A line for each: ok, note\n"
        "or BAD, and below it a command that mends it.  Accounts are those of -f,\n"
        "those a running server has open and those the factotum has keys for.",
        example="mailfs doctor\nmailfs doctor -q -f /imaps/mail.example.org/glenda",
        files="$NAMESPACE                 services: upasfs, factotum, plumb\n"
        "ROOT/sys/lib/tls           lists of whom to trust\n"
        "ROOT/lib/ndb/local         smtp= and dom=\n"
        "ROOT/mail/queue            mail that waits",
    )
    parser.add_argument(
        "-f",
        dest="specs",
        metavar="[NAME=]MAILBOX",
        action="append",
        default=[],
        help="look at this mailbox or account too; may be repeated",
    )
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="tell only what is not ok"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=TIMEOUT,
        metavar="SECONDS",
        help="for each answer of a server; default %(default).0f",
    )
    parser.add_argument(
        "--trust",
        choices=("ca", "thumbprint"),
        default="ca",
        help="what may speak for a certificate, as mailfs fs is told; default ca",
    )
    parser.add_root(fill=False)
    options = parser.parse_args(argv)
    if not 0 < options.timeout <= MAX_TIMEOUT:
        raise UsageError(f"--timeout wants up to {MAX_TIMEOUT:.0f} seconds")
    return options
