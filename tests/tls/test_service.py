"""Services, dial strings and peers."""

import pytest

from mailfs.errors import UsageError
from mailfs.tls.service import SERVICES, Peer, peer

PEERS = [
    (("imaps", "Mail.X.org"), "imaps", "mail.x.org", 993),
    (("imap", "x", 1143), "imap", "x", 1143),
    (("smtp", "[::1]"), "smtp", "::1", 25),
    (("imaps", "tcp!x!1993"), "imaps", "x", 1993),
    (("imaps", "net!x!imap"), "imaps", "x", 143),
    (("", "net!x!imaps"), "imaps", "x", 993),
    (("", "tcp!x!587"), "submission", "x", 587),
    (("pops", "tcp!x"), "pops", "x", 995),
]


@pytest.mark.parametrize(("args", "service", "host", "port"), PEERS)
def test_peer(
    args: tuple[str, str] | tuple[str, str, int], service: str, host: str, port: int
) -> None:
    found = peer(*args)
    assert found == Peer(SERVICES[service], host, port)
    again = found.words()
    assert peer(again[0], again[1]) == found


@pytest.mark.parametrize(
    ("service", "host", "why"),
    [
        ("gopher", "x", "gopher: unknown service"),
        ("", "x", "unknown service"),
        ("imaps", "", "no host"),
        ("imaps", "a b", "no host"),
        ("imaps", "a\n", "no host"),
        ("imaps", "unix!x!y", "not an address"),
        ("imaps", "tcp!x!0", "not a port"),
        ("imaps", "tcp!x!65536", "not a port"),
        ("imaps", "tcp!x!y!z", "not a port"),
        ("", "tcp!x", "which service"),
        ("", "tcp!x!7777", "say which service"),
    ],
)
def test_not_a_peer(service: str, host: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        peer(service, host)
