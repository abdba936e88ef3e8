"""The dialogue that completes a key; factotum -g, auth_getkey in auth(3)."""

from collections.abc import Callable
from dataclasses import dataclass

from mailfs.attr import Attr, Attrs, parse, quote, reveal, show
from mailfs.errors import MailfsError
from mailfs.secret import Secret

Say = Callable[[str], None]
Ask = Callable[[str, str], str]
"""Ask for a line: prompt, default."""
AskSecret = Callable[[str], Secret]


@dataclass(frozen=True, slots=True)
class KeyTemplate:
    """A key to ask for, and if it replaces another, which and why."""

    attrs: Attrs
    replaces: Attrs = ()
    because: str = ""


def wanted(text: str) -> KeyTemplate:
    """Parse a template, or the three lines of badkey: old key, reason, template.

    Raises MailfsError if the template itself holds a secret: it was on a command line
    or the wire.
    """
    *bad, template = text.split("\n")
    if len(bad) not in (0, 2):
        raise MailfsError("a template is one line, or the three of badkey")
    attrs = parse(template)
    if any(a.private and a.value is not None for a in attrs):
        raise MailfsError("a secret does not belong there: write !name? to be asked")
    return KeyTemplate(attrs, parse(bad[0]), bad[1]) if bad else KeyTemplate(attrs)


def getkey(
    key: KeyTemplate, user: str, *, say: Say, ask: Ask, ask_secret: AskSecret
) -> str:
    """Return the control message that adds a key.

    Queries are asked for, public ones first; user is the default of ``user``.
    """
    if key.replaces:
        say(f"!replace: {show(key.replaces)}")
        say(f"!because: {key.because}")
    given = [a for a in key.attrs if a.value is not None]
    say(f"!adding key: {show(given)}")
    asked = sorted((a for a in key.attrs if a.value is None), key=lambda a: a.private)
    for a in asked:
        given.append(Attr(a.name, _answer(a, user, ask, ask_secret)))
    say("!")
    return f"key {reveal(given)}"


def _answer(a: Attr, user: str, ask: Ask, ask_secret: AskSecret) -> str:
    if a.private:
        return ask_secret(f"{quote(a.name[1:])}: ").text()
    default = user if a.name == "user" else ""
    prompt = quote(a.name) + (f"[{default}]: " if default else ": ")
    return ask(prompt, default)
