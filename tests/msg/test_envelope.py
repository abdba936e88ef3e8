import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.msg import part
from mailfs.msg.envelope import (
    MAX_REFERENCES,
    Envelope,
    envelope,
    identifier,
    join,
    of_part,
    promote,
    references,
    split,
)
from mailfs.msg.header import scan

# The worked example of the specification, as 9front shows it.
EXAMPLE = b"""\
Received: from a by b; Tue, 28 Mar 2006 22:00:00 -0600
From: "Doe, John" <jdoe@example.com>
To: d@z.org
Subject: =?utf-8?q?h=C3=A9llo?= there
Date: Tue, 28 Mar 2006 21:58:10 -0600
Message-ID: <id1@example.com>
In-Reply-To: <id0@example.com>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="XX"

preamble
--XX
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Body =C3=A9 line
second=20
--XX
Content-Type: message/rfc822
Content-Disposition: attachment; filename="in ner.eml"

From: inner@x.org
Subject: inner subj

inner body
--XX--
epilogue
"""


def test_example() -> None:
    assert envelope(scan(EXAMPLE), "sender@example.com") == Envelope(
        from_="jdoe@example.com",
        to="d@z.org",
        replyto="jdoe@example.com",
        subject="héllo there",
        type="multipart/mixed",
        inreplyto="id0@example.com",
        date="Tue, 28 Mar 2006 21:58:10 -0600",
        messageid="id1@example.com",
        ffrom="Doe, John",
    )
    text, wrapper = part.parse(EXAMPLE).parts
    assert of_part(text) == Envelope(type="text/plain")
    inner = envelope(scan(EXAMPLE, wrapper.parts[0].start, wrapper.end))
    assert (inner.from_, inner.replyto, inner.subject) == (
        "inner@x.org", "inner@x.org", "inner subj",
    )  # fmt: skip
    assert promote(of_part(wrapper), inner) == Envelope(
        from_="inner@x.org",
        replyto="inner@x.org",
        subject="inner subj",
        type="message/rfc822",
        disposition="file",
        filename="in_ner.eml",
    )


# Header, then the values that are not those of an empty one.
HEADERS: list[tuple[bytes, dict[str, object]]] = [
    (b"", {}),
    (b"X: y\n", {}),
    (b"from: a@b\n", {"from_": "a@b", "replyto": "a@b"}),
    (b"From: A <a@b>, \"B, C\" <c@d>\n",
     {"from_": "a@b c@d", "replyto": "a@b c@d", "ffrom": "A, B, C"}),
    (b"From: b@y (Bob)\n", {"from_": "b@y", "replyto": "b@y"}),
    (b"From: =?utf-8?q?D=2C_J=C3=B6?= <j@x>\n",
     {"from_": "j@x", "replyto": "j@x", "ffrom": "D, Jö"}),
    (b"From: A <>\n", {"ffrom": "A"}),
    (b"Sender: s@t\n", {"sender": "s@t", "replyto": "s@t"}),
    (b"From: a@b\nSender: s@t\nReply-To: R <r@u>, v@w\n",
     {"from_": "a@b", "sender": "s@t", "replyto": "r@u v@w"}),
    (b"From: a@b\nSender: s@t\nReply-To:\n",
     {"from_": "a@b", "sender": "s@t", "replyto": "a@b"}),
    (b"To: a@b\nTO: C <c@d>,\n e@f\nCc: g@h\nCc: i@j\nBcc: k@l\nbcc: m@n\n",
     {"to": "a@b c@d e@f", "cc": "g@h i@j", "bcc": "k@l m@n"}),
    (b"To: undisclosed-recipients:;\n", {"to": "undisclosed-recipients:;"}),
    (b"Subject: a\r\n  b\tc\r\nSubject: d\r\n", {"subject": "a b c"}),
    (b"Subject: caf\xe9\n", {"subject": "café"}),
    (b"Subject: =?utf-8?q?a=0Ab?=\n", {"subject": "a b"}),
    (b"Subject:\n", {}),
    (b"Date:  Tue,\n 28 Mar\n", {"date": "Tue, 28 Mar"}),
    (b"Date: caf\xe9\n", {"date": "café"}),
    (b"Message-Id: <a@b> junk\n", {"messageid": "a@b"}),
    (b"In-Reply-To: Your message of \"Tue\" <a@b> <c@d>\n", {"inreplyto": "a@b"}),
    (b"In-Reply-To: =?us-ascii?q?=3Ca=40b=3E?=\n", {"inreplyto": "a@b"}),
    (b"References: <a@b>\n <c@d>\nReferences: <e@f>\n",
     {"references": ("a@b", "c@d", "e@f")}),
    (b"Content-Type: Text/HTML; name=\"a;b.html\"\n",
     {"type": "text/html", "filename": "a_b.html"}),
    (b"Content-Disposition: Inline; filename=x\nContent-Type: a/b; name=y\n",
     {"type": "a/b", "disposition": "inline", "filename": "x"}),
    (b"Content-Disposition: attachment\n", {"disposition": "file"}),
    (b"Content-Disposition: form-data\n", {}),
]  # fmt: skip


