"""A command that calls smtp, many times: Python is started once."""

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mailfs.queue import spool
from mailfs.runq.transport import Foreign, Outcome
from mailfs.smtp.limit import DeliveryLimit
from tests.net.scripted import Gone, Scripted, Talk
from tests.queue.world import World
from tests.smtp.world import Box, logs, receiver
from tests.wait import until

HERE = Path(__file__).parents[2]
SCRIPT = """#!/bin/sh
sender=$2 host=$3
shift 3
echo "$MAILFS_SMTP" >>SEEN
exec PYTHON -P -m mailfs smtp -h h.org "$host" "$sender" "$@"   # as mailfs smtp
"""


@pytest.fixture
def foreign(world: World) -> Iterator[Foreign]:
    logs(world.root)
    seen, python = world.root / "seen", HERE / ".venv/bin/python"
    path = world.root / "remotemail"
    text = SCRIPT.replace("SEEN", str(seen)).replace("PYTHON", str(python))
    path.write_text(text)
    path.chmod(0o755)
    env = os.environ | {"PYTHONPATH": str(HERE), "sysname": "gnot.h.org"}
    made = Foreign(replace(world.site, env=env), path)
    yield made
    made.close()


def attempt(
    world: World, foreign: Foreign, port: int, limit: DeliveryLimit | None = None
) -> Outcome:
    job = world.put("a@b.com", "b@b.com", host=f"net!127.0.0.1!{port}")
    claim = spool.claim(job)
    assert claim is not None
    try:
        return foreign(claim, limit or DeliveryLimit())
    finally:
        claim.close()


def seen(world: World) -> list[str]:
    return (world.root / "seen").read_text().split("\n")[:-1]


def test_started_once(world: World, foreign: Foreign) -> None:
    box = Box()
    box.rcpts = {"b@b.com": "550 5.1.1 nobody"}
    with receiver(box) as port:
        outcomes = [attempt(world, foreign, port) for _ in range(4)]
    for outcome in outcomes:  # each by whom it was done, all alike
        assert [(f.ok, f.code) for f in outcome.fates] == [(True, 250), (False, 550)]
    assert len(box.got) == 4
    assert box.names == ["h.org"] * 4
    first, *others = seen(world)
    assert first == ""
    assert len(set(others)) == 1
    assert Path(others[0]).is_socket()
    foreign.close()
    assert not Path(others[0]).exists()


def test_who_is_gone_is_not_asked(world: World, foreign: Foreign) -> None:
    with receiver(Box()) as port:
        attempt(world, foreign, port)
        attempt(world, foreign, port)
        assert foreign._prefork is not None
        foreign._prefork._process.kill()
        foreign._prefork._process.wait()
        assert [f.ok for f in attempt(world, foreign, port).fates] == [True, True]


def test_a_call_ends_with_its_caller(world: World, foreign: Foreign) -> None:
    """A delivery that is cut goes on nowhere."""
    gone, heard = threading.Event(), threading.Event()

    def act(talk: Talk) -> None:
        talk.send("220 mx")
        assert talk.line()
        heard.set()
        try:
            talk.line()
        except (Gone, ConnectionError):
            gone.set()

    with receiver(Box()) as port:
        attempt(world, foreign, port)
    limit, found = DeliveryLimit(), list[Outcome]()
    with Scripted(act) as server:
        thread = threading.Thread(
            target=lambda: found.append(attempt(world, foreign, server.port, limit))
        )
        thread.start()
        until(heard.is_set)
        assert limit.cut("runq ends")
        thread.join(20)
        assert gone.wait(20)
    assert found[0].idle
    assert seen(world)[-1]
