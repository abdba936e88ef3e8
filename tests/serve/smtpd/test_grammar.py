"""SMTP command lines: tables, and garbage."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.serve.smtpd.grammar import (
    MAX_LINE,
    Addressed,
    BadSyntax,
    Command,
    Path,
    addressed,
    command,
    literal,
    name,
)

COMMANDS = [
    (b"NOOP", Command("NOOP")),
    (b"noop ", Command("NOOP")),
    (b"Mail FROM:<a@b>", Command("MAIL", "FROM:<a@b>")),
    (b"RCPT  TO:<a@b>", Command("RCPT", "TO:<a@b>")),
    ("EHLO bücher.example".encode(), Command("EHLO", "bücher.example")),
]


@pytest.mark.parametrize(("line", "found"), COMMANDS)
def test_command(line: bytes, found: Command) -> None:
    assert command(line) == found


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"", 500),
        (b"\xff\xfe", 500),
        (b"NO\0OP", 500),
        (b"MAIL FROM:<a@b>\x0d", 500),
        (b"M-AIL x", 500),
        (b"x" * (MAX_LINE + 1), 500),
    ],
)
def test_no_command(line: bytes, code: int) -> None:
    with pytest.raises(BadSyntax) as e:
        command(line)
    assert e.value.code == code


PATHS = [
    ("FROM:<a@b>", Path("a", "b")),
    ("FROM: <a@b>", Path("a", "b")),  # a blank that Outlook sends
    ("from:<a@b.>", Path("a", "b")),
    ("FROM:<>", Path("")),
    ("FROM:<a.b-c+d@b.com>", Path("a.b-c+d", "b.com")),
    ('FROM:<"a b"@b.com>', Path('"a b"', "b.com")),
    ("FROM:<@x,@y.z:a@b.com>", Path("a", "b.com", routed=True)),
    ("FROM:<a@[127.0.0.1]>", Path("a", "[127.0.0.1]")),
    ("FROM:<a@[IPv6:::1]>", Path("a", "[IPv6:::1]")),
    ("FROM:<postmaster>", Path("postmaster")),
    ("FROM:<jürgen@bücher.example>", Path("jürgen", "bücher.example")),
]


@pytest.mark.parametrize(("argument", "path"), PATHS)
def test_path(argument: str, path: Path) -> None:
    assert addressed(argument, "FROM") == Addressed(path)


@pytest.mark.parametrize(
    "argument",
    [
        "FROM<a@b>",
        "TO:<a@b>",
        "FROM:a@b",
        "FROM:<a@b",
        "FROM:<a@b>x",
        "FROM:<a b@c>",
        "FROM:<a..b@c>",
        "FROM:<.a@c>",
        "FROM:<a@-b>",
        "FROM:<a@b..c>",
        "FROM:<a@@b>",
        "FROM:<a@b@c>",
        "FROM:<a@[1.2.3]>",
        "FROM:<a@[::1]>",
        "FROM:<@x:user>",
        'FROM:<"a"b"@c>',
        f"FROM:<{'a' * 2000}@b>",
        "FROM:<a@b> SIZE=1 SIZE=2",
        "FROM:<a@b> =x",
        "FROM:<a@b> " + "A=1 " * 30,
    ],
)
def test_no_path(argument: str) -> None:
    with pytest.raises(BadSyntax):
        addressed(argument, "FROM")


def test_nobody_receives_nothing() -> None:
    with pytest.raises(BadSyntax):
        addressed("TO:<>", "TO")


def test_parameters() -> None:
    found = addressed("FROM:<a@b> size=10 BODY=8BITMIME smtputf8", "FROM")
    assert found.parameters == {"SIZE": "10", "BODY": "8BITMIME", "SMTPUTF8": ""}


@pytest.mark.parametrize(
    ("path", "at", "bang", "user"),
    [
        (Path("a", "b"), "a@b", "b!a", "a"),
        (Path('"a b"', "c"), '"a b"@c', "c!a b", "a b"),
        (Path(r'"a\"b"', "c"), r'"a\"b"@c', 'c!a"b', 'a"b'),
        (Path("postmaster"), "postmaster", "postmaster", "postmaster"),
    ],
)
def test_forms(path: Path, at: str, bang: str, user: str) -> None:
    assert (str(path), path.bang, path.user) == (at, bang, user)


@pytest.mark.parametrize("text", ["mail.example.org", "[10.0.0.1]", "a_b.c", "gnot."])
def test_name(text: str) -> None:
    assert name(text) == text.removesuffix(".")


@pytest.mark.parametrize("text", ["", "-x", "a..b", "(x)", "x" * 300, "[x", "<a>"])
def test_no_name(text: str) -> None:
    with pytest.raises(BadSyntax):
        name(text)


def test_literals() -> None:
    assert str(literal("[IPv6:2001:db8::1]")) == "2001:db8::1"
    for bad in ("[IPv6:10.0.0.1]", "[2001:db8::1]", "[300.1.1.1]"):
        with pytest.raises(BadSyntax):
            literal(bad)


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_harmless(line: bytes) -> None:
    try:
        found = command(line)
        for keyword in ("FROM", "TO"):
            path = addressed(found.argument, keyword).path
            assert not set(str(path)) & set("\r\n\0<>") or path.local.startswith('"')
    except BadSyntax as e:
        refused = e
    else:
        return
    assert 500 <= refused.code < 600
