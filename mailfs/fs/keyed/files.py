"""The files of a message's directory in the keyed dialect: one row a file.

A row is as in mailfs.fs.files.  Lists say which rows a directory shows; whatever
row there is can be walked to in each.
"""

import time
from collections.abc import Callable

from mailfs.fs.files import FileRow, table, text
from mailfs.fs.keyed import flags
from mailfs.fs.keyed.people import FIELDS, line, pairs, people, voice
from mailfs.mailbox.message import Need
from mailfs.mailbox.octets import Memory, Octets
from mailfs.mailboxes.entity import INNER, Entity
from mailfs.msg import date
from mailfs.msg.envelope import Envelope, hint
from mailfs.msg.word import words

_NOBODY = Envelope(type="")
_EXTRA = {"Resent-From": b"resent-from", "Resent-To": b"resent-to", "Sort": b"sort"}


def ctime(epoch: int) -> str:
    """Return ``Tue Mar 28 21:58:10 CST 2006``, the date of ctime, without a newline.

    A zone's name has three letters; where it is no name, the time is Greenwich's.
    """
    zone = time.localtime(min(max(epoch, date.FIRST), date.LAST)).tm_zone[:3]
    named = len(zone) == 3 and zone.isascii() and zone.isalpha()
    shown = date.unixdate(epoch, date.localtime if named else date.utc)
    head, _, year = shown.rsplit(" ", 2)
    return f"{head} {zone if named else 'GMT'} {year}"


def _values(item: Entity) -> Envelope:
    """Read the envelope of the message that an item speaks of."""
    said = voice(item)
    return _NOBODY if said is None else said.envelope


def _bracketed(identifier: str) -> str:
    return f"<{identifier}>" if identifier else ""


def _unixdate(item: Entity) -> str:
    return f"{ctime(item.message.date)}\n" if item.top else ""


def _flags(item: Entity) -> str:
    return flags.show(item.flags())


def pasted(name: str) -> str:
    """Make a file name fit to stand inside a command of rc or of a POSIX shell.

    acme Mail prints it so.  Letters, digits, ``.,_+@:%-`` and what prints beside ASCII
    stay; all else becomes an underscore, as do a leading dash and dots alone.
    """
    kept = "".join(c if _fit(c) else "_" for c in name)
    if kept.startswith("-"):
        kept = f"_{kept[1:]}"
    return kept if kept.strip(".") else "_" * len(kept)


def _fit(char: str) -> bool:
    if char.isascii():
        return char.isalnum() or char in ".,_+@:%-"
    return char.isprintable()


def _digest(item: Entity) -> str:
    return item.message.digest if item.top else ""


def _lines(item: Entity) -> str:
    return str(item.lines())


# What is one value, by the name of its file.  inreplyto and messageid keep brackets.
_VALUES: dict[str, tuple[int, Need, Callable[[Entity], str]]] = {
    "date": (4, Need.HEAD, lambda item: _values(item).date),
    "digest": (6, Need.INFO, _digest),
    "disposition": (7, Need.HEAD, lambda item: item.envelope.disposition),
    "filename": (9, Need.HEAD, lambda item: pasted(item.envelope.filename)),
    "flags": (10, Need.NOTHING, _flags),
    "inreplyto": (15, Need.HEAD, lambda item: _bracketed(_values(item).inreplyto)),
    "lines": (16, Need.INFO, _lines),
    "messageid": (17, Need.HEAD, lambda item: _bracketed(_values(item).messageid)),
    "subject": (25, Need.HEAD, lambda item: _values(item).subject),
    "type": (27, Need.HEAD, lambda item: item.envelope.type),
    "unixdate": (28, Need.HEAD, _unixdate),
    "charset": (3, Need.PARTS, lambda item: item.tree.charset),
    "desc": (5, Need.PARTS, lambda item: item.tree.description),
    "encoding": (8, Need.PARTS, lambda item: item.tree.encoding or "7bit"),
    "idstr": (
        13,
        Need.HEADER,
        lambda item: words(item.header.raw(b"content-id") or b""),
    ),
}

# The lines of info after unixdate, in order; what has no value has no line.
_ORDER = (
    "flags digest from to cc replyto bcc inreplyto date sender messageid subject "
    "type lines filename disposition"
)
INFO = tuple(_ORDER.split())


