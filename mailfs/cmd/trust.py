"""mailfs trust: show a server's certificate, and list it as trusted."""

import argparse
import time
from typing import TYPE_CHECKING

from mailfs import where
from mailfs.cmd.args import Parser
from mailfs.errors import MailfsError, UsageError

if TYPE_CHECKING:
    from mailfs.tls.service import Peer

SUMMARY = "show a server's certificate and trust it"

TIMEOUT = 30.0  # seconds to wait for each step of the connection


def main(argv: list[str]) -> int:
    """Run the verb."""
    options = _parse(argv)
    from mailfs.tls import dial, store, thumb
    from mailfs.tls.trust import Trust

    root = where.root(options.root)
    peer = _peer(options.service, options.host)
    try:
        chain = dial.look(peer, options.timeout)
    except OSError as e:
        raise MailfsError(f"{peer}: {e.strerror or e}".lower()) from e
    except MailfsError as e:
        raise MailfsError(f"{peer}: {e}") from e
    if not chain:
        raise MailfsError(f"{peer}: server did not provide TLS certificate")
    _show(chain, peer.host)
    listed = Trust(root).listed(chain[0], peer)
    if listed:
        print(f"{listed} trusts it")
        return 0
    file = store.trusted(root, peer.service.file)
    line = thumb.line(chain[0], "" if options.any else peer.host, key=options.key)
    print(line)
    if not options.yes and not _yes(f"add this line to {file}?"):
        raise MailfsError(f"{peer.host}: not added")
    store.append(file, root, line)
    print(f"added to {file}")
    return 0


def _peer(name: str, host: str | None) -> "Peer":
    from mailfs.tls.service import peer

    if host is not None:
        return peer(name, host)
    if "!" not in name:
        raise UsageError("want a service and a host (try --help)")
    return peer("", name)


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        "trust",
        "Show the certificate of a server, what the system's authorities say of it,\n"
        "and, after asking, list it as trusted.",
        example="mailfs trust imaps mail.example.org\n"
        "mailfs trust smtp mail.example.org     (begins with STARTTLS)\n"
        "mailfs trust 'tcp!mail.example.org!imaps'",
        files="sys/lib/tls/mail          below the root, for reading mail\n"
        "sys/lib/tls/smtp          for sending it\n"
        "sys/lib/tls/*.exclude     never trusted, whoever vouches",
    )
    parser.add_argument("service", help="such as imaps, or a dial string for both")
    parser.add_argument("host", nargs="?", help="or a dial string")
    parser.add_argument("-y", "--yes", action="store_true", help="add without asking")
    parser.add_argument(
        "--key",
        action="store_true",
        help="list the public key, which may outlive the certificate",
    )
    parser.add_argument(
        "--any", action="store_true", help="trust it under every host name"
    )
    parser.add_argument(
        "--timeout", type=float, default=TIMEOUT, metavar="SECONDS", help="per step"
    )
    parser.add_root()
    return parser.parse_args(argv)


def _show(chain: tuple[bytes, ...], host: str) -> None:
    from mailfs.tls.describe import describe, doubts
    from mailfs.tls.vouch import Unvouched, vouch

    rows = describe(chain[0])
    try:
        vouch(chain, host)
    except Unvouched as e:
        rows.append(("authorities", f"do not vouch for it: {e}"))
    else:
        rows.append(("authorities", f"vouch for it as {host}"))
    rows += [("beware", doubt) for doubt in doubts(chain[0], host, time.time())]
    for label, text in rows:
        print(f"{label:<12}{text}")


def _yes(question: str) -> bool:
    from mailfs.cmd import tty

    return tty.yes(question)
