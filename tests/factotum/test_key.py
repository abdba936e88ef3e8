"""Keys and the ring: matching, replacing, deleting; spec 1.4 to 1.6."""

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.attr import parse
from mailfs.errors import MailfsError
from mailfs.factotum.key import (
    MAX_KEYS,
    MAX_PROTOS,
    Key,
    Ring,
    lacks,
    matches,
    parse_key,
    usable,
)
from mailfs.secret import Secret
from tests.factotum.world import key

CHECKS = {"pass": lambda k: None, "apop": lambda k: None}

MATCHES = [
    ("", "proto=pass user=al", True),
    ("user?", "proto=pass user=al", True),
    ("user?", "proto=pass", False),
    ("user=al", "proto=pass user=al", True),
    ("user=al", "proto=pass user=bob", False),
    ("user=al", "proto=pass user=bob user=al", True),
    ("!password?", "proto=pass !password=x", True),
    ("!password?", "proto=pass", False),
    ("!password=x", "proto=pass !password=x", False),
    ("role=client", "proto=pass", True),
    ("role=client", "proto=pass role=client", True),
    ("role=client", "proto=pass role=server", False),
    ("role?", "proto=pass", True),
    ("role?", "proto=pass role=client", False),
    ("role?", "proto=pass role=''", True),
    ("disabled=no", "proto=pass disabled=by.factotum", False),
    ("confirm", "proto=pass confirm", True),
    ("confirm", "proto=pass confirm=x", False),
    ("User?", "proto=pass user=al", False),
]


@pytest.mark.parametrize(("pattern", "text", "want"), MATCHES)
def test_matching(pattern: str, text: str, want: bool) -> None:
    assert matches(parse(pattern), key(text)) is want


OWNERS = [
    ("proto=pass", "me", True),
    ("proto=pass", "mallory", False),
    ("proto=pass owner=bob", "bob", True),
    ("proto=pass owner=bob", "mallory", False),
    ("proto=pass owner=bob owner=*", "mallory", True),
]


@pytest.mark.parametrize(("text", "uname", "want"), OWNERS)
def test_owners(text: str, uname: str, want: bool) -> None:
    assert usable(key(text), uname, "me") is want
    ring = Ring(CHECKS)
    ring.put(key(text))
    assert bool(ring.find((), uname, "me")) is want


def listing(ring: Ring) -> list[str]:
    return [str(k) for k in ring]


# (the key there is, the key added, what is there then)
REPLACED = [
    ("user=al", "user=al", ["proto=pass user=al"]),
    ("user=al", "user=bob", ["proto=pass user=al", "proto=pass user=bob"]),
    ("user=al", "user=al role=client", ["proto=pass user=al role=client"]),
    ("user=al role=client", "user=al", ["proto=pass user=al"]),
    (
        "user=al role=client",
        "user=al role=server",
        ["proto=pass user=al role=client", "proto=pass user=al role=server"],
    ),
    ("user=al", "user=al dom=x", ["proto=pass user=al", "proto=pass user=al dom=x"]),
    ("user=al !a=1", "user=al !b=2", ["proto=pass user=al !b?"]),
]


@pytest.mark.parametrize(("old", "new", "want"), REPLACED)
def test_replacing(old: str, new: str, want: list[str]) -> None:
    ring = Ring(CHECKS)
    ring.add(f"proto=pass {old}")
    ring.add(f"proto=pass {new}")
    assert listing(ring) == want


def test_a_replaced_key_keeps_its_place() -> None:
    ring = Ring(CHECKS)
    for text in ("user=a", "user=b", "user=a !password=2"):
        ring.add(f"proto=pass {text}")
    assert listing(ring) == ["proto=pass user=a !password?", "proto=pass user=b"]


def test_one_line_makes_a_key_for_each_protocol() -> None:
    ring = Ring(CHECKS)
    ring.add("user=al proto=pass !password=x proto=apop proto=pass")
    assert listing(ring) == [
        "proto=pass user=al !password?",
        "proto=apop user=al !password?",
    ]


def test_the_good_part_of_a_line_is_added() -> None:
    ring = Ring(CHECKS)
    with pytest.raises(MailfsError, match="unknown proto nonsense"):
        ring.add("proto=nonsense proto=pass user=al")
    assert listing(ring) == ["proto=pass user=al"]


