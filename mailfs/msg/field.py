"""Header fields written: folded, encoded, never over-long; RFC 5322, 2047, 2231.

Every function returns a whole field, newline included, or raises MailfsError for an
address that no line holds.  Lines have at most WIDTH
characters where there is a blank to break them at, and never more than MAX_LINE
octets.  Whatever the text, it stays in its field: line ends in it become blanks.
"""

import base64
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from mailfs.errors import MailfsError
from mailfs.msg import address, charset, param
from mailfs.msg.address import Address
from mailfs.msg.word import TOKEN, printable, unfold

WIDTH = 78  # characters; RFC 5322 section 2.1.1
MAX_LINE = 998  # octets; the same
WORD_LINE = 76  # characters of a line with an encoded word; RFC 2047 section 2
MAX_WORD = 75  # characters of an encoded word; the same
MAX_ADDRESS = 900  # octets, so that a line holds it; RFC 5321 allows 320
LONG = 400  # characters of an ASCII word that is encoded, so that it can be broken

_PLAIN_Q = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ATOMS = re.compile(rf"{_ATEXT}(?: {_ATEXT})*")
_PIECES = re.compile(r" +|[^ ]+")
_OPEN = "=?utf-8?"

_ORIGINATORS = ("from", "sender", "reply-to")
DESTINATIONS = ("to", "cc", "bcc")
_BLOCK = (*_ORIGINATORS, *DESTINATIONS)
ADDRESSES = frozenset(_BLOCK) | {f"resent-{name}" for name in _BLOCK}
PARAMETERS = frozenset({"content-type", "content-disposition"})
# Folded anew if a line is over WIDTH.  Others, a signature say, only if they must be.
_REFOLDED = ADDRESSES | {"subject", "comments", "keywords", "organization"}
_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_HOLLOW = re.compile(
    rb"\n[ \t]*(?:\n|\Z)"
)  # some take such a line for the header's end


def text(name: str, value: str) -> bytes:
    """Return an unstructured field; what is not ASCII becomes encoded words.

    White space between words is kept, that around the value is not.
    """
    return _fold(name, _words(printable(value).strip(" "), _room(name)))


def addresses(name: str, boxes: Iterable[Address]) -> bytes:
    """Return a field of addresses, which are broken between lines, one not within."""
    units = [_address(box, _room(name)) for box in boxes]
    pieces: list[str] = []
    for i, unit in enumerate(units):
        if i:
            pieces.append(" ")
        if i < len(units) - 1:
            unit[-1] += ","
        pieces += unit
    return _fold(name, pieces)


def parameters(name: str, value: str, params: Mapping[str, str]) -> bytes:
    """Return a field such as Content-Type: a value, and parameters.

    A parameter that is not ASCII, or too long for a line, is written as RFC 2231 has
    it: charset, percent escapes, continuations.
    """
    lines = [f"{name}: {value}"]
    for key, told in params.items():
        for one in _parameter(key, printable(told)):
            if len(lines[-1]) + len(one) + 3 <= WIDTH:  # with ; on both sides, a blank
                lines[-1] += f"; {one}"
            else:
                lines[-1] += ";"
                lines.append(f"\t{one}")
    return ("\n".join(lines) + "\n").encode()


def raw(name: str, value: bytes) -> bytes:
    """Return a field that somebody wrote: as it stands if it may, else put right.

    It may if it is ASCII and its lines are short enough.  Else addresses, parameters
    and text are each encoded as their kind is; other structured fields are folded.
    """
    kind = name.lower()
    if _fit(name, value, WIDTH if kind in _REFOLDED else MAX_LINE):
        return name.encode() + b":" + value + b"\n"
    line = unfold(value)
    if line.isascii():
        pieces = _PIECES.findall(printable(line.decode("ascii")))
        if max(map(len, pieces), default=0) <= LONG:
            return _fold(name, pieces)
    if kind in ADDRESSES:
        return addresses(name, address.addresses([value]))
    if kind in PARAMETERS:
        read = param.media if kind == "content-type" else param.disposition
        return parameters(name, *read(line))
    return text(name, charset.decode(line))


def _fit(name: str, value: bytes, width: int) -> bool:
    """Whether a value may stand as it is, in lines of that width."""
    if not value.isascii() or _CONTROL.search(value) or _HOLLOW.search(value):
        return False
    first, *more = value.split(b"\n")
    return max(len(name) + 1 + len(first), *map(len, more), 0) <= width


def _phrase(name: str, room: int) -> list[str]:
    """Return a display name as pieces: bare words, a quoted string or encoded words."""
    if not name.isascii() or len(name) > LONG:
        return _encoded(name, room)
    if _ATOMS.fullmatch(name) and "=?" not in name:
        return _PIECES.findall(name)
    escaped = re.sub(r'(["\\])', r"\\\1", name)
    return _PIECES.findall(f'"{escaped}"')


