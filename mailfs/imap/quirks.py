"""Servers that differ from what the RFCs or their own capabilities say."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quirks:
    """What to do, or not to do, with one kind of server.

    name      for people
    pattern   found in the greeting, or in what ID answers
    offers    a capability that gives it away; empty if none does
    lacks     capabilities it announces and had better not be asked for
    numbers   whether its sequence numbers can be believed after an EXPUNGE
    ir        whether an initial response to AUTHENTICATE is understood
    sizes     whether RFC822.SIZE is the length of what BODY[] gives
    pipeline  whether commands may follow AUTHENTICATE before it is answered
    trash     whether deleting is done by moving to the trash; the flag Deleted and
              EXPUNGE archive only
    """

    name: str = ""
    pattern: str = ""
    offers: str = ""
    lacks: frozenset[str] = frozenset()
    numbers: bool = True
    ir: bool = True
    sizes: bool = True
    pipeline: bool = False
    trash: bool = False


PLAIN = Quirks()

# Asked in order; the first that fits is taken.
QUIRKS: tuple[Quirks, ...] = (
    Quirks(
        "Gmail",
        r"Gimap",
        offers="X-GM-EXT-1",
        numbers=False,
        sizes=False,
        trash=True,
    ),
    Quirks(
        "Office 365",
        r"Microsoft Exchange|outlook\.com|office365\.com",
        lacks=frozenset({"IMAP4REV2", "UIDONLY"}),
    ),
    Quirks("Coremail", r"(?i)coremail", ir=False, lacks=frozenset({"SASL-IR"})),
    Quirks("Yahoo", r"(?i)\byahoo|\bymail", numbers=False),
    Quirks("iCloud", r"(?i)icloud|\.apple\.com|\bxapple", offers="XAPPLEPUSHSERVICE"),
    Quirks("Dovecot", r"Dovecot", pipeline=True),
    # Answers AUTHENTICATE twice if anything follows it unasked.
    Quirks("Cyrus", r"Cyrus"),
)


def find(words: str, capabilities: frozenset[str]) -> Quirks:
    """Return the quirks of a server by its greeting or ID, and its capabilities."""
    for row in QUIRKS:
        if row.offers and row.offers in capabilities:
            return row
        if row.pattern and re.search(row.pattern, words):
            return row
    return PLAIN
