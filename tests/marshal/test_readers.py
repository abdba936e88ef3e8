"""Attachments as other programs take them out: munpack and ripmime."""

import shutil
import subprocess
from pathlib import Path

import pytest

from mailfs.marshal import draft
from mailfs.marshal.attachment import Attachment
from mailfs.marshal.compose import Author, Order, compose

FILES = {
    "dots.png": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40,
    "note.txt": b"a note\nof two lines\n",
    "long.txt": b"x" * 5000,
    "dos.txt": b"one\r\ntwo\r\n",
    "utf8.txt": "äöü €\n".encode(),
    "empty.bin": b"",
}
PROGRAMS = [["munpack", "-t", "-q"], ["ripmime", "--overwrite", "-i", "-", "-d", "."]]


@pytest.mark.live
@pytest.mark.parametrize("argv", PROGRAMS, ids=lambda argv: argv[0])
def test_files_come_out(argv: list[str], tmp_path: Path) -> None:
    if shutil.which(argv[0]) is None:
        pytest.skip(f"no {argv[0]}")
    there, out = tmp_path / "in", tmp_path / "out"
    there.mkdir()
    out.mkdir()
    for name, octets in FILES.items():
        (there / name).write_bytes(octets)
    order = Order(
        to=("bob",),
        subject="Grüße",
        files=tuple(Attachment(str(there / name)) for name in FILES),
    )
    numbers = iter(range(9))
    made = compose(
        draft.typed("Text: é\n".encode()),
        order,
        Author("glenda", "x"),
        now=1e9,
        token=lambda: f"t{next(numbers)}",
    )
    subprocess.run(argv, input=made.octets, cwd=out, check=True, capture_output=True)
    for name, octets in FILES.items():
        if name.endswith(
            ".txt"
        ):  # munpack makes its lines the system's, ripmime adds one
            found = (out / name).read_bytes().replace(b"\r\n", b"\n").rstrip()
            assert found == octets.replace(b"\r\n", b"\n").rstrip()
        elif octets:
            assert (out / name).read_bytes() == octets
