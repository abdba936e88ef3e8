"""DKIM signatures by a key that stays in the factotum; RFC 6376.

The key is ``proto=rsa service=dkim hash=sha256 domain=D selector=S`` with RSA numbers
as rsagen writes them; without selector it is ``dkim``, as in 9front.  D is the domain
of From or one above it.  Body and header are canonicalised as ``relaxed``.
"""

import base64
import hashlib
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from mailfs.attr import Attrs, quote, value
from mailfs.errors import MailfsError
from mailfs.factotum.client import Factotum
from mailfs.msg.address import addresses
from mailfs.smtp.fate import DeliveryError
from mailfs.smtp.header import values

SELECTOR = "dkim"
KNOWN = 60.0  # seconds for which the list of keys is believed

# RFC 6376 section 5.4.1, in the order they are listed.
SIGNED = (
    *("from", "reply-to", "sender", "subject", "date", "message-id", "to", "cc"),
    *("mime-version", "content-type", "content-transfer-encoding", "content-id"),
    "content-disposition",
    *("in-reply-to", "references", "resent-date", "resent-from", "resent-to"),
    *("resent-cc", "list-id", "list-unsubscribe", "list-unsubscribe-post"),
)
# Listed once more than they occur, so that none can be added unnoticed: who says what
# to whom, in which thread, and how readers decode and show it.  Not what lists and
# forwarders add by right: List- and Resent- fields.
ONCE = frozenset(
    {"from", "reply-to", "sender", "subject", "date", "message-id", "to", "cc"}
    | {"mime-version", "content-type", "content-transfer-encoding", "content-id"}
    | {"content-disposition", "in-reply-to", "references"}
)

_BLANKS = re.compile(rb"[ \t]+")
_FIELD = re.compile(rb"\r\n(?![ \t])")
_WIDTH = 70  # characters of a line of the signature


def relaxed(field: bytes) -> bytes:
    """Return a field, without its last CRLF, in canonical form; section 3.4.2."""
    name, _, text = field.partition(b":")
    text = _BLANKS.sub(b" ", text.replace(b"\r\n", b"")).strip()
    return name.strip().lower() + b":" + text


def chosen(fields: Sequence[bytes]) -> tuple[list[str], list[bytes]]:
    """Return the names for ``h=`` and the fields signed, in that order; section 5.4.2.

    Of several fields of one name the last is signed first.
    """
    by: dict[str, list[bytes]] = {}
    for field in fields:
        name = field.partition(b":")[0].strip().lower().decode("ascii", "replace")
        by.setdefault(name, []).append(field)
    names: list[str] = []
    signed: list[bytes] = []
    for name in SIGNED:
        found = by.get(name, [])
        names += [name] * (len(found) + (name in ONCE))
        signed += reversed(found)
    return names, signed


@dataclass(frozen=True, slots=True)
class Signer:
    """A key and what it signs for; sign turns a SHA-256 digest into a signature."""

    domain: str
    selector: str
    sign: Callable[[bytes], bytes]

    def field(self, head: bytes, digest: str, now: int) -> bytes:
        """Make the DKIM-Signature of a message, CRLF included.

        head is the header in wire form; digest that of the body, as WireBody has it.
        """
        names, signed = chosen(_FIELD.split(head.removesuffix(b"\r\n")))
        tags = [
            ("v", "1"),
            ("a", "rsa-sha256"),
            ("c", "relaxed/relaxed"),
            ("d", self.domain),
            ("s", self.selector),
            ("t", str(now)),
            ("h", ":\r\n\t ".join(_rows(names))),
            ("bh", digest),
            ("b", ""),
        ]
        text = ";\r\n\t".join(f"{tag}={told}" for tag, told in tags)
        field = b"DKIM-Signature: " + text.encode("ascii")
        canonical = b"".join(relaxed(f) + b"\r\n" for f in signed) + relaxed(field)
        signature = base64.b64encode(self.sign(hashlib.sha256(canonical).digest()))
        rows = [signature[i : i + _WIDTH] for i in range(0, len(signature), _WIDTH)]
        return field + b"\r\n\t ".join(rows) + b"\r\n"


def _rows(names: list[str]) -> list[str]:
    """Join names by colons, as many as fit a line."""
    rows = [""]
    for name in names:
        if rows[-1] and len(rows[-1]) + len(name) >= _WIDTH:
            rows.append("")
        rows[-1] += f":{name}" if rows[-1] else name
    return rows


def author_domain(fields: Sequence[bytes]) -> str:
    """Return the domain in From, in lower case; empty if there is none."""
    boxes = addresses(values(fields, "from"))
    return boxes[0].addr.rpartition("@")[2].lower() if boxes else ""


class Signers:
    """The signing keys of a factotum, by domain; safe in any thread.

    A factotum that does not run has none.
    """

    def __init__(
        self,
        keys: Callable[[], Factotum],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._lock = threading.Lock()
        self._known: list[Attrs] = []
        self._until = -1.0

    def find(self, domain: str) -> Signer | None:
        """Return the signer for a domain or the nearest one above that has a key."""
        known = self._listed()
        while "." in domain:
            for attrs in known:
                if (value(attrs, "domain") or "").lower() == domain:
                    selector = value(attrs, "selector") or SELECTOR
                    return Signer(domain, selector, partial(self._sign, attrs))
            domain = domain.partition(".")[2]
        return None

    def _listed(self) -> list[Attrs]:
        with self._lock:
            if self._clock() < self._until:
                return self._known
            try:
                with self._keys() as agent:
                    listed = agent.keys()
            except (MailfsError, OSError):
                listed = []
            self._known = [
                a
                for a in listed
                if value(a, "proto") == "rsa" and value(a, "service") == "dkim"
            ]
            self._until = self._clock() + KNOWN
            return self._known

    def _sign(self, attrs: Attrs, digest: bytes) -> bytes:
        words = ["proto=rsa role=sign service=dkim hash=sha256"]
        for name in ("domain", "selector"):
            told = value(attrs, name)
            if told is not None:
                words.append(f"{name}={quote(told)}")
        try:
            with self._keys() as agent:
                return agent.sign(digest, " ".join(words))
        except (MailfsError, OSError) as e:
            # Unsigned, a domain with a strict policy would have it refused for good.
            raise DeliveryError(f"dkim: {e}", permanent=False, enhanced="4.7.5") from e
