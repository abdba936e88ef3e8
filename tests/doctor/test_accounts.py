"""Accounts on a real server: well, and ill in every way we know."""

import imaplib
import re
import shlex
import subprocess
import sys

import pytest

from mailfs.doctor.finding import FindingState
from tests.doctor.world import SECRET, Patient, stages, wrong
from tests.net.dovecot import PASSWORD, Dovecot
from tests.net.proxy import Proxy

pytestmark = pytest.mark.live

WELL = ["dial ok", "tls ok", "login ok", "folder ok", "server ok"]


def key(user: str, password: str = PASSWORD, server: str = "localhost") -> str:
    return f"proto=pass server={server} user={user} !password='{password}'"


def spec(dovecot: Dovecot, kind: str, user: str, folder: str = "") -> str:
    port = dovecot.ports[
        {"imaptls": "imap", "pops": "pop3s", "poptls": "pop3"}.get(kind, kind)
    ]
    return f"/{kind}/tcp!localhost!{port}/{user}" + (folder and f"/{folder}")


@pytest.fixture
def user(dovecot: Dovecot, sick: Patient) -> str:
    """A user whose key is there and whose server is trusted."""
    name = dovecot.user()
    sick.factotum(key(name))
    dovecot.trust(sick.root)
    return name


@pytest.mark.parametrize("kind", ["imaps", "imaptls", "pops", "poptls"])
def test_well(dovecot: Dovecot, sick: Patient, user: str, kind: str) -> None:
    found = sick.account(spec(dovecot, kind, user))
    assert stages(found) == WELL
    told = dict(zip(WELL, (one.text for one in found), strict=True))
    assert re.fullmatch(r"\S+ port \d+, \d+ ms", told["dial ok"])
    assert "sys/lib/tls/mail:1 lists it; valid until 20" in told["tls ok"]
    assert told["login ok"].startswith(f"as {user}, ")
    assert "0 messages" in told["folder ok"]


def test_in_clear(dovecot: Dovecot, sick: Patient, user: str) -> None:
    dovecot.deliver(user, b"Subject: x\n\nx\n")
    found = sick.account(spec(dovecot, "imap", user))
    assert [one.state for one in found if one.state is FindingState.BAD] == []
    assert "INBOX: 1 messages" in [one.text for one in found]


def test_nothing_is_marked(dovecot: Dovecot, sick: Patient, user: str) -> None:
    """A message that nobody has seen is as recent as it was."""
    dovecot.deliver(user, b"Subject: x\n\nx\n")
    sick.account(spec(dovecot, "imaps", user))
    imap = imaplib.IMAP4("127.0.0.1", dovecot.ports["imap"])
    try:
        imap.login(user, PASSWORD)
        imap.select("INBOX")
        assert imap.response("RECENT")[1] == [b"1"]
        assert imap.search(None, "UNSEEN")[1] == [b"1"]
    finally:
        imap.logout()


def test_what_the_server_lacks(sick: Patient) -> None:
    with Dovecot(capability="=IMAP4rev1 IDLE") as old:
        name = old.user()
        sick.factotum(key(name))
        old.trust(sick.root)
        last = sick.account(spec(old, "imaps", name))[-1]
    assert last.state is FindingState.NOTE
    assert "no UIDPLUS: messages cannot be deleted one by one" in last.text
    assert "no QRESYNC" in last.text or "no CONDSTORE" in last.text
    assert "IDLE" not in last.text


@pytest.mark.parametrize("kind", ["imaps", "pops"])
def test_no_factotum(dovecot: Dovecot, sick: Patient, kind: str) -> None:
    dovecot.trust(sick.root)
    found = sick.account(spec(dovecot, kind, "glenda"))
    assert stages(found) == ["dial ok", "tls ok", "login BAD"]
    assert "no factotum to ask" in found[-1].text
    assert found[-1].remedy == "mailfs factotum &"


@pytest.mark.parametrize("kind", ["imaps", "pops"])
def test_no_key(dovecot: Dovecot, sick: Patient, kind: str) -> None:
    dovecot.trust(sick.root)
    sick.factotum(key("somebody", SECRET))
    found = sick.account(spec(dovecot, kind, "glenda"))
    assert stages(found) == ["dial ok", "tls ok", "login BAD"]
    one = wrong(found)
    assert one.text.startswith("no key for ")
    words = shlex.split(one.remedy)
    assert words[:3] == ["mailfs", "factotum", "-g"]
    assert {"server=localhost", "user=glenda", "!password?"} <= set(words[3].split())


