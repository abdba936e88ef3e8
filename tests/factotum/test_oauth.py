"""OAuth: the flows against a server of our own, refreshing, and the mechanisms."""

import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from mailfs.attr import parse
from mailfs.errors import MailfsError
from mailfs.factotum import consent, oauth
from mailfs.factotum.client import FactotumError, KeyRefused
from mailfs.factotum.fetch import MAX_BODY, Fetch, fetcher
from mailfs.factotum.key import Key, parse_key
from mailfs.factotum.sasl import Sasl
from mailfs.secret import Secret
from tests.factotum.oauthserver import AuthorisationServer
from tests.factotum.serving import Served, serving
from tests.factotum.world import NOW, chance, key, local, world


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture
def server(folder: Path) -> Iterator[AuthorisationServer]:
    with AuthorisationServer(folder) as server:
        yield server


@pytest.fixture
def fetch(server: AuthorisationServer) -> Fetch:
    return fetcher(server.client_context)


def client(server: AuthorisationServer, fetch: Fetch) -> oauth.OAuthClient:
    provider = oauth.scoped(oauth.provider(server.issuer, fetch), "mail offline")
    return oauth.OAuthClient(provider, "id", Secret("shh"))


class Script:
    """A person who does what the script says, and a clock that only they move."""

    def __init__(self, fetch: Fetch, agree: Callable[[str], str]) -> None:
        self.said: list[str] = []
        self.slept: list[float] = []
        self.now = 0.0
        self._agree = agree
        self.person = consent.ConsentPerson(
            say=self.said.append,
            ask=lambda prompt: agree(self.url),
            browse=self._browse,
            fetch=fetch,
            random=chance("person"),
            sleep=self._sleep,
            clock=lambda: self.now,
        )

    @property
    def url(self) -> str:
        return next(t for t in self.said if "visit\n" in t).split("\n")[1]

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def _browse(self, url: str) -> bool:
        def visit() -> None:
            for address in (
                self._agree(url).split("?")[0] + "favicon.ico",
                self._agree(url),
            ):
                try:
                    urllib.request.urlopen(address, timeout=10).close()
                except urllib.error.HTTPError as e:
                    e.close()

        self.thread = threading.Thread(target=visit)
        self.thread.start()
        return True


def test_loopback(server: AuthorisationServer, fetch: Fetch) -> None:
    script = Script(fetch, server.agree)
    tokens = consent.loopback(client(server, fetch), "al@x.com", script.person)
    script.thread.join()
    assert tokens.access.text() == "access-1"
    assert "login_hint=al%40x.com" in script.url
    assert "scope=mail+offline" in script.url
    assert server.forms[0]["redirect_uri"].startswith("http://127.0.0.1:")


STRANGERS = [
    "/",
    "/?",
    "/?state=x&code=y",
    "/?code=y&error=access_denied",
    "/?state=%ff%fe",
    "/?" + "&".join(f"a{n}=b" for n in range(100)),
    "/?state=" + "x" * 9000,
    "//[",
]


def test_strangers_do_not_end_it(server: AuthorisationServer, fetch: Fetch) -> None:
    """Any program of this machine can come to the port before the browser does."""
    held: list[socket.socket] = []

    def agree(url: str) -> str:
        answer = server.agree(url)
        port = urlsplit(answer).port
        assert port is not None
        for path in STRANGERS:
            with socket.create_connection(("127.0.0.1", port), 10) as sock:
                sock.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
                assert b" 404 " in sock.makefile("rb").readline()
        held.append(socket.create_connection(("127.0.0.1", port), 10))  # and silent
        return answer

    script = Script(fetch, agree)
    tokens = consent.loopback(client(server, fetch), "al@x.com", script.person)
    script.thread.join()
    for sock in held:
        sock.close()
    assert tokens.access.text() == "access-1"


def test_paste(server: AuthorisationServer, fetch: Fetch) -> None:
    script = Script(fetch, server.agree)
    tokens = consent.paste(client(server, fetch), "al@x.com", script.person)
    assert tokens.refresh == Secret("refresh-1")
    assert tokens.life == 3600


