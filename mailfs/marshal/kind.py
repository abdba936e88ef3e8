"""What a file is: its media type, from its octets first and its name second.

A suffix may lie and a picture's first octets do not; but a zip archive may be any of
a dozen kinds of document, which only the suffix tells.
"""

import mimetypes
import os
import re
from functools import cache

BINARY = "application/octet-stream"
PLAIN = "text/plain"
HEAD = 4096  # octets that are looked at for a sign of the kind

# What files of a kind begin with, perhaps at some distance.
_SIGNS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (8, b"WEBP", "image/webp"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypheic", "image/heic"),
    (0, b"BM", "image/bmp"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"%!PS", "application/postscript"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"PK\x05\x06", "application/zip"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"BZh", "application/x-bzip2"),
    (0, b"\xfd7zXZ\0", "application/x-xz"),
    (0, b"(\xb5/\xfd", "application/zstd"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (257, b"ustar", "application/x-tar"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (0, b"OggS", "application/ogg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"ID3", "audio/mpeg"),
    (8, b"WAVE", "audio/x-wav"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1a\x45\xdf\xa3", "video/x-matroska"),
    (0, b"SQLite format 3\0", "application/vnd.sqlite3"),
    (0, b"\x7fELF", BINARY),
)
# Containers: what is in one, the suffix may know better.
_LOOSE = {
    "application/zip",
    "application/gzip",
    "application/x-bzip2",
    "application/x-xz",
    "application/x-ole-storage",
    "application/ogg",
    "video/mp4",
    "video/x-matroska",
    "image/tiff",  # many cameras' raw pictures
    "application/pdf",  # Illustrator's files
    BINARY,
}
_TEXTUAL = re.compile(
    r"text/|application/(?:json|xml|javascript|x-sh|x-tex|sql|toml|yaml|pgp-\w+)\Z|.*\+(?:json|xml)\Z"
)
_OFFICE = "application/vnd.openxmlformats-officedocument."
_OPEN = "application/vnd.oasis.opendocument."
# What the tables of systems disagree on, or lack.
_SUFFIXES = {
    ".diff": "text/x-diff",
    ".docx": f"{_OFFICE}wordprocessingml.document",
    ".eml": "message/rfc822",
    ".epub": "application/epub+zip",
    ".m4a": "audio/mp4",
    ".md": "text/markdown",
    ".odp": f"{_OPEN}presentation",
    ".ods": f"{_OPEN}spreadsheet",
    ".odt": f"{_OPEN}text",
    ".opus": "audio/ogg",
    ".patch": "text/x-diff",
    ".pptx": f"{_OFFICE}presentationml.presentation",
    ".rc": PLAIN,
    ".rtx": "text/richtext",
    ".tsv": "text/tab-separated-values",
    ".txt": PLAIN,
    ".xlsx": f"{_OFFICE}spreadsheetml.sheet",
}
_COMPRESSED = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
}
_CONTROL = re.compile(rb"[\x00-\x06\x0e-\x1a\x1c-\x1f]")


def guess(name: str, octets: bytes) -> str:
    """Return the media type of a file with that name and those octets."""
    said = _by_name(name)
    shown = _by_sign(octets)
    if shown is not None:
        loose = shown in _LOOSE and said is not None and not _TEXTUAL.match(said)
        return said if loose and said is not None else shown
    if is_text(octets):
        if said is None or not (_TEXTUAL.match(said) or said == "message/rfc822"):
            return PLAIN
        return said
    if (
        said is None
        or _TEXTUAL.match(said)
        or said.startswith(("message/", "multipart/"))
    ):
        return BINARY
    return said


def is_text(octets: bytes) -> bool:
    """Whether octets are UTF-8 text without control characters that text lacks."""
    if _CONTROL.search(octets):
        return False
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True


def _by_sign(octets: bytes) -> str | None:
    head = octets[:HEAD]
    for at, sign, kind in _SIGNS:
        if head.startswith(sign, at):
            return None if sign == b"BM" and is_text(head) else kind
    return None


@cache
def _table() -> mimetypes.MimeTypes:
    known = [name for name in mimetypes.knownfiles if os.path.isfile(name)]
    return mimetypes.MimeTypes(known)


def _by_name(name: str) -> str | None:
    dot = name.rfind(".")
    suffix = name[dot:].lower() if dot > 0 else ""
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    said, packed = _table().guess_type(f"x{suffix}" if suffix else "x")
    return _COMPRESSED.get(packed, BINARY) if packed else said
