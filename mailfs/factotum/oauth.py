"""OAuth 2: providers, the requests to their endpoints, and the keys that result.

Source: RFC 6749, PKCE 7636, native applications 8252, devices 8628, discovery 8414.
A key is ``proto=oauth issuer=URL clientid=ID user=NAME !refreshtoken=T``; public
attributes stay as they were when it was made, or templates would stop matching, so
what changes (the tokens and ``!expires``, seconds since the epoch) is private.
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from mailfs.attr import Attr, Attrs
from mailfs.errors import MailfsError
from mailfs.factotum.fetch import Fetch
from mailfs.factotum.key import Key
from mailfs.secret import Secret

EARLY = 120.0  # seconds before its end at which a token is no longer handed out
DEFAULT_LIFE = 3600  # seconds, where the server does not say; RFC 6749 section 5.1
MAX_LIFE = 365 * 86400  # seconds; a longer promise is not believed
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


class OAuthError(MailfsError):
    """The authorisation server's refusal; code is its error code."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class OAuthProvider:
    """The endpoints of an authorisation server, and what to ask it for."""

    issuer: str
    authorize: str = ""
    token: str = ""
    device: str = ""  # empty where the flow is not offered for mail
    scope: str = ""
    extra: tuple[tuple[str, str], ...] = ()  # of the authorisation request
    servers: tuple[str, ...] = ()  # hosts the tokens are good for


GOOGLE = OAuthProvider(
    issuer="https://accounts.google.com",
    authorize="https://accounts.google.com/o/oauth2/v2/auth",
    token="https://oauth2.googleapis.com/token",  # noqa: S106
    scope="https://mail.google.com/",
    # Without both there is no refresh token but the first time.
    extra=(("access_type", "offline"), ("prompt", "consent")),
    servers=("imap.gmail.com", "pop.gmail.com", "smtp.gmail.com"),
)
_LOGIN = "https://login.microsoftonline.com/common/oauth2/v2.0"
_OUTLOOK = "https://outlook.office.com"
MICROSOFT = OAuthProvider(
    issuer="https://login.microsoftonline.com/common/v2.0",
    authorize=f"{_LOGIN}/authorize",
    token=f"{_LOGIN}/token",
    device=f"{_LOGIN}/devicecode",
    scope=f"{_OUTLOOK}/IMAP.AccessAsUser.All {_OUTLOOK}/POP.AccessAsUser.All"
    f" {_OUTLOOK}/SMTP.Send offline_access",
    servers=("outlook.office365.com", "smtp.office365.com"),
)
PROVIDERS: Mapping[str, OAuthProvider] = {"google": GOOGLE, "microsoft": MICROSOFT}


def provider(name: str, fetch: Fetch) -> OAuthProvider:
    """Return the provider of a preset's name or an issuer's URL.

    An issuer without a preset is asked for its endpoints; RFC 8414, OpenID discovery.
    """
    for known, preset in PROVIDERS.items():
        if name in (known, preset.issuer):
            return preset
    issuer = name.rstrip("/")
    _, data = _get(fetch, f"{issuer}/.well-known/openid-configuration")
    if str(data.get("issuer", "")).rstrip("/") != issuer:
        raise MailfsError(f"{issuer}: the server there calls itself something else")
    return OAuthProvider(
        issuer=name,
        authorize=str(data.get("authorization_endpoint", "")),
        token=str(data.get("token_endpoint", "")),
        device=str(data.get("device_authorization_endpoint", "")),
    )


