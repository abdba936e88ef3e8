"""What a query found in a mailbox."""

from array import array
from dataclasses import dataclass, field


def _none() -> "array[int]":
    return array("I")


@dataclass(frozen=True, slots=True)
class Found:
    """Numbers of messages, newest first.

    asked    those of them that a server found: by pieces of text, not by words
    unread   others that nobody looked through, for they are on a server only
    """

    numbers: "array[int]"
    asked: "array[int]" = field(default_factory=_none)
    unread: "array[int]" = field(default_factory=_none)
