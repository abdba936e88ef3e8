"""apop and cram: MD5 over a challenge and the password.

Both ask the server to keep the password itself.  A server role takes a key that says
``role=server``, one for each user.
"""

import hashlib
import hmac
from collections.abc import Callable, Generator
from typing import Any

from mailfs.factotum.key import Key
from mailfs.factotum.step import (
    AuthInfo,
    ConvStart,
    Find,
    Proto,
    ProtoError,
    Refuse,
    Step,
    Steps,
    find,
    recv,
    send,
)

PROMPT = "user? !password?"
DIGEST = 32  # hex digits of an MD5
MAX_TRIES = 5  # wrong answers before a server hangs up; authsrv(6) allows as many
MAX_ACCOUNTS = 32  # keys of one user that are tried; a person has a few programs
Digest = Callable[[bytes, bytes], bytes]


def apop(challenge: bytes, password: bytes) -> bytes:
    """Return the hex digits for a timestamp, brackets included; RFC 1939 section 7."""
    return hashlib.md5(challenge + password).hexdigest().encode()  # noqa: S324


def cram(challenge: bytes, password: bytes) -> bytes:
    """Return the hex digits for a challenge; RFC 2195 section 2."""
    return hmac.new(password, challenge, "md5").hexdigest().encode()


def _client(digest: Digest) -> Callable[[ConvStart], Steps]:
    def client(start: ConvStart) -> Steps:
        """In: the challenge.  Out: 32 hex digits; the user is in the attributes."""
        challenge = yield from recv()
        key = yield from find(start, PROMPT)
        yield from send(digest(challenge, key.secret().reveal()))
        return None

    return client


def _server(digest: Digest) -> Callable[[ConvStart], Steps]:
    def server(start: ConvStart) -> Steps:
        """Out: a challenge.  In: the user, then 32 hex digits; a few tries."""
        challenge = message_id(start)
        yield from send(challenge)
        for _ in range(MAX_TRIES):
            user = (yield from recv()).rstrip(b"\0").decode(errors="replace")
            given = yield from recv(DIGEST)
            keys = yield from accounts(start, user)
            # An unknown user costs the same work and the same answer.
            known = [key.secret().reveal() for key in keys] or [start.env.random(16)]
            wants = [digest(challenge, password) for password in known]
            right = [hmac.compare_digest(want, given.lower()) for want in wants]
            if any(right) and keys:
                return AuthInfo(user, user)
            yield Refuse("authentication failed")
        raise ProtoError("too many failures")

    return server


def message_id(start: ConvStart) -> bytes:
    """Return ``<number.seconds@dom>``, never the same twice; RFC 1939 section 7."""
    number = int.from_bytes(start.env.random(8))
    return f"<{number}.{int(start.env.clock())}@{start.get('dom', 'mail')}>".encode()


def accounts(
    start: ConvStart, user: str, prompt: str = "!password?", **attrs: str
) -> Generator[Step, Any, list[Key]]:
    """Find the keys a server keeps for user, oldest first; they must say role=server.

    There are several where somebody has a password for each program.
    """
    template = start.template(prompt, user=user, **attrs)
    keys: list[Key] = yield Find(
        template, prompt, every=True, explicit=True, optional=True
    )
    return keys[:MAX_ACCOUNTS]


APOP = Proto("apop", {"client": _client(apop), "server": _server(apop)}, PROMPT)
CRAM = Proto("cram", {"client": _client(cram), "server": _server(cram)}, PROMPT)
