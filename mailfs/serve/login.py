"""Who a client is: SASL by way of the factotum, which has the keys; RFC 4422.

A key says ``role=server user=USER``.  Which users there are, and what was wrong, is
for our log only: clients hear the same whatever failed.
"""

import asyncio
import logging
from collections.abc import Callable

from mailfs.attr import value
from mailfs.errors import MailfsError
from mailfs.factotum.client import Factotum, RpcPhase

log = logging.getLogger(__name__)

# SASL's name of a mechanism, and the factotum's of its protocol; strongest first.
PROTOCOLS = {
    "SCRAM-SHA-256": "scram-sha-256",
    "SCRAM-SHA-1": "scram-sha-1",
    "CRAM-MD5": "cram",
    "PLAIN": "plain",
    "LOGIN": "login",
}
CLEAR = frozenset({"PLAIN", "LOGIN"})  # the password itself is sent
MAX_RESPONSE = 4096  # octets of one answer of the client

Agent = Callable[[], Factotum]
"""Dial the factotum.  Raises MailfsError."""


# The protocols of the keys by which each mechanism can succeed: a verifier knows the
# password that is shown, but not what CRAM-MD5 needs.
_SCRAM = frozenset({"scram-sha-256", "scram-sha-1"})
_OPENED = {
    name: {proto} | (_SCRAM if name in CLEAR else frozenset())
    for name, proto in PROTOCOLS.items()
}


def offered(agent: Agent) -> tuple[str, ...]:
    """List the mechanisms that some server's key opens, strongest first.

    A client that is offered another may choose that, fail and not come again.  Blocks;
    raises MailfsError if the factotum does not answer.
    """
    with agent() as keys:
        listed = keys.keys()
    found = {value(key, "proto") for key in listed if value(key, "role") == "server"}
    return tuple(name for name in PROTOCOLS if not _OPENED[name].isdisjoint(found))


async def ways(agent: Agent | None) -> tuple[str, ...]:
    """List what to offer to a client: every mechanism while the factotum is silent."""
    if agent is None:
        return ()
    try:
        return await asyncio.to_thread(offered, agent)
    except MailfsError as e:
        log.warning("factotum: %s", e)
        return tuple(PROTOCOLS)


class LoginFailed(MailfsError):
    """Wrong user, password or proof; passing says that the factotum did not answer."""

    def __init__(self, text: str, *, passing: bool = False) -> None:
        super().__init__(text)
        self.passing = passing


class Attempt:
    """One login; each method may block, and one is called at a time."""

    def __init__(self, agent: Agent, mechanism: str) -> None:
        """Begin a conversation.  Raises LoginFailed."""
        self.user = ""
        self._first = mechanism == "LOGIN"  # the factotum speaks first
        self._digest = mechanism == "CRAM-MD5"
        try:
            self._keys = agent()
        except MailfsError as e:
            raise LoginFailed(str(e), passing=True) from e
        try:
            template = f"proto={PROTOCOLS[mechanism]} role=server"
            self._rpc = self._keys.start(template)
        except MailfsError as e:
            self._keys.close()
            raise LoginFailed(str(e)) from e

    def begin(self, initial: bytes | None) -> bytes | None:
        """Return the first challenge, None if the initial response was enough."""
        if initial is None:
            return self._ask()
        if self._first:
            self._ask()
        return self.step(initial)

    def step(self, response: bytes) -> bytes | None:
        """Take an answer; return the next challenge, None once user is proved.

        Raises LoginFailed.
        """
        if len(response) > MAX_RESPONSE:
            raise LoginFailed("response too long")
        try:
            for part in self._parts(response):
                self._rpc.write(part)
        except RpcPhase:
            if response:  # SCRAM's last answer is empty, and nobody waits for it
                raise LoginFailed("an answer nobody asked for") from None
        except MailfsError as e:
            raise LoginFailed(str(e)) from e
        return self._ask()

    def _parts(self, response: bytes) -> list[bytes]:
        """Split a response as the factotum takes it: CRAM's user, then its digest."""
        return response.rsplit(b" ", 1) if self._digest else [response]

    def _ask(self) -> bytes | None:
        try:
            challenge = self._rpc.read()
            if challenge is None:
                self.user = self._rpc.authinfo().cuid
        except RpcPhase:
            return b""  # it is the client's turn
        except MailfsError as e:
            raise LoginFailed(str(e)) from e
        return challenge

    def close(self) -> None:
        """End the conversation."""
        self._keys.close()
