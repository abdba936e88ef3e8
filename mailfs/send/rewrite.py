r"""The rules that say what an address means; rewrite(6).

::

    pattern type [arg1 [arg2]]
    ([^@]+)@([^@]+)   alias   \2!\1
    local!(.*)        >>      /mail/box/\1/mbox
    ([^!]*)!(.*)      |       "/mail/lib/qmail '\s' 'net!\1'"    "'\2'"

The first rule whose pattern matches the whole address, in any case, has it.  A field
that starts with a quote runs to the next such quote; a backslash before a newline
joins lines; ``\l`` is a name of this machine, and the rule is there once for each.

Commands are split into words as rc does, before sub-matches are put in: whatever an
address contains, it is one argument.  What only a shell can do has to be asked for with
``sh -c``; in its script all but harmless characters of an address are ``%%XX``.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from mailfs.msg.escape import escape, harmless
from mailfs.send import regexp
from mailfs.send.refusal import SYNTAX, permanent

MAX_RULES = 4096
_FIELD = re.compile(r"""'([^']*)'?|"([^"]*)"?|(\S+)""")
_ITEM = re.compile(r"\\(.)|(&)", re.DOTALL)
_SHELLS = frozenset({"sh", "bash", "dash", "ksh", "zsh", "rc", "ash"})
_OPERATORS = frozenset("|;<>`(){}")


