"""The commands of the root's ctl; upasfs(4).

Where upas/fs answers success to what it did not do, these refuse: an unknown
mailbox, a word that is no number, a message that is not there.  Of several messages
those that are there are served before the others are refused.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from mailfs.attr import tokenize
from mailfs.errors import (
    EARGS,
    ECTL,
    EFLAGS,
    ENOBOX,
    ENOMSG,
    MailfsError,
    Refused,
)
from mailfs.mailbox.kinds import Flag
from mailfs.mailboxes import flags, transfer
from mailfs.mailboxes.scoped import ScopedMailbox
from mailfs.mailboxes.scopedset import ScopedMailboxes


@dataclass(frozen=True, slots=True)
class Verb:
    """One command: what does it, and how many words may follow."""

    do: Callable[[ScopedMailboxes, list[str]], Awaitable[None]]
    least: int
    most: int | None = None


async def _open(boxes: ScopedMailboxes, words: list[str]) -> None:
    await boxes.open(boxes.expand(words[0]), *words[1:])


async def _create(boxes: ScopedMailboxes, words: list[str]) -> None:
    await boxes.create(boxes.expand(words[0]), *words[1:])


async def _close(boxes: ScopedMailboxes, words: list[str]) -> None:
    missing = [name for name in words if boxes.get(name) is None]
    for name in words:
        await boxes.close(name)
    if missing:
        raise Refused(ENOBOX)


async def _delete(boxes: ScopedMailboxes, words: list[str]) -> None:
    box, numbers = _box(boxes, words[0]), _numbers(words[1:])
    async with _found(box, numbers):
        await box.delete(numbers)


async def _flag(boxes: ScopedMailboxes, words: list[str]) -> None:
    """Take ``mbox flags n...`` and, as 9front's code has it, ``mbox n flags ...``."""
    box = _box(boxes, words[0])
    rest = words[1:]
    if _is_number(rest[0]):
        if len(rest) % 2:
            raise Refused(EFLAGS)
        pairs = [(rest[i], rest[i + 1]) for i in range(0, len(rest), 2)]
    else:
        if len(rest) < 2:
            raise Refused(EARGS)
        pairs = [(number, rest[0]) for number in rest[1:]]
    changes: list[tuple[int, Flag, Flag]] = []
    for number, letters in pairs:
        if _is_number(letters):
            raise Refused(EFLAGS)
        add, drop = flags.parse(letters)
        changes.append((_numbers([number])[0], add, drop))
    async with _found(box, [number for number, _, _ in changes]):
        await box.set_flags(changes)


async def _expunge(boxes: ScopedMailboxes, words: list[str]) -> None:
    box, numbers = _box(boxes, words[0]), _numbers(words[1:])
    async with _found(box, numbers):
        await box.expunge(numbers)


async def _move(boxes: ScopedMailboxes, words: list[str]) -> None:
    box, numbers = _box(boxes, words[0]), _numbers(words[1:-1])
    await transfer.move(boxes, box, numbers, words[-1])


async def _copy(boxes: ScopedMailboxes, words: list[str]) -> None:
    box, numbers = _box(boxes, words[0]), _numbers(words[1:-1])
    await transfer.copy(boxes, box, numbers, words[-1])


async def _remove(boxes: ScopedMailboxes, words: list[str]) -> None:
    options, paths = _options(words, "rt")
    if not paths:
        raise Refused(EARGS)
    failed: MailfsError | OSError | None = None
    for path in paths:
        try:
            await boxes.remove(
                boxes.expand(path), recurse="r" in options, truncate="t" in options
            )
        except (MailfsError, OSError) as e:
            failed = failed or e
    if failed is not None:
        raise failed


async def _rename(boxes: ScopedMailboxes, words: list[str]) -> None:
    options, paths = _options(words, "t")
    if len(paths) != 2:
        raise Refused(EARGS)
    old, new = (boxes.expand(path) for path in paths)
    await boxes.rename(old, new, keep="t" in options)


VERBS: dict[str, Verb] = {
    "open": Verb(_open, 1, 2),
    "create": Verb(_create, 1, 2),
    "close": Verb(_close, 0),
    "delete": Verb(_delete, 2),
    "flag": Verb(_flag, 2),
    "expunge": Verb(_expunge, 2),
    "move": Verb(_move, 3),
    "copy": Verb(_copy, 3),
    "remove": Verb(_remove, 1),
    "rename": Verb(_rename, 2, 3),
}


async def command(boxes: ScopedMailboxes, line: str) -> None:
    """Do one command.  Raises Refused, MailfsError or OSError if it cannot be done."""
    words = tokenize(line)
    verb = VERBS.get(words[0]) if words else None
    if verb is None:
        raise Refused(ECTL)
    count = len(words) - 1
    if count < verb.least or (verb.most is not None and count > verb.most):
        raise Refused(EARGS)
    await verb.do(boxes, words[1:])


def _box(boxes: ScopedMailboxes, name: str) -> ScopedMailbox:
    box = boxes.get(name)
    if box is None:
        raise Refused(ENOBOX)
    return box


@asynccontextmanager
async def _found(box: ScopedMailbox, numbers: Sequence[int]) -> AsyncIterator[None]:
    """Refuse numbers that no message has, after the block has done the others."""
    await box.awake()
    missing = box.missing(numbers)
    yield
    if missing:
        raise Refused(ENOMSG)


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdecimal()


def _numbers(words: list[str]) -> list[int]:
    """Read message numbers; plan9port's clients write them as ``12/``."""
    numbers = [word.removesuffix("/") for word in words]
    if not all(_is_number(number) for number in numbers):
        raise Refused(EARGS)
    return [int(number[:18]) for number in numbers]


def _options(words: list[str], known: str) -> tuple[str, list[str]]:
    """Split leading options from operands, as rc programs take them."""
    options = ""
    for i, word in enumerate(words):
        if word == "--":
            return options, words[i + 1 :]
        if not word.startswith("-") or word == "-":
            return options, words[i:]
        if set(word[1:]) - set(known):
            raise Refused(EARGS)
        options += word[1:]
    return options, []
