"""What needs no account: files, sockets, lists, the clock, the agent."""

import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mailfs.doctor import agent, box, clock, fuse, local, rounds, services, trust
from mailfs.doctor.finding import Finding, FindingState, bad, note, ok
from mailfs.doctor.rounds import ProbeJob
from mailfs.doctor.world import DoctorWorld
from mailfs.errors import MailfsError
from mailfs.fuse import mountpoint
from mailfs.p9.ramfs import Ram
from mailfs.p9.srv import Server
from mailfs.tls import thumb
from mailfs.where import DialString
from tests.doctor.world import SECRET, USER, Patient, wrong
from tests.factotum.serving import Loop
from tests.tls.pki import Pki

NOBODY = 65534


def test_lines() -> None:
    assert str(ok("clock", "right")) == "ok    clock: right"
    assert str(note("a", "b", "c d")) == "note  a: b\n      c d"
    assert str(bad("a", "b\x1b[31m\nc")) == "BAD   a: b?[31m c"


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be somebody who may write only where anybody may; root may everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def lobby() -> Iterator[Path]:
    """Where anybody may come, unlike the directories of pytest."""
    with tempfile.TemporaryDirectory(prefix="mf") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def test_root(sick: Patient) -> None:
    assert [f.state for f in sick.ask(local.root)] == [FindingState.OK]
    sick.root.rmdir()
    (found,) = sick.ask(local.root)
    assert (found.state, found.text.endswith("made when it is needed")) == (
        FindingState.OK,
        True,
    )
    sick.root.write_text("")
    one = wrong(sick.ask(local.root))
    assert one.text.endswith("not a directory")


@pytest.mark.parametrize("below", [".", "a/b"])
def test_root_not_writable(sick: Patient, lobby: Path, below: str) -> None:
    root = lobby / "root"
    root.mkdir(mode=0o555)
    sick.world = replace(sick.world, root=root / below)
    with as_nobody():
        one = wrong(sick.ask(local.root))
    assert one.text == f"{root / below}: cannot be written"
    mine = f"chmod u+rwx {root}"
    assert one.remedy in (mine, f"sudo chown -R $USER {root}")


def test_cache_not_writable(sick: Patient, lobby: Path) -> None:
    sick.world = replace(sick.world, cache=lobby)
    lobby.chmod(0o555)
    with as_nobody():
        one = wrong(sick.ask(local.cache))
    assert one.text == f"{lobby}: cannot be written"
    lobby.chmod(0o755)
    assert "MB free" in sick.ask(local.cache)[0].text


def test_namespace(sick: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sick.ask(local.namespace) == [ok("namespace", str(sick.ns))]
    long = Path("/tmp") / ("n" * 100)
    sick.world = replace(sick.world, namespace=lambda: long)
    assert "too long" in wrong(sick.ask(local.namespace)).text

    def refuse() -> Path:
        raise MailfsError(f"name space {sick.ns}: others may write there")

    sick.world = replace(sick.world, namespace=refuse)
    monkeypatch.setenv("NAMESPACE", str(sick.ns))
    one = wrong(sick.ask(local.namespace))
    assert (one.text, one.remedy) == (
        f"name space {sick.ns}: others may write there",
        f"chmod 700 {sick.ns}",
    )


@pytest.mark.parametrize(
    ("name", "mode", "remedy"),
    [
        ("mail/lib", 0o775, "chmod g-w"),
        ("sys/lib/tls", 0o777, "chmod go-w"),
        (f"mail/box/{USER}", 0o705, "chmod o-rx"),
        ("sys/lib/tls/key", 0o640, "chmod g-r"),
        ("adm/secstore", 0o777, "chmod go-rwx"),
    ],
)
def test_permissions(sick: Patient, name: str, mode: int, remedy: str) -> None:
    sick.root.chmod(0o755)
    path = sick.root / name
    path.mkdir(parents=True, mode=0o700)
    assert [f.state for f in sick.ask(local.permissions)] == [FindingState.OK]
    path.chmod(mode)
    one = wrong(sick.ask(local.permissions))
    assert one.remedy == f"{remedy} {path}"


def test_every_guarded_path_is_looked_at(sick: Patient) -> None:
    sick.root.chmod(0o777)
    for name, _, _ in local.GUARDED:
        path = sick.root / name.replace("USER", USER)
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o777)
    assert len(sick.ask(local.permissions)) == len(local.GUARDED)


