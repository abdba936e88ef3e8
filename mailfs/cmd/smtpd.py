"""mailfs smtpd: take mail by SMTP and LMTP; smtpd(8)."""

import argparse
import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mailfs import where
from mailfs.cmd import serving
from mailfs.cmd.args import Parser
from mailfs.errors import MailfsError, UsageError

if TYPE_CHECKING:
    from mailfs.serve.certificate import Certificate
    from mailfs.serve.login import Agent
    from mailfs.serve.smtpd.server import Smtpd

SUMMARY = "take mail from other machines and programs"


def main(argv: list[str]) -> int:
    """Run the verb."""
    options = _parse(argv)
    from mailfs.p9.srv import run

    serving.begin_log(options, "smtpd", "mailfs.serve.smtpd")
    run(_serve(options))
    return 0


async def _serve(options: argparse.Namespace) -> None:
    """Serve until a signal, or for one connection on standard input and output."""
    from mailfs.serve.door import Doors

    ours = serving.certificate(options)
    server = _server(options, ours)
    alone = _on_stdio(options)
    stop = serving.ending()
    doors = Doors()
    try:
        if alone:
            await doors.on_stdio(server.smtp, stop)
        at = options.addresses or ([] if alone else [_usual()])
        await serving.listen(doors, at, server.smtp, ours, "SMTP")
        for text in options.lmtp:
            to = where.dialstring(text)
            if to.net != "unix" and not to.loopback:
                raise MailfsError(f"{text}: LMTP is for this machine only")
        await serving.listen(doors, options.lmtp, server.lmtp, ours, "LMTP")
        await stop.wait()
    finally:
        await doors.close()
        server.close()


def _usual() -> str:
    return f"tcp!*!{25 if os.geteuid() == 0 else 2525}"


def _on_stdio(options: argparse.Namespace) -> bool:
    """Whether a listener such as inetd has started us for one connection."""
    if options.addresses or options.lmtp:
        return False
    return serving.connected(0) is not None


def _server(options: argparse.Namespace, certificate: "Certificate | None") -> "Smtpd":
    from mailfs.serve.smtpd.net import net
    from mailfs.serve.smtpd.policy import Switches
    from mailfs.serve.smtpd.server import Logins, Smtpd

    root = where.root(options.root)
    try:
        silent = tuple(map(net, options.kill))
    except ValueError as e:
        raise UsageError(f"-k: {e}") from e
    return Smtpd(
        root,
        where.user(),
        lookup=_addresses,
        switches=Switches(
            greylist=options.greylist,
            norelay=options.norelay,
            save=options.save,
            trust_helo=options.trust_helo,
            silent=silent,
        ),
        context=certificate,
        domain=options.domain or "",
        agent=_agent(),
        logins=Logins(required=options.required, clear=options.clear),
    )


def _agent() -> "Agent | None":
    """Make what dials the factotum, None if none runs: then nobody logs in."""
    try:
        return serving.agent()
    except MailfsError as e:
        logging.info("no AUTH: %s", e)
        return None


def _addresses(domain: str) -> Sequence[str]:
    """Ask the name service for a domain's addresses; no answer is none."""
    from mailfs.smtp.dns import Dns

    try:
        return Dns().addresses(domain).records
    except (MailfsError, OSError):
        return ()


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        "smtpd",
        "Take mail by SMTP at each ADDR, for the users and by the rules of this root\n"
        "(see rewrite(6)); relay for nobody but ournets.  Started by a listener with\n"
        "a connection as standard input, serve that one.",
        example="mailfs smtpd                               on every address, port 25\n"
        "mailfs smtpd -g -l 'tcp!*!2525' -c cert.pem -K key.pem\n"
        "mailfs smtpd --lmtp unix!/run/mailfs/lmtp   behind Postfix or Exim\n"
        "mailfs smtpd -a -l 'tcp!*!587' -l 'tls!*!465'   for users' programs",
        files="ROOT/mail/lib/smtpd.conf      what is accepted\n"
        "ROOT/mail/lib/blocked         networks and senders that are not\n"
        "ROOT/mail/lib/names.blocked   recipients nobody may write to\n"
        "ROOT/mail/lib/senders         recipients with few who may\n"
        "ROOT/mail/lib/validateaddress, validatesender   scripts asked, if there\n"
        "ROOT/mail/grey                the greylist, its whitelist\n"
        "ROOT/sys/lib/tls/cert.pem, key   our certificate for STARTTLS",
        own_h=True,
    )
    add = parser.add_argument
    add(
        "-l",
        dest="addresses",
        action="append",
        default=[],
        metavar="ADDR",
        help="listen at tcp!HOST!PORT, tls!HOST!PORT or unix!PATH; default tcp!*!25, "
        "tcp!*!2525 for a user who is not root",
    )
    add(
        "--lmtp",
        action="append",
        default=[],
        metavar="ADDR",
        help="take LMTP at unix!PATH or a loopback address",
    )
    serving.add_certificate(parser)
    add("-h", dest="domain", metavar="DOM", help="our name; default defaultdomain")
    add(
        "-k",
        dest="kill",
        action="append",
        default=[],
        metavar="NET",
        help="hang up on clients there without a word",
    )
    flags = (
        ("-a", "required", "whoever is not in ournets has to log in before MAIL"),
        ("-d", "debug", "log more"),
        ("-e", "trust_helo", "do not look whether HELO's name may be true"),
        ("-f", "norelay", "relay for nobody outside ournets; so it is anyway"),
        ("-g", "greylist", "put off strangers' first calls"),
        ("-p", "clear", "let passwords come without TLS; from here they always may"),
        ("-s", "save", "keep messages that are blocked, in mail/queue.dump"),
        ("-r", "verify", "accepted, no effect, as in upas"),
    )
    for flag, dest, text in flags:
        add(flag, dest=dest, action="store_true", help=text)
    parser.add_root()
    return parser.parse_args(argv)
