"""What of a message can be sought: its people, subject, file names and texts."""

from dataclasses import dataclass
from functools import cached_property

from mailfs.msg import charset, coding, header, html
from mailfs.msg.envelope import hint, identifier, references
from mailfs.msg.header import Header
from mailfs.msg.part import Part
from mailfs.msg.window import Source
from mailfs.msg.word import words
from mailfs.query import fulltext, tokens
from mailfs.query.match import Words

MAX_TEXT = 1 << 20  # octets of text of one message, encoded; a book has as many
MAX_PARTS = 500  # parts of one message that are looked at
MAX_INSET = 8 << 20  # octets of an encoded message that are decoded for its text
MAX_HEAD = 256 << 10  # octets of a header

_PEOPLE = {"from": b"from", "to": b"to", "cc": b"cc", "bcc": b"bcc"}


@dataclass(frozen=True)
class Document:
    """The texts of a message by field, and what else is asked of it.

    messageid and root, that of the thread's first message as far as the header tells,
    are without brackets; listid is folded.
    """

    texts: dict[str, str]
    attached: bool
    messageid: str
    root: str
    listid: str

    @cached_property
    def words(self) -> dict[str, Words]:
        """The words of each field."""
        return {name: Words(text) for name, text in self.texts.items()}


def document(source: Source, tree: Part) -> Document:
    """Read a message; tree is its parts, with offsets into source."""
    head = header.scan(source[tree.start : min(tree.body, tree.start + MAX_HEAD)])
    said = hint(head)
    texts = {"subject": _said(head, b"subject", said)}
    for name, field in _PEOPLE.items():
        texts[name] = _said(head, field, said)
    reader = _Reader()
    reader.read(source, tree)
    texts["file"] = "\n".join(reader.files)
    texts["body"] = "\n".join(reader.texts)
    ident = identifier(next(iter(head.folded(b"message-id")), None))
    before = references(head.folded(b"references"))
    answered = identifier(next(iter(head.folded(b"in-reply-to")), None))
    root = before[0] if before else answered or ident
    listid = tokens.fold(_said(head, b"list-id", said))
    return Document(texts, reader.attached, ident, root, listid)


def _said(head: Header, name: bytes, said: str | None) -> str:
    """Return the decoded bodies of the fields of a name."""
    return "\n".join(words(body, said) for body in head.folded(name))


class _Reader:
    """Reads the parts of a message, up to a bound for them all."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.files: list[str] = []
        self.attached = False
        self._left = MAX_TEXT
        self._parts = MAX_PARTS

    def read(self, source: Source, tree: Part) -> None:
        """Read a message and all that is in it."""
        rest: list[tuple[Source, Part, bool]] = [(source, tree, True)]
        while rest and self._parts > 0:
            source, part, top = rest.pop()
            self._parts -= 1
            if not top:
                self._placed(part)
                if part.message:
                    self._head(source, part)
            if part.inset:
                if part.end - part.body > MAX_INSET:
                    continue
                encoded = source[part.body : part.end]
                source = coding.decode(encoded, part.encoding)
            below = [(source, one, False) for one in part.parts]
            rest += reversed(below)
            if not below and part.type.startswith("text/"):
                self._text(source, part)

    def _placed(self, part: Part) -> None:
        if part.filename:
            self.files.append(part.filename)
        shown = part.disposition == "inline" and part.type.startswith("image/")
        if part.disposition == "file" or (part.filename and not shown):
            self.attached = True

    def _head(self, source: Source, part: Part) -> None:
        """Take what the header of a message inside says of itself."""
        end = min(part.body, part.start + MAX_HEAD, part.start + max(self._left, 0))
        head = header.scan(source[part.start : end])
        self._left -= end - part.start
        said = hint(head)
        for name in (b"subject", *_PEOPLE.values()):
            self.texts.append(_said(head, name, said))

    def _text(self, source: Source, part: Part) -> None:
        end = min(part.end, part.body + max(self._left, 0))
        if end <= part.body:
            return
        self._left -= end - part.body
        octets = coding.decode(source[part.body : end], part.encoding)
        text = charset.decode(octets, part.charset)
        if part.type == "text/html":
            text = html.text(text)
        self.texts.append(text)


def marked(doc: Document) -> str:
    """Return the words of a document as the full text takes them."""
    return fulltext.marked({n: tokens.words(text) for n, text in doc.texts.items()})
