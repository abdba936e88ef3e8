"""Who takes part in the storm: ours, a process that may be killed, and the outside.

    python -m tests.mailbox.storm SETTING FOLDER INDEX LOG WHO SEED STEPS

Ours logs what it is about to do and what it has done, a line each, so that whoever
killed it knows what may be half done.
"""

import os
import random
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mailfs.disk import lock
from mailfs.errors import MailfsError
from mailfs.mailbox.folder import MailboxState
from mailfs.mailbox.index import Index
from mailfs.mailbox.kinds import Flag, Stale
from mailfs.mailbox.message import Message
from tests.mailbox.bench import (
    FIRST,
    Bench,
    MaildirBench,
    Mbox,
    MdirBench,
    MhBench,
    from_line,
    mail,
)

FLAGS = (Flag.SEEN, Flag.FLAGGED, Flag.ANSWERED, Flag.SEEN | Flag.FLAGGED, Flag(0))
WORDS = ("", "work", "later", "later work")  # keywords, sorted
FIRST_OF_OURS = 100_000  # n of what ours append; of others it is lower
ACTORS = 2  # of ours; message n is flagged by number n % ACTORS alone
_ID = re.compile(rb"\nMessage-ID: <(\d+)@example.com>\n")
_STATUS = re.compile(rb"(?m)^(?:X-)?Status: [^\n]*\n")


class EqualMbox(Mbox):
    """An mbox all of whose From_ lines are equal."""

    def stored(self, n: int, extra: bytes = b"") -> bytes:
        return from_line(0) + mail(n, extra) + b"\n"


def arrived(bench: Bench, n: int) -> Flag:
    """Return the flags of a message before anybody gave it some."""
    outside = n < FIRST_OF_OURS
    return Flag.SEEN if isinstance(bench, MhBench) and outside else Flag(0)


SETTINGS: dict[str, type[Bench]] = {
    "mbox": Mbox,
    "mbox-equal": EqualMbox,
    "maildir": MaildirBench,
    "mdir": MdirBench,
    "mh-packed": MhBench,
}


def text(message: Message) -> bytes:
    """Return a message as it was given, without Status lines."""
    octets = message.stored.read(message.head.start, message.end)
    return _STATUS.sub(b"", octets)


def which(octets: bytes) -> int:
    """Return the n of a message, whose octets are all as they should be."""
    m = _ID.search(octets)
    assert m is not None, octets
    assert octets == mail(int(m[1])), octets
    return int(m[1])


def state(bench: Bench, index: Path) -> MailboxState:
    driver = bench.open()
    if hasattr(driver, "wait"):
        driver.wait = 30.0
    return MailboxState(driver, Index(index, driver.kind, driver.path), time.time)


def known(box: MailboxState) -> dict[int, int]:
    """Return n by number, of the messages that can be read now."""
    found = {}
    for number in box.view:
        message = box.message(number)
        if message is not None:
            with suppress(Stale):
                found[number] = which(text(message))
    return found


class Ours:
    """A client of ours that does as it likes, and writes down what."""

    def __init__(self, bench: Bench, index: Path, log: Path, who: int) -> None:
        self.bench = bench
        self.box = state(bench, index)
        self.log = log.open("a", buffering=1)
        self.who = who
        self.count = 0

    def run(self, chance: random.Random, steps: int) -> None:
        self.count = chance.randrange(1 << 20)
        for _ in range(steps):
            with suppress(Stale):
                self._step(chance)
        self.box.close()

    def _say(self, *words: object) -> None:
        print(*words, file=self.log)

    def _step(self, chance: random.Random) -> None:
        self.box.list()
        found = known(self.box)
        for number, n in found.items():
            self._say("saw", number, n)
        what = chance.choice(["append", "flag", "flag", "word", "delete"])
        if what == "append":
            self.count += 1
            n = (self.count * ACTORS + self.who) % (1 << 26) + FIRST_OF_OURS
            self._say("append", n)
            self.box.driver.append(mail(n), FIRST + n, "a@example.com", Flag(0))
            self._say("appended", n)
        elif found:
            number, n = chance.choice(sorted(found.items()))
            if what == "delete":
                self._say("delete", n)
                self.box.delete([number])
                self._say("deleted", n)
            elif n % ACTORS != self.who:
                return
            elif what == "word":
                words = chance.randrange(len(WORDS))
                self._say("word", n, words)
                self.box.set_keywords({number: tuple(WORDS[words].split())})
                self._say("worded", n, words)
            else:
                flags = chance.choice(FLAGS)
                self._say("flag", n, int(flags))
                self.box.set_flags([(number, flags, ~flags & ~Flag.RECENT)])
                self._say("flagged", n, int(flags))


