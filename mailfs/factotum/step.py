"""What a protocol's generator says to the conversation that runs it.

A protocol is straight-line code that yields steps; the helpers below give each step
its type, so that a protocol reads::

    def client(start: Start) -> Steps:
        stamp = yield from recv()
        key = yield from find(start, "user? !password?")
        yield from send(digest(stamp, key))

It returns an AuthInfo if identities were established, else None, and raises
ProtoError to end.  It does no input or output and knows neither clock nor randomness
except through the Env of its Start.
"""

import os
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from mailfs.attr import Attr, Attrs, normal, parse, value, without
from mailfs.errors import MailfsError
from mailfs.factotum.authsrv import Ask
from mailfs.factotum.fetch import Fetch
from mailfs.factotum.key import Key
from mailfs.secret import Secret

T = TypeVar("T")


class ProtoError(MailfsError):
    """The conversation failed; the text goes into the reply."""


class BadKey(ProtoError):
    """The peer refused key: a new one is wanted before it is worth another try."""

    def __init__(self, key: Key, why: str) -> None:
        super().__init__(why)
        self.key = key


@dataclass(frozen=True, slots=True)
class Recv:
    """Wait for a message of the peer.

    A message shorter than size, or that has no end, is answered with toosmall hint
    and not taken; a longer one than size is an error.  The result is the message.
    """

    size: int = 0  # octets; 0 for any
    end: bytes = b""
    hint: int = 0  # octets the writer should come back with, at most


@dataclass(frozen=True, slots=True)
class Send:
    """Hand a message to the peer."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Poll:
    """Hand out data if the caller reads (result None), take octets if it writes.

    Without data there is nothing left to read.
    """

    data: bytes | None


@dataclass(frozen=True, slots=True)
class Find:
    """Wait for a key; the result is the list of those that match, never empty.

    With explicit, a key must itself name the role: one that a user keeps for some
    other server must not open ours.
    """

    template: Attrs
    prompt: str
    every: bool = False
    explicit: bool = False
    optional: bool = False  # the result may be empty and nobody is asked


@dataclass(frozen=True, slots=True)
class Work:
    """Run something that blocks; the result is what it returns."""

    job: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer the peer's last message with an error, and go on."""

    why: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Tell the agent how a key fared: proved or not by the peer.

    A key that fails before it ever worked is disabled.
    """

    key: Key
    good: bool


@dataclass(frozen=True, slots=True)
class Renew:
    """Replace a key by what job makes of it; the result is the new key.

    job blocks.  It runs once for a key, to its end, however many ask and whether or
    not they wait: a refresh token may be good only once.
    """

    key: Key
    job: Callable[[], Key]


Step = Recv | Send | Poll | Find | Work | Refuse | Verdict | Renew


@dataclass(frozen=True, slots=True)
class AuthInfo:
    """Who was authenticated to whom, and what they share; auth(3)."""

    cuid: str
    suid: str
    secret: Secret = field(default_factory=lambda: Secret(b""))
    cap: str = ""


Steps = Generator[Step, Any, AuthInfo | None]


@dataclass(frozen=True, slots=True)
class Env:
    """What protocols may not take from the air."""

    random: Callable[[int], bytes]  # that many octets, fit for keys
    clock: Callable[[], float]  # seconds since the epoch
    ask: Ask  # the authentication server of a domain; blocks
    fetch: Fetch  # a URL; blocks
    # Known to nobody else, and best the same as long as the machine is.
    secret: bytes = field(default_factory=partial(os.urandom, 32))


@dataclass(frozen=True, slots=True)
class ConvStart:
    """How a conversation was started."""

    attrs: Attrs
    env: Env
    params: frozenset[str] = frozenset()  # attributes that are no part of a key
    uname: str = ""  # who talks to us
    owner: str = ""

    def get(self, name: str, default: str = "") -> str:
        """Return the first value of an attribute of the start list."""
        found = value(self.attrs, name)
        return default if found is None else found

    def adding(self, **attrs: str) -> "ConvStart":
        """Return the start with some attributes set."""
        rest = without(self.attrs, *attrs)
        return replace(self, attrs=(*rest, *(Attr(n, v) for n, v in attrs.items())))

    def template(self, prompt: str, **attrs: str) -> Attrs:
        """Return the key template: the list, less params, with attrs and prompt."""
        rest = without(self.attrs, *self.params, *attrs)
        extra = (Attr(name, v) for name, v in attrs.items())
        return normal((*rest, *extra, *parse(prompt)))


def recv(
    size: int = 0, *, end: bytes = b"", hint: int = 0
) -> Generator[Step, Any, bytes]:
    """Wait for a message of the peer; see Recv."""
    data: bytes = yield Recv(size, end, hint or size)
    return data


def send(data: bytes) -> Generator[Step, Any, None]:
    """Hand a message to the peer."""
    yield Send(data)


def find(
    start: ConvStart, prompt: str, *, explicit: bool = False, **attrs: str
) -> Generator[Step, Any, Key]:
    """Wait for a key that matches the start list, attrs and the prompt; see Find."""
    template = start.template(prompt, **attrs)
    keys: list[Key] = yield Find(template, prompt, explicit=explicit)
    return keys[0]


def find_any(
    start: ConvStart, prompt: str, protos: tuple[str, ...]
) -> Generator[Step, Any, Key]:
    """Wait for a key of the first protocol; one of the others will do meanwhile."""
    for proto in protos:
        template = start.template(prompt, proto=proto)
        keys: list[Key] = yield Find(template, prompt, optional=True)
        if keys:
            return keys[0]
    return (yield from find(start, prompt, proto=protos[0]))


def work(job: Callable[[], T]) -> Generator[Step, Any, T]:
    """Run something that blocks and return what it returns."""
    result: T = yield Work(job)
    return result


@dataclass(frozen=True, slots=True)
class Proto:
    """A row of the protocol table."""

    name: str
    roles: dict[str, Callable[[ConvStart], Steps]]
    prompt: str = ""  # what a key needs
    params: frozenset[str] = frozenset()
    default: str = ""  # the role if start names none
    check: Callable[[Key], None] = lambda key: None  # beyond the prompt
