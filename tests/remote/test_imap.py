"""IMAP folders in the tree, from a real Dovecot, with another program beside us."""

import base64
import random
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from mailfs.errors import Refused
from mailfs.mailbox.drivers import open_store
from mailfs.mailbox.index import Index, index_path
from mailfs.mailbox.kinds import Flag
from mailfs.mailbox.mailbox import Mailbox
from mailfs.mailbox.remotestate import state_of
from mailfs.p9.client import Client
from tests.net.dovecot import Dovecot
from tests.net.proxy import Proxy
from tests.remote.account import Account, mail, until

pytestmark = pytest.mark.live

MANY = 2000  # messages whose headers are fetched by a process of their own


def numbers(client: Client, box: str = "mbox") -> list[int]:
    return [int(e.name) for e in client.ls(f"/{box}") if e.name.isdecimal()]


def test_reading(anywhere: Account) -> None:
    account = anywhere
    account.fill(3)
    account.open()
    with account.client() as client:
        assert numbers(client) == [1, 2, 3]
        assert client.read("/mbox/2/subject") == b"message 2"
        assert client.read("/mbox/2/body") == b"body of 2\n"
        raw = mail(2).replace(b"\r\n", b"\n")
        assert client.read("/mbox/2/raw") == raw
        assert client.read("/mbox/2/size") == b"%d" % len(mail(2))
        assert client.stat("/mbox/2/raw").length == len(raw)
        assert client.read("/mbox/2/flags") == b"-------"
    assert all(not flags for _, flags in account.server())


def test_flags_go_both_ways(anywhere: Account) -> None:
    account = anywhere
    account.fill(3)
    account.open()
    with account.other() as imap:
        imap.uid("store", "2", "+FLAGS", "($Label \\Draft)")
        until(account.same)
        with account.client() as client:
            client.write("/mbox/2/flags", b"+sf-d")
            assert client.read("/mbox/2/flags") == b"---f-s-"
        _, rows = imap.uid("fetch", "2", "(FLAGS)")
        assert rows[0] is not None
        assert b"$Label" in rows[0]
        assert b"\\Draft" not in rows[0]
        imap.uid("store", "1:3", "+FLAGS", "(\\Answered)")
        until(account.same)


def test_new_and_removed_mail_shows_by_itself(anywhere: Account) -> None:
    account = anywhere
    account.fill(2)
    account.open()
    account.fill(1, first=3)
    with account.client() as client:
        until(lambda: numbers(client) == [1, 2, 3])
        with account.other() as imap:
            imap.uid("store", "2", "+FLAGS", "(\\Deleted)")
            imap.expunge()
        until(lambda: numbers(client) == [1, 3])
    assert account.same()


def test_a_server_that_idles_is_not_asked(account: Account) -> None:
    """New mail is in the view before anybody looks."""
    account.fill(1)
    box = account.open()
    account.fill(1, first=2)
    until(lambda: box.view.count == 2)


def test_delete_goes_to_the_trash_and_from_there_for_good(anywhere: Account) -> None:
    account = anywhere
    account.fill(3)
    account.open()
    with account.client() as client:
        client.remove("/mbox/2")
        assert numbers(client) == [1, 3]
    assert account.same()
    account.open("trash", folder="Trash")
    with account.client() as client:
        assert client.read("/trash/1/subject") == b"message 2"
        client.remove("/trash/1")
    assert account.server("Trash") == []


def test_a_deletion_takes_no_message_that_others_marked(anywhere: Account) -> None:
    account = anywhere
    account.fill(3, folder="Trash")
    account.open("trash", folder="Trash")
    with account.other("Trash") as imap:
        imap.uid("store", "1", "+FLAGS", "(\\Deleted)")
    with account.client() as client:
        client.remove("/trash/2")
    assert [uid for uid, _ in account.server("Trash")] == [1, 3]


def test_numbers_and_headers_stay_over_a_restart(anywhere: Account) -> None:
    account = anywhere
    account.fill(5)
    account.open()
    with account.client() as client:
        client.remove("/mbox/1")
        assert client.read("/mbox/5/body") == b"body of 5\n"
    account.stop()
    account.fill(1, first=6)
    account.start()
    account.open()
    with account.client() as client:
        assert numbers(client) == [2, 3, 4, 5, 6]
        assert client.read("/mbox/6/subject") == b"message 6"
    assert account.same()


