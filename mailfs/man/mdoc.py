"""The few macros of mdoc(7) that generated parts of pages are made of."""

import re
import textwrap

from mailfs.man.synopsis import Operand, Option, Synopsis

WIDTH = 78  # columns of a source line
_SENTENCE = re.compile(r"(?<=[a-z)][.!?])\s+(?=[A-Z(-])")
_MACRO = re.compile(r"[A-Z][a-z][a-z]?")  # what could be called in mid-line
_MARKS = frozenset(".,:;()[]?!|")


def text(words: str) -> str:
    """Return words as a text line has them."""
    words = words.replace("\\", "\\e")
    return f"\\&{words}" if words.startswith((".", "'")) else words


def prose(words: str) -> list[str]:
    """Return sentences as source lines, each beginning with a new line."""
    lines = []
    for sentence in _SENTENCE.split(" ".join(words.split())):
        lines += textwrap.wrap(
            sentence, WIDTH, break_long_words=False, break_on_hyphens=False
        )
    return list(map(text, lines))


def literal(words: str) -> str:
    """Return a line to be shown and copied octet for octet."""
    return text(words).replace("-", "\\-")


def word(argument: str) -> str:
    """Return an argument of a macro that stays one word and means nothing else."""
    safe = argument.replace("\\", "\\e").replace('"', "\\(dq")
    if _MACRO.fullmatch(safe) or safe in _MARKS or safe.startswith(("-", ".")):
        safe = f"\\&{safe}"
    return f'"{safe}"' if " " in safe or not safe else safe


def flag(name: str) -> str:
    """Return the macro for one name of an option."""
    return f"Fl {word(name[1:]) if name[1] != '-' else name[1:]}"


def option(given: Option) -> str:
    """Return the macros for an option by its first name."""
    return flag(given.names[0]) + _argument(given)


def _argument(given: Option) -> str:
    return f" Ar {word(given.metavar)}" if given.metavar else ""


def operand(given: Operand) -> str:
    """Return the macros for an operand in a synopsis."""
    more = " ..." if given.many else ""
    if given.optional:
        return f"Op Ar {word(given.name)}{more}"
    return f"Ar {word(given.name)}{more}"


def usage(of: Synopsis) -> list[str]:
    """Return the lines of a synopsis behind the name: options, then operands."""
    cluster = "".join(one.short for one in of.options)
    lines = [f".Op Fl {cluster}"] if cluster else []
    for one in of.options:
        if not one.short:
            lines.append(f".Op {option(one)}" + (" ..." if one.many else ""))
    return lines + [f".{operand(one)}" for one in of.operands]


def items(of: Synopsis) -> list[str]:
    """Return the lists of options and operands, each with its help."""
    rows = []
    for one in of.options:
        names = " , ".join(map(flag, one.names))
        rows.append((f"{names}{_argument(one)}", one.help))
    for arg in of.operands:
        if arg.help or arg.choices:
            rows.append((f"Ar {word(arg.name)}", arg.help or _choice(arg)))
    if not rows:
        return []
    lines = [".Bl -tag -width Ds"]
    for head, told in rows:
        lines += [f".It {head}", *(prose(_sentence(told)) if told else [])]
    return [*lines, ".El"]


def _choice(arg: Operand) -> str:
    return f"one of {', '.join(arg.choices)}"


def _sentence(told: str) -> str:
    first = told[:1].upper() if told[:2].isalpha() or told[:2] == "a " else told[:1]
    end = "" if told.endswith((".", "?", "!")) else "."
    return f"{first}{told[1:]}{end}"
