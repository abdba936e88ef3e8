"""What a message's files and its info say of its header; upasfs(4).

The values are text without newlines, empty where the header says nothing.  As in
9front, addresses are bare and identifiers have no brackets; unlike there, encoded
words are decoded after addresses are parsed, and repeated address fields count.
"""

import re
from typing import Any, NamedTuple

from mailfs.msg import param
from mailfs.msg.address import addresses, bare
from mailfs.msg.header import Header
from mailfs.msg.part import Part, placing
from mailfs.msg.word import MAX_TEXT, line, unfold, words

MAX_REFERENCES = 10  # the newest are kept, as upas/fs keeps them

_USUAL_ID = re.compile(rb"\A *<([!-;@-~]+)>")
_ID = re.compile(rb"<([^<>]*)>")
_BLANK = re.compile(rb"[ ,]+")


class Envelope(NamedTuple):
    """The values in the order of info, then those that info lacks.

    from_ and replyto fall back as reading a mail needs; date is the field's own text.
    """

    from_: str = ""
    to: str = ""
    cc: str = ""
    replyto: str = ""
    subject: str = ""
    type: str = param.DEFAULT
    disposition: str = ""
    filename: str = ""
    bcc: str = ""
    inreplyto: str = ""
    date: str = ""
    sender: str = ""
    messageid: str = ""
    ffrom: str = ""
    references: tuple[str, ...] = ()


def envelope(header: Header, sender: str = "") -> Envelope:
    """Return the envelope of a message; sender is the one its From_ line names."""
    get = header.folded
    kind, params = param.media(header.raw(b"content-type"))
    hint = params.get("charset")
    from_, ffrom = _author(get(b"from"), hint)
    said = _bare(get(b"sender"))
    subject = get(b"subject")
    date = get(b"date")
    disposition, filename = placing(header, params)
    return Envelope(
        from_ or sender,
        _bare(get(b"to")),
        _bare(get(b"cc")),
        _bare(get(b"reply-to")) or from_ or said or sender,
        words(subject[0], hint) if subject else "",
        kind,
        disposition,
        filename,
        _bare(get(b"bcc")),
        _identifier(get(b"in-reply-to")),
        line(date[0]) if date else "",
        said,
        _identifier(get(b"message-id")),
        ffrom,
        references(get(b"references")),
    )


def hint(header: Header) -> str | None:
    """Return the charset of a message's text, which its header may be in too."""
    return param.media(header.raw(b"content-type"))[1].get("charset")


def _bare(values: list[bytes]) -> str:
    return bare(values) if values else ""


def _identifier(values: list[bytes]) -> str:
    return identifier(values[0]) if values else ""


def _author(values: list[bytes], hint: str | None) -> tuple[str, str]:
    """Return the addresses of From and their display names."""
    boxes = addresses(values, hint)
    return (
        " ".join([box.addr for box in boxes if box.addr]),
        ", ".join([box.name for box in boxes if box.name]),
    )


def of_part(part: Part) -> Envelope:
    """Return the envelope of a MIME part, which says nothing but what it is."""
    return Envelope(
        type=part.type, disposition=part.disposition, filename=part.filename
    )


def promote(wrapper: Envelope, child: Envelope) -> Envelope:
    """Return wrapper with what the message in it says, if it says nothing itself."""
    if wrapper.from_ or wrapper.sender or wrapper.replyto:
        return wrapper
    return wrapper._replace(
        from_=child.from_,
        to=child.to,
        date=child.date,
        sender=child.sender,
        replyto=child.replyto,
        subject=child.subject,
    )


def identifier(value: bytes | None) -> str:
    """Return the first message identifier of a field body, without its brackets.

    A body without brackets is taken whole, blanks removed.
    """
    if not value:
        return ""
    value = value[:MAX_TEXT]
    m = _USUAL_ID.search(value)
    if m is None:
        value = _plain(value)
        m = _ID.search(value)
    return _text(m[1] if m is not None else value)


def references(values: list[bytes]) -> tuple[str, ...]:
    """Return the identifiers of References fields, oldest first.

    One that is repeated counts where it comes first; MAX_REFERENCES in all.
    """
    if not values:
        return ()
    ids: dict[str, None] = {}
    for value in values:
        value = _plain(value[-MAX_TEXT:])  # the newest come last
        found = _ID.findall(value) or _BLANK.split(value)
        for octets in found[-4 * MAX_REFERENCES :]:
            text = _text(octets)
            if text:
                ids[text] = None
    return tuple(ids)[-MAX_REFERENCES:]


def _plain(value: bytes) -> bytes:
    """Undo encoded words, which some put around identifiers against RFC 2047."""
    return words(value).encode() if b"=?" in value else unfold(value)


def _text(octets: bytes) -> str:
    return line(octets).replace(" ", "")


def join(env: Envelope) -> str:
    """Return the values as text, one a line, references in one."""
    return "\n".join([*env[:-1], " ".join(env.references)])


def split(text: str) -> Envelope:
    """Undo join().  Raises ValueError for text that join() never makes."""
    values: list[Any] = text.split("\n")
    if len(values) != len(Envelope._fields):
        raise ValueError("not an envelope")
    values[-1] = tuple(values[-1].split(" ")) if values[-1] else ()
    return Envelope._make(values)
