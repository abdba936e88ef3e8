"""A served factotum for the tests that want a real one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factotum.serving import Served, serving


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Serve an agent without keys."""
    with serving(tmp_path) as served:
        yield served
