"""How texts and queries are cut into words: the same way, or nothing would be found.

Case and accents are folded.  Words are runs of letters and digits, so
``skb_linearize`` is two.  Chinese, Japanese and Korean are written without blanks:
a run of their characters is cut into pairs that overlap, and its last character
stands alone too, so that any one character begins some word.
"""

import re
import unicodedata
from collections.abc import Iterator

MAX_TOKEN = 64  # characters of a word that count; longer ones are no words of people

_CJK = "\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f"
_CJK += "\uac00-\ud7ff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
_WORD = re.compile(rf"[^\W_{_CJK}]+|[{_CJK}]+")
_IDEOGRAPH = re.compile(f"[{_CJK}]")
_ASCII = re.compile(r"[a-z0-9]+")
_ACCENTS = re.compile("[\u0300-\u036f]+")


def fold(text: str) -> str:
    """Return text in one case, without accents."""
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFKD", text.casefold())
    return unicodedata.normalize("NFC", _ACCENTS.sub("", text)).casefold()


def words(text: str) -> list[str]:
    """Return the words of a text, folded, in order."""
    text = fold(text)
    if text.isascii():
        found = _ASCII.findall(text)
        return [word[:MAX_TOKEN] for word in found] if _long(found) else found
    return list(_mixed(text, alone=True))


def sought(text: str) -> tuple[str, ...]:
    """Return the words to look for to find a text, folded, in order.

    Of a run of ideographs only the pairs are; one by itself is the beginning of a
    pair, or of a word of its own.
    """
    text = fold(text)
    return tuple(_mixed(text, alone=False))


def partial(word: str) -> bool:
    """Whether a word sought is one ideograph, so that more may follow it."""
    return len(word) == 1 and _IDEOGRAPH.match(word) is not None


def _long(found: list[str]) -> bool:
    return any(len(word) > MAX_TOKEN for word in found)


def _mixed(text: str, *, alone: bool) -> Iterator[str]:
    for match in _WORD.finditer(text):
        run = match[0]
        if _IDEOGRAPH.match(run) is None:
            yield run[:MAX_TOKEN]
            continue
        for at in range(len(run) - 1):
            yield run[at : at + 2]
        if alone or len(run) == 1:
            yield run[-1]
