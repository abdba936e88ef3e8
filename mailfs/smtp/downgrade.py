"""A message recoded for a server that takes less than it holds; RFC 6152, RFC 2045.

Parts with 8-bit octets, where there is no 8BITMIME, and parts with lines that no server
has to take become quoted-printable or base64.  Multiparts and forwarded messages are
never encoded themselves (RFC 2045 section 6.4), so what is in them is.  What a
multipart/signed holds is never touched, or its signature would be void; RFC 1847.
"""

import binascii
import re
from collections.abc import Iterator

from mailfs.errors import MailfsError
from mailfs.msg import coding, field
from mailfs.msg.part import Part, parse

ROWS = 4096  # lines encoded at once
MAX_LINE = 998  # octets without the line's end; RFC 5321 section 4.5.3.1.6

_LONG = re.compile(rb"[^\n]{%d}" % (MAX_LINE + 1))
_CUT = re.compile(rb"([^\n]{%d})(?=[^\n])" % MAX_LINE)
_PLAIN = bytes(c for c in (9, 10, *range(32, 127)) if c != ord("="))
_NAME = re.compile(rb"([!-9;-~]+)[ \t]*:")
_FIELDS = re.compile(rb"\n(?![ \t])")
_HIGH = re.compile(rb"[\x80-\xff]")
_ENCODING = b"content-transfer-encoding"
_CONTENT = b"content-type"
_IDENTITY = ("", "7bit", "8bit", "binary")


class Unconvertible(MailfsError):
    """Signed content that a server does not take as it is."""


def fits(octets: bytes, *, eight: bool) -> bool:
    """Whether a server takes the octets as they are; eight says it has 8BITMIME."""
    return (eight or octets.isascii()) and _LONG.search(octets) is None


def recoded(octets: bytes, *, eight: bool) -> bytes:
    """Return a message (lines end in LF) that fits, its meaning kept.

    Raises Unconvertible if signed content does not fit.
    """
    return _entity(octets, parse(octets), len(octets), eight=eight, top=True)


def _entity(octets: bytes, part: Part, end: int, *, eight: bool, top: bool) -> bytes:
    whole = octets[part.start : end]
    if fits(whole, eight=eight):
        return whole
    head, body = octets[part.start : part.body], octets[part.body : end]
    if part.type == "multipart/signed" and not fits(body, eight=eight):
        lack = "8-bit text" if not eight else f"lines over {MAX_LINE} octets"
        raise Unconvertible(
            f"server takes no {lack}, and what is signed must not change"
        )
    if part.parts and not part.inset:
        between = _children(octets, part, end, eight=eight)
        return _header(head, None, eight=eight) + between
    if fits(body, eight=eight):
        return _header(head, None, eight=eight) + body
    if part.encoding not in (*_IDENTITY, "base64", "quoted-printable"):
        return _header(head, None, eight=eight) + _forced(body, eight=eight)
    if part.encoding not in _IDENTITY:
        body = coding.decode(body, part.encoding)
    encoding, text = _encoded(body)
    return _header(head, encoding, eight=eight, charset=_charset(body), top=top) + text


def _children(octets: bytes, part: Part, end: int, *, eight: bool) -> bytes:
    """Return a container's body: its children recoded, what lies between them kept."""
    out, at = [], part.body
    for child in part.parts:
        out.append(_forced(octets[at : child.start], eight=eight))
        at = min(child.end, end)
        if not child.message and octets.endswith(b"\n", child.body, at):
            at -= 1  # that newline is the boundary's; RFC 2046 section 5.1.1
        out.append(_entity(octets, child, at, eight=eight, top=child.message))
    out.append(_forced(octets[at:end], eight=eight))
    return b"".join(out)


def _forced(octets: bytes, *, eight: bool) -> bytes:
    """Return text that has no encoding to be changed: cut, and ``?`` for 8-bit."""
    if not eight:
        octets = _HIGH.sub(b"?", octets)
    return _CUT.sub(rb"\1\n", octets)


def _encoded(body: bytes) -> tuple[str, bytes]:
    """Return the encoding that makes text shorter, and the text in it."""
    odd = len(body.translate(None, _PLAIN))
    if odd * 6 > len(body):
        return "base64", b"".join(_base64(body.replace(b"\n", b"\r\n")))
    return "quoted-printable", b"".join(_quoted_printable(body))


def _base64(octets: bytes) -> Iterator[bytes]:
    """Yield the encoded lines of octets, many at a time."""
    for start in range(0, len(octets), 57 * ROWS):
        part = octets[start : start + 57 * ROWS]
        rows = [part[i : i + 57] for i in range(0, len(part), 57)]
        yield b"".join(map(binascii.b2a_base64, rows))


def _quoted_printable(octets: bytes) -> Iterator[bytes]:
    """Yield the encoded lines of octets, many at a time."""
    start = 0
    while start < len(octets):
        end = octets.find(b"\n", start + 57 * ROWS) + 1 or len(octets)
        rows = octets[start:end].split(b"\n")
        yield b"\n".join([binascii.b2a_qp(row, istext=False) for row in rows])
        start = end


def _charset(body: bytes) -> str:
    try:
        body.decode()
    except UnicodeDecodeError:
        return "unknown-8bit"  # RFC 1428 section 3
    return "us-ascii" if body.isascii() else "utf-8"


def _header(
    head: bytes,
    encoding: str | None,
    *,
    eight: bool,
    charset: str = "",
    top: bool = False,
) -> bytes:
    """Return a header with that encoding (None: that of a container) and no 8-bit.

    What a message without MIME fields meant is said, where encoding makes it matter.
    """
    block, empty, _ = head.partition(b"\n\n")
    if head.startswith(b"\n"):
        block, empty = b"", head
    lines = [line for line in _FIELDS.split(block.removesuffix(b"\n")) if line]
    names = {m[1].lower() for m in map(_NAME.match, lines) if m}
    out: list[bytes] = []
    for line in lines:
        m = _NAME.match(line)
        if m and m[1].lower() == _ENCODING:
            if encoding is None and line[m.end() :].strip().lower() in (
                b"8bit",
                b"binary",
            ):
                out.append(m[1] + (b": 8bit" if eight else b": 7bit"))
            elif encoding is None:
                out.append(line)
            continue
        out.append(line if fits(line, eight=False) else legal(line))
    if encoding is not None:
        if top and b"mime-version" not in names:
            out.append(b"MIME-Version: 1.0")
        if _CONTENT not in names:
            out.append(f"Content-Type: text/plain; charset={charset}".encode())
        out.append(f"Content-Transfer-Encoding: {encoding}".encode())
    text = b"".join(line + b"\n" for line in out)
    return text + (b"\n" if empty or encoding is not None else b"")


def legal(line: bytes) -> bytes:
    """Return a field, without its newline, that is ASCII and whose lines fit.

    A mailbox whose local part is not ASCII has no such form and stays.
    """
    m = _NAME.match(line)
    if m is None:
        return _forced(line, eight=False).replace(b"\n", b"\n ")
    return field.raw(m[1].decode("ascii"), line[m.end() :]).removesuffix(b"\n")
