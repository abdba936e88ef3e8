"""The tree itself: names, walks, entries, permissions; spec upasfs section 2."""

import os
import time
from pathlib import Path

import pytest

from mailfs.errors import EEXIST, ENOENT, ENOTDIR, EPERM, Refused
from mailfs.fs.files import FILES, INFO
from mailfs.p9.client import Client
from mailfs.p9.errstr import EWSTAT
from mailfs.p9.fcall import DMDIR, NOTOUCH, OEXEC, ORDWR, OREAD, OTRUNC, OWRITE, QTDIR

from .conftest import MESSAGES, mbox, names
from .serving import USER, Tree, serving

NINEFRONT = (  # spec upasfs section 4
    "bcc body cc date digest disposition ffrom fileid filename flags from header info "
    "inreplyto lines messageid mimeheader raw rawbody rawheader rawunix references "
    "replyto sender size subject to type unixdate unixheader"
).split()

INFO_LINES = (  # spec upasfs section 4.1
    "from to cc replyto unixdate subject type disposition filename digest bcc "
    "inreplyto date sender messageid lines size flags fileid ffrom"
).split()


def test_file_set() -> None:
    assert list(FILES) == NINEFRONT
    assert list(INFO) == INFO_LINES
    assert len({row.code for row in FILES.values()}) == len(FILES)
    assert max(row.code for row in FILES.values()) < 40


def test_listings(client: Client) -> None:
    assert names(client, "/") == ["ctl", "outbox", "mbox"]
    assert names(client, "/mbox") == ["ctl", "1", "2", "3", "4"]
    assert names(client, "/mbox/1") == NINEFRONT
    assert names(client, "/mbox/2") == [*NINEFRONT, "1", "2"]
    assert names(client, "/mbox/2/1") == NINEFRONT


def test_info_agrees_with_the_files(client: Client) -> None:
    for where in ("/mbox/1", "/mbox/2", "/mbox/2/1"):
        lines = client.read(f"{where}/info").decode().split("\n")
        assert lines[20:] == [""]
        for name, line in zip(INFO_LINES, lines, strict=False):
            assert client.read(f"{where}/{name}").decode() == line


def test_our_own_names_are_listed_on_request_only(tree: Tree) -> None:
    with tree.client("upas") as client:
        assert names(client, "/mbox")[:2] == ["ctl", "1"]
        assert b"messages 4\n" in client.read("/mbox/status")
    with tree.client("upas/all") as client:
        ours = ["status", "event", "search", "index.jsonl"]
        assert names(client, "/mbox")[:6] == ["ctl", *ours, "1"]
        assert names(client, "/") == ["ctl", "event", "outbox", "search", "mbox"]


@pytest.mark.parametrize(
    ("aname", "mode"),
    [("", 0o555), ("upas/modes", 0o755), ("upas/modes/ro", 0o555)],
)
def test_modes_tell_what_may_be_removed(tree: Tree, aname: str, mode: int) -> None:
    with tree.client(aname) as client:
        assert client.stat("/mbox").mode == DMDIR | mode
        listed = {entry.name: entry.mode for entry in client.ls("/")}
        assert listed["mbox"] == DMDIR | mode
        assert client.stat("/mbox/1").mode == DMDIR | 0o555


def test_directories_that_are_kept_are_as_the_mailbox_is(
    tree: Tree, client: Client, box: Path
) -> None:
    """Walking where one has walked before sees flags, removals, and other mailboxes."""
    subject, qid = client.read("/mbox/2/subject"), client.stat("/mbox/2/flags").qid
    client.write("/mbox/2/flags", b"+f")
    assert client.stat("/mbox/2/flags").qid.vers != qid.vers
    assert client.stat("/mbox/2/flags").qid.path == qid.path
    assert client.read("/mbox/2/subject") == subject
    client.write("/ctl", b"delete mbox 2")
    with pytest.raises(Refused, match=ENOENT):
        client.read("/mbox/2/subject")
    other = box.with_name("other")
    other.write_bytes(mbox(MESSAGES[3:]))
    before = client.stat("/mbox/1").qid
    client.write("/ctl", b"close mbox")
    with pytest.raises(Refused, match=ENOENT):
        client.read("/mbox/1/subject")
    client.write("/ctl", f"open {other} mbox".encode())
    assert client.read("/mbox/1/subject") != subject
    assert client.stat("/mbox/1").qid.path != before.path