def _info(item: Entity) -> str:
    out = []
    if item.top:
        out.append(f"unixdate {item.message.date} {ctime(item.message.date)}\n")
    known = people(item)
    for key in INFO:
        person = key in FIELDS
        value = pairs(known.get(key, ())) if person else _VALUES[key][2](item)
        if value and (key, value) != ("lines", "0"):
            out.append(f"{key} {value}\n")
    return "".join(out)


def _header(item: Entity) -> str:
    """Return a header as its readers want it: few lines, addresses decoded.

    A part that wraps a message has none: nedmail would show that of the message twice,
    acme Mail shows no other.
    """
    if not item.whole:
        return ""
    known = people(item)
    shown = {name: line(boxes) for name, boxes in known.items()}
    lines = {
        "Date": ctime(item.message.date) if item.top else item.envelope.date,
        "To": shown["to"],
        "Cc": shown["cc"],
        "From": shown["from"],
        "Sender": shown["sender"] if known["sender"] != known["from"] else "",
        "Reply-To": shown["replyto"] if known["replyto"] != known["from"] else "",
        "Subject": item.envelope.subject,
    }
    for name, field in _EXTRA.items():
        lines[name] = words(item.header.raw(field) or b"", hint(item.header))
    return "".join(f"{name}: {value}\n" for name, value in lines.items() if value)


def _top(item: Entity) -> bytes:
    """Return a header as it stands, the blank line that ends it included."""
    octets = item.octets.read(item.start, item.body_at)
    return octets.replace(b"\r\n", b"\n") if item.message.shape.crlf else octets


def _rawheader(item: Entity) -> Octets:
    said = voice(item)
    return Memory(b"" if said is None else _top(said))


def _mimeheader(item: Entity) -> Octets:
    return Memory(b"" if item.whole else _top(item))


def _raw(item: Entity) -> Octets:
    """Return a message; of a part, what IMAP calls so: without its own header."""
    return item.raw() if item.whole else item.raw_body()


def _rawbody(item: Entity) -> Octets:
    said = voice(item)
    return (item if said is None else said).raw_body()


def _rawunix(item: Entity) -> Octets:
    return item.raw_unix() if item.top else _raw(item)


def _addresses(name: str) -> Callable[[Entity], Octets]:
    return text(lambda item: pairs(people(item).get(name, ())))


_OTHERS: dict[str, FileRow] = {
    "body": FileRow(1, Need.WHOLE, Entity.body, Entity.body_length),
    "header": FileRow(12, Need.HEADER, text(_header)),
    "info": FileRow(14, Need.INFO, text(_info)),
    "mimeheader": FileRow(18, Need.HEADER, _mimeheader),
    "raw": FileRow(19, Need.OCTETS, _raw),
    "rawbody": FileRow(20, Need.OCTETS, _rawbody),
    "rawheader": FileRow(21, Need.HEADER, _rawheader),
    "rawunix": FileRow(22, Need.OCTETS, _rawunix),
    "unixheader": FileRow(29, Need.HEAD, lambda item: Memory(item.unix_header())),
}
_PEOPLE = {"bcc": 0, "cc": 2, "from": 11, "replyto": 23, "sender": 24, "to": 26}

FILES = table(
    {name: FileRow(code, need, text(v)) for name, (code, need, v) in _VALUES.items()}
    | {n: FileRow(code, Need.HEAD, _addresses(n)) for n, code in _PEOPLE.items()}
    | _OTHERS
)


def _listed(names: str) -> dict[str, FileRow]:
    return {name: FILES[name] for name in names.split()}


MESSAGE = _listed(
    "type body bcc cc date flags from header info inreplyto lines mimeheader messageid "
    "raw rawunix rawbody rawheader replyto sender subject to unixdate unixheader"
)
_NOT_INSIDE = ("flags", "unixdate", "unixheader")
INSIDE = {name: row for name, row in MESSAGE.items() if name not in _NOT_INSIDE}
PART = _listed("type body filename charset mimeheader raw")


def listed(item: Entity) -> dict[str, FileRow]:
    """Return the files that an item's directory shows."""
    if item.top:
        return MESSAGE
    return INSIDE if item.whole or item.envelope.type in INNER else PART
