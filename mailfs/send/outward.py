"""Giving a message to a program: a rule's command, the queue, a user's pipeto.

The command that comes with mailfs for queueing is a script that anybody may change.  As
long as nobody has, what it does is done here, without starting it.
"""

import pwd
from collections.abc import Sequence
from contextlib import suppress

from mailfs.ndb import shipped
from mailfs.queue import spool
from mailfs.send import command, mail, settings
from mailfs.send.local import Pipeto
from mailfs.send.mail import Mail
from mailfs.send.refusal import BROKEN_PIPE
from mailfs.send.route import Program
from mailfs.site.site import Site
from mailfs.smtp.dsn import Dsn

MAX_BUNDLE = 32  # recipients that one command gets, upas' limit
MAX_COMMAND = 1024  # characters of such a command

# Scripts of ours that put what they get into the queue, and whether they start runq.
_SCRIPTS = {"/mail/lib/qmail": True, "/mail/lib/justqmail": False}
_TAG = "mail"  # what bounces call the mail that these queue
_QUEUES = frozenset({"qmail", "justqmail", "lazyqmail", "qer"})


class Bundles:
    """Which addresses may share one command."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, ...], tuple[int, int, int]] = {}

    def key(self, program: Program) -> tuple[tuple[str, ...], int]:
        """Return a key equal for the addresses of one command, asked once for each."""
        number, count, length = self._last.get(program.words, (0, 0, 0))
        more = sum(len(word) + 3 for word in program.args)
        base = sum(len(word) + 3 for word in program.words)
        if count and (count >= MAX_BUNDLE or base + length + more >= MAX_COMMAND):
            number, count, length = number + 1, 0, 0
        self._last[program.words] = (number, count + 1, length + more)
        return program.words, number


def words(programs: Sequence[Program]) -> list[str]:
    """Return the command of a bundle: the words all share, then each one's own once."""
    own = dict.fromkeys(program.args for program in programs)
    return [*programs[0].words, *(word for args in own for word in args)]


def pipe(
    site: Site, letter: Mail, programs: Sequence[Program], dsn: Dsn | None = None
) -> bool:
    """Run the command of a bundle; say whether it has put the message into a queue.

    dsn is what reports the sender wants.  Raises Refusal if it does not end well.
    """
    argv = words(programs)
    settings.check_attributes(site, programs[0].shown[0])
    if argv[0].rpartition("/")[2] in _QUEUES:
        settings.check_default_domain(site, letter)
    data = mail.envelope(letter, site, remote=True) + letter.text
    if argv[0] in _SCRIPTS and _ours(site, argv[0]):
        queue = site.root / "mail" / "queue"
        spool.enqueue(queue, site.user, data, [_TAG, *argv[1:]], dsn=dsn)
        if _SCRIPTS[argv[0]]:
            kick(site)
        return True
    outcome = command.run(site, argv, data)
    if outcome.status:
        raise command.refusal(outcome, BROKEN_PIPE)
    return argv[0].rpartition("/")[2] in _QUEUES


def _ours(site: Site, name: str) -> bool:
    """Whether a script is as it came with mailfs."""
    with suppress(OSError):
        path = site.path(name)
        return path.read_bytes() == shipped.path(path.name).read_bytes()
    return False


def kick(site: Site) -> None:
    """Start the delivery of what is queued, without waiting for it."""
    argv = ["/bin/upas/runq", "-n", "10", str(site.root / "mail" / "queue")]
    argv.append(str(site.lib / "remotemail"))
    # The shell ends at once, so nobody has to wait for what it leaves behind.
    script = '"$@" >/dev/null 2>&1 </dev/null &'
    command.run(site, ["/bin/sh", "-c", script, "sh", *command.resolve(site, argv)])


def pipeto(site: Site, letter: Mail, to: Pipeto, address: str) -> None:
    """Give a message to a user's program; raises Refusal if it will not have it."""
    env = command.environment(site, upasname=to.user)
    if to.owner is not None:
        who = pwd.getpwuid(to.owner[0])
        env |= {"HOME": who.pw_dir, "USER": who.pw_name, "LOGNAME": who.pw_name}
    data = mail.envelope(letter, site, remote=False) + letter.text
    argv = [str(to.program), address, str(to.mailbox)]
    outcome = command.run(site, argv, data, env=env, owner=to.owner)
    if outcome.status:
        raise command.refusal(outcome, BROKEN_PIPE)
