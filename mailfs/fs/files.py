"""The files of a message's directory: one row a file; upasfs(4).

A row says what the file needs and how it is rendered from an item.  Files have no
newline at the end and are empty where there is nothing to say, except as upas/fs
does otherwise: references, the headers and the From_ line.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from mailfs.fs.codes import FREE
from mailfs.mailbox.message import Need
from mailfs.mailbox.octets import Memory, Octets
from mailfs.mailboxes import flags
from mailfs.mailboxes.entity import Entity
from mailfs.mailboxes.reading import readable
from mailfs.mailboxes.record import record
from mailfs.msg import decoded

NO_DIGEST = "<nildigest>"  # what 9front's upas/fs shows for a part
NO_FILEID = "0.00"


@dataclass(frozen=True, slots=True)
class FileRow:
    """One file of a message's directory; code is one of fs/codes.FREE, for good."""

    code: int
    need: Need
    render: Callable[[Entity], Octets]
    length: Callable[[Entity], int] | None = None  # where rendering costs more
    mode: int = 0o444
    slow: bool = False  # never rendered on the event loop


def table(rows: dict[str, FileRow]) -> dict[str, FileRow]:
    """Order the rows by name, as directories list them; flags can be written.

    Raises ValueError where two rows have one code, or one that is no file's.
    """
    codes = [row.code for row in rows.values()]
    if len(set(codes)) < len(codes) or not FREE.issuperset(codes):
        raise ValueError(f"codes of files: {sorted(codes)}")
    done = {name: rows[name] for name in sorted(rows)}
    done["flags"] = replace(done["flags"], mode=0o666)
    return done


def text(value: Callable[[Entity], str]) -> Callable[[Entity], Octets]:
    """Make the renderer of a file that holds one value."""
    return lambda item: Memory(value(item).encode("utf-8", "replace"))


def _date(item: Entity) -> str:
    return item.envelope.date or item.unix_date()


def _digest(item: Entity) -> str:
    return item.message.digest if item.top else NO_DIGEST


def _fileid(item: Entity) -> str:
    return item.message.fileid if item.top else NO_FILEID


# The lines of info, in order, each with its code; each is also the file of that name.
# Clients know them by position; upasfs(4).
INFO: dict[str, tuple[int, Need, Callable[[Entity], str]]] = {
    "from": (10, Need.HEAD, lambda item: item.envelope.from_),
    "to": (26, Need.HEAD, lambda item: item.envelope.to),
    "cc": (2, Need.HEAD, lambda item: item.envelope.cc),
    "replyto": (22, Need.HEAD, lambda item: item.envelope.replyto),
    "unixdate": (28, Need.HEAD, Entity.unix_date),
    "subject": (25, Need.HEAD, lambda item: item.envelope.subject),
    "type": (27, Need.HEAD, lambda item: item.envelope.type),
    "disposition": (5, Need.HEAD, lambda item: item.envelope.disposition),
    "filename": (8, Need.HEAD, lambda item: item.envelope.filename),
    "digest": (4, Need.INFO, _digest),
    "bcc": (0, Need.HEAD, lambda item: item.envelope.bcc),
    "inreplyto": (13, Need.HEAD, lambda item: item.envelope.inreplyto),
    "date": (3, Need.HEAD, _date),
    "sender": (23, Need.HEAD, lambda item: item.envelope.sender),
    "messageid": (15, Need.HEAD, lambda item: item.envelope.messageid),
    "lines": (14, Need.INFO, lambda item: str(item.lines())),
    "size": (24, Need.HEAD, lambda item: str(item.size())),
    "flags": (9, Need.NOTHING, lambda item: flags.show(item.flags())),
    "fileid": (7, Need.NOTHING, _fileid),
    "ffrom": (6, Need.HEAD, lambda item: item.envelope.ffrom),
}


def _info(item: Entity) -> str:
    return "".join(f"{value(item)}\n" for _, _, value in INFO.values())


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


# What is no line of info.
_OTHERS: dict[str, FileRow] = {
    "body": FileRow(1, Need.WHOLE, Entity.body, Entity.body_length),
    "header": FileRow(11, Need.HEADER, _header),
    "info": FileRow(12, Need.INFO, text(_info)),
    "mimeheader": FileRow(16, Need.HEADER, _mimeheader),
    "raw": FileRow(17, Need.OCTETS, Entity.raw),
    "rawbody": FileRow(18, Need.OCTETS, Entity.raw_body),
    "rawheader": FileRow(19, Need.HEADER, _rawheader),
    "rawunix": FileRow(20, Need.OCTETS, Entity.raw_unix),
    "references": FileRow(21, Need.HEAD, text(_references)),
    "unixheader": FileRow(29, Need.HEAD, _unixheader),
}

FILES = table(
    {name: FileRow(code, need, text(line)) for name, (code, need, line) in INFO.items()}
    | _OTHERS
)

# What upas/fs does not have: listed for attaches that ask for such names only.
# How long they are is not told before they are read: a listing renders none of them.
OURS: dict[str, FileRow] = {
    "json": FileRow(31, Need.WHOLE, text(record), lambda item: 0, slow=True),
    "text": FileRow(30, Need.WHOLE, text(readable), lambda item: 0, slow=True),
}
