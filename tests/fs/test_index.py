"""The file index.jsonl: a line for each message of a mailbox or a query."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from mailfs.errors import EPERM, Refused
from mailfs.mailboxes.indextext import MESSAGES, IndexText
from mailfs.mailboxes.scopedset import ScopedMailboxes
from mailfs.p9.client import Client
from tests.mailbox.pop3 import world
from tests.net.dovecot import PASSWORD, Dovecot

from .conftest import mbox, names
from .serving import Tree, serving

COUNT = 2 * MESSAGES + 9
SECOND = "Mon Mar  2 09:{:02}:{:02} 2026"


@pytest.fixture
def many(tmp_path: Path) -> Path:
    path = tmp_path / "many"
    path.write_bytes(
        mbox(
            [
                (
                    "a@example.org",
                    SECOND.format(n // 60, n % 60),
                    f"From: Ann\u00e9 <anne@example.org>\nTo: b@x.org\n"
                    f"Subject: number {n}\nMessage-ID: <{n}@x>\n\n"
                    f"{'even' if n % 2 == 0 else 'odd'}\n",
                )
                for n in range(1, COUNT + 1)
            ]
        )
    )
    return path


def rows(client: Client, path: str) -> list[dict[str, Any]]:
    text = client.read(path).decode()
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def test_a_mailbox(tmp_path: Path, many: Path) -> None:
    with serving(tmp_path, many=many) as tree, tree.client() as client:
        client.write("/many/2/flags", b"+fs")
        found = rows(client, "/many/index.jsonl")
        assert [row["number"] for row in found] == list(range(1, COUNT + 1))
        one = found[1]
        assert {"flagged", "seen"} <= set(one.pop("flags"))
        assert one.pop("size") >= len(client.read("/many/2/raw"))
        assert one == {
            "number": 2,
            "date": "2026-03-02T09:00:02+00:00",
            "seconds": 1772442002,
            "tags": [],
            "from": "anne@example.org",
            "name": "Ann\u00e9",
            "to": "b@x.org",
            "cc": "",
            "subject": "number 2",
            "messageid": "2@x",
        }
        client.remove("/many/3")
        assert [row["number"] for row in rows(client, "/many/index")][:3] == [1, 2, 4]


def test_a_query_newest_first(tmp_path: Path, many: Path) -> None:
    with serving(tmp_path, many=many) as tree, tree.client() as client:
        found = rows(client, "/many/search/even/index.jsonl")
        assert [row["number"] for row in found] == list(range(COUNT - 1, 0, -2))
        assert client.read("/many/search/nonesuch/index.jsonl") == b""
        a, b = (client.stat(f"/many/search/{q}/index.jsonl") for q in ("even", "odd"))
        assert a.qid != b.qid
        assert a.name == b.name == "index.jsonl"
        with pytest.raises(Refused, match="frm: "):
            client.read("/many/search/frm:x/index.jsonl")


def test_it_is_read_in_any_order(tmp_path: Path, many: Path) -> None:
    with serving(tmp_path, many=many) as tree, tree.client() as client:
        whole = client.read("/many/index.jsonl")
        boxes = ScopedMailboxes(tree.boxes)

        async def pieces() -> None:
            box = boxes.get("many")
            assert box is not None
            text = IndexText(box, list(box.view))
            end = len(whole)
            reads = [(end - 9, 50), (7, 100), (end, 9), (1 << 70, 9), (0, end)]
            found = await asyncio.gather(*(text.read(*one) for one in reads))
            assert found == [whole[at : at + n] for at, n in reads]
            # One that stops waiting takes nothing from the next.
            text = IndexText(box, list(box.view))
            for _ in range(3):
                task = asyncio.ensure_future(text.read(0, end))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
            assert await text.read(0, end) == whole
            # Of messages that have gone there is no line.
            text = IndexText(box, [COUNT + 5, 2, 1])
            await box.delete([2])
            (line,) = (await text.read(0, end)).splitlines()
            assert json.loads(line)["number"] == 1

        tree.do(pieces())


def test_scope(tmp_path: Path, many: Path) -> None:
    with serving(tmp_path, many=many) as tree:
        with tree.client("upas/newest=2/ro") as some:
            for path, want in [("", [COUNT - 1, COUNT]), ("/search/odd", [COUNT])]:
                found = rows(some, f"/many{path}/index.jsonl")
                assert [row["number"] for row in found] == want
        with tree.client() as client:
            assert "index.jsonl" not in names(client, "/many")
            assert "index.jsonl" not in names(client, "/many/search/odd")
            with pytest.raises(Refused, match=EPERM):
                client.write("/many/index.jsonl", b"x")
            with pytest.raises(Refused, match=EPERM):
                client.remove("/many/index.jsonl")
        with tree.client("upas/all") as every:
            assert "index.jsonl" in names(every, "/many")
            assert "index.jsonl" in names(every, "/many/search/odd")


def test_what_comes_is_in_the_next(tmp_path: Path, many: Path) -> None:
    with serving(tmp_path, many=many) as tree, tree.client() as client:
        assert len(rows(client, "/many/index.jsonl")) == COUNT
        with many.open("ab") as file:
            file.write(mbox([("n@x.org", SECOND.format(59, 0), "Subject: new\n\nx\n")]))
        assert rows(client, "/many/index.jsonl")[-1]["subject"] == "new"


def test_octets_that_move_meanwhile(tmp_path: Path, many: Path) -> None:
    with serving(tmp_path, many=many) as tree, tree.client() as client:
        with client.open("/many/index.jsonl") as file:
            first = file.read(100)
            old = many.read_bytes()
            at = old.index(b"From a@", 1)
            many.write_bytes(old[at:])  # another program removed the first message
            text = first
            while piece := file.read(1 << 16):
                text += piece
        found = [json.loads(line) for line in text.splitlines()]
        assert [row["number"] for row in found] == list(range(1, COUNT + 1))
        assert all(row["subject"] == f"number {row['number']}" for row in found)


@pytest.mark.live
def test_a_server(tmp_path: Path) -> None:
    with Dovecot() as dovecot, world(tmp_path) as there:
        dovecot.trust(tmp_path / "root")
        user = dovecot.user()
        there.agent.add(f"proto=pass server=localhost user={user} !password={PASSWORD}")
        for n in range(1, COUNT + 1):
            text = f"From: a@x.org\nSubject: number {n}\nMessage-ID: <{n}@x>\n\nb{n}\n"
            dovecot.deliver(user, text.encode())
        tree = Tree(tmp_path / "t")
        try:
            tree.boxes.place = there.place()
            port = dovecot.ports["imaps"]
            tree.open(f"/imaps/tcp!localhost!{port}/{user}", "mbox")
            with tree.client(uname=there.place().user) as client:
                found = rows(client, "/mbox/index.jsonl")
                assert [row["subject"] for row in found] == [
                    f"number {n}" for n in range(1, COUNT + 1)
                ]
                assert json.loads(client.read("/mbox/5/json"))["text"] == "b5\n"
                assert not any("seen" in row["flags"] for row in found)
                assert client.read("/mbox/5/flags")[5:6] == b"-"
        finally:
            tree.close()