class Kind(Enum):
    """What a rule does with an address."""

    ALIAS = "alias"  # arg1 is a list of addresses, examined in turn
    TRANSLATE = "translate"  # arg1 is a command that prints such a list
    APPEND = ">>"  # arg1 is a mailbox
    PIPE = "|"  # arg1 and the arg2 of all alike are a command that takes the message
    AUTH = "auth"  # arg1 is a command that says whether to go on


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule."""

    pattern: re.Pattern[str]
    kind: Kind
    arg1: str
    arg2: str | None
    line: int  # of the file, from 1


@dataclass(frozen=True, slots=True)
class RuleMatch:
    """An address and the rule that has it."""

    rule: Rule
    found: re.Match[str]
    sender: str  # what \s means
    bulk: bool  # what \p means

    def text(self, field: str) -> str:
        """Return a field with sub-matches put in, escaped, as upas would run it."""
        return self._expand(field, escape)

    def plain(self, field: str) -> str:
        """Return a field with sub-matches put in as they are."""
        return self._expand(field, str)

    def words(self, field: str) -> list[str]:
        """Return a field as the words of a command.

        Raises Refusal if an address would be taken for an option.
        """
        found = []
        templates = _words(field)
        for i, word in enumerate(templates):
            script = _is_script(templates, i)
            expanded = self._expand(word, harmless if script else str)
            if expanded.startswith("-") and not word.startswith("-"):
                raise permanent(SYNTAX)
            found.append(expanded)
        return found

    def parts(self, field: str) -> list[str]:
        """Return the non-empty sub-matches that a field names."""
        found = [m[1] for m in _ITEM.finditer(field) if m[1] and m[1].isdecimal()]
        return [self._group(int(digit)) for digit in found]

    def _group(self, number: int) -> str:
        try:
            return self.found[number] or ""
        except IndexError:
            return ""

    def _expand(self, field: str, show: Callable[[str], str]) -> str:
        def value(m: re.Match[str]) -> str:
            if m[2]:
                return show(self.found[0])
            c = m[1]
            if c.isascii() and c.isdecimal():
                return show(self._group(int(c)))
            if c == "s":
                return show(self.sender)
            if c == "p":
                return "bulk" if self.bulk else "normal"
            return str(c)

        return _ITEM.sub(value, field)


class Rules:
    """The rules of a file, in order; complaints tell what is wrong with it."""

    def __init__(self, rules: Iterable[Rule], complaints: Iterable[str] = ()) -> None:
        self.rules = tuple(rules)
        self.complaints = tuple(complaints)

    def __len__(self) -> int:
        return len(self.rules)

    def match(
        self, address: str, sender: str, *, bulk: bool = False, auth: bool = False
    ) -> RuleMatch | None:
        """Return the first rule that has an address; auth rules count only with auth.

        sender is the reply address; an impossible one is ``postmaster``.
        """
        if "\r" in sender or "\n" in sender:
            sender = "postmaster"
        for rule in self.rules:
            if rule.kind is Kind.AUTH and not auth:
                continue
            found = rule.pattern.fullmatch(address)
            if found is not None:
                return RuleMatch(rule, found, sender, bulk)
        return None


def parse(text: str, names: Iterable[str]) -> Rules:
    r"""Read the rules of a file; names are what ``\l`` stands for, each in turn.

    A rule that cannot be meant is left out and complained of.
    """
    rules: list[Rule] = []
    complaints: list[str] = []
    wanted = list(dict.fromkeys(names))
    for number, line in _lines(text):
        fields = [m[1] or m[2] or m[3] or "" for m in _FIELD.finditer(line)]
        own = any(re.search(r"(?<!\\)(?:\\\\)*\\l", field) for field in fields)
        for name in wanted if own else wanted[:1]:
            try:
                rules.append(_rule(fields, name, number))
            except regexp.BadPattern as e:
                complaints.append(f"rewrite: line {number}: {e}")
        if len(rules) > MAX_RULES:
            complaints.append(f"rewrite: over {MAX_RULES} rules")
            break
    return Rules(rules[:MAX_RULES], complaints)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    joined, first = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        first = first if joined else number
        joined += line
        if joined.endswith("\\"):
            joined = joined[:-1]
            continue
        line, joined = joined.strip(), ""
        if line and not line.startswith("#"):
            yield first, line
    if joined.strip():
        yield first, joined.strip()


def _rule(fields: list[str], name: str, number: int) -> Rule:
    try:
        kind = Kind(fields[1])
    except (IndexError, ValueError):
        raise regexp.BadPattern(f"illegal rewrite rule: {' '.join(fields)}") from None
    pattern = regexp.compile(_load(fields[0], regexp_quoted(name)))
    args = [_load(field, name) for field in fields[2:4]]
    if kind is not Kind.APPEND and not args:
        raise regexp.BadPattern(f"illegal rewrite rule: {' '.join(fields)}")
    if kind in (Kind.TRANSLATE, Kind.PIPE, Kind.AUTH):
        commands = [_words(arg) for arg in args]
        if not commands[0]:
            raise regexp.BadPattern(f"illegal rewrite rule: {' '.join(fields)}")
    arg1 = args[0] if args else ""
    return Rule(pattern, kind, arg1, args[1] if len(args) > 1 else None, number)


def regexp_quoted(name: str) -> str:
    """Return a name as a pattern that matches it alone."""
    return re.sub(r"[^A-Za-z0-9_-]", r"\\\g<0>", name)


def _load(field: str, name: str) -> str:
    """Put the machine's name in, and make one backslash of two."""

    def value(m: re.Match[str]) -> str:
        return name if m[1] == "l" else "\\" if m[1] == "\\" else m[0]

    return re.sub(r"\\(.)", value, field, flags=re.DOTALL)


def _words(command: str) -> list[str]:
    """Split a command as rc does: single quotes, a doubled one inside for itself.

    Raises BadPattern for an operator of the shell outside quotes.
    """
    words: list[str] = []
    word: str | None = None
    i = 0
    while i < len(command):
        c = command[i]
        i += 1
        if c in " \t\n":
            if word is not None:
                words.append(word)
            word = None
            continue
        word = word or ""
        if c == "\\":  # the next is no quote, whatever it is
            word += command[i - 1 : i + 1]
            i += 1
        elif c == "'":
            end = _quote_end(command, i)
            word += command[i:end].replace("''", "'")
            i = end + 1
        elif c in _OPERATORS:
            raise regexp.BadPattern(f"{c} outside quotes: a shell needs sh -c")
        else:
            word += c
    return words if word is None else [*words, word]


def _quote_end(command: str, at: int) -> int:
    while True:
        end = command.find("'", at)
        if end < 0:
            return len(command)
        if command[end + 1 : end + 2] != "'":
            return end
        at = end + 2


def _is_script(words: list[str], i: int) -> bool:
    """Whether word i of a command is what a shell will run."""
    shell = words[0].rpartition("/")[2] in _SHELLS
    return shell and i > 0 and re.fullmatch(r"-\w*c", words[i - 1]) is not None
