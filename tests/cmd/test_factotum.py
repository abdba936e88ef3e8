"""mailfs factotum: the program, its terminal, and what of it others can see."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailfs import where
from mailfs.cmd import factotum, tty
from mailfs.errors import MailfsError, UsageError
from mailfs.factotum.agent import Agent
from mailfs.factotum.client import Factotum
from mailfs.factotum.proto import PROTOS
from mailfs.secret import Secret
from tests.factotum.world import world
from tests.secstore import conftest as secstore
from tests.secstore.conftest import PASSWORD, Running

stored = secstore.server

RUN = """
import os, sys
from mailfs.cmd import factotum
from mailfs.cmd.args import why
from mailfs.errors import MailfsError
if tty := os.environ.pop("TEST_TTY", ""):
    os.setsid()
    os.open(tty, os.O_RDWR)  # the first terminal opened is the session's
try:
    sys.exit(factotum.main(sys.argv[1:]))
except (MailfsError, OSError) as e:
    sys.exit(f"mailfs factotum: {why(e)}")
"""


def command(*argv: str) -> list[str]:
    return [sys.executable, "-c", RUN, *argv]


def environ(tmp_path: Path, **more: str) -> dict[str, str]:
    space = tmp_path / "ns"
    space.mkdir(mode=0o700, exist_ok=True)
    kept = {k: v for k, v in os.environ.items() if k not in ("secstore", "auth")}
    return {**kept, "NAMESPACE": str(space), **more}


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(
        "# comment\nkey proto=pass server=x user=a !password=hush\nnonsense hush\n"
    )
    path.chmod(0o600)
    return path


@pytest.fixture
def running(tmp_path: Path, keys_file: Path) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        command("-d", "-f", str(keys_file)),
        env=environ(tmp_path),
        stderr=subprocess.PIPE,
        text=True,
    )
    socket = tmp_path / "ns" / "factotum"
    while not socket.exists():
        assert process.poll() is None
        time.sleep(0.02)
    yield process
    process.terminate()
    assert process.stderr is not None
    process.stderr.close()
    assert process.wait(20) == 0


def keys(tmp_path: Path) -> Factotum:
    return Factotum(where.DialString("unix", str(tmp_path / "ns" / "factotum")))


def talk(
    tmp_path: Path, argv: list[str], answers: list[tuple[str, str]]
) -> tuple[str, str, int]:
    """Run the verb on a terminal: wait for each prompt, then type.

    Returns what the terminal showed, standard error, and the exit status.
    """
    master, slave = os.openpty()
    env = environ(tmp_path, TEST_TTY=os.ttyname(slave))
    process = subprocess.Popen(
        command(*argv), env=env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    said = ""
    for prompt, answer in answers:
        while not said.endswith(prompt):
            said += os.read(master, 1000).decode()
        os.write(master, answer.encode() + b"\n")
    _, errors = process.communicate(timeout=60)
    os.set_blocking(master, False)
    with contextlib.suppress(BlockingIOError):
        said += os.read(master, 10000).decode()
    os.close(slave)
    os.close(master)
    return said, errors.decode(), process.returncode


def test_keys_are_asked_for_and_added(
    tmp_path: Path, running: "subprocess.Popen[str]"
) -> None:
    template = "proto=pass dom=pop.gmx.de service=pop user=glenda !password?"
    said, errors, status = talk(tmp_path, ["-g", template], [("password: ", "se cret")])
    assert (errors.count("\n"), status) == (errors.count("memory not locked"), 0)
    assert "!adding key: proto=pass dom=pop.gmx.de service=pop user=glenda" in said
    assert "se cret" not in said
    with keys(tmp_path) as agent:
        login = agent.getuserpasswd("proto=pass dom=pop.gmx.de")
        assert (login.user, login.password.text()) == ("glenda", "se cret")
        assert agent.getuserpasswd("proto=pass server=x").password.text() == "hush"


def test_an_error_is_one_line(tmp_path: Path, running: "subprocess.Popen[str]") -> None:
    said, errors, status = talk(
        tmp_path, ["-p", "-g", "proto=nonsense !password?"], [("password: ", "hush")]
    )
    assert errors == "mailfs factotum: unknown proto nonsense\n"
    assert status == 1
    assert "hush" not in said


def test_nothing_is_asked_for_nothing(tmp_path: Path) -> None:
    said, errors, status = talk(tmp_path, ["-p", "-g", "proto=pass !password?"], [])
    assert (said, status) == ("", 1)
    assert "factotum" in errors
    assert "Traceback" not in errors


def test_others_see_nothing(tmp_path: Path, running: "subprocess.Popen[str]") -> None:
    socket = tmp_path / "ns" / "factotum"
    assert socket.stat().st_mode & 0o777 == 0o600
    proc = Path("/proc") / str(running.pid)
    for name in ("environ", "cmdline"):
        # Not dumpable: not even its owner may look at the one.
        with contextlib.suppress(PermissionError):
            assert b"hush" not in (proc / name).read_bytes()
    running.terminate()
    _, errors = running.communicate(timeout=30)
    assert "addkey proto=pass server=x user=a !password?" in errors
    assert "line 3: unknown verb" in errors
    assert "hush" not in errors
    assert not socket.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_no_core_and_no_debugger(running: "subprocess.Popen[str]") -> None:
    limits = Path(f"/proc/{running.pid}/limits").read_text()
    (core,) = [line for line in limits.splitlines() if "core file size" in line]
    assert core.split()[4:6] == ["0", "0"]
    # The files of a process that is not dumpable are root's.
    assert Path(f"/proc/{running.pid}/environ").stat().st_uid == 0


REFUSED = [
    (["-g", "proto=pass !password=hush"], "a secret does not belong there"),
    (["--oauth", "google"], "--oauth wants --clientid"),
    (
        ["--oauth", "google", "--clientid", "x", "u", "!clientsecret=hush"],
        "command line",
    ),
    (["someone"], "unexpected argument"),
    (["--nonsense"], "unrecognized arguments"),
    (["--flow", "pigeon"], "invalid choice"),
]


@pytest.mark.parametrize(("argv", "why"), REFUSED)
def test_what_cannot_be_meant(argv: list[str], why: str) -> None:
    with pytest.raises(MailfsError, match=why) as e:
        factotum.main(["-p", *argv])
    assert "hush" not in str(e.value)
    assert isinstance(e.value, UsageError | MailfsError)


def test_a_file_others_can_read(keys_file: Path) -> None:
    keys_file.chmod(0o644)
    with pytest.raises(MailfsError, match="others may read or write it"):
        factotum.main(["-p", "-f", str(keys_file)])


def test_a_second_one(tmp_path: Path, running: "subprocess.Popen[str]") -> None:
    again = subprocess.run(
        command(), env=environ(tmp_path), capture_output=True, timeout=30, check=False
    )
    assert again.returncode == 1
    assert b"factotum" in again.stderr
    with keys(tmp_path) as agent:
        assert agent.keys()


FLOWS = [
    ({"DISPLAY": ":0"}, "", "loopback"),
    ({"WAYLAND_DISPLAY": "w"}, "", "loopback"),
    ({"DISPLAY": ":0", "SSH_CONNECTION": "x"}, "", "paste"),
    ({"SSH_CONNECTION": "x"}, "https://x/device", "device"),
    ({}, "", "paste"),
]


@pytest.mark.parametrize(("env", "device", "flow"), FLOWS)
def test_flows(
    monkeypatch: pytest.MonkeyPatch, env: dict[str, str], device: str, flow: str
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    for name, text in env.items():
        monkeypatch.setenv(name, text)
    assert factotum._flow(device) == flow


# Keys from a secstore, and changed ones back into it.


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Agent:
    monkeypatch.setattr(where, "user", lambda: "new")
    return Agent("new", PROTOS, world())


def answering(monkeypatch: pytest.MonkeyPatch, *answers: Secret) -> list[str]:
    """Type those passwords; return what is said in between."""
    said: list[str] = []
    left = list(answers)

    def ask(prompt: str) -> Secret:
        said.append(prompt)
        return left.pop(0)

    monkeypatch.setattr(tty, "password", ask)
    monkeypatch.setattr(tty, "say", said.append)
    return said


OAUTH = "proto=oauth issuer=https://x clientid=1 user=a !refreshtoken={}"


def test_secstore(
    stored: Running, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stored.login("new") as session:
        session.put(
            "factotum",
            f"# mine\nkey {OAUTH.format('old')}\n".encode(),
            cost=secstore.CHEAP,
        )
    said = answering(monkeypatch, Secret("mistyped"), PASSWORD)
    factotum._load_secstore(agent, f"tcp!127.0.0.1!{stored.port}")
    assert said == ["secstore password: ", "password mistyped?", "secstore password: "]
    (key,) = agent.ring
    assert key.source is not None
    key.source(key.replace({}, {"!refreshtoken": Secret("new")}))
    with stored.login("new") as session:
        assert (
            session.get("factotum").decode() == f"# mine\nkey {OAUTH.format('new')}\n"
        )


def test_secstore_without_the_file(
    stored: Running, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, PASSWORD)
    factotum._load_secstore(agent, f"tcp!127.0.0.1!{stored.port}")
    assert not len(agent.ring)


def test_an_empty_password_gives_up(
    stored: Running, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert answering(monkeypatch, Secret("")) == []
    factotum._load_secstore(agent, f"tcp!127.0.0.1!{stored.port}")
    assert not len(agent.ring)


def test_secstore_without_an_account_or_server(
    stored: Running, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = answering(monkeypatch)
    monkeypatch.setattr(where, "user", lambda: "nobody")
    factotum._load_secstore(agent, f"tcp!127.0.0.1!{stored.port}")
    factotum._load_secstore(agent, "tcp!127.0.0.1!1")
    assert said == []
