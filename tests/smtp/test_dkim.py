"""Signatures, judged by dkimpy with the public half of a key the factotum keeps."""

import base64
import contextlib
from collections.abc import Callable
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils
from hypothesis import given, settings
from hypothesis import strategies as st

from mailfs.smtp import wire
from mailfs.smtp.body import WireBody
from mailfs.smtp.dkim import Signer, Signers, author_domain, chosen
from mailfs.smtp.source import OctetSource
from tests.factotum.serving import Served
from tests.smtp.world import Box, client, mail, no_factotum, receiver

KEY = rsa.generate_private_key(65537, 1024)
PUBLIC = base64.b64encode(
    KEY.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
).decode()


def line(**attrs: str) -> str:
    """Return the key as the factotum takes it."""
    n = KEY.private_numbers()
    e = n.public_numbers
    numbers = {
        "ek": e.e,
        "n": e.n,
        "!dk": n.d,
        "!p": n.q,
        "!q": n.p,
        "!kp": n.dmq1,
        "!kq": n.dmp1,
        "!c2": pow(n.q, -1, n.p),
    }
    words = [f"{name}={told}" for name, told in attrs.items()]
    words += [f"{name}={told:X}" for name, told in numbers.items()]
    return "proto=rsa service=dkim hash=sha256 " + " ".join(words)


def records(selector: str, domain: str) -> Callable[..., bytes]:
    def txt(name: bytes, timeout: int = 5) -> bytes:
        assert name.decode() == f"{selector}._domainkey.{domain}."
        return f"v=DKIM1; k=rsa; p={PUBLIC}".encode()

    return txt


TEXTS = [
    b"From: Glenda <glenda@h.org>\nTo: a@b.com\nSubject: hello\n\nhello\n",
    b"From: glenda@h.org\nSubject: no body\n",
    b"From: glenda@h.org\n\n\n\n\n",
    b"From: glenda@h.org\n\nblanks  \t in\tlines   \n\n  \n\n",
    b"FROM:  glenda@h.org\nsubject:folded\n over\n\tlines\n\n.dot\n",
    b"From : glenda@h.org\nSubject \t: blanks before the colon\nTo : a@b.com\n\nx\n",
    b"From: glenda@h.org\nTo: a@b.com\nTo: c@d.com\nX-Other: y\n\nbody",
    "From: glenda@h.org\nSubject: größe\n\nköln\n".encode(),
    b"From: glenda@h.org\n\n" + b"x" * 2000 + b"\n",
]


@pytest.mark.parametrize("text", TEXTS)
def test_verified(tmp_path: Path, served: Served, text: bytes) -> None:
    served.add(line(domain="h.org", selector="s1"))
    box = Box()
    with receiver(box, decode_data=False) as port:
        sender = client(tmp_path, keys=served.keys)
        assert sender.deliver(mail(port, text=text))[0].ok
        sender.close()
    octets = box.got[0].content
    assert isinstance(octets, bytes)
    assert octets.startswith(b"DKIM-Signature: v=1;")
    assert dkim.verify(octets, dnsfunc=records("s1", "h.org"))
    head, _, body = octets.partition(b"\r\n\r\n")
    changed = head + b"\r\n\r\nmore " + body
    assert not dkim.verify(changed, dnsfunc=records("s1", "h.org"))
    for field in (b"From: x@y.z", b"Subject: other", b"To: x@y.z"):
        added = octets + b"" if field is None else field + b"\r\n" + octets
        assert not dkim.verify(added, dnsfunc=records("s1", "h.org"))
    assert max(map(len, octets.split(b"\r\n"))) <= 998


def body_hash(body: bytes) -> str:
    return WireBody(OctetSource(body), 0).digest()


def signature(signer: Signer, message: bytes) -> bytes:
    """Return the field for a message in wire form."""
    head, empty, body = message.partition(b"\r\n\r\n")
    return signer.field(head + empty, body_hash(body), 1)


def sign(digest: bytes) -> bytes:
    return KEY.sign(digest, padding.PKCS1v15(), utils.Prehashed(hashes.SHA256()))