PASTED = [
    (lambda a: a.replace("state=", "state=x"), "another request"),
    (lambda a: a.replace("state=", "stat="), "another request"),
    (lambda a: a + "&iss=https://evil.example", "another server"),
    (lambda a: a.replace("code=", "error=access_denied&x="), "access_denied"),
    (lambda a: a.replace("code=", "x="), "no code"),
    (lambda a: a.replace("code=", "code=x"), "invalid_grant"),
    (lambda a: "", "another request"),
]


@pytest.mark.parametrize(("change", "why"), PASTED)
def test_what_is_pasted_wrong(
    server: AuthorisationServer, fetch: Fetch, change: Callable[[str], str], why: str
) -> None:
    script = Script(fetch, lambda url: change(server.agree(url)))
    with pytest.raises(MailfsError, match=why):
        consent.paste(client(server, fetch), "al@x.com", script.person)


def test_nobody_comes_back(server: AuthorisationServer, fetch: Fetch) -> None:
    script = Script(fetch, server.agree)
    late = replace(
        script.person, browse=lambda url: True, clock=iter([0.0, 1e9]).__next__
    )
    with pytest.raises(MailfsError, match="nobody agreed in time"):
        consent.loopback(client(server, fetch), "al@x.com", late)


def test_device(server: AuthorisationServer, fetch: Fetch) -> None:
    server.pending = 3
    script = Script(fetch, server.agree)
    tokens = consent.device(client(server, fetch), "al@x.com", script.person)
    assert tokens.access.text() == "access-1"
    assert script.said == [f"To agree, visit {server.issuer}/go and type ABCD-EFGH"]
    assert script.slept == [5, 5, 10, 10]
    assert server.forms[0]["scope"] == "mail offline"


def test_device_too_late(server: AuthorisationServer, fetch: Fetch) -> None:
    server.pending = 1000
    with pytest.raises(MailfsError, match="nobody agreed in time"):
        consent.device(client(server, fetch), "", Script(fetch, server.agree).person)


def test_device_without_the_flow(fetch: Fetch) -> None:
    google = oauth.OAuthClient(oauth.GOOGLE, "id", Secret(""))
    with pytest.raises(MailfsError, match="no device flow for mail"):
        consent.device(google, "", Script(fetch, str).person)


def test_pkce() -> None:
    # RFC 7636 appendix B.
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert oauth.challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_presets() -> None:
    for name, preset in oauth.PROVIDERS.items():
        assert oauth.provider(name, world().fetch) is preset
        assert oauth.provider(preset.issuer, world().fetch) is preset
        url = oauth.OAuthClient(preset, "id", Secret("")).authorize(
            redirect="http://127.0.0.1:9/", state="s", verifier="v" * 43, user="u"
        )
        assert url.startswith(preset.authorize + "?")
        assert "code_challenge_method=S256" in url
    assert "access_type=offline" in oauth.OAuthClient(
        oauth.GOOGLE, "id", Secret("")
    ).authorize(redirect="http://127.0.0.1:9/", state="s", verifier="v" * 43, user="u")


def test_discovery_wants_the_name_it_asked(
    server: AuthorisationServer, fetch: Fetch
) -> None:
    server.override = 200, b'{"issuer": "https://evil.example"}'
    with pytest.raises(MailfsError, match="calls itself something else"):
        oauth.provider(server.issuer, fetch)


ANSWERS = [
    (200, b"", "malformed answer"),
    (200, b"[]", "malformed answer"),
    (200, b"\xff", "malformed answer"),
    (200, b"{}", "malformed token"),
    (200, b'{"access_token": 5, "token_type": "b"}', "malformed token"),
    (200, b'{"access_token": "a b", "token_type": "b"}', "malformed token"),
    (
        200,
        b'{"access_token": "a", "token_type": "b", "refresh_token": "x\\ny"}',
        "malfor",
    ),
    (400, b'{"error": "invalid_grant", "error_description": "gone\\nnow"}', "gone now"),
    (302, b"https://evil.example/", "malformed answer"),
    (500, b'{"access_token": "a", "token_type": "b"}', "refused"),
    (200, b"x" * (MAX_BODY + 1), "answer too long"),
]


