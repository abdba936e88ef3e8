"""One login for IMAP, POP3 and SMTP: the same keys, mechanisms and refusals."""

import base64
import hmac
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from mailfs import where
from mailfs.attr import parse
from mailfs.errors import MailfsError
from mailfs.imap.account import Account as ImapAccount
from mailfs.imap.session import ImapSession
from mailfs.pop.account import Account as PopAccount
from mailfs.pop.session import Pop3Session
from mailfs.remote import keys as choosing
from mailfs.remote.hidden import Hidden
from mailfs.remote.keys import KeyChoice, LoginTarget
from mailfs.remote.login import MAX_STEPS, UNPROVEN, unusable
from mailfs.smtp.auth import authenticate
from mailfs.smtp.session import SmtpSession, Timeouts
from mailfs.tls.trust import Trust
from tests.factotum.serving import Served
from tests.net.scripted import Scripted, Talk

PASSWORD = b"open sesame"
KEY = "proto=pass user=glenda !password='open sesame'"
PLAIN = b"\0glenda\0" + PASSWORD


def b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")


class Side:
    """One protocol: how its server speaks, and how its client logs in."""

    def __init__(self, name: str, offered: str) -> None:
        self.name = name
        self.offered = offered
        self.tag = ""

    def greet(self, talk: Talk) -> None:
        names = self.offered.split()
        if self.name == "imap":
            caps = " ".join(["IMAP4rev1", *(f"AUTH={n}" for n in names)])
            talk.send(f"* OK [CAPABILITY {caps}] hello")
        elif self.name == "pop":
            talk.send("+OK hello")
            assert talk.line() == "CAPA"
            talk.send("+OK", f"SASL {self.offered}", ".")
        else:
            talk.send("220 mx")
            talk.line()
            talk.send("250-mx", f"250 AUTH {self.offered}")

    def auth(self, talk: Talk, name: str) -> bytes | None:
        """Take AUTH; the initial response, None if it did not come with it."""
        words = talk.line().split()
        if self.name == "imap":
            self.tag, *words = words
        assert words[:2] == ["AUTHENTICATE" if self.name == "imap" else "AUTH", name]
        return base64.b64decode(words[2]) if len(words) > 2 else None

    def first(self, talk: Talk, name: str) -> bytes:
        """Take AUTH and its initial response, wherever it comes."""
        initial = self.auth(talk, name)
        if initial is None:
            self.challenge(talk, b"")
            initial = base64.b64decode(talk.line())
        return initial

    def challenge(self, talk: Talk, octets: bytes, *, raw: str | None = None) -> None:
        text = b64(octets) if raw is None else raw
        talk.send(f"334 {text}" if self.name == "smtp" else f"+ {text}")

    def refuse(self, talk: Talk, text: str, code: str = "") -> None:
        if self.name == "imap":
            talk.send(f"{self.tag} NO {code}{text}")
        elif self.name == "pop":
            talk.send(f"-ERR {code}{text}")
        else:
            talk.send(f"535 {text}")

    def accept(self, talk: Talk, text: str = "welcome") -> None:
        if self.name == "imap":
            talk.send(f"{self.tag} OK [CAPABILITY IMAP4rev1] {text}")
        elif self.name == "pop":
            talk.send(f"+OK {text}")
            while not talk.line().startswith("STAT"):
                talk.send("-ERR what")
            talk.send("+OK 0 0")
        else:
            talk.send(f"235 {text}")

    def login(self, port: int, served: Served, root: Path) -> None:
        """Log in, and hang up."""
        trust = Trust(root)
        if self.name == "imap":
            with served.keys() as keys:
                account = ImapAccount("localhost", "imap", port, "glenda")
                ImapSession.open(account, keys, trust, timeout=5).wire.close()
        elif self.name == "pop":
            with served.keys() as keys:
                found = PopAccount("localhost", "pop", port, "glenda")
                Pop3Session.open(found, keys, trust, timeout=5).drop()
        else:
            sock = socket.create_connection(("localhost", port))
            session = SmtpSession(sock, "localhost", "h.org", Timeouts(command=5))
            try:
                session.greet()
                assert authenticate(session, served.keys, "localhost", "glenda")
            finally:
                session.close()


SIDES = ["imap", "pop", "smtp"]
Act = Callable[[Side, Talk], None]