@pytest.mark.parametrize("kind", ["imaps", "pops"])
def test_wrong_password(dovecot: Dovecot, sick: Patient, kind: str) -> None:
    dovecot.trust(sick.root)
    name = dovecot.user()
    sick.factotum(key(name, SECRET))
    found = sick.account(spec(dovecot, kind, name))
    assert stages(found) == ["dial ok", "tls ok", "login BAD"]
    words = shlex.split(wrong(found).remedy)
    assert words[:3] == ["mailfs", "factotum", "-g"]
    assert f"user={name}" in words[3]


@pytest.mark.parametrize("kind", ["imaps", "imaptls", "pops", "poptls"])
def test_untrusted(dovecot: Dovecot, sick: Patient, kind: str) -> None:
    """The remedy, carried out, heals it."""
    name = dovecot.user()
    sick.factotum(key(name))
    found = sick.account(spec(dovecot, kind, name))
    assert stages(found) == ["dial ok", "tls BAD"]
    one = wrong(found)
    assert "self-signed" in one.text
    assert "append" not in one.text
    words = shlex.split(one.remedy)
    assert words[:4] == ["mailfs", "trust", "--root", str(sick.root)]
    heal = [sys.executable, "-P", "-m", *words, "-y"]
    subprocess.run(heal, check=True, capture_output=True)
    assert stages(sick.account(spec(dovecot, kind, name))) == WELL


def test_refused(sick: Patient, dead_port: int) -> None:
    one = wrong(sick.account(f"/imaps/tcp!localhost!{dead_port}/glenda"))
    assert one.what.endswith(": dial")
    assert "refused" in one.text
    assert one.remedy == f"nc -vz localhost {dead_port}"


def test_no_such_host(sick: Patient) -> None:
    one = wrong(sick.account("/pops/nonesuch.invalid/glenda"))
    assert one.what.endswith(": dial")
    assert one.remedy == "getent hosts nonesuch.invalid"


@pytest.mark.parametrize("kind", ["imap", "pop3"])
def test_frozen(dovecot: Dovecot, sick: Patient, kind: str) -> None:
    name = dovecot.user()
    sick.factotum(key(name))
    sick.quick()
    with Proxy(dovecot.ports[kind]) as line:
        line.freeze()
        form = {"pop3": "pop"}.get(kind, kind)
        one = wrong(sick.account(f"/{form}/tcp!localhost!{line.port}/{name}"))
        line.thaw()
    assert one.what.endswith(": greeting")
    assert "no answer within 1 s" in one.text
    assert "--timeout" in one.remedy


def test_no_such_folder(dovecot: Dovecot, sick: Patient, user: str) -> None:
    found = sick.account(spec(dovecot, "imaps", user, "Dratfs"))
    one = wrong(found)
    assert one.what.endswith(": folder")
    assert one.text.endswith("; there is Drafts")
    assert one.remedy == f"mailfs doctor -f '{spec(dovecot, 'imaps', user, 'Drafts')}'"
    assert stages(found)[-1] == "server ok"
    far = spec(dovecot, "imaps", user, "Quite Another")
    assert wrong(sick.account(far)).remedy.startswith("echo 'create ")


def test_whole_account(dovecot: Dovecot, sick: Patient, user: str) -> None:
    found = sick.account(spec(dovecot, "imaps", user, "*"))
    assert [one.text for one in found if one.what.endswith("folder")] == [
        "4 folders",
        "INBOX: 0 messages",
    ]


def test_accounts_of_keys(sick: Patient, dead_port: int) -> None:
    """A key names an account, unless it is looked at anyway; others' are let be."""
    host = "127.0.0.1"
    sick.factotum(
        key("a", SECRET, host),
        f"proto=pass service=pop server={host} user=b !password=x",
        f"proto=pass service=smtp server={host} user=c !password=x",
        f"proto=cram role=server server={host} user=d !password=x",
        "proto=dp9ik dom=x user=e !password=x",
    )
    found = {one.what.partition(":")[0] for one in sick.account()}
    assert found == {f"/imaps/{host}/a", f"/pops/{host}/b"}
    mine = f"/imaps/tcp!{host}!{dead_port}/z"
    found = {one.what.rpartition(":")[0] for one in sick.account(mine)}
    assert found == {mine, f"/pops/{host}/b"}
