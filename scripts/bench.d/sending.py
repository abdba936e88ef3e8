"""Rows for sending: the rate into the queue and out of it, Postfix's beside ours.

Postfix gets its messages from smtp-source and gives them to smtp-sink, both its own;
ours come from as many threads, and go to the same smtp-sink.  Both queues lie on the
same disk, and every message is on it before it is said to be queued.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from rows import Row
from world import World, median, timed

MESSAGES = 5_000  # for a run
PROGRAMS = 100  # of them, where each takes a program
OCTETS = 2_000  # of a message
CONNECTIONS = 10  # by which Postfix is given them, and threads of ours
START_SECONDS = 30
DRAIN_SECONDS = 600


def sending(world: World) -> Iterator[Row]:
    """Queue messages, and drain them into a server that takes everything."""
    if shutil.which("postfix") is None or os.getuid() != 0:
        print("sending: needs Postfix, and root to start it")
        return
    from tests.smtp.postfix import free_port

    port = free_port()
    count = min(MESSAGES, world.messages)
    with _sink(port):
        floor_in, floor_out = _medians(world, lambda: _postfix(port, count))
        ours_in, ours_out = _medians(world, lambda: _ours(world, port, count))
    yield _rates(f"queueing, {CONNECTIONS} at once", floor_in, ours_in)
    yield _rates("draining to one host", floor_out, ours_out)
    floor = median(world.runs, lambda: PROGRAMS / _sendmails())
    ours = median(world.runs, lambda: PROGRAMS / timed(lambda: _qers(world, port)))
    yield _rates("queueing, a program each; Postfix: sendmail", floor, ours)


def _medians(
    world: World, measure: Callable[[], tuple[float, float]]
) -> tuple[float, float]:
    pairs = [measure() for _ in range(world.runs)]
    first, second = zip(*pairs, strict=True)
    return sorted(first)[len(first) // 2], sorted(second)[len(second) // 2]


def _rates(work: str, floor: float, ours: float) -> Row:
    ratio = f"{100 * ours / floor:.0f} %"
    return Row(work, f"{floor:,.0f} /s", f"{ours:,.0f} /s", ratio, "Postfix's")


@contextmanager
def _sink(port: int) -> Iterator[None]:
    command = ["smtp-sink", "-u", "nobody", f"127.0.0.1:{port}", "1000"]
    with subprocess.Popen(command) as sink:
        end = time.monotonic() + START_SECONDS
        while True:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            if time.monotonic() > end:
                sys.exit("smtp-sink did not start")
            time.sleep(0.01)
        try:
            yield
        finally:
            sink.kill()


def _text() -> bytes:
    line = b"It was a bright cold day in April, and the clocks were striking.\n"
    return b"From: g@h.org\nSubject: bench\n\n" + line * (OCTETS // len(line))


def _postfix(port: int, count: int) -> tuple[float, float]:
    """Return how many a second Postfix takes, and then gives away."""
    from tests.smtp.postfix import Postfix

    settings = {
        "relayhost": f"[127.0.0.1]:{port}",
        "smtpd_relay_restrictions": "permit_mynetworks, reject",
        "virtual_mailbox_domains": "",
        "defer_transports": "smtp",
    }
    with Postfix(more=settings) as server:
        conf = ["-c", str(server.config)]
        words = ["-s", CONNECTIONS, "-l", OCTETS, "-m", count, "-t", "a@b.com"]
        source = ["smtp-source", *words, f"127.0.0.1:{server.port}"]
        queued = timed(lambda: _do(*source))
        _until(lambda: _held(server.root) >= count)
        _do("postconf", *conf, "-e", "defer_transports =")
        _do("postfix", *conf, "reload")

        def drain() -> None:
            _do("postqueue", *conf, "-f")
            _until(lambda: _held(server.root, "incoming", "active", "deferred") == 0)

        return count / queued, count / timed(drain)


def _held(root: Path, *queues: str) -> int:
    """Return how many messages are in some of Postfix's queues, deferred if none."""
    names = queues or ("deferred",)
    return sum(len(files) for q in names for _, _, files in os.walk(root / "queue" / q))


def _until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + DRAIN_SECONDS
    while not done():
        if time.monotonic() > end:
            sys.exit("Postfix does not come to an end")
        time.sleep(0.02)


def _do(*words: object) -> None:
    subprocess.run(list(map(str, words)), check=True, capture_output=True)


def _ours(world: World, port: int, count: int) -> tuple[float, float]:
    """Return how many a second we take, and then give away."""
    from mailfs.ndb import shipped
    from mailfs.queue.spool import enqueue, jobs

    root = world.home / "sending"
    lib, queue = root / "mail/lib", root / "mail/queue"
    lib.mkdir(parents=True)
    (lib / "remotemail").write_bytes(shipped.path("remotemail").read_bytes())
    words = ("mail", "g@h.org", f"net!127.0.0.1!{port}", "a@b.com")
    text = b"From g@h.org Sun Nov 22 12:45:08 2026 remote from bench\n" + _text()

    def fill() -> None:
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            for done in [
                pool.submit(enqueue, queue, "bench", text, words) for _ in range(count)
            ]:
                done.result()

    queued = timed(fill)
    env = world.env | {"MAILFS_ROOT": str(root)}
    command = world.command("runq", "-a")
    drained = timed(lambda: subprocess.run(command, env=env, check=True))
    left = len(jobs(queue / "bench"))
    shutil.rmtree(root)
    if left:
        sys.exit(f"{left} messages were not delivered")
    return count / queued, count / drained


def _sendmails() -> float:
    """Return the seconds that Postfix's sendmail takes to queue, a message each.

    Only the directory it drops them in is used, by a Postfix that runs.
    """
    from tests.smtp.postfix import Postfix

    settings = {"defer_transports": "smtp", "authorized_submit_users": "static:all"}
    with Postfix(more=settings) as server:
        command = ["sendmail", "-C", str(server.config), "-f", "g@h.org", "a@b.com"]

        def drop() -> None:
            for _ in range(PROGRAMS):
                subprocess.run(command, input=_text(), check=True)

        return timed(drop)


def _qers(world: World, port: int) -> None:
    """Queue by our qer, a message each."""
    queue = world.home / "qers"
    words = [queue, "mail", "g@h.org", f"net!127.0.0.1!{port}", "a@b.com"]
    command = world.command("qer", *words)
    for _ in range(PROGRAMS):
        subprocess.run(command, input=_text(), env=world.env, check=True)
    shutil.rmtree(queue)


ROWS: dict[str, Callable[[World], Iterator[Row]]] = {"sending": sending}
