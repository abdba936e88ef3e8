"""Servers found: presets, SRV from a name server, autoconfig; and nothing by guess."""

import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.errors import MailfsError, UsageError
from mailfs.factotum.oauth import PROVIDERS as TOKENS
from mailfs.setup import autoconfig, provider, server
from mailfs.setup.autoconfig import BadConfig
from mailfs.setup.lookup import Lookup
from mailfs.setup.provider import OWN
from mailfs.setup.srv import Srv, within
from tests.smtp.nameserver import FAIL, NameServer, Zone

SERVERS = [
    ("imap.x.org", "/imaps/imap.x.org", "imap"),
    ("tcp!imap.x.org!993", "/imaps/imap.x.org", "imap"),
    ("tcp!imap.x.org!143", "/imaptls/imap.x.org", "imap"),
    ("tcp!imap.x.org!imaps", "/imaps/imap.x.org", "imap"),
    ("tcp!pop.x.org!995", "/pops/pop.x.org", "pop"),
    ("/imaptls/tcp!x.org!1143", "/imaptls/tcp!x.org!1143", "imap"),
    ("/imaptls/x.org/", "/imaptls/x.org", "imap"),
    ("/apops/x.org", "/apops/x.org", "pop"),
    ("/imap/localhost", "/imap/localhost", "imap"),
    ("/pop/127.0.0.1", "/pop/127.0.0.1", "pop"),
]
SENDERS = [
    ("smtp.x.org", "/submissions/smtp.x.org", "net!smtp.x.org!465"),
    ("tcp!smtp.x.org!587", "/submission/smtp.x.org", "net!smtp.x.org!587"),
    ("/smtp/hub", "/smtp/hub", "hub"),
    ("tcp!hub!25", "/smtp/hub", "hub"),
    ("/smtp/tcp!hub!26", "/smtp/tcp!hub!26", "net!hub!26"),
    (
        "/submission/tcp!127.0.0.1!1025",
        "/submission/tcp!127.0.0.1!1025",
        "net!127.0.0.1!1025",
    ),
]
BAD = [
    "",
    " ",
    "/",
    "/imaps/",
    "/imaps/h/u",
    "/ftp/h",
    "h:993",
    "user@h/x",
    "tcp!h!26",
    "a b",
]
BAD += [
    "/imap/x.org",
    "/pop/x.org",
    "/apop/x.org",
    "tcp!!993",
    "/imaps/tcp!h!99999",
    "tcp!h!x",
]


@pytest.mark.parametrize(("text", "shown", "kind"), SERVERS)
def test_incoming(text: str, shown: str, kind: str) -> None:
    found = server.incoming(text)
    assert (str(found), found.kind) == (shown, kind)
    assert server.incoming(str(found)) == found


@pytest.mark.parametrize(("text", "shown", "gateway"), SENDERS)
def test_outgoing(text: str, shown: str, gateway: str) -> None:
    found = server.outgoing(text)
    assert (str(found), found.gateway, found.kind) == (shown, gateway, "smtp")
    assert server.outgoing(str(found)) == found


@pytest.mark.parametrize("text", BAD)
def test_no_server(text: str) -> None:
    with pytest.raises(UsageError):
        server.incoming(text)


def test_the_table_of_providers() -> None:
    names = [p.name for p in (*provider.PROVIDERS, OWN)]
    domains = [d for p in provider.PROVIDERS for d in p.domains]
    assert len(set(names)) == len(names)
    assert len(set(domains)) == len(domains)
    for one in provider.PROVIDERS:
        assert str(server.incoming(one.incoming)) == one.incoming
        assert str(server.outgoing(one.outgoing)) == one.outgoing
        assert (provider.OAUTH in one.ways) == bool(one.oauth)
        assert one.oauth in ("", *TOKENS)
        assert one.domains or one.mx
        assert provider.named(one.name.upper()) is one
        for domain in one.domains:
            assert provider.of_domain(domain.upper()) is one
    assert provider.named("nonesuch") is None
    assert provider.of_exchanger("aspmx.l.google.com.") is provider.named("gmail")
    assert provider.of_exchanger("notgoogle.com") is None
    olc = "outlook-com.olc.protection.outlook.com"
    assert provider.of_exchanger(olc) is provider.named("outlook")
    assert provider.of_exchanger("x-org.mail.protection.outlook.com") is provider.named(
        "office365"
    )


