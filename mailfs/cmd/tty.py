"""Questions to the person at the terminal."""

import getpass
import sys
import warnings

from mailfs.errors import MailfsError
from mailfs.secret import Secret, no_core

MAX_PASSWORD = 1024  # octets of a line from standard input


def yes(question: str) -> bool:
    """Ask on standard output, read standard input; the end of input is a no."""
    print(f"{question} [y/N] ", end="", flush=True)
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        print()
    return answer.strip().lower() in ("y", "yes")


def say(text: str) -> None:
    """Write a line on the terminal, where the questions are."""
    try:
        with open("/dev/tty", "w") as file:
            print(text, file=file)
    except OSError as e:
        raise MailfsError("no terminal to ask on") from e


def ask(prompt: str, default: str = "") -> str:
    """Ask for a line on the terminal; an empty answer is the default."""
    try:
        with open("/dev/tty", "r+b", buffering=0) as tty:
            tty.write(prompt.encode())
            raw = b""
            while not raw.endswith(b"\n"):
                more = tty.read(4096)
                if not more:
                    raise MailfsError("user terminated input")
                raw += more
    except OSError as e:
        raise MailfsError("no terminal to ask on") from e
    return raw.decode("utf-8", "replace").strip() or default


def password(prompt: str) -> Secret:
    """Ask for a password on the terminal, without echo.

    Raises MailfsError if there is no terminal, or if its echo cannot be stopped.
    """
    no_core()
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return Secret(getpass.getpass(prompt))
        except (getpass.GetPassWarning, OSError) as e:
            raise MailfsError("no terminal to ask for a password on") from e
        except EOFError as e:
            raise MailfsError("user terminated password input") from e


def piped(what: str = "password") -> Secret:
    """Read a password, one line, from standard input."""
    no_core()
    raw = sys.stdin.buffer.readline(MAX_PASSWORD + 1)
    if not raw:
        raise MailfsError(f"no {what} on standard input")
    if len(raw) > MAX_PASSWORD:
        raise MailfsError(f"{what} over {MAX_PASSWORD} octets")
    return Secret(raw.removesuffix(b"\n").removesuffix(b"\r"))
