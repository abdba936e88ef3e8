"""Transfer encodings, RFC 2045 section 6: base64, quoted-printable, uuencode.

Nothing here raises.  Other encodings, known (7bit, 8bit, binary) or not, leave the
octets as they are.  decode() and a Decoder fed the same octets in any pieces agree.
"""

import binascii
import re
from collections.abc import Callable
from typing import Protocol

PIECE = 1 << 18  # octets converted at once: bounds the copies, keeps them in cache

_B64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_B64 = bytes(set(range(256)) - set(_B64) - set(b"="))
_PADDED = re.compile(rb"[^=]+")

# The equals signs a2b_qp would not leave alone though they begin no escape.
_LITERAL = re.compile(rb"=(?==|\r(?!\n)|\Z)")
_BLANK_ENDS = (b" \n", b"\t\n", b" \r\n", b"\t\r\n")
_HEX = b"0123456789ABCDEFabcdef"

_BEGIN = re.compile(rb"(?:\A|\n)begin [0-7]{3,4} [^\n]*\n")
UU_PREAMBLE = 1 << 16  # octets in which the begin line of uuencode is looked for
UU_LINE = 1 << 10  # octets looked at of one line; 62 are meant


def kind(encoding: str) -> str:
    """Find an encoding by its name's beginning.

    One of base64, quoted-printable and x-uuencode, or the empty string for all that
    leave the octets alone.
    """
    word = encoding.strip().lower()
    if word.startswith("base64"):
        return "base64"
    if word.startswith("quoted-printable"):
        return "quoted-printable"
    if word.startswith(("x-uu", "uuencode")):
        return "x-uuencode"
    return ""


def decode(octets: bytes, encoding: str) -> bytes:
    """Return octets with their transfer encoding undone."""
    return Decoder(encoding).feed(octets, final=True)


def escapes(text: bytes) -> bytes:
    """Decode the =XX in the text of a Q token; a malformed one stays."""
    if b"=" not in text:
        return text
    return binascii.a2b_qp(_LITERAL.sub(b"=3D", text))


class _Step(Protocol):
    def feed(self, octets: bytes, *, final: bool) -> bytes: ...


class Decoder:
    """Undoes a transfer encoding piece by piece."""

    __slots__ = ("_step",)

    def __init__(self, encoding: str) -> None:
        make = _STEPS.get(kind(encoding))
        self._step = None if make is None else make()

    def feed(self, octets: bytes, final: bool = False) -> bytes:
        """Decode the octets that are complete; final ends the body."""
        step = self._step
        if step is None:
            return octets
        if len(octets) <= PIECE:
            return step.feed(octets, final=final)
        out = [
            step.feed(octets[at : at + PIECE], final=False)
            for at in range(0, len(octets), PIECE)
        ]
        if final:
            out.append(step.feed(b"", final=True))
        return b"".join(out)


class _Base64:
    """RFC 2045 section 6.8.

    Octets outside the alphabet are skipped, and an equals sign ends a run wherever it
    is, so segments that were padded and then joined come out whole.  Of a run that was
    cut short the whole octets are kept.
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def feed(self, octets: bytes, *, final: bool) -> bytes:
        octets = self._held + octets.translate(None, _NOT_B64)
        if b"=" not in octets and not final:
            return self._whole(octets)
        *runs, rest = octets.split(b"=")
        if final:
            runs.append(rest)
            rest = b""
        out = []
        for run in runs:
            if run:
                out.append(self._whole(run))
                tail = self._held
                if len(tail) > 1:
                    out.append(binascii.a2b_base64(tail + b"=="))
        self._held = b""
        out.append(self._whole(rest))
        return b"".join(out)

    def _whole(self, run: bytes) -> bytes:
        end = len(run) & ~3
        self._held = run[end:]
        return binascii.a2b_base64(run[:end])


class _Quoted:
    """RFC 2045 section 6.7.

    White space at the end of a line goes, then an equals sign there joins the next
    line; one that begins no escape stays.  No other octet changes.
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: list[bytes] = []

    def feed(self, octets: bytes, *, final: bool) -> bytes:
        self._held.append(octets)
        if not final and not octets.strip(b" \t"):
            return b""
        octets = b"".join(self._held)
        if final:
            self._held = []
            octets = octets.rstrip(b" \t")
            return self._lines(octets.removesuffix(b"="))
        end = self._settled(octets)
        self._held = [octets[end:]]
        return self._lines(octets[:end])

    @staticmethod
    def _settled(octets: bytes) -> int:
        """Return up to where no octet that may follow can change the result."""
        last = octets.removesuffix(b"\r")
        end = len(last.rstrip(b" \t"))
        if last[end - 1 : end] == b"=":
            return end - 1
        if end == len(octets) and last[-2:-1] == b"=" and last[-1] in _HEX:
            return end - 2
        return end

    @staticmethod
    def _lines(octets: bytes) -> bytes:
        if any(end in octets for end in _BLANK_ENDS):
            lines = octets.split(b"\n")
            for i, line in enumerate(lines[:-1]):
                cr = line[-1:] == b"\r"
                lines[i] = line[: len(line) - cr].rstrip(b" \t") + line[-1:] * cr
            octets = b"\n".join(lines)
        # What is settled ends in an equals sign only if another one follows.
        if (
            b"==" in octets
            or octets.endswith(b"=")
            or octets.count(b"=\r") != octets.count(b"=\r\n")
        ):
            octets = _LITERAL.sub(b"=3D", octets)
        return binascii.a2b_qp(octets)


class _Uu:
    """uuencode(1): the lines between begin and end.

    If the first UU_PREAMBLE octets have no begin line, everything is left as it is.
    """

    __slots__ = ("_held", "_state")

    def __init__(self) -> None:
        self._held = b""
        self._state = "before"

    def feed(self, octets: bytes, *, final: bool) -> bytes:
        if self._state == "after":
            return b""
        if self._state == "plain":
            return octets
        self._held += octets
        if self._state == "before":
            begin = _BEGIN.search(self._held, 0, UU_PREAMBLE)
            if begin is None:
                if len(self._held) < UU_PREAMBLE and not final:
                    return b""
                self._state = "plain"
                return self._held
            self._held = self._held[begin.end() :]
            self._state = "inside"
        return self._lines(final=final)

    def _lines(self, *, final: bool) -> bytes:
        held = self._held
        out = []
        start = 0
        while start < len(held):
            end = held.find(b"\n", start, start + UU_LINE) + 1
            if not end:
                end = start + UU_LINE
                if end > len(held) and not final:
                    break
            line = held[start:end].rstrip(b"\r\n")
            start = end
            if line == b"end":
                self._state = "after"
                break
            out.append(_uu_line(line))
        self._held = held[start:]
        return b"".join(out)


_STEPS: dict[str, Callable[[], _Step]] = {
    "base64": _Base64,
    "quoted-printable": _Quoted,
    "x-uuencode": _Uu,
}


def _uu_line(line: bytes) -> bytes:
    if not line:
        return b""
    # Some encoders pad the last group; only what the first octet counts is meant.
    size = (((line[0] - 32) & 63) * 4 + 5) // 3
    try:
        return binascii.a2b_uu(line[:size])
    except binascii.Error:
        return b""
