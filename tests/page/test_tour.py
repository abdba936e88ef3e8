"""README's tour pasted into a shell at once: nobody waits for a server to be there."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.readme import COMMAND_SECONDS, FENCE, examples, programs
from tests.setup.world import Place

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.slow
def test_pasted_at_once(tmp_path: Path) -> None:
    fence = next(m for m in FENCE.finditer(README.read_text()) if m[1] == "console")
    lines = list(examples(fence[0] + "\n"))
    assert any("mailfs fs" in line.code for line in lines)
    home = tmp_path / "home"
    home.mkdir()
    with Place(home) as place:
        path = f"{programs(tmp_path / 'bin')}:{os.environ['PATH']}"
        with open(tmp_path / "said", "w") as said:  # the server holds it, too
            subprocess.run(
                ["sh"],
                input="".join(line.code for line in lines),
                stdout=said,
                stderr=said,
                text=True,
                cwd=README.parent,
                env=place.env | {"PATH": path},
                timeout=COMMAND_SECONDS,
                check=False,
                start_new_session=True,
            )
    # Some output has no end of line, so blanks do not count.
    expected = "".join(line.expect for line in lines)
    shown = (tmp_path / "said").read_text()
    assert "".join(shown.split()) == "".join(expected.split()), shown
