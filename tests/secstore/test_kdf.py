"""scrypt and stretched passwords."""

import base64

import pytest

from mailfs.secret import Secret
from mailfs.secstore.error import SecstoreError
from mailfs.secstore.kdf import Cost, Stretch, scrypt, stretch

SALT = bytes(range(16))
TEXT = f"scrypt 14 8 1 {base64.b64encode(SALT).decode()}"


def test_rfc_7914() -> None:
    """Section 12, the vector with N=16384, r=8, p=1."""
    raw = scrypt(Secret("pleaseletmein"), b"SodiumChloride", Cost(14), 64)
    assert raw.hex().startswith("7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3e")


def test_both_ways() -> None:
    assert str(Stretch(Cost(14), SALT)) == TEXT
    assert stretch(TEXT) == Stretch(Cost(14), SALT)


def test_password_depends_on_everything() -> None:
    kind = stretch(TEXT)
    made = {
        kind.password(b"bob", Secret("a")).reveal(),
        kind.password(b"eve", Secret("a")).reveal(),
        kind.password(b"bob", Secret("b")).reveal(),
        Stretch(Cost(14), bytes(16)).password(b"bob", Secret("a")).reveal(),
        Stretch(Cost(14, 2), SALT).password(b"bob", Secret("a")).reveal(),
    }
    assert len(made) == 5
    assert all(len(m) == 44 for m in made)  # Plan 9's clients take 63


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "unknown way"),
        ("argon2 14 8 1 AAAAAAAAAAAAAAAAAAAAAA==", "unknown way"),
        (TEXT + " x", "unknown way"),
        (TEXT.replace("14", "13"), "implausible cost"),
        (TEXT.replace("14", "18"), "implausible cost"),
        (TEXT.replace("14", "1e1"), "implausible cost"),
        (TEXT.replace("14", "-14"), "implausible cost"),
        (TEXT.replace("14", "9999"), "implausible cost"),
        (TEXT.replace(" 8 ", " 9 "), "implausible cost"),
        (TEXT.replace(" 1 ", " 0 "), "implausible cost"),
        (TEXT.replace(" 1 ", " 5 "), "implausible cost"),
        (TEXT[:-4], "bad salt"),
        (TEXT[:-4] + "*A==", "bad salt"),
        (TEXT + "AAAA", "bad salt"),
    ],
)
def test_bad(text: str, why: str) -> None:
    with pytest.raises(SecstoreError, match=why):
        stretch(text)
