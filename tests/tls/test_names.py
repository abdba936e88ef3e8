"""Distinguished names and what follows the comma."""

import pytest
from cryptography import x509

from mailfs.tls.names import BadHostName, parse

ROWS = [
    ("C=FR CN=*.fakedom.dom", "CN=*.fakedom.dom,C=FR", ["*.fakedom.dom"]),
    ("CN='A B' O='x, y'", "O=x\\, y,CN=A B", []),
    ("CN=mail.x.com, x.com,mail.x.com", "CN=mail.x.com", ["x.com", "mail.x.com"]),
    ("CN=a, 10.0.0.1, ::1, me@x", "CN=a", ["10.0.0.1", "::1", "me@x"]),
    ("CN=a, O=b CN=c", "CN=a", ["<Name(CN=c,O=b)>"]),
    ("what CN=10.0.0.1 ever=x", "CN=10.0.0.1", ["10.0.0.1"]),
    ("E=me@x DC=x", "DC=x,1.2.840.113549.1.9.1=me@x", []),
    ("CN=a,", "CN=a", []),
]


@pytest.mark.parametrize(("text", "subject", "others"), ROWS)
def test_names(text: str, subject: str, others: list[str]) -> None:
    names = parse(text)
    assert names.subject.rfc4514_string() == subject
    assert [str(n.value) for n in names.others] == others


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no name in ''"),
        ("X=1 y", "no name in"),
        (", a", "no name in"),
        ("CN=", "length must be"),
        ("C=FRA", "length must be"),
        ("CN=" + "x" * 65, "64"),
        ("CN=\u00e9, \u00e9.x", "."),
        ("CN=a " * 21, "more than 20 words"),
        ("CN=a" + ",b" * 101, "more than 100 names"),
    ],
)
def test_bad(text: str, why: str) -> None:
    with pytest.raises(BadHostName, match=why):
        parse(text)


def test_host_or_address() -> None:
    kinds = [type(n) for n in parse("CN=a, 1.2.3.4, b.c").others]
    assert kinds == [x509.IPAddress, x509.DNSName]
