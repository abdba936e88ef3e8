"""Where a maildrop is: the SPEC ``/[a]pop[s|tls|notls]/host[/user]``; upasfs(4)."""

from dataclasses import dataclass
from enum import Enum, auto

from mailfs.errors import MailfsError, UsageError
from mailfs.tls.service import Peer
from mailfs.tls.service import peer as find_peer


class Tls(Enum):
    """When TLS begins."""

    AT_ONCE = auto()  # before the greeting
    MUST = auto()  # by STLS; without it nothing is said
    MAY = auto()  # by STLS if the server offers it
    NEVER = auto()  # whoever writes this lets the password go in clear


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write the first word of a SPEC."""

    tls: Tls
    apop: bool  # APOP and nothing else
    service: str  # whose port and trust list count


FORMS: dict[str, Form] = {
    "pop": Form(Tls.MAY, False, "pop"),
    "pops": Form(Tls.AT_ONCE, False, "pops"),
    "poptls": Form(Tls.MUST, False, "poptls"),
    "popnotls": Form(Tls.NEVER, False, "pop"),
    "apop": Form(Tls.MAY, True, "apop"),
    "apops": Form(Tls.AT_ONCE, True, "apops"),
    "apoptls": Form(Tls.MUST, True, "apoptls"),
    "apopnotls": Form(Tls.NEVER, True, "apop"),
}


class BadSpec(MailfsError):
    """A path that looks like a maildrop and is none."""


@dataclass(frozen=True, slots=True)
class Account:
    """One maildrop and the way to it.

    host  as its certificate names it
    name  one of FORMS
    port  0 is the service's own
    user  None leaves it to the key
    """

    host: str
    name: str
    port: int = 0
    user: str | None = None

    @property
    def form(self) -> Form:
        """What the name means."""
        return FORMS[self.name]

    @property
    def peer(self) -> Peer:
        """Whom to dial and to trust."""
        return find_peer(self.form.service, self.host, self.port)

    @property
    def maildrop(self) -> str:
        """What tells the maildrop from others, whichever way leads to it."""
        port = f"!{self.port}" if self.port else ""
        return f"/pop/{self.host.lower()}{port}/{self.user or ''}"

    def __str__(self) -> str:
        return f"{self.host}/{self.name}"


def parse(spec: str) -> Account | None:
    """Return the account of a path, None if it is of another kind.

    host may be a dial string, ``net!HOST[!PORT]``.  Raises BadSpec.
    """
    words = spec.rstrip("/").split("/")
    if len(words) < 2 or words[0] or words[1] not in FORMS:
        return None
    if len(words) not in (3, 4) or not words[2]:
        raise BadSpec("bad pop3 path syntax /[a]pop[s|tls|notls]/host[/user]")
    try:
        found = find_peer(FORMS[words[1]].service, words[2])
    except UsageError as e:
        raise BadSpec(str(e)) from e
    user = words[3] if len(words) == 4 and words[3] else None
    port = 0 if found.port == found.service.port else found.port
    return Account(found.host, words[1], port, user)
