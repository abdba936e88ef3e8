"""SMTP command lines taken apart; RFC 5321 section 4.1.2.

Pure: octets in, values out.  Blanks that RFC 5321 forbids but old clients send (after
the colon of MAIL and RCPT, several between words) are taken.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from mailfs.errors import MailfsError

MAX_LINE = 4096  # octets of a command; RFC 5321 has 512, parameters add to it
MAX_PATH = 1024  # octets of a path; RFC 5321 section 4.5.3.1.3 has 256
MAX_PARAMETERS = 20  # of MAIL or RCPT

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]+"
_DOT = rf"{_ATEXT}(?:\.{_ATEXT})*"
_QUOTED = r'"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*"'
_LETTER = r"[A-Za-z0-9_\x80-\U0010ffff]"
_LABEL = rf"{_LETTER}(?:-*{_LETTER})*"
_NAME = rf"{_LABEL}(?:\.{_LABEL})*\.?"
_LITERAL = r"\[[0-9A-Za-z:.]{1,64}\]"
_DOMAIN = rf"(?:{_NAME}|{_LITERAL})"
_PATH = re.compile(
    rf"<(?:(?P<route>@{_DOMAIN}(?:,@{_DOMAIN})*):)?"
    rf"(?P<local>{_DOT}|{_QUOTED})(?:@(?P<domain>{_DOMAIN}))?>"
)
_HELO = re.compile(rf"{_DOMAIN}")
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([^\x00-\x20=\x7f]*))?")


class BadSyntax(MailfsError):
    """A line that is no command; code and enhanced are the reply's."""

    def __init__(self, text: str, code: int = 501, enhanced: str = "5.5.4") -> None:
        super().__init__(text)
        self.code = code
        self.enhanced = enhanced


@dataclass(frozen=True, slots=True)
class Path:
    """An address as MAIL and RCPT give it; local is empty for ``<>``.

    local   with its quotes, if it has any
    domain  a host name without its final dot or a ``[literal]``; empty for none
    routed  hops stood before it, which are dropped; RFC 5321 appendix C
    """

    local: str
    domain: str = ""
    routed: bool = False

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}" if self.domain else self.local

    @property
    def user(self) -> str:
        """The local part without quotes."""
        if not self.local.startswith('"'):
            return self.local
        return re.sub(r"\\(.)", r"\1", self.local[1:-1])

    @property
    def utf8(self) -> bool:
        """Whether any character is beyond US-ASCII; RFC 6531."""
        return not str(self).isascii()

    @property
    def bang(self) -> str:
        """The address as upas writes it: ``dom!user``."""
        return f"{self.domain}!{self.user}" if self.domain else self.user


@dataclass(frozen=True, slots=True)
class Command:
    """One command: verb in capitals, its argument as it stands."""

    verb: str
    argument: str = ""


@dataclass(frozen=True, slots=True)
class Addressed:
    """The argument of MAIL or RCPT."""

    path: Path
    parameters: Mapping[str, str] = field(default_factory=dict)  # names in capitals


def command(line: bytes) -> Command:
    """Take a line without its CR LF apart.  Raises BadSyntax."""
    if len(line) > MAX_LINE:
        raise BadSyntax("line too long", 500, "5.5.2")
    if any((c < 0x20 and c != 0x09) or c == 0x7F for c in line):
        raise BadSyntax("control character in command", 500, "5.5.2")
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise BadSyntax("neither US-ASCII nor UTF-8", 500, "5.5.2") from None
    verb, _, rest = text.strip(" \t").partition(" ")
    if not verb.isascii() or not verb.isalnum():
        raise BadSyntax("illegal command or bad syntax", 500, "5.5.1")
    return Command(verb.upper(), rest.strip(" \t"))


def name(argument: str) -> str:
    """Return the name HELO or EHLO gives.  Raises BadSyntax."""
    word = argument.partition(" ")[0]
    if len(word) > 255 or not _HELO.fullmatch(word):
        raise BadSyntax("want a host name or an address in brackets")
    return word.removesuffix(".")


def addressed(argument: str, keyword: str) -> Addressed:
    """Take ``FROM:<path> parameters`` apart, keyword being FROM or TO.

    Raises BadSyntax.
    """
    if argument[: len(keyword) + 1].upper() != f"{keyword}:":
        raise BadSyntax(f"want {keyword}:<address>")
    rest = argument[len(keyword) + 1 :].lstrip(" \t")
    empty = keyword == "FROM" and rest.startswith("<>")
    if empty:
        path, rest = Path(""), rest[2:]
    else:
        path, rest = _path(rest)
    if rest and rest[0] not in " \t":
        raise BadSyntax("want a blank after the address")
    return Addressed(path, _parameters(rest))


def _path(text: str) -> tuple[Path, str]:
    m = _PATH.match(text)
    if m is None or len(m[0].encode()) > MAX_PATH:
        raise BadSyntax("illegal address", enhanced="5.1.3")
    domain = m["domain"] or ""
    if domain.startswith("["):
        literal(domain)
    elif not domain and m["local"].lower() != "postmaster" and m["route"]:
        raise BadSyntax("illegal address", enhanced="5.1.3")
    found = Path(m["local"], domain.removesuffix("."), m["route"] is not None)
    return found, text[m.end() :]


def literal(domain: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the address of ``[1.2.3.4]`` or ``[IPv6:...]``.  Raises BadSyntax."""
    inner = domain[1:-1]
    tagged = inner[:5].upper() == "IPV6:"
    try:
        found = ipaddress.ip_address(inner[5:] if tagged else inner)
    except ValueError:
        raise BadSyntax("illegal address literal", enhanced="5.1.3") from None
    if tagged != (found.version == 6):
        raise BadSyntax("illegal address literal", enhanced="5.1.3")
    return found


def _parameters(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    words = text.split()
    if len(words) > MAX_PARAMETERS:
        raise BadSyntax("too many parameters")
    for word in words:
        m = _PARAMETER.fullmatch(word)
        if m is None or m[1].upper() in found:
            raise BadSyntax("bad parameter")
        found[m[1].upper()] = m[2] or ""
    return found
