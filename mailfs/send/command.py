"""Programs that rules and users name: which they are, and what became of one.

``upas/NAME`` and ``/bin/upas/NAME`` are verbs of ours; so is NAME alone, for those that
rules use.  ``/mail/lib/NAME`` lies below the root.  No shell is started, the message is
in a file on standard input, so that who is killed leaves no half of it behind.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from mailfs.errors import reason
from mailfs.send.refusal import Refusal, temporary
from mailfs.site.site import Site

WAIT = 600.0  # seconds a program may take; smtpd's client gives up after ten minutes
MAX_ERRORS = 4096  # octets of a program's complaints that are kept
MAX_OUTPUT = 1 << 20  # octets of addresses that a translation may print

# Exit statuses that say "try again": sysexits(3), and plan9port's upas.
TEMPORARY = frozenset({75, 2})
_BARE = frozenset({"aliasmail", "qer", "runq", "smtp", "send", "marshal", "vf"})
_UPAS = ("upas/", "/bin/upas/")


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """How a program ended: status as in a shell, negative for a signal."""

    status: int
    out: str
    err: str

    @property
    def temporary(self) -> bool:
        """Whether a failure may not be one another time."""
        return self.status < 0 or self.status in TEMPORARY


def verb(name: str) -> str | None:
    """Find the verb that a rule's program is; None if it is none of ours."""
    for prefix in _UPAS:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name if name in _BARE else None


def resolve(site: Site, argv: Sequence[str]) -> list[str]:
    """Return the arguments to start a rule's program with."""
    own = verb(argv[0])
    if own is not None:
        return [sys.executable, "-P", "-m", "mailfs", own, *argv[1:]]
    if "/" in argv[0]:
        return [str(site.path(argv[0])), *argv[1:]]
    return list(argv)


def environment(site: Site, **more: str) -> dict[str, str]:
    """Return the environment of a program: ours, with the root and ``mailfs`` in it."""
    env = dict(site.env)
    here = os.path.dirname(sys.executable)
    env["PATH"] = f"{here}:{env.get('PATH', os.defpath)}"
    env["MAILFS_ROOT"] = str(site.root)
    env.update(more)
    return env


def run(
    site: Site,
    argv: Sequence[str],
    message: bytes = b"",
    *,
    env: Mapping[str, str] | None = None,
    owner: tuple[int, int] | None = None,
) -> CommandOutcome:
    """Run a program with a message and wait for it; safe in any thread.

    owner is the (uid, gid) to run as, for which we have to be root.  Raises Refusal,
    temporary, if it cannot be started or does not end within WAIT.
    """
    user, group = owner or (None, None)
    with (
        tempfile.TemporaryFile() as stdin,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):
        stdin.write(message)
        stdin.seek(0)
        try:
            done = subprocess.Popen(  # noqa: S603  # the words of a rule, no shell
                resolve(site, argv),
                stdin=stdin,
                stdout=out,
                stderr=err,
                env=dict(env) if env is not None else environment(site),
                cwd="/",
                start_new_session=True,  # ^C ends us, not what has the message
                user=user,
                group=group,
                extra_groups=None if owner is None else [],
            )
        except OSError as e:
            raise temporary(f"{argv[0]}: {reason(e)}") from e
        status = _wait(done, argv[0])
        out.seek(0)
        err.seek(0)
        said = err.read(MAX_ERRORS).decode("utf-8", "replace").strip()
        printed = out.read(MAX_OUTPUT).decode("utf-8", "surrogateescape")
        return CommandOutcome(status, printed, said)


def _wait(done: "subprocess.Popen[bytes]", name: str) -> int:
    try:
        return done.wait(WAIT)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(done.pid, signal.SIGKILL)
        done.wait()
        raise temporary(f"{name}: did not end within {WAIT:.0f} seconds") from None


def refusal(outcome: CommandOutcome, text: str) -> Refusal:
    """Return why a program's failure refuses mail; text if it said nothing."""
    said = outcome.err or text
    return Refusal(said, permanent=not outcome.temporary, status=outcome.status)
