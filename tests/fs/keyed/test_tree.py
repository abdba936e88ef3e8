"""The keyed tree: names, entries, files, what tells changes; spec upasfs section 10."""

from pathlib import Path

import pytest

from mailfs.attr import tokenize
from mailfs.errors import ENOENT, EPERM, Refused
from mailfs.fs.keyed.files import FILES
from mailfs.p9.client import Client
from mailfs.p9.errstr import EWSTAT
from mailfs.p9.fcall import NOTOUCH, OEXEC, ORDWR, OREAD, OTRUNC, OWRITE, QTDIR

from ..conftest import mbox, names
from .serving import BothTrees, both

MESSAGE = (
    "type body bcc cc date flags from header info inreplyto lines mimeheader messageid "
    "raw rawunix rawbody rawheader replyto sender subject to unixdate unixheader"
).split()
INSIDE = [name for name in MESSAGE if name not in ("flags", "unixdate", "unixheader")]
PART = "type body filename charset mimeheader raw".split()
INFO = (
    "unixdate digest from to cc replyto date sender messageid subject type lines"
).split()
UNLISTED = "filename charset encoding desc idstr digest disposition".split()


def info(client: Client, where: str) -> dict[str, str]:
    """Read info as its clients do."""
    text = client.read(f"{where}/info").decode()
    assert text.endswith("\n")
    pairs = [line.partition(" ") for line in text.splitlines()]
    found = {key: value for key, _, value in pairs}
    assert len(found) == len(pairs)
    assert all(found.values())
    return found


def test_listings(client: Client) -> None:
    assert names(client, "/") == ["ctl", "mbox"]
    assert names(client, "/mbox") == ["ctl", "search", "1", "2", "3", "4"]
    assert names(client, "/mbox/1") == MESSAGE
    assert names(client, "/mbox/2") == [*MESSAGE, "1", "2"]
    assert names(client, "/mbox/2/1") == [*PART, "1", "2"]
    assert names(client, "/mbox/3/2") == [*INSIDE, "1"]
    assert names(client, "/mbox/3/2/1") == [*INSIDE, "1", "2"]
    assert names(client, "/mbox/3/2/1/2") == PART


def test_codes_differ() -> None:
    assert len({row.code for row in FILES.values()}) == len(FILES)
    assert max(row.code for row in FILES.values()) < 40


@pytest.mark.parametrize("where", ["/mbox/1", "/mbox/2/2", "/mbox/3/2"])
def test_every_file_can_be_walked_to_everywhere(client: Client, where: str) -> None:
    assert set(FILES) == {*MESSAGE, *UNLISTED}
    for name in FILES:
        assert client.stat(f"{where}/{name}").length == len(
            client.read(f"{where}/{name}")
        )


ABSENT = [
    "/nonesuch",
    "/mbox/5",
    "/mbox/01",
    "/mbox/size",
    "/mbox/1/1",
    "/mbox/1/size",
    "/mbox/1/ffrom",
    "/mbox/1/fileid",
    "/mbox/1/references",
    "/mbox/3/2/2",
]


@pytest.mark.parametrize("path", ABSENT)
def test_what_is_not_there(client: Client, path: str) -> None:
    with pytest.raises(Refused, match=ENOENT):
        client.stat(path)


@pytest.mark.parametrize(
    ("path", "like"),
    [
        ("/mbox/..", "/"),
        ("/mbox/1/../..", "/"),
        ("/..", "/"),
        ("/mbox/3/2/1/..", "/mbox/3/2"),
        ("/mbox/3/2/../../1/subject", "/mbox/1/subject"),
        ("/mbox/2/2/body.gif", "/mbox/2/2/body"),
    ],
)
def test_dots(client: Client, path: str, like: str) -> None:
    assert client.stat(path).qid == client.stat(like).qid


