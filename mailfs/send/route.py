"""Where addresses lead: rules and forward files applied until nothing is left to do.

Addresses form a graph: an address that is met again, on the same terms, is the same
node, so nothing is delivered twice for having two names.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from mailfs.errors import MailfsError, reason
from mailfs.send import address as addresses
from mailfs.send import alias, command, local
from mailfs.send.refusal import (
    BAD_ALIAS,
    FORBIDDEN,
    LOOP,
    SYNTAX,
    TRANSLATION,
    UNDEFINED,
    Refusal,
    permanent,
    temporary,
)
from mailfs.send.rewrite import Kind, RuleMatch, Rules
from mailfs.site.site import Site

MAX_PASSES = 32  # upas' limit of rules in a row
MAX_NODES = 10_000  # addresses that one message may come to have
_MAX_SELF = 4  # times our name may stand in an address before it is a loop
_SUMMARY = "_nosummary_"  # begins a line that is no address


@dataclass(frozen=True, slots=True)
class Program:
    """A command that takes the message: its own words, and those of this address."""

    words: tuple[str, ...]
    args: tuple[str, ...]
    shown: tuple[str, str]  # both as upas writes them


Leaf = local.LocalMailbox | local.Pipeto | Program | Refusal


@dataclass(slots=True, eq=False)
class RouteNode:
    """An address and what became of it: a leaf, or the addresses it stands for."""

    address: str
    forwarded: bool  # a forward file has led here
    allowed: bool  # auth rules have been asked
    leaf: Leaf | None = None
    local: bool = False  # a rule has led to a mailbox here
    next: list["RouteNode"] = field(default_factory=list)

    def leaves(self) -> Iterator["RouteNode"]:
        """Yield the nodes below that have a leaf, each once."""
        seen = {id(self)}
        todo = [self]
        while todo:
            node = todo.pop()
            if node.leaf is not None:
                yield node
            for child in reversed(node.next):
                if id(child) not in seen:
                    seen.add(id(child))
                    todo.append(child)


class Router:
    """Finds the destinations of one message's recipients."""

    def __init__(
        self, site: Site, rules: Rules, sender: str, *, bulk: bool, auth: bool
    ) -> None:
        """Sender is whom mail is from; auth says that auth rules are to be asked."""
        self._site = site
        self._rules = rules
        self._sender = sender
        self._bulk = bulk
        self._auth = auth
        self._nodes: dict[tuple[str, bool, bool], RouteNode] = {}
        self.summary = True  # whether To: may be made of the addresses as given
        self._steps: dict[Kind, Callable[[RouteNode, RuleMatch], list[str]]] = {
            Kind.ALIAS: self._alias,
            Kind.TRANSLATE: self._translate,
            Kind.APPEND: self._append,
            Kind.PIPE: self._pipe,
            Kind.AUTH: self._authorise,
        }

    def resolve(
        self, given: Sequence[str], *, forwarded: bool = False
    ) -> list[RouteNode]:
        """Find a node for each address, all of whose leaves are known.

        forwarded says that a forward file has led to them.
        """
        roots = [self._node(text, forwarded, not self._auth) for text in given]
        todo = list(dict.fromkeys(roots))
        for _ in range(MAX_PASSES):
            following: list[RouteNode] = []
            for node in todo:
                if node.leaf is None and not node.next:
                    self._step(node)
                    following += node.next
            todo = list(dict.fromkeys(following))
        for node in todo:
            if node.leaf is None and not node.next:
                node.leaf = permanent(LOOP)
        for root in roots:
            if next(root.leaves(), None) is None:
                root.leaf = permanent(LOOP)
        return roots

    def _node(self, text: str, forwarded: bool, allowed: bool) -> RouteNode:
        key = (text, forwarded, allowed)
        if key not in self._nodes:
            self._nodes[key] = RouteNode(text, forwarded, allowed)
        return self._nodes[key]

    def _step(self, node: RouteNode) -> None:
        try:
            found = self._examine(node)
        except Refusal as e:
            node.leaf = e
        except OSError as e:
            node.leaf = temporary(f"{e.filename or ''}: {reason(e)}")
        except MailfsError as e:
            node.leaf = temporary(str(e))
        else:
            node.next += (self._node(*state) for state in found)

    def _examine(self, node: RouteNode) -> list[tuple[str, bool, bool]]:
        """Apply one rule; return what takes the node's place, if it has no leaf now."""
        text = node.address
        if not addresses.valid(text):
            raise permanent(SYNTAX)
        systems = text.lower().split("!")[1:-1]
        if systems.count(self._site.names.site.lower()) >= _MAX_SELF:
            raise permanent(LOOP)
        match = self._rules.match(
            text, self._sender, bulk=self._bulk, auth=not node.allowed
        )
        if match is None:
            raise permanent(UNDEFINED)
        if match.rule.kind is Kind.AUTH:
            self._authorise(node, match)
            return [(text, node.forwarded, True)]
        found = self._steps[match.rule.kind](node, match)
        if node.leaf is None and not found:
            raise permanent(BAD_ALIAS)
        if len(self._nodes) + len(found) > MAX_NODES:
            raise permanent(LOOP)
        forwarded = node.forwarded or match.rule.kind is Kind.APPEND
        return [(text, forwarded, node.allowed) for text in found]

    def _alias(self, _: RouteNode, match: RuleMatch) -> list[str]:
        return addresses.split(match.plain(match.rule.arg1))

    def _translate(self, _: RouteNode, match: RuleMatch) -> list[str]:
        words = match.words(match.rule.arg1)
        if command.verb(words[0]) == "aliasmail" and len(words) == 2:
            return alias.lookup(self._site, words[1])
        outcome = command.run(self._site, words)
        if outcome.status:
            raise command.refusal(outcome, TRANSLATION)
        lines = outcome.out.split("\n")
        kept = [line for line in lines if not line.startswith(_SUMMARY)]
        self.summary = self.summary and len(kept) == len(lines)
        return addresses.split("\n".join(kept))

    def _append(self, node: RouteNode, match: RuleMatch) -> list[str]:
        node.local = True
        for part in match.parts(match.rule.arg1):
            local.check_part(part)
        name = match.plain(match.rule.arg1)
        if not name:
            user = addresses.own(node.address)
            local.check_part(user)
            name = f"/mail/box/{user}/mbox"
        found = local.find(self._site.path(name), forwarded=node.forwarded)
        if isinstance(found, local.Forward):
            return list(found.addresses)
        node.leaf = found
        return []

    def _pipe(self, node: RouteNode, match: RuleMatch) -> list[str]:
        rule = match.rule
        args = match.words(rule.arg2) if rule.arg2 else []
        shown = match.text(rule.arg1), match.text(rule.arg2 or "")
        node.leaf = Program(tuple(match.words(rule.arg1)), tuple(args), shown)
        return []

    def _authorise(self, _: RouteNode, match: RuleMatch) -> list[str]:
        outcome = command.run(self._site, match.words(match.rule.arg1))
        if outcome.status:
            raise command.refusal(outcome, FORBIDDEN)
        return []
