"""The words of one command, read from left to right; RFC 9051 section 9.

No recursion, and nothing is looked at twice.  Every method raises BadCommand.
"""

import re
from collections.abc import Sequence

from mailfs.errors import MailfsError
from mailfs.imap.grammar import date, names
from mailfs.serve.imapd.reader import Literal, Piece, Upload
from mailfs.serve.imapd.sets import BadSet, SequenceSet

MAX_QUOTED = 4096  # octets of a quoted string; longer ones come as literals
MAX_WORDS = 1000  # of one parenthesised list
_ATOM = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\\]]+")
_ASTRING = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\]+")
_LIST_ATOM = re.compile(rb"[^\x00-\x20\x7f-\xff(){\"\\]+")
_LIST_ATOM_UTF8 = re.compile(rb"[^\x00-\x20\x7f(){\"\\]+")
_ASTRING_UTF8 = re.compile(rb"[^\x00-\x20\x7f(){%*\"\\]+")
_QUOTED = re.compile(rb'"((?:[^"\\\r\n\0]|\\["\\])*+)"')
_ESCAPED = re.compile(rb"\\(.)")
_TAG = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\+]{1,64}")
_NUMBER = re.compile(rb"[0-9]{1,20}")
_SET = re.compile(rb"[0-9:*,$]+")
_FLAG = re.compile(rb"\\?[^\x00-\x20\x7f-\xff(){%*\"\\\]]+")
_DAY = re.compile(rb'"?([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})"?')


class BadCommand(MailfsError):
    """A command that is none; answered BAD."""