@pytest.mark.parametrize(("status", "body", "why"), ANSWERS)
def test_answers_of_a_token_endpoint(
    server: AuthorisationServer, fetch: Fetch, status: int, body: bytes, why: str
) -> None:
    mine = client(server, fetch)
    server.override = status, body
    with pytest.raises(MailfsError, match=why):
        mine.refresh(fetch, Secret("refresh-0"))


def test_only_https_and_known_certificates(server: AuthorisationServer) -> None:
    with pytest.raises(MailfsError, match="not https"):
        fetcher()("http://localhost/", b"")
    with pytest.raises(MailfsError, match="certificate verify failed"):
        fetcher()(server.issuer, b"")
    with pytest.raises(MailfsError):
        fetcher()("https://127.0.0.1:1/", None)


@pytest.mark.parametrize(("life", "want"), [("soon", 3600), (-5, 0), (1e12, 31536000)])
def test_how_long_a_token_lives(life: object, want: int) -> None:
    data = {"access_token": "a", "expires_in": life}
    assert oauth.Tokens.parse(data, "x").life == want


def test_the_key_a_grant_makes(server: AuthorisationServer, fetch: Fetch) -> None:
    tokens = oauth.Tokens(Secret("a"), Secret("r"), 3600)
    mine = client(server, fetch)
    message = mine.key("al", tokens, NOW, parse("service=imap"))
    (made,) = parse_key(message.removeprefix("key "))
    assert str(made) == (
        f"proto=oauth issuer={server.issuer} clientid=id user=al service=imap"
        " !clientsecret? !accesstoken? !expires? !refreshtoken?"
    )
    assert oauth.access(made, NOW) == Secret("a")
    assert oauth.access(made, NOW + 3600 - oauth.EARLY + 1) is None
    with pytest.raises(MailfsError, match="no refresh token"):
        mine.key("al", replace(tokens, refresh=None), NOW)
    google = oauth.OAuthClient(oauth.GOOGLE, "id", Secret("")).key("al", tokens, NOW)
    assert "server=imap.gmail.com server=pop.gmail.com server=smtp.gmail.com" in google


KEY = (
    "proto=oauth issuer={} clientid=id user=al@x.com server=imap.x.com"
    " !clientsecret=shh"
)
FRESH = f"{KEY} !refreshtoken=refresh-0 !accesstoken=old !expires={int(NOW) + 1000}"
SPENT = f"{KEY} !refreshtoken=refresh-0 !accesstoken=old !expires={int(NOW) + 10}"
# RFC 7628 section 4.1 has the shape; the token here is short.
MESSAGES = [
    ("xoauth2", b"user=al@x.com\1auth=Bearer %s\1\1"),
    ("oauthbearer", b"n,a=al@x.com,\1host=imap.x.com\1port=143\1auth=Bearer %s\1\1"),
    ("oauth", b"%s"),
]


@pytest.mark.parametrize(("proto", "message"), MESSAGES)
def test_a_fresh_token_is_used(proto: str, message: bytes) -> None:
    text = f"proto={proto} role=client server=imap.x.com port=143"
    conv = local(text, FRESH.format("https://x.example"))
    assert conv.read() == message % b"old"


@pytest.fixture
def agent(
    server: AuthorisationServer, fetch: Fetch, tmp_path: Path
) -> Iterator[Served]:
    with serving(tmp_path, env=replace(world(), fetch=fetch)) as served:
        yield served


@pytest.mark.parametrize("spent", [SPENT, f"{KEY} !refreshtoken=refresh-0"])
def test_a_spent_token_is_refreshed(
    server: AuthorisationServer, agent: Served, spent: str
) -> None:
    agent.add(spent.format(server.issuer))
    with agent.keys() as keys:
        for _ in range(2):
            exchange = Sasl(keys, "XOAUTH2", "server=imap.x.com")
            assert exchange.initial() == b"user=al@x.com\1auth=Bearer access-1\1\1"
    (kept,) = agent.agent.ring
    assert kept.secret("!refreshtoken") == Secret("refresh-1")
    assert [form["grant_type"] for form in server.forms] == ["refresh_token"]


