"""Error mail: a report of what could not be delivered; RFC 3464, RFC 3462.

It goes from nobody to the sender, and has three parts: a text for people, a part for
programs, and the message, or its header if it is large.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from mailfs.errors import MailfsError
from mailfs.msg import date, header
from mailfs.msg.escape import unescape
from mailfs.send import complaint, submit
from mailfs.send.mail import NOBODY, Mail
from mailfs.send.refusal import LOOP
from mailfs.send.result import Result
from mailfs.site.site import Site

log = logging.getLogger(__name__)

MAX_RETURNED = 256 << 10  # octets of a message that is returned whole
SUBJECT = "bounced mail"


@dataclass(frozen=True, slots=True)
class Failure:
    """One recipient that mail did not get to."""

    recipient: str
    text: str  # why, maybe several lines
    permanent: bool = True

    @property
    def status(self) -> str:
        """The enhanced status code; RFC 3463."""
        return "5.0.0" if self.permanent else "4.0.0"


def report(
    site: Site, to: str, text: str, failures: Sequence[Failure], original: bytes
) -> bytes:
    """Return a report as a message with LF, to be sent from nobody (``/dev/null``).

    to is the sender of original; text is for people, a final newline not needed.
    """
    mark = f"upas-{site.random(13).hex()}"
    domain = site.names.domain
    whole = len(original) <= MAX_RETURNED
    lines = [
        f"From: Postmaster <postmaster@{domain}>",
        f"To: {_line(unescape(to))}",
        f"Subject: {SUBJECT}",
        f"Date: {date.rfc822(int(site.clock()), site.local)}",
        f"Message-ID: <{site.random(16).hex()}@{domain}>",
        "Auto-Submitted: auto-replied",  # RFC 3834
        "MIME-Version: 1.0",
        "Content-Type: multipart/report; report-type=delivery-status;",
        f'\tboundary="{mark}"',
        "",
        "This is a multi-part message in MIME format.",
        f"--{mark}",
        'Content-Type: text/plain; charset="UTF-8"',
        "Content-Transfer-Encoding: 8bit",
        "",
        text.rstrip("\n"),
        f"--{mark}",
        "Content-Type: message/delivery-status",
        "",
        f"Reporting-MTA: dns; {domain}",
    ]
    for failure in failures:
        lines += [
            "",
            f"Final-Recipient: rfc822; {_line(failure.recipient)}",
            "Action: failed",
            f"Status: {failure.status}",
            f"Diagnostic-Code: x-upas; {_line(failure.text)}",
        ]
    kind = "message/rfc822" if whole else "text/rfc822-headers"
    lines += [f"--{mark}", f"Content-Type: {kind}", "Content-Disposition: inline", ""]
    head = "\n".join(lines).encode("utf-8", "replace") + b"\n"
    kept = original if whole else original[: header.scan(original).end]
    # The newline in front of a boundary is the boundary's; RFC 2046 section 5.1.1.
    return head + kept + f"\n--{mark}--\n".encode()


def _line(text: str) -> str:
    shown = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(shown.split())[:900]


def send_back(site: Site, letter: Mail, refused: Sequence[Result]) -> None:
    """Tell the sender what was refused, unless nobody wants to know.

    What had no sender, or was bulk, is not answered; what went in circles goes to the
    postmaster, and so does a report that its sender cannot get.
    """
    if letter.bulk or letter.sender == NOBODY:
        return
    looping = all(result.text == LOOP for result in refused)
    failures = [Failure(r.recipient, r.text, r.permanent) for r in refused]
    text = f"The attached mail {complaint.compose(letter.sender, refused)}"
    for to in ("postmaster",) if looping else (letter.sender, "postmaster"):
        octets = report(site, to, text, failures, letter.text)
        try:
            results = submit.submit(site, "", [to], octets, to_line=False)
        except (MailfsError, OSError) as e:
            log.warning("no report to %s: %s", to, e)
            return
        if not all(result.refused for result in results):
            return
