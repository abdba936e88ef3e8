"""Files of ours that mail cannot leave without: rules, ``smtp=``, the default domain.

What is missing there is told who sends, at once and with the command that mends it;
nothing is queued that could never leave.
"""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from mailfs import where
from mailfs.disk.open import read_regular
from mailfs.msg import address
from mailfs.ndb.db import LOCAL
from mailfs.ndb.sysname import attribute
from mailfs.send.mail import NOBODY, Mail
from mailfs.send.refusal import Unconfigured
from mailfs.site import placeholder
from mailfs.site.site import Site

MAX_SCRIPT = 64 << 10  # octets of remotemail that are looked at
_ATTRIBUTE = re.compile(r"\b(?:net|tcp)!\$(\w+)")
# Fields whose addresses smtp qualifies; smtp(8).
_FIELDS = tuple(
    name.encode()
    for name in (
        *("from", "sender", "reply-to", "to", "cc"),
        *("resent-from", "resent-sender", "resent-reply-to", "resent-to", "resent-cc"),
    )
)


def no_rules(site: Site, complaints: Sequence[str] = ()) -> str:
    """Return the error text for a rewrite without rules: why, and what to run."""
    rules = site.lib / "rewrite"
    why = f"{rules} is empty"
    if not rules.exists():
        why = f"there is no {rules}"
    elif complaints:
        why = f"{rules}: {complaints[0]}"
    copy = shlex.join(["cp", str(site.lib / "rewrite.gateway"), str(rules)])
    return f"no mail rules configured: {why}; run: {setup(site)}, or: {copy}"


def setup(site: Site) -> str:
    """Return the command that runs setup for a site."""
    words = ["mailfs", "setup"]
    if site.root != where.root():
        words += ["--root", str(site.root)]
    return shlex.join(words)


def sends(site: Site) -> bool:
    """Whether anybody means to send from here: rules, a gateway, or a From: line."""
    return bool(
        _size(site.lib / "rewrite")
        or attribute(site.ndb, site.names, "smtp")
        or _size(site.box(site.user) / "headers")
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def domain(site: Site) -> str:
    """Return the user's domain: of ``From:`` in headers, else this machine's.

    An example if neither is known.
    """
    try:
        octets = read_regular(site.box(site.user) / "headers", MAX_SCRIPT, follow=True)
    except OSError:
        octets = b""
    for line in octets.split(b"\n"):
        if line.lower().startswith(b"from:"):
            for box in address.addresses([line.partition(b":")[2]]):
                if "." in box.addr.rpartition("@")[2]:
                    return box.addr.rpartition("@")[2]
    own = site.names.domain
    if "." in own and not placeholder.is_placeholder(own):
        return own
    return placeholder.EXAMPLE


def check_edited(site: Site, path: Path, text: str) -> None:
    """Raise Unconfigured if a file's text still has YOURDOMAIN.DOM in a line."""
    lines = placeholder.left(text)
    if lines:
        mend = placeholder.mend(path, domain(site))
        raise Unconfigured(
            f"{path}: line {lines[0]}: {placeholder.SAMPLE} stands where your domain"
            f" belongs; run: {mend}"
        )


def check_attributes(site: Site, command: str) -> None:
    """Raise Unconfigured if a command names ``$attr`` and the database has no such.

    The command is a rule's, in which ``$`` of an address is escaped.
    """
    for name in _ATTRIBUTE.findall(command):
        told = attribute(site.ndb, site.names, name)
        file = site.root / LOCAL
        if not told:
            raise Unconfigured(
                f"{file}: no {name}= for sys={site.names.sysname}; run: {setup(site)},"
                f" or: echo {shlex.quote(f'sys={site.names.sysname} {name}=HOST')}"
                f" >>{shlex.quote(str(file))}"
            )
        words = told.split("!")
        if placeholder.is_placeholder(words[1] if len(words) > 1 else told):
            raise Unconfigured(f"{file}: {name}={told}: that host is an example")


def check_default_domain(site: Site, letter: Mail) -> None:
    """Raise Unconfigured if remotemail would qualify an address with yourdomain.dom.

    A message whose addresses all have a domain needs no default one.
    """
    path = site.lib / "remotemail"
    try:
        text = read_regular(path, MAX_SCRIPT, follow=True).decode(errors="replace")
    except OSError:
        return  # runq tells of it
    if not placeholder.left(text):
        return
    bare = _unqualified(letter)
    if bare is not None:
        mend = placeholder.mend(path, domain(site))
        raise Unconfigured(
            f"{path}: {bare} has no domain, and the default is still"
            f" {placeholder.NAME}; run: {mend}"
        )


def _unqualified(letter: Mail) -> str | None:
    """Return the first address without a domain, of the envelope or the header."""
    if letter.sender != NOBODY and not re.search("[@!]", letter.sender):
        return letter.sender
    values = [value for name in _FIELDS for value in letter.header.folded(name)]
    for box in address.addresses(values):
        if box.addr and not re.search("[@!]|[:;]$", box.addr):
            return box.addr
    return None
