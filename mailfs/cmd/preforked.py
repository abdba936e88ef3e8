"""Calls of ``mailfs smtp`` served by a process that has it loaded; runq starts it."""

import os
import select
import signal
import socket
import threading
from contextlib import suppress

from mailfs.cmd import main, smtp
from mailfs.runq import call


def serve(fd: int) -> None:
    """Take calls on a listening socket until standard input ends."""
    _load()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how children ended
    with socket.socket(fileno=fd) as listener:
        poll = select.poll()
        poll.register(0, select.POLLIN)
        poll.register(listener, select.POLLIN)
        while 0 not in [ready for ready, _ in poll.poll()]:
            conn, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _answer(conn)
            conn.close()


def _load() -> None:
    """Import what a delivery needs."""
    import mailfs.runq.attempt
    import mailfs.site.site
    import mailfs.smtp.make
    import mailfs.tls.vouch  # noqa: F401


def _answer(conn: socket.socket) -> None:
    """Do a call as the verb would, in a process of its own, and end."""
    status = smtp.RETRY
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        told = call.take(conn)
        _become(told)
        threading.Thread(target=_watch, args=(conn,), daemon=True).start()
        status = main.main(["smtp", *told.argv])
        conn.sendall(call.STATUS.pack(status))
    finally:
        os._exit(status)


def _become(told: call.Call) -> None:
    """Take the caller's descriptors, environment and directory."""
    for number, given in enumerate(told.fds[:3]):
        os.dup2(given, number)
        os.close(given)
    os.environ.clear()
    os.environ.update(told.env)
    if len(told.fds) > 3:
        os.environ[told.report] = str(told.fds[3])
    os.chdir(told.cwd)


def _watch(conn: socket.socket) -> None:
    """End with who called: so would that process's delivery."""
    with suppress(OSError):
        if conn.recv(1):
            return
    os._exit(smtp.RETRY)