@given(
    st.text(alphabet="a \t\n.é", max_size=40),
    st.text(alphabet="b \t:;", max_size=30),
)
@settings(max_examples=60)
def test_any_text_verifies(body: str, subject: str) -> None:
    head = f"From: a@h.org\nSubject: {subject}\n\n"
    octets = wire.lines((head + body).encode())
    signed = signature(Signer("h.org", "s1", sign), octets) + octets
    assert dkim.verify(signed, dnsfunc=records("s1", "h.org"))


def test_body_hash() -> None:
    """RFC 6376 section 3.4.4 prints the hash of nothing; errata 5839 the empty line."""
    assert body_hash(b"") == "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    assert body_hash(b"\r\n\r\n") == body_hash(b"")
    assert body_hash(b" C \r\nD \t E\r\n\r\n\r\n") == body_hash(b" C\r\nD E\r\n")


def test_chosen() -> None:
    fields = [b"To: a", b"From: b", b"X: c", b"to: d"]
    names, signed = chosen(fields)
    assert names[:2] == ["from", "from"]  # once more than there are
    assert names.count("to") == 3
    assert names.count("subject") == 1
    assert names.count("list-id") == 0  # a list may add its own
    assert "x" not in names
    assert signed == [b"From: b", b"to: d", b"To: a"]  # the last first


ADDED = (
    *(b"Content-Type: text/html", b"MIME-Version: 1.0", b"Sender: x@evil.org"),
    *(b"Content-Transfer-Encoding: base64", b"Content-Disposition: attachment"),
    *(b"Reply-To: x@evil.org", b"In-Reply-To: <a@b>", b"References: <a@b>"),
    *(b"Subject: other", b"Subject : other", b"Cc: x@evil.org", b"Message-ID: <a@b>"),
)


@pytest.mark.parametrize("added", ADDED)
@pytest.mark.parametrize("where", ["first", "last"])
def test_nothing_is_added_unnoticed(added: bytes, where: str) -> None:
    signer = Signer("h.org", "dkim", sign)
    message = b"From: glenda@h.org\r\nTo: a@b.com\r\n\r\nhello\r\n"
    signed = signature(signer, message) + message
    dns = records("dkim", "h.org")
    assert dkim.verify(signed, dnsfunc=dns)
    head, _, body = signed.partition(b"\r\n\r\n")
    rows = [added, head] if where == "first" else [head, added]
    changed = b"\r\n".join([*rows, b"", body])
    with contextlib.suppress(dkim.MessageFormatError):  # "Subject :" is none to it
        assert not dkim.verify(changed, dnsfunc=dns)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        (b"From: A <a@B.com>", "b.com"),
        (b"from:a@b.com, c@d.com", "b.com"),
        (b"Subject: x", ""),
    ],
)
def test_author_domain(text: bytes, want: str) -> None:
    assert author_domain([text]) == want


def test_which_key(served: Served) -> None:
    signers = Signers(served.keys)
    assert signers.find("h.org") is None
    served.add(line(domain="h.org"), line(domain="sub.h.org", selector="s2"))
    served.add(line(domain="other.org").replace("service=dkim", "service=tls"))
    signers = Signers(served.keys)
    for domain, want in (
        ("h.org", ("h.org", "dkim")),
        ("x.h.org", ("h.org", "dkim")),
        ("a.sub.h.org", ("sub.h.org", "s2")),
    ):
        found = signers.find(domain)
        assert found is not None
        assert (found.domain, found.selector) == want
        assert len(found.sign(b"x" * 32)) == 128
    assert signers.find("other.org") is None
    assert Signers(no_factotum).find("h.org") is None


def test_a_key_that_cannot_sign_delays(tmp_path: Path, served: Served) -> None:
    served.add(line(domain="h.org"))
    sender = client(tmp_path, keys=served.keys)
    assert sender.signers is not None
    assert sender.signers.find("h.org") is not None
    served.loop.call(lambda: served.agent.control("delkey proto=rsa"))
    with receiver(Box()) as port:
        (fate,) = sender.deliver(mail(port))
        sender.close()
    assert fate.temporary
    assert fate.line.startswith("dkim: no key matches")