@pytest.mark.parametrize(("block", "values"), HEADERS)
def test_envelope(block: bytes, values: dict[str, object]) -> None:
    env = envelope(scan(block + b"\nbody"))
    assert env == Envelope(**values)  # type: ignore[arg-type]
    assert split(join(env)) == env
    sent = envelope(scan(block + b"\nbody"), "env@x")
    assert sent.from_ == (env.from_ or "env@x")
    assert sent.replyto == (env.replyto or "env@x")
    assert sent._replace(from_="", replyto="") == env._replace(from_="", replyto="")


@pytest.mark.parametrize(
    ("value", "want"),
    [
        (None, ""),
        (b"", ""),
        (b"<>", ""),
        (b"<a@b>", "a@b"),
        (b"a@b", "a@b"),
        (b"a b@c", "ab@c"),
        (b"< a@ b >", "a@b"),
        (b"<<a@b>>", "a@b"),
        (b"<a@b", "<a@b"),
        (b"<caf\xe9@b>", "café@b"),
        (b"=?utf-8?q?=3Ca=40b?=\n =?utf-8?q?c=3E?=", "a@bc"),
    ],
)
def test_identifier(value: bytes | None, want: str) -> None:
    assert identifier(value) == want


@pytest.mark.parametrize(
    ("values", "want"),
    [
        ([], ()),
        ([b""], ()),
        ([b"<>"], ()),
        ([b"<a@b><c@d>, <e@f>"], ("a@b", "c@d", "e@f")),
        ([b"a@b c@d,e@f"], ("a@b", "c@d", "e@f")),
        ([b"junk <a@b> (x) <c@d"], ("a@b",)),
        ([b"<a@b>\n <c@d>", b"<a@b>"], ("a@b", "c@d")),
        ([b"<a@\n b>"], ("a@b",)),
        ([b" ".join(b"<%d>" % i for i in range(30))], tuple(map(str, range(20, 30)))),
        ([b"<%d>" % i for i in range(30)], tuple(map(str, range(20, 30)))),
    ],
)
def test_references(values: list[bytes], want: tuple[str, ...]) -> None:
    assert references(values) == want
    assert len(want) <= MAX_REFERENCES


def test_promotion_leaves_what_a_wrapper_says() -> None:
    child = Envelope(from_="c", to="t", date="d", sender="s", replyto="r", subject="u")
    for wrapper in (Envelope(from_="w"), Envelope(sender="w"), Envelope(replyto="w")):
        assert promote(wrapper, child) == wrapper
    got = promote(
        Envelope(to="w", messageid="m"), child._replace(cc="x", messageid="y")
    )
    assert got == child._replace(messageid="m")


@pytest.mark.parametrize("text", ["", "a", "\n" * 13, "\n" * 15])
def test_split_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="not an envelope"):
        split(text)


PIECES = st.sampled_from(
    [
        b"From: ",
        b"To: ",
        b"\nSubject: ",
        b"\nDate: ",
        b"\nMessage-ID: ",
        b"\nReferences: ",
        b"\nIn-Reply-To: ",
        b"\nContent-Type: a/b;",
        b"\nContent-Disposition: ",
        b"<a@b>",
        b"\n ",
        b"\r\n",
        b"=?utf-8?q?=0A?=",
        b'"',
        b"(",
        b"\x00",
        b"\xe2\x80\xa8",
        b"name=",
    ]
)
NEAR = st.lists(PIECES | st.binary(max_size=4), max_size=30).map(b"".join)


@given(NEAR)
def test_any_octets_give_values_of_one_line(octets: bytes) -> None:
    env = envelope(scan(b"From: x" + octets), "s")
    assert split(join(env)) == env
    assert len(join(env).split("\n")) == len(Envelope._fields)
    for text in (*env[:-1], *env.references):
        text.encode()
        assert not set(text) & set("\r\n\0\u2028")
