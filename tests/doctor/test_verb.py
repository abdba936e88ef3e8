"""The verb, as a process: what it prints, its exit status, no secret, an end."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.doctor.world import SECRET, Patient
from tests.live.server import END_SECONDS
from tests.net.dovecot import PASSWORD, Dovecot
from tests.net.proxy import Proxy
from tests.remote.account import until

pytestmark = pytest.mark.live


def run(
    sick: Patient, *words: str, seconds: float = 60
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-P", "-m", "mailfs", *words],
        env=_env(sick),
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )


def _env(sick: Patient) -> dict[str, str]:
    return os.environ | {
        "NAMESPACE": str(sick.ns),
        "MAILFS_ROOT": str(sick.root),
        "XDG_CACHE_HOME": str(sick.root.parent / "cache"),
    }


def test_well(dovecot: Dovecot, sick: Patient) -> None:
    name = dovecot.user()
    sick.factotum(f"proto=pass server=localhost user={name} !password={PASSWORD}")
    dovecot.trust(sick.root)
    spec = f"/imaps/tcp!localhost!{dovecot.ports['imaps']}/{name}"
    done = run(sick, "doctor", "-f", f"work={spec}")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"ok    {spec}: login: as {name}, " in done.stdout
    assert PASSWORD not in done.stdout.replace("secstore", "")
    quiet = run(sick, "doctor", "-q", "-f", spec)
    assert quiet.returncode == 0
    assert "ok    " not in quiet.stdout


def test_ill(sick: Patient, dead_port: int) -> None:
    sick.factotum(f"proto=pass server=127.0.0.1 user=x !password='{SECRET}'")
    spec = f"/imaps/tcp!127.0.0.1!{dead_port}/x"
    done = run(sick, "doctor", "-f", spec)
    assert (done.returncode, done.stderr) == (1, "")
    assert f"BAD   {spec}: dial: " in done.stdout
    assert f"\n      nc -vz 127.0.0.1 {dead_port}\n" in done.stdout
    assert SECRET not in done.stdout


def test_running_server(dovecot: Dovecot, sick: Patient) -> None:
    """What a server has open is looked at without being named."""
    name = dovecot.user()
    sick.factotum(f"proto=pass server=localhost user={name} !password={PASSWORD}")
    dovecot.trust(sick.root)
    spec = f"/imaps/tcp!localhost!{dovecot.ports['imaps']}/{name}"
    command = [sys.executable, "-P", "-m", "mailfs", "fs", "-p", "-f", spec]
    with subprocess.Popen(command, env=_env(sick)) as server:
        try:
            until((sick.ns / "upasfs").exists)
            done = run(sick, "doctor")
        finally:
            server.terminate()
            server.wait(END_SECONDS)
    assert done.returncode == 0, done.stdout
    assert f"ok    upasfs: {sick.ns}/upasfs: 1 mailboxes" in done.stdout
    assert f"ok    {spec}: folder: INBOX: 0 messages" in done.stdout


def test_server_that_froze(dovecot: Dovecot, sick: Patient) -> None:
    """It ends although nobody ever answers, and other accounts are told of."""
    with Proxy(dovecot.ports["imaps"]) as line:
        line.freeze()
        specs = [f"/imaps/tcp!localhost!{line.port}/{n}" for n in range(4)]
        words = [word for spec in specs for word in ("-f", f"{spec[-1]}={spec}")]
        done = run(sick, "doctor", "--timeout", "1", *words)
        line.thaw()
    assert done.returncode == 1
    assert [line for line in done.stdout.splitlines() if "no answer within 1 s" in line]
    for spec in specs:
        assert f"{spec}: dial" in done.stdout


@pytest.mark.parametrize("words", [["--timeout", "0"], ["--timeout", "x"], ["x"]])
def test_usage(sick: Patient, words: list[str]) -> None:
    done = run(sick, "doctor", *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("mailfs doctor: ")
    assert done.stderr.count("\n") == 1


def test_nothing_is_changed(sick: Patient, tmp_path: Path) -> None:
    shutil.rmtree(sick.root)
    run(sick, "doctor")
    assert not sick.root.exists()
    assert not (tmp_path / "cache").exists()
