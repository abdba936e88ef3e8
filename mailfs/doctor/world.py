"""Where the doctor looks, and how long it waits."""

import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mailfs.attr import Attrs, lines
from mailfs.errors import MailfsError
from mailfs.factotum import keyfile
from mailfs.factotum.client import SERVICE, Factotum, RpcClient
from mailfs.factotum.fetch import fetcher
from mailfs.factotum.keyfile import KeyFile
from mailfs.factotum.private import PrivateFactotum
from mailfs.secret import Secret
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
    """A root, a user, a name space; timeout is in seconds, for each answer.

    filed    the keys are those of the file source, which this factotum has read
    """

    root: Path
    user: str
    cache: Path
    namespace: Callable[[], Path]  # raises MailfsError
    trust: Trust
    timeout: float = TIMEOUT
    clock: Callable[[], float] = time.time
    filed: Callable[[], Factotum] | None = None
    source: Path | None = None

    def agent(self) -> Factotum:
        """Dial the factotum, or the one that has the keys of the user's file.

        Raises MailfsError.
        """
        if self.filed is not None:
            return self.filed()
        address = DialString("unix", str(self.namespace() / SERVICE))
        return Factotum(address, timeout=self.timeout).reach()

    def keys(self) -> Deferred:
        """Return the factotum, not yet dialled."""
        return Deferred(self.agent)

    def add_key(self, template: str) -> str:
        """Return the command that asks for the secret of a key and adds it."""
        if "proto=oauth" in template:
            return "mailfs factotum --oauth PROVIDER --clientid ID USER"
        words = ["mailfs", "factotum", "-g", template]
        if self.source is not None:
            words[2:2] = ["-f", str(self.source)]
        return shlex.join(words)

    @contextmanager
    def by_file(self) -> Iterator["DoctorWorld | None"]:
        """Yield this world with the keys of the user's file; None if it has none.

        They are tried too, for at its next start the factotum has them.
        """
        path = keyfile.path(self.root, self.user)
        try:
            text = KeyFile(path).load()
        except (MailfsError, OSError):
            text = ""  # the check of that file tells
        if not text.strip():
            yield None
            return
        with PrivateFactotum(fetcher()) as private:
            for line in lines(text):
                with suppress(MailfsError):
                    if line.strip():
                        private.add(Secret(line))
            yield replace(self, filed=private.keys, source=path)
