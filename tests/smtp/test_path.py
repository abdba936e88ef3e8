"""Addresses at SMTP's edge, dial strings; vectors of smtp(8)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.smtp.path import BadPath, Dial, at, dial, envelope, literal

AT = [
    ("b.com!a", "a@b.com"),
    ("c", "c@h.org"),
    ("a@b.com", "a@b.com"),
    ("kremvax!root", "kremvax!root@h.org"),
    ("x.org!y.org!z", "@x.org:z@y.org"),
    ("w.org!x.org!y.org!z", "@w.org,@x.org:z@y.org"),
    ("a.x!kremvax!c", "kremvax!c@a.x"),
    ("kremvax!b.com!u", "kremvax!b.com!u@h.org"),
    ('d.com!"a!b"', '"a!b"@d.com'),
    ('"joe x"@b.com', '"joe x"@b.com'),
    ("joe@", "joe@h.org"),
    ("/dev/null", ""),
    ("", ""),
]


@pytest.mark.parametrize(("word", "want"), AT)
def test_at(word: str, want: str) -> None:
    assert at(word, "h.org") == want


def test_at_with_a_domain_for_systems() -> None:
    assert at("gnot!u", "h.org", local=".x.org") == "u@gnot.x.org"
    assert at("a.b!u", "h.org", local=".x.org") == "u@a.b"
    assert at("u", "") == "u"


ENVELOPE = [
    ("o%%27neil@a.b", "o'neil@a.b"),
    ("b.com!joe x", '"joe x"@b.com'),
    ("b.com!joe%%20x", '"joe x"@b.com'),
    ('b.com!"joe x"', '"joe x"@b.com'),
    ('b.com!a"b', '"a\\"b"@b.com'),
    ("x.org!y.org!z", "z@y.org"),  # receivers drop routes: RFC 5321 section 3.6.1
    ("a@b.com.", "a@b.com"),
    ("a@[127.0.0.1]", "a@[127.0.0.1]"),
    ("a@[IPv6:::1]", "a@[IPv6:::1]"),
    ("jürgen@b.com", "jürgen@b.com"),
    ("a@bücher.example", "a@bücher.example"),
    ("bob", "bob@h.org"),
    ("a..b@c.d", '"a..b"@c.d'),
    ("/dev/null", ""),
]


@pytest.mark.parametrize(("word", "want"), ENVELOPE)
def test_envelope(word: str, want: str) -> None:
    assert str(envelope(word, "h.org")) == want


@pytest.mark.parametrize(
    "word",
    [
        "a@b c",
        "a@-b.com",
        "a@b..c",
        "a@b>c",
        "a\r\nRCPT TO:<x@y>@b.c",
        "a\0@b.c",
        "@b.c",
        "a@" + "b" * 300,
        "a@<script>",
        "é\x01@b.c",
    ],
)
def test_no_address(word: str) -> None:
    with pytest.raises(BadPath):
        envelope(word, "h.org")


@given(st.text(max_size=30))
def test_nothing_leaves_its_command(word: str) -> None:
    try:
        text = str(envelope(word, "h.org"))
    except BadPath:
        return
    assert not re.search(r"[\x00-\x1f\x7f]", text)
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", text)
    assert not re.search(r"[<> ]", bare)


def test_ascii_domain() -> None:
    path = envelope("a@bücher.example", "h.org")
    assert not path.utf8
    assert str(path.ascii()) == "a@xn--bcher-kva.example"
    assert envelope("jürgen@b.com", "").utf8
    with pytest.raises(BadPath):
        envelope(f"a@{'ü' * 80}.x", "").ascii()


DIALS = [
    ("net!b.com", Dial("b.com", 25)),
    ("net!b.com!smtp", Dial("b.com", 25)),
    ("net!b.com!587", Dial("b.com", 587)),
    ("tcp!b.com!submission", Dial("b.com", 587)),
    ("net!b.com!ssmtp", Dial("b.com", 465)),
    ("/net.alt/tcp!b.com!esmtp", Dial("b.com", 587)),
    ("b.com", Dial("b.com", 25)),
    ("net!$smtp", Dial("$smtp", 25)),
    ("net![::1]!2525", Dial("[::1]", 2525)),
    ("net!b.com.", Dial("b.com", 25)),
]


@pytest.mark.parametrize(("text", "want"), DIALS)
def test_dial(text: str, want: Dial) -> None:
    assert dial(text) == want
    assert dial(str(want)) == want


@pytest.mark.parametrize(
    "text", ["", "net!", "net!b.com!0", "net!b.com!99999", "udp!b.com", "net!b!c!d"]
)
def test_no_dial(text: str) -> None:
    with pytest.raises(BadPath):
        dial(text)


@pytest.mark.parametrize(
    ("host", "want"),
    [("b.c", "b.c"), ("127.0.0.1", "[127.0.0.1]"), ("[::1]", "[IPv6:::1]")],
)
def test_literal(host: str, want: str) -> None:
    assert literal(host) == want