XML = """<?xml version="1.0"?>
<clientConfig version="1.1"><emailProvider id="x.org"><domain>x.org</domain>
<incomingServer type="pop3"><hostname>pop.x.org</hostname><port>995</port>
 <socketType>SSL</socketType><username>%EMAILADDRESS%</username></incomingServer>
<incomingServer type="imap"><hostname>imap.%EMAILDOMAIN%</hostname><port>143</port>
 <socketType>STARTTLS</socketType><username>%EMAILLOCALPART%</username></incomingServer>
<incomingServer type="imap"><hostname>clear.x.org</hostname><port>143</port>
 <socketType>plain</socketType><username>u</username></incomingServer>
<outgoingServer type="smtp"><hostname>smtp.x.org</hostname><port>4650</port>
 <socketType>SSL</socketType><username>%EMAILADDRESS%</username></outgoingServer>
</emailProvider></clientConfig>"""


def test_autoconfig() -> None:
    named = autoconfig.parse(XML.encode(), "glenda@x.org")
    assert [(str(one.server), one.user) for one in named] == [
        ("/imaptls/imap.x.org", "glenda"),
        ("/pops/pop.x.org", "glenda@x.org"),
        ("/submissions/tcp!smtp.x.org!4650", "glenda@x.org"),
    ]


BOMB = '<!DOCTYPE a [<!ENTITY b "bbbb">]><clientConfig>&b;</clientConfig>'
REFUSED = [
    b"",
    b"<a>",
    b"<html><body>not found</p></html>",
    BOMB.encode(),
    b"<!DOCTYPE html><html></html>",
    b"<a>" * 17 + b"</a>" * 17,
    b"<r>" + b"<a/>" * 1000 + b"</r>",
    b"<a>" + b" " * autoconfig.MAX_XML + b"</a>",
    b'<?xml version="1.0" encoding="no-such"?><a/>',
    b"<a>\0</a>",
]


@pytest.mark.parametrize("xml", REFUSED)
def test_autoconfig_refuses(xml: bytes) -> None:
    with pytest.raises(BadConfig):
        autoconfig.parse(xml, "glenda@x.org")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("imap.%EMAILDOMAIN%", "tcp!evil!993"),
        ("imap.%EMAILDOMAIN%", "%REALHOSTNAME%"),
        ("imap.%EMAILDOMAIN%", ""),
        (
            "<port>143</port>\n <socketType>STARTTLS",
            "<port>0143x</port><socketType>STARTTLS",
        ),
        (
            "<port>143</port>\n <socketType>STARTTLS",
            "<port>99999</port><socketType>STARTTLS",
        ),
    ],
)
def test_autoconfig_leaves_out_what_makes_no_sense(old: str, new: str) -> None:
    named = autoconfig.parse(XML.replace(old, new).encode(), "glenda@x.org")
    assert [one.server.kind for one in named] == ["pop", "smtp"]


@given(
    st.binary(max_size=200)
    | st.lists(st.sampled_from(XML.split("\n")), max_size=12).map(
        lambda lines: "\n".join(lines).encode()
    )
)
def test_autoconfig_of_garbage(xml: bytes) -> None:
    try:
        named = autoconfig.parse(xml, "glenda@x.org")
    except BadConfig:
        return
    assert all(one.user for one in named)


def nothing(url: str, body: bytes | None) -> tuple[int, bytes]:
    raise MailfsError(f"{url}: nobody there")


SRV: Zone = {
    ("x.org", "MX"): ["10 mx.x.org."],
    ("_imaps._tcp.x.org", "SRV"): [
        "0 1 993 imap.x.org.",
        "0 9 1993 big.x.org.",
        "5 0 993 late.x.org.",
    ],
    ("_imap._tcp.x.org", "SRV"): ["0 1 143 imap.x.org."],
    ("_submission._tcp.x.org", "SRV"): ["0 1 587 smtp.x.org."],
    ("_submissions._tcp.x.org", "SRV"): ["0 0 0 ."],
}


