"""remotemail: read as options, or run as the program it is."""

import os
import stat
import threading
import time
from pathlib import Path

import pytest

from mailfs.ndb import shipped
from mailfs.queue import spool
from mailfs.queue.spool import Claim
from mailfs.runq import script
from mailfs.runq.transport import Direct, Foreign, Outcome, choose
from mailfs.smtp.client import SmtpClient
from mailfs.smtp.fate import Fate
from mailfs.smtp.limit import DeliveryLimit
from mailfs.smtp.options import Options
from tests.queue.world import World
from tests.wait import until

SHIPPED = shipped.path("remotemail").read_text()
CALL = "exec mailfs smtp -h yourdomain.dom"
BARE = "exec mailfs smtp"
PATIENCE = 20.0  # seconds


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "remotemail"
    path.write_text(text)
    path.chmod(0o755)
    return path


EDITS = [
    ("", Options()),
    (
        " -h yourdomain.dom -a -u me",
        Options(auth=True, user="me", domain="yourdomain.dom"),
    ),
    (" -s  -g mail.x.org", Options(starttls=True, gateway="mail.x.org")),
    (" -u 'me too'", Options(user="me too")),
]


@pytest.mark.parametrize(("words", "want"), EDITS)
def test_edited_options(tmp_path: Path, words: str, want: Options) -> None:
    path = written(tmp_path, SHIPPED.replace(CALL, BARE + words))
    assert script.options(path) == want


@pytest.mark.parametrize(
    "words",
    [
        " -h $(hostname)",
        " -h `x`",
        " -u 'me",
        " --nonesuch",
        " -h a; rm x",
        " word",
        ' -h "$D"',
    ],
)
def test_what_needs_a_shell(tmp_path: Path, words: str) -> None:
    assert (
        script.options(written(tmp_path, SHIPPED.replace(CALL, BARE + words))) is None
    )


OTHERS = [
    "",
    "#!/bin/rc\n" + SHIPPED,
    SHIPPED + "echo done\n",
    SHIPPED.replace("$2", "$1"),
    SHIPPED.replace("#!/bin/sh", "#!/bin/bash"),
    "\xff" * 70_000,
]


@pytest.mark.parametrize("text", OTHERS)
def test_other_scripts(tmp_path: Path, text: str) -> None:
    assert script.options(written(tmp_path, text)) is None


def test_scripts_that_ship_are_programs() -> None:
    for name in ("remotemail", "qmail", "justqmail", "kickqueue"):
        path = shipped.path(name)
        assert path.stat().st_mode & stat.S_IXUSR
        assert path.read_text().startswith("#!/bin/sh\n# ")


def make(options: Options) -> SmtpClient:
    raise AssertionError("no message, no client")


def test_choose(world: World) -> None:
    plain = choose(world.site, shipped.path("remotemail"), make)
    assert isinstance(plain, Direct)
    plain.prune()
    plain.close()
    other = choose(world.site, written(world.root, "#!/bin/sh\nexit 0\n"), make)
    assert isinstance(other, Foreign)
    with pytest.raises(FileNotFoundError):
        choose(world.site, world.root / "none", make)


@pytest.fixture
def held(world: World) -> Claim:
    found = spool.claim(world.put("a@b.com", "b@b.com", reply="o%%27neil"))
    assert found is not None
    return found


def fates(world: World, held: Claim, text: str) -> tuple[tuple[Fate, ...], bool]:
    outcome = Foreign(world.site, written(world.root, text))(held, DeliveryLimit())
    return outcome.fates, outcome.down


def test_command(world: World, held: Claim) -> None:
    seen = world.root / "seen"
    found, down = fates(
        world, held, f'#!/bin/sh\nprintf "%s|" "$@" >{seen}; cat >>{seen}\n'
    )
    assert [f.ok for f in found] == [True, True]
    assert not down
    want = "mail|o%%27neil|net!b.com|a@b.com|b@b.com|From glenda"
    assert seen.read_text().startswith(want)
    held.close()


@pytest.mark.parametrize(
    ("code", "permanent"), [("1", True), ("2", False), ("75", False), ("99", True)]
)
def test_status(world: World, held: Claim, code: str, *, permanent: bool) -> None:
    found, down = fates(world, held, f"#!/bin/sh\necho no luck >&2; exit {code}\n")
    assert [(f.ok, f.permanent, f.line) for f in found] == [
        (False, permanent, "no luck")
    ] * 2
    assert down is not permanent
    assert held.job.path("E").read_text() == "no luck\n"
    held.close()


def test_killed_command_is_tried_again(world: World, held: Claim) -> None:
    found, _ = fates(world, held, "#!/bin/sh\nkill -9 $$\n")
    assert all(f.temporary for f in found)
    held.close()


def test_command_that_is_none(world: World, held: Claim) -> None:
    found, down = fates(world, held, "no program at all")
    assert all(f.temporary for f in found)
    assert down
    held.close()


def test_command_tells_each_fate(world: World, held: Claim) -> None:
    """Through sh, whose redirections know no descriptor over nine."""
    line = Fate("b@b.com", False, True, 550, "5.1.1", "550 no", "mx").show()
    found, down = fates(
        world,
        held,
        f"#!/bin/sh\necho {line!r} rubbish >/dev/fd/$MAILFS_REPORT\nexit 2\n",
    )
    assert [(f.ok, f.permanent) for f in found] == [(False, False), (False, True)]
    assert not down
    held.close()


def test_odd_characters_end_no_line(world: World, held: Claim) -> None:
    text = "550 a\u2028b\x0bc\x0cd\x85e"
    line = Fate("b@b.com", False, True, 550, "5.1.1", text, "mx").show()
    (world.root / "told").write_text(line + "\n")
    script = f"#!/bin/sh\ncat {world.root}/told >/dev/fd/$MAILFS_REPORT\nexit 2\n"
    found, _ = fates(world, held, script)
    assert (found[1].permanent, found[1].line) == (True, text)
    held.close()


def test_a_command_is_ended(world: World, held: Claim) -> None:
    """Even one that will not: what it told counts."""
    line = Fate("b@b.com", True, code=250).show()
    text = f"#!/bin/sh\ntrap '' TERM\necho {line!r} >/dev/fd/$MAILFS_REPORT\n"
    limit = DeliveryLimit()
    ready = world.root / "ready"
    script = written(world.root, f"{text}touch {ready}\nwhile :; do sleep 1; done\n")
    found: list[Outcome] = []
    thread = threading.Thread(
        target=lambda: found.append(Foreign(world.site, script)(held, limit))
    )
    thread.start()
    until(ready.exists)
    assert limit.cut("runq ends")
    thread.join(PATIENCE)
    (outcome,) = found
    assert [(f.ok, f.permanent) for f in outcome.fates] == [
        (False, False),
        (True, False),
    ]
    assert not outcome.idle
    held.close()


def test_lock_lives_with_the_command(world: World, held: Claim) -> None:
    """If runq is killed, what it started is not doubled while it runs."""
    ready, go = world.root / "ready", world.root / "go"
    os.mkfifo(ready)
    os.mkfifo(go)
    path = written(world.root, f"#!/bin/sh\necho >{ready}\nread x <{go}\n")
    pid = os.fork()
    if pid == 0:
        try:
            Foreign(world.site, path)(held, DeliveryLimit())
        finally:
            os._exit(0)
    held.close()
    ready.read_bytes()
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    assert spool.claim(held.job) is None
    go.write_text("\n")
    end = time.monotonic() + PATIENCE
    while (again := spool.claim(held.job)) is None:
        assert time.monotonic() < end
        time.sleep(0.005)
    again.close()
