"""The POP3 driver with real servers: storms, bad lines, kill -9 on either side."""

import os
import poplib
import random
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from mailfs.errors import MailfsError
from mailfs.mailbox.drivers.pop3.driver import Pop3
from mailfs.mailbox.drivers.pop3.listings import keys_of
from mailfs.mailbox.kinds import Flag, Listing, Stale
from mailfs.pop.account import FORMS
from tests.mailbox.pop3 import World, everything, wants, world
from tests.net.dovecot import Dovecot
from tests.net.proxy import Proxy
from tests.pop.conftest import IMPATIENT
from tests.pop.courier import Courier
from tests.pop.drop import mail
from tests.wait import until

pytestmark = pytest.mark.live

FIRST = 1_000_000_000  # seconds; date of message 0


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    with Dovecot(extra=IMPATIENT) as server:
        yield server


@pytest.fixture
def there(tmp_path: Path, dovecot: Dovecot) -> Iterator[World]:
    with world(tmp_path) as found:
        dovecot.trust(tmp_path / "root")
        yield found


class Account:
    """A Dovecot user, as programs other than ours see him."""

    def __init__(self, server: Dovecot, there: World) -> None:
        self.server = server
        self.there = there
        self.user = server.user()
        self.count = 0
        for proto in ("pass", "apop"):
            there.agent.add(
                f"proto={proto} server=localhost user={self.user} !password=secret"
            )

    @property
    def port(self) -> int:
        return self.server.ports["pop3"]

    def open(self, port: int = 0, form: str = "popnotls") -> Pop3:
        return self.there.open(port or self.port, form=form, user=self.user)

    def fill(self, count: int, extra: bytes = b"") -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name in ("cur", "new"):
                (Path(folder) / "box" / name).mkdir(parents=True)
            for n in range(self.count, self.count + count):
                file = Path(folder) / "box" / "cur" / f"{FIRST + n}.x{n}.h:2,"
                file.write_bytes(mail(n, extra).replace(b"\r\n", b"\n"))
            self.server.fill(self.user, Path(folder) / "box")
        self.count += count

    def client(self) -> poplib.POP3:
        client = poplib.POP3("localhost", self.port)
        client.user(self.user)
        client.pass_("secret")
        return client

    def truth(self) -> dict[str, bytes]:
        """Return what the server has, by unique id."""
        client = self.client()
        ids = [line.split()[1].decode() for line in client.uidl()[1]]
        found = {}
        for n, uid in enumerate(ids, 1):
            found[uid] = b"".join(line + b"\r\n" for line in client.retr(n)[1])
        client.quit()
        return found


@pytest.fixture
def account(dovecot: Dovecot, there: World) -> Account:
    return Account(dovecot, there)


def agrees(driver: Pop3, old: Listing | None, truth: dict[str, bytes]) -> Listing:
    """Check that a listing and all it leads to is what the server has."""
    driver._due = True
    driver.line._failure = None
    listing = driver.list(old)
    driver.fetch(wants(listing))
    assert sorted(keys_of(listing)) == sorted(truth)
    for key, octets in zip(keys_of(listing), everything(driver, listing), strict=True):
        assert octets == truth[key]
    driver.close()
    return listing


@pytest.mark.parametrize("form", FORMS)
def test_every_form(account: Account, form: str) -> None:
    account.fill(3)
    ports = account.server.ports
    port = ports["pop3s" if form.endswith("pops") else "pop3"]
    driver = account.open(port, form)
    listing = agrees(driver, None, account.truth())
    heads = {one.key: one.header for one in driver.heads(keys_of(listing))}
    assert len(heads) == 3
    after = driver.delete(listing, [1])
    agrees(driver, after, account.truth())
    assert len(after) == 2


def test_other_clients_come_and_go(account: Account) -> None:
    chance = random.Random(3)
    driver = account.open()
    account.fill(6)
    listing = agrees(driver, None, account.truth())
    for _ in range(6):
        account.fill(chance.randrange(3))
        client = account.client()
        for n in range(1, len(client.list()[1]) + 1):
            if chance.random() < 0.3:
                client.dele(n)
        client.quit()
        if len(listing) > 1:
            try:
                listing = driver.delete(listing, [chance.randrange(len(listing))])
            except Stale:
                listing = driver.list(listing)
            driver.close()
        listing = agrees(driver, listing, account.truth())


