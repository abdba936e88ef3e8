"""What a user who has logged in may send as, and what a letter lacks; RFC 6409.

A user's addresses are USER in our domains, those that a line of box/USER/addresses
names, and that of From: in box/USER/headers, which setup writes.
"""

from mailfs.errors import MailfsError
from mailfs.msg import address, date, header
from mailfs.serve.smtpd.grammar import Path as MailPath
from mailfs.serve.smtpd.policy import Policy
from mailfs.serve.smtpd.session import Reply
from mailfs.serve.smtpd.tables import read_text
from mailfs.site.site import Site

MAX_HEADER = 256 << 10  # octets of a header that are looked at


def _own(policy: Policy, user: str) -> set[str]:
    """Return the addresses a user has beside USER in our domains, in lower case."""
    box = policy.site.box(user)
    try:
        listed = read_text(box / "addresses")
        lines = header.scan(read_text(box / "headers").encode("utf-8", "replace"))
    except MailfsError:
        return set()
    words = {line.partition("#")[0].strip().lower() for line in listed.split("\n")}
    return (words | set(_addresses(lines))) - {""}


def _addresses(found: header.Header) -> list[str]:
    return [one.addr.lower() for one in address.addresses(found.all(b"from"))]


def _may(policy: Policy, user: str, name: str) -> bool:
    local, _, domain = name.rpartition("@")
    if local.partition("+")[0] == user.lower() and policy.ours(domain):
        return True
    return name in _own(policy, user)


def sender(policy: Policy, user: str, path: MailPath) -> Reply | None:
    """Refuse MAIL in another's name; nobody's is anybody's, for reports."""
    name = f"{path.user}@{path.domain}" if path.domain else f"{path.user}@"
    if not path.local or _may(policy, user, name.lower()):
        return None
    return Reply(550, "5.7.1", f"{path} is no address of yours")


def check(policy: Policy, user: str, head: bytes) -> Reply | None:
    """Refuse a letter whose From: is another's, or is missing."""
    found = header.scan(head)
    if found.end >= MAX_HEADER:
        return Reply(552, "5.3.4", f"header over {MAX_HEADER} octets")
    names = _addresses(found)
    if not names:
        return Reply(550, "5.6.0", "want a From: field")
    for name in names:
        if not _may(policy, user, name):
            return Reply(550, "5.7.1", f"From: {name} is no address of yours")
    return None


def missing(site: Site, head: bytes, domain: str) -> bytes:
    """Return the fields a letter lacks, Date and Message-ID, to stand before it."""
    found = header.scan(head)
    lines = b""
    if not found.all(b"date"):
        lines += b"Date: %b\n" % date.rfc822(int(site.clock()), site.local).encode()
    if not found.all(b"message-id"):
        lines += b"Message-ID: <%b@%b>\n" % (
            site.random(16).hex().encode(),
            domain.encode(),
        )
    return lines
