"""What a server's mailboxes do while they are opened and first listed, for a person."""

import asyncio
from collections.abc import Iterable, Sequence

from mailfs.cmd.renewed import RenewedLine
from mailfs.mailbox.mailbox import Mailbox

STEP = 0.5  # seconds between two showings
SHOWN = 3  # mailboxes that are named; of the others their number


class Opening:
    """Shows which mailboxes are not there yet and how far their indexes are."""

    def __init__(self, verb: str, boxes: Iterable[Mailbox], names: Sequence[str]):
        """Begin with the names of those that are opened; boxes are those that are."""
        self.line = RenewedLine()
        self._verb = verb
        self._boxes = boxes
        self._pending = list(names)
        self._steps = 0

    def opened(self, name: str) -> None:
        """Count one as opened, or as failed."""
        self._pending.remove(name)

    def text(self) -> str:
        """Describe the work left; empty if there is none."""
        rows = [f"opening {name}" for name in self._pending]
        for box in self._boxes:
            done = dict(box.status()).get("progress")
            if done is not None and box.name not in self._pending:
                rows.append(f"indexing {box.name}: {_counted(done)}")
        if not rows:
            return ""
        more = len(rows) - SHOWN
        listed = ", ".join(rows[:SHOWN]) + (f", and {more} more" if more > 0 else "")
        return f"mailfs {self._verb}: {listed}; {int(self._steps * STEP)} s"

    async def show(self) -> None:
        """Show the work until there is none left."""
        with self.line.amid_logs():
            while True:
                await asyncio.sleep(STEP)
                self._steps += 1
                text = self.text()
                if not text:
                    return
                self.line.show(text)


def _counted(progress: str) -> str:
    """Read ``PHASE DONE TOTAL`` of a mailbox's status for a person."""
    words = progress.split()
    if len(words) != 3 or words[2] == "0":
        return "listing"
    return f"{words[1]} of {words[2]} messages"
