"""Where an account is: the SPEC ``/imap[s|tls]/host[/user[/folder]]``; upasfs(4)."""

from dataclasses import dataclass

from mailfs.errors import MailfsError, UsageError
from mailfs.tls.service import Peer
from mailfs.tls.service import peer as find_peer

INBOX = "INBOX"
ALL = "*"  # as folder: each folder of the account
SERVICES = ("imap", "imaps", "imaptls")


class BadSpec(MailfsError):
    """A path that looks like an account and is none."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account; service is ``imap``, ``imaps`` or ``imaptls``.

    host      as its certificate names it
    port      0 is the service's own
    user      None leaves it to the key
    """

    host: str
    service: str
    port: int = 0
    user: str | None = None

    @property
    def peer(self) -> Peer:
        """Whom to dial and to trust."""
        return find_peer(self.service, self.host, self.port)

    def __str__(self) -> str:
        return f"{self.host}/{self.service}"


def parse(spec: str) -> tuple[Account, str] | None:
    """Return the account and folder of a path, None if it is of another kind.

    host may be a dial string, ``net!HOST[!PORT]``.  A folder keeps its slashes; INBOX
    in any case is INBOX.  Raises BadSpec.
    """
    words = spec.split("/", 4)
    if len(words) < 2 or words[0] or words[1] not in SERVICES:
        return None
    if len(words) < 3 or not words[2]:
        raise BadSpec("bad imap path syntax /imap[s|tls]/host[/user[/folder]]")
    try:
        found = find_peer(words[1], words[2])
    except UsageError as e:
        raise BadSpec(str(e)) from e
    user = words[3] if len(words) > 3 and words[3] else None
    folder = words[4].strip("/") if len(words) > 4 else ""
    if not folder or folder.upper() == INBOX:
        folder = INBOX
    port = 0 if found.port == found.service.port else found.port
    return Account(found.host, words[1], port, user), folder
