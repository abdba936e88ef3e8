"""The message a reply answers: read from its directory in a tree of upasfs(4).

Only files that every such server has must be there.
"""

import re
from dataclasses import dataclass

from mailfs.errors import MailfsError, Refused, reason
from mailfs.marshal import tree
from mailfs.msg import address, envelope, header
from mailfs.msg.address import Address

MAX_FILE = 1 << 20  # octets of a header file; beyond lies nothing a reply needs
MAX_REFERENCES = (
    40  # identifiers passed on: the first, which names the thread, and the last
)

_ID = re.compile(r"<([!-;=?-~]+)>")  # what is not ASCII no reader would find again
_RE = re.compile(r"re(?:\[\d+\])?:\s*", re.IGNORECASE)


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
    """Read what a reply needs from the message in a directory; names as in tree.

    Raises MailfsError that begins with the name if it cannot be read.
    """
    try:
        with tree.directory(name) as folder:
            head = header.scan(
                folder.read("rawheader", MAX_FILE).lstrip(b"\n") + b"\n\n"
            )
            ident = folder.read("messageid", MAX_FILE).decode("utf-8", "replace")
    except OSError as e:
        raise MailfsError(f"{name}: {reason(e)}") from e
    except Refused as e:
        raise MailfsError(f"{name}: {e}") from e
    ident = ident.strip().strip("<>") or envelope.identifier(head.raw(b"message-id"))
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


def mark_answered(name: str) -> None:
    """Set the flag answered of the message in a directory.

    Raises MailfsError that begins with the name if that is not granted.
    """
    try:
        with tree.directory(name) as folder:
            folder.mark_answered()
    except OSError as e:
        raise MailfsError(f"{name}: {reason(e)}") from e
    except Refused as e:
        raise MailfsError(f"{name}: {e}") from e


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
