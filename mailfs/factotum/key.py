"""Keys and the ring that holds them: adding, deleting, matching; factotum(4)."""

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from mailfs.attr import Attr, Attrs, normal, parse, reveal, show, value, without
from mailfs.errors import MailfsError
from mailfs.secret import Secret

SOFT = frozenset({"role", "disabled"})  # need not be in the key to match
MAX_KEYS = 4096  # of a ring; a person has dozens
MAX_PROTOS = 16  # keys one line may make


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Key:
    """A key of one protocol: public attributes, proto first, and secret ones."""

    public: Attrs
    private: tuple[tuple[str, Secret], ...] = ()
    source: "Source | None" = None

    @property
    def proto(self) -> str:
        """The protocol the key is for."""
        return self.get("proto")

    @property
    def user(self) -> str:
        """The value of user, empty without one."""
        return self.get("user")

    def get(self, name: str, default: str = "") -> str:
        """Return the first value of a public attribute."""
        found = value(self.public, name)
        return default if found is None else found

    def has(self, name: str) -> bool:
        """Whether the key has the attribute, public or private."""
        return bool(self.values(name)) or any(n == name for n, _ in self.private)

    def values(self, name: str) -> list[str]:
        """Return all values of a public attribute."""
        return [a.value or "" for a in self.public if a.name == name]

    def secret(self, name: str = "!password") -> Secret:
        """Return a private attribute.  Raises MailfsError if the key lacks it."""
        for have, secret in self.private:
            if have == name:
                return secret
        raise MailfsError(f"key has no {name}: {self}")

    def replace(
        self, public: Mapping[str, str], private: Mapping[str, Secret]
    ) -> "Key":
        """Set some attributes, in their old places or last.

        Raises MailfsError for a value with a newline, which no file of keys can hold.
        """
        texts = (*public.values(), *(secret.text() for secret in private.values()))
        if any("\n" in text for text in texts):
            raise MailfsError("newline in a key")
        attrs = [Attr(a.name, public.get(a.name, a.value)) for a in self.public]
        attrs += [Attr(n, v) for n, v in public.items() if not self.values(n)]
        secrets = {**dict(self.private), **private}
        return Key(tuple(attrs), tuple(secrets.items()), self.source)

    def line(self) -> str:
        """Return the key as ctl lists it, without a newline.

        A key without secrets ends in a blank, as in other factotums.
        """
        return f"key {show(self.public)} {show(Attr(n, None) for n, _ in self.private)}"

    def reveal(self) -> str:
        """Return the key with its secrets as ctl takes it, for a store of secrets."""
        private = [Attr(name, secret.text()) for name, secret in self.private]
        return f"key {reveal((*self.public, *private))}"

    def __str__(self) -> str:
        return self.line()[4:].rstrip()

    __repr__ = __str__


Source = Callable[[Key], None]
"""Where a key came from: called with a key whose secrets have changed, to keep it.

It may block and is called in a thread of its own.
"""

Check = Callable[[Key], None]
"""Raises MailfsError if a key lacks what its protocol wants."""


def matches(pattern: Iterable[Attr], key: Key) -> bool:
    """Whether a template matches a key.

    ``name?`` wants the attribute, ``name=value`` wants it with that value (any one
    of them); role and disabled are looked at only if the key has them.
    """
    return all(_matches(want, key) for want in pattern)


def _matches(want: Attr, key: Key) -> bool:
    if want.name in SOFT:
        have = key.values(want.name)
        return not have or (want.value or "") in have
    if want.value is None:
        return key.has(want.name)
    return want.value in key.values(want.name)


def usable(key: Key, uname: str, owner: str) -> bool:
    """Whether uname may use a key of owner's factotum: an ``owner`` attribute says."""
    return uname == owner or not {uname, "*"}.isdisjoint(key.values("owner"))


def parse_key(text: str, source: Source | None = None) -> list[Key]:
    """Return the keys one attribute list describes: one for each ``proto``.

    Raises MailfsError; the text never comes back in it.
    """
    attrs = parse(text)
    # Files of keys, and ctl, have one on a line.
    if any("\n" in a.name + (a.value or "") for a in attrs):
        raise MailfsError("newline in a key")
    if any(a.value is None for a in attrs):
        raise MailfsError("a key has no queries: " + show(attrs))
    protos = dict.fromkeys(a.value or "" for a in attrs if a.name == "proto")
    if not protos:
        raise MailfsError("key without protos")
    if len(protos) > MAX_PROTOS:
        raise MailfsError("too many protos")
    rest = without(attrs, "proto")
    public = tuple(a for a in rest if not a.private)
    private = tuple((a.name, Secret(a.value or "")) for a in rest if a.private)
    return [Key((Attr("proto", p), *public), private, source) for p in protos]


def lacks(key: Key, prompt: str) -> str:
    """List the attributes that a prompt, ``user? !password?``, asks and a key lacks."""
    return show(a for a in parse(prompt) if not key.has(a.name))


class Ring:
    """The keys, oldest first.  checks says, by protocol, what a new key must pass."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._keys: list[Key] = []
        # Differs from that of an earlier agent, and counts on with each key put in.
        self.version = secrets.randbits(32)

    def __iter__(self) -> Iterator[Key]:
        return iter(tuple(self._keys))

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, text: str, source: Source | None = None) -> list[Key]:
        """Add the keys of one attribute list, each in the place of a key it equals.

        What can be added is, even if this raises MailfsError for the rest.
        """
        added, error = [], None
        for key in parse_key(text, source):
            try:
                self._check(key)
                self.put(key)
            except MailfsError as e:
                error = e
            else:
                added.append(key)
        if error:
            raise error
        return added

    def _check(self, key: Key) -> None:
        check = self._checks.get(key.proto)
        if check is None:
            raise MailfsError(f"unknown proto {key.proto}")
        check(key)

    def put(self, key: Key) -> None:
        """Add one key, or replace the one whose public attributes match both ways."""
        for i, old in enumerate(self._keys):
            if matches(old.public, key) and matches(key.public, old):
                self._keys[i] = key
                break
        else:
            if len(self._keys) >= MAX_KEYS:
                raise MailfsError("too many keys")
            self._keys.append(key)
        self.version = (self.version + 1) & 0xFFFFFFFF

    def swap(self, old: Key, new: Key) -> None:
        """Put new in the place of old, if old is still there."""
        self._keys = [new if key is old else key for key in self._keys]

    def delete(self, text: str) -> list[Key]:
        """Delete and return all keys a template matches; an empty one matches all.

        Secrets cannot be guessed at: ``!name?`` is the only form for them.
        """
        pattern = parse(text)
        if any(a.private and a.value is not None for a in pattern):
            raise MailfsError("only !private? patterns are allowed for private fields")
        gone = [key for key in self._keys if matches(pattern, key)]
        if not gone:
            raise MailfsError("found no keys to delete")
        self._keys = [key for key in self._keys if key not in gone]
        return gone

    def find(self, pattern: Iterable[Attr], uname: str, owner: str) -> list[Key]:
        """Return the keys a template matches that uname may use, oldest first."""
        wanted = normal(pattern)
        return [
            key
            for key in self._keys
            if not key.has("disabled")
            and usable(key, uname, owner)
            and matches(wanted, key)
        ]
