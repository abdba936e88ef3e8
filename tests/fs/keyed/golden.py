"""The expected text of every file: regenerate with ``python -m tests.fs.keyed.golden``.

As tests/fs/golden.py, of the same mailboxes in the other dialect.
"""

import tempfile
from pathlib import Path

from ..golden import boxes, dump, set_zone
from .serving import both

GOLDEN = Path(__file__).parent / "golden"


def render(box: Path) -> str:
    """Return what the golden file of a mailbox should hold."""
    with (
        tempfile.TemporaryDirectory(prefix="g") as scratch,
        both(Path(scratch), mbox=box) as tree,
        tree.keyed() as client,
    ):
        return dump(client, "/mbox")


if __name__ == "__main__":
    set_zone()
    GOLDEN.mkdir(exist_ok=True)
    for box in boxes():
        (GOLDEN / box.name).write_text(render(box))
