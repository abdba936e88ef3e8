"""``mail/lib/smtpd.conf``: what the server accepts, and from where; smtpd(6).

Words are separated by blanks, tabs or commas and count in lower case; ``#`` begins a
comment; a backslash takes the character behind it as it is.  Verbs that list may be
repeated.  Only the word ``on`` switches on.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mailfs.serve.smtpd.net import Nets, Network, net

MAX_SIZE = 128 << 20  # octets of a message that send takes
_WORD = re.compile(r"(?:\\.|[^\s,#\\])+")
_SWITCHES = ("norelay", "verifysenderdom", "saveblockedmsg", "greylist")
_NUMBERS = {"maxsize": MAX_SIZE, "maxrcpts": 10_000, "earlytalker": 60}


@dataclass(frozen=True, slots=True)
class Conf:
    """The settings; the defaults relay for nobody.

    ournets     peers there are trusted: they may relay, and are asked less
    ourdomains  domains mail is accepted for: (name, whether subdomains count)
    normalize   peers there may end lines of a message with LF alone
    complaints  lines that make no sense, for the log and doctor
    """

    defaultdomain: str = ""
    norelay: bool = True
    verifysenderdom: bool = False
    saveblockedmsg: bool = False
    greylist: bool = False
    ournets: Nets = field(default_factory=Nets)
    ourdomains: tuple[tuple[str, bool], ...] = ()
    normalize: Nets = field(default_factory=Nets)
    maxsize: int = 36 << 20
    maxrcpts: int = 1000
    earlytalker: int = 2  # seconds a stranger waits for the greeting
    complaints: tuple[str, ...] = ()

    def ours(self, domain: str) -> bool:
        """Whether a domain is among ourdomains."""
        domain = domain.lower()
        return any(
            domain == name or (below and domain.endswith(f".{name}"))
            for name, below in self.ourdomains
        )


def parse(text: str) -> Conf:
    """Read the file's text; lines that make no sense are told in complaints."""
    values: dict[str, object] = {}
    nets: list[Network] = []
    bare: list[Network] = []
    domains: list[tuple[str, bool]] = []
    complaints: list[str] = []
    for number, words in _lines(text):
        verb, rest = words[0], words[1:]
        try:
            if verb == "ournets":
                nets += map(net, rest)
            elif verb == "ourdomains":
                domains += map(_domain, rest)
            elif verb == "barenewline" and rest[:1] == ["normalize"]:
                bare += map(net, rest[1:])
            else:
                values[verb] = _value(verb, rest)
        except ValueError as e:
            complaints.append(f"line {number}: {' '.join(words)}: {e}")
    return Conf(
        ournets=Nets(nets),
        normalize=Nets(bare),
        ourdomains=tuple(domains),
        complaints=tuple(complaints),
        **values,  # type: ignore[arg-type]
    )


def _lines(text: str) -> Iterator[tuple[int, Sequence[str]]]:
    for number, line in enumerate(text.split("\n"), 1):
        bare = re.sub(r"(?<!\\)#.*", "", line)
        words = [re.sub(r"\\(.)", r"\1", w).lower() for w in _WORD.findall(bare)]
        if words:
            yield number, words


def _value(verb: str, rest: Sequence[str]) -> object:
    """Return the value of a setting that is no list.  Raises ValueError."""
    if len(rest) == 1 and verb in _SWITCHES:
        return rest[0] == "on"
    if len(rest) == 1 and verb in _NUMBERS:
        return _number(rest[0], _NUMBERS[verb])
    if len(rest) == 1 and verb == "defaultdomain":
        return rest[0]
    raise ValueError("no such setting, or not so")


def _number(word: str, most: int) -> int:
    if not word.isdecimal() or not word.isascii() or int(word[:12]) > most:
        raise ValueError(f"want a number up to {most}")
    return int(word)


def _domain(word: str) -> tuple[str, bool]:
    return (word[2:], True) if word.startswith("*.") else (word, False)
