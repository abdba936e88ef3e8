"""Which messages match a SEARCH: columns first, then headers, then octets.

Texts are compared casefolded and decoded, by ``in``: linear, whatever they hold.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from mailfs.mailbox.folder import MailboxState
from mailfs.mailbox.message import Message
from mailfs.mailbox.octets import Memory
from mailfs.mailbox.uid import Gone, text_of
from mailfs.mailbox.view import View
from mailfs.msg import charset, coding, date
from mailfs.msg.header import Header
from mailfs.msg.part import Part
from mailfs.msg.word import words
from mailfs.serve.description.address import addresses
from mailfs.serve.description.structure import Tree
from mailfs.serve.imapd import criteria as c
from mailfs.serve.imapd.criteria import Key
from mailfs.serve.imapd.selected import BadNumber, Selected

MAX_TEXT = 32 << 20  # octets of one part that are searched
DAY = 86400  # seconds


@dataclass(slots=True)
class Subject:
    """One message that is looked at; what is read of it is read once."""

    state: MailboxState
    view: View
    uid: int
    row: int
    _message: Message | None = None
    _header: Header | None = None
    _tree: Tree | None = None
    _texts: dict[bool, list[str]] = field(default_factory=dict)

    @property
    def message(self) -> Message:
        """The stored message.  Raises Gone."""
        if self._message is None:
            self._message = self.state.message(self.uid, self.view)
            if self._message is None:
                raise Gone
        return self._message

    @property
    def tree(self) -> Tree:
        """The message as the network has it, and its parts."""
        if self._tree is None:
            self._tree = Tree.of(text_of(self.state, self.view, self.uid))
        return self._tree

    @property
    def header(self) -> Header:
        """Its header."""
        if self._header is None:
            self._header = self.tree.header(self.tree.top)
        return self._header

    def texts(self, *, header: bool) -> list[str]:
        """Return the texts of its parts, casefolded; with header those too."""
        found = self._texts.get(header)
        if found is None:
            found = list(_texts(self.tree, header=header))
            self._texts[header] = found
        return found


Test = Callable[[Subject], bool]


def matching(
    state: MailboxState, chosen: Selected, key: Key, uids: Iterable[int], now: float
) -> list[int]:
    """Return the uids, of some messages, that a key matches.  Runs on the worker."""
    test = _Compiler(state, chosen, now).test(key)
    found = []
    for uid in uids:
        view = chosen.view_of(uid)
        row = chosen.row(uid)
        if row is None:
            continue
        try:
            if test(Subject(state, view, uid, row)):
                found.append(uid)
        except Gone:
            continue
    return found


class _Compiler:
    """Makes a test of a key.  Keys are nested no deeper than criteria.MAX_DEPTH."""

    def __init__(self, state: MailboxState, chosen: Selected, now: float) -> None:
        self._state = state
        self._chosen = chosen
        self._now = now
        self._sizes: dict[int, int] | None = None

    def test(self, key: Key) -> Test:
        match key:
            case c.All():
                return lambda s: True
            case c.Not(inner):
                negated = self.test(inner)
                return lambda s: not negated(s)
            case c.Or(left, right):
                a, b = sorted((left, right), key=_cost)
                one, other = self.test(a), self.test(b)
                return lambda s: one(s) or other(s)
            case c.And(keys):
                tests = [self.test(one) for one in sorted(keys, key=_cost)]
                return lambda s: all(test(s) for test in tests)
            case c.Numbers(numbers, uid):
                try:
                    wanted = set(self._chosen.pick(numbers, uid=uid))
                except BadNumber:
                    wanted = set()
                return lambda s: s.uid in wanted
        return self._column(key)

    def _column(self, key: Key) -> Test:
        chosen = self._chosen
        match key:
            case c.HasFlag(flag, there):
                bit = flag.value  # an operation on IntFlag takes ten times as long
                return lambda s: bool(s.view.listing.flags[s.row] & bit) is there
            case c.HasKeyword(word, there):
                return lambda s: _has(s.view.keywords.get(s.uid, ()), word) is there
            case c.Recent():
                return lambda s: s.uid in chosen.recent
            case c.Size(octets, larger):
                if larger:
                    return lambda s: self._size(s) > octets
                return lambda s: self._size(s) < octets
            case c.Age(seconds, younger):
                edge = self._now - seconds
                return lambda s: (s.view.listing.dates[s.row] > edge) is younger
            case c.Touched(modseq):
                return lambda s: chosen.modseq(s.uid) >= modseq
            case c.Arrived(first, last, sent):
                if sent:
                    return lambda s: _sent(s, first, last)
                return lambda s: first <= s.view.listing.dates[s.row] // DAY < last
        return self._text(key)

    @staticmethod
    def _text(key: Key) -> Test:
        match key:
            case c.Field(name, text):
                return lambda s: _in_field(s, name, text)
            case c.Body(text, header):
                return lambda s: any(text in one for one in s.texts(header=header))
        raise TypeError(key)

    def _size(self, subject: Subject) -> int:
        if self._sizes is None:
            self._sizes = self._state.index.sizes()
        size = self._sizes.get(subject.uid)
        return len(subject.tree.octets) if size is None else size


def _cost(key: Key) -> int:
    """Estimate the octets that a key reads."""
    match key:
        case c.Field() | c.Arrived(sent=True) | c.Size():
            return 1
        case c.Body():
            return 2
        case c.Not(inner):
            return _cost(inner)
        case c.Or(left, right):
            return max(_cost(left), _cost(right))
        case c.And(keys):
            return max(map(_cost, keys))
    return 0


def _has(words: Iterable[str], word: str) -> bool:
    return any(one.lower() == word for one in words)


def sent_day(header: Header, arrived: int) -> int:
    """Return the day a header's Date: names in its own zone; else that of arrival."""
    when = sent(header)
    if when is None:
        return arrived // DAY
    return (when.epoch + when.zone) // DAY


