"""The agent: the ring, the log, and the two files through which it asks people."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from weakref import WeakKeyDictionary, WeakSet

from mailfs.attr import show, typed, value, without
from mailfs.errors import MailfsError
from mailfs.factotum.feed import Feed, Questions, Unanswered
from mailfs.factotum.key import Check, Key, Ring, Source, lacks, usable
from mailfs.factotum.step import Env, Find, Proto, ProtoError

log = logging.getLogger(__name__)
MAX_CTL = 16 << 10  # octets of one control message: an RSA key is 5 kB, a token 4


class WantedKey(MailfsError):
    """A key is missing; the text is the template of the needkey reply."""


class Agent:
    """What all conversations of one factotum share."""

    def __init__(self, owner: str, protos: Mapping[str, Proto], env: Env) -> None:
        self.owner = owner
        self.protos = protos
        self.env = env
        self.ring = Ring({name: _checker(row) for name, row in protos.items()})
        self.log = Feed()
        self.needkey = Questions("needkey")
        self.confirm = Questions("confirm")
        self.debug = False
        self._proved: WeakSet[Key] = WeakSet()  # keys that worked once
        self._newer: WeakKeyDictionary[Key, Key] = WeakKeyDictionary()
        self._renewals: dict[Key, asyncio.Task[Key]] = {}

    def note(self, text: str) -> None:
        """Put a line into the log file and the program's own log."""
        self.log.put(text)
        log.info("%s", text)

    def trace(self, text: str) -> None:
        """Note it if debugging."""
        if self.debug:
            self.note(text)

    def control(self, text: str, source: Source | None = None) -> None:
        """Carry out one control message; factotum(4), Control and Key Management.

        Raises MailfsError, whose text holds no secret.
        """
        text = text.strip(" \t").removesuffix("\n")
        if not text or text.startswith("#"):
            return
        if len(text) > MAX_CTL:
            raise MailfsError("control message too long")
        if "\n" in text:
            raise MailfsError("multiline write not allowed")
        verb, _, rest = text.partition(" ")
        if verb == "key":
            for key in self.ring.add(rest, source):
                self.note(f"addkey {key}")
        elif verb == "delkey":
            for key in self.ring.delete(rest):
                self.note(f"deleting {key}")
        elif verb == "debug":
            self.debug = not self.debug
        else:
            raise MailfsError("unknown verb")

    def listing(self, uname: str) -> str:
        """List the keys as uname reads them from ctl: a line a key, secrets hidden."""
        theirs = (key for key in self.ring if usable(key, uname, self.owner))
        return "".join(f"{key.line()}\n" for key in theirs)

    def verdict(self, key: Key, *, good: bool) -> None:
        """Remember that key worked, or disable it if it fails the first time."""
        if good:
            self._proved.add(key)
        elif key not in self._proved:
            self.ring.swap(key, key.replace({"disabled": "by.factotum"}, {}))
            self.note(f"disabled {key}")

    async def renew(self, key: Key, job: Callable[[], Key]) -> Key:
        """Renew a key, running job in a thread unless another has done so."""
        if newer := self._newer.get(key):
            return newer
        task = self._renewals.get(key)
        if task is None:
            task = asyncio.create_task(self._renew(key, job))
            self._renewals[key] = task
            task.add_done_callback(lambda _: self._renewals.pop(key))
        return await asyncio.shield(task)

    async def _renew(self, key: Key, job: Callable[[], Key]) -> Key:
        new = await asyncio.to_thread(job)
        self._newer[key] = new
        self.ring.swap(key, new)
        if key in self._proved:
            self._proved.add(new)
        if new.source is not None:
            try:
                await asyncio.to_thread(new.source, new)
            except (MailfsError, OSError) as e:
                # The key works until we end; only its keeper has the old one.
                self.note(f"cannot save {new}: {e}")
        return new

    async def close(self) -> None:
        """Wait for tokens under way, which must not be lost."""
        await asyncio.gather(*self._renewals.values(), return_exceptions=True)

    async def find(
        self, want: Find, params: frozenset[str], uname: str, approved: set[Key]
    ) -> list[Key]:
        """Return the keys a conversation wants, asking people where it must.

        Approved are the keys its reader has confirmed.  Raises Wanted or ProtoError.
        """
        keys, refused = await self._usable(want, uname, approved)
        if keys or want.optional:
            return keys
        if refused:
            raise ProtoError("key use refused")
        missing = without(want.template, *params)
        self.note(f"no key matches {show(typed(missing))}")
        if uname != self.owner or all(a.value is not None for a in missing):
            raise ProtoError(f"no key matches {show(typed(missing))}")
        asked = sorted(without(missing, "role", "disabled"), key=lambda a: a.name)
        await self._ask_key(show(asked))
        keys, _ = await self._usable(want, uname, approved)
        if not keys:
            raise WantedKey(show(asked))
        return keys

    async def _usable(
        self, want: Find, uname: str, approved: set[Key]
    ) -> tuple[list[Key], bool]:
        usable: list[Key] = []
        refused = False
        for key in self.ring.find(want.template, uname, self.owner):
            if want.explicit and not key.has("role"):
                continue
            if key.has("confirm") and key not in approved:
                if not await self._confirmed(key):
                    refused = True
                    continue
                approved.add(key)
            usable.append(key)
            if not want.every:
                break
        if usable:
            self.trace(f"using key {usable[0]}")
        return usable, refused

    async def _confirmed(self, key: Key) -> bool:
        try:
            answer = await self.confirm.ask(show(key.public))
        except Unanswered as e:
            raise ProtoError(str(e)) from None
        agreed = value(answer, "answer") == "yes"
        self.note(f"confirm={int(agreed)} {key}")
        return agreed

    async def _ask_key(self, asked: str) -> None:
        try:
            answer = await self.needkey.ask(asked)
        except Unanswered:
            raise WantedKey(asked) from None
        if error := value(answer, "error"):
            raise ProtoError(error)


def _checker(row: Proto) -> Check:
    def check(key: Key) -> None:
        if missing := lacks(key, row.prompt):
            raise MailfsError(f"missing attributes -- want {missing}")
        row.check(key)

    return check
