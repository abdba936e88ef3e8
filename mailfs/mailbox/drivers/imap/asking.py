"""A condition of a query as an IMAP server is asked for it; RFC 9051 section 6.4.4.

A server looks for a piece of text anywhere in a field, where we look for words: it
may find more.  Gmail's own search (X-GM-RAW) looks for words as well.
"""

from mailfs.query.tree import (
    ANYWHERE,
    Attached,
    Identifier,
    Leaf,
    MailingList,
    Text,
    Thread,
)

GMAIL = "X-GM-EXT-1"  # the capability that names its extensions

_KEYS = {
    ANYWHERE: b"TEXT ",
    "from": b"FROM ",
    "to": b"TO ",
    "cc": b"CC ",
    "bcc": b"BCC ",
    "subject": b"SUBJECT ",
    "body": b"BODY ",
}


def key(leaf: Leaf, *, gmail: bool) -> list[bytes | str] | None:
    """Return the search key for a condition, in pieces; None if there is none.

    What is not asked of octets (flags, dates, sizes) is told by the listing.
    """
    match leaf:
        case Text(field="file", said=said) if gmail:
            return [b"X-GM-RAW ", f'filename:"{_bare(said)}"']
        case Text(field=field, said=said) if gmail and field == ANYWHERE:
            return [b"X-GM-RAW ", f'"{_bare(said)}"']
        case Text(field=field, said=said) if field in _KEYS and said:
            return [_KEYS[field], said]
        case Identifier(value):
            return [b"HEADER Message-ID ", value]
        case MailingList(value):
            return [b"HEADER List-Id ", value]
        case Thread(value):
            return [b"OR HEADER References ", value, b" HEADER Message-ID ", value]
        case Attached() if gmail:
            return [b"X-GM-RAW ", "has:attachment"]
        case Attached():  # as near as it comes
            return [b"HEADER Content-Type ", "multipart/mixed"]
    return None


def _bare(said: str) -> str:
    return said.replace('"', " ").replace("\\", " ")