ATTACHED = """\
Content-Type: multipart/mixed; boundary=b

--b

text
--b
Content-Type: application/pdf; name="Offer 3.PDF"
Content-Transfer-Encoding: base64

AAAA
--b
Content-Disposition: attachment; filename="../../etc/passwd.x/y"

odd
--b
Content-Type: message/rfc822; name=fwd.eml

Subject: in

inner
--b--
"""


def test_attachments_are_listed_with_their_suffix(tree: Tree, box: Path) -> None:
    """So a file manager knows what to open; who asks for nothing of ours sees body."""
    with box.open("ab") as file:
        file.write(f"From a@b Mon Mar  2 13:00:00 2026\n{ATTACHED}\n".encode())
    for aname, wanted in (
        ("upas/all", ["body", "body", "body.PDF", "body", "body"]),
        ("", ["body"] * 5),
    ):
        with tree.client(aname) as client:
            assert "5" in names(client, "/mbox")
            found = []
            for where in ("5", "5/1", "5/2", "5/3", "5/4"):
                listed = names(client, f"/mbox/{where}")
                found += [name for name in listed if name.startswith("body")]
            assert found == wanted
            assert client.read("/mbox/5/2/body.PDF") == bytes(3)


@pytest.mark.parametrize(
    ("path", "like"),
    [
        ("/mbox/1/body.txt", "/mbox/1/body"),
        ("/mbox/2/raw.tar.gz", "/mbox/2/raw"),
        ("/mbox/2/2.html/body.html", "/mbox/2/2/body"),
        ("/mbox.old/1.eml/info", "/mbox/1/info"),
        ("/mbox/1/../2/subject", "/mbox/2/subject"),
        ("/mbox/2/1/../../../mbox/1/subject", "/mbox/1/subject"),
        ("/../../mbox/1/./subject", "/mbox/1/subject"),
    ],
)
def test_suffixes_and_dots(client: Client, path: str, like: str) -> None:
    assert client.read(path) == client.read(like)
    assert client.stat(path).qid == client.stat(like).qid


@pytest.mark.parametrize(
    "path",
    [
        "/nonesuch",
        "/mbox/0",
        "/mbox/5",
        "/mbox/01",
        "/mbox/-1",
        "/mbox/1e0",
        "/mbox/99999999999999999999",
        "/mbox/١",
        "/mbox/1/nonesuch",
        "/mbox/1/1",
        "/mbox/2/3",
        "/mbox/2/0",
        "/mbox/2/02",
        "/mbox/1/.body",
        "/mbox/1/body2.txt",
        "/.mbox",
    ],
)
def test_what_is_not_there(client: Client, path: str) -> None:
    with pytest.raises(Refused, match=ENOENT):
        client.stat(path)


def test_walk_from_a_file(client: Client) -> None:
    with pytest.raises(Refused, match=ENOTDIR):
        client.stat("/mbox/1/body/x")


def test_entries(client: Client, tree: Tree, box: Path) -> None:
    root = client.stat("/")
    assert (root.name, root.mode, root.length) == (".", DMDIR | 0o555, 0)
    ctl = client.stat("/ctl")
    assert (ctl.mode, ctl.length) == (0o666, 0)
    first = client.stat("/mbox/1")
    assert first.mode == DMDIR | 0o555
    when = int(time.mktime(time.strptime(MESSAGES[0][1], "%a %b %d %H:%M:%S %Y")))
    assert (first.mtime, first.atime) == (when, when)
    assert (first.uid, first.gid, first.muid) == (USER,) * 3
    assert client.stat("/mbox/1/body").mode == 0o444
    assert client.stat("/mbox/1/flags").mode == 0o666
    assert client.stat("/mbox/2/1/flags").mode == 0o444


