"""ENVELOPE: the fields of a header, as sent; RFC 9051 section 7.5.2."""

from mailfs.msg.header import Header
from mailfs.msg.word import unfold
from mailfs.serve.description.address import Address, addresses
from mailfs.serve.description.string import nstring

MAX_VALUE = 64 << 10  # octets of a field's body that are sent


def envelope(header: Header) -> bytes:
    """Return the envelope of a message."""
    from_ = _list(header, b"from")
    fields = [
        _text(header, b"date"),
        _text(header, b"subject"),
        from_,
        _list(header, b"sender") or from_,
        _list(header, b"reply-to") or from_,
        *(_list(header, name) for name in (b"to", b"cc", b"bcc")),
        _text(header, b"in-reply-to"),
        _text(header, b"message-id"),
    ]
    return b"(" + b" ".join(field or b"NIL" for field in fields) + b")"


def text(header: Header, name: bytes) -> bytes | None:
    """Return a field's body on one line, None if there is no such field."""
    found = header.folded(name)
    if not found:
        return None
    return unfold(found[0][:MAX_VALUE]).strip(b" \t\r\n").replace(b"\r", b"")


def _text(header: Header, name: bytes) -> bytes:
    return nstring(text(header, name))


def _list(header: Header, name: bytes) -> bytes:
    """Return an address list, empty where there is none."""
    found = [one for value in header.folded(name) for one in addresses(value)]
    return b"(" + b"".join(map(_address, found)) + b")" if found else b""


def _address(one: Address) -> bytes:
    return b"(" + b" ".join(map(nstring, one)) + b")"
