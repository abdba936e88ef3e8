"""mailfs send: deliver a message; also what programs call as sendmail."""

import argparse
import io
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from mailfs import where
from mailfs.cmd import standard
from mailfs.cmd.args import Parser, why
from mailfs.errors import MailfsError, UsageError
from mailfs.printable import shown

if TYPE_CHECKING:
    from mailfs.send.mail import Mail
    from mailfs.send.result import Result
    from mailfs.site.site import Site
    from mailfs.smtp.dsn import Dsn

SUMMARY = "deliver a message to addresses; stands in for sendmail"

EX_TEMPFAIL = 75  # sysexits(3): try again
_BAD = ("\r", "\n")


def main(argv: list[str]) -> int:
    """Run the verb."""
    from mailfs.cmd import sendmail

    status = sendmail.answer(argv)
    if status is not None:
        return status
    options = _parse(sendmail.plain(argv))
    if any(c in address for address in options.address for c in _BAD):
        raise UsageError("illegal characters in destination")
    from mailfs.ndb import install
    from mailfs.site import site as sites

    root = where.root(options.root)
    install.install(root, where.user())
    site = sites.here(root, where.user())
    if options.resolve or options.commands:
        return _show(site, options)
    return _send(site, options)


def _wishes(options: argparse.Namespace, recipients: Sequence[str]) -> "Dsn":
    """Read what reports are wanted.  Raises BadDsn."""
    from mailfs.smtp import dsn

    one = dsn.RcptDsn(dsn.notify(options.notify) if options.notify else ())
    ret = dsn.ret(options.ret) if options.ret else ""
    envid = dsn.envid(dsn.xtext(options.envid)) if options.envid else ""
    return dsn.for_all(recipients, one, ret, envid)


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        "send",
        "Deliver the message on standard input: to mailboxes here, to programs, or to\n"
        "the queue, as mail/lib/rewrite says.",
        example="mailfs send glenda fred@example.org < message\n"
        "mailfs send -x glenda                       where would it go?\n"
        "git send-email --sendmail-cmd='mailfs send' 0001-fix.patch\n"
        "set sendmail='mailfs send -oem -oi'         in ~/.muttrc",
        files="mail/lib/rewrite          rules, below the root; rewrite.direct and\n"
        "                          rewrite.gateway are there to copy from\n"
        "mail/lib/namefiles        lists alias files\n"
        "mail/box/USER/forward, pipeto, mbox, dead.letter\n"
        "sys/log/mail",
    )
    add = parser.add_argument
    add("address", nargs="*", help="user@domain, domain!user, a user or an alias")
    add("-b", dest="bare", action="store_true", help="add no To: line")
    add("-x", dest="resolve", action="store_true", help="print where addresses lead")
    add("-#", dest="commands", action="store_true", help="print what would be run")
    add(
        "-r",
        dest="relayed",
        action="store_true",
        help="from a program: From_ lines give sender and date, nothing is added",
    )
    add("-t", dest="header", action="store_true", help="to whom To, Cc and Bcc say")
    add("-f", dest="sender", metavar="ADDR", help="envelope sender; <> for nobody")
    add("-F", dest="name", default="", metavar="NAME", help="full name, for From:")
    add("--dot", action="store_true", help="a line with only . ends the message")
    add("-d", dest="debug", action="store_true", help="say what becomes of each")
    for letter in "imnUv":  # a dot never ends a message; senders are recipients too
        add(f"-{letter}", action="store_true", help=argparse.SUPPRESS)
    reports = "when to be told: never, or some of success,failure,delay"
    add("-N", dest="notify", metavar="WHAT", help=reports)
    add("-R", dest="ret", metavar="WHAT", help="what reports quote: full or hdrs")
    add("-V", dest="envid", metavar="ID", help="an id of yours, for the reports")
    for letter in "oeBO":  # sendmail's options about errors, and how to queue
        add(f"-{letter}", action="append", help=argparse.SUPPRESS)
    parser.add_root()
    options = parser.parse_args(argv)
    if not options.address and not options.header:
        raise UsageError("want an address, or -t (try --help)")
    return options