class Cursor:
    """A place in a command."""

    def __init__(self, pieces: Sequence[Piece], *, utf8: bool = False) -> None:
        """Begin at the start; utf8 says that names are UTF-8, RFC 9755."""
        self._pieces = pieces
        self._piece = 0
        self._at = 0
        self.utf8 = utf8

    @property
    def _text(self) -> bytes:
        if self._piece < len(self._pieces):
            piece = self._pieces[self._piece]
            if isinstance(piece, bytes):
                return piece
        return b""

    @property
    def ended(self) -> bool:
        """Whether nothing is left."""
        return self._at >= len(self._text) and self._piece >= len(self._pieces) - 1

    def end(self) -> None:
        """Check that nothing is left."""
        if not self.ended:
            raise BadCommand("unexpected arguments")

    def peek(self) -> bytes:
        """Return the next octet, empty at the end and before a literal."""
        return self._text[self._at : self._at + 1]

    def take(self, octets: bytes) -> bool:
        """Take octets, in any case, if they are next."""
        end = self._at + len(octets)
        if self._text[self._at : end].upper() != octets.upper():
            return False
        self._at = end
        return True

    def expect(self, octets: bytes) -> None:
        """Take octets, which must be next."""
        if not self.take(octets):
            shown = "a space" if octets == b" " else octets.decode("latin-1")
            raise BadCommand(f"want {shown}")

    def space(self) -> None:
        """Take a space."""
        self.expect(b" ")

    def match(self, pattern: "re.Pattern[bytes]", what: str) -> bytes:
        """Take what a pattern matches; what says in an error what was wanted."""
        m = pattern.match(self._text, self._at)
        if m is None:
            raise BadCommand(f"want {what}")
        self._at = m.end()
        return m[0]

    def atom(self) -> bytes:
        """Take an atom."""
        return self.match(_ATOM, "a word")

    def word(self) -> str:
        """Take an atom, as capitals."""
        return self.atom().decode("ascii").upper()

    def number(self, most: int = (1 << 63) - 1) -> int:
        """Take a number."""
        value = int(self.match(_NUMBER, "a number"))
        if value > most:
            raise BadCommand("number too large")
        return value

    @property
    def at_literal(self) -> bool:
        """Whether a literal is next."""
        return self._at >= len(self._text) and self._piece + 1 < len(self._pieces)

    def _next(self) -> Piece:
        """Take the piece behind the text; the cursor is then in the text after it."""
        if not self.at_literal:
            raise BadCommand("want a string")
        piece = self._pieces[self._piece + 1]
        self._piece += 2
        self._at = 0
        return piece

    def literal(self) -> Literal:
        """Take a literal that is at hand."""
        piece = self._next()
        if not isinstance(piece, Literal):
            raise BadCommand("a message where none belongs")
        return piece

    def upload(self) -> Upload:
        """Take a message."""
        piece = self._next()
        if not isinstance(piece, Upload):
            raise BadCommand("want a message as a literal")
        return piece

    def string(self) -> bytes:
        """Take a quoted string or a literal."""
        if self.peek() != b'"':
            return self.literal().octets
        m = _QUOTED.match(self._text, self._at)
        if m is None or len(m[1]) > MAX_QUOTED:
            raise BadCommand("malformed or over-long quoted string")
        if not m[1].isascii() and not self.utf8:
            raise BadCommand("8-bit octets in a quoted string")
        self._at = m.end()
        return _ESCAPED.sub(rb"\1", m[1]) if b"\\" in m[1] else m[1]

    def astring(self) -> bytes:
        """Take an atom or a string."""
        if self.peek() == b'"' or self.at_literal:
            return self.string()
        return self.match(_ASTRING_UTF8 if self.utf8 else _ASTRING, "a string")

    def nstring(self) -> bytes | None:
        """Take a string or NIL."""
        if self.take(b"NIL"):
            return None
        return self.string()

    def mailbox(self) -> str:
        """Take the name of a folder; ``inbox`` in any case is INBOX."""
        return folder(self.astring(), utf8=self.utf8)

    def reference(self) -> str:
        """Take the reference of LIST, which may be empty."""
        return decoded(self.astring(), utf8=self.utf8)

    def tag(self) -> str:
        """Take a tag."""
        return self.match(_TAG, "a tag").decode("ascii")

    def take_rest(self) -> bytes:
        """Take the rest of the text."""
        rest = self._text[self._at :]
        self._at = len(self._text)
        return rest

    def pattern(self) -> str:
        """Take a pattern of LIST."""
        if self.peek() == b'"' or self.at_literal:
            raw = self.string()
        else:
            raw = self.match(_LIST_ATOM_UTF8 if self.utf8 else _LIST_ATOM, "a pattern")
        return decoded(raw, utf8=self.utf8)

    def set(self) -> SequenceSet:
        """Take a set of messages."""
        try:
            return SequenceSet.parse(self.match(_SET, "a set of messages"))
        except BadSet as e:
            raise BadCommand(str(e)) from e

    def flag(self) -> str:
        """Take a flag."""
        return self.match(_FLAG, "a flag").decode("ascii")

    def flags(self) -> list[str]:
        """Take flags, in parentheses or not."""
        if self.take(b"("):
            found: list[str] = []
            while not self.take(b")"):
                if found:
                    self.space()
                found.append(self.flag())
                self._check(len(found))
            return found
        found = [self.flag()]
        while self.take(b" "):
            found.append(self.flag())
            self._check(len(found))
        return found

    @staticmethod
    def _check(count: int) -> None:
        if count > MAX_WORDS:
            raise BadCommand("list too long")

    def words(self) -> list[str]:
        """Take a list of atoms in parentheses, as capitals."""
        self.expect(b"(")
        found: list[str] = []
        while not self.take(b")"):
            if found:
                self.space()
            found.append(self.word())
            self._check(len(found))
        return found

    def astrings(self) -> list[bytes]:
        """Take a list of strings in parentheses."""
        self.expect(b"(")
        found: list[bytes] = []
        while not self.take(b")"):
            if found:
                self.space()
            found.append(self.astring())
            self._check(len(found))
        return found

    def date_time(self) -> int:
        """Take a quoted date and time; return seconds since the epoch."""
        text = self.string()
        when = date.moment(text)
        if when is None:
            raise BadCommand("no such date")
        return when

    def day(self) -> int:
        """Take a date; return its days since the epoch, whatever the zone."""
        m = _DAY.match(self._text, self._at)
        found = None if m is None else date.day(*m.groups())
        if m is None or found is None:
            raise BadCommand("want a date")
        self._at = m.end()
        return found


def decoded(raw: bytes, *, utf8: bool) -> str:
    """Return a folder's name, or pattern, from the wire."""
    if b"\0" in raw or len(raw) > names.MAX_NAME:
        raise BadCommand("no name of a mailbox")
    return names.decode(raw, utf8=utf8)


def folder(raw: bytes, *, utf8: bool) -> str:
    """Return a folder's name from the wire; INBOX is in capitals."""
    name = decoded(raw, utf8=utf8)
    head, slash, rest = name.partition("/")
    return f"INBOX{slash}{rest}" if head.upper() == "INBOX" else name