def test_a_listing_has_the_entries_that_stat_gives(client: Client) -> None:
    for where in ("/", "/mbox", "/mbox/2", "/mbox/2/1"):
        for entry in client.ls(where):
            found = client.stat(f"{where}/{entry.name}")
            assert found._replace(atime=0, mtime=0) == entry._replace(atime=0, mtime=0)


def test_qids_are_unique(client: Client) -> None:
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
    assert len(seen) == 4 + 1 + 4 + 6 * len(NINEFRONT) + 2


def test_lengths_are_true(client: Client) -> None:
    for where in ("/mbox/1", "/mbox/2", "/mbox/2/1", "/mbox/2/2"):
        for entry in client.ls(where):
            if not entry.qid.type & QTDIR:
                path = f"{where}/{entry.name}"
                assert entry.length == len(client.read(path)), path


OPENS = [
    ("/mbox/1/body", OREAD, None),
    ("/mbox/1/body", OWRITE, EPERM),
    ("/mbox/1/body", ORDWR, EPERM),
    ("/mbox/1/body", OEXEC, EPERM),
    ("/mbox/1/body", OREAD | OTRUNC, EPERM),
    ("/mbox/1/flags", ORDWR, None),
    ("/mbox/1/flags", OWRITE | OTRUNC, None),
    ("/mbox/1/flags", OEXEC, EPERM),
    ("/mbox/2/1/flags", OREAD, None),
    ("/mbox/2/1/flags", OWRITE, EPERM),
    ("/ctl", ORDWR, None),
    ("/ctl", OREAD, None),
    ("/ctl", OWRITE | OTRUNC, None),
    ("/ctl", OEXEC, EPERM),
    ("/mbox/ctl", ORDWR, None),
    ("/mbox/ctl", OEXEC, EPERM),
    ("/mbox/status", OREAD, None),
    ("/mbox/status", OWRITE, EPERM),
    ("/mbox/status", OREAD | OTRUNC, EPERM),
]


@pytest.mark.parametrize(("path", "mode", "error"), OPENS)
def test_open_modes(client: Client, path: str, mode: int, error: str | None) -> None:
    if error is None:
        client.open(path, mode).close()
        return
    with pytest.raises(Refused, match=error):
        client.open(path, mode)


def test_nothing_is_created_or_altered(client: Client) -> None:
    for where in ("/", "/mbox", "/mbox/1"):
        with pytest.raises(Refused, match=EPERM):
            client.create(f"{where}/new", 0o644, OWRITE)
    with pytest.raises(Refused, match=EWSTAT):
        client.wstat("/mbox/1", NOTOUCH._replace(name="7"))


@pytest.mark.parametrize("path", ["/ctl", "/mbox/ctl", "/mbox/1/flags"])
def test_a_shell_may_truncate_what_it_writes_to(client: Client, path: str) -> None:
    before = client.read(path)
    client.wstat(path, NOTOUCH._replace(length=0, mtime=5))
    assert client.read(path) == before
    for stat in (NOTOUCH._replace(length=1), NOTOUCH._replace(length=0, mode=0o600)):
        with pytest.raises(Refused, match=EWSTAT):
            client.wstat(path, stat)
    for other in ("/mbox/1/body", "/mbox/2/1/flags"):
        with pytest.raises(Refused, match=EWSTAT):
            client.wstat(other, NOTOUCH._replace(length=0))


@pytest.mark.parametrize(
    "path", ["/mbox/1/body", "/mbox/2/1", "/mbox", "/ctl", "/mbox/ctl", "/"]
)
def test_only_messages_can_be_removed(client: Client, path: str, box: Path) -> None:
    before = box.read_bytes()
    with pytest.raises(Refused, match=EPERM):
        client.remove(path)
    assert box.read_bytes() == before


def test_removing_a_message_deletes_it(client: Client, box: Path) -> None:
    client.remove("/mbox/2")
    assert names(client, "/mbox") == ["ctl", "1", "3", "4"]
    assert box.read_bytes() == mbox([MESSAGES[0], *MESSAGES[2:]])


def test_an_open_file_outlives_its_message(client: Client) -> None:
    with client.open("/mbox/2/raw") as raw, client.open("/mbox/2/info") as info:
        whole = client.read("/mbox/2/raw")
        client.remove("/mbox/2")
        assert raw.read() == whole
        assert info.read().startswith(b"b@example.org\n")
    with pytest.raises(Refused, match=ENOENT):
        client.read("/mbox/2/raw")


