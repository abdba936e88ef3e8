"""dp9ik: p9sk1 with a password-authenticated key exchange before the tickets.

Source: authsrv(6) of 9front.  Both sides run the exchange with the authentication
server, each under its own key; the tickets are then sealed under the results, so
nothing on the wire can be guessed at.  What p9sk1 says of role=server holds here too.
"""

from collections.abc import Generator
from typing import Any

from mailfs.factotum.authpak import (
    SIZE,
    Masks,
    Pak,
    PakError,
    aeskey,
    begin,
    derive,
    masks,
)
from mailfs.factotum.authsrv import AuthUnreachable
from mailfs.factotum.key import Key
from mailfs.factotum.proto.p9sk1 import PROMPT, check_hex, vouch
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
    FORM1,
    PAK,
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

SECRET = 256  # octets of the secret both sides end with


def masks_of(key: Key) -> Masks:
    """Return the masks of a key's !hex or password."""
    if key.has("!hex"):
        return masks(bytes.fromhex(key.secret("!hex").text()), key.user)
    return masks(aeskey(key.secret().reveal()), key.user)


def session(client: bytes, server: bytes, key: bytes) -> Secret:
    """Return the shared secret of two authenticators' random octets."""
    return Secret(derive(client + server, key, b"Plan 9 session secret", SECRET))


def client(start: ConvStart) -> Steps:
    """Out: 8 octets.  In: a ticket request and the server's half of an exchange.

    Out: the answer to that half.  Out: ticket and authenticator.  In: authenticator.
    """
    env = start.env
    mine = env.random(CHALLEN)
    yield from send(mine)
    hello = yield from recv(TICKETREQ + SIZE)
    wanted, half = Ticketreq.unpack(hello[:TICKETREQ]), hello[TICKETREQ:]
    if wanted.type != PAK:
        raise ProtoError("server's ticket request is of another type")
    key = yield from find(start, "user? !password?", dom=wanted.authdom)
    answer, ours, sealed = yield from _tickets(start, key, wanted, half)
    yield from send(answer)
    proof = Authenticator(AC, wanted.chal, env.random(FORM1.rand))
    yield from send(sealed + FORM1.seal_auth(proof, ours.key, env.random(4)))
    last = yield from recv(FORM1.authenticator)
    try:
        auth = FORM1.unseal_auth(last, AS, ours.key, mine)
    except TicketError:
        raise ProtoError("server's authenticator is not good") from None
    yield Verdict(key, True)
    return AuthInfo(ours.cuid, ours.suid, session(proof.rand, auth.rand, ours.key))


Granted = tuple[bytes, Ticket, bytes]
"""The answer to the server's half, our ticket opened, the server's sealed."""


def _tickets(
    start: ConvStart, key: Key, wanted: Ticketreq, half: bytes
) -> Generator[Step, Any, Granted]:
    secret = masks_of(key)
    pak = begin(secret, start.env.random, initiator=True)
    exchange, request = (
        Ticketreq(
            number, wanted.authid, wanted.authdom, wanted.chal, key.user, key.user
        ).pack()
        for number in (PAK, TREQ)
    )
    dialogue = [(exchange + half + pak.y, 2 * SIZE), (request, 2 * FORM1.ticket)]
    ask = start.env.ask
    try:
        halves, tickets = yield from work(lambda: ask(wanted.authdom, dialogue))
    except AuthUnreachable as e:
        if wanted.authid != key.user:
            raise ProtoError(str(e)) from None
        return _forge(start, key, wanted, half)
    try:
        shared = pak.finish(halves[SIZE:])
        ours = FORM1.unseal_ticket(tickets[: FORM1.ticket], TC, shared, wanted.chal)
    except (TicketError, PakError):
        yield Verdict(key, False)
        raise BadKey(key, "key mismatch with auth server") from None
    return halves[:SIZE], ours, tickets[FORM1.ticket :]


def _forge(start: ConvStart, key: Key, wanted: Ticketreq, half: bytes) -> Granted:
    """Be the authentication server: the 9P server has the key that we have."""
    random = start.env.random
    pak: Pak = begin(masks_of(key), random, initiator=False)
    ours = Ticket(TC, wanted.chal, key.user, key.user, random(FORM1.key))
    theirs = Ticket(TS, wanted.chal, key.user, key.user, ours.key)
    try:
        shared = pak.finish(half)
    except PakError as e:
        raise ProtoError(str(e)) from None
    return pak.y, ours, FORM1.seal_ticket(theirs, shared, random(4))


def server(start: ConvStart) -> Steps:
    """Run the server's half of the client's dialogue."""
    env = start.env
    key = yield from find(start, PROMPT)
    theirs = yield from recv(CHALLEN)
    wanted = Ticketreq(PAK, key.user, key.get("dom"), env.random(CHALLEN))
    pak = begin(masks_of(key), env.random, initiator=True)
    yield from send(wanted.pack() + pak.y)
    answer = yield from recv(SIZE)
    data = yield from recv(FORM1.ticket + FORM1.authenticator)
    try:
        shared, sealed = pak.finish(answer), data[: FORM1.ticket]
        ticket = FORM1.unseal_ticket(sealed, TS, shared, wanted.chal)
        auth = FORM1.unseal_auth(data[FORM1.ticket :], AC, ticket.key, wanted.chal)
    except (TicketError, PakError):
        raise ProtoError("client's ticket or authenticator is not good") from None
    vouch(key, ticket.cuid)
    proof = Authenticator(AS, theirs, env.random(FORM1.rand))
    yield from send(FORM1.seal_auth(proof, ticket.key, env.random(4)))
    return AuthInfo(
        ticket.cuid, ticket.suid, session(auth.rand, proof.rand, ticket.key)
    )


DP9IK = Proto(
    "dp9ik",
    {"client": client, "server": server},
    "user? dom?",
    check=lambda key: check_hex(key, 16),
)
