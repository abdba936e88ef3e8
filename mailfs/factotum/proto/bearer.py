"""oauth, xoauth2 and oauthbearer: tokens, refreshed before they end.

All three use keys of proto oauth (see mailfs.factotum.oauth).  xoauth2 is Google's and
Microsoft's mechanism, oauthbearer that of RFC 7628.
"""

from collections.abc import Callable, Generator
from typing import Any

from mailfs.errors import MailfsError
from mailfs.factotum import oauth
from mailfs.factotum.key import Key
from mailfs.factotum.proto.scram import escape
from mailfs.factotum.step import (
    BadKey,
    ConvStart,
    Proto,
    ProtoError,
    Renew,
    Step,
    Steps,
    find,
    recv,
    send,
)
from mailfs.secret import Secret

PROMPT = "issuer? clientid? user? !refreshtoken?"
AGAIN = "token refused: try again"


def token(start: ConvStart) -> Generator[Step, Any, tuple[Key, Secret, bool]]:
    """Find a key: return it, its access token, and whether that is brand-new."""
    key = yield from find(start, PROMPT, proto="oauth")
    new = False
    for _ in range(2):  # what replaced the key may itself be spent by now
        if found := oauth.access(key, start.env.clock()):
            return key, found, new
        key = yield from renew(start, key)
        new = True
    return key, key.secret("!accesstoken"), new


def renew(start: ConvStart, key: Key) -> Generator[Step, Any, Key]:
    """Refresh a key's token."""
    fetch, clock = start.env.fetch, start.env.clock
    try:
        fresh: Key = yield Renew(key, lambda: oauth.refreshed(key, fetch, clock()))
    except oauth.OAuthError as e:
        if e.code == "invalid_grant":
            raise BadKey(key, str(e)) from None
        raise ProtoError(str(e)) from None
    return fresh


def client(start: ConvStart) -> Steps:
    """Out: the access token alone."""
    _, found, _ = yield from token(start)
    yield from send(found.reveal())
    return None


def xoauth2(key: Key, start: ConvStart) -> bytes:
    """Return all of the message before the token."""
    return b"user=" + key.user.encode() + b"\1"


def oauthbearer(key: Key, start: ConvStart) -> bytes:
    """Return all of the message before the token; RFC 7628 section 3.1."""
    host = start.get("host") or start.get("server")
    head = b"n,a=" + escape(key.user) + b",\1"
    if host:
        head += b"host=" + host.encode() + b"\1"
    if port := start.get("port"):
        head += b"port=" + port.encode() + b"\1"
    return head


def _mechanism(
    head: Callable[[Key, ConvStart], bytes], closing: bytes
) -> Callable[[ConvStart], Steps]:
    def mechanism(start: ConvStart) -> Steps:
        """Out: the initial response.  In: an error, if any.  Out: the closing reply.

        A token that was not brand-new is dropped and worth another try.
        """
        key, found, new = yield from token(start)
        yield from send(head(key, start) + b"auth=Bearer " + found.reveal() + b"\1\1")
        yield from recv()
        yield from send(closing)
        if new:
            raise BadKey(key, "token refused")
        spent = key.replace({}, {"!expires": Secret("0")})
        yield Renew(key, lambda: spent)
        raise ProtoError(AGAIN)

    return mechanism


def _check(key: Key) -> None:
    for name in ("issuer", "tokenurl"):
        if key.has(name) and not key.get(name).startswith("https://"):
            raise MailfsError(f"{name} is not https: {key.get(name)}")


def _refuse(key: Key) -> None:
    raise MailfsError(f"{key.proto} uses keys of proto oauth")


_PARAMS = frozenset({"host", "port"})
OAUTH = Proto("oauth", {"client": client}, PROMPT, default="client", check=_check)
XOAUTH2 = Proto(
    "xoauth2", {"client": _mechanism(xoauth2, b"")}, params=_PARAMS, check=_refuse
)
OAUTHBEARER = Proto(
    "oauthbearer",
    {"client": _mechanism(oauthbearer, b"\1")},
    params=_PARAMS,
    check=_refuse,
)
