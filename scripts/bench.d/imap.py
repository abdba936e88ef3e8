"""The rows of the performance table that need an IMAP server: a Dovecot of their own.

Floors are the same commands spoken by hand, and their answers read and thrown away.
"""

import base64
import os
import random
import select
import shutil
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rows import Row, more, times
from world import World, median, timed

FEW = 10_000  # messages whose headers and bodies are fetched
NEW = 10
BODIES = 200
DELAY = 0.025  # seconds each way
LONG = 100 << 20  # octets of a long message
DELIVERIES = 9
ITEMS = "(UID FLAGS RFC822.SIZE INTERNALDATE)"
PASSWORD = "secret"


class Mail:
    """A Dovecot with two users: one has FEW messages, the other all of them."""

    def __init__(self, world: World) -> None:
        from tests.net.dovecot import Dovecot

        self.world = world
        users = {"few": (PASSWORD, "mdbox:~/m"), "many": (PASSWORD, "mdbox:~/m")}
        self.dovecot = Dovecot(users | {"long": (PASSWORD, "mdbox:~/m")}, tls=False)
        self.few = min(FEW, world.messages)

    def __enter__(self) -> "Mail":
        self.dovecot.__enter__()
        for user, count in (("few", self.few), ("many", self.world.messages)):
            self.dovecot.fill(user, self.world.maildir(count))
            self.drain(user, "UID FETCH 1:* (BODYSTRUCTURE BODY.PEEK[HEADER])")
        return self

    def __exit__(self, *_: object) -> None:
        self.dovecot.__exit__(None, None, None)

    @property
    def port(self) -> int:
        """Return where IMAP is spoken."""
        return self.dovecot.ports["imap"]

    def spec(self, user: str, port: int = 0) -> str:
        """Return what our programs call a user's INBOX."""
        return f"/imap/tcp!127.0.0.1!{port or self.port}/{user}"

    def login(self, user: str, port: int = 0) -> socket.socket:
        """Return a connection with INBOX examined, spoken by hand."""
        sock = socket.create_connection(("127.0.0.1", port or self.port))
        sock.sendall(f"a LOGIN {user} {PASSWORD}\r\nb EXAMINE INBOX\r\n".encode())
        answer(sock, b"b ")
        return sock

    def drain(self, user: str, command: str) -> float:
        """Return how long one command's answer takes."""
        with self.login(user) as sock:
            since = time.monotonic()
            sock.sendall(f"c {command}\r\n".encode())
            answer(sock, b"c ")
            return time.monotonic() - since


def answer(sock: socket.socket, tag: bytes) -> int:
    """Read to the end of a command's answer; return how many octets it had."""
    buffer = bytearray(1 << 20)
    tail, total = b"", 0
    while True:
        count = sock.recv_into(buffer)
        assert count, "the server hung up"
        total += count
        tail = (tail + bytes(buffer[max(0, count - 200) : count]))[-200:]
        last = tail.rstrip(b"\r\n").rpartition(b"\n")[2]
        if tail.endswith(b"\r\n") and last.startswith(tag):
            return total


@contextmanager
def keys(world: World) -> Iterator[None]:
    """Run a factotum with the password, in the world's name space."""
    path = Path(world.env["NAMESPACE"]) / "factotum"
    file = world.home / "keys"
    file.touch(mode=0o600)
    file.write_text(f"key proto=pass server=127.0.0.1 !password={PASSWORD} user=few\n")
    with file.open("a") as more_keys:
        for user in ("many", "long"):
            more_keys.write(
                f"key proto=pass server=127.0.0.1 user={user} !password={PASSWORD}\n"
            )
    os.environ["NAMESPACE"] = world.env["NAMESPACE"]
    with world.process(world.command("factotum", "-f", file), path):
        yield


class Ours:
    """A mailbox of ours in this process, without a server around it."""

    def __init__(self, world: World, spec: str, cache: Path) -> None:
        from mailfs.cache.pack import Pack
        from mailfs.factotum.client import Factotum
        from mailfs.mailbox.driver import Place
        from mailfs.mailbox.drivers import open_store
        from mailfs.mailbox.folder import MailboxState
        from mailfs.mailbox.index import Index, index_path
        from mailfs.mailbox.net import Network
        from mailfs.tls.trust import Trust

        root = Path(world.env["MAILFS_ROOT"])
        net = Network(Factotum, Trust(root), Pack(cache / "pack", 4 << 30))
        driver = open_store(spec, Place(root, "me", readonly=True, net=net))
        index = Index(index_path(cache, spec), driver.kind, spec)
        self.folder = MailboxState(driver, index)

    def open(self) -> float:
        """Return how long it takes to know what there is."""
        since = time.monotonic()
        self.folder.load()
        self.folder.list()
        return time.monotonic() - since

    def slice(self) -> float:
        """Return how long it takes to fetch the headers."""
        numbers = list(self.folder.unsliced(-1))
        return timed(lambda: self.folder.slice(numbers))

    def bodies(self) -> float:
        """Return how long it takes to fetch all of the mail."""
        from mailfs.mailbox import build

        return timed(lambda: build.derive(self.folder, lambda _: None, bodies=True))

    def close(self) -> None:
        """Log out."""
        self.folder.close()


