"""A composed message handed over: to the user's own program, else to send(8).

A copy is filed only of what was sent, and what was sent is never reported as unsent.
"""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mailfs.errors import MailfsError
from mailfs.mailbox.net import Network
from mailfs.marshal.compose import ComposedMail
from mailfs.marshal.filing import Copy, Unfiled
from mailfs.send import command
from mailfs.send.result import Result, State
from mailfs.send.submit import submit
from mailfs.site.site import Site

PIPEFROM = "pipefrom"  # in the mail directory: what takes a user's outgoing mail
_OTHERS = 0o022  # mode bits: a program that others may change is not run


class NotSent(MailfsError):
    """A message that one recipient or all will not get, and why."""

    def __init__(self, text: str, results: Sequence[Result] = ()) -> None:
        super().__init__(text)
        self.results = results

    @property
    def permanent(self) -> bool:
        """Whether trying again is no use, or would double what somebody got."""
        return not self.results or any(
            one.permanent or one.unconfigured or not one.refused for one in self.results
        )


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a message that somebody will get, or all."""

    results: tuple[Result, ...]
    unfiled: str = ""  # why there is no copy in the mailbox asked for, and where it is

    @property
    def refused(self) -> str:
        """Who will not get it and why, on one line; empty if everybody will."""
        return refusals(self.results)


def refusals(results: Sequence[Result]) -> str:
    """Return the refusals among results on one line."""
    texts = []
    for one in results:
        if one.refused:
            meant = f" ({one.address})" if one.address != one.recipient else ""
            texts.append(f"{one.recipient}{meant}: {' '.join(one.text.split())}")
    return "; ".join(dict.fromkeys(texts))


def dispatch(
    site: Site,
    mail: ComposedMail,
    *,
    folder: str = "",
    flags: Sequence[str] = (),
    replymsg: str = "",
    net: Network | None = None,
) -> Sent:
    """Send a message, and put a copy into the mailbox folder if one is named.

    flags are for send; replymsg is told to a pipefrom; net is for a mailbox on a
    server.  Raises NotSent if nobody will
    get the message, and MailfsError or OSError if it could not be tried.
    """
    copy = Copy.made(site, mail, folder, net) if folder else None
    try:
        results = _hand(site, mail, flags, replymsg)
    except (MailfsError, OSError):
        if copy is not None:
            copy.drop()
        raise
    if all(one.refused for one in results):
        if copy is not None:
            copy.drop()
        raise NotSent(refusals(results), results)
    if copy is not None:
        try:
            copy.file()
        except Unfiled as e:
            return Sent(tuple(results), str(e))
    return Sent(tuple(results))


def _hand(
    site: Site, mail: ComposedMail, flags: Sequence[str], replymsg: str
) -> Sequence[Result]:
    program = pipefrom(site)
    if program is None:
        return submit(
            site,
            mail.sender,
            mail.recipients,
            mail.octets,
            relayed="-r" in flags,
            to_line=False,
        )
    if any(addr.startswith("-") for addr in mail.recipients):
        raise NotSent("an address that begins with - would be an option")
    env = command.environment(site, upasname=mail.sender, replymsg=replymsg)
    words = [str(program), *flags, *mail.recipients]
    done = command.run(site, words, mail.octets, env=env)
    state, text = State.DELIVERED, ""
    if done.status:
        state, text = State.REFUSED, done.err or f"status {done.status}"
    return [
        Result(addr, addr, state, not done.temporary, text, PIPEFROM)
        for addr in mail.recipients
    ]


def pipefrom(site: Site) -> Path | None:
    """Return the user's program for outgoing mail, None if there is none.

    Raises NotSent if others may change it.
    """
    path = site.box(site.user) / PIPEFROM
    try:
        st = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(st.st_mode) or not st.st_mode & 0o111:
        return None
    if st.st_mode & _OTHERS or st.st_uid not in (os.geteuid(), 0):
        raise NotSent(f"{path}: others may change it")
    return path
