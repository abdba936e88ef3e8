"""RSA key lines."""

import re

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa as crypto
from hypothesis import given, settings
from hypothesis import strategies as st

from mailfs.attr import Attr, parse, reveal
from mailfs.errors import MailfsError
from mailfs.tls import rsa
from mailfs.tls.rsa import RsaError

# The manual's example, too small to use; rsa(8).
SMALL = "key proto=rsa size=8 ek=7 n=8F !dk=67 !p=B !q=D !kp=3 !kq=7 !c2=6"


@pytest.fixture(scope="module")
def line() -> str:
    return rsa.write(rsa.generate(1024, "service=tls owner=* c='a b'"))


def values(line: str) -> dict[str, int]:
    names = ("ek", "!dk", "n", "!p", "!q", "!kp", "!kq", "!c2")
    return {a.name: int(a.value or "", 16) for a in parse(line) if a.name in names}


def without(line: str, *names: str) -> str:
    kept = [a for a in parse(line.removeprefix("key ")) if a.name not in names]
    return f"key {reveal(kept)}"


def test_manual_example() -> None:
    assert values(rsa.write(rsa.read(SMALL))) == values(SMALL)
    public = without(SMALL, "!dk", "!p", "!q", "!kp", "!kq", "!c2")
    assert rsa.write(rsa.read(public)) == public.lower()


def test_order_and_arithmetic(line: str) -> None:
    names = [a.name for a in parse(line)]
    head, tail = ["key", "proto", "service", "owner", "c", "size", "ek"], ["!kp", "!kq"]
    assert names == [*head, "!dk", "n", "!p", "!q", *tail, "!c2"]
    v = values(line)
    assert v["n"] == v["!p"] * v["!q"]
    assert v["!kp"] == v["!dk"] % (v["!p"] - 1)
    assert v["!kq"] == v["!dk"] % (v["!q"] - 1)
    assert v["!c2"] * v["!p"] % v["!q"] == 1
    assert v["n"].bit_length() == 1024
    assert v["ek"] == 65537
    assert "c='a b' size=1024 ek=10001 " in line


def test_read_and_written_again(line: str) -> None:
    key = rsa.read(line)
    assert key.complaints == ()
    assert rsa.write(key) == line
    upper = re.sub(r"=([0-9a-f]{9,})", lambda m: "=" + m[1].upper(), line)
    assert upper != line
    assert rsa.write(rsa.read(upper)) == line
    shuffled = "key " + reveal(reversed(parse(line.removeprefix("key "))))
    assert values(rsa.write(rsa.read(shuffled))) == values(line)


def test_derived_numbers_are_found_again(line: str) -> None:
    for missing in (["!kp"], ["!kp", "!kq", "!c2"]):
        assert rsa.write(rsa.read(without(line, *missing))) == line
    bare = rsa.read(without(line, "!p", "!q", "!kp", "!kq", "!c2"))
    assert {values(rsa.write(bare))[n] for n in ("!p", "!q")} == {
        values(line)[n] for n in ("!p", "!q")
    }


def test_public_half_has_no_secret(line: str) -> None:
    public = rsa.write_public(rsa.read(line + " !password=hush"))
    assert "!" not in public
    n = values(line)["n"]
    assert public == (
        f"key proto=rsa service=tls owner=* c='a b' size=1024 ek=10001 n={n:x}"
    )
    key = rsa.read(public)
    assert rsa.write(key) == public
    with pytest.raises(RsaError, match="no !dk"):
        rsa.write_private(key)


def test_old_exponent_is_read() -> None:
    key = crypto.generate_private_key(3, 1024)
    line = rsa.write(rsa.tagged(key, ""))
    assert " ek=3 " in line
    assert rsa.write(rsa.read(line)) == line


@pytest.mark.parametrize(
    ("size", "complaint"),
    [
        ("", "missing size; will add"),
        ("size=12x", "bad size; will correct"),
        ("size=12", "wrong size (got 12, expected 1024); will correct"),
        ("size=01024", None),
    ],
)
def test_size_is_mended(line: str, size: str, complaint: str | None) -> None:
    key = rsa.read(line.replace("size=1024", size))
    assert key.complaints == ((complaint,) if complaint else ())
    assert "size=1024 " in rsa.write(key)


BAD = [
    ("", "bad key format"),
    ("key", "empty key"),
    ("kex proto=rsa", "bad key format"),
    ("key ek=3 n=8F", "no proto"),
    ("key proto=dsa", "proto not rsa"),
    ("key proto=rsa n=8F", "no ek"),
    ("key proto=rsa ek=3", "no n"),
    ("key proto=rsa ek=3 n=0x8F", "bad n"),
    ("key proto=rsa ek=3 n=", "bad n"),
    ("key proto=rsa ek=g n=8F", "bad ek"),
    ("key proto=rsa ek=-3 n=8F", "bad ek"),
    ("key proto=rsa ek=2 n=8F", "bad rsa key"),
    ("key proto=rsa ek=0 n=0", "bad rsa key"),
    ("key proto=rsa ek=3 n=" + "f" * 4097, "bad n"),
]


@pytest.mark.parametrize(("text", "why"), BAD)
def test_bad(text: str, why: str) -> None:
    with pytest.raises(RsaError, match=why):
        rsa.read(text)


@pytest.mark.parametrize("name", ["ek", "!dk", "n", "!p", "!q"])
def test_inconsistent_key_is_refused_without_its_numbers(line: str, name: str) -> None:
    number = values(line)[name]
    for wrong in (number ^ 2, number + 2, 0, 1, number << 1):
        changed = without(line, name) + f" {name}={wrong:x}"
        with pytest.raises(RsaError) as e:
            rsa.read(changed)
        product = "n is not the product of !p and !q"
        if name in ("!p", "!q"):
            assert str(e.value) == product
        else:
            assert str(e.value) in (product, "bad rsa key")


@pytest.mark.parametrize("bits", [0, 512, 1023, 16385, -1])
def test_bits(bits: int) -> None:
    with pytest.raises(RsaError, match="want 1024 to 16384"):
        rsa.generate(bits)


@pytest.mark.parametrize("tag", ["proto=rsa", "n=3", "!x=3", "x?", "a='b\nc'"])
def test_bad_tag(tag: str) -> None:
    with pytest.raises(RsaError, match="in the tag"):
        rsa.generate(1024, tag)


def test_key_does_not_print(line: str) -> None:
    key = rsa.read(line + " !password=hush")
    v = values(line)
    for secret in ("hush", f"{v['!dk']:x}", str(v["!dk"]), f"{v['!p']:x}"):
        assert secret not in repr(key)
    assert Attr("service", "tls") in key.attrs


@settings(max_examples=200)
@given(st.text("proto=rsa ekn!dpqc2' ", max_size=60))
def test_garbage(text: str) -> None:
    try:
        key = rsa.read("key proto=rsa ek=3 " + text)
    except MailfsError:
        return
    again = rsa.read(rsa.write_public(key))
    assert again.public.public_numbers() == key.public.public_numbers()