def test_clock(sick: Patient) -> None:
    assert [f.state for f in sick.ask(clock.check)] == [FindingState.OK]
    sick.world = replace(sick.world, clock=lambda: time.time() - 7 * 86400)
    sick.world.cache.mkdir()
    one = wrong(sick.ask(clock.check))
    assert "files are from the future" in one.text
    assert one.remedy == clock.SET


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("220 mx ESMTP Postfix; Sun, 22 Nov 2026 12:45:08 +0000", 1795351508.0),
        ("IMAP4rev1 2004.357 at Sun, 22 Nov 2026 13:45:08 +0100 (CET)", 1795351508.0),
        ("Dovecot ready.", None),
        ("99 Nov 2026 99:99:99 +0000", None),
    ],
)
def test_time_in_a_greeting(text: str, told: float | None) -> None:
    assert clock.told(text) == told


def test_skew() -> None:
    assert list(clock.against("x", None, 0)) == []
    assert list(clock.against("x", 1000, 1000 + clock.SKEW)) == []
    (late,) = clock.against("x", 2000, 1000)
    assert late.text == "our clock is 1000 s behind the server's"
    (early,) = clock.against("x", 1000, 2000)
    assert "ahead of" in early.text


def test_factotum(sick: Patient) -> None:
    (one,) = sick.ask(agent.check)
    assert (one.state, one.remedy) == (FindingState.NOTE, agent.START)
    served = sick.factotum()
    assert sick.ask(agent.check)[0].remedy == agent.ADD
    served.add(
        f"proto=pass server=x user=y !password='{SECRET}'",
        "proto=totp user=y !secret=ABCDEFGH",
    )
    (one,) = sick.ask(agent.check)
    assert one.state is FindingState.OK
    assert one.text.endswith("keys: 1 pass, 1 totp")
    assert SECRET not in str(one)


def test_factotum_is_dead(sick: Patient) -> None:
    _corpse(sick.ns / "factotum")
    one = wrong(sick.ask(agent.check))
    assert one.remedy == f"rm -f {sick.ns}/factotum; {agent.START}"


def test_factotum_does_not_answer(sick: Patient) -> None:
    sick.quick()
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(sick.ns / "factotum"))
        mute.listen()
        one = wrong(sick.ask(agent.check))
    assert one.remedy.endswith(agent.START)


def _corpse(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


def test_stale_socket(sick: Patient) -> None:
    assert sick.ask(services.sockets)[0].remedy == "mailfs fs &"
    _corpse(sick.ns / "upasfs")
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(str(sick.ns / "acme"))
        alive.listen()
        one = wrong(sick.ask(services.sockets))
    assert one.remedy == f"rm {sick.ns}/upasfs"
    assert sick.ask(services.mailboxes) == []


def test_server_that_does_not_answer(sick: Patient) -> None:
    sick.quick()
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(sick.ns / "upasfs"))
        mute.listen()
        one = wrong(sick.ask(services.mailboxes))
        assert one.text.startswith("does not answer: ")
        assert services.paths(sick.world) == []


def test_mailboxes_with_troubles() -> None:
    """Rows as the file status has them."""

    def told(**row: str) -> list[Finding]:
        return list(services._mailbox("upasfs", {"name": "mbox", **row}))

    assert told(state="ready") == []
    (error,) = told(error="gone", waiting="3 changes")
    assert (error.state, error.text) == (FindingState.BAD, "gone")
    assert error.remedy == "echo refresh | mailfs 9p write upasfs/mbox/ctl"
    assert told(**{"server-error": "refused"})[0].text == "refused"
    assert told(waiting="3 changes")[0].state is FindingState.NOTE
    assert told(dropped="3 changes")[0].state is FindingState.BAD


@pytest.mark.parametrize("alive", [True, False])
def test_plumber(sick: Patient, *, alive: bool) -> None:
    assert sick.ask(services.plumber)[0].state is FindingState.OK
    if not alive:
        _corpse(sick.ns / "plumb")
        assert wrong(sick.ask(services.plumber)).remedy.startswith("rm -f ")
        return
    loop = Loop()
    server = Server(Ram("x").attach)
    loop.do(server.listen(DialString("unix", str(sick.ns / "plumb"))))
    try:
        assert "file does not exist" in wrong(sick.ask(services.plumber)).text
    finally:
        loop.do(server.close())
        loop.close()


@pytest.mark.parametrize("name", ["mail", "smtp", "9fs", "mail.exclude"])
def test_trust(sick: Patient, pki: Pki, name: str) -> None:
    file = sick.root / "sys/lib/tls" / name
    file.parent.mkdir(parents=True)
    good = thumb.line(pki.good.der)
    file.write_text(f"# mine\n{good}\n")
    assert f"{file}: 1 certificates" in [f.text for f in sick.ask(trust.check)]
    file.write_text(f"{good}\nx509 sha1={'00' * 20}\n")
    assert sick.ask(trust.check)[0].state is FindingState.NOTE
    file.write_text(f"{good}\nx509 sha256=zz\n")
    one = wrong(sick.ask(trust.check))
    assert one.remedy == f"sed -i.old '2s/^/#/;' {file}"
    file.write_text("")
    file.chmod(0o666)
    assert wrong(sick.ask(trust.check)).remedy == f"chmod o-w {file}"


