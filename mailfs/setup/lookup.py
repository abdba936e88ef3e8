"""Finding an address's servers: a preset, its domain's exchangers, SRV, autoconfig."""

from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic

from mailfs.errors import MailfsError
from mailfs.factotum.fetch import Fetch
from mailfs.setup import autoconfig, provider
from mailfs.setup.autoconfig import Named
from mailfs.setup.provider import LOCAL, OWN, Provider
from mailfs.setup.server import POP, SMTP, MailServer, incoming, outgoing
from mailfs.setup.srv import Srv, within

PATIENCE = 8.0  # seconds for all that is asked at once


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of the servers of an address.

    sure   nobody on the way can have made it up: it is ours, came over https, or
           names hosts of the address's own domain
    source  where it is from, for a person
    """

    provider: Provider
    source: str = ""
    incoming: MailServer | None = None
    outgoing: MailServer | None = None
    user: str = ""
    sure: bool = True


def preset(one: Provider, address: str, source: str) -> Found:
    """Find a provider in the table."""
    local = address.rpartition("@")[0]
    user = local if one.user == LOCAL else address
    if one is OWN:
        return Found(OWN, user=user)
    return Found(one, source, incoming(one.incoming), outgoing(one.outgoing), user)


class Lookup:
    """Asks the world; dns and fetch are how."""

    def __init__(self, dns: Srv, fetch: Fetch, patience: float = PATIENCE) -> None:
        self._dns = dns
        self._fetch = fetch
        self._patience = patience
        self.failures: list[str] = []  # what could not be asked, and why

    def find(self, address: str) -> Found:
        """Find the provider of an address; OWN if none is known."""
        domain = address.rpartition("@")[2]
        known = provider.of_domain(domain)
        if known is not None:
            return preset(known, address, known.title)
        jobs: list[Callable[[], Found | None]] = [
            lambda: self._configured(autoconfig.urls(address), address),
            lambda: self._srv(address, domain),
            lambda: self._exchanged(address, domain),
        ]
        return self._first(jobs) or preset(OWN, address, "")

    def ispdb(self, address: str) -> Found | None:
        """Ask Mozilla's list about the domain of an address."""
        url = autoconfig.ISPDB.format(domain=address.rpartition("@")[2])
        return self._configured([url], address)

    def _first(self, jobs: list[Callable[[], Found | None]]) -> Found | None:
        """Do jobs at once; return the answer of the first of them that has one.

        What has not answered in time has none; its thread is left behind.
        """
        done: SimpleQueue[tuple[int, Found | None]] = SimpleQueue()

        def work(number: int) -> None:
            found: Found | None = None
            try:
                found = jobs[number]()
            finally:
                done.put((number, found))

        for number in range(len(jobs)):
            Thread(target=work, args=(number,), daemon=True).start()
        answers: dict[int, Found | None] = {}
        end = monotonic() + self._patience
        while len(answers) < len(jobs):
            try:
                number, found = done.get(timeout=max(0.0, end - monotonic()))
            except Empty:
                break
            answers[number] = found
            best = _best(answers)
            if best is not None:
                return best
        return next((answers[i] for i in sorted(answers) if answers[i]), None)

    def _configured(self, urls: list[str], address: str) -> Found | None:
        for url in urls:
            try:
                status, body = self._fetch(url, None)
                named = autoconfig.parse(body, address) if status == 200 else []
            except MailfsError as e:
                self.failures.append(f"{url.partition('?')[0]}: {e}")
                continue
            found = _of(named, url)
            if found is not None:
                return found
        return None

    def _srv(self, address: str, domain: str) -> Found | None:
        read, sent = self._dns.incoming(domain), self._dns.outgoing(domain)
        self.failures += self._dns.failures
        if read is None and sent is None:
            return None
        sure = all(within(one.host, domain) for one in (read, sent) if one is not None)
        return Found(OWN, f"SRV records of {domain}", read, sent, address, sure)

    def _exchanged(self, address: str, domain: str) -> Found | None:
        for host in self._dns.exchangers(domain):
            known = provider.of_exchanger(host)
            if known is not None:
                source = f"{known.title}, whose {host} takes mail for {domain}"
                return preset(known, address, source)
        return None


def _best(answers: dict[int, Found | None]) -> Found | None:
    """Return the first answer if those before it are known to be none."""
    for number in range(len(answers)):
        if number not in answers:
            return None
        if answers[number] is not None:
            return answers[number]
    return None


def _of(named: list[Named], source: str) -> Found | None:
    """Return the best servers of each kind."""
    read = [one for one in named if one.server.service not in SMTP]
    read.sort(key=lambda one: one.server.service in POP)
    sent = [one for one in named if one.server.service in SMTP]
    if not read and not sent:
        return None
    return Found(
        OWN,
        source,
        read[0].server if read else None,
        sent[0].server if sent else None,
        (read or sent)[0].user,
    )
