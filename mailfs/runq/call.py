"""A call of ``mailfs smtp``, handed to a process that has it loaded; see prefork.py.

On the wire: the length of the rest with the caller's descriptors, then JSON; the answer
is the exit status.  The caller's end is the call's.
"""

import json
import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

SOCKET = "MAILFS_SMTP"  # in a command's environment: the path of the socket
REPORT = "MAILFS_REPORT"  # the same: the descriptor to tell fates on
MAX_CALL = 4 << 20  # octets of arguments and environment; execve(2) takes less
STATUS = struct.Struct("!i")

_LENGTH = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class Call:
    """One call: fds are its 0, 1, 2 and, if there is one, that of the report."""

    argv: list[str]
    env: dict[str, str]
    report: str  # the variable that holds the number of the fourth
    cwd: str
    fds: list[int]


def call(argv: Sequence[str], report: str) -> int | None:
    """Have a call done by the process that our environment names.

    report is the variable that has the number of a fourth descriptor, if any.  None if
    there is no such process: then nothing has been done.  Raises OSError and EOFError
    if the call was begun and its end is not known.
    """
    env = dict(os.environ)
    path = env.pop(SOCKET, "")
    if not path:
        return None
    number = env.get(report, "")
    fds = [0, 1, 2, *([int(number)] if number.isdecimal() else [])]
    text = json.dumps([list(argv), env, report, os.getcwd()]).encode()
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(path)
        except OSError:
            return None
        socket.send_fds(sock, [_LENGTH.pack(len(text))], fds)
        sock.sendall(text)
        answer = sock.recv(STATUS.size, socket.MSG_WAITALL)
    if len(answer) < STATUS.size:
        raise EOFError("smtp ended without a word")
    status: int = STATUS.unpack(answer)[0]
    return status


def take(conn: socket.socket) -> Call:
    """Take a call from a connection.  Raises OSError, EOFError and ValueError."""
    octets, fds, _, _ = socket.recv_fds(conn, _LENGTH.size, 4)
    if len(octets) < _LENGTH.size:
        raise EOFError("no call")
    (length,) = _LENGTH.unpack(octets)
    text = b""
    while len(text) < min(length, MAX_CALL):
        more = conn.recv(length - len(text))
        if not more:
            raise EOFError("half a call")
        text += more
    argv, env, report, cwd = json.loads(text)
    return Call(argv, env, report, cwd, fds)
