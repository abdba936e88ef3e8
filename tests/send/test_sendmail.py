"""What programs ask sendmail for besides sending."""

from pathlib import Path

import pytest

from mailfs.cmd.main import main
from mailfs.queue.spool import enqueue


@pytest.fixture
def root(tmp_path: Path) -> Path:
    words = ("mail", "glenda", "net!b.com", "a@b.com")
    enqueue(tmp_path / "mail/queue", "glenda", b"Subject: x\n\nhello\n", words)
    return tmp_path


def test_mailq(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["send", "--root", str(root), "-bp"]) == 0
    out = capsys.readouterr().out
    assert "glenda/" in out
    assert out.endswith("1 in the queue\n")


@pytest.mark.parametrize("words", [["-bi"], ["-q"], ["-qff"], ["-qIabc"]])
def test_answered(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "mail/lib").mkdir(parents=True)
    (tmp_path / "mail/lib/remotemail").write_text("#!/bin/sh\nexit 0\n")
    assert main(["send", *words, f"--root={tmp_path}"]) == 0


@pytest.mark.parametrize("word", ["-bs", "-bd", "-bD", "-bh", "-ba", "-q30m", "-qp"])
def test_refused_in_one_line(
    root: Path, capsys: pytest.CaptureFixture[str], word: str
) -> None:
    assert main(["send", word, "--root", str(root)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"mailfs send: {word}: no ")
    assert said.err.count("\n") == 1


def test_modes_that_send(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "mail/lib").mkdir(parents=True)
    (root / "mail/lib/rewrite").write_text("(.*) >> /mail/box/\\1/mbox\n")
    (root / "mail/box/glenda").mkdir(parents=True)
    main(["send", "-bv", "-G", "--root", str(root), "glenda"])
    assert capsys.readouterr().out == "glenda\n"
    assert not (root / "mail/box/glenda/mbox").exists()
    with pytest.raises(SystemExit):
        main(["send", "-bm", "-G", "--help"])
