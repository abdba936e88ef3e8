"""One mailbox of a few known messages, served in both dialects."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailfs.p9.client import Client

from .serving import BothTrees, both

BOX = Path(__file__).parents[1] / "clients" / "box"


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """Return an mbox file of four messages; the third has another in it."""
    path = tmp_path / "box"
    path.write_bytes(BOX.read_bytes())
    return path


@pytest.fixture
def tree(tmp_path: Path, box: Path) -> Iterator[BothTrees]:
    """Serve it as mbox."""
    with both(tmp_path, mbox=box) as tree:
        yield tree


@pytest.fixture
def client(tree: BothTrees) -> Iterator[Client]:
    """Attach to the keyed tree."""
    with tree.keyed() as client:
        yield client
