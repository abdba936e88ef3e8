"""Servers for this folder's tests."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.factotum.conftest import served
from tests.net.dovecot import Dovecot
from tests.net.fixtures import dovecot
from tests.remote.account import Account

__all__ = ["account", "dovecot", "served"]

# What servers can do after login, the fewer the older.  The first is all of Dovecot's.
ABILITIES = {
    "everything": "",
    "as Gmail": "=IMAP4rev1 UNSELECT IDLE NAMESPACE ID CHILDREN UIDPLUS ENABLE MOVE "
    "CONDSTORE ESEARCH LIST-EXTENDED LIST-STATUS LITERAL- SPECIAL-USE",
    "as Office 365": "=IMAP4 IMAP4rev1 UIDPLUS MOVE ID UNSELECT CHILDREN IDLE "
    "NAMESPACE LITERAL+",
    "next to nothing": "=IMAP4rev1 UIDPLUS",
}


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, Dovecot]]:
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(Dovecot(capability=words))
            for name, words in ABILITIES.items()
        }


@pytest.fixture
def account(dovecot: Dovecot, tmp_path: Path) -> Iterator[Account]:
    """An account of its own, with nothing in it, and a tree to open it in."""
    with Account(dovecot, tmp_path) as made:
        yield made


@pytest.fixture(params=list(ABILITIES))
def anywhere(
    request: pytest.FixtureRequest, servers: dict[str, Dovecot], tmp_path: Path
) -> Iterator[Account]:
    """The same on each kind of server."""
    with Account(servers[request.param], tmp_path) as made:
        yield made