def test_entries(client: Client) -> None:
    assert client.stat("/").name == "/"
    for where in ("/", "/mbox", "/mbox/2", "/mbox/3/2", "/mbox/3/2/1"):
        for entry in client.ls(where):
            path = f"{where}/{entry.name}"
            assert client.stat(path) == entry
            if not entry.qid.type & QTDIR and entry.name != "ctl":
                assert len(client.read(path)) == entry.length


def qids(client: Client) -> dict[int, str]:
    """Return the paths of all nodes by qid.path."""
    seen: dict[int, str] = {}
    todo = ["/"]
    while todo:
        where = todo.pop()
        for entry in client.ls(where):
            path = f"{where.rstrip('/')}/{entry.name}"
            assert entry.qid.path not in seen, (path, seen[entry.qid.path])
            seen[entry.qid.path] = path
            if entry.qid.type & QTDIR:
                todo.append(path)
    return seen


def test_qids_are_unique_in_the_server(tree: BothTrees) -> None:
    with tree.keyed() as keyed, tree.client() as upas:
        here, there = qids(keyed), qids(upas)
        assert not here.keys() & there.keys()
        files = 4 * len(MESSAGE) + 2 * len(INSIDE) + 7 * len(PART)
        assert (
            len(here) == files + 3 + 4 + 1 + 9
        )  # with controls, messages, mbox, parts
        assert keyed.stat("/").qid.path != upas.stat("/").qid.path


def test_info(client: Client) -> None:
    found = info(client, "/mbox/1")
    assert list(found) == INFO
    seconds, _, shown = found["unixdate"].partition(" ")
    assert shown + "\n" == client.read("/mbox/1/unixdate").decode()
    assert client.stat("/mbox/1").mtime == int(seconds)
    assert len(tokenize(shown)) == 6
    assert tokenize(found["to"]) == [
        "Doe, John",
        "john@example.org",
        "",
        "list@example.org",
    ]
    assert found["sender"] == found["replyto"] == "Glenda glenda@example.org"
    assert found["messageid"] == "<one@example.org>"
    assert found["subject"] == "plain café"
    assert found["lines"] == "2"
    for key, value in found.items():
        if key != "unixdate":
            assert client.read(f"/mbox/1/{key}").decode() == value
    assert info(client, "/mbox/2")["inreplyto"] == "<one@example.org>"


def test_info_leaves_out_what_is_not_there(client: Client, box: Path) -> None:
    with box.open("ab") as file:
        file.write(mbox([("", "Mon Mar  2 13:00:00 2026", "Subject: x\n\n")]))
    client.ls("/mbox")
    assert list(info(client, "/mbox/5")) == ["unixdate", "digest", "subject", "type"]


def test_info_of_parts(client: Client) -> None:
    assert info(client, "/mbox/2/2") == {
        "type": "image/gif",
        "lines": "1",
        "filename": "dot.gif",
        "disposition": "file",
    }
    for where in ("/mbox/3/2", "/mbox/3/2/1"):  # a wrapper speaks of what is in it
        found = info(client, where)
        assert found["from"] == "Inner inner@example.org"
        assert found["subject"] == "inner"
        assert "digest" not in found
        assert "unixdate" not in found
    assert info(client, "/mbox/3/2")["type"] == "message/rfc822"
    assert info(client, "/mbox/3/2/1")["type"] == "multipart/mixed"


def test_flags_are_in_info_when_some_are_set(client: Client) -> None:
    assert "flags" not in info(client, "/mbox/1")
    client.write("/mbox/1/flags", b"+seen +flagged")
    assert info(client, "/mbox/1")["flags"] == "flagged seen"


