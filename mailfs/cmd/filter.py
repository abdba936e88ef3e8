"""What the key tools share: input from a file or a pipe, output as octets."""

import sys
from typing import TYPE_CHECKING

from mailfs.cmd.args import Parser
from mailfs.errors import MailfsError
from mailfs.secret import no_core

if TYPE_CHECKING:
    from mailfs.tls.rsa import RsaKey

MAX_INPUT = 1 << 20  # octets; keys and certificates have thousands


def add_file(parser: Parser) -> None:
    """Add the optional file argument."""
    parser.add_argument("file", nargs="?", help="default: standard input")


def read(name: str | None) -> bytes:
    """Return what is in a file, or on standard input if none is named."""
    no_core()  # it may be a secret key
    if name is None:
        data = sys.stdin.buffer.read(MAX_INPUT + 1)
    else:
        with open(name, "rb") as f:
            data = f.read(MAX_INPUT + 1)
    if len(data) > MAX_INPUT:
        raise MailfsError(f"{name or 'standard input'}: over {MAX_INPUT} octets")
    return data


def text(name: str | None) -> str:
    """Return a file's text, or standard input's."""
    try:
        return read(name).decode()
    except UnicodeDecodeError as e:
        raise MailfsError(f"{name or 'standard input'}: not text") from e


def key(name: str | None) -> "RsaKey":
    """Read an RSA key line, the first of the file; tell on stderr what was mended."""
    from mailfs.tls import rsa

    lines = text(name).splitlines()
    found = rsa.read(lines[0] if lines else "")
    for complaint in found.complaints:
        print(f"warning: {complaint}", file=sys.stderr)
    return found


def write(data: bytes) -> None:
    """Write octets on standard output."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
