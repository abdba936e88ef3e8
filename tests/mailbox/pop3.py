"""Drivers of maildrops on servers of our own and on Dovecot."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from mailfs.cache.pack import Pack
from mailfs.mailbox.driver import Place
from mailfs.mailbox.drivers.pop3.driver import Pop3, claim
from mailfs.mailbox.kinds import Listing, Want
from mailfs.mailbox.net import Network
from mailfs.tls.trust import Policy, Trust
from tests.factotum.serving import Served, serving
from tests.net.scripted import Scripted
from tests.pop.drop import Drop


@dataclass
class World:
    """Where drivers live: a root, a cache, a factotum with a key for localhost."""

    folder: Path
    agent: Served
    pack: Pack
    trust: Trust

    def place(self, *, readonly: bool = False, pack: Pack | None = None) -> Place:
        net = Network(self.agent.keys, self.trust, pack or self.pack)
        return Place(self.folder / "root", "me", readonly, net)

    def open(
        self, port: int, *, form: str = "pop", user: str = "glenda", **how: object
    ) -> Pop3:
        """Return a driver that never sleeps between attempts."""
        spec = f"/{form}/tcp!localhost!{port}/{user}"
        driver = claim(spec, self.place(**how))  # type: ignore[arg-type]
        assert isinstance(driver, Pop3)
        driver.line._sleeping = lambda seconds: None
        return driver


@contextmanager
def world(folder: Path) -> Iterator[World]:
    with serving(folder) as agent, ExitStack() as stack:
        for proto in ("pass", "apop"):
            agent.add(f"proto={proto} server=localhost user=glenda !password=secret")
        pack = Pack(folder / "cache", 0)
        stack.callback(pack.close)
        yield World(folder, agent, pack, Trust(folder / "root", Policy.THUMBPRINT))


def everything(driver: Pop3, listing: Listing) -> list[bytes]:
    """Return all messages, read in two pieces each."""
    found = []
    for row in range(len(listing)):
        key, size = listing.keys[row], listing.sizes[row]
        ident = listing.idents[row]
        read = listing.store.read
        first = read(key, size, ident, 0, 7)
        found.append(first + read(key, size, ident, 7, 1 << 40))
        length = listing.store.length(key, size, ident)
        assert length == len(found[-1])
        assert read(key, length, ident, 0, -1) == found[-1]
    return found


def wants(listing: Listing) -> list[Want]:
    return [
        Want(listing.keys[row], listing.sizes[row], listing.idents[row], 0, -1)
        for row in range(len(listing))
    ]


Serve = Callable[[Drop], int]


@contextmanager
def serving_drops() -> Iterator[Serve]:
    """Serve maildrops; gives what returns a port for one."""
    with ExitStack() as stack:
        yield lambda drop: stack.enter_context(Scripted(drop.play)).port
