"""A message made ready for sending, in the form each server can take."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from mailfs.errors import MailfsError
from mailfs.smtp import header, wire
from mailfs.smtp.dkim import Signers, author_domain
from mailfs.smtp.downgrade import fits, legal, recoded

MAX_MESSAGE = 128 << 20  # octets; send(8) refuses more


class TooLong(MailfsError):
    """A message over MAX_MESSAGE."""


@dataclass(frozen=True, slots=True)
class WireForm:
    """One form: octets in lines of CRLF, and what it demands of the server."""

    octets: bytes
    eight: bool
    utf8: bool

    def data(self) -> list[bytes]:
        """Return what follows DATA."""
        return [wire.stuffed(self.octets)]


class SmtpLetter:
    """One message on its way to one host or many.

    sender is the envelope's in at form, domain qualifies addresses without one, now is
    the time in seconds since the epoch.  Forms are made when first asked for.
    """

    def __init__(
        self,
        octets: bytes,
        *,
        sender: str,
        domain: str,
        now: int,
        local: str = "",
        signers: Signers | None = None,
        token: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        if len(octets) > MAX_MESSAGE:
            raise TooLong(f"message too long: over {MAX_MESSAGE} octets")
        source = header.take(octets)
        fields = header.convert(
            source, sender=sender, domain=domain, now=now, local=local, token=token
        )
        self._raw = fields
        self._legal = [f if fits(f, eight=False) else legal(f) for f in fields]
        self._body = source.body
        self._now = now
        self._signers = signers
        self._size = 0
        self._forms: dict[tuple[bool, bool], WireForm] = {}

    @property
    def utf8(self) -> bool:
        """Whether only SMTPUTF8 can carry it: an address in it is not ASCII."""
        return not all(f.isascii() for f in self._legal)

    @property
    def size(self) -> int:
        """The octets of the form made last, as sent; 0 if none was."""
        return self._size

    def form(self, *, eight: bool, utf8: bool) -> WireForm:
        """Return the form for a server with or without 8BITMIME and SMTPUTF8.

        Fields are left as UTF-8 only where an address needs it, since a server on the
        further way may not have SMTPUTF8.  Raises Unconvertible for signed content that
        such a server does not take.
        """
        utf8 = utf8 and self.utf8
        if (eight, utf8) not in self._forms:
            self._forms[eight, utf8] = self._make(eight=eight, utf8=utf8)
        self._size = len(self._forms[eight, utf8].octets)
        return self._forms[eight, utf8]

    def _make(self, *, eight: bool, utf8: bool) -> WireForm:
        fields = self._raw if utf8 else self._legal
        octets = b"".join(f + b"\n" for f in fields) + b"\n" + self._body
        if not fits(octets, eight=eight):
            octets = recoded(octets, eight=eight)
        octets = wire.lines(octets)
        if self._signers is not None:
            signer = self._signers.find(author_domain(self._legal))
            if signer is not None:
                octets = signer.field(octets, self._now) + octets
        return WireForm(octets, not octets.isascii(), utf8)