def imap(world: World) -> Iterator[Row]:
    """All rows, on one server."""
    with Mail(world) as mail, keys(world):
        for rows in (listing, headers, bodies, reopening, idle, far, part):
            yield from rows(world, mail)


def _fresh(world: World, name: str) -> Path:
    cache = world.home / f"imap-{name}"
    shutil.rmtree(cache, ignore_errors=True)
    return cache


def _once(
    world: World, spec: str, name: str, measure: Callable[[Ours], float]
) -> float:
    ours = Ours(world, spec, _fresh(world, name))
    try:
        return measure(ours)
    finally:
        ours.close()


def listing(world: World, mail: Mail) -> Iterator[Row]:
    """Uid, flags, size and date of all messages."""
    floor = median(world.runs, lambda: mail.drain("many", f"FETCH 1:* {ITEMS}"))
    spec = mail.spec("many")
    ours = median(world.runs, lambda: _once(world, spec, "list", Ours.open))
    yield times(f"IMAP: first listing of {world.messages}", floor, ours, "2x")


def headers(world: World, mail: Mail) -> Iterator[Row]:
    """Headers and structures, ours and imapclient's own."""
    from imapclient import IMAPClient

    from mailfs.mailbox.drivers.imap.driver import FIELDS

    fields = " ".join(FIELDS).upper()
    items = ["BODYSTRUCTURE", f"BODY.PEEK[HEADER.FIELDS ({fields})]"]
    command = f"UID FETCH 1:* (UID {' '.join(items)})"
    floor = median(world.runs, lambda: mail.drain("few", command))
    spec = mail.spec("few")

    def measure(ours: Ours) -> float:
        ours.open()
        return ours.slice()

    ours = median(world.runs, lambda: _once(world, spec, "heads", measure))
    yield times(f"  headers, structures of {mail.few}", floor, ours, "1.5x")

    def peer() -> float:
        with IMAPClient("127.0.0.1", mail.port, ssl=False) as client:
            client.login("few", PASSWORD)
            client.select_folder("INBOX", readonly=True)
            uids = client.search()
            return timed(lambda: client.fetch(uids, items))

    yield times("    the same by imapclient's fetch", floor, peer(), "")


def bodies(world: World, mail: Mail) -> Iterator[Row]:
    """Every body into the cache, ours and mbsync's."""
    floor = median(world.runs, lambda: mail.drain("few", "UID FETCH 1:* BODY.PEEK[]"))
    spec = mail.spec("few")

    def measure(ours: Ours) -> float:
        ours.open()
        ours.slice()
        return ours.bodies()

    ours = median(world.runs, lambda: _once(world, spec, "bodies", measure))
    yield times(f"  all bodies of {mail.few}", floor, ours, "2x")
    if shutil.which("mbsync"):
        yield times("    the same by mbsync", floor, _mbsync(world, mail), "")


def _mbsync(world: World, mail: Mail) -> float:
    home = _fresh(world, "mbsync")
    (home / "mail").mkdir(parents=True)
    config = home / "rc"
    config.write_text(
        f"FSync no\n\nIMAPAccount a\nHost 127.0.0.1\nPort {mail.port}\nUser few\n"
        f"Pass {PASSWORD}\nSSLType None\nAuthMechs LOGIN\n"
        "DisableExtension COMPRESS=DEFLATE\n\nIMAPStore f\nAccount a\n\n"
        f"MaildirStore n\nPath {home}/mail/\nInbox {home}/mail/INBOX\n\n"
        f"Channel c\nFar :f:\nNear :n:\nPatterns INBOX\nCreate Near\n"
        f"SyncState {home}/mail/\n"
    )
    command = ["mbsync", "-q", "-c", str(config), "c"]
    return timed(lambda: subprocess.run(command, check=True))


def reopening(world: World, mail: Mail) -> Iterator[Row]:
    """A known mailbox, with nothing new and with a few messages."""
    from tests.net.proxy import Proxy

    cache = _fresh(world, "again")
    with Proxy(mail.port) as line:
        spec = mail.spec("many", line.port)
        first = Ours(world, spec, cache)
        first.open()
        first.close()
        line.reset()
        again = Ours(world, spec, cache)
        again.open()
        turns, octets = line.turns, line.up + line.down
        again.close()
        yield Row("  reopening, unchanged", "", f"{octets / 1e3:.1f} kB", "", "")
        yield Row("    round trips", "", str(turns), "", "3")

        def by_hand() -> float:
            sock = socket.create_connection(("127.0.0.1", mail.port))
            with sock:
                since = time.monotonic()
                sock.sendall(
                    f"a LOGIN many {PASSWORD}\r\ne ENABLE QRESYNC\r\n"
                    "b EXAMINE INBOX (CONDSTORE)\r\n"
                    f"c UID FETCH {world.messages}:* {ITEMS}\r\n".encode()
                )
                answer(sock, b"c ")
                return time.monotonic() - since

        floor = median(world.runs, by_hand)

        def reopen(delay: float) -> float:
            for n in range(NEW):
                mail.dovecot.deliver("many", b"Subject: new %d\n\nbody\n" % n)
            line.delay = delay
            ours = Ours(world, spec, cache)
            try:
                return ours.open()
            finally:
                line.delay = 0.0
                ours.close()

        near = median(world.runs, lambda: reopen(0.0))
        yield times(f"  reopening {world.messages}, {NEW} new", floor, near, "2x")
        distant = median(world.runs, lambda: reopen(DELAY))
        yield more("    over 50 ms", near, distant, "3 round trips, 0.150 s")