def run(side: Side, served: Served, root: Path, act: Act) -> None:
    def play(talk: Talk) -> None:
        side.greet(talk)
        act(side, talk)

    with Scripted(play) as server:
        side.login(server.port, served, root)


def plain(side: Side, talk: Talk) -> None:
    assert side.first(talk, "PLAIN") == PLAIN
    side.accept(talk)


@pytest.mark.parametrize("attrs", ["server", "dom"])
@pytest.mark.parametrize("service", [True, False])
@pytest.mark.parametrize("name", SIDES)
def test_keys_by_server_or_dom(
    tmp_path: Path, served: Served, name: str, attrs: str, service: bool
) -> None:
    words = f" service={name}" if service else ""
    served.add(f"{KEY} {attrs}=localhost{words}")
    run(Side(name, "PLAIN"), served, tmp_path, plain)


@pytest.mark.parametrize("name", SIDES)
def test_a_key_of_another_service_is_not_used(
    tmp_path: Path, served: Served, name: str
) -> None:
    served.add(f"{KEY} server=localhost service=ftp")
    with pytest.raises(MailfsError, match=f"no key for .*service={name}"):
        run(Side(name, "PLAIN"), served, tmp_path, lambda side, talk: None)


@pytest.mark.parametrize("name", SIDES)
def test_cram_by_a_password(tmp_path: Path, served: Served, name: str) -> None:
    served.add(f"{KEY} server=localhost")

    def act(side: Side, talk: Talk) -> None:
        side.auth(talk, "CRAM-MD5")
        side.challenge(talk, b"<1.2@mx>")
        digest = hmac.new(PASSWORD, b"<1.2@mx>", "md5").hexdigest()
        assert base64.b64decode(talk.line()) == f"glenda {digest}".encode()
        side.accept(talk)

    run(Side(name, "PLAIN CRAM-MD5"), served, tmp_path, act)


UNUSABLE = [
    "AUTHENTICATE command unknown",
    "Invalid authentication mechanism",
    "Unsupported mechanism",
    "not supported",
    "go away",  # before it saw proof a server says nothing of the key
]


@pytest.mark.parametrize("offered", ["CRAM-MD5", "SCRAM-SHA-256", "SCRAM-SHA-1"])
@pytest.mark.parametrize("text", UNUSABLE)
@pytest.mark.parametrize("name", SIDES)
def test_the_next_after_one_that_is_unusable(
    tmp_path: Path, served: Served, name: str, text: str, offered: str
) -> None:
    served.add(f"{KEY} server=localhost")

    def act(side: Side, talk: Talk) -> None:
        side.auth(talk, offered)
        side.refuse(talk, text)
        plain(side, talk)

    run(Side(name, f"{offered} PLAIN"), served, tmp_path, act)


@pytest.mark.parametrize("name", SIDES)
def test_unusable_said_after_the_proof(
    tmp_path: Path, served: Served, name: str
) -> None:
    served.add(f"{KEY} server=localhost")

    def act(side: Side, talk: Talk) -> None:
        side.auth(talk, "CRAM-MD5")
        side.challenge(talk, b"<1.2@mx>")
        talk.line()
        side.refuse(talk, "Invalid authentication mechanism")
        plain(side, talk)

    run(Side(name, "CRAM-MD5 PLAIN"), served, tmp_path, act)


@pytest.mark.parametrize("name", SIDES)
def test_a_refused_key_is_shown_once(tmp_path: Path, served: Served, name: str) -> None:
    """Servers lock accounts for more."""
    served.add(f"{KEY} server=localhost")

    def act(side: Side, talk: Talk) -> None:
        side.auth(talk, "CRAM-MD5")
        side.challenge(talk, b"<1.2@mx>")
        talk.line()
        side.refuse(talk, "authentication failed")

    with pytest.raises(MailfsError, match="authentication failed"):
        run(Side(name, "CRAM-MD5 PLAIN LOGIN"), served, tmp_path, act)


@pytest.mark.parametrize("prompts", [("Username:", "Password:"), ("", ""), ("?", "=")])
@pytest.mark.parametrize("name", SIDES)
def test_login_with_prompts_for_people(
    tmp_path: Path, served: Served, name: str, prompts: tuple[str, str]
) -> None:
    served.add(f"{KEY} server=localhost")

    def act(side: Side, talk: Talk) -> None:
        side.auth(talk, "LOGIN")
        for prompt, want in zip(prompts, (b"glenda", PASSWORD), strict=True):
            side.challenge(talk, b"", raw=prompt)
            assert base64.b64decode(talk.line()) == want
        side.accept(talk)

    run(Side(name, "LOGIN"), served, tmp_path, act)


