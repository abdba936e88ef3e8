"""The message that is being sent: its envelope sender, date, and octets.

A message that comes from another program (``send -r``) begins with From_ lines that say
who sent it and by which way; others get the header lines they lack.
"""

import pwd
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from mailfs.msg import address, block, date, fromline, header
from mailfs.msg.header import Header
from mailfs.msg.word import unfold
from mailfs.send.address import own, valid
from mailfs.send.refusal import SYNTAX, TOO_FAR, TOO_LONG, permanent
from mailfs.site.site import Site

MAX_MESSAGE = 128 << 20  # octets; upas' limit
MAX_RECEIVED = 32  # Received: fields after which it goes in circles
MAX_HOPS = 64  # From_ lines at the start of one message
NOBODY = "/dev/null"  # the sender of what must not be answered
_FOLD = 70  # characters of a To: line after which it is folded
_REMOTE = re.compile(rb"[ \t]+remote from(?:[ \t]+([^\s]*))?[ \t]*\r?\n?\Z")
_BULK = frozenset({b"bulk", b"list", b"junk"})


@dataclass(frozen=True, slots=True)
class Mail:
    """A message on its way: text is header and body, with LF, without From_ line."""

    sender: str
    date: int  # seconds since the epoch
    text: bytes
    size: int  # octets as given, for the log
    bulk: bool  # nobody is told if it cannot be delivered
    header: Header


def read(site: Site, data: bytes, sender: str | None, *, relayed: bool) -> Mail:
    """Take the octets of a message apart.

    relayed: leading ``From SENDER DATE remote from SYSTEM`` lines give sender and date.
    sender, if given, counts more than they do.  Raises Refusal if the message is too
    long or has come too far, or if that is no address.
    """
    if len(data) > MAX_MESSAGE:
        raise permanent(TOO_LONG)
    if b"\r\n" in data[: data.find(b"\n") + 1]:
        data = data.replace(b"\r\n", b"\n")
    who, when, text = site.sender, int(site.clock()), data
    if relayed:
        who, when, text = _hops(data, who, when)
    elif data.startswith(b"From ") and _parsed(data.partition(b"\n")[0]):
        text = data.partition(b"\n")[2]
    if sender is not None:
        who = sender or NOBODY
    who = who.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if not valid(who):
        raise permanent(SYNTAX)
    head = header.scan(text)
    if len(head.all(b"received")) > MAX_RECEIVED:
        raise permanent(TOO_FAR)
    said = {value.strip().lower() for value in head.all(b"precedence")}
    bulk = who == NOBODY or bool(said & _BULK)
    return Mail(who, when, text, len(text), bulk, head)


def _parsed(line: bytes) -> fromline.FromLine | None:
    return fromline.parse(line + b"\n")


def _hops(data: bytes, who: str, when: int) -> tuple[str, int, bytes]:
    """Consume From_ lines; the last one names the sender, all of them the way."""
    way, sender, epoch = "", "", when
    for number in range(MAX_HOPS):
        line, _, rest = data.partition(b"\n")
        bare = line.removeprefix(b">")
        if not bare.startswith(b"From "):
            break
        remote = _REMOTE.search(bare)
        if remote is None and number:
            break
        found = _parsed(bare if remote is None else bare[: remote.start()])
        if found is None:
            break
        system = b"" if remote is None else remote[1] or b""
        way += f"{system.decode('utf-8', 'surrogateescape')}!" if system else ""
        sender, epoch, data = found.sender, found.epoch, rest
    return (way + sender if sender else who), epoch, data


def envelope(mail: Mail, site: Site, *, remote: bool) -> bytes:
    """Return the From_ line: for a mailbox, or as one program gives it to the next."""
    line = fromline.make(mail.sender, mail.date, site.local)
    if not remote:
        return line
    system = site.names.site.encode("utf-8", "surrogateescape")
    return line.rstrip(b"\n") + b" remote from " + system + b"\n"


def complete(mail: Mail, site: Site, to: Sequence[str], name: str = "") -> Mail:
    """Give a message the header lines that it lacks; send(8) without -r.

    to are the addresses for a ``To:`` line, none if there is to be none; name is the
    sender's full name.  Bcc and Resent-Bcc go.  A body without a header gets the
    empty line that keeps it apart.
    """
    head, text = mail.header, mail.text
    whole = text[head.start : head.end]
    made: list[bytes] = []

    def lacks(name: bytes) -> bool:
        return head.raw(name) is None and not block.bodies(whole, (name,))

    def add(name: str, value: str) -> None:
        made.append(f"{name}: {value}\n".encode("utf-8", "surrogateescape"))

    if lacks(b"date"):
        add("Date", date.rfc822(mail.date, site.local))
    if lacks(b"message-id"):
        add("Message-ID", f"<{site.random(16).hex()}@{site.names.domain}>")
    if lacks(b"mime-version") and not text.isascii():
        add("MIME-Version", "1.0")
        add("Content-Type", f'text/plain; charset="{_charset(text)}"')
        add("Content-Transfer-Encoding", "8bit")
    if to and not any(block.bodies(whole, (b"to", b"cc"))):
        add("To", _folded([own(text) for text in to]))
    if lacks(b"from"):
        add("From", _from(mail.sender, site, name))
    text = b"".join(made) + headed(_without_blind(text, head))
    return replace(mail, text=text, header=header.scan(text))


def recipients(mail: Mail) -> list[str]:
    """Return the addresses in To, Cc and Bcc, or in the Resent- fields if any."""
    head = mail.text[mail.header.start : mail.header.end]
    for prefix in (b"resent-", b""):
        names = [prefix + name for name in (b"to", b"cc", b"bcc")]
        bodies = block.bodies(head, names)
        values = [unfold(body) for name in names for n, body in bodies if n == name]
        found = [a.addr for a in address.addresses(values)]
        found = [addr for addr in found if addr and not addr.endswith(";")]
        if found:
            return found
    return []


def _charset(text: bytes) -> str:
    with suppress(UnicodeDecodeError):
        text.decode()
        return "UTF-8"
    return "unknown-8bit"  # RFC 1428 section 3


def _folded(addresses: list[str]) -> str:
    lines, line = [], ""
    for text in addresses:
        if line and len(line) + len(text) > _FOLD:
            lines.append(line)
            line = ""
        line += f", {text}" if line else text
    return ",\n\t".join([*lines, line])


def _from(sender: str, site: Site, name: str) -> str:
    if sender == NOBODY:
        return "Postmaster"
    if not name and sender == site.user:
        with suppress(KeyError):
            name = pwd.getpwnam(sender).pw_gecos.partition(",")[0]
            name = name.replace("&", sender.capitalize())
    if not name or not name.isascii() or not name.isprintable():
        return sender
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{sender}>'


def headed(text: bytes) -> bytes:
    """Return a text with an empty line in front if it would be taken for a header."""
    if not text or text.startswith((b"\n", b"\r\n")):
        return text
    head = header.scan(text)
    bare = head.end == head.start or text.startswith((b"From ", b">From "))
    return b"\n" + text if bare else text


def _without_blind(text: bytes, head: Header) -> bytes:
    kept = block.without(text[head.start : head.end], block.BLIND)
    return kept + text[head.end :]
