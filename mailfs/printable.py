"""What others wrote, made fit for a terminal: names, subjects, replies, error texts.

Escape and control characters, marks that turn the direction of writing, line
separators and octets that are no text are shown as ``?``.  Whatever is printed to
people, and may come from elsewhere, goes through here.
"""


def shown(text: str, keep: str = "") -> str:
    """Return a text with what does not print as ``?``, but for characters in keep."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else "?" for c in text)
