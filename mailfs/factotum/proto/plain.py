"""plain and login: SASL mechanisms that send the password; only inside TLS.

The caller gets whole messages, before base64.
"""

import hmac
from collections.abc import Generator
from typing import Any

from mailfs.factotum.proto import scram
from mailfs.factotum.proto.digest import accounts
from mailfs.factotum.step import (
    AuthInfo,
    ConvStart,
    Proto,
    ProtoError,
    Step,
    Steps,
    find_any,
    recv,
    send,
    work,
)

PROMPT = "user? !password?"
MAX_NAME = 255  # octets of a name or password a client sends; RFC 4616 section 2


def plain_client(start: ConvStart) -> Steps:
    """Out: ``authzid NUL authcid NUL passwd``; RFC 4616.  authzid is a parameter."""
    key = yield from find_any(start, PROMPT, ("plain", "pass"))
    parts = start.get("authzid").encode(), key.user.encode(), key.secret().reveal()
    if any(b"\0" in part for part in parts):
        raise ProtoError("NUL in user or password")
    yield from send(b"\0".join(parts))
    return None


def plain_server(start: ConvStart) -> Steps:
    """In: the client's one message."""
    parts = (yield from recv()).split(b"\0")
    if len(parts) != 3 or any(len(part) > MAX_NAME for part in parts):
        raise ProtoError("malformed message")
    authzid, user, password = parts
    if authzid not in (b"", user):
        raise ProtoError("authentication failed")
    return (yield from check(start, user, password))


def login_client(start: ConvStart) -> Steps:
    """In: a prompt.  Out: the user.  In: a prompt.  Out: the password."""
    key = yield from find_any(start, PROMPT, ("login", "pass"))
    yield from recv()
    yield from send(key.user.encode())
    yield from recv()
    yield from send(key.secret().reveal())
    return None


def login_server(start: ConvStart) -> Steps:
    """Out: a prompt.  In: the user.  Out: a prompt.  In: the password."""
    yield from send(b"Username:")
    user = yield from recv()
    yield from send(b"Password:")
    password = yield from recv()
    if max(len(user), len(password)) > MAX_NAME:
        raise ProtoError("malformed message")
    return (yield from check(start, user, password))


def check(
    start: ConvStart, user: bytes, password: bytes
) -> Generator[Step, Any, AuthInfo]:
    """Compare a password with those of the server's keys for user.

    A key of SCRAM will do, which knows the password by its verifier alone.  Whatever
    is wrong, the answer and the time it takes are the same.
    """
    name = user.decode(errors="replace")
    keys = yield from accounts(start, name)
    right = [
        hmac.compare_digest(key.secret().reveal(), password)
        for key in keys
        if key.has("!password")
    ]
    scrams = []
    for proto in scram.HASHES:
        found = yield from accounts(start, name, "!storedkey?", proto=proto)
        scrams = [key for key in found if key.proto == proto]
        if scrams:
            break
    right.append((yield from work(lambda: scram.fits(scrams, password))))
    if not any(right):
        raise ProtoError("authentication failed")
    return AuthInfo(name, name)


PLAIN = Proto(
    "plain",
    {"client": plain_client, "server": plain_server},
    PROMPT,
    frozenset({"authzid"}),
)
LOGIN = Proto("login", {"client": login_client, "server": login_server}, PROMPT)
