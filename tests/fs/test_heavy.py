"""Messages made to be slow: who reads others is served meanwhile."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailfs.fs.files import FILES
from mailfs.mailbox.message import Need
from mailfs.mailboxes.entity import Entity
from mailfs.mailboxes.scope import EVERYTHING
from mailfs.mailboxes.scoped import ScopedMailbox

from .serving import Tree, serving

TOKEN = "=?utf-8?q?hello_world?="
WORDS = (TOKEN + " ") * 200_000
FOLDED = (TOKEN + "\n ") * 200_000
MIXED = "Content-Type: multipart/mixed; boundary=x"
INNER = "--x\nContent-Type: message/rfc822\n\nSubject: y\n\nz\n"
TEXTS = {
    "subject": f"Subject: {WORDS}\n\nbody\n",
    "folded": f"Subject: {FOLDED}x\n\nbody\n",
    "from": f"From: {WORDS}<a@example.org>\n\nbody\n",
    "to": "To: " + f"{TOKEN} <a@example.org>, " * 50_000 + "b@c\n\nbody\n",
    "name": f'Content-Type: text/plain; name="{WORDS}"\n\nbody\n',
    "unknown": f"X-Unknown: {WORDS}\n\nbody\n",
    "fields": f"X-Unknown: {TOKEN}\n" * 100_000 + "\nbody\n",
    "parts": f"{MIXED}\n\n" + "--x\n\n" * 65_000 + "--x--\n",
    "inner": f"{MIXED}\n\n" + INNER * 20_000 + "--x--\n",
    "few": f"{MIXED}\n\n" + "--x\n\n" * 5_000 + "--x--\n",
    "coded": "Content-Transfer-Encoding: base64\n\n" + "YWJj" * 1_000_000 + "\n",
}
HEADERS = ("subject", "folded", "from", "to", "name", "unknown", "fields")


@pytest.fixture(params=TEXTS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def tree(kind: str, tmp_path: Path) -> Iterator[Tree]:
    box = tmp_path / "box"
    date = "Mon Mar  2 09:00:00 2026"
    box.write_text(
        f"From a@example.org {date}\nSubject: small\n\nsmall\n\n"
        f"From b@example.org {date}\n{TEXTS[kind]}\n"
    )
    with serving(tmp_path, mbox=box) as tree:
        yield tree


def test_nothing_long_is_done_on_the_loop(tree: Tree, kind: str) -> None:
    found = tree.boxes.get("mbox")
    assert found is not None
    box = ScopedMailbox(found, EVERYTHING, tree.boxes.source(found))

    def near(*needs: Need) -> list[Need]:
        message = box.message(2)
        assert message is not None
        return [need for need in needs if Entity(box, message).ready(need)]

    of_header = (Need.HEAD, Need.INFO, Need.HEADER, Need.ENTRIES)
    of_parts = (Need.OUTLINE, Need.PARTS, Need.ENTRIES)
    if kind in HEADERS:
        assert near(*of_header) == []
    if kind in ("parts", "inner"):
        assert near(*of_parts) == []
    if kind in ("few", "coded"):
        assert near(Need.ENTRIES) == []
    if kind == "coded":
        assert near(Need.WHOLE) == []
    with tree.client() as client:
        client.ls("/mbox/2")
        for name in FILES:
            client.read(f"/mbox/2/{name}")
    # What is known by now may be taken from memory, but not rendered there.
    if kind in HEADERS:
        assert near(*of_header) == []
    if kind in ("parts", "inner", "few"):
        assert near(Need.ENTRIES) == []


def test_others_are_served_meanwhile(tree: Tree, kind: str) -> None:
    with tree.client() as client, tree.client() as other:
        done = threading.Event()

        def read() -> None:
            try:
                client.ls("/mbox/2")
                for name in ("subject", "from", "to", "info", "header", "filename"):
                    client.read(f"/mbox/2/{name}")
            finally:
                done.set()

        thread = threading.Thread(target=read)
        thread.start()
        served = 0
        while not done.is_set():
            assert other.read("/mbox/1/subject") == b"small"
            served += 1
        thread.join()
        assert served > 2


def test_what_is_read_of_it(tree: Tree, kind: str) -> None:
    with tree.client() as client:
        text = TEXTS[kind]
        assert client.read("/mbox/2/raw").decode() == text
        head = text.partition("\n\n")[0] + "\n"
        assert client.read("/mbox/2/rawheader").decode() == head
        header = client.read("/mbox/2/header").decode()
        subject = client.read("/mbox/2/subject").decode()
        if kind in ("subject", "folded"):
            assert header.startswith("Subject: hello worldhello world")
            assert subject.startswith("hello worldhello world")
            assert len(subject) > 400_000
        if kind == "to":
            assert client.read("/mbox/2/to").split() == [b"a@example.org"] * 50_000 + [
                b"b@c"
            ]
        if kind == "parts":
            assert len(client.ls("/mbox/2")) == 65_000 + len(FILES)
            assert client.read("/mbox/2/64000/type") == b"text/plain"
