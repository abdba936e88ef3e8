"""The smaller lists of smtpd(8): names.blocked, senders, the greylist's whitelist."""

from collections.abc import Callable, Iterable, Iterator

from mailfs.serve.smtpd.grammar import Path
from mailfs.serve.smtpd.net import Address, Nets, Network, address, net

Lookup = Callable[[str], Iterable[str]]
"""Return the IP addresses of a domain, none if it has none."""


def _words(text: str) -> Iterator[list[str]]:
    for line in text.split("\n"):
        words = line.partition("#")[0].split()
        if words:
            yield words


class NamesBlocked:
    """``names.blocked``: recipients nobody may write to, one a line, in any case."""

    def __init__(self, text: str = "") -> None:
        self._names = {words[0].lower() for words in _words(text)}

    def __contains__(self, path: Path) -> bool:
        forms = (path.bang, str(path), f"{path.user}@{path.domain}")
        return any(form.lower() in self._names for form in forms)


class Senders:
    """``senders``: recipients who take mail from some domains' machines only."""

    def __init__(self, text: str = "") -> None:
        self._allowed: dict[str, list[str]] = {}
        for words in _words(text):
            self._allowed.setdefault(words[0].lower(), []).extend(words[1:])

    def admits(self, path: Path, peer: Address | None, lookup: Lookup) -> bool:
        """Whether a recipient takes mail from a peer; lookup may block."""
        forms = (path.bang, str(path), path.user)
        found = [self._allowed[f.lower()] for f in forms if f.lower() in self._allowed]
        if not found:
            return True
        for word in found[0]:
            try:
                if peer is not None and peer in Nets([net(word)]):
                    return True
            except ValueError:
                if peer is not None and peer in map(address, lookup(word)):
                    return True
        return False


def whitelist(text: str) -> Nets:
    """Read ``mail/grey/whitelist``: lines ``network [name]``; others mean nothing."""
    found: list[Network] = []
    for words in _words(text):
        try:
            found.append(net(words[0]))
        except ValueError:
            continue
    return Nets(found)
