"""Searching a mailbox by its file search."""

import base64
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from mailfs.errors import EARGS, Refused
from mailfs.mailboxes.query import parse
from mailfs.mailboxes.scope import EVERYTHING
from mailfs.mailboxes.scoped import ScopedMailbox
from mailfs.mailboxes.search import search as find
from mailfs.p9.client import Client
from mailfs.p9.fcall import ORDWR

from ..conftest import mbox
from .serving import BothTrees

T = TypeVar("T")

SEARCHES = [
    ("needle", "1 3"),  # in a forwarded message too
    ("NEEDLE within", "3"),
    ("café", "1 2"),  # a subject in encoded words, a body in quoted-printable
    ("coffee", "2"),
    ("dot.gif", ""),
    ("R0lGOD", ""),  # what people do not read
    ("inner@example.org", "3"),
    ("from:inner", ""),
    ("from:bunny", "2"),
    ("from:'last@example.org'", "4"),
    ("to:glenda", "2 3"),
    ("to:glenda subject:fwd", "3"),
    ("to:glenda coffee", "2"),
    ("cc:ring", "1"),
    ("bcc:x", ""),
    ("sender:glenda", ""),
    ("subject:CAFÉ", "1"),
    ("header:resent-from", "3"),
    ("body:glenda", ""),
    ("body:bold", "3"),
    ("example.org", "1 2 3 4"),
    ("nonesuch", ""),
    ("needle OR coffee", "1 2 3"),
    ("needle -is:flagged", "1 3"),
    ('"needle within"', "3"),
    ("need*", "1 3"),
    ('from:"bunny"', "2"),
    ("is:unread from:bunny", "2"),
    ("(café OR coffee) NOT needle", "2"),
    ("size:>1M", ""),
]


def search(client: Client, text: str, where: str = "/mbox") -> str:
    """Search as acme Mail does."""
    with client.open(f"{where}/search", ORDWR) as file:
        file.write(text.encode())
        file.seek(0)
        return b"".join(iter(lambda: file.read(127), b"")).decode()


@pytest.mark.parametrize(("text", "found"), SEARCHES)
def test_search(client: Client, text: str, found: str) -> None:
    assert search(client, text) == found


def test_one_file_many_searches(client: Client) -> None:
    with client.open("/mbox/search", ORDWR) as file, client.open("/mbox/search") as two:
        assert file.read() == b""
        file.write(b"needle")
        file.seek(0)
        assert file.read(2) == b"1 "
        assert file.read() == b"3"
        file.write(b"coffee\n")
        file.seek(0)
        assert file.read() == b"2"
        with pytest.raises(Refused, match=EARGS):
            file.write(b" \n")
        file.seek(0)
        assert file.read() == b""
        assert two.read() == b""  # each has its own
    assert client.read("/mbox/search") == b""


def test_search_sees_what_has_just_come(client: Client, box: Path) -> None:
    with box.open("ab") as file:
        file.write(
            mbox([("e@example.org", "Mon Mar  2 13:00:00 2026", "\na needle\n")])
        )
    assert search(client, "needle") == "1 3 5"
    client.write("/mbox/ctl", b"delete 3")
    assert search(client, "needle") == "1 5"


def test_long_bodies_and_many_messages(tree: BothTrees, tmp_path: Path) -> None:
    filler = "filler, a line of it\n"
    # the text lies across the pieces that a long body is read in
    long = filler * (1 << 16)
    at = (1 << 20) - 4
    split = long[:at] + "nee\n\n\ndle" + long[at:]
    coded = base64.encodebytes(split.encode()).decode()
    head = "Content-Type: text/plain; charset=utf-8\n"
    many = [
        (f"m{i}@x.org", "Mon Mar  2 09:00:00 2026", f"Subject: {i}\n\n{i % 7} seven\n")
        for i in range(700)
    ]
    many += [
        ("l@x.org", "Mon Mar  2 09:00:00 2026", f"{head}\n{split}"),
        (
            "c@x.org",
            "Mon Mar  2 09:00:00 2026",
            f"{head}Content-Transfer-Encoding: base64\n\n{coded}",
        ),
        ("s@x.org", "Mon Mar  2 09:00:00 2026", f"{head}\n{long}"),
    ]
    (tmp_path / "many").write_bytes(mbox(many))
    tree.open(tmp_path / "many", "many")
    with tree.keyed() as client:
        assert search(client, "nee dle", "/many") == "701 702"
        assert search(client, "filler", "/many") == "701 702 703"
        found = search(client, "subject:6 0 SEVEN", "/many").split()
        assert found == [str(i + 1) for i in range(700) if "6" in str(i) and i % 7 == 0]


def test_others_are_served_meanwhile(tree: BothTrees, tmp_path: Path) -> None:
    many = [
        (f"m{i}@x.org", "Mon Mar  2 09:00:00 2026", "\n" + "some text\n" * 500)
        for i in range(3000)
    ]
    (tmp_path / "many").write_bytes(mbox(many))
    tree.open(tmp_path / "many", "many")
    with tree.keyed() as client, tree.keyed() as other:
        answers: list[str] = []
        thread = threading.Thread(
            target=lambda: answers.append(search(client, "nonesuch", "/many"))
        )
        thread.start()
        served = 0
        while thread.is_alive():
            assert other.read("/many/7/body").startswith(b"some text\n")
            served += 1
        thread.join()
        assert answers == [""]
        assert served > 3


class Shaken(ScopedMailbox):
    """A mailbox whose file another program rewrites just before it is read."""

    left = 1
    box = ""  # its path

    async def run(self, job: Callable[[], T]) -> T:
        """Rewrite the file, then do job."""

        def shaken() -> T:
            if self.left:
                self.left -= 1
                octets = Path(self.box).read_bytes()
                start = octets.index(b"\nFrom bunny@") + 1
                Path(self.box).write_bytes(octets[start:])
            return job()

        return await super().run(shaken)


def test_a_mailbox_that_changes_under_the_search(tree: BothTrees, box: Path) -> None:
    found = tree.boxes.get("mbox")
    assert found is not None
    window = Shaken(found, EVERYTHING, tree.boxes.source(found))
    window.box = str(box)
    assert tree.do(find(window, parse("needle"))) == [3]
    assert tree.do(find(window, parse("example.org"))) == [2, 3, 4]


def test_a_text_across_long_white_space(tree: BothTrees, tmp_path: Path) -> None:
    many = [
        ("a@x.org", "Mon Mar  2 09:00:00 2026", "\nnee" + " " * 600_000 + "dle\n"),
        ("b@x.org", "Mon Mar  2 09:00:00 2026", "\nnee\n" + "\n" * 600_000 + "dl\n"),
        ("c@x.org", "Mon Mar  2 09:00:00 2026", "S: a " + "b " * 600_000 + "c\n\n\n"),
    ]
    (tmp_path / "many").write_bytes(mbox(many))
    tree.open(tmp_path / "many", "many")
    with tree.keyed() as client:
        assert search(client, "nee dle", "/many") == "1"
        assert search(client, "b " * 450 + "c", "/many") == "3"
        assert search(client, "b " * 450 + "d", "/many") == ""
