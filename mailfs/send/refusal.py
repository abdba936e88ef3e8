"""Why mail is not taken: a text that programs look for, and whether trying again helps.

Most texts are those of upas/send, whose callers (validateaddress, smtpd) match them.
"""

from mailfs.errors import MailfsError


class Refusal(MailfsError):
    """Mail that cannot be delivered; permanent says that it never can be."""

    def __init__(self, text: str, *, permanent: bool, status: int = 0) -> None:
        super().__init__(text)
        self.text = text  # may have several lines, where a program wrote them
        self.permanent = permanent
        self.status = status  # of the program that refused


class Unconfigured(Refusal):
    """Mail that cannot be delivered before the user has edited a file of ours.

    For a person that is final, and told at once; mail of programs and strangers is
    refused for now.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text, permanent=False)


UNDEFINED = "Invalid address"  # no rule takes it; capital, unlike the next
SYNTAX = "invalid address"
UNKNOWN = "unknown user"
LOOP = "forwarding loop"
FORBIDDEN = "destination unknown or forwarding disallowed"
BROKEN_PIPE = "broken pipe"
TRANSLATION = "name translation failed"
BAD_ALIAS = "broken alias"
RESOURCES = "out of some resource.  Try again later."
LOCKED = "can't lock mail file"
UNOPENED = "mail file cannot be opened"
UNWRITTEN = "error writing mail file"
TOO_LONG = "message too long"
TOO_FAR = "possible forward loop"  # too many Received: lines
NOT_OURS = "pipeto of another user"


def permanent(text: str) -> Refusal:
    """Return a refusal for good."""
    return Refusal(text, permanent=True)


def temporary(text: str) -> Refusal:
    """Return a refusal that may end."""
    return Refusal(text, permanent=False)
