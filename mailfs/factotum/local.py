"""A conversation without an agent: one protocol run here, with a key at hand.

For a factotum that does not know a protocol but has the password, and for tests.
"""

from mailfs.attr import Attrs
from mailfs.errors import MailfsError
from mailfs.factotum.key import Key
from mailfs.factotum.step import (
    AuthInfo,
    ConvStart,
    Find,
    Poll,
    Proto,
    ProtoError,
    Recv,
    Refuse,
    Renew,
    Send,
    Step,
    Verdict,
    Work,
)

PHASE = "protocol phase error"


class Local:
    """Runs a row of the protocol table; the keys are all it will find."""

    def __init__(self, row: Proto, start: ConvStart, *keys: Key) -> None:
        self.keys = list(keys)
        self.info: AuthInfo | None = None
        self.ended = False
        self.verdicts: list[bool] = []
        self._start = start
        self._steps = row.roles[start.get("role") or row.default](start)
        self._step: Step | None = None
        self._resume(None)

    @property
    def sends(self) -> bool:
        """Whether it is the protocol's turn to say something."""
        return isinstance(self._step, Send)

    def read(self) -> bytes | None:
        """Read the protocol's next message; None if it has ended."""
        if self.ended:
            return None
        if isinstance(self._step, (Send, Poll)) and self._step.data is not None:
            data = self._step.data
            self._resume(None)
            return data
        raise ProtoError(f"{PHASE}: read when write is wanted")

    def write(self, data: bytes) -> None:
        """Give the protocol what the peer said."""
        if not isinstance(self._step, (Recv, Poll)):
            raise ProtoError(f"{PHASE}: write when read is wanted")
        self._resume(data)

    def attrs(self) -> Attrs:
        """Return the attributes of the key."""
        return self.keys[0].public if self.keys else ()

    def _resume(self, result: object) -> None:
        """Run to the next Send, Recv or Poll, or to the end."""
        try:
            step = self._steps.send(result)
            while not isinstance(step, (Send, Recv, Poll)):
                try:
                    result = self._result(step)
                except MailfsError as e:
                    step = self._steps.throw(e)
                else:
                    step = self._steps.send(result)
            self._step = step
        except StopIteration as e:
            self._step, self.ended, self.info = None, True, e.value

    def _result(self, step: Step) -> object:
        match step:
            case Find(optional=False) if not self.keys:
                raise ProtoError("no key")
            case Find():
                return list(self.keys)
            case Work(job):
                return job()
            case Renew(key, renewal):
                new = renewal()
                self.keys = [new if k is key else k for k in self.keys]
                return new
            case Verdict(_, good):
                self.verdicts.append(good)
            case Refuse(why):
                raise ProtoError(why)
        return None
