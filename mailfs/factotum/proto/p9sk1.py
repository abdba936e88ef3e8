"""p9sk1: Plan 9 shared keys, with DES; authsrv(6).

For interoperation: a ticket can be guessed at off line and the key has 56 bits.  A
server whose key does not say role=server shares it with the user it names, who could
make a ticket for anybody; such a key vouches for that user only.
"""

from collections.abc import Generator
from typing import Any

from mailfs.errors import MailfsError
from mailfs.factotum import deskey
from mailfs.factotum.authsrv import AuthUnreachable
from mailfs.factotum.key import Key
from mailfs.factotum.step import (
    AuthInfo,
    BadKey,
    ConvStart,
    Proto,
    ProtoError,
    Step,
    Steps,
    Verdict,
    find,
    recv,
    send,
    work,
)
from mailfs.factotum.ticket import (
    AC,
    AS,
    CHALLEN,
    FORM0,
    TC,
    TICKETREQ,
    TREQ,
    TS,
    Authenticator,
    Ticket,
    TicketError,
    Ticketreq,
)
from mailfs.secret import Secret

PROMPT = "user? dom? !password?"
COUNTER = bytes(4)  # form 0 has no nonce


def deskey_of(key: Key) -> bytes:
    """Return a key's 7 octets: its !hex, else made from its password."""
    if key.has("!hex"):
        return bytes.fromhex(key.secret("!hex").text())
    return deskey.passtokey(key.secret().reveal())


def client(start: ConvStart) -> Steps:
    """Out: 8 octets.  In: ticket request.  Out: ticket, authenticator.  In: again."""
    env = start.env
    mine = env.random(CHALLEN)
    yield from send(mine)
    wanted = Ticketreq.unpack((yield from recv(TICKETREQ)))
    if wanted.type != TREQ:
        raise ProtoError("server's ticket request is of another type")
    key = yield from find(start, "user? !password?", dom=wanted.authdom)
    ours, sealed = yield from _tickets(start, key, wanted)
    proof = Authenticator(AC, wanted.chal)
    yield from send(sealed + FORM0.seal_auth(proof, ours.key, COUNTER))
    answer = yield from recv(FORM0.authenticator)
    try:
        FORM0.unseal_auth(answer, AS, ours.key, mine)
    except TicketError:
        raise ProtoError("server's authenticator is not good") from None
    yield Verdict(key, True)
    return AuthInfo(ours.cuid, ours.suid, Secret(deskey.expand(ours.key)))


def _tickets(
    start: ConvStart, key: Key, wanted: Ticketreq
) -> Generator[Step, Any, tuple[Ticket, bytes]]:
    """Return our ticket, opened, and the server's, sealed."""
    request = Ticketreq(
        TREQ, wanted.authid, wanted.authdom, wanted.chal, key.user, key.user
    )
    size = 2 * FORM0.ticket
    ask, secret = start.env.ask, deskey_of(key)
    try:
        (reply,) = yield from work(
            lambda: ask(wanted.authdom, [(request.pack(), size)])
        )
    except AuthUnreachable as e:
        if wanted.authid != key.user:
            raise ProtoError(str(e)) from None
        ours = Ticket(TC, wanted.chal, key.user, key.user, start.env.random(7))
        theirs = Ticket(TS, wanted.chal, key.user, key.user, ours.key)
        return ours, FORM0.seal_ticket(theirs, secret, COUNTER)
    try:
        ours = FORM0.unseal_ticket(reply[: FORM0.ticket], TC, secret, wanted.chal)
    except TicketError:
        yield Verdict(key, False)
        raise BadKey(key, "key mismatch with auth server") from None
    return ours, reply[FORM0.ticket :]


def server(start: ConvStart) -> Steps:
    """Run the server's half of the client's dialogue."""
    key = yield from find(start, PROMPT)
    theirs = yield from recv(CHALLEN)
    wanted = Ticketreq(TREQ, key.user, key.get("dom"), start.env.random(CHALLEN))
    yield from send(wanted.pack())
    data = yield from recv(FORM0.ticket + FORM0.authenticator)
    try:
        sealed, proof = data[: FORM0.ticket], data[FORM0.ticket :]
        ticket = FORM0.unseal_ticket(sealed, TS, deskey_of(key), wanted.chal)
        FORM0.unseal_auth(proof, AC, ticket.key, wanted.chal)
    except TicketError:
        raise ProtoError("client's ticket or authenticator is not good") from None
    vouch(key, ticket.cuid)
    answer = Authenticator(AS, theirs)
    yield from send(FORM0.seal_auth(answer, ticket.key, COUNTER))
    return AuthInfo(ticket.cuid, ticket.suid, Secret(deskey.expand(ticket.key)))


def vouch(key: Key, cuid: str) -> None:
    """Raise ProtoError unless a ticket under key can speak for cuid."""
    if not cuid or (key.get("role") != "server" and cuid != key.user):
        raise ProtoError(f"key of {key.user} without role=server vouches for no other")


def check_hex(key: Key, octets: int) -> None:
    """Raise MailfsError unless a key has a password or !hex of that many octets."""
    if not key.has("!hex"):
        if not key.has("!password"):
            raise MailfsError("missing attributes -- want !password?")
        return
    try:
        size = len(bytes.fromhex(key.secret("!hex").text()))
    except ValueError:
        size = 0
    if size != octets:
        raise MailfsError("malformed key data")


P9SK1 = Proto(
    "p9sk1",
    {"client": client, "server": server},
    "user? dom?",
    check=lambda key: check_hex(key, deskey.KEY),
)
