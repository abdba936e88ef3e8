"""A server of ours on loopback, with two accounts."""

import random as weak
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mailfs.secret import Secret
from mailfs.secstore import client, pak
from mailfs.secstore.account import Account, Accounts
from mailfs.secstore.kdf import Cost, Stretch
from mailfs.secstore.server import SecstoreServer

PASSWORD = Secret("sesame123")
CHEAP = Cost(14)


@dataclass
class Running:
    """The server; old is an account for Plan 9's clients too, new is not."""

    accounts: Accounts
    port: int
    now: list[float] = field(default_factory=lambda: [1_800_000_000.0])

    @property
    def dial(self) -> client.Dial:
        return client.dial(f"tcp!127.0.0.1!{self.port}")

    def login(self, user: str, password: Secret = PASSWORD) -> client.SecstoreSession:
        return client.login(self.dial, user, password)

    def socket(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 20)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    accounts = Accounts(tmp_path / "secstore")
    accounts.make()
    kind = Stretch(CHEAP, bytes(16))
    for name, stretch in (("old", None), ("new", kind)):
        user = name.encode()
        inner = stretch.password(user, PASSWORD) if stretch else PASSWORD
        accounts.write(Account(name, pak.verifier(user, inner)[1], stretch=stretch))
        accounts.files(name).mkdir()
    listener = socket.create_server(("127.0.0.1", 0))
    running = Running(accounts, listener.getsockname()[1])
    served = SecstoreServer(
        accounts.root,
        "test server",
        clock=lambda: running.now[0],
        random=weak.Random(1).randbytes,
    )
    thread = threading.Thread(target=served.serve, args=(listener,))
    thread.start()
    yield running
    listener.shutdown(socket.SHUT_RDWR)  # wakes accept
    listener.close()
    thread.join(20)
    assert not thread.is_alive()