def test_certificates_of_clients(sick: Patient, pki: Pki) -> None:
    folder = sick.root / "sys/lib/tls/clients"
    folder.mkdir(parents=True)
    pem = (pki.folder / "alone.pem").read_text()
    (folder / "glenda.pem").write_text(pem)
    assert "1 certificates of 1 users" in sick.ask(trust.check)[0].text
    (folder / "rob.pem").write_text(pem)
    assert "is glenda's too" in wrong(sick.ask(trust.check)).text


def test_authorities(
    sick: Patient, our_ca: Pki, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert sick.ask(trust.check)[-1].text == "1 authorities of the system"
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    (one,) = sick.ask(trust.check)
    assert (one.state, "ca-certificates" in one.remedy) == (FindingState.NOTE, True)


def test_fuse(sick: Patient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for lack, remedy in (
        ("fusermount3 is missing: install", "sudo apt-get install fuse3"),
        ("/dev/fuse is missing: modprobe fuse", "sudo modprobe fuse"),
        ("FUSE is spoken as Linux does", ""),
    ):
        monkeypatch.setattr(mountpoint, "missing", lambda lack=lack: lack)
        (one,) = sick.ask(fuse.check)
        assert (one.state, one.remedy) == (FindingState.NOTE, remedy)
    monkeypatch.setattr(mountpoint, "missing", lambda: None)
    monkeypatch.setattr(mountpoint, "DEVICE", tmp_path / "none")
    assert "chmod" in sick.ask(fuse.check)[0].remedy
    device = tmp_path / "fuse"
    device.touch()
    monkeypatch.setattr(mountpoint, "DEVICE", device)
    mounts = tmp_path / "mounts"
    mounts.write_text(f"x {tmp_path}/a\\040b fuse.9p rw 0 0\ny /proc proc rw 0 0\n")
    monkeypatch.setattr(fuse, "MOUNTS", mounts)
    assert list(fuse._mounts()) == [f"{tmp_path}/a b"]
    assert sick.ask(fuse.check)[-1].state is FindingState.OK


def test_local_mailbox(sick: Patient, lobby: Path) -> None:
    def look(path: Path) -> Finding:
        (found,) = box.check(sick.world, str(path))
        return found

    path = lobby / "mbox"
    path.write_bytes(b"From a Sun Nov 22 12:45:08 2026\nFrom: a\n\nx\n\n")
    assert look(path) == ok(str(path), "mbox")
    assert look(lobby / "none").text == "file does not exist"
    path.chmod(0o444)
    with as_nobody():
        assert look(path).text == "mbox: read only"


# Side by side.


def _stuck(release: threading.Event) -> Callable[[], Iterator[Finding]]:
    def check() -> Iterator[Finding]:
        yield ok("slow", "begun")
        release.wait()

    return check


def test_what_never_ends_is_given_up() -> None:
    release = threading.Event()
    jobs = [
        ProbeJob("slow", _stuck(release)),
        ProbeJob("quick", lambda: [ok("quick", "done")]),
    ]
    found = list(rounds.run(jobs, 0.2))
    release.set()
    assert [str(f) for f in found] == [
        "ok    slow: begun",
        "BAD   slow: timed out after 0 s",
        "ok    quick: done",
    ]


def test_jobs_run_at_once() -> None:
    """Each waits for the other: one after the other, neither would end."""
    both = threading.Barrier(2)

    def check() -> list[Finding]:
        both.wait(20)
        return [ok("x", "met")]

    assert len(list(rounds.run([ProbeJob("a", check), ProbeJob("b", check)], 30))) == 2


def test_failures_of_checks() -> None:
    def refuse() -> Iterator[Finding]:
        raise MailfsError("no such luck")
        yield ok("x", "never")

    def fail() -> Iterator[Finding]:
        (Path("/nonesuch") / "x").read_text()
        yield ok("x", "never")

    def break_() -> Iterator[Finding]:
        raise ZeroDivisionError
        yield ok("x", "never")

    found = list(rounds.run([ProbeJob("a", refuse), ProbeJob("b", fail)], 20))
    assert [f.text for f in found] == [
        "no such luck",
        "/nonesuch/x: file does not exist",
    ]
    with pytest.raises(ZeroDivisionError):
        list(rounds.run([ProbeJob("c", break_)], 20))


def test_version(sick: Patient) -> None:
    check: Callable[[DoctorWorld], Iterator[Finding]] = local.version
    assert "Python 3." in sick.ask(check)[0].text
