"""What sending needs: database, rules, queue, and a server that takes mail."""

import os
import shlex
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiosmtpd.smtp import AuthResult

from mailfs.doctor import account, checks, rounds, sending
from mailfs.doctor.finding import Finding, FindingState
from mailfs.ndb import install
from mailfs.queue import spool
from tests.doctor.world import SECRET, USER, Patient, stages, wrong
from tests.setup.world import Talk
from tests.smtp.world import Box, context, logged, logs, receiver
from tests.tls.pki import Pki

HOST = "localhost"


def local(root: Path, text: str) -> Path:
    file = root / "lib/ndb/local"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_ndb(sick: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("sysname", "gnot")
    monkeypatch.delenv("site", raising=False)
    (one,) = sick.ask(sending.ndb)
    assert (one.state, "there is no" in one.text) == (FindingState.NOTE, True)
    file = local(sick.root, "sys=gnot smtp=mail.example.org\n")
    (one,) = sick.ask(sending.ndb)
    assert (one.state, one.remedy) == (FindingState.NOTE, f"${{EDITOR:-vi}} {file}")
    local(sick.root, "sys=gnot dom=gnot.example.org\n\tsmtp=mail.example.org\n")
    (one,) = sick.ask(sending.ndb)
    assert one.state is FindingState.OK
    assert (
        one.text
        == "this machine is gnot.example.org; its mail goes to mail.example.org"
    )
    file.unlink()
    file.mkdir()
    assert wrong(sick.ask(sending.ndb)).remedy == f"mv {file} {file}.old"


def test_rules(sick: Patient) -> None:
    assert sick.ask(sending.rules)[0].state is FindingState.NOTE
    file = sick.root / "mail/lib/rewrite"
    file.parent.mkdir(parents=True)
    file.write_text("local!(.*) >> /mail/box/\\1/mbox\n")
    assert sick.ask(sending.rules)[0].text == f"{file}: 1 rules"
    file.write_text("local!(.* >> /mail/box/\\1/mbox\n")
    assert f"{file}: rewrite: line 1" in wrong(sick.ask(sending.rules)).text


def enqueue(root: Path, age: float = 0.0) -> spool.Job:
    queue = root / "mail/queue"
    words = ["mail", "glenda", "net!b.com", "a@b.com"]
    job = spool.enqueue(queue, "glenda", b"Subject: x\n\nx\n", words)
    then = time.time() - age
    os.utime(job.path("D"), (then, then))
    return job


def test_queue(sick: Patient) -> None:
    assert [f.text for f in sick.ask(sending.queue)] == ["empty"]
    enqueue(sick.root)
    (one,) = sick.ask(sending.queue)
    assert (one.state, one.remedy) == (FindingState.NOTE, "mailfs runq --watch &")
    old = enqueue(sick.root, 3 * 86400)
    old.path("E").write_text("connection refused\n")
    one = wrong(sick.ask(sending.queue))
    assert one.text == f"{old.ident}: waiting for 72 h: connection refused"
    words = ["mailfs", "queue", "--root", str(sick.root), "show", old.ident]
    assert one.remedy == shlex.join(words)
    spool.hold(old)
    assert [f.state for f in sick.ask(sending.queue)] == [FindingState.NOTE]
    broken = enqueue(sick.root)
    broken.path("C").write_text("nonsense")
    assert broken.ident in wrong(sick.ask(sending.queue)).text
    for _ in range(2 * sending.MAX_SHOWN):
        enqueue(sick.root, 3 * 86400)
    found = [f for f in sick.ask(sending.queue) if f.state is FindingState.BAD]
    assert len(found) == sending.MAX_SHOWN + 1


# The server.


def servers(sick: Patient) -> list[Finding]:
    jobs = list(sending.servers(sick.world, account.listed(sick.world)))
    return list(rounds.run(jobs, 60))


@contextmanager
def server(pki: Pki, who: str = "good") -> Iterator[int]:
    """A submission server that knows one password."""

    def judge(
        _: object, __: object, ___: object, ____: object, told: object
    ) -> AuthResult:
        right = getattr(told, "password", b"") == SECRET.encode()
        return AuthResult(success=right, handled=False)

    with ExitStack() as stack:
        yield stack.enter_context(
            receiver(
                Box(),
                host="127.0.0.1",
                tls_context=context(pki.folder / f"{who}.pem"),
                authenticator=judge,
                auth_required=False,
            )
        )


def gateway(sick: Patient, port: int, options: str = "-a") -> None:
    """Send everything there, as remotemail's options say."""
    local(sick.root, f"sys=gnot dom=gnot.example.org smtp=net!{HOST}!{port}\n")
    script = sick.root / "mail/lib/remotemail"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(
        "#!/bin/sh\nsender=$2 host=$3\nshift 3\n"
        f'exec mailfs smtp {options} "$host" "$sender" "$@"\n'
    )


@pytest.fixture
def gnot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("sysname", "gnot")


@pytest.mark.usefixtures("gnot")
def test_submission(our_ca: Pki, sick: Patient) -> None:
    sick.factotum(f"proto=pass service=smtp server={HOST} user=g !password='{SECRET}'")
    logs(sick.root)
    with server(our_ca) as port:
        gateway(sick, port)
        found = servers(sick)
    assert stages(found) == ["dial ok", "server ok"]
    assert found[-1].text.startswith("TLS, logged in")
    assert logged(sick.root) == []  # looking leaves no trace


@pytest.mark.usefixtures("gnot")
@pytest.mark.parametrize(
    ("who", "key", "stage", "remedy"),
    [
        ("good", "", "login BAD", "mailfs factotum &"),
        ("good", "other", "login BAD", "mailfs factotum -g "),
        ("good", "localhost", "login BAD", "mailfs factotum -g "),
        ("unknown", "localhost", "tls BAD", "mailfs trust "),
    ],
)
def test_submission_fails(
    our_ca: Pki, sick: Patient, who: str, key: str, stage: str, remedy: str
) -> None:
    if key:
        sick.factotum(f"proto=pass service=smtp server={key} user=g !password=wrong")
    with server(our_ca, who) as port:
        gateway(sick, port)
        found = servers(sick)
    mine = [one for one in found if f"!{port}" in one.what]
    assert stages(mine) == ["dial ok", stage]
    assert wrong(mine).remedy.startswith(remedy)


@pytest.mark.usefixtures("gnot")
def test_no_server(sick: Patient, dead_port: int) -> None:
    gateway(sick, dead_port)
    one = wrong(servers(sick))
    assert one.what == f"smtp net!{HOST}!{dead_port}: dial"
    assert one.remedy == f"nc -vz {HOST} {dead_port}"
    local(sick.root, "sys=gnot smtp=net!x!y!z\n")
    assert "not a destination" in wrong(servers(sick)).text


@pytest.mark.usefixtures("gnot")
@pytest.mark.parametrize("runs", [False, True])
def test_a_wrong_password_in_the_file_of_keys(
    our_ca: Pki, sick: Patient, monkeypatch: pytest.MonkeyPatch, runs: bool
) -> None:
    """It is found though the factotum that runs has the right one, and mended."""
    install.install(sick.root, USER)
    key = f"proto=pass service=smtp server={HOST} user=g !password="
    file = sick.root / "mail/box" / USER / "factotum"
    file.write_text(f"key {key}wrong\n")
    file.chmod(0o600)
    if runs:
        sick.factotum(f"{key}'{SECRET}'")
    monkeypatch.setenv("NAMESPACE", str(sick.ns))
    with server(our_ca) as port:
        gateway(sick, port)

        def look() -> list[Finding]:
            found = list(checks.examine(sick.world, []))
            return [one for one in found if f"!{port}" in one.what]

        one = wrong(look())
        assert one.what == f"smtp net!{HOST}!{port} by {file}: login"
        assert one.remedy.startswith(f"mailfs factotum -f {file} -g ")
        place = SimpleNamespace(env=dict(os.environ))
        words = shlex.split(one.remedy)[1:]
        with Talk(place, *words) as talk:  # type: ignore[arg-type]
            talk.answer("password", SECRET)
            assert talk.end() == 0, talk.shown
        found = look()
        assert [f for f in found if f.state is FindingState.BAD] == []
        assert any("logged in" in f.text for f in found)
    assert file.read_text().count("key ") == 1
    assert file.stat().st_mode & 0o777 == 0o600
