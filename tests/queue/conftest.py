"""A world for each test."""

from pathlib import Path

import pytest

from tests.factotum.conftest import served
from tests.queue.world import World
from tests.tls.conftest import our_ca, pki

__all__ = ["our_ca", "pki", "served"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)
