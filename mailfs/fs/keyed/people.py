"""Who wrote a message and to whom, as pairs of a name and an address.

The dialect takes them from an IMAP envelope, where Sender and Reply-To are never
empty: both fall back on From; RFC 3501 section 7.4.2.
"""

from collections.abc import Iterable

from mailfs.attr import quote
from mailfs.mailboxes.entity import INNER, Entity
from mailfs.msg.address import Address, addresses
from mailfs.msg.envelope import Envelope, hint

FIELDS = {
    "from": b"from",
    "sender": b"sender",
    "replyto": b"reply-to",
    "to": b"to",
    "cc": b"cc",
    "bcc": b"bcc",
}
People = dict[str, list[Address]]


def voice(item: Entity) -> Entity | None:
    """Return the message that a directory speaks of; None for a part with no header.

    A part that wraps a message speaks of that.
    """
    if item.whole:
        return item
    if item.envelope.type not in INNER:
        return None
    return next(iter(item.children()), None)


def people(item: Entity) -> People:
    """Return the addresses of an item by the names of their files."""
    said = voice(item)
    if said is None:
        return {}
    header = said.fields
    of_text = hint(header)
    found = {name: addresses(header.folded(f), of_text) for name, f in FIELDS.items()}
    return _settled(found, said.envelope)


def _bare(addrs: str) -> list[Address]:
    return [Address("", addr) for addr in addrs.split()]


def _settled(found: People, values: Envelope) -> People:
    # A group without members is nobody to answer to.
    for name, boxes in found.items():
        found[name] = [box for box in boxes if not box.addr.endswith(":;")]
    # Without From, the envelope has the sender that the store knows.
    found["from"] = found["from"] or _bare(values.from_)
    found["sender"] = found["sender"] or found["from"]
    # A list's Sender is where its bounces go; RFC 5322 section 3.6.2.
    found["replyto"] = found["replyto"] or found["from"]
    return found


def pairs(boxes: Iterable[Address]) -> str:
    """Return addresses as quoted words: a name, its address, the next name.

    A name that is missing is ``''``; one in a comment counts.
    """
    return " ".join(
        f"{quote(box.name or box.comment)} {quote(box.addr)}"
        for box in boxes
        if box.addr
    )


def line(boxes: Iterable[Address]) -> str:
    """Return addresses as a header shows them: ``Name <address>, address``."""
    return ", ".join(_shown(box) for box in boxes if box.addr)


def _shown(box: Address) -> str:
    name = box.name or box.comment
    return f"{name} <{box.addr}>" if name else box.addr
