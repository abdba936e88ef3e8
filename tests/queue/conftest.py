"""A world for each test."""

from pathlib import Path

import pytest

from tests.factotum.conftest import served
from tests.queue.world import World

__all__ = ["served"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)
