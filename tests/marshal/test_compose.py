"""Whole messages: their header, their envelope, and who is not told of whom."""

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailfs.errors import MailfsError
from mailfs.marshal import draft
from mailfs.marshal.attachment import Attachment
from mailfs.marshal.compose import Author, ComposedMail, Order, compose
from mailfs.marshal.entity import Token
from mailfs.marshal.reply import Parent
from mailfs.msg import address, header

from .reading import Leaf, both, check_lines, field

NOW = 1795351500.25  # Sun, 22 Nov 2026 12:45:00 UTC
ALIASES = {
    "bob": ["Bob B <bob@example.org>"],
    "team": ["bob", "carol@example.org", "glenda"],
    "loop": ["loop2", "x@example.org"],
    "loop2": ["loop"],
    "self": ["self"],
    "long": ["user@example.org"],
}
AUTHOR = Author("glenda", "gnot.example.com", expand=lambda word: ALIASES.get(word, []))
HEADERS = (
    ("From", b' "Glenda" <glenda@myserver.dom>'),
    ("Organization", b" Plan 9"),
    ("Subject", b" default"),
)


def tokens() -> Token:
    """Return tokens that can be told beforehand."""
    numbers = itertools.count()
    return lambda: f"t{next(numbers)}"


def mail(text: str | bytes, author: Author = AUTHOR, **order: Any) -> ComposedMail:
    """Compose what was typed, in Greenwich."""
    typed = draft.typed(text.encode() if isinstance(text, str) else text)
    return compose(typed, Order(**order), author, now=NOW, token=tokens())


def test_the_plainest() -> None:
    made = mail("hello\n", to=("fred@machine.edu",))
    when = field(made.octets, "date") or b""
    assert re.fullmatch(rb"Sun, 22 Nov 2026 \d\d:\d\d:00 [+-]\d{4}", when)
    assert made.octets.replace(when, b"DATE").decode() == (
        "Date: DATE\n"
        "Message-ID: <6b02e3cc.t0@gnot.example.com>\n"
        "From: glenda\n"
        "To: fred@machine.edu\n"
        "MIME-Version: 1.0\n"
        'Content-Type: text/plain; charset="US-ASCII"\n'
        "Content-Transfer-Encoding: 7bit\n"
        "\n"
        "hello\n"
    )
    assert (made.sender, made.recipients) == ("glenda", ("fred@machine.edu",))
    assert made.date == int(NOW)


# What is typed, what is asked; fields of the result, and the recipients.
FIELDS = [
    ("x\n", {"to": ["a@b"], "subject": "Thé"}, {"subject": "=?utf-8?q?Th=C3=A9?="}),
    ("Subject: own\n\nx\n", {"to": ["a@b"], "subject": "other"}, {"subject": "own"}),
    ("subject: own\nx\n", {"to": ["a@b"]}, {"subject": "own"}),
    ("x\n", {"to": ["a@b"], "cc": ["C D <c@d>"]}, {"to": "a@b", "cc": "C D <c@d>"}),
    ("x\n", {"to": ["bob"]}, {"to": "Bob B <bob@example.org>"}),
    ("x\n", {"to": ["Me <long>"]}, {"to": "Me <user@example.org>"}),
    (
        "x\n",
        {"to": ["team", "bob"]},
        {"to": "Bob B <bob@example.org>, carol@example.org, glenda"},
    ),
    ("x\n", {"to": ["loop"]}, {"to": "loop, x@example.org"}),
    ("x\n", {"to": ["self"]}, {"to": "self"}),
    ("To: z@y\n\nx\n", {"to": ["a@b"]}, {"to": "z@y"}),
    ("Cc: z@y\n\nx\n", {"to": ["a@b"], "cc": ["c@d"]}, {"cc": "z@y, c@d"}),
    ("X-Own: é\n\nx\n", {"to": ["a@b"]}, {"x-own": "=?utf-8?q?=C3=A9?="}),
    ("From: Zoë <z@y>\n\nx\n", {"to": ["a@b"]}, {"from": "=?utf-8?q?Zo=C3=AB?= <z@y>"}),
    ("Date: Mon, 2 Mar 2026 09:00:00 +0000\n\nx\n", {"to": ["a@b"]}, {
        "date": "Mon, 2 Mar 2026 09:00:00 +0000"}),
    ("Message-ID: <own@x>\n\nx\n", {"to": ["a@b"]}, {"message-id": "<own@x>"}),
    ("From: a@own.example\n\nx\n", {"to": ["a@b"]}, {
        "message-id": "<6b02e3cc.t0@own.example>"}),
    ("MIME-Version: 1.0\n\nx\n", {"to": ["a@b"]}, {"mime-version": "1.0"}),
    ("x\n", {"bcc": ["a@b"]}, {"to": "undisclosed-recipients:;", "bcc": None}),
    ("note: hi\n", {"to": ["a@b"]}, {"note": None}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "order", "fields"), FIELDS)
