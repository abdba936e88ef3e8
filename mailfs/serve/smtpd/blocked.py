"""``mail/lib/blocked``: what becomes of networks and senders; ratfs(4), blocked(6).

A line is ``verb network ...`` or ``*verb sender ...``.  Of the actions that apply to a
peer and a sender, allow counts before block, deny, dial and delay, wherever the lines
stand.  Senders are compared in lower case, in bang form.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from mailfs.serve.smtpd.net import Address, Nets, Network, net


class Action(Enum):
    """What becomes of mail, in the order they count."""

    ALLOW = "allow"
    BLOCK = "block"  # read, maybe kept, then refused
    DENY = "deny"  # refused at once, with whom to write to
    DIAL = "dial"  # refused at once, with all that follows
    DELAY = "delay"  # read, then told to come again


_VERBS = {action.value: action for action in Action} | {
    "accept": Action.ALLOW,
    "relay": Action.DELAY,
}
_DANGEROUS = frozenset({"*", "!", "*!", "!*", "*!*"})


@dataclass(slots=True)
class Senders:
    """The senders of one action."""

    anywhere: set[str] = field(default_factory=set)  # a domain, anywhere in the path
    below: set[str] = field(default_factory=set)  # a domain and all below it
    users: set[str] = field(default_factory=set)  # in every domain
    exact: set[str] = field(default_factory=set)  # dom!user
    prefixes: tuple[str, ...] = ()

    def add(self, pattern: str) -> None:
        """Add a pattern; dangerous ones, which match all, are passed over."""
        if pattern in _DANGEROUS or not pattern:
            return
        dom, bang, user = pattern.rpartition("!")
        if not bang:
            dom, user = pattern, ""
            if pattern.endswith("*") and not pattern.startswith("*"):
                self.prefixes += (pattern[:-1],)
                return
        if dom in ("", "*") and user:
            self.users.add(user)
        elif user in ("", "*"):
            if dom.startswith("*."):
                self.below.add(dom[2:])
            else:
                self.anywhere.add(dom)
        elif user.endswith("*"):
            self.prefixes += (pattern[:-1],)
        else:
            self.exact.add(pattern)

    def __contains__(self, bang: str) -> bool:
        path = bang.lower().split("!")
        domains, user = path[:-1], path[-1]
        if not self.anywhere.isdisjoint(domains) or user in self.users:
            return True
        if "!".join(path[-2:]) in self.exact or bang.lower().startswith(self.prefixes):
            return True
        return any(tail in self.below for dom in domains for tail in _tails(dom))


def _tails(domain: str) -> Sequence[str]:
    labels = domain.split(".")
    return [".".join(labels[i:]) for i in range(len(labels))]


class Blocked:
    """The table."""

    def __init__(self, text: str = "") -> None:
        """Read the file's text; complaints tells of lines that make no sense."""
        self.complaints: list[str] = []
        networks: dict[Action, list[Network]] = {action: [] for action in Action}
        self._senders = {action: Senders() for action in Action}
        for number, line in enumerate(text.split("\n"), 1):
            words = re.sub(r"#.*", "", line).replace(",", " ").lower().split()
            if words:
                self._add(number, words, networks)
        self._nets = {action: Nets(found) for action, found in networks.items()}

    def _add(
        self, number: int, words: list[str], networks: dict[Action, list[Network]]
    ) -> None:
        verb, rest = words[0], words[1:]
        star = verb.startswith("*")
        if verb == "*" and rest:  # a blank may follow the star
            verb, rest = f"*{rest[0]}", rest[1:]
        action = _VERBS.get(verb.removeprefix("*"))
        if action is None:
            self.complaints.append(f"line {number}: {verb}: no such action")
            return
        for word in rest:
            if star:
                self._senders[action].add(word)
                continue
            try:
                networks[action].append(net(word))
            except ValueError as e:
                self.complaints.append(f"line {number}: {e}")

    def peer(self, address: Address | None) -> Action | None:
        """Return the action for a peer, None if there is none."""
        return next((a for a in Action if address in self._nets[a]), None)

    def find(self, address: Address | None, sender: str) -> Action | None:
        """Return the action for a peer and a sender in bang form."""
        for action in Action:
            if address in self._nets[action] or sender in self._senders[action]:
                return action
        return None
