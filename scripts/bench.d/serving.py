"""Rows of the IMAP server: the same commands to Dovecot and to us, on the same Maildir.

A client spoken by hand reads the answers and throws them away.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from imap import FEW, PASSWORD, answer
from rows import Row, times
from world import World, median

APPENDS = 200
COMMANDS = (
    ("FETCH flags, size, date", "FETCH 1:* (UID FLAGS RFC822.SIZE INTERNALDATE)", "3x"),
    ("FETCH flags", "FETCH 1:* (UID FLAGS)", "3x"),
    ("FETCH envelope, structure", "FETCH 1:* (ENVELOPE BODYSTRUCTURE)", "4x"),
    ("FETCH every body", "FETCH 1:* (BODY.PEEK[])", "3x"),
    ("SEARCH UNSEEN", "SEARCH UNSEEN", "3x"),
    ("SEARCH BODY", "SEARCH BODY nowhere", "2x"),
)


def serving(world: World) -> Iterator[Row]:
    """Ask both the same."""
    from tests.net.dovecot import Dovecot

    count = min(FEW, world.messages)
    maildir = world.maildir(count)
    copy = world.home / "served"
    shutil.copytree(maildir, copy)
    with Dovecot({"few": (PASSWORD, "maildir:~/Maildir")}, tls=False) as dovecot:
        dovecot.fill("few", maildir)
        port = dovecot.ports["imap"]
        with _dovecot(port) as theirs, _ours(world, copy) as ours:
            for what, command, aim in COMMANDS:
                for sock in (theirs, ours):  # what is worked out once is worked out
                    _asked(sock, command)
                floor = median(world.runs, partial(_asked, theirs, command))
                mine = median(world.runs, partial(_asked, ours, command))
                yield times(f"{what} of {count:,}; Dovecot", floor, mine, aim)
            floor = median(world.runs, lambda: _appended(theirs))
            mine = median(world.runs, lambda: _appended(ours))
            yield times(f"{APPENDS} APPENDs; Dovecot", floor, mine, "3x")


@contextmanager
def _dovecot(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(f"a LOGIN few {PASSWORD}\r\nb SELECT INBOX\r\n".encode())
        answer(sock, b"b ")
        yield sock


@contextmanager
def _ours(world: World, path: Path) -> Iterator[socket.socket]:
    command = world.command("imap4d", "-a", "-f", path)
    near, far = socket.socketpair()
    env = os.environ | world.env
    with subprocess.Popen(command, stdin=far, stdout=far, env=env) as process:
        far.close()
        near.sendall(b"b SELECT INBOX\r\n")
        answer(near, b"b ")
        yield near
        near.close()
        process.wait()


def _asked(sock: socket.socket, command: str) -> float:
    since = time.monotonic()
    sock.sendall(f"c {command}\r\n".encode())
    answer(sock, b"c ")
    return time.monotonic() - since


def _appended(sock: socket.socket) -> float:
    text = b"Subject: x\r\n\r\n" + b"x" * 76 + b"\r\n" + b"y" * 76 + b"\r\n"
    since = time.monotonic()
    for _ in range(APPENDS):
        sock.sendall(b"c APPEND INBOX {%d+}\r\n" % len(text) + text + b"\r\n")
        answer(sock, b"c ")
    return time.monotonic() - since


ROWS = {"serving": serving}
