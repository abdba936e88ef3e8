"""The list of mailboxes that ``mailfs fs`` opens when it is told none.

``mail/box/USER/mailboxes`` has a line ``[NAME=]MAILBOX`` for each, as ``-f`` takes it;
``#`` begins a comment line.
"""

from pathlib import Path

from mailfs.errors import EFBIG, MailfsError, reason

NAME = "mailboxes"
MAX_FILE = 1 << 20  # octets; ten thousand mailboxes


def path(root: Path, user: str) -> Path:
    """Name the path of a user's list."""
    return root / "mail" / "box" / user / NAME


def read(root: Path, user: str) -> list[str]:
    """Return a user's mailboxes as ``-f`` takes them, none without a list.

    Raises MailfsError if there is a list that cannot be read.
    """
    file = path(root, user)
    try:
        with open(file, "rb") as f:
            raw = f.read(MAX_FILE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as e:
        raise MailfsError(f"{file}: {reason(e)}") from e
    if len(raw) > MAX_FILE:
        raise MailfsError(f"{file}: {EFBIG}")
    return parse(raw.decode("utf-8", "surrogateescape"))


def parse(text: str) -> list[str]:
    """Return the lines that name mailboxes, without blanks around them."""
    lines = (line.strip() for line in text.split("\n"))
    return [line for line in lines if line and not line.startswith("#")]


def split(line: str) -> tuple[str, str]:
    """Split a line into name, empty if it has none, and mailbox."""
    name, equals, spec = line.partition("=")
    return (name, spec) if equals and name and "/" not in name else ("", line)
