"""mailfs smtpd: take mail by SMTP and LMTP; smtpd(8)."""

import argparse
import asyncio
import logging
import os
import signal
import socket
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mailfs import where
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

    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if options.debug else logging.INFO,
        format="mailfs smtpd: %(message)s",
    )
    logging.getLogger("mailfs.serve.smtpd").addHandler(_SysLog(options.root))
    run(_serve(options))
    return 0


class _SysLog(logging.Handler):
    """Writes what is logged into sys/log/smtpd too."""

    def __init__(self, root: str | None) -> None:
        from mailfs.site.log import SysLog

        super().__init__(logging.INFO)
        self._log = SysLog(where.root(root), os.uname().nodename)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, if there is such a log: without the file it is off."""
        if (self._log.folder / "smtpd").exists():
            self._log.write("smtpd", record.getMessage())


async def _serve(options: argparse.Namespace) -> None:
    """Serve until a signal, or for one connection on standard input and output."""
    from mailfs.serve.door import Door, Doors

    certificate = _certificate(options)
    server = _server(options, certificate)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    doors = Doors()
    try:
        if _on_stdio(options):
            await doors.on_stdio(server.smtp, stop)
        for text in options.addresses or ([] if _on_stdio(options) else [_usual()]):
            at = where.dialstring(text)
            if at.net == "tls" and certificate is None:
                raise MailfsError(f"{text}: no certificate: see -c")
            context = certificate if at.net == "tls" else None
            _say("SMTP", await doors.open(Door(at, server.smtp, context)))
        for text in options.lmtp:
            at = where.dialstring(text)
            if at.net != "unix" and not at.loopback:
                raise MailfsError(f"{text}: LMTP is for this machine only")
            _say("LMTP", await doors.open(Door(at, server.lmtp)))
        await stop.wait()
    finally:
        await doors.close()
        server.close()


def _say(what: str, at: where.DialString) -> None:
    logging.info("%s at %s", what, at)


def _usual() -> str:
    return f"tcp!*!{25 if os.geteuid() == 0 else 2525}"


def _on_stdio(options: argparse.Namespace) -> bool:
    """Whether a listener such as inetd has started us for one connection."""
    if options.addresses or options.lmtp:
        return False
    return stat.S_ISSOCK(os.fstat(0).st_mode) and _connected(0)


def _connected(fd: int) -> bool:
    with socket.socket(fileno=os.dup(fd)) as sock:
        try:
            sock.getpeername()
        except OSError:
            return False
    return True


def _certificate(options: argparse.Namespace) -> "Certificate | None":
    """Return our certificate; without -c, none if none lies where it usually does."""
    from mailfs.serve.certificate import Certificate
    from mailfs.tls import keypair
    from mailfs.tls.keypair import Keypair

    usual = keypair.server(where.root(options.root))
    if options.cert is None:
        return Certificate(usual) if usual.cert.exists() else None
    return Certificate(Keypair(options.cert, options.key or options.cert))


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
    """Return what dials the factotum, None if none runs: then nobody logs in."""
    from mailfs.factotum.client import Factotum

    try:
        Factotum().reach().close()
    except MailfsError as e:
        logging.info("no AUTH: %s", e)
        return None
    return Factotum


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
    add("-c", dest="cert", type=Path, metavar="FILE", help="our certificate, in PEM")
    add(
        "-K",
        dest="key",
        type=Path,
        metavar="FILE",
        help="its key, as PEM or as rsagen prints it; default in the file of -c",
    )
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
