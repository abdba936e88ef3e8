"""HTML as Markdown: what a reader sees of it, with its links."""

import re
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from selectolax.lexbor import LexborNode

from mailfs.msg import html

_SPACE = re.compile(r"[ \t\r\n\f]+")
_FILLER = re.compile("[\u00ad\u200b\u034f\ufeff]+")  # characters that show nothing
_HIDDEN = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d]*[1-9])"
    r"|max-height\s*:\s*0(?![.\d]*[1-9])|mso-hide\s*:\s*all",
    re.IGNORECASE,
)
_SCHEMES = frozenset({"http", "https", "mailto", "ftp", "tel"})
_APART = frozenset({"p", "ul", "ol", "table", "pre", "blockquote", "dl", "form"})
_HEADINGS = {f"h{n}": "#" * n + " " for n in range(1, 7)}
_BLOCKS = _APART | frozenset(
    {"div", "tr", "li", "dt", "dd", "section", "article", "header", "footer", "main"}
    | {"aside", "nav", "center", "address", "fieldset", "figure", "caption", "body"}
)
_BLANK = "\0"  # stands for an empty line, until it is known whether one is there


def markdown(text: str) -> tuple[str, int]:
    """Return HTML as Markdown, and how many invisible things were left out.

    Those are hidden elements and pictures of one pixel, which tell a sender who reads.
    """
    body = html.tree(text)
    if body is None:
        return "", 0
    writer = _Writer()
    for node, enters in _events(body, writer.skips):
        (writer.enter if enters else writer.leave)(node)
    return writer.text(), writer.hidden


def _events(
    body: LexborNode, skips: Callable[[LexborNode], bool]
) -> Iterator[tuple[LexborNode, bool]]:
    """Give the nodes of a tree as they begin and end, less those that are skipped."""
    node, depth = body.child, 0
    while node is not None:
        skipped = skips(node)
        if not skipped:
            yield node, True
            if node.child is not None:
                node, depth = node.child, depth + 1
                continue
            yield node, False
        while node.next is None:
            if not depth or node.parent is None:
                return
            node, depth = node.parent, depth - 1
            yield node, False
        node = node.next


class _Writer:
    """Makes lines of what comes, element by element."""

    def __init__(self) -> None:
        self.hidden = 0
        self._lines: list[str] = []
        self._now: list[str] = []  # pieces of the line being made
        self._prefix = ""  # of quotations
        # Open links and emphases: where each began, and after how many lines.
        self._marks: list[tuple[int, int]] = []
        self._lists: list[int] = []  # the next number of each open list; 0 for dots
        self._pre = 0

    def skips(self, node: LexborNode) -> bool:
        """Whether an element is not to be seen, with all in it."""
        if not node.is_element_node:
            return node.tag != html.TEXT
        said = node.attributes
        pixel = node.tag == "img" and {said.get("width"), said.get("height")} <= {
            *("0", "1", "1px")
        }
        if pixel or "hidden" in said or _HIDDEN.search(said.get("style") or ""):
            self.hidden += 1
            return True
        return False

    def enter(self, node: LexborNode) -> None:
        """Begin an element, or take a text."""
        tag = node.tag or ""
        if tag == html.TEXT:
            self._text(node.text(deep=False))
        elif tag == "br":
            self._break()
        elif tag == "hr":
            self._break(apart=True)
            self._now.append("---")
            self._break(apart=True)
        elif tag == "img":
            alt = _SPACE.sub(" ", node.attributes.get("alt") or "").strip()
            self._now.append(f"[{alt}]" if alt else "")
        elif tag in _HEADINGS or tag in _BLOCKS:
            self._begin(tag)
        elif tag in ("td", "th"):
            self._now.append(" " if self._said() else "")
        elif tag in ("a", "b", "strong"):
            self._marks.append((len(self._now), len(self._lines)))

    def leave(self, node: LexborNode) -> None:
        """End an element."""
        tag = node.tag or ""
        if tag in _HEADINGS or tag in _BLOCKS:
            if tag == "blockquote":
                self._break()
                self._prefix = self._prefix.removesuffix("> ")
            if tag in ("ul", "ol") and self._lists:
                self._lists.pop()
            nested = tag in ("ul", "ol") and bool(self._lists)
            self._break(apart=(tag in _APART and not nested) or tag in _HEADINGS)
            self._pre -= tag == "pre"
        elif tag in ("a", "b", "strong") and self._marks:
            href = (node.attributes.get("href") or "").strip() if tag == "a" else ""
            self._mark(*self._marks.pop(), href if _followed(href) else "", tag)

    def _mark(self, start: int, lines: int, href: str, tag: str) -> None:
        """Mark the text of a link or an emphasis that ends here."""
        if lines != len(self._lines):  # blocks are in it
            if href and self._lines[-1] != _BLANK and not self._said():
                self._lines[-1] += f" <{href}>"
            return
        inner = "".join(self._now[start:])
        text = inner.strip()
        if tag == "a" and text and href and href not in (text, f"mailto:{text}"):
            marked = f"[{text}]({href})"
        else:
            marked = f"**{text}**" if tag != "a" and text else text
        before = " " * inner.startswith(" ")
        self._now[start:] = [before + marked + " " * inner[1:].endswith(" ")]

    def _begin(self, tag: str) -> None:
        nested = tag in ("ul", "ol") and bool(self._lists)
        self._break(apart=(tag in _APART and not nested) or tag in _HEADINGS)
        if tag in _HEADINGS:
            self._now.append(_HEADINGS[tag])
        elif tag == "blockquote":
            self._prefix += "> "
        elif tag in ("ul", "ol"):
            self._lists.append(int(tag == "ol"))
        elif tag == "li":
            number = self._lists[-1] if self._lists else 0
            if number:
                self._lists[-1] += 1
            indent = "  " * (len(self._lists) - 1)
            self._now.append(indent + (f"{number}. " if number else "- "))
        self._pre += tag == "pre"

    def _text(self, text: str) -> None:
        if self._pre:
            *lines, last = text.split("\n")
            for line in lines:
                self._now.append(line)
                self._break()
            self._now.append(last)
            return
        text = _SPACE.sub(" ", _FILLER.sub("", text))
        if not self._said() or self._now[-1].endswith(" "):
            text = text.removeprefix(" ")
        if text:
            self._now.append(text)

    def _said(self) -> bool:
        return any(self._now)

    def _break(self, *, apart: bool = False) -> None:
        """End the line, if there is one; apart: leave an empty one behind it."""
        line = "".join(self._now)
        line = line if self._pre else line.rstrip()
        if line:
            self._lines.append(self._prefix + line)
        self._now = []
        if apart and self._lines and self._lines[-1] != _BLANK:
            self._lines.append(_BLANK)

    def text(self) -> str:
        """Return what was made."""
        self._break()
        lines = ["" if line == _BLANK else line for line in self._lines]
        return "\n".join(lines).strip("\n")


def _followed(href: str) -> bool:
    """Whether a link is of a kind that people follow."""
    try:
        return urlsplit(href).scheme.lower() in _SCHEMES and href.isprintable()
    except ValueError:
        return False