def idle(world: World, mail: Mail) -> Iterator[Row]:
    """From a delivery to the event, beside a client that only idles."""
    spec = f"mbox={mail.spec('few')}"
    late: list[float] = []
    with world.server(spec) as server, mail.login("few") as watcher:
        words = world.command("9p", "-a", f"unix!{server.socket}", "read", "event")
        with subprocess.Popen(words, env=world.env, stdout=subprocess.PIPE) as events:
            assert events.stdout is not None
            watcher.sendall(b"i IDLE\r\n")
            time.sleep(3)
            while select.select([watcher], [], [], 0.2)[0]:
                watcher.recv(65536)
            for n in range(DELIVERIES):
                told: list[float] = []
                thread = threading.Thread(target=_told, args=(watcher, told))
                thread.start()
                mail.dovecot.deliver("few", b"Subject: event %d\n\nbody\n" % n)
                events.stdout.readline()
                now = time.monotonic()
                thread.join()
                late.append(now - told[0])
                time.sleep(1.0)
            events.kill()
    ours = statistics.median(late)
    yield Row("  IDLE line to event", "", f"{1e3 * ours:.1f} ms", "", "5 ms")


def _told(watcher: socket.socket, told: list[float]) -> None:
    data = b""
    while b"EXISTS" not in data:
        data += watcher.recv(65536)
    told.append(time.monotonic())


def far(world: World, mail: Mail) -> Iterator[Row]:
    """Bodies over a line of 50 ms, at once and one after another."""
    from tests.net.proxy import Proxy

    with Proxy(mail.port, delay=DELAY) as line:
        with mail.login("few", line.port) as sock:
            since = time.monotonic()
            sock.sendall(f"c FETCH 1:{BODIES} BODY.PEEK[]\r\n".encode())
            answer(sock, b"c ")
            floor = time.monotonic() - since
        for depth, aim in ((BODIES, "0.2 s"), (1, "1.5 s")):
            world.fresh_cache()
            with world.server(f"mbox={mail.spec('few', line.port)}") as server:
                server.await_listing("mbox", mail.few + DELIVERIES)
                seconds = _read(server.socket, depth)
            work = f"  {BODIES} bodies over 50 ms, {depth} at a time"
            yield times(work, floor, seconds, aim)


def _read(path: Path, depth: int) -> float:
    """Read the first bodies, so many at a time; return how long it took."""
    from concurrent.futures import ThreadPoolExecutor

    from mailfs.p9.client import Client
    from mailfs.where import DialString

    def some(numbers: range) -> None:
        with Client(DialString("unix", str(path))) as client:
            for n in numbers:
                client.read(f"/mbox/{n}/body")

    with Client(DialString("unix", str(path))) as client:
        until = time.monotonic() + 60
        while b"indexing" in client.read("/mbox/status"):
            assert time.monotonic() < until
            time.sleep(0.1)
        client.read(f"/mbox/{BODIES}/subject")
    with ThreadPoolExecutor(depth) as pool:
        since = time.monotonic()
        parts = [range(1 + i, BODIES + 1, depth) for i in range(depth)]
        list(pool.map(some, parts))
        return time.monotonic() - since


def part(world: World, mail: Mail) -> Iterator[Row]:
    """A short text of a long message: what goes over the wire."""
    from mailfs.p9.client import Client
    from mailfs.where import DialString
    from tests.net.proxy import Proxy

    blob = base64.encodebytes(random.Random(1).randbytes(LONG * 3 // 4))
    message = (
        b"Subject: long\nMIME-Version: 1.0\n"
        b"Content-Type: multipart/mixed; boundary=xx\n\n"
        b"--xx\nContent-Type: text/plain\n\n" + b"short text\n" * 90 + b"--xx\n"
        b"Content-Type: application/x-blob\nContent-Transfer-Encoding: base64\n\n"
        + blob
        + b"--xx--\n"
    )
    mail.dovecot.deliver("long", message)
    with Proxy(mail.port) as line:
        server = world.server(f"mbox={mail.spec('long', line.port)}")
        with server as at, Client(DialString("unix", str(at.socket))) as client:
            client.read("/mbox/1/subject")
            line.reset()
            seconds = timed(lambda: client.read("/mbox/1/1/body"))
            octets = line.up + line.down
    told = f"{octets / 1e3:.1f} kB, {seconds:.2f} s"
    yield Row("  1 kB of text of a 100 MB message", "", told, "", "under 64 kB")


ROWS: dict[str, Callable[[World], Iterator[Row]]] = {"imap": imap}
