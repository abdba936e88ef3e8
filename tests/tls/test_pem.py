"""PEM, against openssl's idea of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.tls import pem
from mailfs.tls.pem import PemError
from tests.tls.pki import Pki, openssl

CASES = [
    ("X", b"", "-----BEGIN X-----\n-----END X-----\n"),
    ("X", b"\0", "-----BEGIN X-----\nAA==\n-----END X-----\n"),
    ("A B", b"ab", "-----BEGIN A B-----\nYWI=\n-----END A B-----\n"),
    ("X", bytes(48), f"-----BEGIN X-----\n{'A' * 64}\n-----END X-----\n"),
    ("X", bytes(49), f"-----BEGIN X-----\n{'A' * 64}\nAA==\n-----END X-----\n"),
]


@pytest.mark.parametrize(("section", "data", "text"), CASES)
def test_both_ways(section: str, data: bytes, text: str) -> None:
    assert pem.encode(section, data) == text
    for variant in (
        text,
        text.rstrip("\n"),
        text.replace("\n", "\r\n"),
        text.replace("\n", "\r"),
        f"before\n-----BEGIN Y-----\nAAAA\n-----END Y-----\n{text}after\n{text}",
    ):
        assert pem.decode(section, variant) == data
    for cut in range(len(text) - 1):
        with pytest.raises(PemError):
            pem.decode(section, text[:cut])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "cannot extract section 'X' from pem"),
        ("-----BEGIN Y-----\nAA==\n-----END Y-----\n", "cannot extract section"),
        ("-----BEGIN X-----\nAA==\n-----END Y-----\n", "cannot extract section"),
        ("x-----BEGIN X-----\nAA==\n-----END X-----\n", "cannot extract section"),
        ("-----BEGIN X-----\nAA=\n-----END X-----\n", "is not base64"),
        ("-----BEGIN X-----\nA*==\n-----END X-----\n", "is not base64"),
        ("-----BEGIN X-----\nProc-Type: 4\n\nAAAA\n-----END X-----\n", "not base64"),
        ("-----BEGIN X-----\n\u00e9\n-----END X-----\n", "is not base64"),
    ],
)
def test_bad(text: str, why: str) -> None:
    with pytest.raises(PemError, match=why):
        pem.decode("X", text)


@pytest.mark.parametrize("section", ["", "a\nb", "A-----", "-----"])
def test_bad_section(section: str) -> None:
    with pytest.raises(PemError, match="cannot name a section"):
        pem.encode(section, b"")
    with pytest.raises(PemError, match="cannot name a section"):
        pem.decode(section, "")


def test_openssl_agrees(pki: Pki) -> None:
    text = openssl("x509", "-in", pki.folder / "good.pem").decode()
    assert pem.decode("CERTIFICATE", text) == pki.good.der
    assert pem.encode("CERTIFICATE", pki.good.der) == text


@given(st.binary(max_size=200))
def test_any_octets(data: bytes) -> None:
    assert pem.decode("X Y", pem.encode("X Y", data)) == data


@given(st.text("-BEGINDX \nA=", max_size=60))
def test_garbage(text: str) -> None:
    try:
        pem.decode("X", "-----BEGIN X-----\n" + text)
    except PemError as e:
        assert "\n" not in str(e)  # noqa: PT017
