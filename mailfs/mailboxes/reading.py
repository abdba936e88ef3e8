"""A message for reading: its best text, and what is attached."""

from collections.abc import Iterator

from mailfs.mailboxes.entity import MULTIPART, Entity
from mailfs.msg import param
from mailfs.msg.flowed import joined
from mailfs.msg.markdown import markdown

MAX_TEXT = 1 << 20  # octets of one part that are shown
MAX_PARTS = 500  # parts that are shown or named
ENOUGH = 4  # a plain alternative that has fewer words than one in so many is a stub


def readable(item: Entity) -> str:
    """Return the text of a message or part, and a line for each attachment.

    Of alternatives the plain one is taken, unless it is but a stub beside the HTML,
    which becomes Markdown.
    """
    reader = _Reader()
    reader.read(item)
    text = "\n\n".join(one for one in (t.strip("\n") for t in reader.texts) if one)
    notes = list(reader.attached)
    if reader.hidden:
        notes.append(f"[{reader.hidden} invisible elements left out]")
    if notes:
        text += "\n\n" * bool(text) + "\n".join(notes)
    return f"{text}\n" if text else ""


class _Reader:
    """Reads parts in order, up to a bound."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.attached: list[str] = []
        self.hidden = 0
        self._left = MAX_PARTS

    def read(self, item: Entity) -> None:
        """Take what an entity says."""
        self._left -= 1
        if self._left < 0:
            return
        kind = item.tree.type
        if kind == "multipart/alternative":
            self._best(list(item.children()))
        elif item.outline and (kind.startswith(MULTIPART) or item.top):
            for child in item.children():
                self.read(child)
        elif item.outline:
            self._message(item)
        elif item.tree.disposition == "file" or not kind.startswith("text/"):
            self.attached.append(_named(item))
        else:
            text, hidden = _text(item)
            self.texts.append(text)
            self.hidden += hidden

    def _message(self, item: Entity) -> None:
        """Take a message inside, with who wrote it."""
        for child in item.children():
            values = child.envelope
            lines = (("From", values.from_), ("Subject", values.subject))
            said = "\n".join(f"{name}: {value}" for name, value in lines if value)
            self.texts.append(f"--- {item.tree.type}\n{said}")
            self.read(child)

    def _best(self, items: list[Entity]) -> None:
        kinds = {item.tree.type: item for item in items}
        plain, html = kinds.get("text/plain"), kinds.get("text/html")
        if html is None and items and plain is None:
            html = next(
                (one for one in reversed(items) if one.outline), items[-1]
            )  # multipart/related, most often
        if plain is None or html is None:
            best = plain or html
            if best is not None:
                self.read(best)
            return
        short, rich = (len(_text(one)[0].split()) for one in (plain, html))
        self.read(html if short * ENOUGH < rich else plain)


def _text(item: Entity) -> tuple[str, int]:
    """Return a part's text, and how many invisible things were left out of it."""
    octets = item.body()
    text = octets.read(0, MAX_TEXT).decode("utf-8", "replace")
    text = text.replace("\r\n", "\n")
    if item.tree.type == "text/html":
        return markdown(text)
    if item.top and item.tree.type != "text/plain":
        return text, 0
    params = param.media(item.header.raw(b"content-type"))[1]
    if params.get("format", "").lower() == "flowed":
        text = joined(text, delsp=params.get("delsp", "").lower() == "yes")
    return text, 0


def _named(item: Entity) -> str:
    """Return the line that names an attachment."""
    tree = item.tree
    name = tree.filename or tree.description or "without a name"
    return f"[{place(item) or 'message'}: {name}, {tree.type}, {item.size()} octets]"


def place(item: Entity) -> str:
    """Return the path of a part in its message: ``2/1``; empty for the message."""
    return "/".join(reversed(list(map(str, _numbers(item)))))


def _numbers(item: Entity) -> Iterator[int]:
    while item.parent is not None:
        yield item.number
        item = item.parent
