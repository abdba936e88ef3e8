"""The decision whether this is the peer we meant.

A certificate is accepted if a line lists it, or, where the policy allows, if the
system's CAs vouch for it under the name that was dialled.  Everything else is a
refusal, and so is every doubt about the lists themselves.
"""

import enum
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mailfs import where
from mailfs.errors import MailfsError
from mailfs.tls import store, thumb
from mailfs.tls.service import Peer
from mailfs.tls.vouch import Unvouched, vouch


class Untrusted(MailfsError):
    """A peer that was refused.

    line     what to append to file in order to trust it; empty if that cannot help
    command  the command that shows the certificate and appends the line
    """

    def __init__(
        self, text: str, line: str = "", file: Path | None = None, command: str = ""
    ) -> None:
        super().__init__(text)
        self.line = line
        self.file = file
        self.command = command


class Policy(enum.Enum):
    """What may speak for a certificate; the value is the argument of --trust."""

    CA = "ca"  # a line in the list, or the system's CAs and the host name
    THUMBPRINT = "thumbprint"  # a line in the list and nothing else, as in Plan 9


Vouch = Callable[[Sequence[bytes], str], None]


@dataclass(frozen=True, slots=True)
class Trust:
    """Where the lists are and what else counts.

    The lists are read at every check: a line added or excluded holds from the next
    connection on.
    """

    root: Path
    policy: Policy = Policy.CA
    vouch: Vouch = vouch  # raises Unvouched unless the system's CAs accept the chain

    def check(self, chain: Sequence[bytes], peer: Peer) -> None:
        """Return if the peer with this chain of DER certificates is right.

        The chain begins with the peer's own.  Raises Untrusted otherwise, with the
        line to add where adding one would help, and OSError if the lists cannot be
        opened for want of descriptors or memory.
        """
        if not chain or not chain[0]:
            raise Untrusted(f"{peer.host}: server did not provide TLS certificate")
        if self.listed(chain[0], peer):
            return
        why = f"not listed in {store.trusted(self.root, peer.service.file)}"
        if self.policy is Policy.CA:
            try:
                self.vouch(chain, peer.host)
            except Unvouched as e:
                why = str(e)
            else:
                return
        raise self.refusal(chain[0], peer, why)

    def listed(self, cert: bytes, peer: Peer) -> str:
        """Return file:line of the first line that accepts the peer, or an empty string.

        Raises Untrusted if the lists are refused or the certificate is excluded.
        """
        found = thumb.prints(cert)
        lines, barred = self._lists(peer)
        for entry in barred:
            if entry.excludes(found):
                raise Untrusted(f"cert for {peer.host} excluded by {entry.where}")
        for entry in lines:
            if entry.trusts(found, peer.host):
                return entry.where
        return ""

    def _lists(
        self, peer: Peer
    ) -> tuple[tuple[thumb.Thumb, ...], tuple[thumb.Thumb, ...]]:
        name = peer.service.file
        try:
            return (
                store.load(store.trusted(self.root, name), self.root),
                store.load(store.excluded(self.root, name), self.root),
            )
        except thumb.BadThumbprint as e:
            raise Untrusted(
                f"cert for {peer.host} refused: bad thumbprints: {e}"
            ) from e

    def refusal(self, cert: bytes, peer: Peer, why: str) -> Untrusted:
        """Make the error for a certificate that nothing speaks for.

        It shows the certificate, and two commands either of which trusts it.
        """
        from mailfs.tls.describe import summary

        file = store.trusted(self.root, peer.service.file)
        line = thumb.line(cert, peer.host)
        words = ["mailfs", "trust"]
        if self.root != where.root():
            words += ["--root", str(self.root)]
        command = shlex.join([*words, *peer.words()])
        text = (
            f"cert for {peer.host} not recognized: {why} ({summary(cert)}); "
            f"to trust it run: {command}, or: echo {shlex.quote(line)} >>"
            f"{shlex.quote(str(file))}"
        )
        return Untrusted(text, line, file, command)