def sent(header: Header) -> date.Date | None:
    """Read the date of a header's Date: field; None if it has none."""
    raw = header.raw(b"date")
    return None if raw is None else date.parse(raw, date.utc)


def _sent(subject: Subject, first: int, last: int) -> bool:
    arrived = subject.view.listing.dates[subject.row]
    return first <= sent_day(subject.header, arrived) < last


def _in_field(subject: Subject, name: bytes, text: str) -> bool:
    values = subject.header.folded(name)
    if not text:
        return bool(values)
    if any(text in words(value).casefold() for value in values):
        return True
    return name in _ADDRESSES and any(text in one for one in _mailboxes(values))


_ADDRESSES = frozenset({b"bcc", b"cc", b"from", b"reply-to", b"sender", b"to"})


def _mailboxes(values: Iterable[bytes]) -> Iterator[str]:
    """Give addresses without the comments and blanks that may be in them."""
    for value in values:
        for one in addresses(value):
            octets = (one.mailbox or b"") + b"@" + (one.host or b"")
            yield octets.decode("utf-8", "replace").casefold()


def _texts(tree: Tree, *, header: bool) -> Iterator[str]:
    """Give the texts of a message, casefolded: headers decoded, bodies too."""
    for part in _walk(tree.top):
        if header and part.start < part.body:
            yield from _header_texts(tree, part)
        if part.inset:
            yield from _inset(tree, part, header=header)
        elif part.type.startswith("multipart/") or part.parts:
            continue
        else:
            yield _body(tree, part).casefold()


def _walk(top: Part) -> Iterator[Part]:
    """Give the parts whose offsets count in the message's own octets."""
    rest = [top]
    while rest:
        part = rest.pop()
        yield part
        if not part.inset:
            rest.extend(reversed(part.parts))


def _header_texts(tree: Tree, part: Part) -> Iterator[str]:
    for line in tree.header(part).lines:
        yield words(line).casefold()


def _inset(tree: Tree, part: Part, *, header: bool) -> Iterator[str]:
    octets = _decoded(tree, part)
    yield from _texts(Tree.of(Memory(octets)), header=header)


def _decoded(tree: Tree, part: Part) -> bytes:
    end = min(tree.end(part), part.body + MAX_TEXT)
    return coding.decode(tree.octets.read(part.body, end), part.encoding)


def _body(tree: Tree, part: Part) -> str:
    octets = _decoded(tree, part)
    if not part.type.startswith(("text/", "message/")):
        return octets.decode("latin-1")
    return charset.decode(octets, part.charset)