class Cable:
    """A line to the server that can be pulled out and put back."""

    def __init__(self, line: Proxy) -> None:
        self.line = line
        self.target = line.target

    def pull(self) -> None:
        self.line.target = 1  # nobody listens there
        self.line.cut()

    def put(self) -> None:
        self.line.target = self.target


def test_offline(dovecot: Dovecot, tmp_path: Path) -> None:
    """What was read can be read; what is changed waits, in order, until it can be."""
    with Proxy(dovecot.ports["imap"]) as line, Account(dovecot, tmp_path) as account:
        account.fill(4)
        account.open(port=line.port)
        cable = Cable(line)
        with account.client() as client:
            assert client.read("/mbox/2/body") == b"body of 2\n"
            cable.pull()
            until(lambda: b"not connected" in client.read("/mbox/status"))
            assert numbers(client) == [1, 2, 3, 4]
            assert client.read("/mbox/2/body") == b"body of 2\n"
            assert client.read("/mbox/3/subject") == b"message 3"
            with pytest.raises(Refused, match="localhost/imap"):
                client.read("/mbox/3/body")
            client.write("/mbox/2/flags", b"+f")
            client.write("/mbox/2/flags", b"+s-f")
            client.remove("/mbox/3")
            assert numbers(client) == [1, 2, 4]
            assert b"waiting 3 changes" in client.read("/mbox/status")
            with account.other() as imap:
                imap.uid("store", "2", "+FLAGS", "(\\Answered)")
            cable.put()
            until(account.same)
            assert client.read("/mbox/2/flags") == b"a----s-"
            assert b"waiting" not in client.read("/mbox/status")
            assert client.read("/mbox/4/body") == b"body of 4\n"
        assert [uid for uid, _ in account.server("Trash")] == [1]


def test_changes_wait_over_a_restart(dovecot: Dovecot, tmp_path: Path) -> None:
    with Proxy(dovecot.ports["imap"]) as line, Account(dovecot, tmp_path) as account:
        account.fill(2)
        account.open(port=line.port)
        cable = Cable(line)
        with account.client() as client:
            assert client.read("/mbox/1/subject") == b"message 1"
            cable.pull()
            until(lambda: b"not connected" in client.read("/mbox/status"))
            client.write("/mbox/1/flags", b"+f")
        account.stop()
        account.start()
        account.open(port=line.port)  # the index knows it
        with account.client() as client:
            assert client.read("/mbox/1/flags") == b"---f---"
            assert client.read("/mbox/1/subject") == b"message 1"
            cable.put()
            until(account.same)


def test_a_folder_made_anew(anywhere: Account) -> None:
    """Another uidvalidity: other messages, whatever their uids."""
    account = anywhere
    with account.other() as imap:
        imap.create("Work")
        imap.append("Work", "", None, mail(1))
        imap.append("Work", "", None, mail(2))
    account.open("work", folder="Work")
    with account.client() as client:
        assert client.read("/work/1/body") == b"body of 1\n"
        account.stop()
    with account.other() as imap:
        imap.delete("Work")
        imap.create("Work")
        imap.append("Work", "", None, mail(7))
    account.start()
    account.open("work", folder="Work")
    with account.client() as client:
        assert numbers(client, "work") == [3]
        assert client.read("/work/3/body") == b"body of 7\n"


def test_two_hundred_bodies_one_after_another(dovecot: Dovecot, tmp_path: Path) -> None:
    with Proxy(dovecot.ports["imap"]) as line, Account(dovecot, tmp_path) as account:
        account.fill(200)
        account.open(port=line.port)
        line.reset()
        with account.client() as client:
            for n in range(1, 201):
                assert client.read(f"/mbox/{n}/body") == b"body of %d\n" % n
        assert line.turns < 20