def test_attach(tree: Tree) -> None:
    with pytest.raises(Refused, match=EPERM):
        tree.client(uname="mallory")
    with pytest.raises(Refused, match="unknown attach name"):
        tree.client(aname="upas/rw")


def test_mailbox_version_tells_changes(client: Client, box: Path) -> None:
    def version() -> tuple[int, int]:
        return client.stat("/mbox").qid.vers, client.stat("/mbox").qid.path

    first = version()
    client.ls("/mbox")
    client.read("/mbox/1/body")
    assert version() == first
    with box.open("ab") as f:
        f.write(mbox([("e@example.org", "Mon Mar  2 13:00:00 2026", "\nfive\n")]))
    appended = version()
    assert appended[1] == first[1]
    assert appended[0] > first[0]
    assert names(client, "/mbox")[-1] == "5"
    client.write("/mbox/1/flags", b"+s")
    flagged = version()
    assert flagged[0] > appended[0]
    client.write("/mbox/1/flags", b"+s")
    assert version() == flagged
    client.remove("/mbox/1")
    assert version()[0] > flagged[0]


def test_message_versions_tell_flags(client: Client) -> None:
    first = client.stat("/mbox/1/flags").qid
    other = client.stat("/mbox/2/flags").qid
    client.write("/mbox/1/flags", b"+f")
    changed = client.stat("/mbox/1/flags").qid
    assert changed.path == first.path
    assert changed.vers != first.vers
    assert client.stat("/mbox/2/flags").qid == other
    client.write("/mbox/1/flags", b"-f")
    assert client.stat("/mbox/1/flags").qid == first
    assert 0 not in (first.vers, changed.vers)


def test_numbers_stay_over_a_restart(tmp_path: Path, box: Path) -> None:
    with serving(tmp_path, mbox=box) as tree, tree.client() as client:
        client.remove("/mbox/2")
        version = client.stat("/mbox").qid.vers
    with serving(tmp_path, mbox=box) as tree, tree.client() as client:
        assert names(client, "/mbox") == ["ctl", "1", "3", "4"]
        assert client.stat("/mbox").qid.vers == version
        assert client.read("/mbox/3/flags") == b"-------"  # no longer recent
        with box.open("ab") as f:
            f.write(mbox([("e@example.org", "Mon Mar  2 13:00:00 2026", "\nfive\n")]))
        assert names(client, "/mbox") == ["ctl", "1", "3", "4", "5"]
        assert client.read("/mbox/5/flags") == b"----r--"
    # and without any index they begin anew
    os.rename(tmp_path / "cache", tmp_path / "gone")
    with serving(tmp_path, mbox=box) as tree, tree.client() as client:
        assert names(client, "/mbox") == ["ctl", "1", "2", "3", "4"]


def test_an_edited_message_keeps_its_number(client: Client, box: Path) -> None:
    with client.open("/mbox/3/raw") as before:
        text = box.read_bytes()
        head = b"Subject: three\n"
        box.write_bytes(text.replace(head, head + b"Status: RO\n"))
        assert names(client, "/mbox") == ["ctl", "1", "2", "3", "4"]
        assert client.read("/mbox/3/raw") == b"Subject: three\nStatus: RO\n\nthird\n"
        assert client.read("/mbox/3/flags") == b"-----s-"
        assert before.read() == b"Subject: three\n\nthird\n"


def test_a_vanished_mailbox_says_so_and_comes_back(client: Client, box: Path) -> None:
    away = box.with_suffix(".away")
    box.rename(away)
    assert len(names(client, "/mbox")) == 5
    assert b"error file does not exist\n" in client.read("/mbox/status")
    away.rename(box)
    assert len(names(client, "/mbox")) == 5
    assert b"error" not in client.read("/mbox/status")


def test_existing_names_are_not_made_again(client: Client) -> None:
    with pytest.raises(Refused, match=f"{EPERM}|{EEXIST}"):
        client.create("/mbox/1", DMDIR | 0o755, OREAD)
