"""The services that are posted in the name space, and the verbs that post them."""

from pathlib import Path

from mailfs.errors import MailfsError
from mailfs.p9.dial import NoServer
from mailfs.where import DialString, namespace

# The service, what it is, the command that starts it.
SERVICES = {
    "upasfs": ("mail server", "mailfs fs &"),
    "mail": ("mail server", "mailfs fs -l mail &"),
    "factotum": ("factotum", "mailfs factotum &"),
}


def absent(address: DialString, error: NoServer) -> MailfsError:
    """Name the command that starts the service nobody serves; else keep the error."""
    path = Path(address.host)
    if path.name in SERVICES and path.parent == namespace():
        what, command = SERVICES[path.name]
        return MailfsError(f"no {what} runs: {command}")
    return error
