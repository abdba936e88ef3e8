"""Numbers and reading while the disk of the index takes nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from mailfs.cache.outage import probe

WORLD = """
import resource, sys
from pathlib import Path
from mailfs.cache.outage import Outage, RETRY
from mailfs.mailbox import index as indexes
from mailfs.mailbox.driver import Place
from mailfs.mailbox.drivers import open_store
from mailfs.mailbox.folder import MailboxState
from mailfs.mailbox.index import Index

now = 0.0
home = Path(sys.argv[1])
box, file = home / "box", home / "i" / "x.db"
indexes._outages[file.parent] = Outage(indexes.log, "i", clock=lambda: now)
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

def full(on):
    resource.setrlimit(resource.RLIMIT_FSIZE, (0 if on else hard, hard))

def letters(*names):
    date = "Mon Mar  2 09:00:00 2026"
    text = "From {0}@b {1}\\\\nSubject: {0}\\\\n\\\\nx\\\\n\\\\n"
    box.write_text("".join(text.format(n, date) for n in names))

def opened():
    place = Place(home / "root", "me", readonly=True)
    driver = open_store(str(box), place)
    return MailboxState(driver, Index(file, driver.kind, driver.path), lambda: 1000.0)

def listed(state):
    view = state.list()
    return {n: state.message(n, view).head.envelope.subject for n in view}

seen = {}
def check(state):
    # No number is ever another message's.
    for n, subject in listed(state).items():
        assert seen.setdefault(n, subject) == subject, (n, subject, seen)
    return listed(state)

letters("a", "b")
state = opened()
state.load()
assert check(state) == {1: "a", 2: "b"}
full(True)
"""

ENDS = {
    "killed": """
full(False); letters("a", "b", "c"); full(True)
assert check(state) == {1: "a", 2: "b", 3: "c"}
assert state.outage
full(False)
letters("a", "b", "d")
state.index.close()  # nothing was saved
again = opened()
again.load()
assert list(check(again).values()) == ["a", "b", "d"]
assert {1, 2} < set(check(again))
letters("a", "b", "d", "e")
check(again)
again.release()
third = opened()
third.load()
assert list(check(third).values()) == ["a", "b", "d", "e"]
""",
    "recovered": """
full(False); letters("a", "b", "c"); full(True)
check(state)
full(False)
letters("b", "c", "d")
now = RETRY + 1
assert check(state) == {2: "b", 3: "c", 4: "d"}
assert not state.outage and state.index.path == file
state.index.close()
again = opened()
assert again.load()
assert check(again) == {2: "b", 3: "c", 4: "d"}
""",
    "ended": """
full(False); letters("a", "b", "c"); full(True)
check(state)
full(False)
state.release()
again = opened()
again.load()
assert check(again) == {1: "a", 2: "b", 3: "c"}
""",
    "begun": """
state.index.close()
again = opened()
again.load()
assert again.outage
listed(again)
""",
}


@pytest.mark.parametrize("end", ENDS)
def test_no_number_is_given_twice(tmp_path: Path, end: str) -> None:
    script = WORLD.replace("\\\\n", "\\n") + ENDS[end] + '\nprint("done")\n'
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "done\n", done.stderr
    assert done.stderr.count("kept in memory") <= 1


def test_a_directory_that_takes_nothing_can_be_told(tmp_path: Path) -> None:
    script = (
        "import resource, sys; from pathlib import Path;"
        "from mailfs.cache.outage import probe;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0));"
        "print(probe(Path(sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "File too large\n", done.stderr
    assert probe(tmp_path) == ""
    assert probe(tmp_path / "none") == ""
