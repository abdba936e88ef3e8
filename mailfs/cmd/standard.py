"""Standard input, output and error as they come: closed, full, or their reader gone.

A descriptor that is closed is taken by /dev/null before anything is opened, for a file
that got its number would be written over.  What a verb has done stays done if nobody
can be told of it: lenient() is for verbs whose work is not what they print.
"""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO, cast

from mailfs.errors import MailfsError

CLOSED = "standard input is closed"

_closed: set[int] = set()  # of 0, 1, 2, when the program began


class _ClosedInput(io.RawIOBase):
    """What is read in the place of a standard input that is closed."""

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        raise MailfsError(CLOSED)

    def readinto(self, buffer: object, /) -> int:
        raise MailfsError(CLOSED)


class LenientOutput(io.TextIOBase):
    """A text stream whose failures are remembered and not raised."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.error: OSError | None = None

    @property
    def buffer(self) -> object:
        """The stream of octets below; its failures are raised."""
        return self._stream.buffer

    @property
    def encoding(self) -> str:  # type: ignore[override]  # it is read only here
        """The encoding of the stream."""
        return self._stream.encoding

    def reconfigure(self, **how: object) -> None:
        """Configure the stream as TextIOWrapper does."""
        cast("io.TextIOWrapper", self._stream).reconfigure(**how)  # type: ignore[arg-type]

    def writable(self) -> bool:
        """Whether it takes text: always."""
        return True

    def isatty(self) -> bool:
        """Whether a person reads along."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._stream.fileno()

    def write(self, text: str, /) -> int:
        """Write, if that can be."""
        try:
            return self._stream.write(text)
        except OSError as e:
            self._fail(e)
            return len(text)

    def flush(self) -> None:
        """Flush, if that can be."""
        try:
            self._stream.flush()
        except OSError as e:
            self._fail(e)

    def _fail(self, error: OSError) -> None:
        self.error = self.error or error
        forget(self._stream)


def forget(stream: TextIO) -> None:
    """Have what a stream still holds go nowhere, so that its end raises nothing."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(null, stream.fileno())
        finally:
            os.close(null)


@contextmanager
def streams() -> Iterator[None]:
    """Have usable descriptors 0 to 2 and streams for them in the block.

    Standard error never raises.  What standard output cannot be rid of at the end is
    dropped, so that the program's end raises nothing either.
    """
    before = sys.stdin, sys.stdout, sys.stderr
    _mend()
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                forget(stream)
        sys.stdin, sys.stdout, sys.stderr = before


def _mend() -> None:
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError as e:
            if e.errno != errno.EBADF:
                continue
            _closed.add(fd)
            # The wrong way round: writing to a closed output shall fail as it does.
            os.open(os.devnull, os.O_WRONLY if fd == 0 else os.O_RDONLY)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(_ClosedInput()))
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  # for good
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    sys.stderr = LenientOutput(sys.stderr)


def closed(fd: int) -> bool:
    """Whether standard input (0), output (1) or error (2) was closed."""
    return fd in _closed


def lenient() -> LenientOutput:
    """Let standard output fail without harm from now on; return it."""
    if not isinstance(sys.stdout, LenientOutput):
        sys.stdout = LenientOutput(sys.stdout)
    return sys.stdout


def check() -> None:
    """Raise the first OSError that writing to a lenient standard output ended in."""
    sys.stdout.flush()
    if isinstance(sys.stdout, LenientOutput) and sys.stdout.error is not None:
        raise sys.stdout.error
