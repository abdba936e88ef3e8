"""A world without chance, time or network for protocols, and two ends of a dialogue."""

import hashlib
from collections.abc import Callable, Sequence

from mailfs.attr import parse
from mailfs.factotum.authsrv import AuthUnreachable
from mailfs.factotum.key import Key, parse_key
from mailfs.factotum.local import Local
from mailfs.factotum.proto import PROTOS
from mailfs.factotum.step import ConvStart, Env

NOW = 1_700_000_000.0


def chance(seed: str = "") -> Callable[[int], bytes]:
    """Return a source of octets that look random and are always the same."""
    count = 0

    def random(size: int) -> bytes:
        nonlocal count
        count += 1
        return hashlib.shake_128(f"{seed} {count}".encode()).digest(size)

    return random


def nobody(dom: str, dialogue: Sequence[tuple[bytes, int]]) -> list[bytes]:
    raise AuthUnreachable(f"no authentication server for {dom}")


def no_fetch(url: str, body: bytes | None) -> tuple[int, bytes]:
    raise AssertionError(f"fetched {url}")


def world(seed: str = "") -> Env:
    return Env(chance(seed), lambda: NOW, nobody, no_fetch)


def key(text: str) -> Key:
    (made,) = parse_key(text)
    return made


def local(text: str, *keys: str, env: Env | None = None) -> Local:
    """Start a protocol on ``proto=X role=Y ...`` with those keys."""
    attrs = parse(text)
    row = PROTOS[next(a.value or "" for a in attrs if a.name == "proto")]
    start = ConvStart(attrs, env or world(text), row.params)
    return Local(row, start, *map(key, keys))


def talk(a: Local, b: Local, limit: int = 20) -> list[bytes]:
    """Let the two talk until both have ended; return what was said."""
    said = []
    for _ in range(limit):
        for mine, other in ((a, b), (b, a)):
            while mine.sends:
                data = mine.read()
                assert data is not None
                said.append(data)
                other.write(data)
        if a.ended and b.ended:
            return said
    raise AssertionError("they do not come to an end")