def test_one_part_of_a_long_message(dovecot: Dovecot, tmp_path: Path) -> None:
    """A short text is read, and a long attachment is not."""
    with Proxy(dovecot.ports["imap"]) as line, Account(dovecot, tmp_path) as account:
        blob = base64.encodebytes(random.Random(1).randbytes(4_000_000)).decode()
        long = mail(
            1,
            "--xx\nContent-Type: text/plain\n\nshort text\n"
            "--xx\nContent-Type: application/x-blob; name=b.bin\n"
            f"Content-Transfer-Encoding: base64\n\n{blob}"
            "--xx\nContent-Type: text/plain\n\nthe end\n--xx--",
            "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=xx\n",
        )
        with account.other() as imap:
            imap.append("INBOX", "", None, long)
        account.open(port=line.port)
        with account.client() as client:
            assert client.read("/mbox/1/subject") == b"message 1"
            names = {e.name for e in client.ls("/mbox/1")}
            assert {"1", "2", "3"} <= names
            assert "4" not in names
            line.reset()
            assert client.read("/mbox/1/1/body") == b"short text\n"
            assert client.read("/mbox/1/3/body") == b"the end\n"
            assert client.read("/mbox/1/2/filename") == b"b.bin"
            assert line.down < 65536
            body = client.read("/mbox/1/2/body")
            assert body == random.Random(1).randbytes(4_000_000)
            assert client.read("/mbox/1/raw") == long.replace(b"\r\n", b"\n")


REFUSALS = {
    "a wrong password": "AUTHENTICATIONFAILED|[Aa]uthentication failed",
    "no key": "no key for",
    "a certificate nobody knows": "x509 sha256=",
    "no such folder": "doesn't exist",
}


@pytest.mark.parametrize("what", REFUSALS)
def test_refusals_are_told(account: Account, what: str) -> None:
    spec = account.spec(kind="imaps")
    if what == "a wrong password":
        account.keys.add(f"proto=pass server=localhost user={account.user} !password=x")
    elif what == "no key":
        spec = spec.replace(account.user, "nobody")
    elif what == "no such folder":
        spec += "/Nowhere"
    else:
        (account.scratch / "root/sys/lib/tls/mail").write_text("")
    with account.client() as client:
        with pytest.raises(Refused, match=REFUSALS[what]):
            client.write("/ctl", f"open {spec} mbox".encode())
        assert [e.name for e in client.ls("/") if e.name == "mbox"] == []


def index_in_another_process(account: Account) -> None:
    """List and save as the index process does: the index is ahead of the server."""
    driver = open_store(account.spec(), account.tree.boxes.place)
    name = driver.path
    index = Index(index_path(account.tree.boxes.cache, name), driver.kind, name)
    other = state_of(driver, index)
    other.load()
    other.list()
    with index.transaction():  # as one that listed something of its own
        index.save(other.view, replace(other.view, generation=index.generation + 1))
    other.close()


def test_news_is_kept_when_another_process_has_numbered(account: Account) -> None:
    """The server tells each change once; the index must not swallow it."""
    account.fill(20)
    box = account.open()
    with account.other() as imap:
        for n in range(3):
            index_in_another_process(account)
            account.fill(1, first=21 + n)
            until(partial(counts, box, 21 + n))
            index_in_another_process(account)
            for uid in range(1, 9):
                imap.uid("store", str(uid), "+FLAGS", ("\\Seen", "\\Flagged")[n % 2])
            until(account.same)
            imap.uid("store", "1:8", "-FLAGS", "(\\Seen \\Flagged)")
            until(account.same)


def test_two_thousand_messages_then_news(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as are indexed by a process of their own, then news at once."""
    monkeypatch.setenv("NAMESPACE", str(account.namespace))
    account.fill(MANY)
    box = account.open()
    index = Index(index_path(account.tree.boxes.cache, box.path), "imap", box.path)
    until(lambda: not index.missing("slice", 1) and not indexing(box), 60)
    index.close()
    with account.other() as imap:
        for n in range(5):
            assert imap.append("INBOX", "", None, mail(MANY + 1 + n))[0] == "OK"
            until(partial(counts, box, MANY + 1 + n))
        for uid in range(1, 41):
            imap.uid("store", str(uid), "+FLAGS", "\\Flagged")
        until(lambda: all(box.flags(n) & Flag.FLAGGED for n in range(1, 41)))


def counts(box: Mailbox, count: int) -> bool:
    return box.view.count == count


def indexing(box: Mailbox) -> bool:
    return any(name == "progress" for name, _ in box.status())
