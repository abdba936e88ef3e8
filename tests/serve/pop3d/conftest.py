"""A factotum, and a server that asks it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serve.imapd.conftest import agent
from tests.serve.pop3d.served import Served

__all__ = ["agent", "served"]


@pytest.fixture
def served(
    tmp_path: Path,
    agent: Path,  # the fixture
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Served]:
    """A server over an empty Maildir, not started."""
    monkeypatch.setenv("NAMESPACE", str(agent))
    server = Served(tmp_path)
    yield server
    server.stop()
