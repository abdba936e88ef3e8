"""A queue with hosts that are silent or slow, measured outside the process."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from mailfs.queue.spool import enqueue, jobs
from tests.net.scripted import Gone, Scripted, Talk
from tests.queue.world import DATA, World, remotemail
from tests.wait import until

SILENT = 40  # hosts
PATIENCE = 60.0  # seconds
ENDS = 15.0  # seconds to end in; it takes under five, and a slow machine longer


@contextmanager
def silent() -> Iterator[int]:
    """Listen and say nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def taking(talk: Talk) -> None:
    """Take a message."""
    talk.send("220 mx")
    while True:
        line = talk.line()
        if line.upper() == "DATA":
            talk.send("354 go")
            while talk.line() != ".":
                pass
        elif line.upper() == "QUIT":
            return
        talk.send("250 ok")


def unanswering(talk: Talk) -> None:
    """Take a message and never say so."""
    talk.send("220 mx")
    while talk.line().upper() != "DATA":
        talk.send("250 ok")
    talk.send("354 go")
    while talk.line() != ".":
        pass
    with suppress(Gone):
        talk.line()


def swallowing(talk: Talk) -> None:
    """Take messages without keeping them."""
    talk.send("220 mx")
    while True:
        line = talk.line()
        if line.upper() == "QUIT":
            return
        if line.upper() == "DATA":
            talk.send("354 go")
            last = b""
            while not last.endswith(b"\r\n.\r\n"):
                last = last[-8:] + talk._file.read1(1 << 20)
        talk.send("250 ok")


@contextmanager
def runq(world: World, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
    lib = world.root / "mail/lib"
    lib.mkdir(parents=True, exist_ok=True)
    if not (lib / "remotemail").exists():
        (lib / "remotemail").write_text(remotemail())
    argv = [sys.executable, "-m", "mailfs", "runq", "--root", str(world.root), *words]
    with subprocess.Popen(argv) as process:
        try:
            yield process
        finally:
            process.kill()


def put(world: World, port: int) -> Path:
    words = ("mail", "/dev/null", f"net!127.0.0.1!{port}", "a@b.com")
    return enqueue(world.queue, "glenda", DATA, words).control


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_others_are_served_and_it_ends(world: World, sign: int) -> None:
    with ExitStack() as stack:
        for _ in range(SILENT):
            put(world, stack.enter_context(silent()))
        server = stack.enter_context(Scripted(taking))
        good = put(world, server.port)
        process = stack.enter_context(runq(world, "--watch", "-n", "10"))
        until(lambda: not good.exists(), PATIENCE)
        process.send_signal(sign)
        status = process.wait(ENDS)
    assert status == (0 if sign == signal.SIGTERM else 130)
    kept = jobs(world.queue / "glenda")
    assert len(kept) == SILENT
    assert not any(job.path("E").exists() for job in kept)  # no attempt to wait after


def test_it_ends_while_a_server_does_not_answer(world: World) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(Scripted(unanswering))
        job = put(world, server.port)
        process = stack.enter_context(runq(world, "--watch"))
        until(lambda: "." in server.heard, PATIENCE)
        process.terminate()
        assert process.wait(ENDS) == 0
        assert job.exists()  # whether the server has it nobody knows


def test_large_messages_are_not_in_memory(world: World) -> None:
    size = 32 << 20
    text = DATA + b"line of a large message, and nothing else\n" * (size // 42)
    with ExitStack() as stack:
        server = stack.enter_context(Scripted(swallowing))
        words = ("mail", "/dev/null", f"net!127.0.0.1!{server.port}", "a@b.com")
        for _ in range(3):
            enqueue(world.queue, "glenda", text, words)
        process = stack.enter_context(runq(world, "--watch"))
        until(lambda: not jobs(world.queue / "glenda"), PATIENCE)
        status = Path(f"/proc/{process.pid}/status").read_text()
    (most,) = re.findall(r"VmHWM:\s*(\d+) kB", status)
    assert int(most) < (64 << 10) + (size >> 10)