def scram(
    served: Served, mechanism: str, end: Callable[[Side, Talk, bytes], None]
) -> Act:
    """Play a server whose last word, the proof, is handed to end."""
    served.add(f"{KEY} server=localhost")
    proto = mechanism.lower()
    served.add(f"{KEY} role=server".replace("proto=pass", f"proto={proto}"))

    def act(side: Side, talk: Talk) -> None:
        first = side.first(talk, mechanism)
        with served.keys() as keys:
            with keys.start(f"proto={proto} role=server") as rpc:
                rpc.write(first)
                side.challenge(talk, rpc.read() or b"")
                rpc.write(base64.b64decode(talk.line()))
                end(side, talk, rpc.read() or b"")

    return act


def whole(side: Side, talk: Talk, proof: bytes) -> None:
    side.challenge(talk, proof)
    assert talk.line() == ""
    side.accept(talk)


def with_success(side: Side, talk: Talk, proof: bytes) -> None:
    side.accept(talk, b64(proof))


@pytest.mark.parametrize("end", [whole, with_success])
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1", "SCRAM-SHA-256"])
@pytest.mark.parametrize("name", SIDES)
def test_scram(
    tmp_path: Path,
    served: Served,
    name: str,
    mechanism: str,
    end: Callable[[Side, Talk, bytes], None],
) -> None:
    act = scram(served, mechanism, end)
    run(Side(name, f"PLAIN {mechanism}"), served, tmp_path, act)


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("name", SIDES)
def test_scram_success_without_proof(
    tmp_path: Path, served: Served, name: str, early: bool
) -> None:
    served.add(f"{KEY} server=localhost")

    def act(side: Side, talk: Talk) -> None:
        first = side.first(talk, "SCRAM-SHA-256")
        if not early:
            nonce = first.rpartition(b"r=")[2] + b"x"
            salt = b64(b"salt").encode()
            side.challenge(talk, b"r=%s,s=%s,i=4096" % (nonce, salt))
            talk.line()
        talk.send(
            {
                "imap": f"{side.tag} OK welcome",
                "pop": "+OK welcome",
                "smtp": "235 2.7.0 welcome",
            }[name]
        )

    with pytest.raises(MailfsError, match=UNPROVEN):
        run(Side(name, "PLAIN SCRAM-SHA-256"), served, tmp_path, act)


@pytest.mark.parametrize(
    "words", ["s=,i=4096", "s=c2FsdA==,i=1", "s=c2FsdA==,i=999999999"]
)
@pytest.mark.parametrize("name", SIDES)
def test_scram_that_would_help_a_guesser(
    tmp_path: Path, served: Served, name: str, words: str
) -> None:
    """Neither an empty salt nor a count out of bounds; the password stays with us."""
    served.add(f"{KEY} server=localhost")

    def act(side: Side, talk: Talk) -> None:
        nonce = side.first(talk, "SCRAM-SHA-256").rpartition(b"r=")[2] + b"x"
        side.challenge(talk, b"r=" + nonce + b"," + words.encode())
        assert talk.line() == "*"
        side.refuse(talk, "cancelled")

    with pytest.raises(MailfsError, match=r"salt|iteration count"):
        run(Side(name, "PLAIN SCRAM-SHA-256"), served, tmp_path, act)


@pytest.mark.parametrize("name", SIDES)
def test_endless(tmp_path: Path, served: Served, name: str) -> None:
    served.add(f"{KEY} server=localhost")
    count = 0

    def act(side: Side, talk: Talk) -> None:
        nonlocal count
        side.auth(talk, "LOGIN")
        while True:
            side.challenge(talk, b"again")
            if talk.line() == "*":
                side.refuse(talk, "cancelled")
            count += 1

    with pytest.raises(MailfsError, match=r"out of turn|endless"):
        run(Side(name, "LOGIN"), served, tmp_path, act)
    assert count <= MAX_STEPS + 1


TARGET = LoginTarget("mx", ("imap", "imaps"), "u")