def test_fields(text: str, order: dict[str, Any], fields: dict[str, str]) -> None:
    made = mail(text, **order)
    check_lines(made.octets)
    for name, value in fields.items():
        expect = None if value is None else value.encode()
        assert field(made.octets, name) == expect
    body = "note: hi\n" if "note" in fields else "x\n"
    assert [leaf.octets.decode() for leaf in both(made.octets)] == [body]


# With recipients from the header: what is typed and asked; recipients, To and Cc.
HEADED = [
    ("To: a@b\n\nx", {}, ["a@b"], "a@b", None),
    ("To: A (c) <a@b>,\n c@d\nCc: e@f\n\nx", {}, ["a@b", "c@d", "e@f"],
     "A (c) <a@b>, c@d", "e@f"),
    ("To: a@b\nTo: c@d\n\nx", {}, ["a@b", "c@d"], "a@b, c@d", None),
    ("To: a@b\n\nx", {"to": ["a@b", "c@d"]}, ["a@b", "c@d"], "a@b, c@d", None),
    ("To: bob, z@y\n\nx", {}, ["bob@example.org", "z@y"],
     "Bob B <bob@example.org>, z@y", None),
    ("To: us: a@b, c@d;\n\nx", {}, ["a@b", "c@d"], "us: a@b, c@d;", None),
    ("To: nobody:;\nBcc: a@b\n\nx", {}, ["a@b"], "nobody:;", None),
    ("Bcc: a@b\n\nx", {}, ["a@b"], "undisclosed-recipients:;", None),
    ("Cc: a@b\nBcc: c@d\n\nx", {}, ["a@b", "c@d"], None, "a@b"),
    ("To: Zoë <z@y>\n\nx", {}, ["z@y"], "=?utf-8?q?Zo=C3=AB?= <z@y>", None),
    ("To: machine.edu!fred\n\nx", {}, ["machine.edu!fred"], "machine.edu!fred", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "order", "bare", "to", "cc"), HEADED)
def test_headed(  # one row
    text: str, order: dict[str, Any], bare: list[str], to: str | None, cc: str | None
) -> None:
    made = mail(text, headed=True, **order)
    assert list(made.recipients) == bare
    for name, value in (("to", to), ("cc", cc)):
        expect = None if value is None else value.encode()
        assert field(made.octets, name) == expect
    check_lines(made.octets)


REFUSED = [
    ("x", {}, "no addresses found, message not sent"),
    ("To: a@b\n\nx", {}, "no addresses found"),
    ("To: nobody:;\n\nx", {"headed": True}, "no addresses found"),
    ("To: fred smith\n\nx", {"headed": True}, "rfc822 syntax error in address"),
    ("x", {"to": ["fred smith"]}, "rfc822 syntax error in address 'fred smith'"),
    ("x", {"to": ["a@b, c d"]}, "rfc822 syntax error"),
    ("Subject: a\nSubject: b\n\nx", {"to": ["a@b"]}, "two fields subject"),
    ("From: a@b\nfrom: b@c\n\nx", {"to": ["a@b"]}, "two fields from"),
    ("x", {"to": ["a" * 2000 + "@b"]}, "address too long"),
]


@pytest.mark.parametrize(("text", "order", "why"), REFUSED)
def test_refused(text: str, order: dict[str, Any], why: str) -> None:
    with pytest.raises(MailfsError, match=why):
        mail(text, **order)


# The headers file, $upasname, what is typed; From and the envelope's sender.
SENDERS = [
    ((), "", "x\n", "glenda", "glenda"),
    (HEADERS, "", "x\n", '"Glenda" <glenda@myserver.dom>', "glenda@myserver.dom"),
    ((), "janet@machine.dom", "x\n", "janet@machine.dom", "janet@machine.dom"),
    ((), "Janet É <j@m.dom>", "x\n", "=?utf-8?b?SmFuZXQgw4k=?= <j@m.dom>", "j@m.dom"),
    ((), "/dev/null", "x\n", "postmaster", "/dev/null"),
    ((), "janet", "From: z@y\n\nx\n", "z@y", "janet"),
    ((), "", "From: z@y\n\nx\n", "z@y", "z@y"),
    (HEADERS, "", "From: z@y\n\nx\n", "z@y", "z@y"),
    ((), "", "From: z@y\nSender: s@y\n\nx\n", "z@y", "s@y"),
    ((), "", "From: z@y, w@y\n\nx\n", "z@y, w@y", "glenda"),
    ((), "", "From: z\n\nx\n", "z", "glenda"),
]


