"""The header as it leaves; the vector is what upas's smtp -f prints."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.smtp.header import addresses, convert, take

VECTOR = b"""\
From root Sun Nov 22 12:45:08 GMT 2026 remote from kremvax
To: b.com!a, c, "Q" <x.org!y.org!z>
Cc:
X-Weird: !foo

body
.dot
last"""
WANT = b"""\
Message-ID: <0@mydom.org>
From: kremvax!root@mydom.org
Date: Sun, 22 Nov 2026 12:45:08 +0000
To: a@b.com, c@mydom.org, "Q" <@x.org:z@y.org>
Cc:
X-Weird: !foo"""


def converted(octets: bytes, sender: str = "a@b.c") -> list[bytes]:
    return convert(
        take(octets), sender=sender, domain="mydom.org", now=0, token=lambda: "0"
    )


def test_vector() -> None:
    fields = converted(VECTOR, "kremvax!root@mydom.org")
    assert b"\n".join(fields) == WANT
    assert VECTOR[take(VECTOR).body :] == b"body\n.dot\nlast"
    assert take(VECTOR).sender == "root"
    returns = VECTOR.replace(b"\n", b"\r\n")
    assert returns[take(returns).body :] == b"body\r\n.dot\r\nlast"
    assert take(returns).fields == take(VECTOR).fields


FIELDS = [
    (b"To: a@b.c", b"To: a@b.c"),
    (b"TO:a", b"TO:a@mydom.org"),
    (b"To: a (b, c), d", b"To: a@mydom.org (b, c), d@mydom.org"),
    (b"To: all: a, b@c.d;, e", b"To: all: a@mydom.org, b@c.d;, e@mydom.org"),
    (b'To: "a, b" <c>', b'To: "a, b" <c@mydom.org>'),
    (b"To: Joe X <x.y!joe>,\n\tb", b"To: Joe X <joe@x.y>,\n\tb@mydom.org"),
    (b"To: x.org!y.org!z", b"To: <@x.org:z@y.org>"),
    (b"To: two words", b"To: two words"),
    (b"To: <>", b"To: <>"),
    (b"To: undisclosed-recipients:;", b"To: undisclosed-recipients:;"),
    (b'To: "a!b"@c.d', b'To: "a!b"@c.d'),
    (b"Subject: a, b!c", b"Subject: a, b!c"),
    (b"Subject : x", b"Subject: x"),
    (b"To\t: a", b"To: a@mydom.org"),
    (b"Subject: a\rBcc: b", b"Subject: a Bcc: b"),
]


@pytest.mark.parametrize(("field", "want"), FIELDS)
def test_field(field: bytes, want: bytes) -> None:
    rest = b"From: x@y.z\nDate: now\nMessage-ID: <1@2>\nTo: q@r.s\n"
    assert converted(rest + field + b"\n\n")[4:] == [want]


def test_a_line_that_is_no_field() -> None:
    """In a header it gets a name; behind it, it is the body's first."""
    rest = b"From: x@y.z\nDate: now\nMessage-ID: <1@2>\n"
    fields = converted(rest + b"no field\nTo: q@r.s\n\n")
    assert fields[3:] == [b"BadHeader: no field", b"To: q@r.s"]
    text = rest + b"To: q@r.s\nno field\n\nbody\n"
    assert text[take(text).body :] == b"no field\n\nbody\n"


def test_blind_copies_go() -> None:
    fields = converted(b"To: a@b.c\nBcc: secret@x.y,\n z@x.y\nResent-Bcc: w@x.y\n\n")
    assert not [f for f in fields if b"x.y" in f]


def test_blind_copies_go_however_many_fields_there_are() -> None:
    many = [b"X-%d: y" % n for n in range(20_000)]
    fields = converted(b"\n".join([*many, b"Bcc : a@x.y", b"Z: z", b"", b""]))
    assert [f for f in fields if f.startswith((b"X", b"Z", b"B"))] == [*many, b"Z: z"]


def test_recipients_are_not_told_of_each_other() -> None:
    assert b"To: undisclosed-recipients:;" in converted(b"Subject: x\n\n")
    assert b"To: undisclosed-recipients:;" not in converted(b"Cc: a@b.c\n\n")


def test_bounce_has_an_author() -> None:
    assert b"From: Postmaster@mydom.org" in converted(b"Subject: x\n\n", "")


def test_body_without_a_header() -> None:
    text = b"From a Sun Nov 22 12:45:08 2026\nhello there\nSubject: x\n"
    source = take(text)
    assert source.fields == ()
    assert text[source.body :] == b"hello there\nSubject: x\n"


@given(st.binary(max_size=60))
def test_text_is_kept(text: bytes) -> None:
    assert (
        addresses(text, lambda address: address).replace(b"\r", b"")
        == (text.replace(b"\r", b""))
        or b":" in text
        or b"<" in text
    )


@given(st.text(alphabet='ab@.,<>()";: \n\t\\!', max_size=40))
def test_any_list_is_taken(text: str) -> None:
    addresses(text.encode(), lambda address: b"x@y")
