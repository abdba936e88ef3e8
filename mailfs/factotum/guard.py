"""What keeps a process's memory to itself: no core, no debugger, no swap."""

import ctypes
import hmac
import os
import resource
import socket
import struct
import sys
from pathlib import Path

PR_SET_DUMPABLE = 4  # prctl(2)
CAP_IPC_LOCK = 14  # capabilities(7)
MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = 1, 2, 4  # mlockall(2)
# Octets of locked memory an ordinary process must be allowed before it dares lock
# what it will ask for later: past the limit, every allocation would fail.
ENOUGH = 1 << 30


def guard() -> list[str]:
    """Guard this process as far as the system allows; return what it refused."""
    refused = []
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not sys.platform.startswith("linux"):
        return ["no protection from debuggers and swap on this system"]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        refused.append(f"debuggers not kept out: {os.strerror(ctypes.get_errno())}")
    if not _may_lock():
        refused.append("memory not locked: raise the memlock limit (ulimit -l)")
    elif libc.mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0:
        refused.append(f"memory not locked: {os.strerror(ctypes.get_errno())}")
    return refused


def _may_lock() -> bool:
    """Whether locking now cannot make a later allocation fail."""
    if effective(Path("/proc/self/status").read_text()) >> CAP_IPC_LOCK & 1:
        return True  # no limit holds
    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (hard, hard))
    return hard == resource.RLIM_INFINITY or hard >= ENOUGH


def effective(status: str) -> int:
    """Return the effective capabilities a status file tells; proc(5)."""
    lines = (line.split() for line in status.splitlines())
    return next((int(v[1], 16) for v in lines if v and v[0] == "CapEff:"), 0)


def peer_uid(sock: socket.socket) -> int | None:
    """Return the uid at the other end of a Unix socket; None if it cannot be told."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    uid: int = struct.unpack("iII", raw)[1]
    return uid


def machine_secret(path: Path = Path("/etc/machine-id")) -> bytes:
    """Derive a secret that other machines cannot know; the same at each start.

    machine-id(5) asks for a keyed hash of it.  Random where there is none.
    """
    try:
        known = path.read_bytes().strip()
    except OSError:
        known = b""
    return hmac.digest(known or os.urandom(32), b"mailfs factotum", "sha256")
