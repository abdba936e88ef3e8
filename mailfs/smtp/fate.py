"""What became of a delivery, of each recipient or of all; RFC 5321, RFC 3463."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from mailfs.attr import parse, quote, value
from mailfs.errors import MailfsError

MAX_TEXT = 1000  # characters of a server's words that are kept

_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?: |$)")


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's reply: its code and its lines, without codes; RFC 5321 section 4.2."""

    code: int
    lines: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether it is 2yz."""
        return 200 <= self.code < 300

    @property
    def permanent(self) -> bool:
        """Whether it is 5yz."""
        return 500 <= self.code < 600

    @property
    def enhanced(self) -> str:
        """The code of RFC 2034, empty if there is none or it belies the other."""
        m = _ENHANCED.match(self.lines[0]) if self.lines else None
        return m[1] if m and m[1][0] == str(self.code)[0] else ""

    def __str__(self) -> str:
        return f"{self.code} {' '.join(self.lines)}"[:MAX_TEXT]


class DeliveryError(MailfsError):
    """Nothing was delivered; the text says why.

    permanent  trying again cannot help
    code       of the server's reply, 0 if there was none
    enhanced   its RFC 3463 code, or ours for what we found out ourselves
    host       where it happened, for the next attempt and for people
    """

    def __init__(
        self, text: str, *, permanent: bool, enhanced: str = "", code: int = 0
    ) -> None:
        super().__init__(text)
        self.permanent = permanent
        self.code = code
        self.enhanced = enhanced or ("5.0.0" if permanent else "4.0.0")


def refused(reply: Reply, what: str) -> DeliveryError:
    """Return the error for a reply that refuses what was asked; odd ones may pass."""
    return DeliveryError(
        f"{what}: {reply}",
        permanent=reply.permanent,
        code=reply.code,
        enhanced=reply.enhanced,
    )


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one recipient.

    rcpt is the word the caller gave; line is the server's last word, or ours; host
    the name of the server, empty if none was reached; code 0 if it said nothing; dsn
    says that the server has taken over what reports the sender wants (RFC 3461).
    """

    rcpt: str
    ok: bool
    permanent: bool = False
    code: int = 0
    enhanced: str = ""
    line: str = ""
    host: str = ""
    dsn: bool = False

    @property
    def temporary(self) -> bool:
        """Whether another attempt may help."""
        return not self.ok and not self.permanent

    def show(self) -> str:
        """Return it as the attributes of one line; read() takes it back."""
        kind = "ok" if self.ok else "permanent" if self.permanent else "temporary"
        pairs = [("rcpt", self.rcpt), ("fate", kind), ("code", str(self.code))]
        pairs += [("enhanced", self.enhanced), ("host", self.host), ("line", self.line)]
        pairs += [("dsn", "yes" if self.dsn else "")]
        shown = (
            f"{name}={quote(_one_line(text))}"
            for name, text in pairs
            if text or name == "rcpt"
        )
        return " ".join(shown)


def _one_line(text: str) -> str:
    return " ".join(text.split("\n"))


def read(line: str) -> Fate:
    """Read what Fate.show printed.  Raises MailfsError for anything else."""
    attrs = parse(line)
    rcpt, kind = value(attrs, "rcpt"), value(attrs, "fate")
    code = value(attrs, "code") or "0"
    if rcpt is None or kind not in ("ok", "permanent", "temporary"):
        raise MailfsError(f"not a report of a delivery: {line[:80]!r}")
    if not code.isdecimal() or len(code) > 3:
        raise MailfsError(f"not a reply code: {code[:8]!r}")
    return Fate(
        rcpt,
        kind == "ok",
        kind == "permanent",
        int(code),
        value(attrs, "enhanced") or "",
        value(attrs, "line") or "",
        value(attrs, "host") or "",
        value(attrs, "dsn") == "yes",
    )


def judged(rcpt: str, reply: Reply, host: str, *, dsn: bool = False) -> Fate:
    """Make the fate that a reply to RCPT, or to the end of the data, means.

    A reply that is neither 2yz nor 5yz is temporary: the next attempt will tell.
    """
    return Fate(
        rcpt,
        reply.ok,
        reply.permanent,
        reply.code,
        reply.enhanced,
        str(reply),
        host,
        dsn and reply.ok,
    )


def failed(rcpts: Iterable[str], error: DeliveryError, host: str = "") -> list[Fate]:
    """Return the fates of recipients that share an error."""
    one = Fate("", False, error.permanent, error.code, error.enhanced, str(error), host)
    return [replace(one, rcpt=rcpt) for rcpt in rcpts]
