"""What is printed to people holds nothing that a terminal obeys."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.cmd.args import why
from mailfs.errors import MailfsError
from mailfs.printable import shown

EVIL = [
    ("\x1b]0;title\x07", "?]0;title?"),
    ("a\u202eb", "a?b"),
    ("a\u2028b\x85c", "a?b?c"),
    ("a\rb\tc", "a?b?c"),
    ("\udc80x", "?x"),
    ("Grüße, 世界", "Grüße, 世界"),
]


@pytest.mark.parametrize(("text", "fit"), EVIL)
def test_shown(text: str, fit: str) -> None:
    assert shown(text) == fit
    assert shown(text + "\n", keep="\n") == fit + "\n"
    assert why(MailfsError(f"x{text}x")).isprintable()
    assert why(FileNotFoundError(2, "gone", f"x{text}x")).isprintable()


@given(st.text())
def test_any_text(text: str) -> None:
    fit = shown(text)
    assert fit.isprintable()
    assert len(fit) == len(text)


def test_a_verb_that_nobody_knows(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "mailfs", "\x1b[2Jx"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "\x1b" in done.stderr) == (1, False)


def test_a_queue_of_strangers(tmp_path: Path) -> None:
    folder = tmp_path / "queue" / "glenda"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "D.1").write_bytes(b"x")
    (folder / "C.1").write_bytes(b"mail a\x1b[2Jb net!c.com d\xe2\x80\xaee\n")
    (folder / "E.1").write_bytes(b"\x1b[31mred\n")
    done = subprocess.run(
        [
            sys.executable,
            "-P",
            "-m",
            "mailfs",
            "queue",
            "--root",
            str(tmp_path),
            "list",
            "--queue",
            str(tmp_path / "queue"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 in the queue" in done.stdout + done.stderr, done.stderr
    assert shown(done.stdout, keep="\n") == done.stdout
