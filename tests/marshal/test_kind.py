"""Media types of files, by what is in them and what they are called."""

import pytest

from mailfs.marshal import kind

ZIP = b"PK\x03\x04"
KINDS = [
    ("a.txt", b"text\n", "text/plain"),
    ("a", b"text\n", "text/plain"),
    (".profile", b"text\n", "text/plain"),
    ("README", b"", "text/plain"),
    ("a.csv", b"a,b\n", "text/csv"),
    ("a.diff", b"--- a\n", "text/x-diff"),
    ("a.svg", b"<svg/>\n", "image/svg+xml"),
    ("a.json", b"{}\n", "application/json"),
    ("a.png", b"not a picture\n", "text/plain"),
    ("a.png", b"\x89PNG\r\n\x1a\n", "image/png"),
    ("a.jpg", b"\x89PNG\r\n\x1a\n", "image/png"),
    ("a.txt", b"\x89PNG\r\n\x1a\n", "image/png"),
    ("a", b"GIF89a\0", "image/gif"),
    ("a", b"RIFF\0\0\0\0WEBP", "image/webp"),
    ("a", b"%PDF-1.7\n", "application/pdf"),
    ("a.zip", ZIP, "application/zip"),
    ("a.txt", ZIP, "application/zip"),
    (
        "a.docx",
        ZIP,
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
    ("a.ODT", ZIP, "application/vnd.oasis.opendocument.text"),
    ("a.tar.gz", b"\x1f\x8b\x08", "application/gzip"),
    ("a.tgz", b"\x1f\x8b\x08", "application/gzip"),
    ("x.y/a.tar.gz", b"\x1f\x8b\x08", "application/gzip"),
    ("a.tar", b"\0" * 257 + b"ustar", "application/x-tar"),
    ("BM.txt", b"BM is a text\n", "text/plain"),
    ("a.bmp", b"BM\0\0\0\0", "image/bmp"),
    ("a.bin", b"\0\1", "application/octet-stream"),
    ("a.unknown", b"\0\1", "application/octet-stream"),
    ("a.txt", b"\0\1", "application/octet-stream"),
    ("a.txt", b"caf\xe9", "application/octet-stream"),
    ("a.eml", b"From: x\n\ny", "message/rfc822"),
    ("a.eml", b"\0", "application/octet-stream"),
    ("a.mp3", b"\xff\xfb\x90", "audio/mpeg"),
]


@pytest.mark.parametrize(("name", "octets", "expect"), KINDS)
def test_guess(name: str, octets: bytes, expect: str) -> None:
    assert kind.guess(name, octets) == expect


@pytest.mark.parametrize(
    "octets", [b"\0", b"\x1a", b"x\x0e", b"\xff", "é".encode()[:1]]
)
def test_no_text(octets: bytes) -> None:
    assert not kind.is_text(octets)


@pytest.mark.parametrize("octets", [b"", b"\t\r\n\x0c\x1b[m", "é".encode()])
def test_text(octets: bytes) -> None:
    assert kind.is_text(octets)
