"""SASL mechanisms through the agent, for IMAP, POP3 and SMTP clients; RFC 4422.

Messages are those before base64.  A program makes one Sasl a login::

    exchange = Sasl(keys, "SCRAM-SHA-256", "server=imap.example.com user=glenda")
    first = exchange.initial()        # None: the server speaks first
    answer = exchange.step(challenge) # until the server is satisfied
"""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass

from mailfs.attr import Attr, Attrs, parse, value, without
from mailfs.errors import MailfsError
from mailfs.factotum.authsrv import asker
from mailfs.factotum.client import (
    Factotum,
    FactotumError,
    KeyRefused,
    RpcClient,
    RpcPhase,
    is_digest,
)
from mailfs.factotum.fetch import fetcher
from mailfs.factotum.key import Key
from mailfs.factotum.local import PHASE, Local
from mailfs.factotum.proto import PROTOS
from mailfs.factotum.proto.bearer import AGAIN
from mailfs.factotum.step import ConvStart, Env, ProtoError


@dataclass(frozen=True, slots=True)
class Mechanism:
    """What a mechanism is to us."""

    proto: str
    first: bool = True  # the client has an initial response
    clear: bool = False  # shows the password or token: TLS only
    bound: bool = False  # wants channel binding
    token: bool = False  # wants a key of proto oauth
    proof: int = 0  # which message of ours proves the password, from 0
    mutual: bool = False  # the server proves itself before it is done


# The best first.
MECHANISMS: dict[str, Mechanism] = {
    "OAUTHBEARER": Mechanism("oauthbearer", clear=True, token=True),
    "XOAUTH2": Mechanism("xoauth2", clear=True, token=True),
    "SCRAM-SHA-256-PLUS": Mechanism("scram-sha-256", bound=True, proof=1, mutual=True),
    "SCRAM-SHA-256": Mechanism("scram-sha-256", proof=1, mutual=True),
    "SCRAM-SHA-1-PLUS": Mechanism("scram-sha-1", bound=True, proof=1, mutual=True),
    "SCRAM-SHA-1": Mechanism("scram-sha-1", proof=1, mutual=True),
    "CRAM-MD5": Mechanism("cram", first=False),
    "PLAIN": Mechanism("plain", clear=True),
    "LOGIN": Mechanism("login", first=False, clear=True, proof=1),
}


@dataclass(frozen=True, slots=True)
class Binding:
    """What a TLS connection has to bind to: its type and octets; RFC 5056."""

    kind: str = ""
    data: bytes = b""


NONE = Binding()


def choose(
    advertised: Iterable[str], *, tls: bool, binding: Binding = NONE, token: bool
) -> list[str]:
    """Return the mechanisms worth a try, best first.

    token says whether there is an oauth key; without one those mechanisms go.
    """
    offered = {name.upper() for name in advertised}
    return [
        name
        for name, row in MECHANISMS.items()
        if name in offered
        and (tls or not row.clear)
        and (binding.kind or not row.bound)
        and row.token <= token
    ]


class Sasl:
    """One exchange.

    template holds what selects the key (server, user); advertised, all the server's
    mechanisms, lets SCRAM notice if -PLUS was struck from the list.  by_password has a
    key of proto pass answer in the place of one of the mechanism's own: this process
    sees the password then.
    """

    def __init__(
        self,
        keys: Factotum,
        mechanism: str,
        template: str,
        *,
        binding: Binding = NONE,
        advertised: Iterable[str] = (),
        by_password: bool = False,
    ) -> None:
        self.mechanism = mechanism.upper()
        row = MECHANISMS.get(self.mechanism)
        if row is None:
            raise MailfsError(f"unknown mechanism {mechanism}")
        self._row = row
        offered = {name.upper() for name in advertised}
        attrs = without(parse(template), "proto", "role")
        head = (Attr("proto", row.proto), Attr("role", "client"))
        bind = _bind(row, binding, offered)
        begin = _start_here if by_password else _start
        self._conv = begin(keys, row, head + attrs, bind)
        self._ended = False

    @property
    def complete(self) -> bool:
        """Whether a success may be believed: the server has proven what it must."""
        return self._ended or not self._row.mutual

    def initial(self) -> bytes | None:
        """Return the initial response; None if the server speaks first."""
        return self._conv.read() if self._row.first else None

    def step(self, challenge: bytes) -> bytes:
        """Return the response to a challenge, empty where only assent is wanted."""
        try:
            self._conv.write(challenge)
            said = self._conv.read()
        except ProtoError as e:  # of a protocol run here
            kind = RpcPhase if str(e).startswith(PHASE) else FactotumError
            raise kind(str(e)) from e
        self._ended = said is None
        response = said or b""
        if self._row.proto != "cram":
            return response
        if not is_digest(response):
            response = self._conv.read() or b""
        user = value(self.attrs(), "user") or ""
        return user.encode() + b" " + response.lower()

    def attrs(self) -> Attrs:
        """Return the attributes of the key in use."""
        return self._conv.attrs()

    def again(self) -> bool:
        """After the server's refusal: whether it is worth another try as it is.

        A token may just have ended.
        """
        try:
            self._conv.read()
        except KeyRefused:
            return False
        except FactotumError as e:
            return str(e) == AGAIN
        return False


def _bind(row: Mechanism, binding: Binding, offered: set[str]) -> Attrs:
    """Make the start parameters of SCRAM's channel binding; RFC 5802 section 6."""
    if not row.proto.startswith("scram-"):
        return ()
    if row.bound:
        if not binding.kind:
            raise MailfsError("nothing to bind to: the mechanism wants TLS")
        return Attr("cb", binding.kind), Attr("cbdata", binding.data.hex())
    # Only if the server offers none may we say that we could have bound.
    could = binding.kind and not any(name.endswith("-PLUS") for name in offered)
    return (Attr("cb", "y"),) if could else ()


def _start(
    keys: Factotum, row: Mechanism, attrs: Attrs, bind: Attrs
) -> RpcClient | Local:
    text = " ".join(a.reveal() for a in attrs + bind)
    try:
        return keys.start(text)
    except FactotumError as e:
        if not str(e).startswith("unknown proto") or row.token:
            raise
    # A factotum that knows no such protocol may still have the password.
    return _start_here(keys, row, attrs, bind)


def _start_here(keys: Factotum, row: Mechanism, attrs: Attrs, bind: Attrs) -> Local:
    """Run a protocol in this process, with a password the factotum hands out."""
    rest = without(attrs, "proto")
    login = keys.getuserpasswd("proto=pass " + " ".join(a.reveal() for a in rest))
    key = Key(
        (Attr("proto", row.proto), Attr("user", login.user)),
        (("!password", login.password),),
    )
    start = ConvStart(attrs + bind, environment())
    return Local(PROTOS[row.proto], start, key)


def environment() -> Env:
    """Return the real world, for protocols run in this process."""
    return Env(os.urandom, time.time, asker(lambda dom: ""), fetcher())
