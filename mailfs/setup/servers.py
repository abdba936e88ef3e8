"""Which servers, and whether they are the ones meant: asked, dialled, shown."""

import hashlib
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mailfs.errors import MailfsError, UsageError, reason
from mailfs.setup import provider, server
from mailfs.setup.lookup import Found, preset
from mailfs.setup.person import Interview
from mailfs.setup.present import CurrentMailbox, Present
from mailfs.setup.provider import OWN
from mailfs.setup.server import MailServer
from mailfs.setup.trial import TIMEOUT, vouching
from mailfs.setup.world import SetupWorld
from mailfs.tls import dial, store, thumb
from mailfs.tls.describe import describe
from mailfs.tls.trust import Policy, Trust, Untrusted, Vouch
from mailfs.tls.vouch import Unvouched

MAX_SHOWN = 6  # look-ups that failed, shown with their reasons
NONE, DIRECT = "none", "direct"  # in the place of a server
FIRST = "first"  # trust whatever is shown

_HASH = re.compile(r"(?:sha256=)?((?:[0-9a-f]{2}:?){32})\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Places:
    """The servers of an account; None where there is to be none.

    direct  mail leaves to each domain's own server
    user    who logs in, as far as is known
    """

    found: Found
    incoming: MailServer | None
    outgoing: MailServer | None
    direct: bool = False
    before: CurrentMailbox | None = None  # the mailbox the account has by now


@dataclass(slots=True)
class Certificates:
    """What a person has agreed to trust: certificates, and the lines that say so."""

    world: SetupWorld
    interview: Interview
    agreed: list[tuple[bytes, str]] = field(default_factory=list)  # DER, host
    lines: list[tuple[Path, str]] = field(default_factory=list)
    _first: bool = False
    _hash: str = ""

    def __post_init__(self) -> None:
        told = self.interview.given.pop("trust", "")
        match = _HASH.match(told)
        if told and told != FIRST and match is None:
            raise UsageError(f"--trust {told}: want {FIRST}, or 64 hex digits")
        self._first = told == FIRST
        self._hash = match[1].replace(":", "").lower() if match else ""

    @property
    def vouch(self) -> Vouch:
        """What vouches for a chain: the world's authorities, or the person."""
        return vouching(self.agreed, self.world.vouch)

    def examine(self, one: MailServer) -> None:
        """Dial a server and settle whether it is trusted.

        Raises MailfsError if it cannot be reached or is not to be trusted.
        """
        if not one.tls:
            _reach(one)
            return
        chain = _chain(one)
        trust = Trust(self.world.root, Policy.CA, self.world.vouch)
        try:
            trust.check(chain, one.peer)
        except Untrusted as e:
            if not e.line or e.file is None:
                raise
            if (chain[0], one.host) not in self.agreed:
                self._ask(one, chain, e)
            self.lines.append((e.file, thumb.line(chain[0], one.host)))
        else:
            by = trust.listed(chain[0], one.peer) or "authorities, who vouch for it"
            self.interview.say(f"{one.host}: certificate trusted by {by}")

    def _ask(self, one: MailServer, chain: tuple[bytes, ...], error: Untrusted) -> None:
        say = self.interview.say
        say(f"{one.host} shows this certificate:")
        for label, text in describe(chain[0]):
            say(f"  {label:<12}{text}")
        why = _why(self.world.vouch, chain, one.host)
        say(f"  {'authorities':<12}do not vouch for it: {why}")
        digest = hashlib.sha256(chain[0]).hexdigest()
        if not (self._first or digest == self._hash):
            if not self.interview.person.present:
                raise ServerRefusal(f"{error}; or say --trust {digest}")
            if not self.interview.confirm(f"Trust {one.host}?", usual=False):
                raise ServerRefusal(f"{one.host}: not trusted")
        self.agreed.append((chain[0], one.host))

    def write(self) -> list[str]:
        """Add the lines to their lists; return what was done, for a person."""
        done = []
        for file, line in self.lines:
            if store.append(file, self.world.root, line):
                done.append(f"{file}: {line}")
        return done


class ServerRefusal(MailfsError):
    """A certificate that the person does not trust: asking again is no use."""


def _why(vouch: Callable[..., None], chain: tuple[bytes, ...], host: str) -> str:
    try:
        vouch(chain, host)
    except Unvouched as e:
        return str(e)
    return "they do"


def _chain(one: MailServer) -> tuple[bytes, ...]:
    try:
        chain = dial.look(one.peer, TIMEOUT)
    except OSError as e:
        raise MailfsError(f"{one.peer}: {reason(e)}") from e
    except MailfsError as e:
        raise MailfsError(f"{one.peer}: {e}") from e
    if not chain:
        raise MailfsError(f"{one.peer}: server did not provide TLS certificate")
    return chain


def _reach(one: MailServer) -> None:
    try:
        socket.create_connection((one.host, one.peer.port), TIMEOUT).close()
    except OSError as e:
        raise MailfsError(f"{one.peer}: {reason(e)}") from e


def find(interview: Interview, world: SetupWorld, address: str) -> Found:
    """List the known servers of an address."""
    given = interview.given.pop("provider", "")
    if given:
        one = provider.named(given)
        if one is None:
            names = " ".join(p.name for p in (*provider.PROVIDERS, OWN))
            raise UsageError(f"--provider {given}: want one of {names}")
        return preset(one, address, one.title)
    if {"imap", "smtp"} <= interview.given.keys():
        return preset(OWN, address, "")
    found = world.lookup.find(address)
    if found.incoming is None and found.outgoing is None:
        domain = address.rpartition("@")[2]
        for why in list(dict.fromkeys(world.lookup.failures))[:MAX_SHOWN]:
            interview.say(f"not found out: {why}")
        asked = f"Nothing is known of {domain}.  Ask Mozilla's list about it?"
        if interview.agree("ispdb", asked, usual=False):
            found = world.lookup.ispdb(address) or found
    return found


def ask(
    interview: Interview,
    certificates: Certificates,
    now: Present,
    found: Found,
    address: str,
) -> Places:
    """Return the servers, dialled and trusted."""
    before = now.box(address)
    if found.source:
        interview.say(f"Servers: {found.source}")
    if found.provider.note:
        interview.say(found.provider.note)

    named = frozenset(interview.given)

    def checked(key: str, text: str, told: MailServer | None) -> MailServer | None:
        if text == NONE:
            return None
        one = (server.incoming if key == "imap" else server.outgoing)(text)
        unsure = key not in named and one == told and not found.sure
        if unsure and not interview.person.present:
            raise UsageError(
                f"{one}: only unsigned DNS says so: confirm it by --{key} {one}"
            )
        certificates.examine(one)
        return one

    incoming = interview.text(
        "imap",
        "Server to read mail from",
        str((before.server if before else found.incoming) or ""),
        lambda text: checked("imap", text, found.incoming),
    )
    direct = False

    def sent(text: str) -> MailServer | None:
        nonlocal direct
        direct = text == DIRECT
        return None if direct else checked("smtp", text, found.outgoing)

    outgoing = interview.text(
        "smtp", "Server to send mail to", _sending(interview, now, found, address), sent
    )
    return Places(found, incoming, outgoing, direct, before)


def _sending(interview: Interview, now: Present, found: Found, address: str) -> str:
    """Return the default for where mail is sent."""
    if now.address and now.address != address and now.routing:
        interview.say(
            f"Mail leaves as {now.address} by {now.outgoing or now.routing};"
            f" {NONE} leaves that as it is."
        )
        return NONE
    if now.routing == DIRECT:
        return DIRECT
    known = now.outgoing if now.address == address else None
    return str(known or found.outgoing or "")