def show(box: Address) -> str:
    """Return an address on one line, as text: ``Name <addr>``, or the addr alone."""
    return "".join(_address(box, MAX_WORD))


def _room(name: str) -> int:
    """Compute the length of an encoded word that fits beside the name."""
    return max(MAX_WORD - len(name) - 1, MAX_WORD // 2)


def _address(box: Address, room: int) -> list[str]:
    """Return an address as pieces that may go on lines of their own."""
    addr = printable(box.addr)
    if len(addr.encode()) > MAX_ADDRESS:
        raise MailfsError(f"address too long: {addr[:40]}...")
    name = printable(box.name or box.comment).strip(" ")
    if not name:
        return [addr]
    return [*_phrase(name, room), " ", f"<{addr}>"]


def _words(value: str, room: int) -> list[str]:
    """Return text as pieces, words and blanks, runs that need it encoded as one."""
    out: list[str] = []
    run: list[str] = []  # to be encoded, the blanks within too
    blank = ""
    for piece in _PIECES.findall(value):
        if piece[0] == " ":
            blank = piece
            continue
        if _fits(piece):
            if run:
                out += _encoded("".join(run), room)
                run = []
            out += [blank, piece] if blank else [piece]
        elif run:
            run += [blank, piece]
        else:
            if blank:
                out.append(blank)
            run = [piece]
        blank = ""
    if run:
        out += _encoded("".join(run), room)
    return out


def _fits(word: str) -> bool:
    """Whether a word may stand as it is; an encoded word that somebody made may."""
    return word.isascii() and len(word) <= LONG


def _encoded(value: str, most: int) -> list[str]:
    """Return text as encoded words with a blank between any two; RFC 2047.

    Each holds whole characters and is no longer than most.  Of the two encodings the
    legible one is taken unless it is much the longer.
    """
    octets = value.encode()
    quoted = sum(1 if o in _PLAIN_Q or o == 32 else 3 for o in octets)
    letter = "q" if quoted <= -(-len(octets) // 3) * 8 else "b"
    room = most - len(_OPEN) - len("q??=")
    out: list[str] = []
    held: list[bytes] = []
    for char in value:
        if held and _length(letter, b"".join(held) + char.encode()) > room:
            out += [_token(letter, b"".join(held)), " "]
            held = []
        held.append(char.encode())
    out.append(_token(letter, b"".join(held)))
    return out


def _length(letter: str, octets: bytes) -> int:
    if letter == "b":
        return -(-len(octets) // 3) * 4
    return sum(1 if o in _PLAIN_Q or o == 32 else 3 for o in octets)


def _token(letter: str, octets: bytes) -> str:
    if letter == "b":
        told = base64.b64encode(octets).decode()
    else:
        told = "".join(
            chr(o) if o in _PLAIN_Q else "_" if o == 32 else f"={o:02X}" for o in octets
        )
    return f"{_OPEN}{letter}?{told}?="


def _fold(name: str, pieces: list[str]) -> bytes:
    """Return the field, broken at single blanks before what would not fit.

    A run of blanks is not broken at if it can be helped: readers may shrink it.
    """
    lines: list[str] = []
    line = f"{name}:"
    blank = " "
    for piece in pieces:
        if piece[0] == " " and not piece.strip(" "):
            blank = piece
            continue
        width = WORD_LINE if TOKEN.search(f"{line} {piece}".encode()) else WIDTH
        over = len(line) + len(blank) + len(piece) > width
        first = not lines and line == f"{name}:" and width == WIDTH
        if over and not first and (len(blank) == 1 or _too_long(line, blank, piece)):
            lines.append(line)
            line = blank + piece
        else:
            line += blank + piece
        blank = ""
    lines.append(line)
    return ("\n".join(lines) + "\n").encode()


def _too_long(line: str, blank: str, piece: str) -> bool:
    return len(line.encode()) + len(blank) + len(piece.encode()) > MAX_LINE


def _parameter(key: str, value: str) -> list[str]:
    if value.isascii():
        told = '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
        if len(key) + len(told) + 4 <= WIDTH:
            return [f"{key}={told}"]
    escaped = quote(value.encode(), safe="!#$&+-.^_`{|}~")
    if len(key) + len(escaped) + 12 <= WIDTH:
        return [f"{key}*=utf-8''{escaped}"]
    return _sections(key, value)


def _sections(key: str, value: str) -> list[str]:
    """Return the continuations of a long parameter; RFC 2231 sections 3 and 4.1."""
    out: list[str] = []
    part = "utf-8''"
    for char in value:
        told = quote(char.encode(), safe="!#$&+-.^_`{|}~")
        if len(part) + len(told) > WIDTH - len(key) - 10:
            out.append(f"{key}*{len(out)}*={part}")
            part = ""
        part += told
    out.append(f"{key}*{len(out)}*={part}")
    return out
