"""The folders of an account: LIST and STATUS, with what they have learnt since.

RFC 9051 sections 6.3.9 and 6.3.11, RFC 5258 (LIST-EXTENDED), RFC 5819 (LIST-STATUS),
RFC 6154 (SPECIAL-USE).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from mailfs.imap.account import INBOX
from mailfs.imap.changes import FolderStatus
from mailfs.imap.fetched import MAX_MODSEQ
from mailfs.imap.grammar.names import BadMailboxName, decode, encode
from mailfs.imap.grammar.ranges import MAX_UID
from mailfs.imap.grammar.tokens import Malformed, Value, number, values

MAX_FOLDERS = 20_000  # of one account
_LIST = re.compile(
    rb'(?i)\* (?:LIST|XLIST|LSUB)[ \t]+(\([^()]*\))[ \t]+("(?:[^"\\]|\\.)*"|NIL)[ \t]'
    rb'[ \t]*([^"{ \t].*)',
    re.DOTALL,
)
# What RFC 5258 and 9051 let follow a name.
_EXTENDED = re.compile(rb"(?is) \((?:\"?[A-Z.\-]+\"? \(.*\) ?)+\)\Z")

SPECIAL = ("all", "archive", "drafts", "flagged", "important", "junk", "sent", "trash")
# Where a server tells no special use: what programs call such folders in English.
_NAMES: dict[str, tuple[str, ...]] = {
    "trash": ("trash", "deleted items", "deleted messages", "bin", "deleted"),
    "sent": ("sent", "sent items", "sent messages", "sent mail"),
    "drafts": ("drafts", "draft"),
    "junk": ("junk", "spam", "junk e-mail", "junk email", "bulk mail", "bulk"),
    "archive": ("archive", "archives"),
}
_OLD = {"allmail": "all", "spam": "junk", "starred": "flagged"}  # XLIST's words


@dataclass(frozen=True, slots=True)
class FolderInfo:
    """One folder.

    raw         its name on the wire
    delimiter   what stands between the levels of names; empty in a flat space
    attributes  lower case, without the backslash: ``noselect``, ``haschildren``
    special     what it is for, one of SPECIAL, or empty
    status      what LIST-STATUS told, if it did
    """

    name: str
    raw: bytes
    delimiter: str = ""
    attributes: frozenset[str] = frozenset()
    special: str = ""
    status: FolderStatus | None = field(default=None)

    @property
    def selectable(self) -> bool:
        """Whether it can hold messages."""
        return not self.attributes & {"noselect", "nonexistent"}


def command(capabilities: frozenset[str]) -> bytes:
    """Return the LIST that tells most at once."""
    text = b'LIST "" "*"'
    wanted = []
    if "LIST-EXTENDED" in capabilities or "IMAP4REV2" in capabilities:
        if "SPECIAL-USE" in capabilities:
            wanted.append(b"SPECIAL-USE")
        if "LIST-STATUS" in capabilities:
            wanted.append(b"STATUS " + status_items(capabilities))
    if wanted:
        text += b" RETURN (" + b" ".join(wanted) + b")"
    return text


def status_items(capabilities: frozenset[str]) -> bytes:
    """List the items to ask STATUS for."""
    items = b"MESSAGES UNSEEN UIDNEXT UIDVALIDITY"
    if "CONDSTORE" in capabilities:
        items += b" HIGHESTMODSEQ"
    return b"(" + items + b")"


def read_list(raw: bytes, *, utf8: bool) -> FolderInfo | None:
    """Read ``* LIST (...) "/" name``; None if it makes no sense."""
    m = _LIST.fullmatch(raw)  # an atom, which some servers let contain blanks
    tail = b"" if m is None else m[3]
    if m is not None:
        raw = raw[: m.start(3)] + b"NIL"
    try:
        found = values(raw, raw.index(b" ", 2) + 1)
    except (Malformed, ValueError):
        return None
    if tail:
        found[2:] = [_EXTENDED.sub(b"", tail)]
    if len(found) < 3 or not isinstance(found[0], list):
        return None
    delimiter, name = found[1], found[2]
    if isinstance(name, list) or isinstance(delimiter, list):
        return None
    octets = b"NIL" if name is None else name  # a folder may be called that, unquoted
    words = frozenset(
        item.decode("ascii", "replace").lower().removeprefix("\\")
        for item in found[0]
        if isinstance(item, bytes)
    )
    text = decode(octets, utf8=utf8)
    if not text:
        return None
    if text.upper() == INBOX:
        text = INBOX
    uses = {_OLD.get(word, word) for word in words}
    special = next((use for use in SPECIAL if use in uses), "")
    between = (delimiter or b"").decode("ascii", "replace")
    return FolderInfo(text, octets, between, words, special)


def read_status(raw: bytes, *, utf8: bool) -> tuple[str, FolderStatus] | None:
    """Read ``* STATUS name (...)``; None if it makes no sense.

    The list may be empty, or hold what we never heard of.
    """
    try:
        found = values(raw, raw.index(b" ", 2) + 1)
    except (Malformed, ValueError):
        return None
    if len(found) < 2 or not isinstance(found[1], list) or isinstance(found[0], list):
        return None
    name = decode(found[0] or b"NIL", utf8=utf8)
    items = found[1]
    pairs = dict(zip(map(_upper, items[::2]), items[1::2], strict=False))
    told = FolderStatus(
        _number(pairs.get(b"MESSAGES"), MAX_UID),
        _number(pairs.get(b"UNSEEN"), MAX_UID),
        _number(pairs.get(b"UIDNEXT"), MAX_UID),
        _number(pairs.get(b"UIDVALIDITY"), MAX_UID),
        _number(pairs.get(b"HIGHESTMODSEQ"), MAX_MODSEQ),
    )
    return INBOX if name.upper() == INBOX else name, told


def _upper(value: Value) -> bytes:
    return value.upper() if isinstance(value, bytes) else b""


def _number(value: Value, most: int) -> int | None:
    try:
        return number(value, most) if isinstance(value, bytes) else None
    except Malformed:
        return None


def listing(raws: Iterable[bytes], *, utf8: bool) -> list[FolderInfo]:
    """Put LIST and STATUS responses together, each folder once, in their order."""
    found: dict[str, FolderInfo] = {}
    for raw in raws:
        if raw[2:6].upper() == b"LIST":
            info = read_list(raw, utf8=utf8)
            if info is not None and len(found) < MAX_FOLDERS:
                _enter(found, info, utf8=utf8)
        else:
            told = read_status(raw, utf8=utf8)
            if told is not None and told[0] in found:
                found[told[0]] = replace(found[told[0]], status=told[1])
    return list(found.values())


def _enter(found: dict[str, FolderInfo], info: FolderInfo, *, utf8: bool) -> None:
    """Add a folder under a name of its own.

    Of two whose octets mean the same name, the one that the name leads to has it.
    """
    other = found.get(info.name)
    if other is None:
        found[info.name] = info
    elif other.raw != info.raw and info.name != INBOX:
        if _leads(info, utf8=utf8):
            found[info.name], info = info, other
        n = 2
        while f"{info.name} ({n})" in found:
            n += 1
        named = replace(info, name=f"{info.name} ({n})")
        found[named.name] = named


def _leads(info: FolderInfo, *, utf8: bool) -> bool:
    """Whether a folder's name leads back to its octets."""
    try:
        return encode(info.name, utf8=utf8) == info.raw
    except BadMailboxName:
        return False


def special(folders: Sequence[FolderInfo], use: str) -> FolderInfo | None:
    """Return the folder for a use (see SPECIAL), by the server's word or its name."""
    for info in folders:
        if info.special == use and info.selectable:
            return info
    names = _NAMES.get(use, ())
    for info in folders:
        last = info.name.rpartition(info.delimiter)[2] if info.delimiter else info.name
        if last.lower() in names and info.selectable and not info.special:
            return info
    return None


def odd(folders: Iterable[FolderInfo], *, utf8: bool) -> dict[str, bytes]:
    """Return the raw names of those folders that their name would not lead back to."""
    return {
        info.name: info.raw
        for info in folders
        if info.name != INBOX and not _leads(info, utf8=utf8)
    }
