"""rewrite(6): rules read, matched, expanded; no address gets out of its word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.msg.escape import escape, harmless, unescape
from mailfs.ndb import shipped
from mailfs.send import rewrite
from mailfs.send.address import split, valid
from mailfs.send.refusal import Refusal
from mailfs.send.rewrite import Kind, RuleMatch, Rules

NAMES = ("kremvax.example.org", "gnot")


def rules(text: str) -> Rules:
    return rewrite.parse(text, NAMES)


def match(text: str, address: str, sender: str = "me") -> RuleMatch:
    found = rules(text).match(address, sender)
    assert found is not None
    return found


LINES = [
    ("a alias b", [("alias", "b", None)]),
    ("  a\talias  'b c' \"d e\" ", [("alias", "b c", "d e")]),
    ("# a alias b\n\n   # c\n", []),
    ("a ali\\\nas b", [("alias", "b", None)]),
    ("a >>", [(">>", "", None)]),
    ("a | 'x y", [("|", "x y", None)]),
    (r"a alias \\1\.\2", [("alias", r"\1\.\2", None)]),
    (r"\l!(.*) alias \1", [("alias", r"\1", None)] * 2),
    (r"a alias \l", [("alias", n, None) for n in NAMES]),
    (r"a alias \\l", [("alias", r"\l", None)]),
    ("a alias b\n", [("alias", "b", None)]),
    ("a auth x", [("auth", "x", None)]),
]


@pytest.mark.parametrize(("text", "want"), LINES)
def test_lines(text: str, want: list[tuple[str, str, str | None]]) -> None:
    found = rules(text)
    assert [(r.kind.value, r.arg1, r.arg2) for r in found.rules] == want
    assert found.complaints == ()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a", "illegal rewrite rule: a"),
        ("a nonsense b", "illegal rewrite rule: a nonsense b"),
        ("a | ''", "illegal rewrite rule"),
        ('a translate "  "', "illegal rewrite rule"),
        ("a alias", "illegal rewrite rule: a alias"),
        ("( alias b", "missing operand"),
        ("a | 'cat | cat'", "| outside quotes"),
        ("a | 'cat;cat'", "; outside quotes"),
        ("a | 'cat > x'", "> outside quotes"),
        ("a translate 'x `{y}'", "` outside quotes"),
    ],
)
def test_rules_that_cannot_be_meant_are_left_out(text: str, why: str) -> None:
    found = rules("b alias c\n" + text + "\nd alias e\n")
    assert len(found) == 2
    (complaint,) = found.complaints
    assert complaint.startswith("rewrite: line 2: ")
    assert why in complaint


def test_the_first_rule_counts_in_any_case() -> None:
    text = "FOO alias 1\n([a-z]+)@YOUR\\.DOM alias \\1\n.* alias 3\n"
    for address, want in (("foo", "1"), ("Bob@your.dom", "Bob"), ("x", "3")):
        found = match(text, address)
        assert found.plain(found.rule.arg1) == want
    assert rules("a alias b").match("ab", "me") is None


def test_our_name_is_no_pattern() -> None:
    text = r"\l!(.*) alias \1"
    assert rules(text).match("kremvax.example.org!x", "me")
    assert rules(text).match("kremvax-example-org!x", "me") is None
    assert rules(text).match("GNOT!x", "me")


EXPANSIONS = [
    ("x!y", r"\2@\1", "y@x"),
    ("x!y", r"\0/&", "x!y/x!y"),
    ("x!y", r"\3\9", ""),
    ("x!y", r"\s \p", "me normal"),
    ("x!y", r"\\ \& \q $smtp", r"\ & q $smtp"),
]


@pytest.mark.parametrize(("address", "field", "want"), EXPANSIONS)
def test_expansions(address: str, field: str, want: str) -> None:
    found = match("(.*)!(.*) alias x", address)
    assert found.plain(field) == want


def test_sender_and_bulk() -> None:
    found = rules("a alias x").match("a", "x\ny", bulk=True)
    assert found is not None
    assert found.plain(r"\s \p") == "postmaster bulk"


WORDS = [
    (r"/mail/lib/qmail '\s' 'net!\1'", ["/mail/lib/qmail", "me", "net!x"]),
    (r"'\2@\1'", ["y z'w@x"]),
    (r"a\2", ["ay z'w"]),
    ("a 'b''c' d'e f'g", ["a", "b'c", "de fg"]),
    (r"'' \'", ["", "'"]),
    ("a 'b", ["a", "b"]),
    (r"sh -c 'echo \2 $1' sh '\2'",
     ["sh", "-c", "echo y%%20z%%27w $1", "sh", "y z'w"]),
    (r"/bin/bash -xc '\2'", ["/bin/bash", "-xc", "y%%20z%%27w"]),
    (r"/bin/cat -c '\2'", ["/bin/cat", "-c", "y z'w"]),
]  # fmt: skip


@pytest.mark.parametrize(("field", "want"), WORDS)
def test_words(field: str, want: list[str]) -> None:
    found = match("(.*)!(.*) | x", "x!y z'w")
    assert found.words(field) == want


def test_an_address_is_no_option() -> None:
    found = match("(.*)!(.*) | x", "x!-oQ/tmp")
    with pytest.raises(Refusal, match="invalid address"):
        found.words(r"qmail '\2'")
    assert found.words(r"qmail 'x\2' -\1") == ["qmail", "x-oQ/tmp", "-x"]


HOSTILE = st.text(alphabet="ab;|&$`'\"\\ \t(){}<>%*?~#-\n!@", min_size=1, max_size=30)


@given(HOSTILE, HOSTILE)
def test_an_address_stays_in_its_word(user: str, dom: str) -> None:
    text = "(.*)!([^!]*) | \"/mail/lib/qmail '\\s' 'net!\\1'\" \"x'\\2'\""
    address = f"{dom}!{user}"
    found = rules(text).match(address, "me")
    if found is None:
        assert "\n" in address
        return
    host, who = address.rsplit("!", 1)
    argv = ["/mail/lib/qmail", "me", f"net!{host}"]
    assert found.words(found.rule.arg1) == argv
    assert found.words(found.rule.arg2 or "") == [f"x{who}"]


@given(HOSTILE)
def test_a_script_gets_nothing_of_an_address_but_a_word(user: str) -> None:
    found = rules(r"(.*) | x").match(user, "me")
    if found is not None:
        script = found.words(r"sh -c 'echo x\1y'")[2]
        assert script.startswith("echo x")
        assert not set(script[6:]) & set(";|&$`'\"\\ \t(){}<>*?~#\n!") - {"!"}


@pytest.mark.parametrize("name", ["rewrite.direct", "rewrite.gateway"])
def test_what_ships_has_no_fault(name: str) -> None:
    found = rules(shipped.path(name).read_text())
    assert found.complaints == ()
    assert len(found) >= 9


def route(name: str, address: str) -> tuple[Kind, str]:
    """Follow the alias rules of a shipped file to what ends them."""
    text = shipped.path(name).read_text().replace("YOURDOMAIN.DOM", "example.org")
    text = text.replace(r"YOURDOMAIN\.DOM", r"example\.org")
    found = rules(text)
    for _ in range(32):
        m = found.match(address, "me")
        if m is None:
            return Kind.AUTH, "none"
        if m.rule.kind is not Kind.ALIAS:
            args = f"{m.text(m.rule.arg1)} {m.text(m.rule.arg2 or '')}"
            return m.rule.kind, args.strip()
        address = m.plain(m.rule.arg1)
    raise AssertionError("never ends")


ROUTES = [
    ("Bob", Kind.TRANSLATE, "/bin/upas/aliasmail 'Bob'"),
    ('"joe x"', Kind.TRANSLATE, "/bin/upas/aliasmail 'joe%%20x'"),
    ("local!bob", Kind.APPEND, "/mail/box/bob/mbox"),
    ('local!"joe"', Kind.APPEND, "/mail/box/joe/mbox"),
    ("a@b.com", Kind.PIPE, "/mail/lib/qmail 'me' 'net!b.com' 'a'"),
    ("@x.com:a@y.com", Kind.PIPE, "/mail/lib/qmail 'me' 'net!x.com' 'y.com!a'"),
    (
        "@x.com,@z.com:a@y.com",
        Kind.PIPE,
        "/mail/lib/qmail 'me' 'net!x.com' 'z.com!y.com!a'",
    ),
    ("a.b", Kind.AUTH, "none"),
    ("x!y!z", Kind.PIPE, "/mail/lib/qmail 'me' 'net!x' 'y!z'"),
    ("bob@gnot", Kind.TRANSLATE, "/bin/upas/aliasmail 'bob'"),
    ("bob@gnot.example.org", Kind.TRANSLATE, "/bin/upas/aliasmail 'bob'"),
]


@pytest.mark.parametrize(("address", "kind", "args"), ROUTES)
def test_direct(address: str, kind: Kind, args: str) -> None:
    assert route("rewrite.direct", address) == (kind, args)


@pytest.mark.parametrize(
    ("address", "args"),
    [
        ("a@b.com", "/mail/lib/qmail 'me' 'net!$smtp' 'a@b.com'"),
        ("b.com!a", "/mail/lib/qmail 'me' 'net!$smtp' 'a@b.com'"),
    ],
)
def test_gateway(address: str, args: str) -> None:
    assert route("rewrite.gateway", address) == (Kind.PIPE, args)


def test_gateway_leaves_names_without_a_domain_here() -> None:
    assert route("rewrite.gateway", "local!bob") == (Kind.APPEND, "/mail/box/bob/mbox")
    text = shipped.path("rewrite.gateway").read_text()
    assert "YOURDOMAIN" not in text


def test_direct_has_a_place_for_a_default_domain() -> None:
    text = shipped.path("rewrite.direct").read_text()
    edited = text.replace("\n#local!", "\nlocal!").replace("YOURDOMAIN.DOM", "x.org")
    found = rules(edited).match("local!bob", "me")
    assert found is not None
    assert (found.rule.kind, found.plain(found.rule.arg1)) == (Kind.ALIAS, "bob@x.org")


def test_auth_rules_are_for_programs() -> None:
    found = rules("a auth x\na alias b\n")
    assert found.match("a", "me").rule.kind is Kind.ALIAS  # type: ignore[union-attr]
    asked = found.match("a", "me", auth=True)
    assert asked is not None
    assert asked.rule.kind is Kind.AUTH


@given(st.text(alphabet="ab |>'\"\\l&\n\t#.()[]*!", max_size=80))
def test_any_file_is_read(text: str) -> None:
    found = rules(text)
    for address in ("a", "a!b", ""):
        found.match(address, "me")


@given(st.text(max_size=40))
def test_escapes_are_undone(text: str) -> None:
    if "%%" not in text:
        assert unescape(escape(text)) == text
    if text.isascii() and "%" not in text:
        assert unescape(harmless(text)) == text
    assert not set(escape(text)) & set(" ()<>{};=\\'`^&|")


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("a b\tc\nd", ["a", "b", "c", "d"]),
        ('"joe x"@foo b', ['"joe x"@foo', "b"]),
        ("a, b, c", ["a", "b", "c"]),
        ("@x,@y:u@z", ["@x,@y:u@z"]),
        ('"open b', ['"open b']),
        ("  ", []),
    ],
)
def test_lists(text: str, want: list[str]) -> None:
    assert split(text) == want


@pytest.mark.parametrize(
    ("address", "good"),
    [("a@b", True), ("", False), ("a\nb", False), ("a\r", False), ("a\0b", False),
     ("é@b", True), ("x" * 1024, True), ("x" * 1025, False), ("é" * 600, False)],
)  # fmt: skip
def test_valid(address: str, *, good: bool) -> None:
    assert valid(address) == good
