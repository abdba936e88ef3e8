"""Logging in to a submission server with a key of the factotum; RFC 4954.

The key is ``proto=pass service=smtp server=HOST user=U !password?``, or an OAuth2 key.
"""

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mailfs.attr import Attr, Attrs, quote, value
from mailfs.errors import MailfsError
from mailfs.factotum.client import Factotum, FactotumError, NeedKey
from mailfs.factotum.sasl import MECHANISMS, NONE, Binding, Sasl, choose
from mailfs.imap.login import Cram
from mailfs.smtp.fate import DeliveryError, Reply
from mailfs.smtp.session import SmtpSession, decode, encode

MAX_STEPS = 10  # challenges of one login; SCRAM has two
MAX_INITIAL = 480  # octets of a response on the line of AUTH; RFC 4954 section 4
UNKNOWN_MECHANISM = 504
SERVICE = "smtp"

Keys = Callable[[], Factotum]


class AuthError(DeliveryError):
    """The login failed; no message was offered."""


def authenticate(session: SmtpSession, keys: Keys, host: str, user: str) -> str:
    """Log in; return the mechanism, empty if the server offers none.

    The best that server and keys allow is used.  The caller has seen to it that a
    password may be shown here.  Raises AuthError: permanent if the server refuses the
    key, not if there is none.
    """
    offered = session.mechanisms
    if not offered:
        return ""
    try:
        with keys() as agent:
            return _any(session, agent, WantedLogin(host, user, agent.keys()), offered)
    except DeliveryError:
        raise
    except (MailfsError, OSError) as e:
        why = str(e) if isinstance(e, MailfsError) else f"no factotum: {e.strerror}"
        raise _unable(f"{host}: failed to get userpasswd: {why}") from e


@dataclass(frozen=True, slots=True)
class WantedLogin:
    """Which key: of a server and, if not empty, a user; among those that are listed."""

    host: str
    user: str
    listed: Sequence[Attrs]

    def mine(self) -> list[Attrs]:
        """Return the keys that say they are for the server."""
        return [a for a in self.listed if Attr("server", self.host) in a]

    def template(self, name: str) -> str:
        """Return what selects the key for a mechanism.

        A token is good for all services of its servers, and so is a password whose
        key names none, if there is no better.
        """
        words = [f"server={quote(self.host)}"]
        services = {value(attrs, "service") for attrs in self.mine()}
        if not MECHANISMS[name].token and (SERVICE in services or None not in services):
            words.insert(0, f"service={SERVICE}")
        if self.user:
            words.append(f"user={quote(self.user)}")
        return " ".join(words)

    def has(self, proto: str) -> bool:
        """Whether the server has a key of a protocol."""
        return any(value(attrs, "proto") == proto for attrs in self.mine())


def _any(
    session: SmtpSession, agent: Factotum, wanted: WantedLogin, offered: list[str]
) -> str:
    binding = _binding(session)
    names = choose(offered, tls=True, binding=binding, token=wanted.has("oauth"))
    lacking: NeedKey | None = None
    for name in names:
        for again in (False, True):
            try:
                exchange = _exchange(agent, wanted, name, binding, offered)
                reply = _run(session, exchange, name)
            except NeedKey as e:
                lacking = lacking or e
                break
            if reply.ok:
                return name
            if reply.code == UNKNOWN_MECHANISM:
                break
            if again or not (MECHANISMS[name].token and exchange.again()):
                raise _refused(session, name, reply)
    if lacking is not None:
        raise _unable(f"{session.host}: {lacking}")
    raise _unable(f"{session.host}: No supported AUTH method in {' '.join(offered)}")


def _exchange(
    agent: Factotum,
    wanted: WantedLogin,
    name: str,
    binding: Binding,
    offered: list[str],
) -> Sasl | Cram:
    template = wanted.template(name)
    if MECHANISMS[name].proto == "cram" and not wanted.has("cram"):
        return Cram(agent, template)  # a password will do
    return Sasl(agent, name, template, binding=binding, advertised=offered)


def _run(session: SmtpSession, exchange: Sasl | Cram, name: str) -> Reply:
    """Carry out one exchange and return the reply that ends it."""
    first = exchange.initial()
    line = f"AUTH {name}"
    held = None
    if first is not None and len(encode(first)) > MAX_INITIAL:
        first, held = None, first
    reply = session.challenge(line if first is None else f"{line} {encode(first)}")
    for _ in range(MAX_STEPS):
        if reply.code != 334:
            return reply
        text = reply.lines[0] if reply.lines else ""
        try:
            response = held if held is not None else exchange.step(decode(text))
        except FactotumError:
            session.challenge("*")  # takes the exchange back; RFC 4954 section 4
            raise
        held = None
        reply = session.challenge(encode(response) if response else "")
    raise _unable(f"{session.host}: server does not end the login")


def _binding(session: SmtpSession) -> Binding:
    """Return what SCRAM may bind to; TLS 1.3 has nothing that Python would tell."""
    sock = session.sock
    if not isinstance(sock, ssl.SSLSocket) or sock.version() != "TLSv1.2":
        return NONE
    data = sock.get_channel_binding("tls-unique")
    return Binding("tls-unique", data) if data else NONE


def _refused(session: SmtpSession, name: str, reply: Reply) -> AuthError:
    return AuthError(
        f"{session.host}: {name}: {reply}",
        permanent=reply.permanent,
        code=reply.code,
        enhanced=reply.enhanced or ("5.7.8" if reply.permanent else "4.7.0"),
    )


def _unable(text: str) -> AuthError:
    """Return the error for a login that a person can mend: the message waits."""
    return AuthError(text, permanent=False, enhanced="4.7.0")
