"""Every file of every message of the sample mailboxes, octet for octet.

Regenerate with ``python -m tests.fs.golden`` and read the difference.
"""

import time
from pathlib import Path

import pytest

from .golden import GOLDEN, boxes, render


@pytest.mark.parametrize("box", boxes(), ids=lambda box: box.name)
def test_golden(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "CST6")
    time.tzset()
    try:
        assert render(box) == (GOLDEN / box.name).read_text()
    finally:
        monkeypatch.undo()
        time.tzset()
