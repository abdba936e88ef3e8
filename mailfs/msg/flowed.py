"""Text that was broken into lines for sending, joined again; RFC 3676."""

import re

_QUOTES = re.compile(r">*")


def joined(text: str, *, delsp: bool = False) -> str:
    """Join the lines of a text of format=flowed into paragraphs.

    delsp: the blank that a line ends with is none of the text.
    """
    out: list[str] = []
    depth = 0
    open_ = False  # whether the last line goes on
    for line in text.split("\n"):
        quotes = _QUOTES.match(line)
        level = 0 if quotes is None else quotes.end()
        rest = line[level:].removesuffix("\r")
        rest = rest.removeprefix(" ")  # stuffed, so that it does not look quoted
        signature = rest == "-- "
        flows = rest.endswith(" ") and not signature
        body = rest[:-1] if flows and delsp else rest
        if open_ and level == depth and not signature:
            out[-1] += body
        else:
            out.append((">" * level + " " if level else "") + body)
        depth, open_ = level, flows
    return "\n".join(out)