def test_header(client: Client) -> None:
    shown = client.read("/mbox/1/unixdate").decode()
    assert client.read("/mbox/1/header").decode() == (
        f"Date: {shown}"
        "To: Doe, John <john@example.org>, list@example.org\n"
        "Cc: Ring Buffer <ring@example.org>\n"
        "From: Glenda <glenda@example.org>\n"
        "Subject: plain café\n"
    )
    assert b"Resent-From: resender@example.org\n" in client.read("/mbox/3/header")
    assert client.read("/mbox/2/2/header") == b""
    # once only, or nedmail shows the header of what is forwarded twice
    assert client.read("/mbox/3/2/header") == b""
    assert client.read("/mbox/3/2/1/header").startswith(
        b"Date: Sun, 1 Mar 2026 08:00:00 +0000\nTo: sender@example.org\nFrom: Inner <"
    )


def test_raw(client: Client) -> None:
    def read(path: str) -> bytes:
        return client.read(f"/mbox/{path}")

    for where in ("1", "2", "3"):
        assert read(f"{where}/rawheader") + read(f"{where}/rawbody") == read(
            f"{where}/raw"
        )
        assert read(f"{where}/rawheader").endswith(b"\n\n")
        assert read(f"{where}/rawunix") == read(f"{where}/unixheader") + read(
            f"{where}/raw"
        )
    assert read("2/2/raw") == b"R0lGODlh\n"
    assert read("2/2/body") == b"GIF89a"
    assert read("2/2/mimeheader").startswith(b"Content-Type: image/gif;")
    assert read("2/2/mimeheader").endswith(b"base64\n\n")
    assert read("3/2/raw") == read("3/2/1/raw")
    assert read("3/2/raw").startswith(b"From: Inner <inner@example.org>\n")
    assert read("3/2/rawheader") == read("3/2/1/rawheader")
    assert read("3/2/1/1/body") == b"the needle within\n"


OPENS = [
    ("/ctl", OWRITE, None),
    ("/ctl", OWRITE | OTRUNC, None),
    ("/ctl", OEXEC, EPERM),
    ("/mbox/ctl", OWRITE, None),
    ("/mbox/ctl", OEXEC, EPERM),
    ("/mbox/search", ORDWR, None),
    ("/mbox/search", OREAD, None),
    ("/mbox/search", OEXEC, EPERM),
    ("/mbox/1/flags", ORDWR, None),
    ("/mbox/3/2/flags", OWRITE, EPERM),
    ("/mbox/1/body", OREAD, None),
    ("/mbox/1/body", ORDWR, EPERM),
    ("/mbox", OWRITE, "is a directory"),
]


@pytest.mark.parametrize(("path", "mode", "error"), OPENS)
def test_open_modes(client: Client, path: str, mode: int, error: str | None) -> None:
    if error is None:
        client.open(path, mode).close()
        return
    with pytest.raises(Refused, match=f"(?i){error}"):
        client.open(path, mode)


@pytest.mark.parametrize("path", ["/ctl", "/mbox/ctl", "/mbox/search", "/mbox/1/flags"])
def test_a_shell_may_truncate_what_it_writes_to(client: Client, path: str) -> None:
    client.wstat(path, NOTOUCH._replace(length=0))
    with pytest.raises(Refused, match=EWSTAT):
        client.wstat(path, NOTOUCH._replace(length=1))


def test_changes_are_told(client: Client, box: Path) -> None:
    def now() -> tuple[int, int]:
        stat = client.stat("/mbox")
        return stat.qid.vers, stat.mtime

    first, message = now(), client.stat("/mbox/1/flags").qid.vers
    client.ls("/mbox")
    for name in MESSAGE:
        client.read(f"/mbox/1/{name}")
    assert now() == first
    assert client.read("/mbox/1/flags") == b""  # reading marks nothing
    client.write("/mbox/1/flags", b"seen")
    flagged = now()
    assert flagged[0] != first[0]
    assert client.stat("/mbox/1/flags").qid.vers != message
    with box.open("ab") as file:
        file.write(mbox([("e@example.org", "Mon Mar  2 13:00:00 2026", "\nfive\n")]))
    assert now()[0] not in (first[0], flagged[0])
    assert names(client, "/mbox")[-1] == "5"


