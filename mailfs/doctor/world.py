"""Where the doctor looks, and how long it waits."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mailfs.attr import Attrs
from mailfs.factotum.client import SERVICE, Factotum, RpcClient
from mailfs.tls.trust import Trust
from mailfs.where import DialString

TIMEOUT = 10.0  # seconds for each answer of a server


class Deferred(Factotum):
    """A factotum that is dialled when it is asked, so that its lack is found then.

    asked    whether somebody wanted a key
    reached  whether there was a factotum to ask
    """

    def __init__(self, dial: Callable[[], Factotum]) -> None:
        self._dial = dial
        self._agent: Factotum | None = None
        self.getkey = None
        self.asked = self.reached = False

    def _asked(self) -> Factotum:
        self.asked = True
        if self._agent is None:
            self._agent = self._dial()
            self.reached = True
        return self._agent

    def rpc(self) -> RpcClient:
        """Open a conversation."""
        return self._asked().rpc()

    def keys(self) -> list[Attrs]:
        """Return the public attributes of all keys."""
        return self._asked().keys()

    def control(self, message: str) -> None:
        """Write a control message."""
        self._asked().control(message)

    def close(self) -> None:
        """Hang up."""
        if self._agent is not None:
            self._agent.close()


@dataclass(frozen=True, slots=True)
class DoctorWorld:
    """A root, a user, a name space; timeout is in seconds, for each answer."""

    root: Path
    user: str
    cache: Path
    namespace: Callable[[], Path]  # raises MailfsError
    trust: Trust
    timeout: float = TIMEOUT
    clock: Callable[[], float] = time.time

    def agent(self) -> Factotum:
        """Dial the factotum.  Raises MailfsError."""
        address = DialString("unix", str(self.namespace() / SERVICE))
        return Factotum(address, timeout=self.timeout).reach()

    def keys(self) -> Deferred:
        """Return the factotum, not yet dialled."""
        return Deferred(self.agent)
