"""What the key tools share: input from a file or a pipe, output as octets."""

import sys
from typing import TYPE_CHECKING

from mailfs import where
from mailfs.attr import lines
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
    """Read a file, or standard input if none is named.

    A Plan 9 path, such as /sys/lib/tls/key.pem, that does not exist as it stands is
    looked for below the root.
    """
    no_core()  # it may be a secret key
    if name is None:
        data = sys.stdin.buffer.read(MAX_INPUT + 1)
    else:
        with open(where.plan9(name), "rb") as f:
            data = f.read(MAX_INPUT + 1)
    if len(data) > MAX_INPUT:
        raise MailfsError(f"{name or 'standard input'}: over {MAX_INPUT} octets")
    return data


def key(name: str | None) -> "RsaKey":
    """Read an RSA key: a key line, the first of a file, or a key in PEM."""
    from mailfs.tls import rsa

    data = read(name)
    return rsa.RsaKey(rsa.load(data)) if rsa.is_pem(data) else key_line(data, name)


def key_line(data: bytes, name: str | None) -> "RsaKey":
    """Read the key of a file's first line; corrections are told on standard error.

    name is the file's, None for standard input.
    """
    from mailfs.tls import rsa

    try:
        text = data.decode()
    except UnicodeDecodeError as e:
        raise MailfsError(f"{name or 'standard input'}: not text") from e
    found = rsa.read(lines(text)[0] if text else "")
    for complaint in found.complaints:
        print(f"warning: {complaint}", file=sys.stderr)
    return found


def write(data: bytes) -> None:
    """Write octets on standard output."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