def test_someone_else_has_the_maildrop(account: Account) -> None:
    # Dovecot's pop3_lock_session is off, so two at once are let in: one deletes.
    account.fill(4)
    driver = account.open()
    listing = driver.list()
    client = account.client()
    client.dele(2)
    client.quit()
    driver.close()
    agrees(driver, listing, account.truth())


def attempt(act: Callable[[], object]) -> bool:
    """Do something over a bad line; whether it went well."""
    try:
        act()
    except (OSError, MailfsError):
        return False
    return True


def test_lines_that_are_cut(account: Account) -> None:
    chance = random.Random(11)
    account.fill(8, b"text\r\n" * 3000)
    account.fill(8)
    clean = account.open()
    listing = clean.list()
    clean.close()
    well = 0
    for n in range(24):
        up = chance.random() < 0.3
        cut = chance.randrange(300) if up else int(10 ** chance.uniform(1, 5.4))
        how = {"cut_up": cut} if up else {"cut_down": cut}
        with Proxy(account.port, **how) as line:
            bad = account.open(line.port)
            well += attempt(bad.list)
            well += attempt(partial(bad.fetch, wants(listing)[n % 4 :]))
            well += attempt(partial(deque, bad.heads(keys_of(listing))))
            bad.line.drop()
            for row, key in enumerate(keys_of(listing)):
                if bad._store.whole(key):
                    extra = b"text\r\n" * 3000 if row < 8 else b""
                    read = bad._store.read(key, 0, 0, 0, -1)
                    assert read.endswith(mail(row, extra))
    assert 0 < well < 72
    agrees(clean, listing, account.truth())


def test_deletions_over_lines_that_are_cut(account: Account) -> None:
    chance = random.Random(5)
    account.fill(30)
    clean = account.open()
    gone: set[str] = set()
    listing = clean.list()
    clean.close()
    everybody = keys_of(listing)
    for _ in range(12):
        before = set(account.truth())
        rows = chance.sample(range(len(listing)), 2)
        wanted = {keys_of(listing)[row] for row in rows}
        with Proxy(account.port, cut_down=chance.randrange(100, 700)) as line:
            bad = account.open(line.port)
            done = attempt(partial(bad.delete, listing, rows))
            bad.line.drop()
        after = set(account.truth())
        assert before - after <= wanted
        assert not done or before - after == wanted
        gone |= before - after
        listing = agrees(clean, listing, account.truth())
    assert set(keys_of(listing)) == set(everybody) - gone


def test_a_long_line_costs_few_round_trips(account: Account) -> None:
    account.fill(60)
    with Proxy(account.port, delay=0.005) as line:
        driver = account.open(line.port)
        listing = driver.list()
        listed = line.turns
        driver.fetch(wants(listing))
        assert len(everything(driver, listing)) == 60
        driver.close()
    # Greeting, CAPA, login and its challenge; CAPA and STAT together; UIDL, LIST.
    assert listed <= 12
    assert line.turns - listed <= 5
    assert line.connections == 1


def test_a_line_that_freezes(account: Account) -> None:
    account.fill(2)
    with Proxy(account.port) as line:
        driver = account.open(line.port)
        driver.line.timeout = 0.3
        listing = driver.list()
        line.freeze()
        with pytest.raises(TimeoutError, match="localhost/popnotls: timed out"):
            driver.fetch(wants(listing))
        line.thaw()
        driver.line._failure = None
        driver.line.timeout = 20
        assert len(everything(driver, listing)) == 2
        driver.close()


def test_a_server_that_ends_its_side(account: Account) -> None:
    account.fill(2)
    with Proxy(account.port) as line:
        driver = account.open(line.port)
        listing = driver.list()
        line.half_close()
        assert len(everything(driver, listing)) == 2
        assert line.connections == 2
        driver.close()


