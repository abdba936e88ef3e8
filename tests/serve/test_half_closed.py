"""A client that has said all is still answered."""

import subprocess
import sys
from pathlib import Path

import pytest

SAID = [
    ("pop3", b"STAT\r\nQUIT\r\n", b"+OK 0 0\r\n+OK\r\n"),
    ("pop3", b"STAT\r\n", b"+OK 0 0\r\n"),
    ("imap4d", b"a NOOP\r\nb LOGOUT\r\n", b"b OK LOGOUT completed\r\n"),
    ("imap4d", b"a NOOP\r\n", b"a OK NOOP completed\r\n"),
]


@pytest.mark.parametrize(("verb", "said", "heard"), SAID)
def test_what_was_piped_in_is_answered(
    verb: str, said: bytes, heard: bytes, tmp_path: Path
) -> None:
    (tmp_path / "box").mkdir()
    command = [
        sys.executable,
        "-P",
        "-m",
        "mailfs",
        verb,
        "-a",
        "-f",
        str(tmp_path / "box"),
    ]
    done = subprocess.run(
        [*command, "--root", str(tmp_path / "root")],
        input=said,
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.endswith(heard)