def _show(site: "Site", options: argparse.Namespace) -> int:
    """Print what send would do; what cannot be sent is no error."""
    from mailfs.send import preview, submit

    # What is no UTF-8 is shown as it was given.
    cast("io.TextIOWrapper", sys.stdout).reconfigure(errors="surrogateescape")
    rules = submit.load_rules(site)
    sender = _sender(options) or site.sender
    for line in preview.lines(
        site, rules, options.address, sender, commands=options.commands
    ):
        print(line)
    standard.check()
    return 0


def _send(site: "Site", options: argparse.Namespace) -> int:
    from mailfs.send import mail, result, submit
    from mailfs.send.refusal import Refusal

    data = sys.stdin.buffer.read(mail.MAX_MESSAGE + 1)
    if options.dot:
        data = _undotted(data)
    if not data and not options.relayed:
        return 0
    try:
        letter = mail.read(site, data, _sender(options), relayed=options.relayed)
        recipients = _recipients(options, letter)
        results = submit.send(
            site,
            submit.load_rules(site),
            recipients,
            letter,
            relayed=options.relayed,
            to_line=not options.bare and not options.header,
            name=options.name,
            dsn=_wishes(options, recipients),
        )
    except Refusal as e:
        sender = _sender(options) or site.sender
        refused = result.all_refused(options.address or ["-t"], e)
        return _failed(site, options, data, sender, refused, refused)
    if options.debug:
        for one in results:
            print(f"{shown(one.address)}: {one.state.value}", file=sys.stderr)
    refused = [one for one in results if one.refused]
    if not refused:
        return 0
    if options.relayed and len(refused) < len(results):
        # Who handed us the message must not send it again to all.
        from mailfs.send import bounce

        bounce.send_back(site, letter, refused)
        return 0
    return _failed(site, options, data, letter.sender, results, refused)


def _failed(
    site: "Site",
    options: argparse.Namespace,
    data: bytes,
    sender: str,
    results: Sequence["Result"],
    refused: Sequence["Result"],
) -> int:
    """Say what was refused and keep the message; return the exit status."""
    from mailfs.send import complaint, deadletter

    final = any(r.permanent for r in refused)
    if not options.relayed:  # a program tries again; a person has to edit a file first
        final = final or any(r.unconfigured for r in refused)
    status = 1 if final else EX_TEMPFAIL
    text = complaint.compose(sender, refused)
    if options.relayed:
        word = "mail refused:" if status == 1 else "Mail"
        print(shown(f"{word} {text}", keep="\n"), file=sys.stderr)
        return status
    print(shown(f"Mail {text}", keep="\n"), file=sys.stderr)
    try:
        path = deadletter.save(site, data, sender)
    except (OSError, MailfsError) as e:
        print(f"mailfs send: cannot keep the message: {why(e)}", file=sys.stderr)
    else:
        print(f"saved in {path}", file=sys.stderr)
    # With some delivered, trying all again would double those.
    return status if len(refused) == len(results) else 1


def _sender(options: argparse.Namespace) -> str | None:
    sender: str | None = options.sender
    if sender is not None and sender[:1] + sender[-1:] == "<>":
        return sender[1:-1]
    return sender


def _recipients(options: argparse.Namespace, letter: "Mail") -> list[str]:
    if not options.header:
        return list(options.address)
    from mailfs.send import mail

    found = list(dict.fromkeys([*options.address, *mail.recipients(letter)]))
    if not found:
        raise MailfsError("no addresses found, message not sent")
    return found


def _undotted(data: bytes) -> bytes:
    if data.startswith(b".\n"):
        return b""
    return data.partition(b"\n.\n")[0] + b"\n" if b"\n.\n" in data else data
