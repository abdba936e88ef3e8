"""mailfs serve: one user's mailboxes for 9P, IMAP and POP3 clients, in one process."""

from mailfs.cmd import fs

SUMMARY = "serve mailboxes to 9P, IMAP and POP3 clients at once"


def main(argv: list[str]) -> int:
    """Run the verb."""
    return fs.begin(
        "serve",
        "Serve mailboxes as mailfs fs does, and to IMAP and POP3 clients: all of them\n"
        "see the same messages, numbers and flags, and each other's changes at once.",
        "mailfs serve                       9P here, IMAP and POP3 at their ports\n"
        "mailfs serve -f ~/Maildir --imap 'tls!*!993'",
        argv,
    )
