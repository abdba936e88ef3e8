"""Octets that never print: passwords, key attributes named with !, private keys."""

import hmac
import resource
from typing import NoReturn


def no_core() -> None:
    """Let a crash of this process leave no core file, which would hold its secrets."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Secret:
    """Octets whose printed form is ``?``, in whatever way they are printed.

    Two are equal if their octets are; the comparison takes the same time wherever
    they differ.  The octets are overwritten when the last reference goes, but what
    reveal and text hand out are ordinary objects: take them late, drop them soon.
    """

    __slots__ = ("_raw",)
    _raw: bytearray

    def __init__(self, raw: bytes | str) -> None:
        octets = raw.encode() if isinstance(raw, str) else raw
        object.__setattr__(self, "_raw", bytearray(octets))

    def reveal(self) -> bytes:
        """Return the octets, for the one call that needs them."""
        return bytes(self._raw)

    def text(self) -> str:
        """Return the octets as the UTF-8 they are in an attribute list."""
        return self._raw.decode()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._raw, other._raw)

    __hash__ = None  # type: ignore[assignment]  # a hash would tell about the octets

    def __bool__(self) -> bool:
        return bool(self._raw)

    def __repr__(self) -> str:
        return "?"

    def __format__(self, spec: str) -> str:
        return format("?", spec)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Secret does not change")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not written out")

    def __del__(self) -> None:
        raw = getattr(self, "_raw", None)  # absent if __init__ failed
        if raw is not None:
            raw[:] = bytes(len(raw))