def lookup(zone: Zone, address: str, fetch: Callable[..., tuple[int, bytes]] = nothing):  # type: ignore[no-untyped-def]
    with NameServer(zone) as names:
        return Lookup(Srv(names.resolvers), fetch).find(address)


def test_srv() -> None:
    found = lookup(SRV, "glenda@x.org")
    assert str(found.incoming) == "/imaps/tcp!big.x.org!1993"
    assert str(found.outgoing) == "/submission/smtp.x.org"
    assert (found.user, found.sure, found.provider) == ("glenda@x.org", True, OWN)


def test_srv_that_leads_elsewhere_is_not_sure() -> None:
    zone = {("_imaps._tcp.x.org", "SRV"): ["0 1 993 imap.evil.org."]}
    found = lookup(zone, "glenda@x.org")
    assert (str(found.incoming), found.sure) == ("/imaps/imap.evil.org", False)
    assert within("a.x.org.", "X.org")
    assert not within("ax.org", "x.org")
    assert not within("x.org.evil.org", "x.org")


def test_exchangers_tell_the_provider() -> None:
    zone = {("x.org", "MX"): ["20 other.", "10 aspmx.l.google.com."]}
    found = lookup(zone, "glenda@x.org")
    assert found.provider is provider.named("gmail")
    assert str(found.incoming) == "/imaps/imap.gmail.com"
    assert "aspmx.l.google.com" in found.source


def test_what_the_domain_says_over_https_comes_first() -> None:
    asked = []

    def fetch(url: str, body: bytes | None) -> tuple[int, bytes]:
        asked.append(url)
        return (200, XML.encode()) if "well-known" in url else (404, b"no")

    found = lookup(SRV, "glenda@x.org", fetch)
    assert (str(found.incoming), found.user) == ("/imaptls/imap.x.org", "glenda")
    assert found.sure
    assert asked == autoconfig.urls("glenda@x.org")
    assert all(url.startswith("https://") for url in asked)


@pytest.mark.parametrize(
    "zone",
    [
        {},
        {("x.org", "MX"): FAIL, ("_imaps._tcp.x.org", "SRV"): FAIL},
        {("x.org", "MX"): ["0 ."]},
    ],
)
def test_nothing_found(zone: Zone) -> None:
    found = lookup(zone, "glenda@x.org")
    assert (found.incoming, found.outgoing, found.provider) == (None, None, OWN)


def test_a_known_domain_asks_nobody() -> None:
    with NameServer({}) as names:
        found = Lookup(Srv(names.resolvers), nothing).find("glenda@icloud.com")
        assert names.asked == []
    assert (found.user, found.provider.name) == ("glenda", "icloud")


def test_who_does_not_answer_is_not_waited_for() -> None:
    never = threading.Event()

    def hang(url: str, body: bytes | None) -> tuple[int, bytes]:
        never.wait(60)
        return 404, b""

    with NameServer(SRV) as names:
        try:
            found = Lookup(Srv(names.resolvers), hang, 0.5).find("glenda@x.org")
        finally:
            never.set()
    assert str(found.outgoing) == "/submission/smtp.x.org"


def test_ispdb() -> None:
    asked = []

    def fetch(url: str, body: bytes | None) -> tuple[int, bytes]:
        asked.append(url)
        return 200, XML.encode()

    with NameServer({}) as names:
        found = Lookup(Srv(names.resolvers), fetch).ispdb("glenda@x.org")
    assert found is not None
    assert found.sure
    assert asked == ["https://autoconfig.thunderbird.net/v1.1/x.org"], (
        "no address in it"
    )


def test_what_could_not_be_asked_is_told() -> None:
    def fetch(url: str, data: bytes | None) -> tuple[int, bytes]:
        raise MailfsError("certificate has expired")

    with NameServer({("_imaps._tcp.nowhere.example", "SRV"): FAIL}) as names:
        asked = Lookup(Srv(names.resolvers), fetch)
        asked.find("glenda@nowhere.example")
    assert any("certificate has expired" in why for why in asked.failures)
    assert any(why.startswith("_imaps._tcp.nowhere") for why in asked.failures)
    assert all("glenda" not in why for why in asked.failures)
