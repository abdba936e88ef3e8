"""Answers without a terminal: which option is wanted, what is refused, what is kept."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from mailfs.attr import parse, value
from mailfs.cmd import setup as verb
from mailfs.errors import MailfsError, UsageError
from mailfs.factotum import keyfile
from mailfs.factotum.client import Factotum
from mailfs.factotum.fetch import Fetch, fetcher
from mailfs.factotum.keyfile import KeyFile
from mailfs.factotum.private import PrivateFactotum
from mailfs.mailboxes import listed
from mailfs.secret import Secret
from mailfs.setup import answer, change, keep
from mailfs.setup.login import Logins
from mailfs.setup.lookup import Lookup
from mailfs.setup.person import QUESTIONS, Interview
from mailfs.setup.provider import OWN, PROVIDERS
from mailfs.setup.server import incoming, outgoing
from mailfs.setup.srv import Srv
from mailfs.setup.trial import Keys, TrialRefused, vouching
from mailfs.setup.warlock import Warlock
from mailfs.setup.world import SetupWorld
from mailfs.tls.vouch import Unvouched
from tests.factotum.oauthserver import AuthorisationServer
from tests.secstore import conftest as secstore
from tests.secstore.conftest import PASSWORD, Running
from tests.smtp.nameserver import NameServer, Zone

stored = secstore.server


def nobody() -> Factotum:
    raise MailfsError("no factotum")


def no_fetch(url: str, body: bytes | None) -> tuple[int, bytes]:
    raise MailfsError(f"{url}: nobody there")


def world(
    root: Path, names: NameServer | None = None, fetch: Fetch = no_fetch
) -> SetupWorld:
    lookup = Lookup(Srv(names.resolvers if names else None), fetch)
    units = root / "units"
    return SetupWorld(
        root, "glenda", lookup, fetch, units, keys=nobody, sleep=lambda seconds: None
    )


class Quiet(verb.Nobody):
    """Nobody, who remembers what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def run(root: Path, zone: Zone, **given: str) -> int:
    with NameServer(zone) as names:
        told = {"address": "glenda@x.org", "name": "Glenda", **given}
        return Warlock(world(root, names), Interview(Quiet(), told)).run()


def test_nothing_is_guessed(tmp_path: Path) -> None:
    """No SRV, no autoconfig, no known exchanger: the servers have to be named."""
    with pytest.raises(UsageError, match=r"read mail from: say it with --imap"):
        run(tmp_path, {("x.org", "MX"): ["10 mx.x.org."]})
    with pytest.raises(UsageError, match=r"send mail to: say it with --smtp"):
        run(tmp_path, {}, imap="none")
    assert list(tmp_path.iterdir()) == []


def test_unsigned_answers_that_lead_elsewhere_want_a_word(tmp_path: Path) -> None:
    zone = {("_imaps._tcp.x.org", "SRV"): ["0 1 993 localhost."]}
    with pytest.raises(
        UsageError, match=r"only unsigned DNS says so.*--imap /imaps/loc"
    ):
        run(tmp_path, zone)
    zone = {("_submission._tcp.x.org", "SRV"): ["0 1 587 localhost."]}
    with pytest.raises(UsageError, match="confirm it by --smtp /submission/localhost"):
        run(tmp_path, zone, imap="none")


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (
            answer.address,
            ["a@b.org", "a.b+c@localhost", "\u00e4@b.org"],
            ["", "a", "@b.c"],
        ),
        (
            answer.address,
            ["o'x@b.org"],
            ["a@b", "a b@c.d", "<a@b.c>", "a@b.c\n", "a!b@c.d"],
        ),
        (answer.person, ["", "Glenda", "Gle\u00f1da"], ["a\nb", "\x1b[2J"]),
        (answer.word, ["a", "a@b"], ["", "a b", "a/b", "a\n"]),
        (
            answer.mailbox,
            ["mbox", "a b"],
            ["", " ", "a/b", "ctl", "event", "a=b", "#a", "a\n"],
        ),
        (answer.mailbox, ["x" * 64], ["x" * 65]),
        (answer.full_host, ["gnot.x.org"], ["gnot", "a b.c", "a_b.c", "", "g\u00f6.x"]),
    ],
)
def test_answers(check: Callable[[str], str], good: list[str], bad: list[str]) -> None:
    for text in good:
        assert check(text) == text
    for text in bad:
        with pytest.raises(UsageError):
            check(text)


def test_every_question_has_an_option() -> None:
    options = verb._parse([])
    for key, row in QUESTIONS.items():
        assert getattr(options, key) is None
        told = [row.option, "x"] if row.metavar else [row.option]
        assert getattr(verb._parse(told), key) == ("x" if row.metavar else True)
    assert verb._parse(["--no-test"]).test is False


