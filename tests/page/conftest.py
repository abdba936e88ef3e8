"""One Dovecot for the page, and a new world for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.net.fixtures import dovecot as dovecot
from tests.setup.world import Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Place(tmp_path) as made:
        yield made
