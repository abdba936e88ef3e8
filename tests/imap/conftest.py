"""Sessions with real and scripted servers, keys from a real factotum."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mailfs.factotum.client import Factotum
from mailfs.imap.account import Account
from mailfs.imap.session import ImapSession
from mailfs.tls.trust import Policy, Trust
from tests.factotum.serving import Served, serving
from tests.net.fixtures import cyrus as cyrus
from tests.net.fixtures import dovecot as dovecot
from tests.net.scripted import Play, Scripted

TIMEOUT = 10.0  # seconds; a test that waits so long has failed


@pytest.fixture(scope="session")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A factotum; tests add the keys they want."""
    with serving(tmp_path_factory.mktemp("keys")) as served:
        yield served


@pytest.fixture
def keys(agent: Served) -> Iterator[Factotum]:
    agent.add("proto=pass server=localhost user=glenda !password=secret")
    with agent.keys() as found:
        yield found


@pytest.fixture
def trust(tmp_path: Path) -> Trust:
    """Trust nobody; what needs no TLS needs no more."""
    return Trust(tmp_path, Policy.THUMBPRINT)


Open = Callable[..., ImapSession]


@pytest.fixture
def connect(keys: Factotum, trust: Trust) -> Iterator[Open]:
    """Open sessions by port, as glenda on a scripted server; all end with the test."""
    opened: list[ImapSession] = []

    def connect(port: int, service: str = "imap", **how: object) -> ImapSession:
        user = str(how.pop("user", "glenda"))
        account = Account("localhost", service, port, user)
        how.setdefault("timeout", TIMEOUT)
        given = how.pop("trust", trust)
        session = ImapSession.open(account, keys, given, **how)  # type: ignore[arg-type]
        opened.append(session)
        return session

    yield connect
    for session in opened:
        session.drop()


@pytest.fixture
def play(connect: Open) -> Iterator[Callable[..., tuple[ImapSession, Scripted]]]:
    """Start a scripted server and open a session with it."""
    with ExitStack() as stack:

        def start(*plays: Play, **how: object) -> tuple[ImapSession, Scripted]:
            server = stack.enter_context(Scripted(*plays))
            return connect(server.port, **how), server

        yield start
