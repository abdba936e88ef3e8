"""A message as JSON: an object for all of it, or a line of a mailbox's index."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice

from mailfs.mailbox.kinds import Flag
from mailfs.mailboxes.entity import Entity
from mailfs.mailboxes.reading import MAX_PARTS, place, readable
from mailfs.msg import date
from mailfs.msg.address import addresses
from mailfs.msg.envelope import Envelope, hint
from mailfs.msg.header import Header
from mailfs.msg.word import words

MAX_HEADER = 1 << 20  # octets of a header's fields that are shown

WORDS = {
    Flag.SEEN: "seen",
    Flag.FLAGGED: "flagged",
    Flag.ANSWERED: "answered",
    Flag.DRAFT: "draft",
    Flag.DELETED: "deleted",
    Flag.RECENT: "recent",
    Flag.STORED: "stored",
}
_PEOPLE = ("from", "to", "cc", "bcc", "reply-to", "sender")

# Ends of line to some readers of lines, and as they stand valid in JSON.
_SEPARATORS = str.maketrans({c: f"\\u{ord(c):04x}" for c in "\x7f\x85\u2028\u2029"})

Value = str | int | None | list[str] | list[dict[str, str]] | list[dict[str, str | int]]


def record(item: Entity) -> str:
    """Return a message or part as a JSON object of one line.

    Its text is that of reading.readable; MAX_PARTS parts and MAX_HEADER octets of
    the header are shown.
    """
    said = {"path": place(item)} if not item.top else {}
    parts = list(islice(_below(item), MAX_PARTS))
    tree = item.tree
    values: dict[str, Value] = {
        "mailbox": item.box.name,
        "number": item.message.number,
        **said,
        **(_of_message(item) if item.whole else {}),
        "type": tree.type,
        "disposition": tree.disposition,
        "filename": tree.filename,
        "size": item.size(),
        "headers": _headers(item.header),
        "parts": [_part(one) for one in parts],
        "text": readable(item),
    }
    return _line(values)


def row(
    item: Entity, flags: Flag, tags: tuple[str, ...], envelope: Envelope | None
) -> str:
    """Return the line of a message in an index: a JSON object.

    Without an envelope it lacks what the header says.  size is in octets, as stored.
    """
    message = item.message
    values: dict[str, Value] = {
        "number": message.number,
        "date": _iso(message.date),
        "seconds": message.date,
        "flags": _flags(flags),
        "tags": list(tags),
        "size": message.size,
    }
    if envelope is not None:
        values |= {
            "from": envelope.from_,
            "name": envelope.ffrom,
            "to": envelope.to,
            "cc": envelope.cc,
            "subject": envelope.subject,
            "messageid": envelope.messageid,
        }
    return _line(values)


def _line(values: dict[str, Value]) -> str:
    return json.dumps(values, ensure_ascii=False).translate(_SEPARATORS) + "\n"


def _of_message(item: Entity) -> dict[str, Value]:
    """Return what a message has and a part lacks."""
    values, header = item.envelope, item.header
    written = date.parse(values.date) if values.date else None
    out: dict[str, Value] = {}
    if item.top:
        when, number = item.message.date, item.message.number
        out |= {"date": _iso(when), "seconds": when}
        out["flags"] = _flags(item.flags())
        out["tags"] = list(item.box.view.keywords.get(number, ()))
    out["written"] = None if written is None else _iso(*written)
    out["writtenseconds"] = None if written is None else written.epoch
    for name in _PEOPLE:
        out[name.replace("-", "")] = _people(header, name.encode())
    if not out["from"] and values.from_:  # the envelope's sender, or an inner From
        out["from"] = [{"name": values.ffrom, "address": values.from_}]
    out["subject"] = values.subject
    out["messageid"] = values.messageid
    out["inreplyto"] = values.inreplyto
    out["references"] = list(values.references)
    return out


def _people(header: Header, name: bytes) -> list[dict[str, str]]:
    bodies = _bounded(header.folded(name))
    return [
        {"name": one.name or one.comment, "address": one.addr}
        for one in addresses(bodies, hint(header))
    ]


def _headers(header: Header) -> list[dict[str, str]]:
    """Return the fields in order, decoded, one line each."""
    charset, left = hint(header), MAX_HEADER
    out = []
    for name, body in header.fields:
        left -= len(name) + len(body)
        if left < 0:
            break
        out.append(
            {"name": name.decode("ascii", "replace"), "value": words(body, charset)}
        )
    return out


def _bounded(bodies: list[bytes]) -> Iterator[bytes]:
    left = MAX_HEADER
    for body in bodies:
        left -= len(body)
        if left < 0:
            return
        yield body


def _below(item: Entity) -> Iterator[Entity]:
    """Give the parts of an item, and theirs, depth first."""
    for child in item.children():
        yield child
        yield from _below(child)


def _part(item: Entity) -> dict[str, str | int]:
    tree = item.tree
    name = tree.filename or tree.description
    return {
        "path": place(item),
        "type": tree.type,
        "name": name,
        "disposition": tree.disposition,
        "size": item.size(),
    }


def _flags(flags: Flag) -> list[str]:
    return [word for bit, word in WORDS.items() if flags & bit]


def _iso(epoch: int, zone: int = 0) -> str:
    """Return a moment as ISO 8601, with its zone."""
    epoch = min(max(epoch, date.FIRST), date.LAST)
    when = datetime.fromtimestamp(epoch, UTC)
    try:
        return when.astimezone(timezone(timedelta(seconds=zone))).isoformat()
    except (ValueError, OverflowError):  # a day or more, or beyond the calendar
        return when.isoformat()
