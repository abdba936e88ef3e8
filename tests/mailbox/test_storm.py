"""Everybody changes one store, and is killed; then all is as a model says.

Two clients of ours and an outside program deliver, flag, remove and renumber at random.
When they are quiet, the store, the index, and the tree of a server that looked on all
the time show the same messages, each with its own octets and flags; nothing that was
reported done is lost, no number has ever been two messages', and the events that were
told lead from the first listing to the last.

MAILFS_STORM=SEED:ROUNDS makes it another storm, and longer; scripts/fuzz does.
"""

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mailfs.errors import MailfsError
from mailfs.mailbox.index import index_path
from mailfs.mailbox.kinds import Flag
from mailfs.mailboxes.flags import show
from mailfs.p9.client import Client
from tests.fs.serving import Tree, serving
from tests.mailbox.bench import Bench, MhBench
from tests.mailbox.storm import (
    ACTORS,
    FIRST_OF_OURS,
    FLAGS,
    SETTINGS,
    WORDS,
    Outside,
    arrived,
    known,
    state,
    text,
    which,
)
from tests.wait import until

SEED, ROUNDS = (os.environ.get("MAILFS_STORM") or "1:3").split(":")
STEPS = 12  # of each of ours, in a round
OUTSIDE = 16  # of the outside program
ANY = {int(flags | seen) for flags in FLAGS for seen in (Flag(0), Flag.SEEN)}
DEADLINE = 60.0  # seconds in which the tree has to show what the store has


class Events(threading.Thread):
    """Follows the event file and keeps what it says is there."""

    def __init__(self, client: Client, there: set[str]) -> None:
        super().__init__(daemon=True)
        self.client = client
        self.there = set(there)

    def run(self) -> None:
        try:
            with self.client.open("/mbox/event", 0) as file:
                while data := file.read(8192):
                    for line in data.decode().splitlines():
                        what, path, _ = line.split(" ")
                        number = path.partition("/")[2]
                        if what == "new":
                            assert number not in self.there, line
                            self.there.add(number)
                        elif what == "delete":
                            self.there.remove(number)
        except (MailfsError, OSError):
            pass


