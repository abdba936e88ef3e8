"""Certificates in words."""

import hashlib
import time

import pytest

from mailfs.tls.describe import MAX_SHOWN, describe, doubts, shown, summary
from tests.tls.pki import Pki, authority, leaf


def test_rows(pki: Pki) -> None:
    rows = dict(describe(pki.good.der))
    assert list(rows) == [
        *("subject", "names", "issuer", "from", "until"),
        *("sha1", "sha256", "key sha256"),
    ]
    assert rows["subject"] == "CN=localhost"
    assert rows["names"] == "localhost 127.0.0.1"
    assert rows["issuer"] == "CN=Test CA"
    assert rows["until"] == f"{pki.good.cert.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC"
    assert rows["sha256"] == hashlib.sha256(pki.good.der).hexdigest()
    assert rows["key sha256"] == hashlib.sha256(pki.good.spki).hexdigest()
    assert "names" not in dict(describe(pki.ca.der))


def test_unreadable_still_has_hashes() -> None:
    rows = describe(b"\x30\x00")
    assert [label for label, _ in rows] == ["unreadable", "sha1", "sha256"]


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a\x1b[31m\nb", "a?[31m?b"),
        ("\u00e9", "\u00e9"),
        ("x" * 999, "x" * MAX_SHOWN + "..."),
    ],
)
def test_shown(text: str, plain: str) -> None:
    assert shown(text) == plain


@pytest.mark.parametrize(
    ("name", "host", "fits"),
    [
        ("a.example.org", "A.example.org.", True),
        ("*.example.org", "a.example.org", True),
        ("*.example.org", "a.b.example.org", False),
        ("*.example.org", "example.org", False),
        ("a.example.org", "b.example.org", False),
    ],
)
def test_host_names(pki: Pki, name: str, host: str, *, fits: bool) -> None:
    found = doubts(leaf(pki.ca, name).der, host, time.time())
    assert (found == []) == fits
    assert fits or found == [f"it is not for {host}; its host names are {name}"]


def test_doubts_about_octets(pki: Pki) -> None:
    (doubt,) = doubts(b"x", "h", time.time())
    assert doubt.startswith("it cannot be read: ")
    assert doubts(authority("x").der, "x", time.time()) == [
        "it is not for x; its host names are none"
    ]
    assert "of CN=localhost, until " in summary(pki.good.der)
    assert summary(b"x") == "it cannot be read"
