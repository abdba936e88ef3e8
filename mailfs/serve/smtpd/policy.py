"""What one client may do: its name, senders, recipients, messages; smtpd(8).

Everything here may block (names are looked up, scripts run), so it is asked in a
thread.  Each answer is the reply that the client gets.
"""

import logging
import re
import sqlite3
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mailfs.serve.smtpd.blocked import Action
from mailfs.serve.smtpd.grammar import BadSyntax, literal
from mailfs.serve.smtpd.grammar import Path as MailPath
from mailfs.serve.smtpd.grey import Greylist
from mailfs.serve.smtpd.lists import Lookup
from mailfs.serve.smtpd.net import Address, Nets, Network
from mailfs.serve.smtpd.session import Reply
from mailfs.serve.smtpd.tables import Tables
from mailfs.site.site import Site

log = logging.getLogger(__name__)

SCRIPT_SECONDS = 10.0  # validateaddress and validatesender may take
MAX_SCRIPT = 4096  # octets of what a script says
_NOWHERE = ("localdomain", "localhost", "local", "lan", "example", "invalid", "test")
_EXAMPLES = ("example.com", "example.net", "example.org")
_ROUTE = re.compile(r"[!%@]")
BLOCKED = Reply(554, "5.7.1", "we believe this is spam.  we don't accept it.")
DELAYED = Reply(450, "4.3.0", "There will be a delay in delivery of this message.")


@dataclass(frozen=True, slots=True)
class Switches:
    """What the command line asks for beyond smtpd.conf; smtpd(8)."""

    greylist: bool = False
    norelay: bool = False
    save: bool = False
    trust_helo: bool = False  # -e: no extra checks of HELO
    silent: tuple[Network, ...] = ()  # -k: hung up on without a word


@dataclass(slots=True)
class Client:
    """The other end of one connection."""

    shown: str  # its address, or what it came by, for logs and Received:
    address: Address | None  # None for a Unix socket or a pipe
    trusted: bool
    action: Action | None = None  # of its network, and then of its sender
    helo: str = ""
    user: str = ""  # who has logged in

    @property
    def known(self) -> bool:
        """Whether blocked and the greylist are not for it."""
        return self.trusted or self.action is Action.ALLOW


