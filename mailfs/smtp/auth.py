"""Logging in to a submission server with a key of the factotum; RFC 4954.

The key is ``proto=pass service=smtp server=HOST user=U !password?``, or an OAuth2 key.
"""

from base64 import b64encode
from collections.abc import Callable

from mailfs.errors import MailfsError
from mailfs.factotum.client import Factotum
from mailfs.factotum.client import Login as Password
from mailfs.remote import login as remote
from mailfs.remote.binding import endpoint
from mailfs.remote.keys import LoginTarget
from mailfs.remote.login import (
    About,
    Accepted,
    Answer,
    Challenge,
    Declined,
    LoginCommands,
    Offer,
    unusable,
)
from mailfs.smtp.fate import DeliveryError, Reply
from mailfs.smtp.session import SmtpSession

MAX_INITIAL = 480  # octets of a response on the line of AUTH; RFC 4954 section 4
SERVICE = "smtp"

# Replies that are about the command and not about the key: RFC 5321 section 4.2.2, and
# 534 and 538 of RFC 4954 section 6.
_MECHANISM_CODES = frozenset({500, 501, 502, 503, 504, 534, 538})
_KEY_CODE = "5.7.8"  # authentication credentials invalid; RFC 4954 section 6

Keys = Callable[[], Factotum]


class AuthError(DeliveryError):
    """The login failed; no message was offered."""


class SmtpLogin(LoginCommands):
    """The command AUTH on one session."""

    def __init__(self, session: SmtpSession) -> None:
        self.server = session.host
        self._session = session
        self._mechanism = ""

    def begin(self, name: str, first: bytes | None) -> tuple[Answer, bool]:
        """Send AUTH, with the initial response if the line is short enough."""
        self._mechanism = name
        line = f"AUTH {name}"
        if first is None:
            return self._ask(line), False
        initial = b64encode(first).decode("ascii") or "="
        if len(initial) > MAX_INITIAL:
            return self._ask(line), False
        return self._ask(f"{line} {initial}"), True

    def respond(self, response: bytes) -> Answer:
        """Send a response in base64."""
        return self._ask(b64encode(response).decode("ascii"))

    def cancel(self) -> None:
        """Send ``*``; RFC 4954 section 4."""
        self._session.challenge("*")

    def password(self, login: Password) -> Answer:
        """Refuse: SMTP has no command but AUTH."""
        raise NotImplementedError

    def error(self, text: str) -> AuthError:
        """Make the error for a login that a person can mend: the message waits."""
        return _unable(f"{self.server}: {text}")

    def _ask(self, line: str) -> Answer:
        reply = self._session.challenge(line)
        text = reply.lines[0] if reply.lines else ""
        if reply.code == 334:
            return Challenge(text.strip().encode(errors="replace"))
        if reply.ok:
            return Accepted(" ".join(reply.lines).encode(errors="replace"))
        return Declined(self._refused(reply), _about(reply))

    def _refused(self, reply: Reply) -> AuthError:
        return AuthError(
            f"{self.server}: {self._mechanism}: {reply}",
            permanent=reply.permanent,
            code=reply.code,
            enhanced=reply.enhanced or ("5.7.8" if reply.permanent else "4.7.0"),
        )


def _about(reply: Reply) -> About:
    if not reply.permanent:
        return About.OTHER
    if reply.code in _MECHANISM_CODES:
        return About.MECHANISM
    if reply.enhanced != _KEY_CODE and unusable(" ".join(reply.lines)):
        return About.MECHANISM
    return About.KEY


def authenticate(session: SmtpSession, keys: Keys, host: str, user: str) -> str:
    """Log in; return the mechanism, empty if the server offers none.

    The best that server and keys allow is used.  The caller has seen to it that a
    password may be shown here.  Raises AuthError: permanent if the server refuses the
    key, not if there is none.
    """
    offered = session.mechanisms
    if not offered:
        return ""
    target = LoginTarget(host, (SERVICE,), user or None)
    offer = Offer(offered, secure=True, binding=endpoint(session.sock), password=False)
    try:
        with keys() as agent:
            return remote.login(SmtpLogin(session), target, agent, offer).mechanism
    except DeliveryError:
        raise
    except (MailfsError, OSError) as e:
        why = str(e) if isinstance(e, MailfsError) else f"no factotum: {e.strerror}"
        raise _unable(f"{host}: failed to get userpasswd: {why}") from e


def _unable(text: str) -> AuthError:
    """Make the error for a login that a person can mend."""
    return AuthError(text, permanent=False, enhanced="4.7.0")
