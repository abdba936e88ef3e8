"""The mailboxes that clients talk about, served; and conversations held with them."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mailfs.p9.dial import dial
from mailfs.p9.rpc import Line

from ..conftest import mbox
from ..keyed.serving import BothTrees, both
from ..serving import USER
from .conversation import Play

HERE = Path(__file__).parent
FIRST = 8192  # octets of a message, before Tversion says so
FRESH = (
    "fresh@example.org",
    "Mon Mar  2 13:00:00 2026",
    "From: Fresh <fresh@example.org>\nSubject: fresh\n\nnew mail\n",
)


def scripts() -> list[Path]:
    """Return the conversations: their directories are named for their dialects."""
    return sorted(HERE.glob("*/*.txt"))


@contextmanager
def served(scratch: Path) -> Iterator[BothTrees]:
    """Serve box as mbox; the user's mail directory holds another, stored."""
    box = scratch / "mbox"
    box.write_bytes((HERE / "box").read_bytes())
    with both(scratch, mbox=box) as tree:
        folder = tree.root / "mail" / "box" / USER
        folder.mkdir(parents=True)
        (folder / "stored").write_bytes(mbox([FRESH]))
        yield tree


def hold(script: Path) -> str:
    """Return a conversation with the replies of now."""
    with (
        tempfile.TemporaryDirectory(prefix="c") as directory,
        served(Path(directory)) as tree,
    ):
        keyed = script.parent.name == "mailfs"
        address = tree.mail if keyed else tree.address
        line = Line(dial(address, 60), script.stem, FIRST, 60)
        inbox = Path(directory) / "mbox"

        def act(what: str) -> None:
            """Do what a script's line with an at sign says."""
            if what == "deliver":
                with inbox.open("ab") as file:
                    file.write(mbox([FRESH]))
                return
            assert what == "notice", what  # as for a plumber; clients hear of it there
            with tree.client() as other:
                other.stat("/mbox")

        try:
            play = Play(line.rpc, act, str(tree.root))
            return play.hold(script.read_text())
        finally:
            line.close()