class Policy:
    """The tables of one moment, asked for one client."""

    def __init__(
        self,
        site: Site,
        tables: Tables,
        switches: Switches,
        lookup: Lookup,
        grey: Greylist,
        name: str = "",
    ) -> None:
        """Ask tables; lookup finds a domain's addresses; name is ours, over theirs."""
        self.site = site
        self.tables = tables
        self.switches = switches
        self._lookup = lookup
        self._grey = grey
        self._name = name

    @property
    def domain(self) -> str:
        """Our name in the greeting and in Received:."""
        return self._name or self.tables.conf.defaultdomain or self.site.names.domain

    def client(self, shown: str, address: Address | None) -> Client:
        """Describe a client that has just come."""
        trusted = address is None or address in self.tables.conf.ournets
        action = None if trusted else self.tables.blocked.peer(address)
        return Client(shown, address, trusted, action)

    def silent(self, client: Client) -> bool:
        """Whether a client is hung up on without a word."""
        return client.address in Nets(self.switches.silent)

    def hello(self, client: Client, name: str) -> Reply:
        """Answer HELO; only strangers are asked to be who they say."""
        client.helo = name
        good = Reply(250, "", f"{self.domain} you are {name}")
        if client.trusted or self.switches.trust_helo:
            return good
        if self._lies(client, name.lower()):
            log.info("Hung up on %s; claimed to be %s", client.shown, name)
            return Reply(554, "5.7.0", "Liar!")
        return good

    def _lies(self, client: Client, name: str) -> bool:
        if name.startswith("["):
            try:
                return literal(name) != client.address
            except BadSyntax:
                return True
        if client.address is not None and client.address.is_loopback:
            return False
        labels = name.split(".")
        ours = {n.lower() for n in (*self.site.names.all, self.domain)}
        return (
            name in ours
            or len(labels) < 2
            or not any(c.isalpha() for c in name)
            or labels[-1] in _NOWHERE
            or ".".join(labels[-2:]) in _EXAMPLES
        )

    def sender(self, client: Client, path: MailPath) -> Reply:
        """Answer MAIL."""
        if path.user.startswith("-"):
            return Reply(501, "5.1.3", f"Bad character in sender address {path}.")
        if not client.trusted:
            bang = path.bang if path.local else "/dev/null"
            client.action = self.tables.blocked.find(client.address, bang)
        if client.action is Action.DIAL:
            return Reply(554, "5.7.1", "We don't accept mail from dial-up ports.")
        if client.action is Action.DENY:
            log.info("Denied %s (%s/%s)", path, client.helo, client.shown)
            return Reply(
                554,
                "5.7.1",
                f"We don't accept mail from {path}.\n"
                f"Contact postmaster@{self.domain} for more information.",
            )
        return Reply(250, "2.0.0", f"sender is {path or '<>'}")

    def recipient(self, client: Client, path: MailPath) -> Reply | None:
        """Answer RCPT with a refusal, or None if nothing here is against it."""
        if path.user.startswith("-"):
            return Reply(553, "5.1.3", "illegal address")
        if path in self.tables.names:
            log.info("names.blocked blocks %s", path)
            return Reply(550, "5.1.1", f"{path} ... user unknown")
        if not self._may_send(client, path):
            log.info("Bad Forward %s (%s/%s)", path, client.helo, client.shown)
            return Reply(550, "5.7.1", f"we don't relay: {path} is not here")
        if not self.tables.senders.admits(path, client.address, self._lookup):
            log.info("Disallowed sending IP of %s to %s", client.shown, path)
            return Reply(550, "5.7.1", f"{path} ... sending system not allowed")
        if client.trusted or path.user.lower() == "postmaster":
            return None
        said = self._script("validateaddress", [path.user])
        if said:
            log.info("validateaddress: %s: %s", path, said)
            return Reply(550, "5.1.1", f"{path} ... user unknown")
        return None

    def _may_send(self, client: Client, path: MailPath) -> bool:
        """Whether a recipient is ours, or the client may have us relay."""
        if client.trusted:
            return True
        if _ROUTE.search(path.user):  # a%b@ours, b!a, "a@b"@ours
            return False
        return self.ours(path.domain) or not self._norelay

    @property
    def _norelay(self) -> bool:
        return self.tables.conf.norelay or self.switches.norelay

    def ours(self, domain: str) -> bool:
        """Whether mail to a domain is for here."""
        if not domain:
            return True
        if domain.startswith("["):
            return False
        domain = domain.lower()
        if self.tables.conf.ourdomains:
            return self.tables.conf.ours(domain)
        return domain in {name.lower() for name in (*self.site.names.all, self.domain)}

    def begin(
        self, client: Client, sender: MailPath, recipients: Sequence[MailPath], now: int
    ) -> Reply:
        """Answer DATA, before the message comes."""
        good = Reply(354, "", "")
        if client.known:
            return good
        if not self._unfiltered(recipients):
            if self._greylisted(client, sender, recipients, now):
                log.info("no recent call from %s for a rcpt", client.shown)
                return Reply(
                    451, "4.7.1", "please try again soon from the same network."
                )
        else:
            client.action = None
        domain, user = sender.domain, sender.user
        if not sender.local:
            domain, user = client.helo, "postmaster"
        words = [domain, user, str(client.address), client.helo]
        said = self._script("validatesender", ["-n", "/net", *words])
        if not said:
            return good
        log.info("[%s/%s] sendercheck: %s", client.helo, client.shown, said)
        if said.startswith("rejected:"):
            return Reply(554, "5.7.1", said)
        return Reply(450, "4.7.0", said)

    def after(self, client: Client) -> Reply | None:
        """Answer a message that has come, None if it is to be delivered."""
        if client.action is Action.BLOCK:
            return BLOCKED
        return DELAYED if client.action is Action.DELAY else None

    @property
    def saving(self) -> bool:
        """Whether a message that is blocked is kept."""
        return self.switches.save or self.tables.conf.saveblockedmsg

    def _unfiltered(self, recipients: Sequence[MailPath]) -> bool:
        """Whether every recipient has asked for mail as it comes."""
        boxes = [self.site.box(p.user) / "nospamfiltering" for p in recipients]
        return all("/" not in p.user for p in recipients) and all(
            box.exists() for box in boxes
        )

    def _greylisted(
        self, client: Client, sender: MailPath, recipients: Sequence[MailPath], now: int
    ) -> bool:
        wanted = self.tables.conf.greylist or self.switches.greylist
        if not wanted or client.address is None or client.address in self.tables.white:
            return False
        to = [str(path) for path in recipients]
        try:
            return not self._grey.passes(client.address, str(sender), to, now)
        except (OSError, sqlite3.Error) as e:
            log.warning("greylist: %s: everybody passes", e)
            return False

    def _script(self, name: str, words: Sequence[str]) -> str:
        """Run a script of mail/lib, if there is one; return what it has against it.

        The words reach it as they are, without a shell.  One that cannot be run, or
        takes too long, has nothing against anybody.
        """
        return run_script(self.site.lib / name, words)


def run_script(
    path: Path, words: Sequence[str], seconds: float = SCRIPT_SECONDS
) -> str:
    """Return a script's words on a failure, empty if it had nothing to say."""
    if not path.is_file():
        return ""
    try:
        done = subprocess.run(  # noqa: S603  # words, never a shell
            [str(path), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        log.warning("%s: %s", path, e)
        return ""
    said = " ".join(done.stdout[:MAX_SCRIPT].decode("utf-8", "replace").split())
    return said or (f"status {done.returncode}" if done.returncode else "")
