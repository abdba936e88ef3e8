"""Account files and the counting of wrong passwords."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.secret import Secret
from mailfs.secstore.account import Account, Accounts, NoAccount, good_id, parse
from mailfs.secstore.kdf import Cost, Stretch
from mailfs.secstore.pak import b64, verifier

HI = verifier(b"bob", Secret("sesame123"))[1]
KEY = b64(HI).decode()
KDF = Stretch(Cost(14), bytes(16))
NOW = 1_800_000_000.0

FILES = [
    (Account("bob", HI, 7), f"exp\t7\nPAK-Hi\t{KEY}\n"),
    (
        Account("bob", HI, 0, enabled=False, token=True, failed=3, other="a b\tc"),
        f"exp\t0\nDISABLED\nSTA\nfailed\t3\nother\ta b\tc\nPAK-Hi\t{KEY}\n",
    ),
    (
        Account("bob", HI, 0, other="a\u2028exp 9\x85STA\x0bDISABLED\x1cb"),
        f"exp\t0\nother\ta\u2028exp 9\x85STA\x0bDISABLED\x1cb\nPAK-Hi\t{KEY}\n",
    ),
    (
        Account("bob", HI, 7, stretch=KDF),
        f"exp\t7\nPAK-Hi\t{KEY}\nkdf\tscrypt 14 8 1 {'A' * 22}==\n",
    ),
]


@pytest.mark.parametrize(("account", "text"), FILES)
def test_both_ways(account: Account, text: str) -> None:
    assert account.lines() == text.encode()
    assert parse("bob", text.encode()) == account


def test_blanks_and_unknown_lines() -> None:
    text = f"exp   7\n\nhello\nPAK-Hi {KEY}"
    assert parse("bob", text.encode()) == Account("bob", HI, 7)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "exp\t7\n",
        "PAK-Hi\t\n",
        "PAK-Hi\tAg==\n",
        f"exp\tx\nPAK-Hi\t{KEY}\n",
        f"exp\t-1\nPAK-Hi\t{KEY}\n",
        f"exp\t{'9' * 20}\nPAK-Hi\t{KEY}\n",
        f"failed\t1e3\nPAK-Hi\t{KEY}\n",
        f"kdf\trot13\nPAK-Hi\t{KEY}\n",
        f"PAK-Hi\t{KEY}\nother\t\udcff\n",
    ],
)
def test_corrupted(text: str) -> None:
    with pytest.raises(NoAccount, match="corrupted account file"):
        parse("bob", text.encode("utf-8", "surrogateescape"))


@given(st.binary(max_size=80))
def test_garbage(raw: bytes) -> None:
    with pytest.raises(NoAccount):
        parse("bob", raw)


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("bob", True),
        ("b.o-b@x", True),
        ("\u00e9", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("\u00e9" * 33, False),
        ("", False),
        (".", False),
        ("..", False),
        ("../who/bob", False),
        ("a/b", False),
        ("a b", False),
        ("a\n", False),
        ("a\0", False),
    ],
)
def test_good_id(name: str, good: bool) -> None:
    assert good_id(name) is good


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    made = Accounts(tmp_path / "secstore")
    made.make()
    made.write(Account("bob", HI, int(NOW) + 1))
    return made


def test_others_cannot_look(accounts: Accounts) -> None:
    for path in (accounts.root, *accounts.root.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0


def test_usable(accounts: Accounts) -> None:
    bob = accounts.usable("bob", NOW)
    assert bob == accounts.read("bob")
    for now, account, why in (
        (NOW + 1, bob, "account expired"),
        (NOW, replace(bob, enabled=False), "account disabled"),
    ):
        accounts.write(account)
        with pytest.raises(NoAccount, match=why):
            accounts.usable("bob", now)
    accounts.write(replace(bob, expires=0))
    accounts.usable("bob", NOW * 2)
    for name in ("eve", "../who/bob", "", "."):
        with pytest.raises(NoAccount, match="account does not exist"):
            accounts.usable(name, NOW)


def test_file_that_is_too_long(accounts: Accounts) -> None:
    (accounts.root / "who/long").write_bytes(
        accounts.read("bob").lines() + b"x" * 20000
    )
    with pytest.raises(NoAccount, match="corrupted"):
        accounts.usable("long", NOW)
    (accounts.root / "who/dir").mkdir()
    with pytest.raises(NoAccount, match="cannot be read"):
        accounts.usable("dir", NOW)


def test_fictitious_stands_in(accounts: Accounts) -> None:
    accounts.write(Account("FICTITIOUS", HI, int(NOW) + 9))
    assert accounts.usable("eve", NOW).user == "FICTITIOUS"
    (accounts.root / "who/bad").write_text("hello")
    with pytest.raises(NoAccount, match="corrupted"):
        accounts.usable("bad", NOW)


def test_failures_are_counted_first_and_taken_back(accounts: Accounts) -> None:
    for n in range(1, 4):
        bob = accounts.attempt("bob", NOW)
        assert accounts.read("bob").failed == n
    accounts.succeeded(bob)
    assert accounts.read("bob").failed == 0


def test_ten_failures_rest_for_five_minutes(accounts: Accounts) -> None:
    accounts.write(Account("bob", HI))
    for n in range(10):
        accounts.attempt("bob", NOW + n)
    for now in (NOW + 10, NOW + 308):
        with pytest.raises(NoAccount, match="too many failures; try again in five"):
            accounts.attempt("bob", now)
    accounts.attempt("bob", NOW + 309)
    assert accounts.read("bob").failed == 1


def test_new_verifier_keeps_the_rest(accounts: Accounts) -> None:
    accounts.write(Account("bob", HI, 5, other="x", stretch=KDF))
    new = verifier(b"bob", Secret("other"))[1]
    accounts.set_verifier(accounts.read("bob"), new)
    assert accounts.read("bob") == Account("bob", new, 5, other="x", stretch=KDF)
