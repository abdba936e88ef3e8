"""Names of folders and other strings, from and to the wire; RFC 9051 section 5.1.

A name is str here; modified UTF-7 (RFC 3501 section 5.1.3) or, where UTF8=ACCEPT is in
force (RFC 6855), UTF-8 there.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Protocol

from mailfs.errors import MailfsError

MAX_NAME = 4096  # octets of a folder's name on the wire
_SHIFTED = re.compile(rb"&([A-Za-z0-9+,]*)-")
_OUTSIDE = re.compile(r"[^\x20-\x7e]+|&")
_ATOM = re.compile(rb"[!#$&'+,./0-9:;<=>?@A-Z\[\]^_`a-z|}~-]+")


class BadMailboxName(MailfsError):
    """A name no folder can have."""


class Upload(Protocol):
    """Octets that are sent in pieces, since they may be too many for the memory."""

    def __len__(self) -> int: ...

    def read(self, start: int, end: int, /) -> bytes:
        """Return octets [start, end), as far as there are any."""


@dataclass(frozen=True, slots=True)
class Literal:
    """Octets that a command carries as a literal; binary is literal8, RFC 3516."""

    octets: bytes | Upload
    binary: bool = False


def encode(name: str, *, utf8: bool = False) -> bytes:
    """Return the octets of a folder's name on the wire.

    Raises BadName for NUL, CR, LF and what is too long.
    """
    if not name or any(c in name for c in "\0\r\n"):
        raise BadMailboxName("not a folder name")
    escaped = any(0xDC80 <= ord(c) <= 0xDCFF for c in name)
    if utf8 or escaped:
        try:
            raw = name.encode(errors="surrogateescape")
        except UnicodeEncodeError as e:
            raise BadMailboxName("not a folder name") from e
    else:
        try:
            raw = _OUTSIDE.sub(_shift, name).encode("ascii")
        except UnicodeEncodeError as e:
            raise BadMailboxName("not a folder name") from e
    if len(raw) > MAX_NAME:
        raise BadMailboxName("folder name too long")
    return raw


def _shift(m: re.Match[str]) -> str:
    if m[0] == "&":
        return "&-"
    code = base64.b64encode(m[0].encode("utf-16-be")).rstrip(b"=").replace(b"/", b",")
    return f"&{code.decode()}-"


def decode(raw: bytes, *, utf8: bool = False) -> str:
    """Return the name that octets from the wire are; never fails.

    What is not modified UTF-7 is taken for the UTF-8 that many servers send, and what
    is not that either keeps its octets as surrogates (PEP 383).  ASCII with an & that
    begins no shift is returned as it stands: encode gives other octets for it.
    """
    if utf8 or not raw.isascii():
        return raw.decode(errors="surrogateescape")
    try:
        name = _unshift(raw)
    except (ValueError, binascii.Error):
        name = ""
    # Only what encodes to the same octets can be asked for again.
    return name if name and _same(name, raw) else raw.decode("ascii")


def _same(name: str, raw: bytes) -> bool:
    try:
        return encode(name) == raw
    except BadMailboxName:
        return False


def _unshift(raw: bytes) -> str:
    parts = []
    at = 0
    for m in _SHIFTED.finditer(raw):
        parts.append(raw[at : m.start()].decode("ascii"))
        parts.append(_decoded(m[1]))
        at = m.end()
    rest = raw[at:]
    if b"&" in rest or any("&" in p for p in parts[::2]):
        raise ValueError("& outside a shift")
    return "".join(parts) + rest.decode("ascii")


def _decoded(code: bytes) -> str:
    if not code:
        return "&"
    padded = code.replace(b",", b"/") + b"=" * (-len(code) % 4)
    return base64.b64decode(padded, validate=True).decode("utf-16-be")


def astring(raw: bytes) -> bytes | Literal:
    """Return octets as a command carries them: bare, quoted, or as a literal.

    A name of digits, or NIL, is quoted: servers have taken them for numbers and nil.
    """
    if any(c > 126 or c < 32 for c in raw) or len(raw) > 1000:
        return Literal(raw)
    if _ATOM.fullmatch(raw) and not raw.isdigit() and raw.upper() != b"NIL":
        return raw
    return b'"' + raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
