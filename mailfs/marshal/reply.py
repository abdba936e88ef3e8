"""The message a reply answers: read from its directory in a tree of upasfs(4).

The directory is one of the machine's, when the tree is mounted, or one in a server's,
as ``upasfs/mbox/3``.  Only files that every such server has must be there.
"""

import os
import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from mailfs.errors import MailfsError, Refused, reason
from mailfs.msg import address, envelope, header
from mailfs.msg.address import Address
from mailfs.p9.client import Client
from mailfs.where import DialString as Dial
from mailfs.where import namespace

MAX_FILE = 1 << 20  # octets of a header file; beyond lies nothing a reply needs
MAX_REFERENCES = (
    40  # identifiers passed on: the first, which names the thread, and the last
)
MOUNTED = "/mail/fs/"  # where Plan 9 has the tree of SERVICE
SERVICE = "upasfs"

_ID = re.compile(r"<([!-;=?-~]+)>")  # what is not ASCII no reader would find again
_RE = re.compile(r"re(?:\[\d+\])?:\s*", re.IGNORECASE)

Read = Callable[[str], bytes]
"""Return a file of the directory, by name.  Raises MailfsError or OSError."""


@dataclass(frozen=True, slots=True)
class Parent:
    """What a reply takes from the message it answers."""

    name: str  # the directory, as it was given
    messageid: str = ""  # without brackets
    references: tuple[str, ...] = ()  # what the reply's References shall hold
    subject: str = ""  # decoded, of the reply: it begins with Re:
    replyto: tuple[Address, ...] = ()
    others: tuple[Address, ...] = ()  # To and Cc


def parent(name: str) -> Parent:
    """Return what the message in a directory says.

    Raises MailfsError that begins with the name if it cannot be read.
    """
    if os.path.isdir(name):
        return _parent(name, lambda file: _of_disk(os.path.join(name, file)))
    service, _, path = _served(name)
    if not path:
        raise MailfsError(f"{name}: no message directory")
    try:
        client = Client(Dial("unix", str(namespace() / service)))
    except MailfsError as e:
        raise MailfsError(f"{name}: {e}") from e
    with closing(client):
        return _parent(name, lambda file: _of_server(client, f"{path}/{file}"))


def _served(name: str) -> tuple[str, str, str]:
    if name.startswith(MOUNTED):
        return SERVICE, "/", name.removeprefix(MOUNTED)
    return name.strip("/").partition("/")


def _of_disk(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(MAX_FILE)


def _of_server(client: Client, path: str) -> bytes:
    out = b""
    with client.open(path) as file:
        while len(out) < MAX_FILE and (data := file.read(file.iounit)):
            out += data
    return out[:MAX_FILE]


def _parent(name: str, read: Read) -> Parent:
    try:
        head = header.scan(read("rawheader").lstrip(b"\n") + b"\n\n")
        ident = read("messageid").decode("utf-8", "replace").strip().strip("<>")
    except OSError as e:
        raise MailfsError(f"{name}: {reason(e)}") from e
    except Refused as e:
        raise MailfsError(f"{name}: {e}") from e
    ident = ident or envelope.identifier(head.raw(b"message-id"))
    values = envelope.envelope(head)
    authors = head.folded(b"reply-to") or head.folded(b"from") or head.folded(b"sender")
    return Parent(
        name,
        ident,
        chain(head, ident),
        answer(values.subject),
        tuple(address.addresses(authors)),
        tuple(address.addresses(head.folded(b"to") + head.folded(b"cc"))),
    )


def chain(head: header.Header, ident: str) -> tuple[str, ...]:
    """Return the References of a reply to the message; RFC 5322 section 3.6.4."""
    known = _ids(head, b"references")
    if not known:
        known = _ids(head, b"in-reply-to")
        if len(known) != 1:
            known = []
    ids = list(dict.fromkeys(one for one in known if one != ident))
    if ident:
        ids.append(ident)
    if len(ids) > MAX_REFERENCES:
        ids = [ids[0], *ids[1 - MAX_REFERENCES :]]
    return tuple(ids)


def _ids(head: header.Header, name: bytes) -> list[str]:
    found = b" ".join(head.all(name)).decode("utf-8", "replace")
    return _ID.findall(found)


def answer(subject: str) -> str:
    """Return the subject of a reply: one Re: however many there were."""
    bare = subject
    while m := _RE.match(bare):
        bare = bare[m.end() :]
    return f"Re: {bare}".rstrip()
