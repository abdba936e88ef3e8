"""Address lists: RFC 5322 section 3.4, its obsolete forms, and what senders make of it.

The structure is found first and encoded words are decoded after, so a comma in an
encoded name splits nothing.  Any octets give some list.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from mailfs.msg import charset
from mailfs.msg.word import printable, unfold, words

MAX_ADDRESSES = 1 << 16  # of one list; beyond lies no letter that anyone answers

# One element of the usual kinds, up to its comma: a phrase or a quoted string before
# an address in brackets, or the address alone.
_USUAL = re.compile(
    rb'[\s,]*+(?:(?:"([^"\\\x00-\x1f]*+)"|([^][\x00-\x1f"(),:;<>@\\]*+))\s*+'
    rb'<([^][\x00-\x20"(),:;<>\\]++)>|([^][\x00-\x20"(),:;<>\\]++))\s*+(?:,|\Z)'
)
_TOKEN = re.compile(
    rb"(?P<blank>[\x00-\x20]++)"
    rb'|(?P<quoted>"((?:[^"\\]++|\\.)*+)")'
    rb"|(?P<special>[(),:;<>\"])"
    rb"|(?P<atom>=\?[^?\s]++\?[qQ]\?(?:(?!=\?)[^?\n]|\?(?!=))*+\?=(?=[\s<,;)]|\Z)|"
    rb"=\?[^?\s]++\?[bBqQ]\?[^?\s]*+\?=|"
    rb"\[[^][\\\s]*+\]|"
    rb'[^][\x00-\x20"(),:;<>\\]++|\\.?|.)',
    re.DOTALL,
)
_COMMA = re.compile(rb"=\?[^?\s]++\?[qQ]\?[^?\s,]*+,")  # never sent by the careful
_COMMENT = re.compile(rb"[^()\\]++|\\.?|[()]", re.DOTALL)
_PAIR = re.compile(rb"\\(.)", re.DOTALL)


class Address(NamedTuple):
    """One mailbox of a list.

    name     the display name, decoded; empty if there was none before ``<``
    addr     local part and domain, quotes of a quoted local part kept.  Of a group
             without members it is the group as it stands, ``name:;``
    comment  the text of a comment in parentheses, decoded; senders of old put the
             name there
    """

    name: str
    addr: str
    comment: str = ""


_Raw = tuple[bytes, bytes, bytes]  # name, addr, comment; encoded words not yet decoded


def addresses(values: Iterable[bytes], hint: str | None = None) -> list[Address]:
    """Return the mailboxes of the given field bodies, members of groups among them.

    hint is the charset that unlabelled octets may have.
    """
    return [
        Address(words(name, hint), _addr(addr), words(comment, hint) if comment else "")
        for name, addr, comment in _all(values)
    ]


def bare(values: Iterable[bytes]) -> str:
    """Return the addrs of addresses(values), separated by single spaces."""
    addrs = [addr for _, addr, _ in _all(values) if addr]
    joined = b" ".join(addrs)
    if joined.isascii():
        text = joined.decode("ascii")
        if text.isprintable():
            return text
    return " ".join(filter(None, map(_addr, addrs)))


def _addr(octets: bytes) -> str:
    return printable(charset.decode(octets))


def _all(values: Iterable[bytes]) -> list[_Raw]:
    out: list[_Raw] = []
    for value in values:
        at = 0
        end = len(value)
        odd = b"=?" in value and _COMMA.search(value) is not None
        while at < end and len(out) < MAX_ADDRESSES:
            m = None if odd else _USUAL.match(value, at)
            if m is None:
                rest = unfold(value[at:])
                if rest.strip(b" ,"):
                    _List(out).parse(rest)
                break
            quoted, phrase, addr, alone = m.groups()
            out.append((quoted or phrase or b"", addr or alone, b""))
            at = m.end()
    del out[MAX_ADDRESSES:]
    return out


class _List:
    """The parser for what _USUAL does not match."""

    def __init__(self, out: list[_Raw]) -> None:
        self.out = out
        self.group: bytes | None = None  # the name of the group we are in
        self.members = 0  # len(out) where the group began
        self.paired = True  # whether parentheses are, so far as seen
        self._clear()

    def _clear(self) -> None:
        self.inside = False  # between < and >
        self.spaced = False  # white space or a comment came last
        self.words: list[list[bytes]] = []  # since the last comma, < or >
        self.name: list[bytes] = []  # the same with quotes undone
        self.phrase = b""  # what stood before <
        self.addr: bytes | None = None  # what stood between < and >
        self.comment = b""

    def parse(self, value: bytes) -> None:
        """Append the mailboxes of a value to out."""
        at = 0
        while at < len(value) and len(self.out) < MAX_ADDRESSES:
            token = _TOKEN.match(value, at)
            assert token is not None  # the last alternative takes any octet
            at = token.end()
            match token.lastgroup:
                case "blank":
                    self.spaced = True
                case "special" if token[0] == b"(":
                    at = self._parenthesis(value, at)
                case "special":
                    self._special(token[0])
                case "quoted":
                    self._word(token[0], token[0][1:-1])
                case _:
                    self._word(token[0], token[0])
        self._flush()
        self._end_group(b"")

    def _parenthesis(self, value: bytes, at: int) -> int:
        """Take the comment that begins at at, and return where it ends."""
        self.spaced = True
        depth = 1
        for token in _COMMENT.finditer(value, at) if self.paired else ():
            depth += {b"(": 1, b")": -1}.get(token[0], 0)
            if depth == 0:
                self.comment = _PAIR.sub(rb"\1", value[at : token.start()])
                return token.end()
        self.paired = False  # never closed: then it is no comment, nor is a later one
        return at

    def _word(self, text: bytes, name: bytes) -> None:
        if self.spaced and self.name:
            self.name.append(b" ")
        self.name.append(_PAIR.sub(rb"\1", name))
        apart = self.spaced and not self.inside
        if apart and self.words:  # white space may surround at signs and dots
            apart = self.words[-1][-1][-1:] not in b"@." and text[:1] not in b"@."
        if apart or not self.words:
            self.words.append([])
        self.words[-1].append(text)
        self.spaced = False

    def _special(self, char: bytes) -> None:
        match char:
            case b"<":
                self._open()
            case b">":
                self._close()
            case b":" if self.inside:  # ends a route, or a scheme
                self.words = []
            case b"," if (
                self.inside and self.words[:1] and self.words[0][0][:1] == b"@"
            ):
                self.words[-1].append(b",")
            case b",":
                self._flush()
            case b":":
                self._begin_group()
            case b";":
                self._flush()
                self._end_group(b";")
            case _:
                self.spaced = True

    def _open(self) -> None:
        if self.addr is not None:  # a comma is missing
            self.out.append((self.phrase, self.addr, self.comment))
            self.addr = None
        if not self.inside:
            self.phrase = b"".join(self.name)
        self.words, self.name = [], []
        self.inside = True

    def _close(self) -> None:
        if self.inside:
            self.addr = b"".join([b"".join(word) for word in self.words])
            self.words, self.name = [], []
            self.inside = False

    def _flush(self) -> None:
        """End an element: what was in brackets, else words with an at sign, or all."""
        self._close()
        out = self.out
        before = len(out)
        texts = [b"".join(word) for word in self.words]
        if self.addr or self.phrase:
            out.append((self.phrase, self.addr or b"", b""))
        elif texts and not any(b"@" in text for text in texts):
            out.append((b"", b" ".join(texts), b""))
        first = 0
        for i, text in enumerate(texts):
            if b"@" in text:
                out.append((b" ".join(texts[first:i]).strip(b'"'), text, b""))
                first = i + 1
        if len(out) > before:
            out[-1] = (*out[-1][:2], self.comment)
        self._clear()

    def _begin_group(self) -> None:
        if self.group is None and self.words:
            self.group = b" ".join([b"".join(word) for word in self.words])
            self.members = len(self.out)
        self._clear()

    def _end_group(self, end: bytes) -> None:
        if self.group is not None and len(self.out) == self.members:
            self.out.append((b"", self.group + b":" + end, b""))
        self.group = None
