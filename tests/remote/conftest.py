"""Servers for this folder's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.net.dovecot import Dovecot
from tests.net.fixtures import dovecot
from tests.remote.account import Account

__all__ = ["account", "dovecot"]


@pytest.fixture
def account(dovecot: Dovecot, tmp_path: Path) -> Iterator[Account]:
    """An account of its own, with nothing in it, and a tree to open it in."""
    with Account(dovecot, tmp_path) as made:
        yield made
