"""Where measurements take place: mail, a server, a load, all below one directory."""

import getpass
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]
GENERATOR = TOP.parent / "shared/tools/genmail.py"
SPIN = (
    "import os\nos.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\nwhile 1: 0"
)
START_SECONDS = 600  # a server may read all of its mail before its socket exists

sys.path.insert(0, str(TOP))  # for tests.corpus


@dataclass(frozen=True, slots=True)
class Load:
    """What a load reports."""

    count: int
    octets: float
    seconds: float

    @property
    def rate(self) -> float:
        """How many a second."""
        return self.count / self.seconds


def median(runs: int, measure: Callable[[], float]) -> float:
    """Return the median of several runs."""
    return statistics.median(measure() for _ in range(runs))


def timed(work: Callable[[], object]) -> float:
    """Return how many seconds the work took."""
    since = time.monotonic()
    work()
    return time.monotonic() - since


class World:
    """A directory with its own mail, root, cache and name space."""

    def __init__(self, home: Path, mail: Path, messages: int, runs: int) -> None:
        self.home = home
        self.messages = messages
        self.runs = runs
        self._mail = mail
        self._caches = 0
        self.env = os.environ | {
            "MAILFS_ROOT": str(home / "root"),
            "NAMESPACE": str(home / "ns"),
            "USER": getpass.getuser(),  # the load attaches by this name
        }
        (home / "ns").mkdir(mode=0o700)
        self.fresh_cache()
        self._load = self._compile()

    def _compile(self) -> list[str]:
        cc = shutil.which("cc")
        if cc is None:
            print("no cc: the load is Python, and bounds what it measures")
            return [sys.executable, str(HERE / "load.py")]
        program = self.home / "load"
        source = HERE / "load.c"
        subprocess.run([cc, "-O2", "-o", program, source], check=True)
        return [str(program)]

    def fresh_cache(self) -> None:
        """Let what runs from here on find no index."""
        self._caches += 1
        self.env["XDG_CACHE_HOME"] = str(self.home / f"cache{self._caches}")

    def load(self, *words: object, stdin: int | None = None) -> Load:
        """Run the load generator."""
        done = subprocess.run(
            [*self._load, *map(str, words)],
            stdin=stdin,
            stdout=subprocess.PIPE,
            env=self.env,
            text=True,
            check=True,
        )
        count, octets, seconds = done.stdout.split()
        return Load(int(count), float(octets), float(seconds))

    def mbox(self, messages: int | None = None, start: int = 0) -> Path:
        """Return an mbox with so many messages, made when first asked for."""
        return self._make("mbox", messages or self.messages, start)

    def maildir(self, messages: int | None = None, start: int = 0) -> Path:
        """Return a Maildir with so many messages, made when first asked for."""
        return self._make("maildir", messages or self.messages, start)

    def _make(self, kind: str, messages: int, start: int) -> Path:
        path = self._mail / f"{kind}-{start}-{messages}"
        if path.exists():
            return path
        print(f"making {path.name} ...", flush=True)
        temp = path.with_suffix(".part")
        if GENERATOR.exists():
            words = ["-n", messages, "--start", start, "--format", kind, "-o", temp]
            command = [sys.executable, GENERATOR, *words]
            subprocess.run(
                list(map(str, command)), check=True, stdout=subprocess.DEVNULL
            )
        else:
            from tests.corpus import corpus, write_maildir, write_mbox

            write = {"mbox": write_mbox, "maildir": write_maildir}[kind]
            write(temp, corpus(messages, start=start))
        temp.rename(path)
        return path

    def command(self, *words: object) -> list[str]:
        """Return the command line of a verb."""
        return [sys.executable, "-P", "-m", "mailfs", *map(str, words)]

    @contextmanager
    def process(self, command: Sequence[object], socket: Path) -> Iterator[int]:
        """Run a server, ready when its socket exists; give its process id."""
        socket.unlink(missing_ok=True)
        log = self.home / "log"
        with log.open("wb") as out:
            server = subprocess.Popen(
                list(map(str, command)), env=self.env, stdout=out, stderr=out
            )
        try:
            end = time.monotonic() + START_SECONDS
            while not socket.exists():
                if server.poll() is not None or time.monotonic() > end:
                    sys.exit(f"{command} did not start:\n{log.read_text()}")
                time.sleep(0.001)
            yield server.pid
        finally:
            server.terminate()
            server.wait()

    @contextmanager
    def server(self, *specs: object) -> Iterator["Server"]:
        """Run ``mailfs fs`` over the specs, each ``name=path``."""
        socket = self.home / "s"
        words = [word for spec in specs for word in ("-f", spec)]
        command = self.command("fs", *words, "-l", f"unix!{socket}")
        with self.process(command, socket) as pid:
            yield Server(self, socket, pid)

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Keep the processors from halting, by work that yields to any other.

        In a virtual machine, waking a halted processor takes longer than a request.
        """
        spin = [sys.executable, "-c", SPIN]
        spinners = [subprocess.Popen(spin) for _ in range(os.cpu_count() or 1)]
        try:
            yield
        finally:
            for spinner in spinners:
                spinner.kill()
                spinner.wait()

    def index(self, path: Path) -> None:
        """Bring a mailbox's index to completion."""
        subprocess.run(
            self.command("index", path),
            env=self.env,
            check=True,
            stderr=subprocess.DEVNULL,
        )


@dataclass(frozen=True, slots=True)
class Server:
    """A running server of ours."""

    world: World
    socket: Path
    pid: int

    def load(self, verb: str, *words: object) -> Load:
        """Run the load generator against it."""
        return self.world.load(verb, self.socket, *words)

    def await_listing(self, box: str, messages: int) -> None:
        """Return when the mailbox lists so many messages."""
        end = time.monotonic() + START_SECONDS
        while (found := self.load("list", box).count) != messages:
            if time.monotonic() > end:
                sys.exit(f"{box} lists {found} messages, not {messages}")

    def private(self) -> int:
        """Return its memory that no other process shares, in octets; proc(5)."""
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        rows = (line.split() for line in rollup.splitlines())
        return 1024 * sum(int(row[1]) for row in rows if row[0].startswith("Private_"))

    def children(self) -> list[int]:
        """Return the processes it has started that still run."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/children")
        return [int(pid) for task in tasks for pid in task.read_text().split()]
