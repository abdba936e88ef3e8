"""Local deliveries that fail for now wait in the queue, alone."""

from pathlib import Path

import pytest

from mailfs.ndb import shipped
from mailfs.queue import spool
from mailfs.queue.spool import Job
from mailfs.runq.local import WithLocal
from mailfs.runq.transport import Foreign
from mailfs.send import mail, submit
from mailfs.send.result import State
from mailfs.smtp.dsn import Dsn, RcptDsn
from mailfs.smtp.limit import DeliveryLimit
from tests.send.world import World

MESSAGE = b"Return-Path: <x@y>\nSubject: hi\n\nhello\n"


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.rules()
    for user in ("bob", "carol"):
        world.box(user).mkdir(parents=True, exist_ok=True)
    world.lib("qmail", "#!/bin/sh\nexit 0\n", program=True)
    return world


def broken(world: World, user: str = "carol") -> Path:
    """Give a user a pipeto that is refused for now: others may change it."""
    taken = world.root / "carols"
    script = f'#!/bin/sh\ncat >>{taken}\necho "$1" >>{taken}\n'
    path = world.write(world.box(user) / "pipeto", script, program=True)
    path.chmod(0o777)
    return path


def queued(world: World) -> list[Job]:
    return spool.jobs(world.root / "mail/queue" / world.user)


def attempt(world: World, job: Job) -> list[tuple[bool, bool]]:
    claim = spool.claim(job)
    assert claim is not None
    remote = Foreign(world.site, world.root / "none")
    try:
        outcome = WithLocal(world.site, remote)(claim, DeliveryLimit())
    finally:
        claim.close()
    return [(f.ok, f.permanent) for f in outcome.fates]


def test_what_failed_waits_alone(world: World) -> None:
    program = broken(world)
    results = world.send(["bob", "carol"], MESSAGE, sender="a@b.c", relayed=True)
    assert [r.state for r in results] == [State.DELIVERED, State.QUEUED]
    (job,) = queued(world)
    assert job.words() == ("mail", "a@b.c", "local", "local!carol")
    assert attempt(world, job) == [(False, False)]
    program.chmod(0o755)
    assert attempt(world, job) == [(True, False)]
    told = (world.root / "carols").read_text()
    assert told.startswith("From a@b.c ")
    assert told.endswith("hello\nlocal!carol\n")
    assert len(world.mailbox("bob")) == 1
    assert queued(world) == [job]  # it is the worker who removes it


def test_forward_files_are_applied_once(world: World) -> None:
    program = broken(world)
    world.write(world.box("carol") / "forward", "local!carol bob\n")
    results = world.send(["carol"], MESSAGE, relayed=True)
    assert {r.state for r in results} == {State.DELIVERED, State.QUEUED}
    (job,) = queued(world)
    assert job.words()[2:] == ("local!forwarded", "local!carol")
    program.chmod(0o755)
    assert attempt(world, job) == [(True, False)]
    assert len(world.mailbox("bob")) == 1


def test_if_all_failed_the_caller_keeps_it(world: World) -> None:
    broken(world)
    (result,) = world.send(["carol"], MESSAGE, relayed=True)
    assert (result.refused, result.permanent) == (True, False)
    assert queued(world) == []


def test_who_has_gone_meanwhile(world: World) -> None:
    broken(world)
    world.send(["bob", "carol"], MESSAGE, relayed=True)
    (job,) = queued(world)
    (world.box("carol") / "pipeto").unlink()
    world.box("carol").rmdir()
    assert attempt(world, job) == [(False, True)]


def test_wishes_for_reports_go_along(world: World) -> None:
    """Into the queue of other hosts, by the word it has, and of what is deferred."""
    broken(world)
    world.lib("qmail", shipped.path("qmail").read_text(), program=True)
    site, to = world.site, ["bob", "carol", "x@b.com"]
    rcpts = {
        "carol": RcptDsn(("success",)),
        "x@b.com": RcptDsn(("never",), "rfc822;y@h.org"),
    }
    letter = mail.read(site, MESSAGE, "a@b.c", relayed=True)
    submit.send(
        site,
        submit.load_rules(site),
        to,
        letter,
        relayed=True,
        dsn=Dsn("hdrs", "id", rcpts),
    )
    found = {job.words()[2]: job.dsn() for job in queued(world)}
    assert found == {
        "local": Dsn(
            "hdrs", "id", {"local!carol": RcptDsn(("success",), "rfc822;carol")}
        ),
        "net!b.com": Dsn("hdrs", "id", {"x": RcptDsn(("never",), "rfc822;y@h.org")}),
    }
