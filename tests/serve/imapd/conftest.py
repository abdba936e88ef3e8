"""A factotum for servers that clients log in to."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailfs import where
from mailfs.p9 import Client
from mailfs.serve.login import PROTOCOLS
from tests.serve.imapd.served import PASSWORD, Served


@pytest.fixture(scope="session")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A factotum with our password under each protocol, in a name space."""
    folder = tmp_path_factory.mktemp("agent")
    space = folder / "ns"
    space.mkdir(mode=0o700)
    env = os.environ | {"NAMESPACE": str(space), "MAILFS_ROOT": str(folder / "root")}
    verb = [sys.executable, "-P", "-m", "mailfs", "factotum"]
    with subprocess.Popen(verb, env=env, stderr=subprocess.DEVNULL) as process:
        end = time.monotonic() + 30
        while not (space / "factotum").exists():
            assert time.monotonic() < end
            time.sleep(0.02)
        with Client(f"unix!{space}/factotum") as client:
            for user in (where.user(), "other"):
                for proto in PROTOCOLS.values():
                    key = f"key proto={proto} role=server user={user}"
                    client.write("/ctl", f"{key} !password={PASSWORD}".encode())
        yield space
        process.terminate()


@pytest.fixture(params=["mbox", "mdir", "maildir", "mh"])
def each(tmp_path: Path, request: pytest.FixtureRequest) -> Served:
    """A root whose INBOX is of each kind."""
    return Served(tmp_path, request.param)


@pytest.fixture
def served(
    tmp_path: Path, agent: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Served]:
    """A server that listens."""
    monkeypatch.setenv("NAMESPACE", str(agent))
    server = Served(tmp_path).start()
    yield server
    server.stop()
