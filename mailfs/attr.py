"""Words and quotes of rc, and the lists of attr=value that configure everything.

``'a b' c=d e='it''s'`` is three words: ``a b``, ``c=d``, ``e=it's``.  Source:
tokenize in getfields(2), quotestrdup(2), and factotum(4) for the lists.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from mailfs.errors import MailfsError

_SPACE = " \t\r\n"


def tokenize(text: str, limit: int = 1 << 16) -> list[str]:
    """Split text into words at blanks, honouring single quotes; getfields(2).

    A quote may start in mid-word; a doubled quote inside quotes is one quote; a
    missing closing quote is supplied by the end of the text.  After limit words the
    remainder is dropped, as tokenize drops it.
    """
    words: list[str] = []
    word: list[str] | None = None
    quoted = False
    i, n = 0, len(text)
    while i < n:
        c = text[i]
        i += 1
        if quoted:
            if c != "'":
                word.append(c)  # type: ignore[union-attr]  # a quote opened a word
            elif text.startswith("'", i):
                word.append(c)  # type: ignore[union-attr]
                i += 1
            else:
                quoted = False
        elif c in _SPACE:
            if word is not None:
                words.append("".join(word))
                word = None
                if len(words) == limit:
                    return words
        else:
            if word is None:
                word = []
            if c == "'":
                quoted = True
            else:
                word.append(c)
    if word is not None:
        words.append("".join(word))
    return words


def quote(word: str) -> str:
    """Print a word as ``%q`` does, bare when that is unambiguous."""
    if word and not any(c <= " " or c in "'\x7f" for c in word):
        return word
    return "'" + word.replace("'", "''") + "'"


def lines(text: str) -> list[str]:
    """Cut a text that programs wrote into its lines, which end at newlines only.

    str.splitlines ends them at U+2028, U+0085, form feeds and others too, all of which
    a password may hold.
    """
    found = text.split("\n")
    return found if found[-1] else found[:-1]


MAX_ATTRS = 256  # elements of a list; factotum's tokenizer stops there


@dataclass(frozen=True, slots=True, repr=False)
class Attr:
    """One element: name=value, or name? (value None), which asks for one.

    A name that starts with ! is private: str and repr show only the name.
    """

    name: str
    value: str | None = ""

    @property
    def private(self) -> bool:
        """Whether the value is a secret."""
        return self.name.startswith("!")

    def reveal(self) -> str:
        """Return the element as ``%A`` prints it, a secret included."""
        if self.value is None:
            return quote(self.name) + "?"
        return f"{quote(self.name)}={quote(self.value)}"

    def __str__(self) -> str:
        return quote(self.name) + "?" if self.private else self.reveal()

    def __repr__(self) -> str:
        return f"<{self}>"


Attrs = tuple[Attr, ...]


def parse(text: str) -> Attrs:
    """Parse ``a=b 'c=d e' f? g``; factotum(4), section Key Tuples.

    A bare name has the empty value.  Names may repeat; a query for a name that also
    has a value in the list is dropped.  Raises MailfsError for a NUL or for more than
    MAX_ATTRS elements, without any of the text: it may hold a secret.
    """
    if "\0" in text:
        raise MailfsError("NUL in an attribute list")
    words = tokenize(text, MAX_ATTRS + 1)
    if len(words) > MAX_ATTRS:
        raise MailfsError(f"more than {MAX_ATTRS} attributes")
    return normal(_attr(word) for word in words)


def _attr(word: str) -> Attr:
    name, equals, value = word.partition("=")
    if not equals and name.endswith("?"):
        return Attr(name[:-1], None)
    return Attr(name, value)


def normal(attrs: Iterable[Attr]) -> Attrs:
    """Drop each query whose name also has a value, and repeated queries."""
    listed = tuple(attrs)
    answered = {a.name for a in listed if a.value is not None}
    kept = []
    for a in listed:
        if a.value is None:
            if a.name in answered:
                continue
            answered.add(a.name)
        kept.append(a)
    return tuple(kept)


def value(attrs: Iterable[Attr], name: str) -> str | None:
    """Return the first value of name, None if it has none."""
    return next(
        (a.value for a in attrs if a.name == name and a.value is not None), None
    )


def without(attrs: Iterable[Attr], *names: str) -> Attrs:
    """Return the list less every element with one of the names."""
    return tuple(a for a in attrs if a.name not in names)


def show(attrs: Iterable[Attr]) -> str:
    """Return the list on one line, private values hidden."""
    return " ".join(map(str, attrs))


def reveal(attrs: Iterable[Attr]) -> str:
    """Return the list on one line as parse reads it, secrets included."""
    return " ".join(a.reveal() for a in attrs)


_TYPED = ("proto", "role", "service", "dom", "server", "user")


def typed(attrs: Iterable[Attr]) -> Attrs:
    """Order a key's attributes as a person types them, secrets last.

    Factotums sort them by name, which begins with the secret.
    """

    def place(a: Attr) -> int:
        if a.private:
            return len(_TYPED) + 1
        return _TYPED.index(a.name) if a.name in _TYPED else len(_TYPED)

    return tuple(sorted(attrs, key=place))
