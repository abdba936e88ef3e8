"""One Dovecot for all; a home for each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.net.dovecot import Dovecot
from tests.setup.world import Place, Provider, provider


@pytest.fixture(scope="session")
def dovecot() -> Iterator[Dovecot]:
    with Dovecot() as running:
        # The submission server shows the same certificate.
        (running.root / "cert.key").write_bytes((running.root / "key.pem").read_bytes())
        yield running


@pytest.fixture
def ours(dovecot: Dovecot) -> Iterator[Provider]:
    with provider(dovecot) as found:
        yield found


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Place(tmp_path) as made:
        yield made
