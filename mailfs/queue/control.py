"""The control file of a queued message: one line, the words of a command; qer(8).

``tag reply arg arg ...`` is what runq passes to its command.  Words are separated by
blanks; a stretch in double quotes may hold some and keeps its quotes.  For mail the
arguments are the host, ``net!host``, and the recipients.  Pure text.
"""

import re
from collections.abc import Iterable

from mailfs.errors import MailfsError

MAX_CONTROL = 1 << 20  # octets of the file; 32 recipients a message take under 10,000

_WORD = re.compile(r'(?:"[^"]*"?|[^ \t\r\n"])+')
_BLANK = re.compile(r"[ \t]")


class BadControl(MailfsError):
    """Words that no control file can hold, or a file that holds none."""


def parse(octets: bytes) -> tuple[str, ...]:
    """Take the words of a control file apart.  Raises BadControl for under three.

    Octets that are no UTF-8 are kept as surrogate escapes, as arguments have them.
    """
    if len(octets) > MAX_CONTROL:
        raise BadControl(f"control file over {MAX_CONTROL} octets")
    words = tuple(_WORD.findall(octets.decode(errors="surrogateescape")))
    if len(words) < 3:
        raise BadControl("control file wants a tag, a reply address and arguments")
    return words


def line(words: Iterable[str]) -> bytes:
    """Write the control file of the words.

    A blank outside double quotes is written ``%%20``.  Raises BadControl for a word
    that is empty or has a character no line can hold.
    """
    return (" ".join([*map(_word, words), "\n"])).encode(errors="surrogateescape")


def _word(word: str) -> str:
    if not word or any(c in word for c in "\r\n\0"):
        raise BadControl(f"not a word for a control file: {word!r}")
    if _BLANK.search(word) and _WORD.findall(word) != [word]:
        word = _BLANK.sub("%%20", word)
    if word.count('"') % 2:  # or it would swallow the words after it
        raise BadControl(f"unpaired quote in {word!r}")
    return word
