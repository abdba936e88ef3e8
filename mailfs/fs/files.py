"""The files of a message's directory: one row a file; upasfs(4).

A row says what the file needs and how it is rendered from an item.  Files have no
newline at the end and are empty where there is nothing to say, except as upas/fs
does otherwise: references, the headers and the From_ line.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mailfs.mailbox.message import Need
from mailfs.mailbox.octets import Memory, Octets
from mailfs.mailboxes import flags
from mailfs.mailboxes.entity import Entity
from mailfs.msg import decoded

NO_DIGEST = "<nildigest>"  # what 9front's upas/fs shows for a part
NO_FILEID = "0.00"


@dataclass(frozen=True, slots=True)
class FileRow:
    """One file of a message's directory; code tells it from others in qids."""

    code: int
    need: Need
    render: Callable[[Entity], Octets]
    length: Callable[[Entity], int] | None = None  # where rendering costs more
    mode: int = 0o444


def text(value: Callable[[Entity], str]) -> Callable[[Entity], Octets]:
    """Return a renderer for a file that holds one value."""
    return lambda item: Memory(value(item).encode("utf-8", "replace"))


def _date(item: Entity) -> str:
    return item.envelope.date or item.unix_date()


def _digest(item: Entity) -> str:
    return item.message.digest if item.top else NO_DIGEST


def _fileid(item: Entity) -> str:
    return item.message.fileid if item.top else NO_FILEID


# The lines of info, in order; each is also the file of that name.  Clients know them
# by position; upasfs(4).
INFO: dict[str, tuple[Need, Callable[[Entity], str]]] = {
    "from": (Need.HEAD, lambda item: item.envelope.from_),
    "to": (Need.HEAD, lambda item: item.envelope.to),
    "cc": (Need.HEAD, lambda item: item.envelope.cc),
    "replyto": (Need.HEAD, lambda item: item.envelope.replyto),
    "unixdate": (Need.HEAD, Entity.unix_date),
    "subject": (Need.HEAD, lambda item: item.envelope.subject),
    "type": (Need.HEAD, lambda item: item.envelope.type),
    "disposition": (Need.HEAD, lambda item: item.envelope.disposition),
    "filename": (Need.HEAD, lambda item: item.envelope.filename),
    "digest": (Need.INFO, _digest),
    "bcc": (Need.HEAD, lambda item: item.envelope.bcc),
    "inreplyto": (Need.HEAD, lambda item: item.envelope.inreplyto),
    "date": (Need.HEAD, _date),
    "sender": (Need.HEAD, lambda item: item.envelope.sender),
    "messageid": (Need.HEAD, lambda item: item.envelope.messageid),
    "lines": (Need.INFO, lambda item: str(item.lines())),
    "size": (Need.HEAD, lambda item: str(item.size())),
    "flags": (Need.NOTHING, lambda item: flags.show(item.flags())),
    "fileid": (Need.NOTHING, _fileid),
    "ffrom": (Need.HEAD, lambda item: item.envelope.ffrom),
}


def _info(item: Entity) -> str:
    return "".join(f"{value(item)}\n" for _, value in INFO.values())


def _references(item: Entity) -> str:
    return "".join(f"{one}\n" for one in item.envelope.references)


def _header(item: Entity) -> Octets:
    return Memory(decoded.header(item.header, item.ignore) if item.whole else b"")


def _rawheader(item: Entity) -> Octets:
    return Memory(item.raw_header() if item.whole else b"")


def _mimeheader(item: Entity) -> Octets:
    return Memory(b"" if item.whole else item.raw_header())


def _unixheader(item: Entity) -> Octets:
    return Memory(item.unix_header())


# What is no line of info: what it needs, how it is rendered, how long it is.
_OTHERS: dict[str, tuple[Need, Callable[[Entity], Octets]]] = {
    "body": (Need.WHOLE, Entity.body),
    "header": (Need.HEADER, _header),
    "info": (Need.INFO, text(_info)),
    "mimeheader": (Need.HEADER, _mimeheader),
    "raw": (Need.OCTETS, Entity.raw),
    "rawbody": (Need.OCTETS, Entity.raw_body),
    "rawheader": (Need.HEADER, _rawheader),
    "rawunix": (Need.OCTETS, Entity.raw_unix),
    "references": (Need.HEAD, text(_references)),
    "unixheader": (Need.HEAD, _unixheader),
}

_ROWS = {name: (need, text(value)) for name, (need, value) in INFO.items()} | _OTHERS

FILES: dict[str, FileRow] = {
    name: FileRow(
        code,
        *_ROWS[name],
        length=Entity.body_length if name == "body" else None,
        mode=0o666 if name == "flags" else 0o444,
    )
    for code, name in enumerate(sorted(_ROWS))
}
