"""A conversation: runs one protocol for one open of rpc; factotum(4), auth(3).

The conversation owns the phases: a protocol says what it waits for, and a request
that is out of turn is refused here.  An error reply leaves the phase as it was, unless
the protocol itself has ended.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from mailfs.attr import Attrs, normal, parse, quote, show, value
from mailfs.errors import MailfsError
from mailfs.factotum.agent import Agent, WantedKey
from mailfs.factotum.key import Key
from mailfs.factotum.step import (
    AuthInfo,
    BadKey,
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
    Steps,
    Verdict,
    Work,
)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a protocol ended: with an error, or well, perhaps with an AuthInfo."""

    error: str = ""
    bad: Key | None = None  # the key the peer refused
    info: AuthInfo | None = None


class Phase(MailfsError):
    """A request out of turn."""


class TooSmall(MailfsError):
    """The message is not all there; the text says how much it may be."""


class Conversation:
    """One protocol in progress on behalf of uname."""

    def __init__(self, agent: Agent, uname: str) -> None:
        self._agent = agent
        self._uname = uname
        self._approved: set[Key] = set()
        self._start: ConvStart | None = None
        self._steps: Steps | None = None
        self._step: Step | Ended = Ended("no current protocol")
        self._key: Key | None = None
        self._owed: bytes | None = None  # taken from a write not yet acknowledged
        self._refusal = ""

    async def rpc(self, verb: str, data: bytes, room: int) -> bytes:
        """Carry out one request; the reply has at most room octets.

        Data the reader has no room for is answered with ``toosmall`` and kept.
        """
        try:
            reply = await self._rpc(verb, data, room)
        except WantedKey as e:
            reply = b"needkey " + str(e).encode()
        except Phase as e:
            reply = b"phase " + str(e).encode()
        except TooSmall as e:
            reply = b"toosmall " + str(e).encode()
        except MailfsError as e:
            self._agent.trace(f"{verb}: failure {e}")
            reply = b"error " + str(e).encode()
        return reply if len(reply) <= room else b"error read too small"

    async def _rpc(self, verb: str, data: bytes, room: int) -> bytes:
        match verb:
            case "start":
                await self._begin(data)
                return b"ok"
            case "read":
                return await self._read(room - 3, bytes)
            case "readhex":
                return await self._read((room - 3) // 2, lambda b: b.hex().encode())
            case "write":
                return await self._write(data)
            case "writehex":
                return await self._write(_unhex(data))
            case "authinfo":
                return b"ok " + self._authinfo()
            case "attr":
                return b"ok " + show(self.attrs()).encode()
        raise MailfsError("unknown verb")

    # start

    async def _begin(self, data: bytes) -> None:
        self.close()
        attrs = parse(_utf(data))
        row, role = self._chosen(attrs)
        agent = self._agent
        self._start = ConvStart(attrs, agent.env, row.params, self._uname, agent.owner)
        self._steps = row.roles[role](self._start)
        try:
            self._send(None)
            await self._settle()
            self._check()
        except MailfsError:
            self.close()
            raise

    def _chosen(self, attrs: Attrs) -> tuple[Proto, str]:
        name = value(attrs, "proto")
        if name is None:
            raise ProtoError("did not specify proto")
        row = self._agent.protos.get(name)
        if row is None:
            raise ProtoError(f"unknown protocol {name}")
        role = value(attrs, "role") or row.default
        if not role:
            raise ProtoError("role not specified")
        if role not in row.roles:
            raise ProtoError(f"unknown role {role}")
        return row, role

    def close(self) -> None:
        """End the protocol, if one is in progress."""
        if self._steps is not None:
            self._steps.close()
        self._start = self._steps = self._key = self._owed = None
        self._step = Ended("no current protocol")
        self._refusal = ""

    # running the protocol

    def _advance(self, resume: Callable[[], Step]) -> None:
        """Let the protocol run to its next step or its end."""
        try:
            self._step = resume()
        except StopIteration as e:
            self._step = Ended(info=e.value)
        except BadKey as e:
            self._step = Ended(str(e), bad=e.key)
        except MailfsError as e:
            self._step = Ended(str(e))

    def _send(self, result: object) -> None:
        steps = self._steps
        assert steps is not None
        self._advance(lambda: steps.send(result))

    def _throw(self, error: Exception) -> None:
        steps = self._steps
        assert steps is not None
        self._advance(lambda: steps.throw(error))

    async def _settle(self) -> None:
        """Carry out steps that need neither the reader nor the writer.

        Raises Wanted, at which the step stays and is tried again later.
        """
        while True:
            match self._step:
                case Find() as want:
                    await self._find(want)
                case Work(job):
                    await self._work(job)
                case Refuse(why):
                    self._refusal = why
                    self._send(None)
                case Verdict(key, good):
                    self._agent.verdict(key, good=good)
                    self._send(None)
                case Renew(key, renewal):
                    await self._renew(key, renewal)
                case _:
                    return

    async def _find(self, want: Find) -> None:
        assert self._start is not None
        try:
            keys = await self._agent.find(
                want, self._start.params, self._uname, self._approved
            )
        except ProtoError as e:
            self._throw(e)
            return
        if keys:
            self._key = keys[0]
        self._send(keys)

    async def _work(self, job: Callable[[], object]) -> None:
        try:
            result = await asyncio.to_thread(job)
        except MailfsError as e:
            self._throw(e)
        except OSError as e:
            self._throw(ProtoError(e.strerror or str(e)))
        else:
            self._send(result)

    async def _renew(self, key: Key, job: Callable[[], Key]) -> None:
        try:
            self._key = await self._agent.renew(key, job)
        except MailfsError as e:
            self._throw(e)
        except OSError as e:
            self._throw(ProtoError(e.strerror or str(e)))
        else:
            self._send(self._key)

    def _check(self) -> None:
        """Raise what the protocol ended with, or refused, if it did."""
        if self._refusal:
            why, self._refusal = self._refusal, ""
            raise ProtoError(why)
        if isinstance(self._step, Ended) and self._step.error:
            raise ProtoError(self._step.error)

    # read and write

    async def _read(self, room: int, code: Callable[[bytes], bytes]) -> bytes:
        await self._settle()
        if isinstance(self._step, Ended) and self._step.bad:
            return self._badkey(self._step.bad, self._step.error)
        self._check()
        self._owed = None
        match self._step:
            case Ended(info=info):
                return b"done haveai" if info else b"done"
            case Send(data) | Poll(bytes() as data):
                if len(data) > room:
                    raise TooSmall(str(len(data)))
                self._send(None)
                return b"ok " + code(data) if data else b"ok"
            case Poll():
                raise ProtoError("no more keys")
        raise Phase("protocol phase error: read when write is wanted")

    async def _write(self, data: bytes) -> bytes:
        await self._settle()
        if self._owed is None or self._owed != data:
            self._check()
            self._take(data)
            self._owed = data
            await self._settle()
        self._owed = None
        self._check()
        return b"ok"

    def _take(self, data: bytes) -> None:
        """Give the protocol what the peer said, if it is due and complete."""
        match self._step:
            case Recv(size, end, hint):
                if len(data) < size or (end and not data.endswith(end)):
                    if len(data) >= hint:
                        raise ProtoError("message too long")
                    raise TooSmall(str(hint))
                if size and len(data) > size:
                    raise ProtoError(f"message too long: want {size} octets")
            case Poll():
                pass
            case _:
                raise Phase("protocol phase error: write when read is wanted")
        self._send(data)

    # what came of it

    def __str__(self) -> str:
        step = self._step
        if not isinstance(step, Ended):
            return f"state={type(step).__name__.lower()} {show(self.attrs())}"
        if self._start is None or step.error:
            return f"state=closed err={quote(step.error)}"
        return f"state=done {show(self.attrs())}"

    def _badkey(self, key: Key, why: str) -> bytes:
        assert self._start is not None
        row = self._agent.protos[key.proto]
        public = (a for a in key.public if a.name not in ("user", "role", "disabled"))
        wanted = show(normal((*public, *parse(row.prompt))))
        return f"badkey {key}\n{why}\n{wanted}".encode()

    def _authinfo(self) -> bytes:
        if not isinstance(self._step, Ended):
            raise ProtoError("authentication unfinished")
        self._check()
        return marshal(self._step.info or AuthInfo("", ""))

    def attrs(self) -> Attrs:
        """Return the start list, completed from the key in use."""
        if self._start is None:
            raise ProtoError("no current protocol")
        mine = tuple(a for a in self._start.attrs if a.value is not None)
        names = {a.name for a in mine}
        key = self._key.public if self._key else ()
        return (*mine, *(a for a in key if a.name not in names))


def marshal(info: AuthInfo) -> bytes:
    """Pack an AuthInfo as the authinfo reply carries it; auth_attr in auth(3).

    Four fields, each after its length in two octets, least first.
    """
    texts = (info.cuid.encode(), info.suid.encode(), info.cap.encode())
    fields = (*texts, info.secret.reveal())
    return b"".join(len(f).to_bytes(2, "little") + f for f in fields)


def _utf(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ProtoError("attributes are not UTF-8") from None


def _unhex(data: bytes) -> bytes:
    try:
        return bytes.fromhex(data.decode("ascii"))
    except ValueError:
        raise ProtoError("bad hex") from None
