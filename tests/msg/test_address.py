from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.msg import address
from mailfs.msg.address import Address, addresses, bare

A = Address
# value, mailboxes
LISTS: list[tuple[bytes, list[Address]]] = [
    (b"", []),
    (b" , ,\n ,", []),
    (b"a@b", [A("", "a@b")]),
    (b"<a@b>", [A("", "a@b")]),
    (b"root", [A("", "root")]),
    (b"Name <a@b>", [A("Name", "a@b")]),
    (b"Name<a@b>", [A("Name", "a@b")]),
    (b'"Name" <a@b>', [A("Name", "a@b")]),
    (b'"a@b" <a@b>', [A("a@b", "a@b")]),
    (b"a@b, c@d", [A("", "a@b"), A("", "c@d")]),
    (b"a@b,c@d,", [A("", "a@b"), A("", "c@d")]),
    (b'=?utf-8?q?J=C3=BCrgen?= <a@b>', [A("Jürgen", "a@b")]),
    (b'"=?utf-8?q?J=C3=BCrgen?=" <a@b>', [A("Jürgen", "a@b")]),
    ("Jürgen <j@b>".encode(), [A("Jürgen", "j@b")]),
    ("Jürgen <jü@bü>".encode(), [A("Jürgen", "jü@bü")]),
    (b"J\xfcrgen <j@b>", [A("Jürgen", "j@b")]),
    # upas's own example.
    (b'"Doe, John" <j@x>, b@y (Bob)', [A("Doe, John", "j@x"), A("", "b@y", "Bob")]),
    (b"undisclosed-recipients:;", [A("", "undisclosed-recipients:;")]),
    # RFC 5322 appendix A.
    (b"John Doe <jdoe@machine.example>", [A("John Doe", "jdoe@machine.example")]),
    (b'"Joe Q. Public" <john.q.public@example.com>',
     [A("Joe Q. Public", "john.q.public@example.com")]),
    (b"Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>",
     [A("Mary Smith", "mary@x.test"), A("", "jdoe@example.org"),
      A("Who?", "one@y.test")]),
    (b'<boss@nil.test>, "Giant; \\"Big\\" Box" <sysservices@example.net>',
     [A("", "boss@nil.test"), A('Giant; "Big" Box', "sysservices@example.net")]),
    (b"A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
     [A("Ed Jones", "c@a.test"), A("", "joe@where.test"), A("John", "jdoe@one.test")]),
    (b"Undisclosed recipients:;", [A("", "Undisclosed recipients:;")]),
    (b'"Mary Smith: Personal Account" <smith@home.example>',
     [A("Mary Smith: Personal Account", "smith@home.example")]),
    (b"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>",
     [A("Pete", "pete@silly.test", "his host")]),
    (b"A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)public.example>,\r\n"
     b"         joe@example.org,\r\n  John <jdoe@one.test> (my dear friend);"
     b" (the end of the group)",
     [A("Chris Jones", "c@public.example", "Chris's host."), A("", "joe@example.org"),
      A("John", "jdoe@one.test", "my dear friend")]),
    (b"(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;",
     [A("", "Hidden recipients:;")]),
    (b"Joe Q. Public <john.q.public@example.com>",
     [A("Joe Q. Public", "john.q.public@example.com")]),
    (b"Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example",
     [A("Mary Smith", "mary@example.net"), A("", "jdoe@test.example")]),
    (b"John Doe <jdoe@machine(comment).  example>",
     [A("John Doe", "jdoe@machine.example", "comment")]),
    (b"Mary Smith\r\n                  \r\n          <mary@example.net>",
     [A("Mary Smith", "mary@example.net")]),
    (b"<@a,@b.c:d@e>", [A("", "d@e")]),
    # Names with encoded words, whose commas split nothing.
    (b"=?utf-8?q?Doe=2C_John?= <j@x>, b@y", [A("Doe, John", "j@x"), A("", "b@y")]),
    (b"=?utf-8?q?Doe,_John?= <j@x>, b@y", [A("Doe, John", "j@x"), A("", "b@y")]),
    (b"=?utf-8?q?Doe(x)_=3Cj=40z=3E?= <j@x>", [A("Doe(x) <j@z>", "j@x")]),
    (b"=?utf-8?b?RG9lLCA=?=\n =?utf-8?b?Sm9obg==?= <j@x>", [A("Doe, John", "j@x")]),
    (b"b@y (=?utf-8?q?J=C3=BCrgen?=)", [A("", "b@y", "Jürgen")]),
    (b'"=?utf-8?q?a=22_=3Cx=40y=3E?=" <j@x>', [A('a" <x@y>', "j@x")]),
    # Local parts and domains of other kinds.
    (b'"john doe"@x', [A("", '"john doe"@x')]),
    (b'<"john doe"@x>', [A("", '"john doe"@x')]),
    (b'"a\\"b" <"c\\"d"@e>', [A('a"b', '"c\\"d"@e')]),
    (b"a@[192.0.2.1]", [A("", "a@[192.0.2.1]")]),
    (b"X <a@[IPv6:2001:db8::1]>, c", [A("X", "a@[IPv6:2001:db8::1]"), A("", "c")]),
    (b"h!u@v", [A("", "h!u@v")]),
    (b"/G=A/S=B/@x.y", [A("", "/G=A/S=B/@x.y")]),
    # What senders get wrong.
    (b"<a@b> junk, c@d", [A("", "a@b"), A("", "c@d")]),
    (b"Name <a@b>>, c@d", [A("Name", "a@b"), A("", "c@d")]),
    (b"Name <<a@b>>", [A("Name", "a@b")]),
    (b"a@b c@d", [A("", "a@b"), A("", "c@d")]),
    (b"a@b; c@d;", [A("", "a@b"), A("", "c@d")]),
    (b'"x" <a@b> Foo <c@d>', [A("x", "a@b"), A("Foo", "c@d")]),
    (b"<a@b> c@d, e", [A("", "a@b"), A("", "c@d"), A("", "e")]),
    (b"a b@c", [A("a", "b@c")]),
    (b"a@b <a@b>", [A("a@b", "a@b")]),
    (b"John Smith", [A("", "John Smith")]),
    (b'"John Smith"', [A("", '"John Smith"')]),
    (b"user at example.com", [A("", "user at example.com")]),
    (b"<a@b, c <d@e", [A("", "a@b"), A("c", "d@e")]),
    (b"Name <a@b", [A("Name", "a@b")]),
    (b'"unclosed <a@b>', [A("unclosed", "a@b")]),
    (b"John (Doe <j@x>, (c) d@e", [A("John Doe", "j@x"), A("c", "d@e")]),
    (b"John) Doe <j@x>", [A("John Doe", "j@x")]),
    (b"John(x)Doe <a@b>", [A("John Doe", "a@b", "x")]),
    (b"John)Doe <a@b>", [A("John Doe", "a@b")]),
    (b"<a\x7f@b>, c@d\x7f", [A("", "a@b"), A("", "c@d")]),
    (b"< a @ b >", [A("", "a@b")]),
    (b"<mailto:a@b>, mailto:c@d", [A("", "a@b"), A("", "c@d")]),
    (b"<a@b\0c>", [A("", "a@bc")]),
    (b"<a\r\n @b>", [A("", "a@b")]),
    (b"<>", []),
    (b'"Foo" <>', [A("Foo", "")]),
    (b"Fwd: list: Bob <b@c>;", [A("Bob", "b@c")]),
    (b"undisclosed-recipients:", [A("", "undisclosed-recipients:")]),
    (b"a: b@c, d: e@f;, :;", [A("", "b@c"), A("", "e@f")]),
    (b"a:;, b@c", [A("", "a:;"), A("", "b@c")]),
    (b"\\", [A("", "\\")]),
    (b"a\\ b@c", [A("", "a\\ b@c")]),
    (b"@", [A("", "@")]),
    (b"[list] Bob <b@c>", [A("[list] Bob", "b@c")]),
    (b"a[b <c@d>", [A("a[b", "c@d")]),
    (b"((((a@b))))", []),
    (b"<" + b"x" * 300 + b"@y>", [A("", "x" * 300 + "@y")]),
]  # fmt: skip