def scoped(given: OAuthProvider, scope: str) -> OAuthProvider:
    """Return the provider with another scope to ask for."""
    return replace(given, scope=scope)


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """What we are to a provider; it gave out the id and, to some, a secret."""

    provider: OAuthProvider
    id: str
    secret: Secret

    def form(self, **fields: str) -> bytes:
        """Return the octets of a request that names us."""
        full = {"client_id": self.id, **fields}
        if self.secret.reveal():
            full["client_secret"] = self.secret.text()
        return urlencode(full).encode()

    def authorize(self, *, redirect: str, state: str, verifier: str, user: str) -> str:
        """Return the URL a person must visit; PKCE with S256, RFC 7636."""
        if not self.provider.authorize.startswith("https://"):
            raise MailfsError(f"{self.provider.issuer}: no authorisation endpoint")
        request = {
            "response_type": "code",
            "client_id": self.id,
            "redirect_uri": redirect,
            "scope": self.provider.scope,
            "state": state,
            "code_challenge": challenge(verifier),
            "code_challenge_method": "S256",
            "login_hint": user,
            **dict(self.provider.extra),
        }
        return f"{self.provider.authorize}?{urlencode(request)}"

    def exchange(
        self, fetch: Fetch, *, code: str, redirect: str, verifier: str
    ) -> "Tokens":
        """Trade the authorisation code for tokens."""
        form = self.form(
            grant_type="authorization_code",
            code=code,
            redirect_uri=redirect,
            code_verifier=verifier,
        )
        return self._tokens(fetch, form)

    def refresh(self, fetch: Fetch, token: Secret) -> "Tokens":
        """Get a new access token; the refresh token may be replaced too."""
        form = self.form(grant_type="refresh_token", refresh_token=token.text())
        return self._tokens(fetch, form)

    def device(self, fetch: Fetch) -> "DeviceGrant":
        """Begin the device flow; RFC 8628 section 3.1."""
        if not self.provider.device:
            raise MailfsError(f"{self.provider.issuer}: no device flow for mail")
        status, data = _get(
            fetch, self.provider.device, self.form(scope=self.provider.scope)
        )
        if status != 200:
            raise _refusal(self.provider.issuer, data)
        try:
            return DeviceGrant.parse(data)
        except (KeyError, TypeError, ValueError):
            raise MailfsError(f"{self.provider.issuer}: malformed answer") from None

    def poll(self, fetch: Fetch, code: Secret) -> "Tokens":
        """Ask if the person has agreed; if not, OAuthError authorization_pending."""
        form = self.form(grant_type=DEVICE_GRANT, device_code=code.text())
        return self._tokens(fetch, form)

    def _tokens(self, fetch: Fetch, form: bytes) -> "Tokens":
        status, data = _get(fetch, self.provider.token, form)
        if status != 200 or "error" in data:
            raise _refusal(self.provider.issuer, data)
        return Tokens.parse(data, self.provider.issuer)

    def key(self, user: str, tokens: "Tokens", now: float, more: Attrs = ()) -> str:
        """Return the control message that adds what was granted as a key."""
        if tokens.refresh is None:
            raise MailfsError(f"{self.provider.issuer}: gave no refresh token")
        servers = self.provider.servers
        public = (
            Attr("proto", "oauth"),
            Attr("issuer", self.provider.issuer),
            Attr("clientid", self.id),
            Attr("user", user),
            *(Attr("server", host) for host in servers),
            *more,
        )
        secrets = {"!clientsecret": self.secret} if self.secret.reveal() else {}
        private = tuple({**secrets, **tokens.attrs(now)}.items())
        return Key(public, private).reveal()


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the token endpoint gives."""

    access: Secret
    refresh: Secret | None
    life: int  # seconds

    @classmethod
    def parse(cls, data: Mapping[str, Any], issuer: str) -> "Tokens":
        """Check the answer of a token endpoint; RFC 6749 section 5.1."""
        access, refresh = data.get("access_token"), data.get("refresh_token")
        if not _is_token(access) or not (refresh is None or _is_token(refresh)):
            raise MailfsError(f"{issuer}: malformed token")
        try:
            life = int(data.get("expires_in") or DEFAULT_LIFE)
        except (TypeError, ValueError):
            life = DEFAULT_LIFE
        return cls(
            Secret(str(access)),
            None if refresh is None else Secret(str(refresh)),
            min(max(life, 0), MAX_LIFE),
        )

    def attrs(self, now: float) -> dict[str, Secret]:
        """Return the private attributes that hold the tokens."""
        found = {
            "!accesstoken": self.access,
            "!expires": Secret(str(int(now) + self.life)),
        }
        if self.refresh is not None:
            found["!refreshtoken"] = self.refresh
        return found


@dataclass(frozen=True, slots=True)
class DeviceGrant:
    """What a person needs to agree on another machine; RFC 8628 section 3.2."""

    code: Secret
    user_code: str
    url: str
    life: float  # seconds
    interval: float  # seconds between polls

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> "DeviceGrant":
        """Check the answer of a device endpoint.  Raises KeyError and its like."""
        url = data.get("verification_uri") or data["verification_url"]
        return cls(
            Secret(str(data["device_code"])),
            _line(data["user_code"]),
            _line(url),
            min(float(data["expires_in"]), 3600.0),
            min(max(float(data.get("interval") or 5), 1.0), 60.0),
        )


def client_of(key: Key, fetch: Fetch) -> OAuthClient:
    """Return the client a key was made by."""
    secret = key.secret("!clientsecret") if key.has("!clientsecret") else Secret(b"")
    found = provider(key.get("issuer"), fetch)
    if url := key.get("tokenurl"):
        found = replace(found, token=url)
    return OAuthClient(found, key.get("clientid"), secret)


def access(key: Key, now: float) -> Secret | None:
    """Return the key's access token unless it ends within EARLY seconds."""
    if not key.has("!accesstoken") or not key.has("!expires"):
        return None
    expires = key.secret("!expires").text()
    if not expires.isdecimal() or len(expires) > 12 or int(expires) - now < EARLY:
        return None
    return key.secret("!accesstoken")


def refreshed(key: Key, fetch: Fetch, now: float) -> Key:
    """Return the key with a new access token; blocks."""
    tokens = client_of(key, fetch).refresh(fetch, key.secret("!refreshtoken"))
    return key.replace({}, tokens.attrs(now))


def challenge(verifier: str) -> str:
    """Return the S256 challenge of a verifier; RFC 7636 section 4.2."""
    digest = sha256(verifier.encode()).digest()
    return urlsafe_b64encode(digest).decode().rstrip("=")


def _get(
    fetch: Fetch, url: str, form: bytes | None = None
) -> tuple[int, dict[str, Any]]:
    status, body = fetch(url, form)
    try:
        data = json.loads(body)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise MailfsError(f"{url}: malformed answer")
    return status, data


def _refusal(issuer: str, data: Mapping[str, Any]) -> OAuthError:
    code = str(data.get("error", "refused"))
    text = _line(data.get("error_description") or code)
    return OAuthError(code, f"{issuer}: {text}")


def _line(text: object) -> str:
    """Return a server's text as one line of bounded length without controls."""
    return "".join(c for c in " ".join(str(text).split()) if c.isprintable())[:200]


def _is_token(text: object) -> bool:
    """Whether it is a token that cannot break out of a line; RFC 6749 appendix A."""
    return isinstance(text, str) and bool(text) and all("!" <= c <= "~" for c in text)
