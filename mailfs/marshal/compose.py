"""A message composed: who wrote it, to whom, what it says, what goes with it.

The fields come in the order of marshal(1): those the writer typed, those of the
headers file, then what is missing.  Whatever else is asked, no Bcc is ever written.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from mailfs.errors import MailfsError
from mailfs.marshal import recipients
from mailfs.marshal.attachment import MAX_MESSAGE, Attachment
from mailfs.marshal.content import content, is_content
from mailfs.marshal.draft import Draft
from mailfs.marshal.entity import Entity, Token
from mailfs.marshal.recipients import BLIND, RESENT, Expand, Lists
from mailfs.marshal.reply import Parent
from mailfs.msg import address, date, field
from mailfs.msg.address import Address

NOBODY = Address("", "undisclosed-recipients:;")
NULL = "/dev/null"  # the sender of what must not be answered

# Fields that may be there once only, RFC 5322 section 3.6, and of which two are one.
_ONCE = frozenset(
    {"date", "from", "sender", "reply-to", "subject", "mime-version", "message-id"}
    | {"in-reply-to", "references", "content-type", "content-transfer-encoding"}
)
_LISTS = frozenset(("to", "cc"))

Wrap = Callable[[Entity, tuple[str, ...]], Entity]
"""Sign or encrypt the content for those recipients."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes."""

    login: str
    domain: str  # of this machine, for identifiers
    upasname: str = ""  # $upasname, which names the sender in place of login
    headers: tuple[tuple[str, bytes], ...] = ()  # of the headers file
    expand: Expand = lambda word: []
    copy: str = ""  # the mailbox for a copy of what is sent, as -S has it

    @property
    def named(self) -> Address:
        """Who From names if nothing else does."""
        if not self.upasname:
            return Address("", self.login)
        if self.upasname == NULL:
            return Address("", "postmaster")
        found = address.addresses([self.upasname.encode("utf-8", "replace")])
        return found[0] if found else Address("", self.login)

    @property
    def sender(self) -> str:
        """The envelope's sender, empty if the message may tell it."""
        if self.upasname == NULL:
            return NULL
        return recipients.check(self.named.addr) if self.upasname else ""


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked beside the text."""

    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    headed: bool = False  # take recipients from the header too
    subject: str = ""
    files: tuple[Attachment, ...] = ()
    parent: Parent | None = None
    everybody: bool = False  # answer all that the parent was sent to
    wrap: Wrap | None = None

    def with_files(self, files: Iterable[Attachment]) -> "Order":
        """Make a copy of the order with more files."""
        return replace(self, files=(*self.files, *files))


@dataclass(frozen=True, slots=True)
class ComposedMail:
    """A message ready to be sent: octets with LF line ends, and its envelope."""

    octets: bytes
    sender: str
    recipients: tuple[str, ...]
    date: int  # seconds since the epoch


def compose(
    draft: Draft, order: Order, author: Author, *, now: float, token: Token
) -> ComposedMail:
    """Return the message.  now is seconds since the epoch.

    Raises MailfsError if nobody is to get it, or an address or field makes no sense.
    """
    names = [name.lower() for name, _ in draft.fields]
    for name in _ONCE:
        if names.count(name) > 1:
            raise MailfsError(f"rfc822 syntax error: two fields {name}")
    if order.headed and any(draft.has(name) for name in RESENT):
        return _resent(draft, author, now, token)
    whole = _with_headers(draft, author)
    lists = _lists(whole, order, author)
    envelope = _envelope(lists)
    inner = content(whole, order.files, token, seven=order.wrap is not None)
    if order.wrap is not None:
        inner = order.wrap(inner, envelope)
    left_out = {*BLIND, *_LISTS, "mime-version"}
    head = [
        field.raw(name, value)
        for name, value in whole.fields
        if name.lower() not in left_out and not is_content(name)
    ]
    head += _missing(whole, order, author, int(now), token)
    head += _shown(whole, order, lists)
    head.append(b"MIME-Version: 1.0\n")
    octets = b"".join(head) + inner.octets()
    return _mail(octets, _sender(whole, author, "from", "sender"), envelope, now)


def _mail(
    octets: bytes, sender: str, envelope: tuple[str, ...], now: float
) -> ComposedMail:
    if len(octets) > MAX_MESSAGE:
        raise MailfsError(f"message too long: over {MAX_MESSAGE >> 20} MB")
    return ComposedMail(octets, sender, envelope, int(now))


def _with_headers(draft: Draft, author: Author) -> Draft:
    """Return the draft with what the headers file has and it does not say itself."""
    said = {name.lower() for name, _ in draft.fields} & (_ONCE | _LISTS)
    more = []
    for name, value in author.headers:
        if name.lower() not in said:
            more.append((name, value))
            said |= {name.lower()} & _ONCE
    return Draft((*draft.fields, *more), draft.body)


def _lists(draft: Draft, order: Order, author: Author) -> Lists:
    """List the recipients, by field.

    The headers file may blind-copy, even where the header names no recipients.
    """
    expand = author.expand
    to = recipients.parse(order.to, expand)
    cc = recipients.parse(order.cc, expand)
    bcc = recipients.parse(order.bcc, expand)
    bcc = _joined(recipients.expanded(draft.addresses("bcc"), expand), bcc)
    if order.headed:
        to = _joined(recipients.expanded(draft.addresses("to"), expand), to)
        cc = _joined(recipients.expanded(draft.addresses("cc"), expand), cc)
    parent = order.parent
    if parent is not None and not (to or cc):
        to = recipients.expanded(parent.replyto, expand)
    if parent is not None and order.everybody:
        ours = {author.login, author.named.addr}
        ours.update(box.addr for box in (*draft.addresses("from"), *to))
        others = recipients.expanded(parent.others, expand)
        cc = _joined(cc, [box for box in others if box.addr not in ours])
    return Lists(to, cc, bcc)


def _joined(*lists: Iterable[Address]) -> tuple[Address, ...]:
    """Return lists as one, each address once."""
    found: dict[str, Address] = {}
    for one in lists:
        for box in one:
            found.setdefault(box.addr, box)
    return tuple(found.values())


def _envelope(lists: Lists) -> tuple[str, ...]:
    bare = lists.bare()
    if not bare:
        raise MailfsError("no addresses found, message not sent")
    return bare


def _missing(
    draft: Draft, order: Order, author: Author, now: int, token: Token
) -> list[bytes]:
    """Return the fields that nobody wrote, To and Cc apart."""
    out = []
    parent = order.parent or Parent("")
    if not draft.has("date"):
        out.append(field.text("Date", date.rfc822(now)))
    if not draft.has("message-id"):
        out.append(field.text("Message-ID", _identifier(draft, author, now, token)))
    if not draft.has("from"):
        out.append(field.addresses("From", [author.named]))
    subject = order.subject or parent.subject
    if subject and not draft.has("subject"):
        out.append(field.text("Subject", subject))
    if parent.messageid and not draft.has("in-reply-to"):
        out.append(field.text("In-Reply-To", f"<{parent.messageid}>"))
    if parent.references and not draft.has("references"):
        ids = " ".join(f"<{one}>" for one in parent.references)
        out.append(field.text("References", ids))
    return out


def _shown(draft: Draft, order: Order, lists: Lists) -> list[bytes]:
    """Return To and Cc, as they were written where nothing changes in them.

    There is a To or a Cc in every message: what has neither is given one from the
    envelope by many a program, and blind copies would show.
    """
    out = []
    for name, listed in (("To", lists.to), ("Cc", lists.cc)):
        values = draft.all(name.lower())
        wrote = draft.addresses(name.lower())
        if not order.headed and wrote:
            added = listed if name == "Cc" else ()
            listed = _joined(wrote, added)
        same = [box.addr for box in wrote] == [box.addr for box in listed]
        if len(values) == 1 and same:
            out.append(field.raw(name, values[0]))
        elif listed:
            out.append(field.addresses(name, listed))
    return out or [field.addresses("To", [NOBODY])]


def _identifier(draft: Draft, author: Author, now: int, token: Token) -> str:
    """Return an identifier that no other message has, in the domain of From."""
    origin = [box.addr for box in draft.addresses("from")] or [author.named.addr]
    domain = origin[0].rpartition("@")[2] if "@" in origin[0] else author.domain
    if not domain.isascii() or not domain.replace(".", "").replace("-", "").isalnum():
        domain = author.domain
    return f"<{now:x}.{token()}@{domain}>"


def _sender(draft: Draft, author: Author, *names: str) -> str:
    """Return the envelope's sender: $upasname, else who the message says, else login.

    The message says it if one address stands there, with its domain.
    """
    if author.sender:
        return author.sender
    for name in reversed(names):
        found = [box.addr for box in draft.addresses(name)]
        if len(found) == 1 and "@" in found[0]:
            return recipients.check(found[0])
    return author.login


def _resent(draft: Draft, author: Author, now: float, token: Token) -> ComposedMail:
    """Return a message sent on: as it was, under Resent- fields; RFC 5322 3.6.6."""
    if any(len(draft.all(f"resent-{name}")) > 1 for name in ("date", "from", "to")):
        raise MailfsError("resent more than once: only one set of Resent- fields")
    lists = [recipients.expanded(draft.addresses(n), author.expand) for n in RESENT]
    envelope = _envelope(Lists(*lists))
    head = []
    if not draft.has("resent-date"):
        head.append(field.text("Resent-Date", date.rfc822(int(now))))
    if not draft.has("resent-from"):
        head.append(field.addresses("Resent-From", [author.named]))
    if not draft.has("resent-message-id"):
        ident = _identifier(Draft(), author, int(now), token)
        head.append(field.text("Resent-Message-ID", ident))
    kept = [one for one in draft.fields if one[0].lower() not in BLIND]
    head += [field.raw(name, value) for name, value in kept]
    octets = b"".join(head) + b"\n" + draft.body
    sender = _sender(draft, author, "resent-from", "resent-sender")
    return _mail(octets, sender, envelope, now)
