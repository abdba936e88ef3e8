"""Whose servers take a domain's mail; a real resolver asks a name server of ours."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailfs.smtp import dns, route
from mailfs.smtp.dns import Answer, Dns, DnsError
from mailfs.smtp.fate import DeliveryError
from mailfs.smtp.path import Dial
from mailfs.smtp.route import MxRouter, Target
from mailfs.smtp.sts import Policies
from tests.smtp.nameserver import FAIL, NameServer

KEY = "3 1 1 " + "ab" * 32
ZONE = {
    ("b.com", "MX"): ["20 mx2.b.com.", "10 MX1.b.com.", "10 gone.b.com."],
    ("mx1.b.com", "A"): ["192.0.2.1", "192.0.2.3"],
    ("mx1.b.com", "AAAA"): ["2001:db8::1"],
    ("mx2.b.com", "A"): ["192.0.2.2"],
    ("plain.org", "A"): ["192.0.2.9"],
    ("null.org", "MX"): ["0 ."],
    ("empty.org", "TXT"): ["x"],
    ("loop.org", "MX"): ["10 mx.loop.org.", "20 me.example."],
    ("mx.loop.org", "A"): ["127.0.0.1"],
    ("near.org", "MX"): ["5 mx1.b.com.", "10 me.example.", "20 mx2.b.com."],
    ("mine.org", "MX"): ["10 me.example.", "20 mx2.b.com."],
    ("sad.org", "MX"): list(FAIL),
    ("half.org", "MX"): ["10 sad2.org.", "20 mx2.b.com."],
    ("sad2.org", "A"): list(FAIL),
    ("sad2.org", "AAAA"): list(FAIL),
    ("xn--bcher-kva.example", "A"): ["192.0.2.7"],
    ("_25._tcp.mx1.b.com", "TLSA"): [KEY],
    ("_25._tcp.mx2.b.com", "TLSA"): list(FAIL),
}


@pytest.fixture
def server() -> Iterator[NameServer]:
    with NameServer({k: tuple(v) for k, v in ZONE.items()}) as server:
        yield server


def targets(server: NameServer, host: str, port: int = 25) -> list[Target]:
    router = MxRouter(
        Dns(server.resolvers),
        None,
        ["me.example"],
        lambda pairs: pairs.sort(),
        ours=lambda address: False,
    )
    return router.targets(Dial(host, port), busted=["busted.org"])


FOUND = [
    ("b.com", ["mx1.b.com", "mx2.b.com"]),  # gone.b.com has no address
    ("B.COM", ["mx1.b.com", "mx2.b.com"]),
    ("plain.org", ["plain.org"]),
    ("near.org", ["mx1.b.com"]),
    ("half.org", ["mx2.b.com"]),
    ("bücher.example", ["xn--bcher-kva.example"]),
]


@pytest.mark.parametrize(("domain", "hosts"), FOUND)
def test_found(server: NameServer, domain: str, hosts: list[str]) -> None:
    found = targets(server, domain)
    assert [target.host for target in found] == hosts
    assert all(target.direct and not target.tlsa for target in found)


def test_addresses_alternate(server: NameServer) -> None:
    first = targets(server, "b.com")[0]
    assert first.addresses[0] == "2001:db8::1"
    assert set(first.addresses[1:]) == {"192.0.2.1", "192.0.2.3"}


NONE = [
    ("nowhere.org", True, "5.1.2", "unknown domain"),
    ("null.org", True, "5.1.10", "does not accept mail"),
    ("empty.org", True, "5.4.4", "no address"),
    ("loop.org", True, "5.4.6", "illegal: domain lists mx.loop.org as mail server"),
    ("mine.org", True, "5.4.6", "loops back"),
    ("sad.org", False, "4.4.3", "dns failure"),
    ("busted.org", True, "5.1.2", "unknown domain"),
    ("a" * 70 + ".org", True, "5.1.2", "illegal address"),
]


@pytest.mark.parametrize(("domain", "permanent", "enhanced", "why"), NONE)
def test_none(
    server: NameServer, domain: str, *, permanent: bool, enhanced: str, why: str
) -> None:
    with pytest.raises(DeliveryError, match=why) as e:
        targets(server, domain)
    assert (e.value.permanent, e.value.enhanced) == (permanent, enhanced)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.9.9.9", "0.0.0.0", "0.1.2.3", "169.254.1.1", "224.0.0.1"),
        *("255.255.255.255", "::1", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0"),
        *("fe80::1", "ff02::1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"),
        "::ffff:169.254.1.1",
    ],
)
def test_no_mail_to_this_machine_or_its_link(server: NameServer, address: str) -> None:
    assert route.illegal(address)
    kind = "AAAA" if ":" in address else "A"
    server.zone["i.org", "MX"] = ("10 mx.i.org.",)
    server.zone["mx.i.org", kind] = (address,)
    with pytest.raises(DeliveryError, match=r"illegal: domain lists mx.i.org") as e:
        targets(server, "i.org")
    assert (e.value.permanent, e.value.enhanced) == (True, "5.4.6")
    server.zone["mx.i.org", "A"] = (
        *server.zone.get(("mx.i.org", "A"), ()),
        "192.0.2.4",
    )
    assert targets(server, "i.org")[0].addresses == ("192.0.2.4",)


@pytest.mark.parametrize("address", ["192.0.2.1", "10.1.2.3", "2001:db8::1", "fd00::1"])
def test_other_machines_may_take_mail(address: str) -> None:
    assert not route.illegal(address)


def test_no_mail_to_an_address_of_ours(server: NameServer) -> None:
    server.zone["i.org", "A"] = ("192.0.2.77",)
    router = MxRouter(Dns(server.resolvers), None, ours="192.0.2.77".__eq__)
    with pytest.raises(DeliveryError, match=r"illegal: domain lists i.org"):
        router.targets(Dial("i.org", 25))
    assert route.assigned("127.0.0.1")
    assert not route.assigned("203.0.113.9")


@pytest.mark.parametrize("failing", ["A", "AAAA"])
def test_no_answer_about_addresses_leaves_dane_on(
    server: NameServer, failing: str
) -> None:
    server.secure = True
    server.zone["mx1.b.com", failing] = FAIL
    first = targets(server, "b.com")[0]
    assert first.host == "mx1.b.com"
    assert [r.to_text() for r in first.tlsa] == [KEY]
    assert len(first.addresses) == (1 if failing == "A" else 2)


def test_what_proves_nothing_cancels_no_policy(server: NameServer) -> None:
    server.secure = True
    server.zone["_mta-sts.b.com", "TXT"] = ('"v=STSv1; id=1;"',)
    text = b"version: STSv1\nmode: enforce\nmax_age: 86400\nmx: mx1.b.com\n"
    policies = Policies(Dns(server.resolvers), None, lambda domain: text)
    for record, kept in ((KEY, 1), ("0 0 1 " + "ab" * 32, 0)):
        server.zone["_25._tcp.mx1.b.com", "TLSA"] = (record,)
        router = MxRouter(Dns(server.resolvers), policies)
        (found,) = router.targets(Dial("b.com", 25))
        assert (found.verified, len(found.tlsa)) == (True, kept)


def test_busted(server: NameServer) -> None:
    router = MxRouter(Dns(server.resolvers), None)
    found = router.targets(Dial("b.com", 25), busted=["MX1.b.com"])
    assert [t.host for t in found] == ["mx2.b.com"]
    with pytest.raises(DeliveryError, match="skipped") as e:
        router.targets(Dial("plain.org", 25), busted=["plain.org"])
    assert not e.value.permanent


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("localhost", 25),
        ("127.0.0.1", 25),
        ("[::1]", 25),
        ("b.com", 587),
        ("b.com", 465),
    ],
)
def test_named_servers_need_no_mx(server: NameServer, host: str, port: int) -> None:
    assert targets(server, host, port) == [Target(host.strip("[]"), port)]
    assert server.asked == []


def test_loopback_is_meant_on_other_ports(server: NameServer) -> None:
    assert targets(server, "loop.org", 2525)[0].addresses == ("127.0.0.1",)


def test_order_of_equals_is_shuffled(server: NameServer) -> None:
    zone = {("e.org", "MX"): ("10 mx1.b.com.", "10 mx2.b.com.")}
    server.zone.update(zone)
    for wanted in (["mx1.b.com", "mx2.b.com"], ["mx2.b.com", "mx1.b.com"]):
        router = MxRouter(
            Dns(server.resolvers),
            None,
            (),
            lambda p, w=wanted: p.sort(key=lambda x: w.index(x[1])),  # type: ignore[misc]
        )
        assert [t.host for t in router.targets(Dial("e.org", 25))] == wanted


def test_tlsa_counts_if_everything_is_proven(server: NameServer) -> None:
    server.secure = True
    first, *rest = targets(server, "b.com")
    assert [r.to_text() for r in first.tlsa] == [KEY]
    assert rest == []  # no answer about TLSA: that server may not be used
    untrusted = dns.Resolvers(("127.0.0.1",), server.port, trusted=False)
    router = MxRouter(Dns(untrusted), None)
    assert [t.tlsa for t in router.targets(Dial("b.com", 25))] == [(), ()]


def test_policy(server: NameServer, tmp_path: Path) -> None:
    server.zone["_mta-sts.b.com", "TXT"] = ('"v=STSv1; id=1;"',)
    text = b"version: STSv1\nmode: enforce\nmax_age: 86400\nmx: mx2.b.com\n"
    asker = Dns(server.resolvers)
    policies = Policies(asker, tmp_path, lambda domain: text)
    (found,) = MxRouter(asker, policies).targets(Dial("b.com", 25))
    assert (found.host, found.verified) == ("mx2.b.com", True)
    none = text.replace(b"mx2", b"mx9")
    policies = Policies(asker, None, lambda domain: none)
    with pytest.raises(DeliveryError, match="policy does not name") as e:
        MxRouter(asker, policies).targets(Dial("b.com", 25))
    assert not e.value.permanent


def test_answers(server: NameServer) -> None:
    asker = Dns(server.resolvers)
    server.zone["t.org", "TXT"] = ('"one " "two"', '"three"')
    assert set(asker.txt("t.org").records) == {"one two", "three"}
    assert asker.mx("t.org") == Answer((), True, False)
    server.secure = True
    assert asker.mx("nowhere.example") == Answer((), False, True)


def test_nobody_answers(
    dead_resolver: dns.Resolvers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dns, "LIFETIME", 0.2)
    with pytest.raises(DnsError) as e:
        Dns(dead_resolver).mx("b.com")
    assert not e.value.permanent


@pytest.fixture
def dead_resolver() -> Iterator[dns.Resolvers]:
    server = NameServer({})
    yield dns.Resolvers(("127.0.0.1",), server.port)
    server._sock.close()


RESOLV = [
    ("nameserver 192.0.2.1\n", dns.Resolvers(("192.0.2.1",))),
    ("nameserver 127.0.0.53\n", dns.Resolvers(("127.0.0.53",), 53, True)),
    (
        "nameserver 192.0.2.1\nnameserver ::1\noptions edns0 trust-ad\n",
        dns.Resolvers(("192.0.2.1", "::1"), 53, True),
    ),
    ("", dns.Resolvers(("127.0.0.1",))),
]


@pytest.mark.parametrize(("text", "want"), RESOLV)
def test_system(tmp_path: Path, text: str, want: dns.Resolvers) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text(text)
    assert dns.system(path) == want
    assert dns.system(tmp_path / "none").addresses == ("127.0.0.1",)


def test_listed() -> None:
    assert dns.listed([]) is None
    assert dns.listed(["ns.b.com"]) is None
    assert dns.listed(["192.0.2.1"]) == dns.Resolvers(("192.0.2.1",))
    assert dns.listed(["tcp!127.0.0.1!5353"]) == dns.Resolvers(
        ("127.0.0.1",), 5353, True
    )


def test_reach_tries_every_address() -> None:
    tried = []

    def dialer(address: str, port: int, seconds: float) -> object:
        tried.append(address)
        raise ConnectionRefusedError(111, "Connection refused")

    target = Target("mx", 25, ("::1", "127.0.0.1"))
    with pytest.raises(DeliveryError, match=r"tcp!mx!25 \(connection refused\)") as e:
        route.reach(target, 1.0, dialer)  # type: ignore[arg-type]
    assert tried == ["::1", "127.0.0.1"]
    assert not e.value.permanent
