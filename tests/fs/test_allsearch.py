"""Queries of all mailboxes as directories."""

from pathlib import Path

import pytest

from mailfs.cmd import mailtree
from mailfs.errors import ENOENT, EPERM, EROFS, Refused

from .conftest import mbox, names
from .serving import serving

DATE = "Mon Mar  2 09:00:00 2026"


def write(path: Path, *texts: str) -> Path:
    path.write_bytes(
        mbox([("a@example.org", DATE, f"Subject: s\n\n{text}\n") for text in texts])
    )
    return path


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return {
        "one": write(tmp_path / "one", "needle", "hay"),
        "two": write(tmp_path / "two", "hay"),
        "three": write(tmp_path / "three", "hay", "needle", "needle hay"),
    }


def test_mailboxes_that_answer(tmp_path: Path, files: dict[str, Path]) -> None:
    with serving(tmp_path, readonly=False, **files) as tree, tree.client() as client:
        assert names(client, "/search/needle") == ["one", "three"]
        assert names(client, "/search/in:two hay") == ["two"]
        assert names(client, "/search/nonesuch") == []
        assert names(client, "/search") == []
        assert names(client, "/search/needle/three") == ["3", "2"]
        assert names(client, "/search/needle/two") == []
        assert client.read("/search/needle/three/3/body") == b"needle hay\n"
        assert client.stat("/search/needle/three/3") == client.stat("/three/3")
        assert client.read("/search/needle/one/index.jsonl").count(b"\n") == 1
        assert client.read("/search/needle/three/status").startswith(b"found 2\n")
        here, there = (
            client.stat(where).qid
            for where in ("/search/needle/one", "/one/search/needle")
        )
        assert here != there
        assert client.stat("/search/needle/one/../../..").qid == client.stat("/").qid
        for path in ("/search/needle/four", "/search/needle/one/2"):
            with pytest.raises(Refused, match=ENOENT):
                client.stat(path)
        with pytest.raises(Refused, match="frm: "):
            client.ls("/search/frm:x")
        for path in ("/search", "/search/needle", "/search/needle/one"):
            with pytest.raises(Refused, match=EPERM):
                client.remove(path)
        client.remove("/search/needle/one/1")
        assert names(client, "/search/needle") == ["three"]
        assert names(client, "/one") == ["ctl", "2"]


def test_scope(tmp_path: Path, files: dict[str, Path]) -> None:
    with serving(tmp_path, readonly=False, **files) as tree:
        with tree.client("upas/box=two/box=one") as some:
            assert names(some, "/search/needle") == ["one"]
            with pytest.raises(Refused, match=ENOENT):
                some.stat("/search/needle/three")
        with tree.client("upas/newest=1") as newest:
            assert names(newest, "/search/needle") == ["three"]
            assert names(newest, "/search/needle/three") == ["3"]
        with tree.client("upas/ro") as reader, pytest.raises(Refused, match=EROFS):
            reader.remove("/search/needle/one/1")


def test_a_mailbox_that_cannot_be_searched(
    tmp_path: Path, files: dict[str, Path]
) -> None:
    with serving(tmp_path, readonly=False, **files) as tree, tree.client() as client:
        away = str(tmp_path / "away" / "box")
        assert tree.do(tree.boxes.serve(away, "away")) is not None
        assert names(client, "/search/needle") == ["one", "three", "away"]
        with pytest.raises(Refused):
            client.ls("/search/needle/away")


def test_it_is_listed_where_our_own_names_are(
    tmp_path: Path, files: dict[str, Path]
) -> None:
    with serving(tmp_path, readonly=False, **files) as tree:
        with tree.client() as client:
            assert "search" not in names(client, "/")
        with tree.client("upas/all") as every:
            assert "search" in names(every, "/")
            assert mailtree.mailboxes(every) == ["one", "two", "three"]


def test_a_mailbox_of_that_name_is_no_query(
    tmp_path: Path, files: dict[str, Path]
) -> None:
    with serving(tmp_path, search=files["one"]) as tree:
        with tree.client("upas/all") as every:
            assert names(every, "/").count("search") == 1
            assert every.read("/search/2/body") == b"hay\n"
            assert mailtree.mailboxes(every) == ["search"]
