"""p9any: settle on dp9ik or p9sk1, then run it; authsrv(6).

Server to client: ``proto@dom proto@dom`` NUL; client to server: ``proto dom`` NUL.  If
the offer begins with ``v.2 `` the server confirms with ``OK`` NUL.
"""

from collections.abc import Generator
from typing import Any

from mailfs.attr import quote, tokenize
from mailfs.factotum.key import Key
from mailfs.factotum.proto import dp9ik, p9sk1
from mailfs.factotum.step import (
    AuthInfo,
    ConvStart,
    Find,
    Proto,
    ProtoError,
    Step,
    Steps,
    recv,
    send,
)

MAX_OFFER = 4096  # octets; as in plan9port's factotum
MAX_CHOICE = 256  # octets of a choice
MAX_TOKENS = 20  # of an offer
INNER = {"dp9ik": dp9ik.DP9IK, "p9sk1": p9sk1.P9SK1}  # the better one first
VERSION = "v."


def _words(data: bytes) -> list[str]:
    try:
        return tokenize(data.removesuffix(b"\0").decode(), MAX_TOKENS)
    except UnicodeDecodeError:
        raise ProtoError("malformed offer or choice") from None


def _found(
    start: ConvStart, proto: str, dom: str = ""
) -> Generator[Step, Any, list[Key]]:
    """List the usable keys, asking nobody."""
    attrs = {"proto": proto, **({"dom": dom} if dom else {})}
    template = start.template("user? dom?", **attrs)
    keys: list[Key] = yield Find(template, "", every=True, optional=True)
    return keys


def _offers(data: bytes) -> tuple[bool, list[tuple[str, str]]]:
    """Read a server's offers: whether it will confirm, and (proto, dom) of each."""
    words = _words(data)
    confirms = False
    if words and words[0].startswith(VERSION):
        if words[0] != "v.2":
            raise ProtoError(f"unknown version of p9any: {words[0]}")
        confirms = True
        del words[0]
    pairs = [word.partition("@") for word in words]
    known = [(proto, dom) for proto, _, dom in pairs if proto in INNER and dom]
    rank = list(INNER)
    return confirms, sorted(known, key=lambda offer: rank.index(offer[0]))


def client(start: ConvStart) -> Steps:
    """In: the offers.  Out: the choice.  In: the confirmation.  Then the chosen."""
    data = yield from recv(end=b"\0", hint=MAX_OFFER)
    confirms, offers = _offers(data)
    dom = start.get("dom")
    offers = [offer for offer in offers if dom in ("", offer[1])]
    if not offers:
        raise ProtoError("negotiation failed, no common protocols or keys")
    chosen = offers[0]  # of which a key is asked for, if there is none at all
    for proto, offered in offers:
        if (yield from _found(start, proto, offered)):
            chosen = proto, offered
            break
    inner = start.adding(proto=chosen[0], dom=chosen[1])
    want = inner.template("user? !password?")
    yield Find(want, "user? !password?")
    yield from send(" ".join(map(quote, chosen)).encode() + b"\0")
    if confirms and (yield from recv(3)) != b"OK\0":
        raise ProtoError("server does not confirm the choice")
    return (yield from INNER[chosen[0]].roles["client"](inner))


def server(start: ConvStart) -> Steps:
    """Out: the offers.  In: the choice.  Then the chosen."""
    offers: dict[tuple[str, str], None] = {}
    # p9sk1 first: some old clients stop at what they do not know.
    for proto in reversed(INNER):
        for key in (yield from _found(start, proto)):
            offers[proto, key.get("dom")] = None
    if not offers:
        raise ProtoError("no valid keys")
    text = " ".join(quote(f"{proto}@{dom}") for proto, dom in offers)
    yield from send(text.encode() + b"\0")
    words = _words((yield from recv(end=b"\0", hint=MAX_CHOICE)))
    if len(words) != 2 or (words[0], words[1]) not in offers:
        raise ProtoError("unable to find common key")
    inner = start.adding(proto=words[0], dom=words[1])
    info: AuthInfo | None = yield from INNER[words[0]].roles["server"](inner)
    return info


P9ANY = Proto("p9any", {"client": client, "server": server})