CHOICES = [
    ("proto=pass server=mx user=u", ("pass",), "server=mx user=u"),
    ("proto=pass dom=MX user=u", ("pass",), "dom=MX user=u"),
    ("proto=pass server=mx", ("pass",), "server=mx"),
    ("proto=pass server=mx service=imaps user=u", ("pass",), "service=imaps"),
    ("proto=pass server=mx user=v", ("pass",), None),
    ("proto=pass server=my user=u", ("pass",), None),
    ("proto=pass server=mx service=smtp user=u", ("pass",), None),
    ("proto=cram server=mx user=u role=server", ("cram",), None),
    ("proto=cram server=mx user=u", ("pass", "cram"), "server=mx user=u"),
]


@pytest.mark.parametrize(("key", "protos", "words"), CHOICES)
def test_choice(key: str, protos: tuple[str, ...], words: str | None) -> None:
    found = choosing.find([parse(key)], TARGET, protos)
    if words is None:
        assert found is None
    else:
        assert isinstance(found, KeyChoice)
        assert words in found.template


def test_a_key_that_names_the_service_is_preferred() -> None:
    keys = [parse("proto=pass server=mx"), parse("proto=pass server=mx service=imap")]
    found = choosing.find(keys, TARGET, ("pass",))
    assert found is not None
    assert "service=imap" in found.template


def test_tokens_are_for_all_services_of_a_server() -> None:
    key = parse("proto=oauth server=my server=mx service=smtp user=u")
    found = choosing.find([key], TARGET, ("oauth",), token=True)
    assert found == KeyChoice("oauth", "server=mx user=u")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Invalid authentication mechanism", True),
        ("AUTHENTICATE command unknown", True),
        ("mechanism not supported", True),
        ("authentication failed", False),
        ("Invalid credentials (Failure)", False),
        ("incorrect password", False),
    ],
)
def test_words_about_a_mechanism(text: str, found: bool) -> None:
    assert unusable(text) is found


@pytest.mark.parametrize(
    ("host", "near"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("[::1]", True),
        ("0:0:0:0:0:0:0:1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:7f01:203", True),
        ("localhost", True),
        ("LocalHost.", True),
        ("imap.localhost", True),
        ("127.example.com", False),
        ("::10", False),
        ("::ffff:10.0.0.1", False),
        ("localhost.example.com", False),
        ("0.0.0.0", False),
        ("*", False),
        ("", False),
    ],
)
def test_loopback(host: str, near: bool) -> None:
    assert where.is_loopback(host) is near


ECHOES = ["{}", "{} is not " + "x" * 400, "x" * 290 + " {}", '"{}"']


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("name", SIDES)
def test_no_error_shows_what_a_server_repeats(
    tmp_path: Path, served: Served, name: str, echo: str
) -> None:
    """Neither the password nor its base64, cut or not."""
    served.add(f"{KEY} server=localhost")
    for said in (PASSWORD.decode(), b64(PLAIN), b64(PASSWORD)):

        def act(side: Side, talk: Talk, said: str = said) -> None:
            assert side.first(talk, "PLAIN") == PLAIN
            side.refuse(talk, echo.format(said))
            talk.line()

        with pytest.raises(MailfsError) as e:
            run(Side(name, "PLAIN"), served, tmp_path, act)
        for text in (str(e.value), repr(e.value.args), str(vars(e.value))):
            for start in range(len(said) - 3):
                assert said[start : start + 4] not in text


def test_no_goodbye_shows_what_was_sent(tmp_path: Path, served: Served) -> None:
    served.add(f"{KEY} server=localhost")

    def act(side: Side, talk: Talk) -> None:
        side.first(talk, "PLAIN")
        talk.send(f"* BYE never heard of {PASSWORD.decode()}")

    with pytest.raises(OSError, match=r"never heard of .hidden.") as e:
        run(Side("imap", "PLAIN"), served, tmp_path, act)
    assert "sesame" not in f"{e.value} {e.value.strerror} {e.value.args}"


def test_tokens_and_quoted_passwords_are_hidden() -> None:
    hidden = Hidden()
    hidden.add(b"user=glenda\x01auth=Bearer ya29.a0\x01\x01", user="glenda")
    hidden.add(b'a "b"  \\c')
    hidden.add(b"glenda", user="glenda")
    assert hidden.clean("token ya29.a0 of glenda") == "token (hidden) of glenda"
    assert hidden.clean('LOGIN glenda "a \\"b\\"  \\\\c"') == 'LOGIN glenda "(hidden)"'
    assert hidden.clean('a "b" \\c') == "(hidden)"
    assert hidden.clean("so it was: ya29.a...") == "so it was: (hidden)..."
