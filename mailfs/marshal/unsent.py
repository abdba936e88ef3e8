"""What is kept of a letter that was not sent, so that it can be mended and sent again.

``mailfs send -t`` and ``mailfs mail`` both take it: its header names who is to get it,
blind copies too, for nobody but its author reads it; its files are in it.
"""

import os
from collections.abc import Iterable, Sequence

from mailfs.errors import MailfsError
from mailfs.marshal import draft
from mailfs.marshal.attachment import Attachment
from mailfs.marshal.compose import ComposedMail, Order
from mailfs.marshal.content import content, is_content
from mailfs.marshal.draft import Draft
from mailfs.marshal.entity import Token
from mailfs.msg import address, field, header
from mailfs.msg.address import Address
from mailfs.msg.field import DESTINATIONS


def composed(mail: ComposedMail, refused: Sequence[str] = ()) -> bytes:
    """Return a composed message that names all who were to get it.

    If only some were refused, Resent-To names those, for the others have it.
    """
    if refused and set(refused) < set(mail.recipients):
        boxes = [Address("", one) for one in refused]
        return _addressed("Resent-To", boxes) + mail.octets
    head = header.scan(mail.octets)
    values = [v for name in DESTINATIONS for v in head.folded(name.encode())]
    shown = {box.addr for box in address.addresses(values)}
    hidden = [Address("", one) for one in mail.recipients if one not in shown]
    if any(line[:7].lower() == b"resent-" for line in head.lines):
        return mail.octets
    return (_addressed("Bcc", hidden) if hidden else b"") + mail.octets


def _addressed(name: str, boxes: Iterable[Address]) -> bytes:
    try:
        return field.addresses(name, boxes)
    except MailfsError:  # one that no line of a message can hold
        told = ", ".join(box.addr for box in boxes)
        return _plain(name, told.encode("utf-8", "replace"))


def typed(text: bytes, order: Order, token: Token) -> bytes:
    """Return a text as it was typed, with what options added to it.

    A file that cannot be read is left as a line Attach or Include.
    """
    try:
        told, files = draft.attachments(draft.typed(text))
    except MailfsError:
        return text  # over-long header; it is all in there
    files = [*order.files, *files]
    readable, missing = _sorted(files)
    head = [_plain(name, value) for name, value in _listed(told, order)]
    head += [
        _plain(
            "Include" if one.inline else "Attach", _path(one).encode(errors="replace")
        )
        for one in missing
    ]
    kept = Draft(tuple(f for f in told.fields if is_content(f[0])), told.body)
    if readable:
        try:
            body = content(kept, readable, token).octets()
        except MailfsError:
            return _whole(head, kept, [*readable])
        return b"".join(head) + b"MIME-Version: 1.0\n" + body
    return _whole(head, kept, ())


def _whole(head: list[bytes], kept: Draft, files: Iterable[Attachment]) -> bytes:
    lines = [*head, *(_plain(name, value) for name, value in kept.fields)]
    lines += [_plain("Attach", _path(one).encode(errors="replace")) for one in files]
    return b"".join(lines) + (b"\n" if lines else b"") + kept.body


def _sorted(files: Iterable[Attachment]) -> tuple[list[Attachment], list[Attachment]]:
    readable, missing = [], []
    for one in files:
        try:
            one.check()
        except MailfsError:
            missing.append(one)
        else:
            readable.append(one)
    return readable, missing


def _path(file: Attachment) -> str:
    return os.path.abspath(file.path) if os.path.exists(file.path) else file.path


def _listed(told: Draft, order: Order) -> list[tuple[str, bytes]]:
    """List the fields, those of a list of addresses once, options' words in them."""
    options = {"to": order.to, "cc": order.cc, "bcc": order.bcc}
    parent = order.parent
    if parent is not None and not (order.to or order.cc or told.has("to")):
        options["to"] = tuple(field.show(box) for box in parent.replyto)
    out = [
        (name, value)
        for name, value in told.fields
        if name.lower() not in DESTINATIONS and not is_content(name)
    ]
    for name in DESTINATIONS:
        words = [word.encode("utf-8", "replace") for word in options[name]]
        values = [value.strip() for value in told.all(name)] + words
        if values:
            out.append((name.capitalize(), b" " + b", ".join(values)))
    subject = order.subject or (parent.subject if parent else "")
    if subject and not told.has("subject"):
        out.append(("Subject", b" " + subject.encode("utf-8", "replace")))
    if parent is not None and parent.messageid and not told.has("in-reply-to"):
        out.append(("In-Reply-To", f" <{parent.messageid}>".encode("utf-8", "replace")))
    if parent is not None and parent.references and not told.has("references"):
        ids = " ".join(f"<{one}>" for one in parent.references)
        out.append(("References", f" {ids}".encode("utf-8", "replace")))
    return out


def _plain(name: str, value: bytes) -> bytes:
    """Make a field whatever is in the value; a line end in it becomes a fold."""
    lines = value.replace(b"\r", b" ").split(b"\n")
    folded = b"\n".join([lines[0], *(b" " + one.lstrip() for one in lines[1:])])
    return name.encode() + b":" + (b"" if folded[:1] == b" " else b" ") + folded + b"\n"
