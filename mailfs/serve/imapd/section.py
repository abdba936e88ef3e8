"""The octets of a section: BODY[...], BINARY[...]; RFC 9051 section 6.4.5, RFC 3516."""

from collections.abc import Iterator

from mailfs.mailbox.octets import Memory, Octets, collect, cut
from mailfs.msg import coding
from mailfs.msg.part import Part
from mailfs.serve.description.structure import Tree, inner
from mailfs.serve.imapd.items import Section, Text

KNOWN = frozenset({"", "7bit", "8bit", "binary", "base64", "quoted-printable"})


class UnknownCoding(Exception):
    """A transfer encoding that cannot be undone; NO [UNKNOWN-CTE], RFC 3516."""


def find(tree: Tree, section: Section) -> Octets | None:
    """Return a section's octets, None if the message has no such part."""
    one = tree.find(section.parts)
    if one is None:
        return None
    if section.text is Text.WHOLE:
        if not section.parts:
            return tree.octets
        return cut(tree.octets, one.body, tree.end(one))
    if section.text is Text.MIME:
        return cut(tree.octets, one.start, one.body)
    message = inner(one) if section.parts else one
    if message is None:
        return None
    return _of_message(tree, message, section)


def _of_message(tree: Tree, message: Part, section: Section) -> Octets:
    if section.text is Text.TEXT:
        return cut(tree.octets, message.body, tree.end(message))
    if section.text is Text.HEADER:
        return cut(tree.octets, message.start, message.body)
    wanted = {name.lower() for name in section.fields}
    keep = section.text is Text.FIELDS
    lines = [
        line
        for line in tree.header(message).lines
        if (line.partition(b":")[0].rstrip(b" \t").lower() in wanted) is keep
    ]
    return Memory(b"".join(line + b"\n" for line in lines) + b"\r\n")


def decoded(tree: Tree, section: Section) -> Octets | None:
    """Return a part without its transfer encoding.  Raises UnknownCoding."""
    one = tree.find(section.parts)
    if one is None:
        return None
    if not section.parts:
        return tree.octets
    octets = cut(tree.octets, one.body, tree.end(one))
    if one.type.startswith(("multipart/", "message/")):
        return octets
    if one.encoding not in KNOWN:
        raise UnknownCoding
    if not coding.kind(one.encoding):
        return octets
    decoder = coding.Decoder(one.encoding)
    return collect(_pieces(octets, decoder))


def _pieces(octets: Octets, decoder: coding.Decoder) -> Iterator[bytes]:
    for piece in octets.pieces(0, len(octets)):
        yield decoder.feed(piece)
    yield decoder.feed(b"", final=True)
