"""The verbs of load.c in Python, for where there is no C compiler.

Its own pace then bounds what is measured, and cat reads one file at a time.
"""

import os
import socket
import sys
import time

from mailfs.p9.client import Client
from mailfs.where import DialString

PIECE = 1 << 16  # octets drained at once


def _numbers(client: Client, directory: str) -> list[str]:
    return [e.name for e in client.entries(directory) if e.name[0].isdecimal()]


def ping(path: str, name: str, count: str, seconds: str) -> tuple[int, int]:
    """Read the start of a file again and again."""
    done = total = 0
    end = time.monotonic() + float(seconds)
    with Client(DialString("unix", path)) as client, client.open(name) as file:
        while time.monotonic() < end:
            file.seek(0)
            total += len(file.read(int(count)))
            done += 1
    return done, total


def bare(path: str, request: str, reply: str, seconds: str) -> tuple[int, int]:
    """Send request octets and receive reply octets, again and again."""
    done = 0
    end = time.monotonic() + float(seconds)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        while time.monotonic() < end:
            sock.sendall(bytes(int(request)))
            sock.recv(int(reply), socket.MSG_WAITALL)
            done += 1
    return done, done * int(reply)


def numbers(path: str, directory: str) -> tuple[int, int]:
    """Count the numbers in a directory."""
    with Client(DialString("unix", path)) as client:
        return len(_numbers(client, directory)), 0


def cat(path: str, directory: str, file: str, _depth: str) -> tuple[int, int]:
    """Read one file of each numbered directory."""
    with Client(DialString("unix", path)) as client:
        names = _numbers(client, directory)
        sizes = [len(client.read(f"{directory}/{n}/{file}")) for n in names]
    return len(names), sum(sizes)


def drain() -> tuple[int, int]:
    """Read standard input to its end."""
    total = 0
    while data := os.read(0, PIECE):
        total += len(data)
    return 1, total


VERBS = {"ping": ping, "bare": bare, "list": numbers, "cat": cat, "drain": drain}

if __name__ == "__main__":
    since = time.monotonic()
    count, total = VERBS[sys.argv[1]](*sys.argv[2:])  # type: ignore[operator]
    print(count, total, f"{time.monotonic() - since:.6f}")
