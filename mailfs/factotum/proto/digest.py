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
            key = yield from account(start, user)
            # An unknown user costs the same work and the same answer.
            password = key.secret().reveal() if key else start.env.random(16)
            want = digest(challenge, password)
            if hmac.compare_digest(want, given.lower()) and key:
                return AuthInfo(user, user)
            yield Refuse("authentication failed")
        raise ProtoError("too many failures")

    return server


def message_id(start: ConvStart) -> bytes:
    """Return ``<number.seconds@dom>``, never the same twice; RFC 1939 section 7."""
    number = int.from_bytes(start.env.random(8))
    return f"<{number}.{int(start.env.clock())}@{start.get('dom', 'mail')}>".encode()


def account(
    start: ConvStart, user: str, prompt: str = "!password?"
) -> Generator[Step, Any, Key | None]:
    """Return the key a server keeps for user, or None; it must say role=server."""
    template = start.template(prompt, user=user)
    keys: list[Key] = yield Find(template, prompt, explicit=True, optional=True)
    return keys[0] if keys else None


APOP = Proto("apop", {"client": _client(apop), "server": _server(apop)}, PROMPT)
CRAM = Proto("cram", {"client": _client(cram), "server": _server(cram)}, PROMPT)