def _far(driver: Pop3, some: int, reader: threading.Thread) -> bool:
    """Whether some octets have come, or all of them."""
    return driver.line.received >= some or not reader.is_alive()


def test_the_server_is_killed(there: World) -> None:
    with Dovecot(extra=IMPATIENT) as server:
        account = Account(server, there)
        account.fill(12, b"text\r\n" * 5000)
        driver = account.open()
        listing = driver.list()
        for wait in range(3):
            reader = threading.Thread(
                target=attempt, args=(partial(driver.fetch, wants(listing)),)
            )
            reader.start()
            some = 3000 + 100_000 * wait
            until(partial(_far, driver, some, reader))
            server.kill()
            reader.join()
            assert not attempt(partial(driver.list, listing))
            assert driver.line.error
            driver.line.drop()
            server.start()
            driver.line._failure = None
        agrees(driver, listing, account.truth())


CHILD = """
import sys
from pathlib import Path
from mailfs.mailbox.drivers.pop3.driver import claim
from mailfs.mailbox.driver import Place
from mailfs.mailbox.kinds import Flag
from mailfs.mailbox.net import Network
from mailfs.cache.pack import Pack
from mailfs.factotum.client import Factotum
from mailfs.tls.trust import Policy, Trust
from mailfs.where import DialString
from tests.mailbox.pop3 import wants
folder, spec = Path(sys.argv[1]), sys.argv[2]
keys = lambda: Factotum(DialString("unix", str(folder / "f")))
trust = Trust(folder / "root", Policy.THUMBPRINT)
net = Network(keys, trust, Pack(folder / "cache", 0))
place = Place(folder / "root", "me", False, net)
driver = claim(spec, place)
listing = driver.list()
print("listed", flush=True)
for want in wants(listing)[::-1]:
    driver.fetch([want])
    print("fetched", want.key, flush=True)
    listing = driver.set_flags(listing, [(0, Flag.SEEN)])
    if len(listing) > 20:
        listing = driver.delete(listing, [len(listing) - 1])
        print("deleted", want.key, flush=True)
"""


def test_we_are_killed(account: Account) -> None:
    chance = random.Random(2)
    account.fill(40, b"text\r\n" * 500)
    spec = f"/popnotls/tcp!localhost!{account.port}/{account.user}"
    folder = account.there.folder
    driver = account.open()
    listing = None
    for _ in range(5):
        before = account.truth()
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, str(folder), spec],
            stdout=subprocess.PIPE,
            text=True,
        ) as child:
            assert child.stdout is not None
            told = [child.stdout.readline() for _ in range(chance.randrange(1, 12))]
            os.kill(child.pid, signal.SIGKILL)
            told += child.stdout.readlines()
        words = [line.split() for line in told if line.endswith("\n")]
        deleted = {w[1] for w in words if w[0] == "deleted"}
        after = account.truth()
        gone = before.keys() - after.keys()
        assert deleted <= gone
        assert len(gone - deleted) <= 1  # one may have been under way
        listing = agrees(driver, listing, after)
        assert not deleted or listing.flags[0] & Flag.SEEN


@pytest.fixture
def courier(tmp_path: Path) -> Iterator[Courier]:
    with Courier(tmp_path) as server:
        yield server


def test_courier(there: World, courier: Courier) -> None:
    chance = random.Random(4)
    driver = there.open(courier.port)
    listing = None
    count = 0
    for _ in range(8):
        for _ in range(chance.randrange(5)):
            text = mail(count, b".\r\n..\r\n" * (count % 3))
            courier.deliver(text.replace(b"\r\n", b"\n"))
            count += 1
        driver.line._failure = None
        listing = driver.list(listing)
        if chance.random() < 0.4:
            courier.kill()
        found = [m.replace(b"\r\n", b"\n") for m in everything(driver, listing)]
        assert found == courier.messages()
        if len(listing) > 2 and chance.random() < 0.7:
            listing = driver.delete(listing, [0, len(listing) - 1])
        driver.close()
    assert count > 8
    assert driver.line.delay == 10  # as it announces
