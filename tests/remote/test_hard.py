"""Thousands of messages, lines that are cut, servers that say nothing."""

import threading
from pathlib import Path

import pytest

from mailfs.errors import MailfsError, Refused
from mailfs.mailbox.drivers.imap import link
from tests.corpus import corpus, write_maildir
from tests.net.dovecot import Dovecot
from tests.net.proxy import Proxy
from tests.remote.account import Account, until
from tests.remote.test_imap import numbers

pytestmark = pytest.mark.live

MANY = 10_000


def test_ten_thousand(account: Account) -> None:
    """All are listed at once, their headers follow, and a restart knows them."""
    maildir = account.scratch / "many"
    write_maildir(maildir, corpus(MANY))
    account.dovecot.fill(account.user, maildir)
    account.open()
    with account.client() as client:
        assert numbers(client) == list(range(1, MANY + 1))
        until(lambda: b"indexing" not in client.read("/mbox/status"), 60)
    account.stop()
    with Proxy(account.dovecot.ports["imap"]) as line:
        account.start()
        box = account.open(port=line.port)  # another name, of which nothing is known
        assert box.view.count == MANY
        with account.client() as client:
            until(lambda: b"indexing" not in client.read("/mbox/status"), 60)
        account.stop()
        line.reset()
        account.start()
        box = account.open(port=line.port)
        assert box.view.count == MANY
        assert line.down < 8192  # nothing is told again
        assert line.turns <= 12  # STARTTLS and SCRAM take most of them
        with account.client() as client:
            for n in (1, MANY // 2, MANY):
                assert client.read(f"/mbox/{n}/subject")
                assert client.read(f"/mbox/{n}/raw")


@pytest.mark.parametrize("cut", [60, 700, 2500, 6000, 20_000])
def test_a_line_that_breaks_again_and_again(
    dovecot: Dovecot, tmp_path: Path, cut: int
) -> None:
    """Each connection gives a little more; in the end all of it is there, and right."""
    with Proxy(dovecot.ports["imap"]) as line, Account(dovecot, tmp_path) as account:
        account.fill(30)
        account.open(port=line.port)
        line.cut_down = cut
        line.cut()
        read: dict[int, bytes] = {}
        with account.client() as client:
            for _ in range(3):
                for n in range(1, 31):
                    try:
                        read[n] = client.read(f"/mbox/{n}/body")
                    except MailfsError:
                        continue
                    assert read[n] == b"body of %d\n" % n
            line.cut_down = None
            line.cut()
            until(lambda: b"imap connected" in client.read("/mbox/status"))
            assert account.same()
            for n in range(1, 31):
                assert client.read(f"/mbox/{n}/body") == b"body of %d\n" % n


def test_a_server_that_says_nothing(
    dovecot: Dovecot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is known can be read, what is not ends in an error, and it comes back."""
    monkeypatch.setattr(link, "TIMEOUT", 2.0)
    with Proxy(dovecot.ports["imap"]) as line, Account(dovecot, tmp_path) as account:
        account.fill(3)
        account.open(port=line.port)
        with account.client() as client:
            assert client.read("/mbox/1/body") == b"body of 1\n"
            assert client.read("/mbox/3/subject") == b"message 3"
            line.freeze()
            with account.client() as waiting, waiting.open("/mbox/2") as directory:
                assert directory is not None
                with pytest.raises(Refused, match="localhost/imap"):
                    waiting.read("/mbox/2/body")
            assert client.read("/mbox/1/body") == b"body of 1\n"
            assert numbers(client) == [1, 2, 3]
            line.thaw()
            until(lambda: b"imap connected" in client.read("/mbox/status"))
            assert client.read("/mbox/2/body") == b"body of 2\n"


def test_flags_that_others_set_while_we_move_are_seen(anywhere: Account) -> None:
    """On servers of each kind, whether MOVE is one command there or three."""
    count = 24
    anywhere.fill(count)
    anywhere.open()
    uids = [uid for uid, _ in anywhere.server()]
    with anywhere.client() as client, anywhere.other() as imap:
        assert numbers(client, "mbox") == [*range(1, count + 1)]

        def flag() -> None:
            for uid in uids[1::2]:
                imap.uid("store", str(uid), "+FLAGS", "(\\Flagged)")

        flagging = threading.Thread(target=flag)
        flagging.start()
        for number in range(1, count, 2):
            client.write("/ctl", f"move mbox {number} Trash".encode())
        flagging.join()
        until(anywhere.same)
        assert len(anywhere.shown()) == count // 2
