"""What a sender asks of delivery reports: RET, ENVID, NOTIFY, ORCPT; RFC 3461. Pure.

ENVID and ORCPT are kept as they came, in xtext, so that they leave unchanged.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mailfs.attr import parse, quote, value
from mailfs.errors import MailfsError

NEVER, SUCCESS, FAILURE, DELAY = "never", "success", "failure", "delay"
MAX_ENVID = 100  # characters; section 4.4
MAX_ORCPT = 500  # characters; section 4.2
MAX_FILE = 1 << 20  # octets of a queued message's wishes

_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
_TYPE = re.compile(r"[A-Za-z0-9-]{1,20}")
_PLUS = re.compile(r"((?:\+[0-9A-F]{2})+)")
_ODD = re.compile(r"[^!-*,-<>-~]")


class BadDsn(MailfsError):
    """A parameter that asks for nothing known."""


@dataclass(frozen=True, slots=True)
class RcptDsn:
    """The wishes for one recipient; notify is empty if none were told."""

    notify: tuple[str, ...] = ()
    orcpt: str = ""  # TYPE;xtext


@dataclass(frozen=True, slots=True)
class Dsn:
    """The wishes for one message; ret is ``full``, ``hdrs`` or empty."""

    ret: str = ""
    envid: str = ""  # xtext
    rcpts: Mapping[str, RcptDsn] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether anything was asked for."""
        return bool(self.ret or self.envid or self.rcpts)

    def of(self, rcpt: str) -> RcptDsn:
        """Find the wishes for a recipient."""
        return self.rcpts.get(rcpt, RcptDsn())

    def wants(self, rcpt: str, what: str) -> bool:
        """Whether the sender wants to hear of it; failures and delays unless told."""
        notify = self.of(rcpt).notify
        return what in notify if notify else what in (FAILURE, DELAY)


def notify(text: str) -> tuple[str, ...]:
    """Read the value of NOTIFY.  Raises BadDsn."""
    words = tuple(text.lower().split(","))
    known = set(words) <= {NEVER, SUCCESS, FAILURE, DELAY}
    if not known or (NEVER in words and len(words) > 1):
        raise BadDsn("NOTIFY: want NEVER, or some of SUCCESS,FAILURE,DELAY")
    return words


def ret(text: str) -> str:
    """Read the value of RET.  Raises BadDsn."""
    if text.lower() not in ("full", "hdrs"):
        raise BadDsn("RET: want FULL or HDRS")
    return text.lower()


def envid(text: str) -> str:
    """Read the value of ENVID.  Raises BadDsn."""
    if not 0 < len(text) <= MAX_ENVID or not _XTEXT.fullmatch(text):
        raise BadDsn(f"ENVID: want up to {MAX_ENVID} characters of xtext")
    return text


def orcpt(text: str) -> str:
    """Read the value of ORCPT.  Raises BadDsn."""
    kind, _, address = text.partition(";")
    if len(text) > MAX_ORCPT or not (_TYPE.fullmatch(kind) and address):
        raise BadDsn("ORCPT: want TYPE;ADDRESS")
    # RFC 6533 has UTF-8 for the type utf-8, with none of what needs xtext.
    if kind.lower() == "utf-8":
        if not address.isprintable() or " " in address or "=" in address:
            raise BadDsn("ORCPT: want printable characters")
    elif not _XTEXT.fullmatch(address):
        raise BadDsn("ORCPT: want xtext")
    return text


def xtext(text: str) -> str:
    """Encode a parameter's value; section 4."""
    return _ODD.sub(lambda m: "".join(f"+{b:02X}" for b in m[0].encode()), text)


def plain(text: str) -> str:
    """Decode xtext, for people."""

    def decoded(m: re.Match[str]) -> str:
        return bytes.fromhex(m[1].replace("+", "")).decode("utf-8", "replace")

    return _PLUS.sub(decoded, text)


def show(dsn: Dsn) -> bytes:
    """Write wishes as lines of attributes: the message's, then a recipient's each."""
    rows: list[list[tuple[str, str]]] = [[("ret", dsn.ret), ("envid", dsn.envid)]]
    for rcpt, one in dsn.rcpts.items():
        told = ",".join(one.notify)
        rows.append([("rcpt", rcpt), ("notify", told), ("orcpt", one.orcpt)])
    lines = [" ".join(f"{n}={quote(t)}" for n, t in row if t) for row in rows]
    return "".join(f"{line}\n" for line in lines).encode(errors="surrogateescape")


def read(octets: bytes) -> Dsn:
    """Read what show wrote; what cannot be read asks for nothing."""
    first, *lines = octets.decode(errors="surrogateescape").split("\n")
    try:
        told = parse(first)
        rcpts = dict(map(_rcpt, filter(None, lines)))
        return Dsn(value(told, "ret") or "", value(told, "envid") or "", rcpts)
    except MailfsError:
        return Dsn()


def _rcpt(line: str) -> tuple[str, RcptDsn]:
    attrs = parse(line)
    words = value(attrs, "notify") or ""
    told = tuple(words.split(",")) if words else ()
    return value(attrs, "rcpt") or "", RcptDsn(told, value(attrs, "orcpt") or "")


def for_all(rcpts: Sequence[str], one: RcptDsn, ret: str = "", envid: str = "") -> Dsn:
    """Make the same wishes for several recipients."""
    wished = dict.fromkeys(rcpts, one) if one != RcptDsn() else {}
    return Dsn(ret, envid, wished)
