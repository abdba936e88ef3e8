"""Every file of every message and part, against texts that were read by people."""

import time
from pathlib import Path

import pytest

from ..golden import boxes
from .golden import GOLDEN, render


@pytest.mark.parametrize("box", boxes(), ids=lambda box: box.name)
def test_golden(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "CST6")
    time.tzset()
    try:
        assert render(box) == (GOLDEN / box.name).read_text()
    finally:
        monkeypatch.undo()
        time.tzset()