def test_the_list_of_mailboxes(tmp_path: Path) -> None:
    assert listed.read(tmp_path, "glenda") == []
    path = listed.path(tmp_path, "glenda")
    path.parent.mkdir(parents=True)
    path.write_text("# mine\n\n mbox=/imaps/h/u \n~/Maildir\n#x=/y\n")
    assert listed.read(tmp_path, "glenda") == ["mbox=/imaps/h/u", "~/Maildir"]
    assert listed.split("mbox=/imaps/h/u") == ("mbox", "/imaps/h/u")
    assert listed.split("/a=b/c") == ("", "/a=b/c")
    with open(path, "wb") as f:
        f.truncate(listed.MAX_FILE + 1)
    with pytest.raises(MailfsError, match="file too big"):
        listed.read(tmp_path, "glenda")


@pytest.mark.parametrize(
    ("old", "new", "usual", "overwrites"),
    [
        (None, "a\n", False, False),
        ("", "a\n", False, False),
        ("a\n", "a\nb\n", False, False),
        ("a\nb\n", "a\n", False, True),
        ("a\n", "b\n", True, False),
        ("\n\n", "a\n", False, False),
    ],
)
def test_what_counts_as_overwriting(
    tmp_path: Path, old: str | None, new: str, *, usual: bool, overwrites: bool
) -> None:
    one = change.FileChange(tmp_path / "x", old, new, usual=usual)
    assert (one.overwrites, one.needed) == (overwrites, True)
    if old is not None:
        one.path.write_text(old)
    one.apply()
    assert one.path.read_text() == new
    assert one.kept.exists() == overwrites


def test_a_diff_shows_no_control_characters(tmp_path: Path) -> None:
    lines = change.FileChange(tmp_path / "x", "\x1b[2Ja\n", "b\n").diff()
    assert "-?[2Ja" in lines


def test_octets_that_are_no_utf8_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "headers"
    path.write_bytes(b"X: \xff\n")
    old = change.read(path)
    assert old is not None
    change.FileChange(path, old, old + "Y: z\n").apply()
    assert path.read_bytes() == b"X: \xff\nY: z\n"


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = keyfile.path(tmp_path, "glenda")
    assert keyfile.usual(tmp_path, "glenda") == []
    KeyFile(path).put("key proto=pass server=x user=a !password=b")
    assert keyfile.usual(tmp_path, "glenda") == [path]
    path.chmod(0o644)
    with pytest.raises(MailfsError, match="others may read"):
        keep.choose(keep.FILE, tmp_path, "glenda", lambda: KeyFile(path))


def test_a_renewed_key_takes_its_place_in_the_file(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "factotum")
    file.put("key proto=oauth issuer=i clientid=c user=u !refreshtoken=1")
    file.put("key proto=pass server=x user=a !password=b")
    file.put("key proto=oauth issuer=i clientid=c user=u !refreshtoken=2")
    assert file.load().splitlines() == [
        "key proto=oauth issuer=i clientid=c user=u '!refreshtoken=2'".replace("'", ""),
        "key proto=pass server=x user=a !password=b",
    ]


def test_keys_kept_in_a_secstore(stored: Running) -> None:
    address = f"tcp!127.0.0.1!{stored.port}"
    store = keep.secstore(address, "new", PASSWORD)
    kept = keep.choose(keep.SECSTORE, Path("/"), "glenda", lambda: store)
    line = Secret("key proto=pass server=x user=a !password=b")
    kept.put(line)
    kept.put(Secret("key proto=pass server=y user=a !password=c"))
    kept.put(line)
    again = keep.secstore(address, "new", PASSWORD)
    assert again.load().count("key ") == 2
    with pytest.raises(MailfsError):
        keep.secstore(address, "new", Secret("wrong password"))


def logins(
    trial: PrivateFactotum,
    root: Path,
    interview: Interview,
    fetch: Fetch = no_fetch,
    own: bool = True,
) -> Logins:
    servers = (incoming("imap.x.org"), outgoing("smtp.x.org"))
    one = OWN if own else PROVIDERS[0]
    return Logins(interview, world(root, fetch=fetch), trial, one, servers)


def test_who_is_trusted_is_that_certificate_at_that_host() -> None:
    def no(chain: Sequence[bytes], host: str) -> None:
        raise Unvouched("no")

    vouch = vouching([(b"a", "x.org")], no)
    vouch([b"a", b"b"], "x.org")
    for chain, host in (([b"a"], "y.org"), ([b"b"], "x.org"), ([b"b", b"a"], "x.org")):
        with pytest.raises(Unvouched):
            vouch(chain, host)