class Outside:
    """Another program, which honours the locks; it delivers, removes and renumbers."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.delivered: set[int] = set()
        self.removed: set[int] = set()
        self.last = 0

    def step(self, chance: random.Random) -> None:
        what = chance.choice(["deliver", "deliver", "remove", "change"])
        with self._locked():
            if what == "deliver":
                self.last += 1
                self._deliver(self.last)
                self.delivered.add(self.last)
            elif isinstance(self.bench, Mbox):
                self._rewrite(chance, remove=what == "remove")
            elif what == "remove":
                self._unlink(chance)
            elif isinstance(self.bench, MhBench):
                self._pack()
            elif isinstance(self.bench, MaildirBench):
                self._read_one(chance)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the fcntl lock of the mailbox, or of MH's sequences."""
        if isinstance(self.bench, (MaildirBench, MdirBench)):
            yield
            return
        path = self.bench.box
        if isinstance(self.bench, MhBench):
            path = path / ".mh_sequences"
        # Not lockf: a server in this process would let go of that by any close.
        for _ in lock.attempts(60):
            with path.open("rb+") as f:
                if lock.lock_fd(f.fileno(), exclusive=True) and lock.same(
                    f.fileno(), str(path)
                ):
                    yield
                    return
        raise AssertionError("never free")

    def _deliver(self, n: int) -> None:
        if not isinstance(self.bench, MhBench):
            self.bench.deliver(n)
            return
        temp = self.bench.box / "#deliver"
        temp.write_bytes(mail(n))
        os.utime(temp, (FIRST + n, FIRST + n))
        os.rename(temp, self.bench.box / str(max(self._numbers(), default=0) + 1))

    def _numbers(self) -> list[int]:
        names = os.listdir(self.bench.box)
        return sorted(int(name) for name in names if name.isdigit())

    def _pack(self) -> None:
        """As folder -pack: messages get new numbers, and sequences follow."""
        numbers = self._numbers()
        names = {old: new for new, old in enumerate(numbers, 1)}
        for old, new in names.items():
            os.rename(self.bench.box / str(old), self.bench.box / str(new))
        self._renumber(names)

    def _renumber(self, names: dict[int, int]) -> None:
        """Leave only those numbers in the sequences, as their new ones."""
        path = self.bench.box / ".mh_sequences"
        lines = []
        for line in path.read_text().splitlines():
            name, _, said = line.partition(":")
            members = [
                names[n]
                for word in said.split()
                for n in range(int(word.split("-")[0]), int(word.split("-")[-1]) + 1)
                if n in names
            ]
            lines.append(f"{name}: {' '.join(map(str, members))}\n")
        path.write_text("".join(lines))

    def _rewrite(self, chance: random.Random, *, remove: bool) -> None:
        """As a mail program: one message goes, or its Status line comes."""
        data = self.bench.box.read_bytes()
        parts = re.split(rb"(?m)^(?=From )", data)
        head, parts = parts[0], parts[1:]
        if not parts:
            return
        at = chance.randrange(len(parts))
        m = _ID.search(parts[at])
        assert m is not None
        if remove:
            del parts[at]
        else:
            line = parts[at].index(b"\n") + 1
            plain = _STATUS.sub(b"", parts[at])
            parts[at] = plain[:line] + b"Status: O\n" + plain[line:]
        temp = self.bench.box.with_name("other")
        temp.write_bytes(head + b"".join(parts))
        if remove:
            self.removed.add(int(m[1]))
        os.rename(temp, self.bench.box)

    def _files(self) -> list[Path]:
        if isinstance(self.bench, MaildirBench):
            return [
                *(self.bench.box / "new").iterdir(),
                *(self.bench.box / "cur").iterdir(),
            ]
        found = self.bench.box.iterdir()
        return [path for path in found if re.fullmatch(r"\d+(\.\d+)?", path.name)]

    def _unlink(self, chance: random.Random) -> None:
        files = sorted(self._files())
        if files:
            path = chance.choice(files)
            with suppress(FileNotFoundError):
                m = _ID.search(path.read_bytes())
                assert m is not None
                self.removed.add(int(m[1]))
                path.unlink()
            if isinstance(self.bench, MhBench):
                self._renumber({n: n for n in self._numbers()})

    def _read_one(self, chance: random.Random) -> None:
        """As a mail program that looks: new mail goes to cur."""
        fresh = sorted((self.bench.box / "new").iterdir())
        if fresh:
            path = chance.choice(fresh)
            with suppress(FileNotFoundError):
                path.rename(self.bench.box / "cur" / f"{path.name}:2,")


def main() -> None:
    setting, folder, index, log, who, seed, steps = sys.argv[1:]
    bench = SETTINGS[setting](Path(folder))
    ours = Ours(bench, Path(index), Path(log), int(who))
    try:
        ours.run(random.Random(f"{seed} {who}"), int(steps))
    except MailfsError as e:
        print(f"error {e}", file=ours.log)
        raise


if __name__ == "__main__":
    main()
