"""The fields of final delivery; RFC 5321 section 4.4.

Return-Path tells the envelope's sender; what a message brings along is another's and
goes.  Stores with a From_ line have the sender there.  Delivered-To tells whose mailbox
it is, so that a message that comes back is known.
"""

from mailfs.msg import block, header
from mailfs.send.mail import NOBODY, headed
from mailfs.site.site import Site
from mailfs.smtp.path import at

_PATH = (b"return-path",)
_DELIVERED = (b"delivered-to",)


def address(site: Site, user: str) -> str:
    """Make the address that Delivered-To has for a user of this machine."""
    return f"{user}@{site.names.domain}"


def looped(text: bytes, to: str) -> bool:
    """Whether a message has been delivered to an address before."""
    head = header.scan(text)
    found = block.bodies(text[head.start : head.end], _DELIVERED)
    return any(body.strip().lower() == to.lower().encode() for _, body in found)


def delivered(
    text: bytes, sender: str, to: str, domain: str, *, envelope: bool
) -> bytes:
    """Give a message the fields of its delivery, and take an old Return-Path away.

    envelope says that the store has the sender in a From_ line; domain qualifies him.
    """
    head = header.scan(text)
    fields = text[head.start : head.end]
    kept = block.without(fields, _PATH)
    if len(kept) != len(fields):
        text = kept + text[head.end :]
    if envelope:
        return text
    path = "" if sender == NOBODY else at(sender, domain)
    front = f"Return-Path: <{path}>\nDelivered-To: {to}\n"
    return front.encode("utf-8", "surrogateescape") + headed(text)