class Model:
    """What has been reported, by everybody, and what may be."""

    def __init__(self, setting: str, folder: Path, index: Path) -> None:
        self.setting, self.folder, self.index = setting, folder, index
        self.bench: Bench = SETTINGS[setting](folder)
        self.outside = Outside(self.bench)
        self.by_number: dict[int, int] = {}  # n; for ever
        self.appending: set[int] = set()
        self.appended: set[int] = set()
        self.deleting: set[int] = set()
        self.deleted: set[int] = set()
        self.flags: dict[int, set[int]] = {}  # what they may be by now
        self.words: dict[int, set[int]] = {}  # likewise, places in WORDS

    def round(self, chance: random.Random, number: int) -> None:
        """Let everybody go on; some of ours are killed."""
        logs = [self.folder / f"log{number}.{who}" for who in range(ACTORS)]
        actors = [
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.mailbox.storm", self.setting),
                    *(str(self.folder), str(self.index), str(log)),
                    *(str(who), str(chance.random()), str(STEPS)),
                ]
            )
            for who, log in enumerate(logs)
        ]
        try:
            until(lambda: all(log.exists() for log in logs), DEADLINE)
            for _ in range(OUTSIDE):
                self.outside.step(chance)
                time.sleep(chance.random() * 0.1)
                if chance.random() < 0.05:
                    chance.choice(actors).kill()
        finally:
            for actor in actors:
                actor.wait()
        assert all(actor.returncode in (0, -9) for actor in actors)
        for log in logs:
            for line in log.read_text().splitlines():
                self._heard(line.split())

    def _heard(self, words: list[str]) -> None:
        what, *rest = words
        numbers = [int(word) for word in rest]
        match what:
            case "saw":
                self.saw(numbers[0], numbers[1])
            case "append":
                self.appending.add(numbers[0])
            case "appended":
                self.appended.add(numbers[0])
            case "delete":
                self.deleting.add(numbers[0])
            case "deleted":
                self.deleted.add(numbers[0])
            case "word":
                self.words.setdefault(numbers[0], {0}).add(numbers[1])
            case "worded":
                self.words[numbers[0]] = {numbers[1]}
            case "flag":
                self._flags_of(numbers[0]).add(numbers[1])
            case "flagged":
                self.flags[numbers[0]] = {numbers[1]}

    def _flags_of(self, n: int) -> set[int]:
        # Whoever was killed between file and sequences left a number in them; the next
        # message that another program delivers has it.
        killed = self.appending - self.appended or self.deleting - self.deleted
        if isinstance(self.bench, MhBench) and n < FIRST_OF_OURS and killed:
            return self.flags.setdefault(n, {int(Flag.SEEN)}) | ANY
        return self.flags.setdefault(n, {int(arrived(self.bench, n))})

    def saw(self, number: int, n: int) -> None:
        """Check that a number has always been the same message's."""
        assert self.by_number.setdefault(number, n) == n

    def check(self, tree: Tree, events: Events) -> None:
        """Compare everything, while nobody changes anything."""
        box = state(self.bench, self.index)
        box.list()
        found = known(box)
        assert len(found) == box.view.count  # all can be read
        there = sorted(found.values())
        assert len(set(there)) == len(there)  # none twice
        given = self.outside.delivered | self.appended
        gone = self.deleted | self.outside.removed
        assert given - self.deleting - gone <= set(there)
        assert set(there) <= given | self.appending
        assert not gone & set(there)
        flags = {}
        for number, n in found.items():
            self.saw(number, n)
            row = box.view.row(number)
            assert row is not None
            flags[str(number)] = Flag(box.view.listing.flags[row])
            kept = flags[str(number)] & ~Flag.RECENT
            assert int(kept) in self._flags_of(n), (n, kept)
            words = WORDS.index(" ".join(box.view.keywords.get(number, ())))
            assert words in self.words.get(n, {0}), (n, words)
        texts = {}
        for number in found:
            message = box.message(number)
            assert message is not None
            texts[str(number)] = text(message)
        box.close()
        self._check_tree(tree, events, texts, flags)

    def _check_tree(
        self,
        tree: Tree,
        events: Events,
        texts: dict[str, bytes],
        flags: dict[str, Flag],
    ) -> None:
        with tree.client() as client:
            until(lambda: numbers(client) == set(texts) == events.there, DEADLINE)
            for number, octets in texts.items():
                raw = client.read(f"/mbox/{number}/raw")
                assert which(without_status(raw)) == which(octets)
                said = client.read(f"/mbox/{number}/flags").decode()
                assert said.replace("r", "-") == show(flags[number] & ~Flag.RECENT)


def without_status(raw: bytes) -> bytes:
    head, blank, body = raw.partition(b"\n\n")
    lines = [line for line in head.split(b"\n") if b"Status: " not in line]
    return b"\n".join(lines) + blank + body


def numbers(client: Client) -> set[str]:
    return {e.name for e in client.ls("/mbox") if e.name.isdecimal()}


@contextmanager
def watching(tree: Tree) -> Iterator[Events]:
    with tree.client() as client:
        events = Events(client, numbers(client))
        events.start()
        until(tree.heard, DEADLINE)
        yield events


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_storm(setting: str, tmp_path: Path) -> None:
    print(f"MAILFS_STORM={SEED}:{ROUNDS} {setting}")
    chance = random.Random(f"{SEED} {setting}")
    folder = tmp_path / "w"
    folder.mkdir()
    bench = SETTINGS[setting](folder)
    bench.make()
    index = index_path(tmp_path / "cache", str(bench.box))
    model = Model(setting, folder, index)
    for number in range(int(ROUNDS)):
        # The server that looks on is another each time, and believes the index.
        with serving(tmp_path, mbox=bench.box) as tree, watching(tree) as events:
            model.round(chance, number)
            model.check(tree, events)
    assert model.by_number
    assert model.outside.delivered
