"""smtpd.conf, networks, blocked and the smaller lists."""

import ipaddress

import pytest

from mailfs.serve.smtpd.blocked import Action, Blocked
from mailfs.serve.smtpd.conf import parse
from mailfs.serve.smtpd.grammar import Path
from mailfs.serve.smtpd.lists import NamesBlocked, Senders, whitelist
from mailfs.serve.smtpd.net import Nets, address, net

CONF = r"""
# ours
defaultdomain Example.ORG
norelay off, # blanks and commas
ournets 10.1 192.168.1.7, 2001:db8::/32
ournets 172.16.0.0/12
ourdomains *.example.org other.net
maxsize 1000
saveblockedmsg on
greylist yes
odd\#name on
maxrcpts many
"""


def test_conf() -> None:
    conf = parse(CONF)
    assert (conf.defaultdomain, conf.norelay, conf.greylist) == (
        "example.org",
        False,
        False,
    )
    assert (conf.maxsize, conf.saveblockedmsg, conf.maxrcpts) == (1000, True, 1000)
    for inside in ("10.1.200.3", "192.168.1.7", "2001:db8::7", "172.20.1.1"):
        assert address(inside) in conf.ournets
    for outside in ("10.2.0.1", "192.168.1.8", "2001:db9::7", "::ffff:11.1.0.1"):
        assert address(outside) not in conf.ournets
    assert address("::ffff:10.1.2.3") in conf.ournets
    for name in ("example.org", "a.b.example.org", "other.net"):
        assert conf.ours(name.upper())
    for name in ("badexample.org", "a.other.net", ""):
        assert not conf.ours(name)
    assert [text.partition(":")[0] for text in conf.complaints] == [
        "line 11",
        "line 12",
    ]


def test_defaults_relay_for_nobody() -> None:
    assert parse("").norelay
    assert address("127.0.0.1") not in parse("").ournets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("10.1", "10.1.0.0/16"),
        ("10.1.2", "10.1.2.0/24"),
        ("10.1.2.3", "10.1.2.3/32"),
        ("10/8", "10.0.0.0/8"),
        ("10.1.2.3/24", "10.1.2.0/24"),
        ("2001:db8::1", "2001:db8::1/128"),
    ],
)
def test_networks(text: str, shown: str) -> None:
    assert str(net(text)) == shown


@pytest.mark.parametrize("text", ["", "10", "a.b", "10.1.2.3/33", "300.1", "x/8"])
def test_no_networks(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        net(text)


def test_nobody_is_in_no_network() -> None:
    assert None not in Nets([ipaddress.ip_network("0.0.0.0/0")])


BLOCKED = """
block 10.1 # a network
deny 10.2.3.4
dial 10.3/16
delay 10.4
allow 10.1.1.1
*block spam.com *.evil.net !winner
* deny one.org!bob lottery*
*block * ! *!*
relay 10.5
*accept good.spam.com!*
frobnicate 10.6
block nonsense
"""

SENDERS = [
    ("10.1.2.3", "b!a", Action.BLOCK),
    ("10.1.1.1", "b!a", Action.ALLOW),
    ("10.2.3.4", "b!a", Action.DENY),
    ("10.3.0.1", "b!a", Action.DIAL),
    ("10.4.0.1", "b!a", Action.DELAY),
    ("10.5.0.1", "b!a", Action.DELAY),
    ("1.1.1.1", "spam.com!a", Action.BLOCK),
    ("1.1.1.1", "x!SPAM.com!a", Action.BLOCK),
    ("1.1.1.1", "a.evil.net!a", Action.BLOCK),
    ("1.1.1.1", "evil.net!a", Action.BLOCK),
    ("1.1.1.1", "notevil.net!a", None),
    ("1.1.1.1", "any.where!winner", Action.BLOCK),
    ("1.1.1.1", "one.org!bob", Action.DENY),
    ("1.1.1.1", "one.org!bo", None),
    ("1.1.1.1", "lottery.biz!a", Action.DENY),
    ("1.1.1.1", "good.spam.com!a", Action.ALLOW),
    ("1.1.1.1", "b!a", None),
]


@pytest.mark.parametrize(("peer", "sender", "action"), SENDERS)
def test_blocked(peer: str, sender: str, action: Action | None) -> None:
    assert Blocked(BLOCKED).find(address(peer), sender) is action


def test_blocked_complains() -> None:
    told = Blocked(BLOCKED).complaints
    assert [text.partition(":")[0] for text in told] == ["line 12", "line 13"]


def test_names_blocked() -> None:
    names = NamesBlocked("# nobody\nexample.org!Sales x\nbob@x.org\n")
    assert Path("sales", "example.org") in names
    assert Path("Bob", "x.org") in names
    assert Path("bob", "y.org") not in names


def test_senders() -> None:
    table = Senders("glenda 10.1\nbob friends.net\n")
    known = {"friends.net": ["192.0.2.1"]}

    def lookup(name: str) -> list[str]:
        return known.get(name, [])

    def admits(user: str, peer: str) -> bool:
        return table.admits(Path(user, "x.org"), address(peer), lookup)

    assert admits("glenda", "10.1.5.5")
    assert not admits("glenda", "10.2.5.5")
    assert admits("bob", "192.0.2.1")
    assert not admits("bob", "192.0.2.2")
    assert admits("anyone", "1.2.3.4")


def test_whitelist() -> None:
    nets = whitelist("10.1/16 friends # x\nnonsense\n2001:db8::/32\n")
    assert address("10.1.2.3") in nets
    assert address("10.2.2.3") not in nets
