"""Queries as directories."""

import mailbox as standard
import sqlite3
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from mailfs.errors import ENOENT, EPERM, EROFS, Refused
from mailfs.p9.client import Client
from tests.mailbox.pop3 import world
from tests.net.dovecot import PASSWORD, Dovecot

from ..wait import until
from .conftest import mbox, names
from .serving import Tree, serving

D1, D2, D3 = (f"Mon Mar  {n} 09:00:00 2026" for n in (2, 3, 4))
MIXED = "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n"
MESSAGES = [
    (
        "a@example.org",
        D1,
        "From: Glenda <glenda@example.org>\nTo: Bunny <bunny@example.org>\n"
        "Subject: =?utf-8?q?Caf=C3=A9?= on call\nMessage-ID: <1@x>\n\n"
        "The needle is in skb_linearize(skb).\n",
    ),
    (
        "b@example.org",
        D2,
        "From: bunny@example.org\nTo: glenda@example.org\nSubject: Re: cafe\n"
        "Message-ID: <2@x>\nIn-Reply-To: <1@x>\nReferences: <1@x>\n"
        "List-Id: Rabbits <rabbits.example.org>\n" + MIXED + "\n"
        "--x\nContent-Type: text/html; charset=utf-8\n\n"
        "<p>nee<b>dle</b> 東京タワー</p><script>hidden()</script>\n"
        "--x\nContent-Type: application/pdf\n"
        "Content-Disposition: attachment; filename=report-2026.pdf\n\n%PDF\n--x--\n",
    ),
    (
        "c@example.org",
        D3,
        "From: ring@example.org\nCc: glenda@example.org\nSubject: fwd\n" + MIXED + "\n"
        "--x\nContent-Type: message/rfc822\n\n"
        "From: inner@example.org\nSubject: hay\n\nlinearize the skb\n--x--\n",
    ),
]

SEARCHES = [
    ("needle", "2 1"),
    ("needl*", "2 1"),
    ("needl", ""),
    ("cafe", "2 1"),
    ("CAFÉ", "2 1"),
    ("hidden", ""),
    ("skb_linearize", "1"),
    ("skb linearize", "3 1"),
    ('"linearize the skb"', "3"),
    ('"needle 東京"', "2"),
    ("東京", "2"),
    ("タワー", "2"),
    ("京", "2"),
    ("タ", "2"),
    ("京タ", "2"),
    ("from:glenda", "1"),
    ("from:glenda@example.org", "1"),
    ("glenda@example.org", "3 2 1"),
    ("to:glenda or cc:glenda", "3 2"),
    ("subject:call", "1"),
    ('subject:"on call"', "1"),
    ("inner", "3"),
    ("body:hay", "3"),
    ("subject:hay", ""),
    ("file:report", "2"),
    ("file:report-2026.pdf", "2"),
    ("has:attachment", "2"),
    ("-has:attachment", "3 1"),
    ("id:2@x", "2"),
    ("list:rabbits", "2"),
    ("thread:2@x", "2 1"),
    ("thread:1@x", "2 1"),
    ("thread:9@x", ""),
    ("is:unread", "3 2 1"),
    ("is:flagged", ""),
    ("tag:work", ""),
    ("in:mbox needle", "2 1"),
    ("in:other needle", ""),
    ("date:2026-03-03", "2"),
    ("date:2026-03-03..2026-03-04", "3 2"),
    ("date:..2026-03-02 or date:2027..", "1"),
    ("size:<1k", "3 2 1"),
    ("size:>1M", ""),
    ("not needle", "3"),
    ('not "linearize the skb" (cafe or skb)', "2 1"),
    ("(needle or hay) -from:bunny", "3 1"),
    ("nonesuch", ""),
]


@pytest.fixture
def box(tmp_path: Path) -> Path:
    path = tmp_path / "box"
    path.write_bytes(mbox(MESSAGES))
    return path


@pytest.fixture
def tree(tmp_path: Path, box: Path) -> Iterator[Tree]:
    with serving(tmp_path, mbox=box) as tree:
        yield tree


@pytest.fixture
def client(tree: Tree) -> Iterator[Client]:
    with tree.client() as client:
        yield client


def search(client: Client, query: str, where: str = "/mbox") -> str:
    return " ".join(names(client, f"{where}/search/{query}"))


def fed(client: Client) -> None:
    until(lambda: b"search ready\n" in client.read("/mbox/status"))


@pytest.mark.parametrize("indexed", [True, False])
def test_search(tree: Tree, tmp_path: Path, client: Client, indexed: bool) -> None:
    fed(client)
    if not indexed:  # what the full text lacks is read
        (file,) = (tmp_path / "cache" / "index").glob("*.fts")
        with sqlite3.connect(file) as db:
            db.execute("delete from doc")
        db.close()
    assert [(q, search(client, q)) for q, _ in SEARCHES] == SEARCHES


def test_what_is_found_is_the_message_itself(client: Client) -> None:
    found = client.stat("/mbox/search/needle/1")
    assert found == client.stat("/mbox/1")
    assert client.read("/mbox/search/needle/1/subject") == "Café on call".encode()
    assert client.read("/mbox/search/needle/2.x/1/type") == b"text/html"
    assert client.stat("/mbox/search/needle").name == "needle"
    assert client.stat("/mbox/search/needle/../needle/..").name == "search"
    a, b = (client.stat(f"/mbox/search/{q}").qid for q in ("needle", "hay"))
    assert a.path != b.path
    for name in ("3", "01", "9", "x", "ctl"):
        with pytest.raises(Refused, match=ENOENT):
            client.stat(f"/mbox/search/needle/{name}")


