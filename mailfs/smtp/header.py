"""The header as it leaves: addresses in at form, what is missing added; smtp(8).

Text, comments and white space of the fields are kept; only addresses without a domain
and those in bang form change.  Bcc goes.  Octets in, octets out, lines ending in LF.
"""

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mailfs.msg import fromline
from mailfs.msg.block import BLIND
from mailfs.msg.date import rfc822
from mailfs.msg.header import scan
from mailfs.smtp.path import at

ADDRESSES = frozenset(
    b"from sender reply-to to cc resent-from resent-sender resent-reply-to resent-to "
    b"resent-cc".split()
)
HIDDEN = frozenset(BLIND)  # the envelope has them; nobody else may
ORIGINATORS = ("from", "sender", "resent-from", "resent-sender")
DESTINATIONS = ("to", "cc", "resent-to", "resent-cc")
MAX_FIRST = 4096  # octets that tell whether a line may begin a header
MAX_FROM_LINES = 100  # at the top of a message; each system on its way adds one

_UNFOLDED = re.compile(rb"\n(?![ \t])")
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:")
_TOKEN = re.compile(
    rb'"(?:[^"\\]|\\.)*"?'  # a quoted string
    rb"|\\."
    rb"|<[^>]*>?"
    rb"|\[[^\]]*\]?"
    rb"|[(),:;]"
    rb"|[ \t\n]+"
    rb'|[^\s"\\<\[(),:;]+|.',
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class HeaderSource:
    """A message as the queue has it, taken apart.

    sender is that of the ``From `` line, empty without one, and date its time in
    seconds since the epoch; fields are whole fields without their last newline; body
    is the offset of the body.  whole says that more octets would change nothing.
    """

    sender: str
    date: int | None
    fields: tuple[bytes, ...]
    body: int
    whole: bool


def take(octets: bytes) -> HeaderSource:
    """Take a message apart; ``From `` lines before it are its envelope's."""
    given = octets
    octets = octets.replace(b"\r\n", b"\n")
    sender, date, start = "", None, 0
    for _ in range(MAX_FROM_LINES):
        if not octets.startswith((b"From ", b">From "), start):
            break
        end = octets.find(b"\n", start)
        end = len(octets) if end < 0 else end
        known = fromline.parse(octets[start:end].removeprefix(b">"))
        if known is not None:
            sender, date = known.sender, known.epoch
        start = end + 1
    header = scan(octets, start)
    block = octets[header.start : header.end].removesuffix(b"\n")
    fields = tuple(_UNFOLDED.split(block)) if block else ()
    empty = header.end == start
    empty = empty and (header.body > start or len(octets) - start > MAX_FIRST)
    whole = empty or octets.find(b"\n\n", max(0, start - 1)) >= 0
    body = _offset(given, octets, header.body)
    return HeaderSource(sender, date, fields, body, whole)


def _offset(given: bytes, octets: bytes, at: int) -> int:
    """Map an offset after a line of octets to one of given, with its CRLFs."""
    if len(given) == len(octets) or at >= len(octets):
        return at if len(given) == len(octets) else len(given)
    found = 0
    for _ in range(octets.count(b"\n", 0, at)):
        found = given.index(b"\n", found) + 1
    return found


def convert(
    source: HeaderSource,
    *,
    sender: str,
    domain: str,
    now: int,
    local: str = "",
    token: Callable[[], str] = lambda: secrets.token_hex(16),
) -> list[bytes]:
    """Return the fields to send: those added first, then the message's own.

    sender is the envelope's, in at form, empty for bounces; domain qualifies what has
    none; now is for a message without a date.
    """
    names = {_name(field) for field in source.fields}

    def qualify(address: bytes) -> bytes:
        return _qualified(address, domain, local)

    fields = [
        _converted(field, qualify)
        for field in source.fields
        if _name(field) not in HIDDEN and field.strip()
    ]
    added = []
    if b"message-id" not in names:
        added.append(f"Message-ID: <{token()}@{domain}>")
    if not names & {name.encode() for name in ORIGINATORS}:
        added.append(f"From: {sender or f'Postmaster@{domain}'}")
    if b"date" not in names:
        added.append(f"Date: {rfc822(now if source.date is None else source.date)}")
    if not names & {name.encode() for name in DESTINATIONS}:
        # The recipients would tell each other who else got a blind copy.
        added.append("To: undisclosed-recipients:;")
    return [line.encode(errors="surrogateescape") for line in added] + fields


def _name(field: bytes) -> bytes:
    m = _FIELD.match(field)
    return m[1].lower() if m else b""


def _converted(field: bytes, qualify: Callable[[bytes], bytes]) -> bytes:
    # A bare return inside a field would be a line of its own to some receivers.
    field = field.rstrip(b"\r").replace(b"\r", b" ")
    m = _FIELD.match(field)
    if m is None:
        return b"BadHeader: " + field
    # Blanks before the colon are obsolete; some verifiers of DKIM see no field there.
    name, body = m[1] + b":", field[m.end() :]
    return name + (addresses(body, qualify) if m[1].lower() in ADDRESSES else body)


def addresses(text: bytes, qualify: Callable[[bytes], bytes]) -> bytes:
    """Return the body of an address field with each address changed by qualify."""
    out: list[bytes] = []
    segment: list[bytes] = []
    depth = 0
    for token in _TOKEN.findall(text):
        if token == b"(":
            depth += 1
        elif token == b")":
            depth = max(0, depth - 1)
        elif not depth and token in (b",", b";", b":"):
            name = token == b":"  # what stands before it is a group's name
            out += segment if name else _mailbox(segment, qualify)
            out.append(token)
            segment = []
            continue
        segment.append(token)
    out += _mailbox(segment, qualify)
    return b"".join(out)


def _mailbox(tokens: list[bytes], qualify: Callable[[bytes], bytes]) -> list[bytes]:
    """Change the address of one mailbox: in angle brackets, or its only word."""
    depth, words = 0, []
    for i, token in enumerate(tokens):
        if token == b"(":
            depth += 1
        elif token == b")":
            depth = max(0, depth - 1)
        elif depth or not token.strip(b" \t\n"):
            continue
        elif token.startswith(b"<"):
            inside = token[1:].removesuffix(b">")
            if inside.strip():
                changed = b"<" + qualify(inside.strip()) + b">"
                return [*tokens[:i], changed, *tokens[i + 1 :]]
            return tokens
        else:
            words.append(i)
    if not words or words != list(range(words[0], words[-1] + 1)):
        return tokens  # several words are no address; it is not for us to guess
    first, last = words[0], words[-1] + 1
    address = qualify(b"".join(tokens[first:last]))
    if b":" in address:
        address = b"<" + address + b">"
    return [*tokens[:first], address, *tokens[last:]]


def _qualified(address: bytes, domain: str, local: str) -> bytes:
    text = address.decode(errors="surrogateescape")
    mark = text.rpartition("@")[1]
    if mark and "!" not in text:
        return address
    return at(text, domain, local=local).encode(errors="surrogateescape")


def values(fields: Sequence[bytes], name: str) -> list[bytes]:
    """Return the bodies of the fields with a name, in lower case."""
    wanted = name.encode()
    return [f.partition(b":")[2] for f in fields if _name(f) == wanted]
