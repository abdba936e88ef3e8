"""mailfs marshal: make a message of a text and files, and send it."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Any

from mailfs import where
from mailfs.cmd import standard
from mailfs.cmd.args import Parser, why
from mailfs.errors import MailfsError, UsageError
from mailfs.poll import readable
from mailfs.printable import shown

if TYPE_CHECKING:
    from mailfs.mailbox.net import Network
    from mailfs.marshal.compose import ComposedMail, Order
    from mailfs.site.site import Site

SUMMARY = "make a message of a text and files, and send it"

PIECE = 1 << 16  # octets read at once
SALVAGE = 2.0  # seconds that a text nobody will send is waited for, to be kept
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(MailfsError):
    """A signal came before the message was handed over."""

    def __init__(self, number: int) -> None:
        super().__init__("interrupted")
        self.status = 128 + number


def main(argv: list[str]) -> int:
    """Run the verb."""
    return run("marshal", argv, headed=False)


def run(verb: str, argv: list[str], *, headed: bool) -> int:
    """Send what standard input holds; headed: its header names recipients too."""
    job = _Job(verb)
    with _Interrupts() as interrupts:
        try:
            return job.run(argv, interrupts, headed=headed)
        except (MailfsError, OSError) as e:
            job.salvage(interrupts)
            print(f"mailfs {verb}: {why(e)}{job.bury(e)}", file=sys.stderr)
            return _status(e)


class _Job:
    """One letter: what has been typed, and how far it has come."""

    def __init__(self, verb: str) -> None:
        self.verb = verb
        self.text = bytearray()
        self.site: Site | None = None
        self.order: Order | None = None
        self.mail: ComposedMail | None = None
        self._unread = True  # whether standard input may hold a text

    def run(self, argv: list[str], interrupts: "_Interrupts", *, headed: bool) -> int:
        """Do what the arguments ask; return the exit status."""
        options = _parse(self.verb, argv, headed=headed)
        from mailfs.site import site as sites

        rehearse = options.resolve or options.rehearse
        self._unread = not (options.none or rehearse)
        self.site = site = sites.here(where.root(options.root), where.user())
        if self._unread and standard.closed(0):
            raise UsageError("standard input is closed (with -n there need be none)")
        if rehearse:
            return _rehearse(site, options)
        self.order = _order(site, options, self._warn)
        for file in self.order.files:
            file.check()  # before a long letter is typed
        if self._unread:
            self._unread = False
            _read(0, self.text, interrupts)
        if not self.text and not self.order.files:
            return 0
        return self._send(site, self.order, options)

    def _warn(self, text: str) -> None:
        print(f"mailfs {self.verb}: {shown(text)}", file=sys.stderr)

    def _send(self, site: "Site", order: "Order", options: argparse.Namespace) -> int:
        from mailfs.marshal import draft, filing, reply
        from mailfs.marshal.author import author
        from mailfs.marshal.compose import compose
        from mailfs.marshal.dispatch import NotSent, dispatch
        from mailfs.marshal.entity import tokens

        token = tokens(site.random)
        taken, files = draft.attachments(draft.typed(bytes(self.text)))
        self.order = order = order.with_files(files)
        writer = author(site)
        mail = compose(taken, order, writer, now=site.clock(), token=token)
        folder = ""
        if options.folder is not None:
            folder = filing.folder(site, options.folder)
        elif options.file:
            folder = filing.named_after(site, mail.recipients[0])
        elif writer.copy:
            folder = filing.folder(site, writer.copy)
        self.mail = mail
        sent = dispatch(
            site,
            mail,
            folder=folder,
            flags=_flags(options),
            replymsg=options.reply or "",
            net=_net(site, folder),
        )
        if sent.unfiled:
            self._warn(f"sent, but {sent.unfiled}")
        if order.parent is not None:
            try:
                reply.mark_answered(order.parent.name)
            except MailfsError as e:
                self._warn(f"sent, but not marked as answered: {e}")
        if sent.refused:
            raise NotSent(f"not sent to {sent.refused}", sent.results)
        return 0

    def salvage(self, interrupts: "_Interrupts") -> None:
        """Read a text that was never looked at, as far as it comes without waiting."""
        if not self._unread or standard.closed(0) or os.isatty(0):
            return
        with suppress(MailfsError, OSError):
            _read(0, self.text, interrupts, SALVAGE)

    def bury(self, error: Exception) -> str:
        """Keep the letter among the dead ones; return the end of what to say of it."""
        from mailfs.marshal import unsent
        from mailfs.marshal.compose import Order
        from mailfs.marshal.entity import tokens
        from mailfs.send import deadletter
        from mailfs.site import site as sites

        if not self.text.strip() and self.mail is None:
            return ""
        try:
            site = self.site or sites.here(where.root(), where.user())
            order = self.order or Order()
            if self.mail is not None and order.wrap is None:
                octets = unsent.composed(self.mail, _refused(error))
            else:  # as it was typed, not encrypted for others
                octets = unsent.typed(bytes(self.text), order, tokens(site.random))
            path = deadletter.save(site, octets, site.sender)
        except (OSError, MailfsError) as e:
            return f"; not saved either: {why(e)}"
        return f"; saved in {path}"


def _refused(error: Exception) -> list[str]:
    """List the recipients that an error says did not get it."""
    from mailfs.marshal.dispatch import NotSent

    results = error.results if isinstance(error, NotSent) else ()
    return list(dict.fromkeys(one.recipient for one in results if one.refused))


def _status(error: MailfsError | OSError) -> int:
    from mailfs.marshal.dispatch import NotSent

    if isinstance(error, Interrupted):
        return error.status
    later = isinstance(error, NotSent) and not error.permanent
    return os.EX_TEMPFAIL if later else 1


class _Interrupts:
    """While it lasts, signals that would end us are remembered.

    Only the reading of the text looks for them: what was read is never lost on its
    way, and sending, once begun, is done or reported as not done.
    """

    def __init__(self) -> None:
        self.caught = 0  # the first signal's number
        self._old: dict[int, Any] = {}
        self._pipe: tuple[int, int] = (-1, -1)
        self._wakeup = -1

    def __enter__(self) -> "_Interrupts":
        self._pipe = os.pipe()
        os.set_blocking(self._pipe[1], False)
        self._wakeup = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup(1)
                self._old[number] = signal.signal(number, self._catch)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        for fd in self._pipe:
            os.close(fd)

    def _catch(self, number: int, frame: FrameType | None) -> None:
        self.caught = self.caught or number

    def wait(self, fd: int, seconds: float | None = None) -> bool:
        """Wait until fd can be read; say whether it can within so many seconds.

        Raises Interrupted after a signal.
        """
        found = readable([fd, self._pipe[0]], seconds)
        if self.caught:
            raise Interrupted(self.caught)
        return bool(found)


def _read(
    fd: int, text: bytearray, interrupts: _Interrupts, patience: float | None = None
) -> None:
    """Read to the end; what has been read is in text however this ends.

    patience is how many seconds each piece may take; no more is then taken for the end.
    """
    from mailfs.marshal.attachment import MAX_MESSAGE

    while interrupts.wait(fd, patience):
        piece = os.read(fd, PIECE)
        if not piece:
            return
        text += piece
        if len(text) > MAX_MESSAGE:
            raise MailfsError(f"message too long: over {MAX_MESSAGE >> 20} MB")


def _net(site: "Site", folder: str) -> "Network | None":
    """Make the network of a mailbox on a server; None if it is on none."""
    from mailfs.mailbox.drivers.spec import is_network

    if not is_network(folder):
        return None
    from mailfs.cmd import net
    from mailfs.tls.trust import Policy

    usual = argparse.Namespace(trust=Policy.CA.value, cache=net.size(net.SIZE))
    return net.make(usual, site.root, where.cache())


def _rehearse(site: "Site", options: argparse.Namespace) -> int:
    """Do what send does with -x or -#, to the recipients on the command line."""
    from mailfs.cmd import send
    from mailfs.marshal import recipients
    from mailfs.marshal.author import author

    expand = author(site).expand
    words = [*options.addresses, *options.cc, *options.bcc]
    bare = [box.addr for box in recipients.parse(words, expand)]
    option = "-x" if options.resolve else "-#"
    return send.main([option, "--root", str(site.root), "--", *bare])


