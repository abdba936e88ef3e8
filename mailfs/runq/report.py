"""Delivery status notifications for the senders of queued mail; RFC 3464, RFC 6522."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from mailfs.msg import header
from mailfs.msg.date import Local, localtime, rfc822
from mailfs.msg.escape import unescape
from mailfs.smtp.dsn import Dsn, plain
from mailfs.smtp.fate import Fate
from mailfs.smtp.path import at

MAX_RETURNED = 256 << 10  # octets of a message that is returned whole
MAX_QUOTED = 2 * MAX_RETURNED  # octets of a message that are looked at
MAX_SHOWN = 900  # octets of a server's words on one line


class Action(Enum):
    """What the report is about; RFC 3464 section 2.3.3."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"  # into a mailbox here
    RELAYED = "relayed"  # to a server that tells nobody what becomes of it


_SUBJECT = {
    Action.FAILED: "permanent failure",
    Action.DELAYED: "delayed mail",
    Action.DELIVERED: "delivered mail",
    Action.RELAYED: "relayed mail",
}
_OPENING = {
    Action.FAILED: "Your mail could not be delivered to:",
    Action.DELAYED: "Your mail has not been delivered yet to:",
    Action.DELIVERED: "Your mail has been delivered to:",
    Action.RELAYED: "Your mail has been given to the mail server of:",
}
_CLOSING = {
    Action.FAILED: "It is attached; it will not be tried again.",
    Action.DELAYED: "It will be tried again; you need do nothing.",
    Action.DELIVERED: "You have asked to be told.",
    Action.RELAYED: "That server does not tell what becomes of it.",
}


@dataclass(frozen=True, slots=True)
class Heading:
    """What a report is written with: times in seconds since the epoch."""

    domain: str  # ours
    to: str  # who sent the message
    now: int
    queued: int  # when it came here
    token: str  # no other message has it
    until: int = 0  # when we shall give up, for a delay
    local: Local = localtime


def report(
    heading: Heading,
    action: Action,
    fates: Sequence[Fate],
    original: bytes,
    size: int = 0,
    dsn: Dsn | None = None,
) -> bytes:
    """Write a report as a message with lines ending in LF, to be sent from nobody.

    original is the message, or its first MAX_QUOTED octets; size that of all of it;
    dsn is what the sender asked for.
    """
    dsn = dsn or Dsn()
    mark = f"upas-{heading.token}"
    size = max(size, len(original))
    whole = action is Action.FAILED and size <= MAX_RETURNED and dsn.ret != "hdrs"
    original = _without_from(original)
    kept = original if whole else original[: header.scan(original).end]
    lines = [
        *_header(heading, action, mark),
        "This is a multi-part message in MIME format.",
        f"--{mark}",
        'Content-Type: text/plain; charset="UTF-8"',
        "Content-Transfer-Encoding: 8bit",
        "",
        *_text(action, fates),
        f"--{mark}",
        "Content-Type: message/delivery-status",
        "",
        *_status(heading, action, fates, dsn),
        f"--{mark}",
        f"Content-Type: {'message/rfc822' if whole else 'text/rfc822-headers'}",
        "Content-Disposition: inline",
        "",
    ]
    head = "\n".join(lines).encode("utf-8", "replace") + b"\n"
    end = b"" if kept.endswith(b"\n") else b"\n"
    return head + kept + end + f"--{mark}--\n".encode()


def _header(heading: Heading, action: Action, mark: str) -> list[str]:
    return [
        f"From: Postmaster <postmaster@{heading.domain}>",
        f"To: {_line(unescape(heading.to))}",
        f"Subject: {_SUBJECT[action]}",
        f"Date: {rfc822(heading.now, heading.local)}",
        f"Message-ID: <{heading.token}@{heading.domain}>",
        "Auto-Submitted: auto-replied",  # RFC 3834 section 5
        "MIME-Version: 1.0",
        "Content-Type: multipart/report; report-type=delivery-status;",
        f'\tboundary="{mark}"',
        "",
    ]


def _text(action: Action, fates: Sequence[Fate]) -> list[str]:
    lines = [_OPENING[action], ""]
    for fate in fates:
        lines.append(f"    {_line(_shown(fate.rcpt))}")
        if fate.host and fate.line:
            lines.append(f"        {_line(fate.host)} said:")
        lines += [f"        {_line(fate.line)}", ""] if fate.line else [""]
    return [*lines, _CLOSING[action]]


def _status(
    heading: Heading, action: Action, fates: Sequence[Fate], dsn: Dsn
) -> list[str]:
    lines = [f"Original-Envelope-Id: {_line(plain(dsn.envid))}"] if dsn.envid else []
    lines += [
        f"Reporting-MTA: dns; {heading.domain}",
        f"Arrival-Date: {rfc822(heading.queued, heading.local)}",
    ]
    for fate in fates:
        address = _shown(fate.rcpt)
        kind = "rfc822" if address.isascii() else "utf-8"  # RFC 6533 section 3
        lines.append("")
        orcpt = dsn.of(fate.rcpt).orcpt
        if orcpt:
            lines.append(f"Original-Recipient: {_line(plain(orcpt))}")
        lines += [
            f"Final-Recipient: {kind}; {_line(address)}",
            f"Action: {action.value}",
            f"Status: {_code(fate, action)}",
        ]
        if fate.host:
            lines.append(f"Remote-MTA: dns; {_line(fate.host)}")
        source = "smtp" if fate.code else "x-upas"
        if fate.line:
            lines.append(f"Diagnostic-Code: {source}; {_line(fate.line)}")
        lines += [
            f"Last-Attempt-Date: {rfc822(heading.now, heading.local)}",
        ]
        if action is Action.DELAYED and heading.until:
            until = rfc822(heading.until, heading.local)
            lines.append(f"Will-Retry-Until: {until}")
    return lines


def _code(fate: Fate, action: Action) -> str:
    """Tell the status; a failure after too long a time keeps its 4; RFC 3463."""
    if fate.ok:
        return fate.enhanced or "2.0.0"
    if fate.enhanced:
        return fate.enhanced
    return "5.0.0" if fate.permanent and action is Action.FAILED else "4.0.0"


def _shown(rcpt: str) -> str:
    """Return a recipient in at form, as people know it."""
    return at(unescape(rcpt), "") or rcpt


def _without_from(octets: bytes) -> bytes:
    """Cut the ``From `` lines of its envelope off a message."""
    start = 0
    while octets.startswith((b"From ", b">From "), start):
        start = octets.find(b"\n", start) + 1 or len(octets)
    return octets[start:]


def _line(text: str) -> str:
    shown = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(shown.split())[:MAX_SHOWN]