BAD_KEYS = [
    ("user=al", "key without protos"),
    ("proto=pass user?", "a key has no queries"),
    (" ".join(f"proto=p{i}" for i in range(MAX_PROTOS + 1)), "too many protos"),
]


@pytest.mark.parametrize(("text", "why"), BAD_KEYS)
def test_bad_keys(text: str, why: str) -> None:
    with pytest.raises(MailfsError, match=why):
        parse_key(f"{text} !password=hush")


def test_deleting() -> None:
    ring = Ring(CHECKS)
    for user in "abc":
        ring.add(f"proto=pass user={user} !password=x")
    ring.delete("user=b")
    assert listing(ring) == [
        "proto=pass user=a !password?",
        "proto=pass user=c !password?",
    ]
    with pytest.raises(MailfsError, match="found no keys to delete"):
        ring.delete("user=b")
    with pytest.raises(MailfsError, match="only !private\\? patterns"):
        ring.delete("!password=x")
    ring.delete("!password?")
    assert not len(ring)


def test_an_empty_template_deletes_all() -> None:
    ring = Ring(CHECKS)
    ring.add("proto=pass user=a")
    assert len(ring.delete("")) == 1


def test_disabled_keys_are_listed_but_not_found() -> None:
    ring = Ring(CHECKS)
    ring.add("proto=pass user=a disabled=by.factotum")
    assert listing(ring)
    assert ring.find(parse("proto=pass"), "me", "me") == []


def test_a_ring_is_bounded() -> None:
    ring = Ring(CHECKS)
    for i in range(MAX_KEYS):
        ring._keys.append(Key(parse(f"proto=pass user={i}")))
    with pytest.raises(MailfsError, match="too many keys"):
        ring.add("proto=pass user=another")


def test_lines() -> None:
    k = key("dom=x proto=pass user='a b' !password='it''s'")
    assert k.line() == "key proto=pass dom=x user='a b' !password?"
    assert k.reveal() == "key proto=pass dom=x user='a b' !password='it''s'"
    assert key("proto=rsa").line() == "key proto=rsa "
    assert lacks(k, "user? server? !password? !hex?") == "server? !hex?"
    changed = k.replace({"dom": "y", "n": "1"}, {"!password": Secret("z")})
    assert changed.reveal() == "key proto=pass dom=y user='a b' n=1 !password=z"
    with pytest.raises(MailfsError, match="key has no !hex"):
        k.secret("!hex")


def test_a_secret_does_not_show() -> None:
    secret = Secret("hush")
    k = key("proto=pass !password=hush")
    for text in (
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret!s:>9}",
        f"{k} {k!r}",
    ):
        assert "hush" not in text
    assert secret == Secret(b"hush") != Secret("hash")
    for escape in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            escape(secret)


@given(st.text("proto=as!?' \t\n#\0é", max_size=40) | st.text(max_size=20))
def test_garbage_is_refused_or_listed(text: str) -> None:
    ring = Ring(CHECKS)
    error = ""
    try:
        ring.add(f"proto=pass !password=hush {text}")
    except MailfsError as e:
        error = str(e)
    assert "hush" not in error
    for k in ring:
        assert "hush" not in k.line()
        (again,) = parse_key(k.reveal().removeprefix("key "))
        assert again.reveal() == k.reveal()


ODD = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\x1dh\x1ei"  # ends of lines to Python


def test_a_newline_is_in_no_key() -> None:
    """A file of keys and ctl have one key on a line; all else a password may hold."""
    with pytest.raises(MailfsError, match="newline in a key"):
        parse_key("proto=pass user=a !password='b\nkey proto=pass user=x'")
    (key,) = parse_key(f"proto=pass user=a !password='{ODD}'")
    assert key.secret().text() == ODD
    for public, private in (
        ({"user": "a\nb"}, {}),
        ({}, {"!password": Secret("a\nb")}),
    ):
        with pytest.raises(MailfsError, match="newline in a key"):
            key.replace(public, private)
    assert key.replace({}, {"!password": Secret(ODD)}).secret().text() == ODD
