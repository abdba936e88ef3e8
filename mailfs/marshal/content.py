"""What a message holds below its header: the text, and the files that go with it."""

from collections.abc import Iterable

from mailfs.marshal import entity
from mailfs.marshal.attachment import Attachment
from mailfs.marshal.draft import Draft
from mailfs.marshal.entity import Entity, Token
from mailfs.msg import field, param
from mailfs.msg.word import unfold

_IDENTITY = ("", "7bit", "8bit", "binary")
_OURS = ("content-type", "content-transfer-encoding")
_COMPOSITE = ("multipart/", "message/")
_EIGHT = b"Content-Transfer-Encoding: 8bit\n"
_INLINE = b"Content-Disposition: inline\n"


def is_content(name: str) -> bool:
    """Whether a field describes the content, and so goes where that goes."""
    return name[:8].lower() == "content-"


def content(
    draft: Draft, files: Iterable[Attachment], token: Token, *, seven: bool = False
) -> Entity:
    """Return the body, alone or with files in a multipart/mixed.

    A blank body is left out if there are files.  With seven nothing is in 8 bits that
    need not be.  Raises MailfsError if a file cannot
    be read.
    """
    made = [file.entity(seven=seven) for file in files]
    if not made:
        return _body(draft, b"", seven=seven)
    if draft.body.strip():
        placed = draft.has("content-disposition")
        made.insert(0, _body(draft, b"" if placed else _INLINE, seven=seven))
    return entity.multipart(entity.MIXED, made, token)


def _body(draft: Draft, more: bytes, *, seven: bool) -> Entity:
    """Return the body as the draft's Content- fields describe it.

    What is encoded already, or has parts, stays as it is.
    """
    told = {name.lower(): value for name, value in draft.fields if is_content(name)}
    more = (
        b"".join(
            field.raw(name, value)
            for name, value in draft.fields
            if is_content(name) and name.lower() not in _OURS
        )
        + more
    )
    said = told.get("content-type")
    encoding = unfold(told.get("content-transfer-encoding", b"")).decode("latin-1")
    type, params = param.media(None if said is None else unfold(said))
    if encoding.lower() not in _IDENTITY or type.startswith(_COMPOSITE):
        fields = b"" if said is None else field.raw("Content-Type", said)
        if encoding.lower() not in _IDENTITY:
            fields += field.text("Content-Transfer-Encoding", encoding)
        elif not draft.body.isascii():
            fields += _EIGHT
        return Entity(fields + more, _ended(draft.body))
    if type.startswith("text/"):
        return entity.text(draft.body, type, params, more, seven=seven)
    return entity.encoded(draft.body, type, params, more)


def _ended(body: bytes) -> bytes:
    return body if not body or body.endswith(b"\n") else body + b"\n"