@pytest.mark.parametrize(("headers", "upasname", "text", "origin", "sender"), SENDERS)
def test_sender(
    headers: tuple[tuple[str, bytes], ...],
    upasname: str,
    text: str,
    origin: str,
    sender: str,
) -> None:
    author = Author("glenda", "gnot", upasname, headers)
    made = mail(text, author, to=("a@b",))
    found = header.scan(made.octets).folded(b"from")
    assert len(found) == 1
    wanted = address.addresses([origin.encode()])
    assert address.addresses(found) == wanted
    assert found[0].isascii()
    assert made.sender == sender


def test_headers_file_gives_way() -> None:
    author = Author("glenda", "gnot", headers=HEADERS)
    made = mail("Subject: own\n\nx\n", author, to=("a@b",))
    assert header.scan(made.octets).all(b"subject") == [b"own"]
    assert field(made.octets, "organization") == b"Plan 9"
    made = mail("x\n", author, to=("a@b",), subject="asked")
    assert header.scan(made.octets).all(b"subject") == [b"default"]


SECRET = "hidden@example.net"
LEAKS = [
    {"bcc": [SECRET], "to": ["a@b"]},
    {"bcc": [SECRET]},
    {"headed": True, "text": f"To: a@b\nBcc: {SECRET}\n\nx"},
    {"headed": True, "text": f"BCC: Hid <{SECRET}>,\n {SECRET}\n\nx"},
    {"to": ["a@b"], "text": f"bcc : {SECRET}\n\nx"},
    {"to": ["a@b"], "headers": (("Bcc", f" {SECRET}".encode()),)},
    {"headed": True, "text": f"Resent-To: a@b\nResent-Bcc: {SECRET}\nTo: z@y\n\nx"},
    {"headed": True, "text": f"Resent-Bcc: {SECRET}\nTo: z@y\nFrom: z@y\n\nx"},
]


@pytest.mark.parametrize("row", LEAKS)
def test_blind_copies_stay_blind(row: dict[str, Any]) -> None:
    row = dict(row)
    author = Author("glenda", "gnot", headers=row.pop("headers", ()))
    made = mail(row.pop("text", "x\n"), author, **row)
    assert SECRET in made.recipients
    assert SECRET.encode() not in made.octets
    assert b"bcc" not in made.octets.lower()
    head = header.scan(made.octets)
    assert head.raw(b"to") or head.raw(b"cc")


# What describes the body already, the body; type, encoding and octets of the result.
BODIES = [
    ("", "é", 'text/plain; charset="UTF-8"', "8bit", "é\n"),
    ("Content-Type: text/html\n", "<p>", 'text/html; charset="US-ASCII"', "7bit",
     "<p>\n"),
    ("Content-Type: text/html\n", "é", 'text/html; charset="UTF-8"', "8bit", "é\n"),
    ("Content-Type: text/plain; charset=utf-8; format=flowed\n", "x",
     'text/plain; charset="utf-8"; format="flowed"', "7bit", "x\n"),
    ("Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n",
     "é", 'text/plain; charset="UTF-8"', "8bit", "é\n"),
    ("Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n",
     "aGk=", "text/plain; charset=utf-8", "base64", "hi"),
    ("Content-Transfer-Encoding: quoted-printable\n", "=C3=A9", None,
     "quoted-printable", "é\n"),
    ("Content-Type: application/json\n", "{}", "application/json", "base64", "{}"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "body", "kind", "encoding", "arrives"), BODIES)
@pytest.mark.parametrize("attached", [False, True])
def test_body(  # one row
    fields: str,
    body: str,
    kind: str | None,
    encoding: str,
    arrives: str,
    attached: bool,
    tmp_path: Path,
) -> None:
    file = tmp_path / "a b.txt"
    file.write_bytes(b"file\n")
    files = (Attachment(str(file)),) if attached else ()
    made = mail(f"{fields}\n{body}" if fields else body, to=("a@b",), files=files)
    first, *others = both(made.octets)
    assert first.octets.decode() == arrives
    assert others == [Leaf("text/plain", "a_b.txt", b"file\n")][: len(files)]
    expect = None if kind is None else kind.encode()
    inner = made.octets
    if attached:
        inner = made.octets.partition(b"--upas-")[2].partition(b"\n")[2]
        assert b"\nContent-Disposition: inline\n" in inner
    assert field(inner, "content-type") == expect
    assert field(inner, "content-transfer-encoding") == encoding.encode()