def test_flags(client: Client) -> None:
    with client.open("/mbox/1/flags", ORDWR) as flags:
        flags.write(b"+seen +draft")
        flags.seek(0)
        assert flags.read() == b"draft seen"
        flags.write(b"flagged\n")
        with pytest.raises(Refused, match="unknown flag nonesuch"):
            flags.write(b"-flagged nonesuch")
    assert client.read("/mbox/1/flags") == b"flagged"
    with client.open("/mbox/2/flags", OWRITE) as flags:
        client.write("/mbox/ctl", b"delete 2")
        with pytest.raises(Refused, match="file has been removed"):
            flags.write(b"+seen")


def test_removing_a_message_deletes_it(client: Client) -> None:
    with client.open("/mbox/3/2/1/raw") as raw:
        whole = client.read("/mbox/3/2/1/raw")
        client.remove("/mbox/3")
        assert raw.read() == whole
    assert names(client, "/mbox") == ["ctl", "search", "1", "2", "4"]
    for path in ("/mbox/2/1", "/mbox/1/body", "/mbox", "/mbox/ctl", "/mbox/search"):
        with pytest.raises(Refused, match=EPERM):
            client.remove(path)


def test_both_dialects_show_one_mailbox(tree: BothTrees) -> None:
    with tree.keyed() as keyed, tree.client() as upas:
        keyed.write("/mbox/1/flags", b"+seen")
        assert upas.read("/mbox/1/flags")[5:6] == b"s"
        upas.write("/ctl", b"delete mbox 2")
        assert names(keyed, "/mbox") == ["ctl", "search", "1", "3", "4"]
        for name in ("raw", "body", "digest", "type", "subject", "rawunix"):
            path = f"/mbox/3/{name}"
            assert keyed.read(path) == upas.read(path)


def test_events(tree: BothTrees) -> None:
    with tree.keyed() as client, tree.keyed() as other:
        digest = client.read("/mbox/2/digest").decode()
        with client.open("/event") as event, client.open("/mbox/event") as mine:
            other.write("/mbox/ctl", b"delete 2")
            expected = f"delete mbox/2 {digest}\n".encode()
            assert event.read(512) == mine.read(512) == expected
        assert "event" not in names(client, "/") + names(client, "/mbox")


def test_folders(tmp_path: Path, box: Path) -> None:
    with both(tmp_path, mbox=box, Work=box) as tree:
        # As the folders of an account are called.
        for name in ("Work:2024", "Work:2024:May", "Lists:a", "Lists:b"):
            tree.open(box, name)
        with tree.keyed() as client:
            assert names(client, "/") == ["ctl", "mbox", "Work", "Lists"]
            assert names(client, "/Lists") == ["a", "b"]
            assert names(client, "/Work")[:4] == ["ctl", "search", "2024", "1"]
            assert names(client, "/Work/2024")[2:4] == ["May", "1"]
            assert client.read("/Work/2024/May/1/subject") == "plain café".encode()
            assert client.stat("/Work/2024/May/../../..").name == "/"
            assert client.stat("/Work:2024").qid == client.stat("/Work/2024").qid
            assert client.stat("/Lists/a/..").qid == client.stat("/Lists").qid
            assert client.stat("/Lists/..").qid == client.stat("/").qid
            assert len(qids(client)) > 6 * 100
            for path in ("/Lists/1", "/Lists/ctl", "/Lists/c", "/Work/2025"):
                with pytest.raises(Refused, match=ENOENT):
                    client.stat(path)
            client.write("/mbox/ctl", b"save Lists/b 1")
            assert names(client, "/Lists/b")[-1] == "5"
            # acme Mail names the mailbox as it found it
            assert names(client, "/Work/2024")[-1] == "5"
            client.write("/Work/2024/ctl", b"delete Work/2024 5")
            assert names(client, "/Work/2024")[-1] == "4"
