"""What the sender wrote: header fields, then a body; marshal(1).

A text typed by hand begins with as many header lines as are known for such, and the
first other line begins the body: ``note: hi`` is no header.  A message that a program
made begins with a header as RFC 5322 has it.
"""

import re
from dataclasses import dataclass, replace

from mailfs.errors import MailfsError
from mailfs.marshal.attachment import Attachment
from mailfs.msg import address, fromline, header
from mailfs.msg.address import Address
from mailfs.msg.word import unfold

FILES = ("attach", "include")
MAX_FIELDS = 100_000  # of one header; real ones have under 500

# What 9front's marshal takes for a header line, and what is common since.
_KNOWN = re.compile(
    rb"(?:from|to|cc|bcc|reply-to|in-reply-to|references|sender|date|subject|priority|"
    rb"importance|message-id|precedence|attach|include|keywords|comments|organization|"
    rb"user-agent|autocrypt|auto-submitted|disposition-notification-to|"
    rb"(?:mime|content|x|list|resent)-[!-9;-~]*)[ \t]*:",
    re.IGNORECASE,
)
_FIELD = re.compile(rb"([!-9;-~]{1,998})[ \t]*:")


@dataclass(frozen=True, slots=True)
class Draft:
    """Fields as they were written, in order, and the body with LF line ends."""

    fields: tuple[tuple[str, bytes], ...] = ()
    body: bytes = b""

    def all(self, name: str) -> list[bytes]:
        """Return all values of a field, whose name is given in lower case."""
        return [value for told, value in self.fields if told.lower() == name]

    def has(self, name: str) -> bool:
        """Whether there is such a field."""
        return bool(self.all(name))

    def without(self, *names: str) -> "Draft":
        """Make a copy without the fields of those names, given in lower case."""
        kept = tuple(one for one in self.fields if one[0].lower() not in names)
        return replace(self, fields=kept)

    def addresses(self, *names: str) -> list[Address]:
        """Return the addresses in fields of those names, groups that are empty not."""
        values = [value for name in names for value in self.all(name)]
        boxes = address.addresses(values)
        return [box for box in boxes if box.addr.rstrip(";")[-1:] != ":"]


def typed(text: bytes) -> Draft:
    """Take a text apart that a person wrote.

    A blank line may stand between header and body and need not; a From_ line before a
    header, as a letter in an mbox has it, is dropped.  Raises MailfsError if there are
    more than MAX_FIELDS header lines.
    """
    text = text.replace(b"\r\n", b"\n")
    first, _, rest = text.partition(b"\n")
    if (
        first.startswith(b"From ")
        and _KNOWN.match(rest)
        and fromline.parse(first + b"\n")
    ):
        text = rest
    fields: list[tuple[str, bytes]] = []
    at = 0
    while at < len(text):
        end = text.find(b"\n", at) + 1 or len(text)
        line = text[at:end].removesuffix(b"\n")
        if fields and line[:1] in b" \t" and line.strip():
            fields[-1] = (fields[-1][0], fields[-1][1] + b"\n" + line)
        elif _KNOWN.match(line):
            fields.append(_split(line))
            _bounded(fields)
        else:
            break
        at = end
    else:
        return Draft(tuple(fields), text[at:])
    body = text[at:]
    return Draft(tuple(fields), body.removeprefix(b"\n") if fields else body)


def message(text: bytes) -> Draft:
    """Take a message apart that a program wrote; its header ends at an empty line.

    Raises MailfsError with the number of a line there that is no header field.
    """
    text = text.replace(b"\r\n", b"\n")
    head, _, body = (b"\n" + text).partition(b"\n\n")
    fields: list[tuple[str, bytes]] = []
    for number, line in enumerate(head[1:].removesuffix(b"\n").split(b"\n"), 1):
        if fields and line[:1] in (b" ", b"\t"):
            fields[-1] = (fields[-1][0], fields[-1][1] + b"\n" + line)
        elif _FIELD.match(line):
            fields.append(_split(line))
            _bounded(fields)
        elif not fields and line.startswith((b"From ", b">From ")):
            continue
        else:
            raise MailfsError(f"line {number} is no header field")
    return Draft(tuple(fields), body)


def malformed(text: bytes) -> list[int]:
    """List the numbers, from 1, of lines of a headers file that are no header field.

    A line that goes on with a field begins with a blank; blank lines do not matter.
    """
    wrong = []
    inside = False
    for number, line in enumerate(text.replace(b"\r\n", b"\n").split(b"\n"), 1):
        if not line.strip():
            continue
        if line[:1] in (b" ", b"\t"):
            fits = inside
        else:
            fits = inside = _FIELD.match(line) is not None
        if not fits or b"\0" in line or b"\r" in line:
            wrong.append(number)
    return wrong


def fields(text: bytes) -> tuple[tuple[str, bytes], ...]:
    """Read the fields in the text of a headers file; blank lines do not matter.

    Raises MailfsError with the number of a line that is no field.
    """
    wrong = malformed(text)
    if wrong:
        raise MailfsError(f"line {wrong[0]} is no header field")
    lines = text.replace(b"\r\n", b"\n").split(b"\n")
    scanned = header.scan(b"".join(line + b"\n" for line in lines if line.strip()))
    return tuple((name.decode(), value) for name, value in scanned.fields)


def attachments(draft: Draft) -> tuple[Draft, list[Attachment]]:
    """Take out the fields Attach and Include, which name files as -a and -A do."""
    files = [
        Attachment(
            unfold(value).decode("utf-8", "surrogateescape"), None, name == "include"
        )
        for told, value in draft.fields
        if (name := told.lower()) in FILES and value.strip()
    ]
    return draft.without(*FILES), files


def _bounded(fields: list[tuple[str, bytes]]) -> None:
    if len(fields) > MAX_FIELDS:
        raise MailfsError(f"more than {MAX_FIELDS} header fields")


def _split(line: bytes) -> tuple[str, bytes]:
    name, _, value = line.partition(b":")
    return name.rstrip().decode("ascii", "replace"), value
