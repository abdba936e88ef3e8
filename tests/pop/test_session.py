"""Sessions with a real Dovecot: every form of SPEC, every mechanism."""

import re
from pathlib import Path

import pytest

from mailfs.factotum.client import NeedKey
from mailfs.pop.account import FORMS, Account, BadSpec, parse
from mailfs.pop.error import LoginRefused, PopError
from mailfs.pop.session import Pop3Session
from mailfs.tls.trust import Untrusted
from tests.factotum.serving import Served
from tests.net.dovecot import Dovecot
from tests.net.proxy import Proxy
from tests.pop.conftest import Open
from tests.pop.drop import mail

pytestmark = pytest.mark.live

SPECS = [
    ("/pop/h", ("h", "pop", 0, None)),
    ("/pops/h/u", ("h", "pops", 0, "u")),
    ("/poptls/net!h/u/", ("h", "poptls", 0, "u")),
    ("/apop/tcp!h!1100/u@x", ("h", "apop", 1100, "u@x")),
    ("/popnotls/h/", ("h", "popnotls", 0, None)),
    ("/apopnotls/tcp!h!pop3/u", ("h", "apopnotls", 0, "u")),
    ("/apops/h", ("h", "apops", 0, None)),
    ("/apoptls/h", ("h", "apoptls", 0, None)),
]


@pytest.mark.parametrize(("spec", "fields"), SPECS)
def test_specs(spec: str, fields: tuple[object, ...]) -> None:
    found = parse(spec)
    assert found is not None
    assert (found.host, found.name, found.port, found.user) == fields


@pytest.mark.parametrize("spec", ["pop/h", "/imap/h", "/pop3/h/u", "/", "", "/popx/h"])
def test_other_paths(spec: str) -> None:
    assert parse(spec) is None


@pytest.mark.parametrize(
    "spec", ["/pop", "/pop/", "/pops//u", "/pop/h/u/f", "/pop/udp!h", "/pop/tcp!h!x"]
)
def test_bad_specs(spec: str) -> None:
    with pytest.raises(BadSpec):
        parse(spec)


def test_one_maildrop_whichever_way_leads_there() -> None:
    specs = [f"/{name}/Host/u" for name in FORMS]
    assert {parse(s).maildrop for s in specs} == {"/pop/host/u"}  # type: ignore[union-attr]
    assert parse("/pop/tcp!h!1/u").maildrop != parse("/pop/h/u").maildrop  # type: ignore[union-attr]


@pytest.mark.parametrize("name", FORMS)
def test_every_form(
    dovecot: Dovecot, connect: Open, agent: Served, tmp_path: Path, name: str
) -> None:
    user = dovecot.user()
    agent.add(f"proto=pass server=localhost user={user} !password=secret")
    agent.add(f"proto=apop server=localhost user={user} !password=secret")
    dovecot.deliver(user, mail(0))
    port = dovecot.ports["pop3s" if name.endswith("pops") else "pop3"]
    session = connect(port, name, user=user, trust=dovecot.trust(tmp_path))
    assert session.count == 1
    assert session.user == user
    assert (session.wire.tls is None) is name.endswith("notls")
    ((_, got),) = session.messages([1])
    assert not isinstance(got, PopError)
    assert b"".join(got).endswith(mail(0))
    session.quit()


@pytest.mark.parametrize("name", ["pop", "pops", "poptls", "apop", "apops", "apoptls"])
def test_a_stranger_is_not_told_anything(
    dovecot: Dovecot, connect: Open, tmp_path: Path, name: str
) -> None:
    tls = name.endswith("pops")
    with Proxy(dovecot.ports["pop3s" if tls else "pop3"]) as line:
        with pytest.raises(Untrusted, match=r"cert for localhost not recognized"):
            connect(line.port, name, trust=dovecot.trust(tmp_path, listed=False))
        # CAPA and STLS at most have been said in clear.
        assert tls or line.up < 2000


def test_tls_is_insisted_upon(connect: Open, tmp_path: Path) -> None:
    with Dovecot(tls=False) as server:
        for name in ("poptls", "apoptls"):
            with pytest.raises(PopError, match="could not negotiate TLS"):
                connect(server.ports["pop3"], name, trust=server.trust(tmp_path))