def test_it_is_listed_where_our_own_names_are(tree: Tree, client: Client) -> None:
    assert "search" not in names(client, "/mbox")
    assert names(client, "/mbox/search") == []
    with tree.client("upas/all") as every:
        assert "search" in names(every, "/mbox")


def test_a_bad_query_names_the_word(client: Client) -> None:
    for query, why in [("frm:x", "frm: "), ("(a", "parenthesis"), ("is:x", "unread")]:
        with pytest.raises(Refused, match=why):
            client.ls(f"/mbox/search/{query}")


def test_it_is_live(client: Client, box: Path) -> None:
    fed(client)
    before = client.stat("/mbox/search/needle").qid.vers
    with box.open("ab") as file:
        file.write(mbox([("e@example.org", D3, "Subject: e\n\na needle, new\n")]))
    assert search(client, "needle") == "4 2 1"
    assert client.stat("/mbox/search/needle").qid.vers != before
    client.write("/mbox/1/flags", b"+s")
    assert search(client, "is:read") == "1"
    client.remove("/mbox/search/needle/2")
    assert search(client, "needle") == "4 1"
    assert names(client, "/mbox") == ["ctl", "1", "3", "4"]
    fed(client)
    assert search(client, "needle") == "4 1"


def test_a_message_that_is_rewritten(client: Client, box: Path) -> None:
    fed(client)
    octets = box.read_bytes()
    box.write_bytes(octets.replace(b"The needle is", b"A haystack is"))
    assert search(client, "haystack") == "1"
    assert search(client, "needle") == "2"
    fed(client)
    assert search(client, "haystack") == "1"
    assert search(client, "needle") == "2"


def test_scope(tree: Tree, client: Client) -> None:
    fed(client)
    with tree.client("upas/newest=1") as newest:
        assert search(newest, "needle or hay") == "3"
        assert search(newest, "not nonesuch") == "3"
        assert search(newest, "thread:1@x") == ""
        with pytest.raises(Refused, match=ENOENT):
            newest.stat("/mbox/search/needle/1")
        assert b"search 3" not in newest.read("/mbox/status")
    with tree.client("upas/ro") as reader:
        assert search(reader, "needle") == "2 1"
        with pytest.raises(Refused, match=EROFS):
            reader.remove("/mbox/search/needle/1")
    with pytest.raises(Refused, match=EPERM):
        client.create("/mbox/search/x")
    with pytest.raises(Refused, match=EPERM):
        client.remove("/mbox/search/needle")


def test_others_are_served_meanwhile(tmp_path: Path) -> None:
    many = tmp_path / "many"
    text = "Subject: s\n\n" + "some text\n" * 500
    many.write_bytes(mbox([(f"m{i}@x.org", D1, text) for i in range(1500)]))
    with serving(tmp_path, many=many) as tree:
        with tree.client() as client, tree.client() as other:
            answers: list[str] = []
            query = '"text some" "some other"'
            thread = threading.Thread(
                target=lambda: answers.append(search(client, query, "/many"))
            )
            thread.start()
            served = 0
            while thread.is_alive():
                assert other.read("/many/7/subject") == b"s"
                served += 1
            thread.join()
            assert answers == [""]
            assert served > 3


@pytest.mark.live
def test_a_server_is_asked_for_what_is_not_here(tmp_path: Path) -> None:
    with Dovecot() as dovecot, world(tmp_path) as there:
        dovecot.trust(tmp_path / "root")
        user = dovecot.user()
        there.agent.add(f"proto=pass server=localhost user={user} !password={PASSWORD}")
        for _, _, text in MESSAGES:
            dovecot.deliver(user, text.encode())
        tree = Tree(tmp_path / "t")
        try:
            tree.boxes.place = there.place()
            port = dovecot.ports["imaps"]
            tree.open(f"/imaps/tcp!localhost!{port}/{user}", "mbox")
            with tree.client(uname=there.place().user) as client:
                assert search(client, "needle") == "1"  # no HTML is undone there
                told = client.read("/mbox/search/skb_linearize/status")
                assert told == b"found 1\nasked 1\nunread 0\n"
                assert search(client, "subject:café from:glenda") == "1"
                assert search(client, "body:東京タワー") == "2"
                assert search(client, "list:rabbits is:unread") == "2"
                assert search(client, "id:2@x or thread:9@x") == "2"
                assert search(client, 'from:"glenda@example.org" -size:>1M') == "1"
                assert b"s" not in client.read("/mbox/search/skb_linearize/1/flags")
                client.read("/mbox/1/raw")  # what is here is looked through here
                query = "/mbox/search/linearize -hay/status"
                until(lambda: b"asked 0\n" in client.read(query))
                assert search(client, "linearize") == "3 1"
        finally:
            tree.close()


def test_a_maildir(tmp_path: Path) -> None:
    box = standard.Maildir(tmp_path / "md")
    for n in range(100):
        letter = EmailMessage()
        letter["From"] = f"user{n % 7}@example.org"
        letter["Subject"] = f"number {n}"
        letter.set_content(f"text of {n}, called w{n}x\n")
        box.add(letter)
    with serving(tmp_path, mbox=tmp_path / "md") as tree, tree.client() as client:
        assert len(names(client, "/mbox/search/number")) == 100
        fed(client)
        (found,) = names(client, "/mbox/search/w42x")
        assert client.read(f"/mbox/{found}/subject") == b"number 42"
        assert len(names(client, "/mbox/search/from:user3@example.org")) == 14


def test_the_status_of_a_query(client: Client) -> None:
    found = client.read("/mbox/search/needle/status")
    assert found == b"found 2\nasked 0\nunread 0\n"
    assert "status" not in names(client, "/mbox/search/needle")
    with pytest.raises(Refused, match=EPERM):
        client.write("/mbox/search/needle/status", b"x")
