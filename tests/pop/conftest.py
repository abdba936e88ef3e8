"""Sessions with real and scripted servers, keys from a real factotum."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailfs.factotum.client import Factotum
from mailfs.pop.account import Account
from mailfs.pop.session import Pop3Session
from mailfs.tls.trust import Policy, Trust
from tests.factotum.serving import Served, serving
from tests.net.dovecot import Dovecot

TIMEOUT = 10.0  # seconds; a test that waits so long has failed


# Else it makes whoever comes from the address of a wrong password wait.
IMPATIENT = """
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
"""


@pytest.fixture(scope="session")
def dovecot() -> Iterator[Dovecot]:
    with Dovecot(extra=IMPATIENT) as server:
        yield server


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Served]:
    """A factotum with a key for anybody on localhost."""
    with serving(tmp_path) as served:
        yield served


@pytest.fixture
def keys(agent: Served) -> Iterator[Factotum]:
    agent.add("proto=pass server=localhost user=glenda !password=secret")
    agent.add("proto=apop server=localhost user=glenda !password=secret")
    with agent.keys() as found:
        yield found


@pytest.fixture
def trust(tmp_path: Path) -> Trust:
    """Trust nobody; what needs no TLS needs no more."""
    return Trust(tmp_path, Policy.THUMBPRINT)


Open = Callable[..., Pop3Session]


@pytest.fixture
def connect(keys: Factotum, trust: Trust) -> Iterator[Open]:
    """Open sessions by port, as glenda on a scripted server; all end with the test."""
    opened: list[Pop3Session] = []

    def connect(port: int, name: str = "pop", **how: object) -> Pop3Session:
        user = str(how.pop("user", "glenda"))
        how.setdefault("timeout", TIMEOUT)
        given = how.pop("trust", trust)
        host = str(how.pop("host", "localhost"))
        account = Account(host, name, port, user)
        session = Pop3Session.open(account, keys, given, **how)  # type: ignore[arg-type]
        opened.append(session)
        return session

    yield connect
    for session in opened:
        session.drop()
