"""The file json: a message as one JSON object."""

import json
from pathlib import Path
from typing import Any

from mailfs.p9.client import Client

from .conftest import mbox, names
from .serving import serving

DATE = "Mon Mar  2 09:00:00 2026"
LETTERS = [
    (
        "a@example.org",
        DATE,
        "From: =?utf-8?q?Caf=C3=A9?= <cafe@example.org>\n"
        'To: "Moon, Full" <moon@example.org>, sun@example.org\n'
        "Cc: friends: b@example.org (Bunny), c@example.org;\n"
        "Date: Mon, 02 Mar 2026 10:00:00 +0200\n"
        "Subject: =?utf-8?q?line=E2=80=A8two?=\n"
        "Message-ID: <1@x>\nReferences: <a@x>\n\t<b@x>\nIn-Reply-To: <b@x>\n"
        "X-Long: one\n two\n"
        "Content-Type: multipart/mixed; boundary=m\n\n--m\n"
        "Content-Type: text/plain; charset=iso-8859-1\n\nna\N{LATIN SMALL LETTER A}\n"
        "--m\nContent-Type: application/pdf\n"
        "Content-Disposition: attachment; filename=a.pdf\n\n%PDF\n--m\n"
        "Content-Type: message/rfc822\n\n"
        "From: in@example.org\nSubject: inner\n\ninside\n--m--\n",
    ),
    ("b@example.org", DATE, "Date: never\n\n\x00\x7f text\n"),
    ("c@example.org", DATE, "Date: Sat, 01 Jan 0001 00:00:00 +2359\nTo: \n\nx\n"),
]


def read(client: Client, path: str) -> dict[str, Any]:
    octets = client.read(path)
    assert octets.endswith(b"}\n")
    text = octets.decode()
    assert len(text.splitlines()) == 1
    value = json.loads(text)
    assert isinstance(value, dict)
    return value


def test_json(tmp_path: Path) -> None:
    box = tmp_path / "box"
    box.write_bytes(mbox(LETTERS))
    with serving(tmp_path, mbox=box) as tree, tree.client() as client:
        client.write("/mbox/1/flags", b"+sf")
        one = read(client, "/mbox/1/json")
        assert one["mailbox"] == "mbox"
        assert one["number"] == 1
        assert one["from"] == [{"name": "Café", "address": "cafe@example.org"}]
        assert one["to"] == [
            {"name": "Moon, Full", "address": "moon@example.org"},
            {"name": "", "address": "sun@example.org"},
        ]
        assert one["cc"] == [
            {"name": "Bunny", "address": "b@example.org"},
            {"name": "", "address": "c@example.org"},
        ]
        assert one["bcc"] == one["sender"] == one["replyto"] == []
        assert one["date"] == "2026-03-02T09:00:00+00:00"
        assert one["seconds"] == 1772442000
        assert one["written"] == "2026-03-02T10:00:00+02:00"
        assert one["writtenseconds"] == 1772438400
        assert {"seen", "flagged"} <= set(one["flags"])
        assert one["subject"].encode() == client.read("/mbox/1/subject")
        assert one["messageid"] == "1@x"
        assert one["references"] == ["a@x", "b@x"]
        assert {"name": "X-Long", "value": "one two"} in one["headers"]
        assert [(p["path"], p["type"], p["name"]) for p in one["parts"]] == [
            ("1", "text/plain", ""),
            ("2", "application/pdf", "a.pdf"),
            ("3", "message/rfc822", ""),
            ("3/1", "text/plain", ""),
        ]
        for part in one["parts"]:
            size = client.read(f"/mbox/1/{part['path']}/size")
            assert str(part["size"]) == size.decode()
        assert one["text"].encode() == client.read("/mbox/1/text")
        inner = read(client, "/mbox/1/3/1/json")
        assert inner["path"] == "3/1"
        assert inner["subject"] == "inner"
        assert "flags" not in inner
        part = read(client, "/mbox/1/2/json")
        assert part["filename"] == "a.pdf"
        assert "from" not in part


def test_odd_letters(tmp_path: Path) -> None:
    box = tmp_path / "box"
    box.write_bytes(mbox(LETTERS))
    with serving(tmp_path, mbox=box) as tree, tree.client() as client:
        two = read(client, "/mbox/2/json")
        assert two["written"] is None
        assert two["from"] == [{"name": "", "address": "b@example.org"}]
        assert two["text"].encode() == client.read("/mbox/2/text")
        three = read(client, "/mbox/3/json")
        assert three["to"] == []
        assert three["written"] is None or three["written"].startswith("0")


def test_a_header_is_bounded(tmp_path: Path) -> None:
    box = tmp_path / "box"
    long = "".join(f"X-{n}: {'x' * 60_000}\n" for n in range(30))
    box.write_bytes(mbox([("a@example.org", DATE, f"Subject: s\n{long}\nbody\n")]))
    with serving(tmp_path, mbox=box) as tree, tree.client() as client:
        one = read(client, "/mbox/1/json")
        assert 10 < len(one["headers"]) < 20
        assert one["text"] == "body\n"


def test_listed_for_all_only(tmp_path: Path) -> None:
    box = tmp_path / "box"
    box.write_bytes(mbox(LETTERS))
    with serving(tmp_path, mbox=box) as tree, tree.client() as client:
        assert "json" not in names(client, "/mbox/1")
        with tree.client("upas/all") as every:
            assert "json" in names(every, "/mbox/1")