@pytest.mark.parametrize(("value", "want"), LISTS)
def test_addresses(value: bytes, want: list[Address]) -> None:
    assert addresses([value]) == want
    assert bare([value]) == " ".join(a.addr for a in want if a.addr)
    # The short way and the long way agree: a group takes the long one.
    if b":" not in value and not value.endswith(b"\\"):
        wrapped = addresses([b"(c) ,g:" + value.rstrip(b";") + b";"])
        assert [a[:2] for a in wrapped if a.addr != "g:;"] == [a[:2] for a in want]


def test_all_fields_count() -> None:
    assert bare([b"a@b", b"C <c@d>, e@f", b""]) == "a@b c@d e@f"
    assert bare([b"a@b,\x7f", b"c@d"]) == "a@b c@d"
    assert addresses([]) == []


PIECES = st.sampled_from(
    [
        b"a@b",
        b"<",
        b">",
        b'"',
        b"(",
        b")",
        b",",
        b";",
        b":",
        b"\\",
        b" ",
        b"@",
        b".",
        b"[",
        b"]",
        b"\n",
        b"=?utf-8?q?a,b?=",
        b"=?utf-8?q?",
        b"\x00",
        b"\xff",
        b"Name",
    ]
)
NEAR = st.lists(PIECES | st.binary(max_size=3), max_size=30).map(b"".join)


@given(NEAR)
def test_any_octets_give_some_list(value: bytes) -> None:
    found = addresses([value])
    for one in found:
        for text in one:
            text.encode()
            assert "\n" not in text
    assert bare([value]) == " ".join(one.addr for one in found if one.addr)


NAME = st.text(st.characters(codec="utf-8", categories=["L", "P", "N"]), min_size=1)


@given(st.lists(NAME, min_size=1, max_size=5))
def test_quoted_names_come_back(names: list[str]) -> None:
    quoted = [name.replace("\\", "\\\\").replace('"', '\\"') for name in names]
    value = ", ".join(f'"{q}" <u{i}@x>' for i, q in enumerate(quoted)).encode()
    if b"=?" not in value:
        want = [A(name, f"u{i}@x") for i, name in enumerate(names)]
        assert addresses([value]) == want


def test_hostile_lists() -> None:
    n = 20_000
    assert addresses([b"(" * n + b"a@b"]) == [A("", "a@b")]
    assert bare([b"(" * n + b")" * n + b"a@b"]) == "a@b"
    assert addresses([b"(a" * n + b"(b)"])[0].comment == ""
    assert addresses([b'"' + b"\\a" * n]) == [A("", "\\a" * n)]
    assert addresses([b"\\a" * n]) == [A("", "\\a" * n)]
    assert addresses([b"<" * n]) == []
    assert addresses([b"[" * n]) == [A("", "[" * n)]
    assert addresses([b"a " * n + b"<b@c>"])[0].addr == "b@c"
    assert addresses([b"=?a?q?" * n])[0].addr == "=?a?q?" * n
    with patch.object(address, "MAX_ADDRESSES", 1000):
        for value in (b"a@b," * n, b"a@b(c)," * n, b"a@b\n c@d " * n):
            assert len(addresses([value])) == 1000
    assert bare([b"a" * 10_000_000 + b"@b"]) == "a" * 10_000_000 + "@b"
