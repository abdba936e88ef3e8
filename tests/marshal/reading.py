"""Messages read back by our own reader and by the standard library's, side by side."""

import email
import email.policy
from dataclasses import dataclass
from typing import Any

from mailfs.msg import coding, header, part
from mailfs.msg.part import Part


@dataclass(frozen=True)
class Leaf:
    """A part that has no parts."""

    type: str
    filename: str
    octets: bytes


def leaves(octets: bytes) -> list[Leaf]:
    """Return the leaves as our reader finds them, messages inside taken as they are."""
    return list(_ours(octets, part.parse(octets)))


def _ours(octets: bytes, tree: Part, *, inside: bool = False) -> list[Leaf]:
    if tree.type.startswith("multipart/"):
        parts = tree.parts
        return [leaf for one in parts for leaf in _ours(octets, one, inside=True)]
    body = octets[tree.body : tree.end]
    if inside:  # as upas/fs we count the boundary's newline in; RFC 2046 section 5.1.1
        body = body.removesuffix(b"\n")
    body = coding.decode(body, tree.encoding)
    return [Leaf(tree.type, tree.filename, body)]


def theirs(octets: bytes) -> list[Leaf]:
    """Return the leaves as the standard library finds them, defects being errors."""
    policy = email.policy.default.clone(linesep="\n")
    return _theirs(email.message_from_bytes(octets, policy=policy))


def _theirs(message: Any) -> list[Leaf]:
    assert message.defects == []
    kind = message.get_content_type()
    name = (message.get_filename() or "").replace(" ", "_")
    payload = message.get_payload()
    if kind == "message/rfc822":
        assert isinstance(payload, list)
        return [Leaf(kind, name, payload[0].as_bytes())]
    if message.is_multipart():
        assert isinstance(payload, list)
        return [leaf for one in payload for leaf in _theirs(one)]
    body = message.get_payload(decode=True)
    assert isinstance(body, bytes)
    return [Leaf(kind, name, body)]


def both(octets: bytes) -> list[Leaf]:
    """Return the leaves, after checking that both readers find the same."""
    found = leaves(octets)
    assert found == theirs(octets)
    check_lines(octets)
    return found


def check_lines(octets: bytes) -> None:
    """Check what every mail server relies on."""
    assert octets.endswith(b"\n")
    assert b"\r" not in octets
    assert b"\0" not in octets
    assert max(map(len, octets.split(b"\n"))) <= 998
    assert header.scan(octets).raw(b"mime-version") == b"1.0"


def field(octets: bytes, name: str) -> bytes | None:
    """Return a field of the message's header on one line."""
    return header.scan(octets).raw(name.encode())
