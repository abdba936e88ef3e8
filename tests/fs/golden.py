"""The expected text of every file: regenerate with ``python -m tests.fs.golden``.

One file in golden/ a mailbox in boxes/: the path of every file, its length as stat
tells it, and what it holds.  Read the difference before you commit it.
"""

import os
import tempfile
import time
from pathlib import Path

from mailfs.p9.client import Client
from mailfs.p9.fcall import QTDIR

from .serving import serving

HERE = Path(__file__).parent
BOXES = HERE / "boxes"
GOLDEN = HERE / "golden"
SAMPLE = HERE.parents[1] / "mailfs" / "sample" / "mbox"


def boxes() -> list[Path]:
    """Return the mailboxes that have a golden file."""
    return [*sorted(BOXES.iterdir()), SAMPLE]


def dump(client: Client, path: str) -> str:
    """Return everything below path, one file after another."""
    out: list[str] = []
    for entry in client.ls(path):
        name = f"{path}/{entry.name}"
        if entry.qid.type & QTDIR:
            out.append(f"==> {name}/\n")
            out.append(dump(client, name))
            continue
        if entry.name == "ctl":
            continue
        data = client.read(name)
        assert len(data) == entry.length, f"{name}: {len(data)}, not {entry.length}"
        out.append(f"==> {name} {entry.length}\n")
        if data:
            text = data.decode("utf-8", "backslashreplace")
            text = text.replace("\r", "\\r").replace("\0", "\\0")
            out.append("".join(f"  {line}\n" for line in text.split("\n")))
    return "".join(out)


def render(box: Path) -> str:
    """Return what the golden file of a mailbox should hold."""
    with (
        tempfile.TemporaryDirectory(prefix="g") as scratch,
        serving(Path(scratch), mbox=box) as tree,
        tree.client() as client,
    ):
        return dump(client, "/mbox")


def set_zone() -> None:
    """Stand in a zone that is not UTC: what is local shows."""
    os.environ["TZ"] = "CST6"
    time.tzset()


if __name__ == "__main__":
    set_zone()
    GOLDEN.mkdir(exist_ok=True)
    for box in boxes():
        (GOLDEN / box.name).write_text(render(box))
