"""mailfs smtp: deliver one message to a mail server; smtp(8)."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mailfs import where
from mailfs.cmd.args import Parser
from mailfs.errors import UsageError
from mailfs.printable import shown
from mailfs.runq import call

if TYPE_CHECKING:
    from mailfs.site.site import Site
    from mailfs.smtp.fate import Fate
    from mailfs.smtp.options import Options
    from mailfs.smtp.source import MessageSource

SUMMARY = "deliver one message to a mail server"

PERMANENT, RETRY = 1, 2  # exit statuses, as plan9port's smtp has them


def main(argv: list[str]) -> int:
    """Run the verb, or have it run where all it needs is loaded."""
    status = _called(argv)
    if status is not None:
        return status
    options, dest, sender, rcpts, parsed = _parse(argv)
    from mailfs.site import site as sites
    from mailfs.smtp import make
    from mailfs.smtp.client import SmtpMail
    from mailfs.smtp.fate import DeliveryError, failed

    site = sites.here(where.root(parsed.root), where.user())
    source = _source()
    if parsed.filter:
        return _filter(site, options, source, sender)
    report = _report()
    trace = _trace if options.debug else _silent
    client = make.client(site, options, cache=where.cache(), trace=trace)
    if sys.stderr.isatty() and not options.debug:
        client.notice = _notice
    try:
        fates = client.deliver(
            SmtpMail(source, dest, sender, rcpts, whole=report is None)
        )
    except DeliveryError as e:
        fates = failed(rcpts, e)
    finally:
        client.close()
    if report is not None:
        text = "".join(f"{fate.show()}\n" for fate in fates)
        os.write(report, text.encode(errors="surrogateescape"))
    return _tell(dest, fates, alone=report is None)


def _called(argv: list[str]) -> int | None:
    if call.SOCKET not in os.environ:
        return None
    try:
        return call.call(argv, call.REPORT)
    except (OSError, EOFError) as e:
        print(shown(f"mailfs smtp: {e}"), file=sys.stderr)
        return RETRY


def _report() -> int | None:
    """Return the descriptor on which runq wants to know each recipient's fate."""
    text = os.environ.pop(call.REPORT, "")
    return int(text) if text.isdecimal() else None


def _tell(dest: str, fates: "Sequence[Fate]", *, alone: bool) -> int:
    """Say what failed, and return the exit status.

    alone: no runq is told each fate.  Then a certificate that is not trusted is a
    failure for good, as in smtp(8): who called has to do something.
    """
    from mailfs.runq.attempt import explain
    from mailfs.smtp.dialogue import UNTRUSTED

    bad = [fate for fate in fates if not fate.ok]
    if not bad:
        return 0
    text = explain(fates, dest, time.time())
    print(shown(text.rstrip("\n"), keep="\n"), file=sys.stderr)
    again = any(f.temporary and not (alone and f.enhanced == UNTRUSTED) for f in bad)
    if alone:
        word = "Retry, Temporary Failure" if again else "Permanent Failure"
        print(word, file=sys.stderr)
    return RETRY if again else PERMANENT


def _source() -> "MessageSource":
    """Take the message on standard input; one that comes by a pipe is put into a file.

    Raises OSError.
    """
    import shutil
    import stat
    import tempfile

    from mailfs.smtp.source import FileSource

    stdin = sys.stdin.fileno()
    if stat.S_ISREG(os.fstat(stdin).st_mode):
        return FileSource(stdin, os.lseek(stdin, 0, os.SEEK_CUR))
    # It has no name, and is ours until we end.
    copy = tempfile.TemporaryFile()  # noqa: SIM115
    shutil.copyfileobj(sys.stdin.buffer, copy)
    copy.flush()
    return FileSource(os.dup(copy.fileno()))


def _filter(
    site: "Site", options: "Options", source: "MessageSource", sender: str
) -> int:
    """Write the message as it would be sent, without its last dot."""
    from mailfs.msg.escape import unescape
    from mailfs.smtp.letter import SmtpLetter
    from mailfs.smtp.path import at

    domain = options.domain or site.names.domain
    letter = SmtpLetter(
        source,
        sender=at(unescape(sender), domain, local=options.local),
        domain=domain,
        now=int(site.clock()),
        local=options.local,
    )
    sys.stdout.buffer.writelines(letter.form(eight=True, utf8=True).data())
    return 0


def _trace(line: str) -> None:
    print(shown(line, keep="\t"), file=sys.stderr, flush=True)


def _notice(text: str) -> None:
    """Show life on a terminal."""
    print(shown(f"mailfs smtp: {text} ..."), file=sys.stderr, flush=True)


def _silent(line: str) -> None:
    """Show nothing."""


class _Parser(Parser):
    """A parser whose -h is not help but the domain, as in smtp(8)."""

    def add_argument(self, *names: str, **told: Any) -> argparse.Action:
        """Add an argument."""
        kept = names[1:] if told.get("action") == "help" else names
        return super().add_argument(*kept, **told)


def _parse(
    argv: list[str],
) -> tuple["Options", str, str, tuple[str, ...], argparse.Namespace]:
    from mailfs.smtp import options as smtp

    parser = _Parser(
        "smtp",
        "Deliver the message on standard input to RCPT ... at net!HOST[!SERVICE]: to\n"
        "the mail servers of HOST, or to it if SERVICE is 465 or 587.  $ATTR as HOST\n"
        "is an attribute of this machine in ndb.  Status 0: taken for all; 2: try\n"
        "again; 1: refused for good.",
        example="mailfs smtp -d -a -h yourdomain.dom net!smtp.b.com!587 you "
        "friend@c.com <message",
        files="ROOT/sys/lib/tls/smtp       thumbprints of servers\n"
        "ROOT/sys/log/smtp           what was sent, and which certificates were not\n"
        "                            trusted\n"
        "ROOT/sys/log/smtp.fail      what was not sent\n"
        "ROOT/lib/ndb/local          smtp= dom= dns=",
    )
    smtp.add(parser)
    parser.add_argument(
        "-f",
        "--filter",
        action="store_true",
        help="write the message as it would be sent, and send nothing",
    )
    parser.add_root()
    parser.add_argument(
        "words",
        nargs="+",
        metavar="[.DOMAIN] net!HOST[!SERVICE] SENDER RCPT",
        help=".DOMAIN is put after system names that have none",
    )
    parsed = parser.parse_args(argv)
    words: list[str] = parsed.words
    local = words.pop(0) if words[0].startswith(".") else ""
    if len(words) < 3:
        raise UsageError("want a destination, a sender and recipients (try --help)")
    return smtp.of(parsed, local), words[0], words[1], tuple(words[2:]), parsed
