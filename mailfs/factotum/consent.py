"""A person's consent to a token: by a browser here, elsewhere, or on a telephone.

Three flows end in the same tokens: loopback (RFC 8252 section 7.3), where the browser
comes back to a port of ours; paste, for a machine without one, where the person copies
the address the browser ends at; device (RFC 8628), where a short code is typed
elsewhere.  The first two are tied to us by PKCE and to this run by a state.
"""

import hmac
import html
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from mailfs.errors import MailfsError
from mailfs.factotum.fetch import Fetch
from mailfs.factotum.oauth import OAuthClient, OAuthError, Tokens

PATIENCE = 600.0  # seconds a person has in the browser
PASTE_REDIRECT = "http://127.0.0.1:1/"  # where nothing listens
SLOWER = 5.0  # seconds added when told slow_down; RFC 8628 section 3.5
VERIFIER = 48  # octets of randomness, 64 characters; RFC 7636 section 4.1
MAX_FIELDS = 32  # of that address; providers send four
MAX_LINE = 8192  # octets of the address a browser comes back with


@dataclass(frozen=True, slots=True)
class ConsentPerson:
    """How to reach the person, and what else the flows may not take from the air."""

    say: Callable[[str], None]
    ask: Callable[[str], str]
    browse: Callable[[str], bool]  # open a URL; False if there is no browser
    fetch: Fetch
    random: Callable[[int], bytes]
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True)
class Attempt:
    """One authorisation request."""

    client: OAuthClient
    redirect: str
    state: str
    verifier: str

    def url(self, user: str) -> str:
        """Return the address to visit."""
        return self.client.authorize(
            redirect=self.redirect, state=self.state, verifier=self.verifier, user=user
        )

    def answered(self, address: str) -> bool:
        """Whether an address is the answer to this request, and not a stranger's."""
        given = _fields(address).get("state", "").encode(errors="replace")
        return hmac.compare_digest(given, self.state.encode())

    def tokens(self, fetch: Fetch, address: str) -> Tokens:
        """Trade what the browser came back with, if it answers this request."""
        if not self.answered(address):
            raise MailfsError("the answer belongs to another request")
        fields = _fields(address)
        issuer = fields.get("iss")  # RFC 9207
        if issuer not in (None, self.client.provider.issuer):
            raise MailfsError("the answer is from another server")
        if error := fields.get("error"):
            shown = "".join(c for c in error if c.isprintable())[:80]
            raise MailfsError(f"{self.client.provider.issuer}: {shown}")
        if "code" not in fields:
            raise MailfsError("no code in the answer")
        return self.client.exchange(
            fetch, code=fields["code"], redirect=self.redirect, verifier=self.verifier
        )


def _fields(address: str) -> dict[str, str]:
    """Read the query of an address; empty if it is none."""
    try:
        query = parse_qs(urlsplit(address).query, max_num_fields=MAX_FIELDS)
    except ValueError:
        return {}
    return {name: values[0] for name, values in query.items()}


def attempt(
    client: OAuthClient, redirect: str, random: Callable[[int], bytes]
) -> Attempt:
    """Return an authorisation request with a fresh state and verifier."""
    state, verifier = (
        urlsafe_b64encode(random(VERIFIER)).decode().rstrip("=") for _ in range(2)
    )
    return Attempt(client, redirect, state, verifier)


class _Back(BaseHTTPRequestHandler):
    """Takes the one request the browser comes back with; others are strangers'."""

    timeout = 30  # seconds for a peer that connects and says nothing

    def do_GET(self) -> None:
        """Keep the address, if it is the answer."""
        server = self.server
        assert isinstance(server, Loopback)
        known = len(self.path) < MAX_LINE and server.answered(self.path)
        if known:
            server.address = self.path
        text = "You may close this window." if known else "Nothing here."
        body = f"<!doctype html><title>mailfs</title><p>{html.escape(text)}</p>"
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the request holds the code."""


class Loopback(ThreadingHTTPServer):
    """A port of this machine only, for the browser to come back to.

    Every program of the machine can reach it: one that says nothing, or something
    else, keeps nobody from answering.
    """

    address = ""
    timeout = 0.5  # seconds between looks at the clock
    block_on_close = False  # a thread ends when its peer has had its time
    answered: Callable[[str], bool] = staticmethod(lambda address: False)

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Back)

    @property
    def redirect(self) -> str:
        """The address to be sent back to."""
        return f"http://127.0.0.1:{self.server_port}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """Let a browser break off; it will try again."""

    def wait(self, clock: Callable[[], float]) -> str:
        """Return the address the browser came back with."""
        end = clock() + PATIENCE
        while not self.address:
            if clock() > end:
                raise MailfsError("nobody agreed in time")
            self.handle_request()  # in a thread of its own
        return self.address


def loopback(client: OAuthClient, user: str, person: ConsentPerson) -> Tokens:
    """Open a browser here and wait for it to come back."""
    try:
        server = Loopback()
    except OSError as e:
        raise MailfsError(f"cannot listen on 127.0.0.1: {e.strerror}") from None
    with server:
        trial = attempt(client, server.redirect, person.random)
        server.answered = trial.answered
        url = trial.url(user)
        person.say(f"To agree, visit\n{url}")
        person.browse(url)
        return trial.tokens(person.fetch, server.wait(person.clock))


def paste(client: OAuthClient, user: str, person: ConsentPerson) -> Tokens:
    """Have the person visit a URL anywhere and paste the address it ends at."""
    trial = attempt(client, PASTE_REDIRECT, person.random)
    person.say(f"To agree, visit\n{trial.url(user)}")
    person.say(
        "The browser will end at a page that cannot be shown.  Copy its address here."
    )
    return trial.tokens(person.fetch, person.ask("address: ").strip())


def device(client: OAuthClient, user: str, person: ConsentPerson) -> Tokens:
    """Have the person type a code into a browser anywhere."""
    granted = client.device(person.fetch)
    person.say(f"To agree, visit {granted.url} and type {granted.user_code}")
    end = person.clock() + granted.life
    interval = granted.interval
    while person.clock() < end:
        person.sleep(interval)
        try:
            return client.poll(person.fetch, granted.code)
        except OAuthError as e:
            if e.code == "slow_down":
                interval += SLOWER
            elif e.code != "authorization_pending":
                raise
    raise MailfsError("nobody agreed in time")


FLOWS: dict[str, Callable[[OAuthClient, str, ConsentPerson], Tokens]] = {
    "loopback": loopback,
    "paste": paste,
    "device": device,
}
