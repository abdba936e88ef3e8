"""mailfs save: write the attachments of a message into a directory."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mailfs.cmd import mailtree
from mailfs.cmd.args import Parser
from mailfs.errors import MailfsError
from mailfs.msg import coding, header, param
from mailfs.p9.client import Client
from mailfs.p9.fcall import DMDIR
from mailfs.printable import shown

SUMMARY = "write the attachments of a message into a directory"

MAX_NAME = 200  # octets of a file's name; file systems take 255
MAX_ENDING = 10  # characters; "torrent" has seven
MAX_PARTS = 1000  # of one message that are looked at
MAX_TRIES = 1000  # names of one file that are tried
PIECE = 64 << 10  # octets read at a time
ENDINGS = {"message/rfc822": ".eml", "text/plain": ".txt", "text/html": ".html"}
_UNFIT = frozenset('/\\:*?"<>|')


def main(argv: list[str]) -> int:
    """Run the verb; it fails if nothing is attached."""
    parser = Parser(
        "save",
        "Write the attachments of a message into a directory, by their own names.\n"
        "No file that is there is written over: the new one is numbered.",
        example="mailfs save 17\nmailfs save mbox/17 ~/Downloads",
    )
    parser.add_argument(
        "message",
        metavar="MESSAGE",
        help="[MAILBOX/]NUMBER, and perhaps /PART: that part only",
    )
    parser.add_argument(
        "dir",
        metavar="DIR",
        nargs="?",
        type=Path,
        default=Path(),
        help="default .; made if new",
    )
    mailtree.add(parser, count=False)
    options = parser.parse_args(argv)
    where = mailtree.place(options.message)
    with mailtree.connect(options) as client:
        found = list(_attached(client, where))
        if not found and where.count("/") > 1:
            found = [(where, _name(client, where))]
        if found:
            options.dir.mkdir(exist_ok=True)
        for path, name in found:
            print(shown(str(_save(client, path, options.dir, name))), flush=True)
    if not found:
        print(f"mailfs save: {shown(where)}: nothing is attached", file=sys.stderr)
    return not found


def _attached(client: Client, where: str) -> Iterator[tuple[str, str]]:
    """Give the places and names of the attachments of a message or part."""
    rest, seen = [where], 0
    while rest and seen < MAX_PARTS:
        path = rest.pop(0)
        seen += 1
        entries = [entry for entry in client.ls(path) if entry.mode & DMDIR]
        named = client.read(f"{path}/filename") or (
            client.read(f"{path}/disposition") == b"file"
        )
        if named and (path != where or not entries):
            yield path, _name(client, path)
            continue
        if path == where or not client.read(f"{path}/type").startswith(b"message/"):
            parts = (entry.name.partition(".")[0] for entry in entries)
            rest[:0] = [f"{path}/{part}" for part in parts]


def _name(client: Client, path: str) -> str:
    """Return the name of a part; made up of its place if it has none."""
    said = _header(client, path)
    kind, params = param.media(said.raw(b"content-type"))
    disposition = said.raw(b"content-disposition")
    named = param.disposition(disposition, params.get("charset"))[1]
    # The tree's file has no blanks in it, but may know the charset of raw octets.
    tree = client.read(f"{path}/filename").decode("utf-8", "replace")
    name = named.get("filename") or params.get("name") or tree
    if param.filename({"filename": name}, {}) != tree:
        name = tree
    return name or f"part-{path.split('/', 2)[-1].replace('/', '-')}" + ENDINGS.get(
        kind, ""
    )


def _header(client: Client, path: str) -> header.Header:
    """Read the header of a part, or of a message."""
    name = "mimeheader" if path.count("/") > 1 else "rawheader"
    return header.scan(client.read(f"{path}/{name}"))


def safe(name: str) -> str:
    """Return a name fit for a file: no directory, hidden file or control character."""
    name = "".join("_" if c in _UNFIT else c for c in shown(name).replace("?", "_"))
    name = name.strip().lstrip(".").strip() or "attachment"
    stem, ending = _split(name)
    room = MAX_NAME - len(os.fsencode(ending))
    return os.fsencode(stem)[:room].decode("utf-8", "ignore") + ending


def _split(name: str) -> tuple[str, str]:
    """Return a name without its ending, and that with its dot; empty if none."""
    stem, dot, ending = name.rpartition(".")
    if not dot or not ending.isalnum() or len(ending) > MAX_ENDING:
        return name, ""
    return stem, dot + ending


def _save(client: Client, path: str, folder: Path, name: str) -> Path:
    """Write a part into a new file; return which.  Raises OSError or MailfsError."""
    said = _header(client, path)
    encoding = param.encoding(said.raw(b"content-transfer-encoding"))
    decoder = coding.Decoder(encoding)
    fd, target = _create(folder, safe(name))
    try:
        with open(fd, "w+b") as out, client.open(f"{path}/rawbody") as file:
            while piece := file.read(PIECE):
                out.write(decoder.feed(piece))
            out.write(decoder.feed(b"", final=True))
            if path.count("/") > 1 and coding.kind(encoding) != "base64":
                _unended(out)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return target


def _unended(file: BinaryIO) -> None:
    """Cut the newline that belongs to the boundary after a part; RFC 2046 5.1.1."""
    size = file.tell()
    file.seek(max(size - 2, 0))
    end = file.read()
    if end.endswith(b"\n"):
        file.truncate(size - (2 if end == b"\r\n" else 1))


def _create(folder: Path, name: str) -> tuple[int, Path]:
    """Create a file of that name, numbered if there is one already."""
    stem, ending = _split(name)
    for number in range(1, MAX_TRIES):
        target = folder / (name if number == 1 else f"{stem} ({number}){ending}")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        try:
            return os.open(target, flags, 0o666), target
        except FileExistsError:
            continue
    raise MailfsError(f"{folder / name}: {MAX_TRIES} files of that name are there")
