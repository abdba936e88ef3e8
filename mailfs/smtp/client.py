"""Delivering a message: envelope, servers in turn, each recipient's fate."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from mailfs.ndb.db import Ndb
from mailfs.ndb.ipinfo import ipinfo
from mailfs.ndb.sysname import SystemNames, attribute
from mailfs.site import placeholder
from mailfs.site.log import SysLog
from mailfs.smtp.budget import MemoryBudget
from mailfs.smtp.dialogue import Opener
from mailfs.smtp.dkim import Signers
from mailfs.smtp.dsn import Dsn
from mailfs.smtp.fate import DeliveryError, Fate, failed
from mailfs.smtp.letter import SmtpLetter, TooLong
from mailfs.smtp.limit import DeliveryLimit
from mailfs.smtp.options import Options
from mailfs.smtp.path import (
    EMPTY,
    NOBODY,
    BadPath,
    Dial,
    Path,
    dial,
    envelope,
    literal,
)
from mailfs.smtp.pool import Pool
from mailfs.smtp.route import SUBMISSION, MxRouter, Target, known_here, named
from mailfs.smtp.session import Broken
from mailfs.smtp.source import MessageSource
from mailfs.smtp.transfer import Transfer


class HostUnreachable(DeliveryError):
    """No server of a destination could be talked to; others would fare alike."""

    def __init__(self, error: DeliveryError) -> None:
        super().__init__(
            str(error),
            permanent=error.permanent,
            enhanced=error.enhanced,
            code=error.code,
        )


def qualified(given: str, names: SystemNames) -> str:
    """Complete the domain of ``-h`` by the machine's; empty means the machine's."""
    if not given:
        return names.domain
    if "." in given or "." not in names.domain:
        return given
    return f"{given}.{names.domain.partition('.')[2]}"


@dataclass(frozen=True, slots=True)
class SmtpMail:
    """One message to deliver.

    source is the message as the queue has it; dest ``net!host``; sender and rcpts are
    words in bang or at form.  whole wants all or nothing: a recipient that is refused
    for the moment then keeps the message from the others, for a caller who can learn
    but one thing, as an exit status.  dsn is what reports the sender wants.
    """

    source: MessageSource
    dest: str
    sender: str
    rcpts: tuple[str, ...]
    whole: bool = False
    dsn: Dsn = field(default_factory=Dsn)


@dataclass(slots=True)
class SmtpClient:
    """Delivers messages with one set of options; safe in any thread; close it."""

    opener: Opener
    router: MxRouter
    ndb: Ndb
    names: SystemNames
    log: SysLog
    signers: Signers | None = None
    clock: Callable[[], float] = time.time
    pool: Pool = field(default_factory=Pool)
    budget: MemoryBudget = field(default_factory=MemoryBudget)
    notice: Callable[[str], None] = lambda text: None  # what it waits for, for people

    @property
    def options(self) -> Options:
        """The options all messages are delivered with."""
        return self.opener.options

    @property
    def domain(self) -> str:
        """What qualifies our addresses: of ``-h``, else the machine's domain."""
        return qualified(self.options.domain, self.names)

    def close(self) -> None:
        """End the connections that are kept."""
        self.pool.close()

    def deliver(self, mail: SmtpMail, limit: DeliveryLimit | None = None) -> list[Fate]:
        """Deliver a message and tell the fate of each recipient, in their order.

        limit bounds the whole of it.  Raises HostUnreachable if no server could be
        talked to.
        """
        try:
            fates = self._deliver(mail, limit or DeliveryLimit())
        except DeliveryError as e:
            self.log.write("smtp.fail", f"{mail.dest}: {e}")
            raise
        for fate in fates:
            if not fate.ok:
                where = fate.host or mail.dest
                self.log.write(
                    "smtp.fail",
                    f"delivery to {fate.rcpt} at {where} failed: {fate.line}",
                )
        return fates

    def _check_domain(self, sender: str) -> None:
        """Raise DeliveryError if a sender would get the domain that nobody has."""
        given = self.options.domain
        bare = sender != NOBODY and "@" not in sender and "!" not in sender
        if bare and placeholder.is_placeholder(given):
            raise DeliveryError(
                f"{sender} has no domain, and -h {given} is an example: write your"
                " domain for it in mail/lib/remotemail",
                permanent=False,
            )

    def _deliver(self, mail: SmtpMail, limit: DeliveryLimit) -> list[Fate]:
        self._check_domain(mail.sender)
        dest, gateway = self._destination(mail.dest)
        local, domain = self.options.local, literal(dest.host)
        bad: list[Fate] = []
        rcpts: list[tuple[str, Path]] = []
        for word in mail.rcpts:
            try:
                rcpts.append((word, _sendable(envelope(word, domain, local=local))))
            except BadPath as e:
                error = DeliveryError(str(e), permanent=True, enhanced="5.1.3")
                bad += failed([word], error)
        try:
            sender = EMPTY
            if mail.sender != NOBODY:
                sender = _sendable(envelope(mail.sender, self.domain, local=local))
            letter = SmtpLetter(
                mail.source,
                sender=str(sender),
                domain=self.domain,
                now=int(self.clock()),
                local=local,
                signers=None if self.options.ping else self.signers,
                budget=self.budget,
                limit=limit,
            )
        except (BadPath, TooLong) as e:
            enhanced = "5.1.7" if isinstance(e, BadPath) else "5.3.4"
            error = DeliveryError(str(e), permanent=True, enhanced=enhanced)
            return failed(mail.rcpts, error)
        transfer = Transfer(
            letter, sender, rcpts, self.options, whole=mail.whole, dsn=mail.dsn
        )
        fates = bad
        try:
            if rcpts:
                fates = bad + self._try(dest, transfer, limit, gateway=gateway)
            self._sent(mail, letter, fates)
        finally:
            letter.close()
        by = {fate.rcpt: fate for fate in fates}
        return [by[word] for word in mail.rcpts]

    def _sent(self, mail: SmtpMail, letter: SmtpLetter, fates: Sequence[Fate]) -> None:
        """Log what was taken: ``SENDER sent N bytes to RCPTS (HOST)``."""
        taken = [fate for fate in fates if fate.ok]
        if taken and not self.options.ping:
            to = " ".join(fate.rcpt for fate in taken)
            where = f"({taken[0].host})"
            text = f"{mail.sender} sent {letter.size} bytes to {to} {where}"
            self.log.write("smtp", text)

    def _destination(self, text: str) -> tuple[Dial, bool]:
        """Choose the destination, and tell whether it is a gateway.

        ``$attr`` is an attribute of this machine in the database, as in ``net!$smtp``.
        """
        try:
            found = dial(text)
            if not found.host.startswith("$"):
                return found, False
            attr = found.host[1:]
            told = attribute(self.ndb, self.names, attr)
            if told is not None:
                return dial(told, found.port), True
        except BadPath as e:
            raise DeliveryError(str(e), permanent=True, enhanced="5.1.2") from e
        why = f"no {attr}= in ndb for {self.names.sysname}"
        raise DeliveryError(why, permanent=False, enhanced="4.3.5")

    def _try(
        self, dest: Dial, transfer: Transfer, limit: DeliveryLimit, *, gateway: bool
    ) -> list[Fate]:
        """Try servers in turn until one can be talked to."""
        error: DeliveryError | None = None
        for target in self._chain(dest, limit, gateway=gateway):
            try:
                if isinstance(target, DeliveryError):
                    raise target
                return self._at(target, transfer, limit)
            except DeliveryError as e:
                if error is None or error.permanent:
                    error = e
        raise HostUnreachable(error or DeliveryError("no mail server", permanent=True))

    def _at(
        self, target: Target, transfer: Transfer, limit: DeliveryLimit
    ) -> list[Fate]:
        """Transfer at one server.  Raises DeliveryError if it cannot be talked to."""
        limit.check()
        self.notice(f"talking to {target.host}")
        session = self.pool.take(target)
        if session is not None:
            session.limit = limit
            try:
                fates = transfer(session)
            except Broken:
                session.close()  # it hung up while nobody was looking
            else:
                self.pool.give(target, session)
                return fates
        session = self.opener.open(target, limit)
        try:
            fates = transfer(session)
        except BaseException:
            session.close()
            raise
        self.pool.give(target, session)
        return fates

    def _chain(
        self, dest: Dial, limit: DeliveryLimit, *, gateway: bool
    ) -> Iterator[Target | DeliveryError]:
        """Yield the servers of a destination, then the gateway of ``-g``."""
        try:
            yield from self._targets(dest, limit, gateway=gateway)
        except DeliveryError as e:
            yield e
        if self.options.gateway:
            try:
                other, _ = self._destination(self.options.gateway)
                yield from self._targets(other, limit, gateway=True)
            except DeliveryError as e:
                yield e

    def _targets(
        self, dest: Dial, limit: DeliveryLimit, *, gateway: bool
    ) -> list[Target]:
        """List the servers to try; no MX leads to a gateway."""
        self.notice(f"looking up the mail servers of {dest.host}")
        if gateway and not named(dest):
            return [Target(dest.host, dest.port)]
        if not gateway:
            dest = self._dotted(dest)
        return self.router.targets(dest, busted=self.options.busted, limit=limit)

    def _dotted(self, dest: Dial) -> Dial:
        """Give a machine's name without a dot the one that ndb has for it.

        One that neither ndb nor the system knows has no server, now or later.
        """
        name = dest.host
        if "." in name or ":" in name or dest.port in SUBMISSION:
            return dest
        found = ipinfo(self.ndb, "sys", name, ["dom", "ip"])
        known = found.get("dom") or found.get("ip")
        if known:
            return Dial(known, dest.port)
        if not known_here(name):
            why = (
                f"{name}: unknown host: a name without a dot is one of ndb or of this"
                f" machine's hosts file; write the full name, or add"
                f" sys={name} dom=... to lib/ndb/local"
            )
            raise DeliveryError(why, permanent=True, enhanced="5.1.2")
        return dest


def _sendable(path: Path) -> Path:
    """Return a path that MAIL or RCPT can carry.  Raises BadPath for any other."""
    if not path.utf8:
        path.ascii()
    return path
