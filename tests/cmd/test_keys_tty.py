"""Questions at a terminal: a pseudo-terminal of the test's own."""

import io
import os
import select
import subprocess
import sys
import termios

import pytest

from mailfs.cmd import tty
from mailfs.errors import MailfsError

START = (
    "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    "from mailfs.cmd import tty\n"
    "from mailfs.errors import MailfsError\n"
)


def talk(code: str, *lines: tuple[str, str]) -> str:
    """Run code at a terminal, typing each line after its prompt; all that is shown."""
    ours, theirs = os.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", START + code],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = ""
    left = list(lines)
    try:
        while select.select([ours], [], [], 20)[0]:
            try:
                more = os.read(ours, 4096)
            except OSError:  # EIO: nobody has the other end
                break
            if not more:
                break
            shown += more.decode()
            if left and shown.endswith(left[0][0]):
                os.write(ours, left.pop(0)[1].encode())
    finally:
        os.close(ours)
        child.kill()
        child.wait()
    return shown


def test_password_is_not_echoed() -> None:
    code = "s = tty.password('secret: ')\nprint(s, s.reveal() == b'hush')"
    shown = talk(code, ("secret: ", "hush\n"))
    assert "hush" not in shown
    assert shown.endswith("? True\r\n")


def test_end_of_file_at_a_password() -> None:
    code = "try: tty.password('p: ')\nexcept MailfsError as e: print(e)"
    assert "user terminated password input" in talk(code, ("p: ", "\x04"))


def test_ask() -> None:
    code = "print(repr(tty.ask('a: ')), repr(tty.ask('b: ', 'x')))"
    shown = talk(code, ("a: ", "one two\n"), ("b: ", "\n"))
    assert shown.endswith("'one two' 'x'\r\n")
    code = "try: tty.ask('a: ')\nexcept MailfsError as e: print(e)"
    assert "user terminated input" in talk(code, ("a: ", "\x04"))


@pytest.mark.parametrize(
    ("typed", "answer"),
    [("y\n", True), ("YES\n", True), ("y", True), ("n\n", False), ("", False)],
)
def test_yes(monkeypatch: pytest.MonkeyPatch, typed: str, answer: bool) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    assert tty.yes("really?") is answer


def test_piped(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO(b"one\r\ntwo\n" + b"x" * 2000)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(raw))
    assert tty.piped().reveal() == b"one"
    assert tty.piped().reveal() == b"two"
    with pytest.raises(MailfsError, match="password over 1024 octets"):
        tty.piped()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    with pytest.raises(MailfsError, match="no PIN on standard input"):
        tty.piped("PIN")


def test_the_terminal_is_as_it_was() -> None:
    code = f"tty.password('p: ')\nprint(bool(termios.tcgetattr(0)[3] & {termios.ECHO}))"
    assert talk(code, ("p: ", "hush\n")).endswith("True\r\n")
