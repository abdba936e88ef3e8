"""Secrets that a server has been sent, kept out of the errors that quote its words."""

from base64 import b64encode

from mailfs.errors import MailfsError

LEAST = 3  # characters; a shorter one would be found in any text
SHOWN = "(hidden)"


class Hidden:
    """The secrets of one login."""

    def __init__(self) -> None:
        self._texts: set[str] = set()

    def add(self, octets: bytes, *, user: str = "") -> None:
        """Hide a message of a login, and the secret in it; but not the user's name."""
        for part in (octets, octets.rpartition(b"\0")[2], *octets.split(b"\1")):
            part = part.removeprefix(b"auth=").removeprefix(b"Bearer ")
            for form in (part, b64encode(part)):
                text = form.decode(errors="replace")
                quoted = text.replace("\\", "\\\\").replace('"', '\\"')
                for one in (text, quoted):  # as printed, too: one line, blanks single
                    words = "".join(c if c.isprintable() else " " for c in one)
                    self._texts |= {one, " ".join(words.split())}
        self._texts = {t for t in self._texts if len(t) >= LEAST and t != user}

    def clean(self, text: str) -> str:
        """Return a text without the secrets, nor the beginning of one that is cut."""
        for secret in sorted(self._texts, key=len, reverse=True):
            text = text.replace(secret, SHOWN)
            body = text.removesuffix("...")
            if body == text:
                continue
            for size in range(min(len(secret), len(body)), LEAST - 1, -1):
                if body.endswith(secret[:size]):
                    text = body[:-size] + SHOWN + "..."
                    break
        return text

    def scrub(self, error: MailfsError | OSError) -> None:
        """Take the secrets out of an error that is about to be raised."""
        error.args = tuple(
            self.clean(arg) if isinstance(arg, str) else arg for arg in error.args
        )
        for name in ("text", "detail", "strerror"):
            said = getattr(error, name, None)
            if isinstance(said, str):
                setattr(error, name, self.clean(said))