def _flags(options: argparse.Namespace) -> list[str]:
    given = (("-d", options.debug), ("-r", options.relayed))
    return [letter for letter, wanted in given if wanted]


def _order(
    site: "Site", options: argparse.Namespace, warn: Callable[[str], None]
) -> "Order":
    """Make an order of the options, with the message replied to read.

    A message that cannot be read is no reason to lose the answer: it is warned of.
    """
    from mailfs.marshal.compose import Order
    from mailfs.marshal.entity import tokens
    from mailfs.marshal.pgp import Pgp
    from mailfs.marshal.reply import parent
    from mailfs.msg import charset

    answered = None
    if options.reply:
        try:
            answered = parent(options.reply)
        except MailfsError as e:
            warn(f"{e}: sent without In-Reply-To")
    return Order(
        to=tuple(options.addresses),
        cc=tuple(options.cc),
        bcc=tuple(options.bcc),
        headed=options.headed,
        subject=charset.decode(os.fsencode(options.subject or "")),
        files=tuple(options.files or ()),
        parent=answered,
        everybody=options.all,
        wrap=Pgp(options.pgp, tokens(site.random)) if options.pgp else None,
    )


class _Attach(argparse.Action):
    """Add a file, with the type that the last -t gave."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        from mailfs.marshal.attachment import Attachment

        inline = option_string == "-A"
        file = Attachment(str(values), namespace.type, inline)
        namespace.files = [*(namespace.files or ()), file]


def _parse(verb: str, argv: list[str], *, headed: bool) -> argparse.Namespace:
    parser = Parser(
        verb,
        "Make a message of the text on standard input and of files, and send it.  The\n"
        "text may begin with header lines.",
        example=f"echo 'See you there.' | mailfs {verb} -s Thursday fred@example.org\n"
        f"mailfs {verb} -a report.pdf -C boss -S sent fred@example.org <letter\n"
        f"mailfs {verb} -R upasfs/mbox/3 <answer      (to whom that message says)\n"
        f"upasname=janet@example.org mailfs {verb} fred@example.org <letter",
        files="mail/box/$USER/headers       below the root: fields for every message;\n"
        "                             Fcc: MAILBOX there files a copy of each\n"
        "mail/box/$USER/names         personal aliases: a name and addresses a line\n"
        "mail/box/$USER/pipefrom      if executable, gets what would be sent\n"
        "mail/box/$USER/dead.letter   texts that could not be sent\n"
        "mail/box/$USER/unfiled       copies that their mailbox did not take",
    )
    add = parser.add_argument
    add("addresses", metavar="ADDR", nargs="*", help="who gets it")
    add("-s", dest="subject", metavar="SUBJECT", help="if the text has none")
    add("-C", dest="cc", metavar="ADDR", action="append", default=[], help="a copy to")
    add(
        "-B", dest="bcc", metavar="ADDR", action="append", default=[], help="blind copy"
    )
    add("-a", dest="files", metavar="FILE", action=_Attach, help="attach a file")
    add("-A", dest="files", metavar="FILE", action=_Attach, help="one to be shown")
    add("-t", dest="type", metavar="TYPE", help="media type of the files after it")
    add("-n", dest="none", action="store_true", help="there is no standard input")
    add("-R", dest="reply", metavar="DIR", help="reply to the message in DIR")
    add("--all", action="store_true", help="and to all who got that message")
    add(
        "-8",
        dest="headed",
        action="store_true",
        help="To, Cc and Bcc in the text count",
    )
    add("-S", dest="folder", metavar="MAILBOX", help="save a copy there")
    add("-F", dest="file", action="store_true", help="save one named by recipient")
    add("-p", dest="pgp", metavar="[s][e]", help="sign, encrypt with OpenPGP")
    add("-x", dest="resolve", action="store_true", help="show addresses, send nothing")
    add("-#", dest="rehearse", action="store_true", help="show commands, send nothing")
    add("-r", dest="relayed", action="store_true", help="passed on to send")
    add("-d", dest="debug", action="store_true", help="passed on to send")
    parser.add_root()
    options = parser.parse_intermixed_args(argv)
    options.headed |= headed
    _check(options)
    return options


def _check(options: argparse.Namespace) -> None:
    if options.none and options.headed and not (options.addresses or options.reply):
        raise UsageError("can't use both -n and -8")
    if options.pgp is not None and set(options.pgp) - set("se"):
        raise UsageError(f"-p {options.pgp}: want s, e or both (try --help)")
    if options.all and not options.reply:
        raise UsageError("--all without -R (try --help)")
    named = options.addresses or options.cc or options.bcc or options.reply
    if not options.headed and not named:
        raise UsageError("no addresses (try --help)")
