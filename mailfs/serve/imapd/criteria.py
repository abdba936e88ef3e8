"""The tree of a SEARCH; search-key of RFC 9051 section 9, RFC 5032, RFC 7162.

Parsed without recursion: nesting is bounded, and so is the number of keys.
"""

from dataclasses import dataclass

from mailfs.imap.grammar import flags
from mailfs.mailbox.kinds import Flag
from mailfs.serve.imapd.cursor import BadCommand, Cursor
from mailfs.serve.imapd.sets import SequenceSet

MAX_DEPTH = 100  # of NOT, OR and parentheses
MAX_KEYS = 5000  # of one SEARCH
_SET_BEGINS = frozenset(b"0123456789*$")


@dataclass(frozen=True, slots=True)
class All:
    """Every message."""


@dataclass(frozen=True, slots=True)
class Not:
    """The messages that a key does not match."""

    key: "Key"


@dataclass(frozen=True, slots=True)
class Or:
    """The messages that either key matches."""

    left: "Key"
    right: "Key"


@dataclass(frozen=True, slots=True)
class And:
    """The messages that all keys match."""

    keys: tuple["Key", ...]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Messages by sequence number, or by uid."""

    set: SequenceSet
    uid: bool


@dataclass(frozen=True, slots=True)
class HasFlag:
    """Messages with a flag."""

    flag: Flag
    there: bool = True


@dataclass(frozen=True, slots=True)
class HasKeyword:
    """Messages with a keyword, in lower case."""

    word: str
    there: bool = True


@dataclass(frozen=True, slots=True)
class Recent:
    """Messages that this session was the first to be told of."""


@dataclass(frozen=True, slots=True)
class Size:
    """Messages larger, or smaller, than so many octets."""

    octets: int
    larger: bool


@dataclass(frozen=True, slots=True)
class Arrived:
    """Messages by the day they arrived, or with sent by that of their Date:.

    Days are counted from the epoch, zones disregarded; first <= day < last.
    """

    first: int
    last: int
    sent: bool = False


@dataclass(frozen=True, slots=True)
class Age:
    """Messages that arrived within so many seconds, or before that; RFC 5032."""

    seconds: int
    younger: bool


@dataclass(frozen=True, slots=True)
class Touched:
    """Messages with at least that mod-sequence; RFC 7162 section 3.1.5."""

    modseq: int


@dataclass(frozen=True, slots=True)
class Field:
    """Messages with a text in a header field; the name in lower case."""

    name: bytes
    text: str  # casefolded; empty: the field is there


@dataclass(frozen=True, slots=True)
class Body:
    """Messages with a text in a body, or with header anywhere."""

    text: str  # casefolded
    header: bool


Key = (
    All
    | Not
    | Or
    | And
    | Numbers
    | HasFlag
    | HasKeyword
    | Recent
    | Size
    | Arrived
    | Age
    | Touched
    | Field
    | Body
)

_FLAGS = {
    "ANSWERED": Flag.ANSWERED,
    "DELETED": Flag.DELETED,
    "DRAFT": Flag.DRAFT,
    "FLAGGED": Flag.FLAGGED,
    "SEEN": Flag.SEEN,
}
_FIELDS = ("BCC", "CC", "FROM", "SUBJECT", "TO")
_EVER = 1 << 40  # days


def is_set(octet: bytes) -> bool:
    """Whether a set of messages may begin with an octet."""
    return bool(octet) and octet[0] in _SET_BEGINS


class Parser:
    """Reads keys; charset is what the client's strings are in."""

    def __init__(self, cursor: Cursor, charset: str = "utf-8") -> None:
        self._cursor = cursor
        self._charset = charset
        self._count = 0

    def keys(self) -> Key:
        """Read keys to the end of the command.  Raises BadCommand."""
        cursor = self._cursor
        # Open groups: their keys so far, and what NOT and OR still wait for.
        groups: list[list[Key]] = [[]]
        waiting: list[list[tuple[str, list[Key]]]] = [[]]
        while True:
            if len(groups) + sum(map(len, waiting)) > MAX_DEPTH:
                raise BadCommand("search nested too deep")
            if cursor.take(b"("):
                groups.append([])
                waiting.append([])
                continue
            key = self._key(waiting[-1])
            if key is None:
                cursor.space()
                continue
            self._put(groups[-1], waiting[-1], key)
            while cursor.take(b")"):
                if len(groups) == 1 or waiting[-1]:
                    raise BadCommand("unpaired parenthesis")
                waiting.pop()
                inner = groups.pop()
                self._put(groups[-1], waiting[-1], _joined(inner))
            if cursor.ended:
                break
            cursor.space()
        if len(groups) > 1 or waiting[0]:
            raise BadCommand("search ends too early")
        return _joined(groups[0])

    @staticmethod
    def _put(group: list[Key], waiting: list[tuple[str, list[Key]]], key: Key) -> None:
        """Give a key to the NOT or OR that waits for it, else to its group."""
        while waiting:
            what, have = waiting[-1]
            if what == "NOT":
                key = Not(key)
            elif not have:
                have.append(key)
                return
            else:
                key = Or(have[0], key)
            waiting.pop()
        group.append(key)

    def _key(self, waiting: list[tuple[str, list[Key]]]) -> Key | None:
        """Read a key; None for one that waits for others."""
        cursor = self._cursor
        self._count += 1
        if self._count > MAX_KEYS:
            raise BadCommand("search too long")
        if is_set(cursor.peek()):
            return Numbers(cursor.set(), uid=False)
        word = cursor.word()
        if word in ("NOT", "OR"):
            waiting.append((word, []))
            return None
        return self._simple(word) or self._with_argument(word)

    def _simple(self, word: str) -> Key | None:
        there = not word.startswith("UN")
        flag = _FLAGS.get(word.removeprefix("UN"))
        if flag is not None:
            return HasFlag(flag, there)
        match word:
            case "ALL":
                return All()
            case "NEW":
                return And((Recent(), HasFlag(Flag.SEEN, there=False)))
            case "OLD":
                return Not(Recent())
            case "RECENT":
                return Recent()
        return None

    def _with_argument(self, word: str) -> Key:
        cursor = self._cursor
        cursor.space()
        if word in _FIELDS:
            return Field(word.lower().encode(), self._text())
        match word:
            case "KEYWORD" | "UNKEYWORD":
                return self._keyword(there=word == "KEYWORD")
            case "UID":
                return Numbers(cursor.set(), uid=True)
            case "LARGER" | "SMALLER":
                return Size(cursor.number(), word == "LARGER")
            case "OLDER" | "YOUNGER":
                return Age(cursor.number((1 << 32) - 1), word == "YOUNGER")
            case "BODY" | "TEXT":
                return Body(self._text(), word == "TEXT")
            case "HEADER":
                name = cursor.astring().lower()
                cursor.space()
                return Field(name, self._text())
            case "MODSEQ":
                if cursor.peek() == b'"':  # the flag it is about, and whose
                    cursor.string()
                    cursor.space()
                    cursor.word()
                    cursor.space()
                return Touched(cursor.number())
        return self._day(word)

    def _keyword(self, *, there: bool) -> Key:
        word = self._cursor.flag()
        if not flags.keyword(word):
            raise BadCommand("no keyword")
        return HasKeyword(word.lower(), there)

    def _day(self, word: str) -> Key:
        sent = word.startswith("SENT")
        match word.removeprefix("SENT"):
            case "BEFORE":
                return Arrived(-_EVER, self._cursor.day(), sent)
            case "SINCE":
                return Arrived(self._cursor.day(), _EVER, sent)
            case "ON":
                day = self._cursor.day()
                return Arrived(day, day + 1, sent)
        raise BadCommand(f"unknown search key {word[:40]}")

    def _text(self) -> str:
        raw = self._cursor.astring()
        try:
            return raw.decode(self._charset).casefold()
        except UnicodeDecodeError as e:
            raise BadCommand("text is not in its charset") from e


def _joined(keys: list[Key]) -> Key:
    return keys[0] if len(keys) == 1 else And(tuple(keys))
