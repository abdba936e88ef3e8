"""SORT and THREAD: orders of messages, threads of them; RFC 5256, RFC 5957.

Threads are found and written without recursion: somebody may send a chain of a
hundred thousand messages, or one that refers to itself.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from mailfs.msg.header import Header
from mailfs.msg.word import unfold, words
from mailfs.serve.description.address import addresses
from mailfs.serve.imapd.search import sent

MAX_STEPS = 10_000_000  # from parent to parent, of one THREAD
MAX_REFERENCES = 1000  # of one message that are looked at, the newest

_BLOB = r"\[[^\[\]]*\]"
_LEADER = re.compile(
    rf"(?:{_BLOB}\s*)*(?:re|fwd?)\s*(?:{_BLOB})?:\s*|\s+", re.IGNORECASE
)
_BLOBS = re.compile(rf"{_BLOB}\s*(?=\S)")
_TRAILER = re.compile(r"(?:\(fwd\)|\s)+\Z", re.IGNORECASE)
_FORWARD = re.compile(r"\[fwd:(.*)\]\Z", re.IGNORECASE | re.DOTALL)
_ID = re.compile(rb"<([^<>\s]+)>")


def base_subject(text: str) -> tuple[str, bool]:
    """Return a subject without marks of replies, and whether it had any.

    text is decoded; RFC 5256 section 2.1.
    """
    text = " ".join(text.split())
    reply = False
    while True:
        shorter = _TRAILER.sub("", text)
        reply = reply or shorter != text.rstrip()
        text = shorter
        while True:
            m = _LEADER.match(text)
            if m is not None:
                reply = reply or bool(m[0].strip())
                text = text[m.end() :]
                continue
            m = _BLOBS.match(text)
            if m is None:
                break
            text = text[m.end() :]
        m = _FORWARD.match(text)
        if m is None:
            return text, reply
        text, reply = m[1], True


@dataclass(frozen=True, slots=True)
class Facts:
    """What orders and threads need of a message."""

    uid: int
    arrived: int  # seconds since the epoch
    size: int = 0
    sent: int = 0  # of Date:, else of arrival
    subject: str = ""  # base subject, in capitals: i;unicode-casemap, RFC 5051
    reply: bool = False
    people: tuple[tuple[str, str], ...] = ()  # (field, what it sorts by)
    id: bytes = b""
    references: tuple[bytes, ...] = ()


_PEOPLE = {
    "FROM": (b"from", False),
    "TO": (b"to", False),
    "CC": (b"cc", False),
    "DISPLAYFROM": (b"from", True),
    "DISPLAYTO": (b"to", True),
}


def facts(
    uid: int, arrived: int, header: Header, fields: Iterable[str] = (), size: int = 0
) -> Facts:
    """Read what a header says; fields are the SORT keys about people."""
    when = sent(header)
    raw = header.folded(b"subject")
    subject, reply = base_subject(words(raw[0])) if raw else ("", False)
    people = tuple(
        (name, _person(header, *_PEOPLE[name])) for name in fields if name in _PEOPLE
    )
    ids = _ID.findall(unfold((header.folded(b"message-id") or [b""])[0]))
    return Facts(
        uid,
        arrived,
        size,
        arrived if when is None else when.epoch,
        subject.upper(),
        reply,
        people,
        ids[0] if ids else b"",
        _references(header),
    )


def _references(header: Header) -> tuple[bytes, ...]:
    """Return the identifiers of References:, else the first of In-Reply-To:."""
    found = [i for v in header.folded(b"references") for i in _ID.findall(unfold(v))]
    if not found:
        values = header.folded(b"in-reply-to")
        found = [i for v in values for i in _ID.findall(unfold(v))][:1]
    return tuple(found[-MAX_REFERENCES:])


def _person(header: Header, name: bytes, display: bool) -> str:
    for value in header.folded(name)[:1]:
        for one in addresses(value):
            if display and one.name:
                return words(one.name).upper()
            text = one.mailbox or b""
            if display and one.host:
                text += b"@" + one.host
            return text.decode("utf-8", "replace").upper()
    return ""


def ordered(rows: list[Facts], keys: Sequence[tuple[str, bool]]) -> list[int]:
    """Return uids in the order of SORT keys (name, whether reversed)."""
    rows = sorted(rows, key=lambda row: row.uid)
    for name, reverse in reversed(keys):
        rows.sort(key=_key(name), reverse=reverse)
    return [row.uid for row in rows]


def _key(name: str) -> Callable[[Facts], int | str]:
    match name:
        case "ARRIVAL":
            return lambda row: row.arrived
        case "DATE":
            return lambda row: row.sent
        case "SIZE":
            return lambda row: row.size
        case "SUBJECT":
            return lambda row: row.subject
    return lambda row: dict(row.people).get(name, "")


@dataclass(slots=True, eq=False)
class Node:
    """A place in a thread; without facts, a message that is not there."""

    facts: Facts | None = None
    parent: "Node | None" = None
    children: "list[Node]" = field(default_factory=list)

    @property
    def when(self) -> tuple[int, int]:
        """What siblings are sorted by: when sent, then number."""
        one = self.facts
        if one is None and self.children:
            one = self.children[0].facts
        return (one.sent, one.uid) if one is not None else (0, 0)


def by_subject(rows: list[Facts]) -> list[Node]:
    """Return threads of messages with one base subject: ORDEREDSUBJECT."""
    threads: dict[str, Node] = {}
    for row in sorted(rows, key=lambda row: (row.sent, row.uid)):
        first = threads.get(row.subject)
        if first is None:
            threads[row.subject] = Node(row)
        else:
            first.children.append(Node(row))
    return sorted(threads.values(), key=lambda node: node.when)


def by_references(rows: list[Facts]) -> list[Node]:
    """Return threads by References:, then by subject: REFERENCES."""
    roots = _pruned(_linked(rows))
    for node in roots:
        node.children.sort(key=lambda child: child.when)
    roots.sort(key=lambda node: node.when)
    roots = _joined(roots)
    _sort(roots)
    return roots


def _linked(rows: list[Facts]) -> list[Node]:
    """Link messages to those they refer to; return those without a parent."""
    table: dict[bytes, Node] = {}
    alone: list[Node] = []  # a message whose identifier another has
    links = _Links()
    for row in sorted(rows, key=lambda row: row.uid):
        parent: Node | None = None
        for name in row.references:
            node = table.setdefault(name, Node())
            if parent is not None and node.parent is None:
                links.adopt(parent, node)
            parent = node
        node = table.setdefault(row.id, Node()) if row.id else Node()
        if node.facts is not None:
            node = Node()
        node.facts = row
        if not row.id or table.get(row.id) is not node:
            alone.append(node)
        if node.parent is not parent:
            node.parent = None  # it stays in the list of the one before: see _pruned
            if parent is not None:
                links.adopt(parent, node)
    return [n for n in [*table.values(), *alone] if n.parent is None]


class _Links:
    """Makes nodes children of others, but for circles; in bounded steps."""

    def __init__(self) -> None:
        self._left = MAX_STEPS

    def adopt(self, parent: Node, node: Node) -> None:
        """Make a node a child, unless that would close a circle."""
        above: Node | None = parent if node.children else None
        if parent is node:
            return
        while above is not None:
            self._left -= 1
            if above is node or self._left < 0:
                return
            above = above.parent
        node.parent = parent
        parent.children.append(node)


def _pruned(roots: list[Node]) -> list[Node]:
    """Remove places without messages; their children move up."""
    order: list[Node] = []
    rest = list(roots)
    while rest:
        node = rest.pop()
        order.append(node)
        mine = (child for child in node.children if child.parent is node)
        node.children = list(dict.fromkeys(mine))
        rest += node.children
    for node in reversed(order):  # children before parents
        kept: list[Node] = []
        for child in node.children:
            if child.facts is None:
                kept += child.children
            else:
                kept.append(child)
        node.children = kept
    found: list[Node] = []
    for node in roots:
        if node.facts is None and len(node.children) <= 1:
            found += node.children
        else:
            found.append(node)
    return found


def _joined(roots: list[Node]) -> list[Node]:
    """Put threads of one subject together; RFC 5256 section 3, step 5."""
    table: dict[str, Node] = {}
    for node in roots:
        one = _first(node)
        if one is None or not one.subject:
            continue
        known = table.get(one.subject)
        old = None if known is None else _first(known)
        if (
            known is None
            or old is None
            or (node.facts is None and known.facts is not None)
            or (known.facts is not None and old.reply and not one.reply)
        ):
            table[one.subject] = node
    found: list[Node] = []
    for node in roots:
        one = _first(node)
        known = table.get(one.subject) if one is not None and one.subject else None
        if known is None or known is node:
            found.append(node)
        else:
            _merge(known, node, found)
    return found


def _first(node: Node) -> Facts | None:
    if node.facts is not None:
        return node.facts
    return node.children[0].facts if node.children else None


def _merge(known: Node, node: Node, found: list[Node]) -> None:
    """Put a thread into another of the same subject."""
    if known.facts is None and node.facts is None:
        known.children += node.children
    elif known.facts is None or _answers(node, known.facts):
        known.children.append(node)
    else:
        both = Node(known.facts, None, known.children)
        known.facts, known.children = None, [both, node]


def _answers(node: Node, one: Facts) -> bool:
    return node.facts is not None and node.facts.reply and not one.reply


def _sort(roots: list[Node]) -> None:
    """Sort siblings on all levels."""
    rest = list(roots)
    order: list[Node] = []
    while rest:
        node = rest.pop()
        order.append(node)
        rest += node.children
    for node in reversed(order):
        node.children.sort(key=lambda child: child.when)
    roots.sort(key=lambda node: node.when)


def written(roots: Iterable[Node], number: Callable[[int], int]) -> Iterator[str]:
    """Give the text of threads, piece by piece; number maps uids."""
    for root in roots:
        rest: list[Node | str] = [")", root, "("]
        while rest:
            one = rest.pop()
            if isinstance(one, str):
                yield one
                continue
            if one.facts is not None:
                yield str(number(one.facts.uid))
            if len(one.children) == 1 and one.facts is not None:
                rest.append(one.children[0])
                yield " "
            elif one.children:
                if one.facts is not None:
                    yield " "
                for child in reversed(one.children):
                    rest += [")", child, "("]