@pytest.mark.parametrize(
    ("mechanisms", "line"),
    [
        ("plain login cram-md5 apop scram-sha-1 scram-sha-256", "SCRAM-SHA-256"),
        ("plain login cram-md5 apop scram-sha-1", "SCRAM-SHA-1"),
        ("plain login", "PLAIN"),
        ("login", "LOGIN"),
    ],
)
def test_the_strongest_mechanism_is_taken(
    connect: Open, agent: Served, tmp_path: Path, mechanisms: str, line: str
) -> None:
    with Dovecot(mechanisms=mechanisms) as server:
        user = server.user()
        agent.add(f"proto=pass server=localhost user={user} !password=secret")
        connect(server.ports["pop3"], "poptls", user=user, trust=server.trust(tmp_path))
        log = server.log()
        assert re.search(rf"user=<{user}>, method={line},", log), log


def test_cram_and_apop_where_nobody_encrypts(
    dovecot: Dovecot, connect: Open, agent: Served
) -> None:
    for proto in ("cram", "apop"):
        user = dovecot.user()
        agent.add(f"proto={proto} server=localhost user={user} !password=secret")
        name = "apopnotls" if proto == "apop" else "popnotls"
        assert connect(dovecot.ports["pop3"], name, user=user).user == user


@pytest.mark.parametrize("name", ["pops", "apops"])
def test_a_wrong_password(
    dovecot: Dovecot, connect: Open, agent: Served, tmp_path: Path, name: str
) -> None:
    user = dovecot.user()
    for proto in ("pass", "apop"):
        agent.add(f"proto={proto} server=localhost user={user} !password=wrong")
    with pytest.raises(LoginRefused, match=f"localhost/{name}: login refused"):
        connect(dovecot.ports["pop3s"], name, user=user, trust=dovecot.trust(tmp_path))


def test_a_refused_key_is_asked_for_again(
    dovecot: Dovecot, agent: Served, tmp_path: Path
) -> None:
    user = dovecot.user()
    agent.add(f"proto=pass server=localhost user={user} !password=wrong")
    agent.add("proto=pass server=elsewhere !password=other user=" + user)
    asked: list[str] = []

    def getkey(template: str) -> None:
        asked.append(template)
        agent.add(f"proto=pass server=localhost user={user} !password=secret")

    account = Account("localhost", "pops", dovecot.ports["pop3s"], user)
    with agent.keys(getkey) as keys:
        session = Pop3Session.open(account, keys, dovecot.trust(tmp_path))
        assert session.user == user
        session.drop()
        assert len(asked) == 1
        assert any("elsewhere" in str(key) for key in keys.keys())  # noqa: SIM118


def test_no_key(dovecot: Dovecot, connect: Open, tmp_path: Path) -> None:
    with pytest.raises(NeedKey, match=r"no key for .*server=localhost.*user=nobody"):
        connect(
            dovecot.ports["pop3s"], "pops", user="nobody", trust=dovecot.trust(tmp_path)
        )


@pytest.mark.parametrize(
    "key",
    [
        "proto=pass service=pop dom=localhost user={}",
        "proto=pass server=localhost service=pop3 user={}",
        "proto=pass server=localhost dom=localhost user={}",
    ],
)
def test_keys_as_upas_has_them(
    dovecot: Dovecot, connect: Open, agent: Served, tmp_path: Path, key: str
) -> None:
    user = dovecot.user()
    agent.add(f"proto=pass server=other user={user} !password=wrong")
    agent.add(key.format(user) + " !password=secret")
    trust = dovecot.trust(tmp_path)
    assert connect(dovecot.ports["pop3s"], "pops", user=user, trust=trust).user == user


def test_the_user_may_be_left_to_the_key(
    dovecot: Dovecot, agent: Served, tmp_path: Path
) -> None:
    user = dovecot.user()
    agent.add(f"proto=pass server=localhost user={user} !password=secret")
    account = Account("localhost", "pops", dovecot.ports["pop3s"])
    with agent.keys() as keys:
        session = Pop3Session.open(account, keys, dovecot.trust(tmp_path))
    assert session.user == user
    session.drop()


def test_certificates_that_vouch_for_others(
    dovecot: Dovecot, connect: Open, tmp_path: Path
) -> None:
    listed = dovecot.trust(tmp_path)
    file = tmp_path / "sys/lib/tls/mail"
    file.write_text(file.read_text().rstrip() + " server=elsewhere\n")
    with pytest.raises(Untrusted):
        connect(dovecot.ports["pop3s"], "pops", trust=listed)
    file.write_text("x509 nonsense\n")
    with pytest.raises(Untrusted, match="bad thumbprints"):
        connect(dovecot.ports["pop3s"], "pops", trust=listed)