def test_one_password_for_both_servers_if_both_take_it(tmp_path: Path) -> None:
    asked: list[str] = []

    def read() -> Secret:
        asked.append("imap")
        return Secret("o p'en")

    def attempt(keys: Keys) -> None:
        with keys() as agent:
            for server in ("imap.x.org", "smtp.x.org"):
                template = f"proto=pass server={server} user=glenda"
                listed = agent.keys()
                if any(value(attrs, "server") == server for attrs in listed):
                    assert agent.getuserpasswd(template).password == Secret("o p'en")

    with PrivateFactotum(no_fetch) as trial:
        made = logins(trial, tmp_path, Interview(Quiet(), {}, {"imap": read}))
        for one in made.servers:
            made.login(one, "glenda", attempt)
    assert asked == ["imap"]
    lines = [parse(line.text()) for line in made.lines]
    assert [value(attrs, "service") for attrs in lines] == ["imap", "smtp"]
    assert {value(attrs, "!password") for attrs in lines} == {"o p'en"}


def test_a_refused_password_is_not_kept(tmp_path: Path) -> None:
    def attempt(keys: Keys) -> None:
        raise TrialRefused("no")

    with PrivateFactotum(no_fetch) as trial:
        given = {"imap": lambda: Secret("x")}
        made = logins(trial, tmp_path, Interview(Quiet(), {}, given))
        with pytest.raises(TrialRefused):
            made.login(made.servers[0], "glenda", attempt)
    assert made.lines == []


def test_keys_in_the_file_will_do(tmp_path: Path) -> None:
    line = "key proto=pass service=imap server=imap.x.org user=glenda !password=b"
    KeyFile(keyfile.path(tmp_path, "glenda")).put(line)
    tried: list[str] = []

    def attempt(keys: Keys) -> None:
        with keys() as agent:
            login = agent.getuserpasswd("proto=pass server=imap.x.org user=glenda")
            tried.append(login.password.text())

    with PrivateFactotum(no_fetch) as trial:
        made = logins(trial, tmp_path, Interview(Quiet()))
        made.login(made.servers[0], "glenda", attempt)
        assert (tried, made.lines) == (["b"], [])
        with pytest.raises(UsageError, match=r"Password of glenda at smtp\.x\.org"):
            made.login(made.servers[1], "glenda", attempt)


class Present(Quiet):
    """A person who types one thing at every hidden question."""

    present = True

    def __init__(self, typed: str) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.typed = typed

    def secret(self, prompt: str) -> Secret:
        self.asked.append(prompt)
        return Secret(self.typed)


@pytest.mark.parametrize("takes", [False, True])
def test_the_way_is_asked_where_the_server_takes_tokens(
    tmp_path: Path, takes: bool
) -> None:
    person = Present("1")
    with PrivateFactotum(no_fetch) as trial:
        made = logins(trial, tmp_path, Interview(person))
        made.offers = lambda one: takes
        made.login(made.servers[0], "glenda", lambda keys: None)
    ways = ["Log in by [password]: "] * takes
    assert person.asked == [*ways, "Password of glenda at imap.x.org: "]


def test_a_key_that_is_there_is_used_unasked(tmp_path: Path) -> None:
    line = "key proto=pass service=imap server=imap.x.org user=glenda !password=b"
    KeyFile(keyfile.path(tmp_path, "glenda")).put(line)
    person = Present("c")
    tried: list[str] = []

    def attempt(keys: Keys) -> None:
        with keys() as agent:
            login = agent.getuserpasswd("proto=pass server=imap.x.org user=glenda")
            tried.append(login.password.text())
        if tried[-1] == "b":
            raise TrialRefused("no")

    with PrivateFactotum(no_fetch) as trial:
        made = logins(trial, tmp_path, Interview(person))
        made.login(made.servers[0], "glenda", attempt)
    assert tried == ["b", "c"]
    assert person.asked == ["Password of glenda at imap.x.org: "]


def test_a_token_instead_of_a_password(tmp_path: Path) -> None:
    """The device flow of a provider of one's own; its key serves both servers."""
    with AuthorisationServer(tmp_path) as issuer:
        fetch = fetcher(issuer.client_context)
        given = {
            "auth": "oauth",
            "oauth": issuer.issuer,
            "clientid": "id",
            "flow": "device",
        }
        person = Quiet()
        interview = Interview(person, given, {"client": lambda: Secret("shh")})
        tokens: list[Secret] = []

        def attempt(keys: Keys) -> None:
            with keys() as agent:
                for server in ("imap.x.org", "smtp.x.org"):
                    template = f"proto=oauth server={server} user=glenda"
                    tokens.append(agent.message(template))

        with PrivateFactotum(fetch) as trial:
            made = logins(trial, tmp_path, interview, fetch)
            for one in made.servers:
                made.login(one, "glenda", attempt)
    assert len(made.lines) == 1
    assert {token.text() for token in tokens} == {"access-1"}
    assert any("ABCD-EFGH" in line for line in person.said)
    attrs = parse(made.lines[0].text())
    assert [a.value for a in attrs if a.name == "server"] == [
        "imap.x.org",
        "smtp.x.org",
    ]
    assert value(attrs, "!refreshtoken") == "refresh-1"
