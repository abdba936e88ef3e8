"""Messages recoded for servers without 8BITMIME; judged by the standard library."""

import email
import email.policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.smtp.downgrade import MAX_LINE, Unconvertible, fits, recoded


def parts(octets: bytes) -> list[tuple[str, str]]:
    """Return the type and the text of each leaf."""
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    found = []
    for part in message.walk():
        if not part.is_multipart():
            raw = part.get_payload(decode=True)
            assert isinstance(raw, bytes)
            text = raw.replace(b"\r\n", b"\n").decode("latin-1")
            found.append((part.get_content_type(), text))
    return found


PLAIN = "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
MIXED = (
    "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n"
    "Content-Transfer-Encoding: 8bit\n\n"
)
CASES = [
    f"{PLAIN}Content-Transfer-Encoding: 8bit\n\ngrün = gut\n",
    f"{PLAIN}\n{'blöd ' * 50}\n.\nend\n",
    f"{PLAIN}\n{'x' * 3000}\n",
    f"{PLAIN}\n{'日本語' * 100}\n",
    f"{MIXED}--b\nContent-Type: text/plain\n\nä\n\n--b\n\nplain\n--b--\n",
    f"{MIXED}--b\nContent-Type: message/rfc822\n\n{PLAIN}\nö{'ö' * 1200}\n--b--\n",
    f"{PLAIN}Content-Transfer-Encoding: base64\n\n{'YWJj' * 500}\n",
]


@pytest.mark.parametrize("text", CASES)
@pytest.mark.parametrize("eight", [False, True])
def test_meaning_is_kept(text: str, *, eight: bool) -> None:
    octets = text.encode()
    out = recoded(octets, eight=eight)
    assert fits(out, eight=eight)
    assert parts(out) == parts(octets)
    assert recoded(out, eight=eight) == out


def test_without_mime_fields() -> None:
    out = recoded("Subject: x\n\nköln\n".encode(), eight=False)
    assert b"MIME-Version: 1.0" in out
    assert b"charset=utf-8" in out
    assert parts(out) == [("text/plain", "köln\n".encode().decode("latin-1"))]
    assert b"charset=unknown-8bit" in recoded(b"Subject: x\n\nk\xf6ln\n", eight=False)


def test_header_becomes_ascii() -> None:
    text = "Subject: größe\nTo: Jürgen <j@x.y>, k@x.y\nX-Y: é\n\nä\n"
    out = recoded(text.encode(), eight=False)
    message = email.message_from_bytes(out, policy=email.policy.default)
    assert message["subject"] == "größe"
    assert message["to"] == "Jürgen <j@x.y>, k@x.y"
    assert message["x-y"] == "é"


def test_preamble_and_long_field() -> None:
    text = f"{MIXED}pré{'x' * 2000}\n--b\n\nä\n--b--\n"
    out = recoded(text.encode(), eight=False)
    assert b"pr??x" in out
    assert max(map(len, out.split(b"\n"))) <= MAX_LINE
    long = b"Subject: " + b"x" * 2000 + b"\n\n" + b"y" * 1000 + b"\n"
    assert max(map(len, recoded(long, eight=True).split(b"\n"))) <= MAX_LINE


SIGNED = (
    "MIME-Version: 1.0\nContent-Type: multipart/signed; boundary=s\n\n"
    "--s\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n"
    "{text}\n--s\nContent-Type: application/pgp-signature\n\nxyz\n--s--\n"
)


@pytest.mark.parametrize("outer", ["{}", MIXED + "--b\n{}\n--b--\n"])
def test_what_is_signed_is_never_recoded(outer: str) -> None:
    eight = outer.format("X: ü\n" + SIGNED.format(text="grün")).encode()
    assert recoded(eight, eight=True) == eight
    with pytest.raises(Unconvertible, match="8-bit text"):
        recoded(eight, eight=False)
    long = outer.format(SIGNED.format(text="x" * 1200)).encode()
    with pytest.raises(Unconvertible, match="lines over 998 octets"):
        recoded(long, eight=True)
    seven = outer.format("X: ü\n" + SIGNED.format(text="green")).encode()
    body = SIGNED.format(text="green").encode().partition(b"\n\n")[2]
    assert recoded(seven, eight=False).endswith(
        body + (b"\n--b--\n" * (len(outer) > 2))
    )


PIECES = [
    *("--b\n", "--b--\n", "\n", "é\n", "x" * 1200 + "\n", "a\r", "\0\n", "noise"),
    *("Content-Type: text/x\n", "Content-Type: message/rfc822\n", MIXED),
    "Content-Transfer-Encoding: 8bit\n",
    "Content-Transfer-Encoding: x-uuencode\n",
]


@given(st.lists(st.sampled_from(PIECES), max_size=12), st.booleans())
def test_anything_comes_to_fit(pieces: list[str], eight: bool) -> None:
    octets = (MIXED + "".join(pieces)).encode()
    assert fits(recoded(octets, eight=eight), eight=eight)
