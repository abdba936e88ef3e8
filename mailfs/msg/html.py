"""HTML as text, by a parser that takes whatever browsers take; WHATWG HTML.

What a browser does not show (scripts, styles, the head) is left out.  Words that
inline elements cut in two are whole.
"""

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

MAX_HTML = 512 << 10  # characters that are parsed; newsletters have a fifth
MAX_DEPTH = 200  # elements within one another, beyond which nothing is read: a parser
# that keeps to the standard looks through all that are open, at each new one
MAX_INLINE = 16  # inline elements within one another; more of them count as blocks

_UNSEEN = ["script", "style", "head", "template", "noscript", "noframes", "svg", "math"]
_INLINE = frozenset(
    {
        "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data",
        "del", "dfn", "em", "font", "i", "ins", "kbd", "label", "mark", "nobr", "o:p",
        "q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "time",
        "tt", "u", "var", "wbr"
    }
)  # fmt: skip
TEXT = "-text"
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]{0,20})")
# Elements that hold nothing, or that the next one of their kind ends.
_FLAT = frozenset(
    {
        "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta",
        "param", "source", "track", "wbr", "p", "li", "dt", "dd", "option", "optgroup",
        "tr", "td", "th", "thead", "tbody", "tfoot", "colgroup"
    }
)  # fmt: skip


def tree(html: str) -> LexborNode | None:
    """Parse HTML, less what is never seen; None if there is nothing."""
    parsed = LexborHTMLParser(_shallow(html[:MAX_HTML]))
    parsed.strip_tags(_UNSEEN, recursive=True)
    return parsed.body


def _shallow(html: str) -> str:
    """Cut HTML where more than MAX_DEPTH elements are open."""
    if html.count("<") <= MAX_DEPTH:
        return html
    opened: list[str] = []
    for tag in _TAG.finditer(html):
        name = tag[2].lower()
        if name in _FLAT:
            continue
        if not tag[1]:
            opened.append(name)
        elif name in opened:
            while opened.pop() != name:
                pass
        if len(opened) > MAX_DEPTH:
            return html[: tag.start()]
    return html


def text(html: str) -> str:
    """Return the words that people see, a newline between blocks."""
    body = tree(html)
    return "" if body is None else "".join(_pieces(body))


def _pieces(body: LexborNode) -> Iterator[str]:
    last: int | None = None
    for node in body.traverse(include_text=True):
        if node.tag == TEXT:
            block = _block(node)
            if last is not None and block != last:
                yield "\n"
            last = block
            yield node.text(deep=False)
        elif node.tag in ("br", "hr", "img"):
            yield " "


def _block(node: LexborNode) -> int:
    """Identify the block that a text is in."""
    found = node.parent
    for _ in range(MAX_INLINE):
        if found is None or found.tag not in _INLINE:
            break
        found = found.parent
    return 0 if found is None else found.mem_id
