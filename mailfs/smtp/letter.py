"""A message made ready for sending, in the form each server can take."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mailfs.errors import MailfsError
from mailfs.smtp import header, wire
from mailfs.smtp.body import WireBody
from mailfs.smtp.budget import MemoryBudget
from mailfs.smtp.dkim import Signers, author_domain
from mailfs.smtp.downgrade import fits, legal, recoded
from mailfs.smtp.header import HeaderSource
from mailfs.smtp.limit import DeliveryLimit
from mailfs.smtp.source import MessageSource, OctetSource

MAX_MESSAGE = 128 << 20  # octets; send(8) refuses more
HEAD = 64 << 10  # octets in which nearly every header ends
LARGE_HEAD = 1 << 20  # octets of a header beyond which the message counts as in memory
COPIES = 6  # the octets that recoding has at a time, as a multiple of the message's


class TooLong(MailfsError):
    """A message over MAX_MESSAGE."""


@dataclass(frozen=True, slots=True)
class WireForm:
    """One form: header with its empty line, and body, in lines of CRLF.

    utf8 says that only SMTPUTF8 can carry it.
    """

    head: bytes
    body: WireBody
    utf8: bool

    @property
    def size(self) -> int:
        """Its octets, dots not doubled."""
        return len(self.head) + self.body.size

    @property
    def eight(self) -> bool:
        """Whether it needs 8BITMIME."""
        return not (self.head.isascii() and self.body.ascii)

    def data(self) -> Iterator[bytes]:
        """Yield what follows DATA, without its last dot."""
        yield self.head
        yield from map(wire.stuffed, self.body.pieces())


class SmtpLetter:
    """One message on its way to one host or many; close it.

    sender is the envelope's in at form, domain qualifies addresses without one, now is
    the time in seconds since the epoch.  Forms are made when first asked for; only a
    message that has to be recoded is ever in memory, as far as budget allows.
    """

    def __init__(
        self,
        source: MessageSource,
        *,
        sender: str,
        domain: str,
        now: int,
        local: str = "",
        signers: Signers | None = None,
        token: Callable[[], str] = lambda: secrets.token_hex(16),
        budget: MemoryBudget | None = None,
        limit: DeliveryLimit | None = None,
    ) -> None:
        """Read the header.  Raises TooLong and DeliveryError."""
        if source.size > MAX_MESSAGE:
            raise TooLong(f"message too long: over {MAX_MESSAGE} octets")
        self._budget = budget or MemoryBudget()
        self._limit = limit or DeliveryLimit()
        self._taken = 0
        self._source = source
        head = self._head()
        fields = header.convert(
            head, sender=sender, domain=domain, now=now, local=local, token=token
        )
        self._raw = fields
        self._legal = [f if fits(f, eight=False) else legal(f) for f in fields]
        self._body_at = head.body
        self._body = WireBody(source, head.body)
        self._now = now
        self._signers = signers
        self._size = 0
        self._forms: dict[tuple[bool, bool], WireForm] = {}

    def close(self) -> None:
        """Give back what it has of the budget."""
        self._forms.clear()
        taken, self._taken = self._taken, 0
        self._budget.give(taken)

    def _take(self, octets: int) -> None:
        self._budget.take(octets, self._limit)
        self._taken += octets

    def _head(self) -> HeaderSource:
        """Read as much as it takes to know where the header ends."""
        count = HEAD
        head = header.take(self._source.read(0, count))
        while not head.whole and count < self._source.size:
            count *= 4
            if count > LARGE_HEAD and not self._taken:
                self._take(self._source.size * COPIES)
            head = header.take(self._source.read(0, count))
        return head

    @property
    def utf8(self) -> bool:
        """Whether only SMTPUTF8 can carry it: an address in it is not ASCII."""
        return not all(f.isascii() for f in self._legal)

    @property
    def size(self) -> int:
        """The octets of the form made last, as sent; 0 if none was."""
        return self._size

    def form(self, *, eight: bool, utf8: bool) -> WireForm:
        """Make the form for a server with or without 8BITMIME and SMTPUTF8.

        Fields are left as UTF-8 only where an address needs it, since a server on the
        further way may not have SMTPUTF8.  Raises Unconvertible for signed content that
        such a server does not take, and DeliveryError.
        """
        utf8 = utf8 and self.utf8
        if (eight, utf8) not in self._forms:
            self._forms[eight, utf8] = self._make(eight=eight, utf8=utf8)
        self._size = self._forms[eight, utf8].size
        return self._forms[eight, utf8]

    def _make(self, *, eight: bool, utf8: bool) -> WireForm:
        fields = self._raw if utf8 else self._legal
        head = b"".join(f + b"\n" for f in fields) + b"\n"
        body = self._body
        if not (fits(head, eight=eight) and body.fits(eight=eight)):
            head, body = self._recoded(head, eight=eight)
        head = wire.lines(head)
        if self._signers is not None:
            signer = self._signers.find(author_domain(self._legal))
            if signer is not None:
                head = signer.field(head, body.digest(), self._now) + head
        return WireForm(head, body, utf8)

    def _recoded(self, head: bytes, *, eight: bool) -> tuple[bytes, WireBody]:
        """Recode the message as a whole, in memory."""
        if not self._taken:
            self._take(self._source.size * COPIES)
        size = self._source.size - self._body_at
        octets = head + self._source.read(self._body_at, size).replace(b"\r\n", b"\n")
        octets = recoded(octets, eight=eight)
        end = 1 if octets.startswith(b"\n") else octets.find(b"\n\n") + 2
        return octets[:end], WireBody(OctetSource(octets), end)
