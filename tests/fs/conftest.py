"""A served tree with one mailbox of a few known messages."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailfs.p9.client import Client

from .serving import Tree, serving

MESSAGES = [
    ("a@example.org", "Mon Mar  2 09:00:00 2026", "Subject: one\n\nfirst\n"),
    (
        "b@example.org",
        "Mon Mar  2 10:00:00 2026",
        "From: B <b@example.org>\nSubject: two\n"
        'Content-Type: multipart/mixed; boundary="x"\n\n'
        "--x\n\npart one\n--x\nContent-Type: text/html\n\n<p>two\n--x--\n",
    ),
    ("c@example.org", "Mon Mar  2 11:00:00 2026", "Subject: three\n\nthird\n"),
    ("d@example.org", "Mon Mar  2 12:00:00 2026", "Subject: four\n\nfourth\n"),
]


def mbox(messages: list[tuple[str, str, str]]) -> bytes:
    """Return messages (envelope sender, date, octets) as an mbox file."""
    return "".join(f"From {s} {d}\n{text}\n" for s, d, text in messages).encode()


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """Return an mbox file of four messages."""
    path = tmp_path / "box"
    path.write_bytes(mbox(MESSAGES))
    return path


@pytest.fixture
def tree(tmp_path: Path, box: Path) -> Iterator[Tree]:
    """Serve it as mbox."""
    with serving(tmp_path, mbox=box) as tree:
        yield tree


@pytest.fixture
def client(tree: Tree) -> Iterator[Client]:
    """Attach to it."""
    with tree.client() as client:
        yield client


def names(client: Client, path: str) -> list[str]:
    """Return a listing as names."""
    return [entry.name for entry in client.ls(path)]
