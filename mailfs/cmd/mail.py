"""mailfs mail: send mail to the addresses given, or to those in the text's header."""

from mailfs.cmd import marshal
from mailfs.errors import UsageError

SUMMARY = "send mail: mailfs mail ADDR ..."

_READING = ("-f", "-c", "-m")  # of mail(1): with these it is a reader


def main(argv: list[str]) -> int:
    """Run the verb: marshal, with recipients from the text's header too."""
    if argv and argv[0] in _READING:
        raise UsageError(f"{argv[0]}: reading mail is nedmail's; see mailfs fs")
    return marshal.run("mail", argv, headed=True)