MULTIPART = (
    'Content-Type: multipart/alternative; boundary="b"\n\n'
    "--b\n\nplain é\n--b\nContent-Type: text/html\n\n<p>\n--b--\n"
)


def test_a_multipart_made_elsewhere() -> None:
    made = mail(MULTIPART, to=("a@b",))
    assert made.octets.endswith(MULTIPART.partition("\n\n")[2].encode())
    assert field(made.octets, "content-transfer-encoding") == b"8bit"
    assert [leaf.octets for leaf in both(made.octets)] == ["plain é".encode(), b"<p>"]


def test_files_without_text(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"\0\1")
    made = mail("", to=("a@b",), files=(Attachment(str(file), "image/x-own", True),))
    assert both(made.octets) == [Leaf("image/x-own", "a", b"\0\1")]
    with pytest.raises(MailfsError, match="can't read file: file does not exist"):
        mail("x", to=("a@b",), files=(Attachment(str(tmp_path / "none")),))


PARENT = Parent(
    "upasfs/mbox/3",
    "three@x",
    ("one@x", "two@x", "three@x"),
    "Re: Tea",
    tuple(address.addresses([b"Ann <ann@x>"])),
    tuple(address.addresses([b"glenda, bob@example.org, ann@x, carol@x"])),
)


def test_reply() -> None:
    made = mail("yes\n", parent=PARENT)
    assert made.recipients == ("ann@x",)
    assert field(made.octets, "to") == b"Ann <ann@x>"
    assert field(made.octets, "subject") == b"Re: Tea"
    assert field(made.octets, "in-reply-to") == b"<three@x>"
    assert field(made.octets, "references") == b"<one@x> <two@x> <three@x>"
    both(made.octets)


def test_reply_to_all() -> None:
    made = mail("yes\n", parent=PARENT, everybody=True)
    assert made.recipients == ("ann@x", "bob@example.org", "carol@x")
    assert field(made.octets, "cc") == b"bob@example.org, carol@x"


def test_reply_to_others_than_asked() -> None:
    made = mail("Subject: No\n\nno\n", parent=PARENT, to=("z@y",), subject="Nay")
    assert made.recipients == ("z@y",)
    assert field(made.octets, "subject") == b"No"
    assert field(made.octets, "in-reply-to") == b"<three@x>"


def test_many_references_are_folded() -> None:
    ids = tuple(f"{'x' * 60}{i}@example.org" for i in range(40))
    made = mail("x\n", parent=Parent("d", "last@x", ids), to=("a@b",))
    check_lines(made.octets)
    for line in made.octets.split(b"\n"):
        assert len(line) <= 90
    assert (field(made.octets, "references") or b"").split() == [
        f"<{one}>".encode() for one in ids
    ]


RESENT = (
    "Received: by x\nFrom: z@y\nTo: other@y\nSubject: S\nMessage-ID: <old@x>\n"
    "Date: Mon, 2 Mar 2026 09:00:00 +0000\nBcc: {0}\n"
)


def test_resent() -> None:
    text = f"Resent-To: bob, c@d\n{RESENT.format(SECRET)}\nbody  \n"
    taken = draft.message(text.encode())
    made = compose(taken, Order(headed=True), AUTHOR, now=NOW, token=tokens())
    assert made.recipients == ("bob@example.org", "c@d")
    assert field(made.octets, "message-id") == b"<old@x>"
    assert field(made.octets, "to") == b"other@y"
    assert field(made.octets, "resent-message-id") == b"<6b02e3cc.t0@gnot.example.com>"
    assert field(made.octets, "resent-from") == b"glenda"
    assert made.octets.endswith(b"\n\nbody  \n")
    assert SECRET.encode() not in made.octets


def test_resent_twice_is_refused() -> None:
    text = "Resent-To: a@b\nResent-To: c@d\nTo: z@y\n\nx\n"
    with pytest.raises(MailfsError, match="resent more than once"):
        mail(text, headed=True)


@settings(max_examples=60)
@given(st.binary(max_size=400), st.booleans())
def test_any_text_makes_a_message_or_is_refused(text: bytes, headed: bool) -> None:
    try:
        made = mail(text, to=("a@b",), headed=headed)
    except MailfsError:
        return
    head = header.scan(made.octets)
    assert head.all(b"mime-version") == [b"1.0"]
    assert len(head.all(b"from")) == 1
    assert head.raw(b"bcc") is None
    assert max(map(len, made.octets[: head.body].split(b"\n"))) <= 998
