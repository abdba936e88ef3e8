"""What the clients of both dialects ask, replayed; see conversation.py."""

import time
from pathlib import Path

import pytest

from .serving import hold, scripts


@pytest.mark.parametrize("script", scripts(), ids=lambda s: f"{s.parent.name}/{s.stem}")
def test_conversation(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "CST6")
    time.tzset()
    try:
        assert hold(script) == script.read_text()
    finally:
        monkeypatch.undo()
        time.tzset()