def test_a_refresh_token_that_stays(server: AuthorisationServer, agent: Served) -> None:
    server.rotates = False
    agent.add(SPENT.format(server.issuer))
    with agent.keys() as keys:
        Sasl(keys, "XOAUTH2", "server=imap.x.com").initial()
    (kept,) = agent.agent.ring
    assert kept.secret("!refreshtoken") == Secret("refresh-0")


def test_one_refresh_for_all(server: AuthorisationServer, agent: Served) -> None:
    agent.add(SPENT.format(server.issuer))
    tokens: list[bytes | None] = []

    def ask() -> None:
        with agent.keys() as keys, keys.start("proto=oauth") as rpc:
            tokens.append(rpc.read())

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tokens == [b"access-1"] * 5
    assert len(server.forms) == 1


def test_who_comes_late_gets_the_new_key(agent: Served) -> None:
    made: list[Key] = []

    def job() -> Key:
        made.append(key(KEY.format("https://x") + f" n={len(made)}"))
        return made[-1]

    old = key(KEY.format("https://x"))
    for _ in range(2):
        assert agent.loop.do(agent.agent.renew(old, job)) is made[0]
    assert agent.loop.do(agent.agent.renew(made[0], job)) is made[1]


def test_a_new_token_goes_back_to_its_keeper(
    server: AuthorisationServer, agent: Served
) -> None:
    saved: list[str] = []

    def keep(key: Key) -> None:
        saved.append(key.reveal())
        if len(saved) == 2:
            raise MailfsError("secstore: gone")

    text = SPENT.format(server.issuer)
    agent.loop.call(lambda: agent.agent.control(f"key {text}", keep))
    for _ in range(2):
        with agent.keys() as keys, keys.start("proto=oauth") as rpc:
            rpc.read()
        (kept,) = agent.agent.ring
        agent.agent.ring.swap(kept, kept.replace({}, {"!expires": Secret("0")}))
    assert "!refreshtoken=refresh-1" in saved[0]
    assert "!refreshtoken=refresh-2" in saved[1]
    notes = "".join(agent.agent.log._messages)
    assert "cannot save" in notes
    assert "refresh-" not in notes


def test_a_revoked_grant_is_a_bad_key(
    server: AuthorisationServer, agent: Served
) -> None:
    server.refresh = "another"
    agent.add(SPENT.format(server.issuer))
    with agent.keys() as keys:
        with pytest.raises(FactotumError, match="revoked"):
            Sasl(keys, "OAUTHBEARER", "server=imap.x.com")
        server.override = 500, b"oops"
        with pytest.raises(FactotumError, match="malformed answer"):
            Sasl(keys, "OAUTHBEARER", "server=imap.x.com")


@pytest.mark.parametrize(
    ("mechanism", "closing"), [("XOAUTH2", b""), ("OAUTHBEARER", b"\1")]
)
def test_a_refused_token(
    server: AuthorisationServer, agent: Served, mechanism: str, closing: bytes
) -> None:
    agent.add(FRESH.format(server.issuer))
    with agent.keys() as keys:
        first = Sasl(keys, mechanism, "server=imap.x.com")
        assert b"Bearer old" in (first.initial() or b"")
        assert first.step(b'{"status":"401"}') == closing
        assert first.again()
        second = Sasl(keys, mechanism, "server=imap.x.com")
        assert b"Bearer access-1" in (second.initial() or b"")
        second.step(b'{"status":"401"}')
        # A token that is refused though brand-new: the grant itself is no good.
        assert not second.again()


def test_the_hint_for_a_missing_grant(agent: Served) -> None:
    with agent.keys() as keys, pytest.raises(FactotumError, match="--oauth PROVIDER"):
        Sasl(keys, "XOAUTH2", "server=imap.x.com")


def test_bad_key_is_a_need() -> None:
    assert issubclass(KeyRefused, FactotumError)
    assert oauth.access(key("proto=oauth !accesstoken=a !expires=x"), NOW) is None
    assert oauth.access(key("proto=oauth !accesstoken=a"), NOW) is None
