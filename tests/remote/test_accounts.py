"""A whole account: each folder a mailbox, opened when somebody looks into it."""

import time

import pytest

from mailfs.errors import Refused
from mailfs.mailboxes.registry import MailboxRegistry
from mailfs.p9.client import Client
from tests.net.dovecot import PASSWORD
from tests.remote.account import Account, mail, until
from tests.remote.test_imap import numbers

pytestmark = pytest.mark.live

FOLDERS = ["Work", "Work/2024", "Entwürfe", "A & B", "x:y", 'q"uote']


def test_every_folder_is_a_mailbox(account: Account) -> None:
    with account.other() as imap:
        for name in ("Work", "Work/2024"):
            imap.create(name)
            imap.append(name, "", None, mail(1))
    account.fill(2)
    with account.client() as client:
        client.write("/ctl", f"open {account.spec(folder='*')}".encode())
        names = {e.name for e in client.ls("/")} - {"ctl", "event", "outbox"}
        assert names == {"mbox", "Work", "Work:2024", "Drafts", "Sent", "Trash"}
        status = client.read("/Work:2024/status")
        assert b"state asleep\nmessages 1\nunseen 1\n" in status
        assert numbers(client, "mbox") == [1, 2]
        assert client.read("/Work:2024/1/subject") == b"message 1"
        assert b"asleep" not in client.read("/Work:2024/status")
        assert b"asleep" in client.read("/Sent/status")
        assert client.stat("/Sent").name == "Sent"
        assert b"asleep" in client.read("/Sent/status")


def test_under_a_name(account: Account) -> None:
    with account.client() as client:
        client.write("/ctl", f"open {account.spec(folder='*')} work".encode())
        names = {e.name for e in client.ls("/")} - {"ctl", "event", "outbox"}
        assert names == {"work", "work:Drafts", "work:Sent", "work:Trash"}
        client.write("/ctl", b"close work:Sent")
        client.write("/ctl", f"open {account.spec(folder='*')} work".encode())
        assert "work:Sent" in {e.name for e in client.ls("/")}


def test_a_name_in_use_bars_no_folder(account: Account) -> None:
    account.open("Sent", folder="Drafts")
    with account.client() as client:
        client.write("/ctl", f"open {account.spec(folder='*')}".encode())
        names = {e.name for e in client.ls("/")} - {"ctl", "event", "outbox"}
        (apart,) = names - {"mbox", "Sent", "Trash"}
        assert apart.startswith("Sent~")
        assert f"path {account.spec(folder='Sent')}\n".encode() in client.read(
            f"/{apart}/status"
        )


def shown(client: Client) -> set[str]:
    return {e.name for e in client.ls("/")} - {"ctl", "event", "outbox"}


def test_folders_come_move_and_go(account: Account) -> None:
    account.tree.boxes = MailboxRegistry(
        account.tree.boxes.place, account.cache, poll=0.2
    )
    own = {"mbox", "Drafts", "Sent", "Trash"}
    with account.client() as client, account.other() as imap:
        client.write("/ctl", f"open {account.spec(folder='*')}".encode())
        for name in ("Work", "ctl", "..x", "a:b", "a/b"):
            imap.create(f'"{name}"')
        until(lambda: len(shown(client)) == len(own) + 5)
        assert {"Work", "a:b", "..x"} < shown(client)
        imap.append("Work", "", None, mail(1))
        assert client.read("/Work/1/subject") == b"message 1"
        imap.rename("Work", "Play")
        until(lambda: "Play" in shown(client) and "Work" not in shown(client))
        assert client.read("/Play/1/subject") == b"message 1"
        imap.delete("Play")
        until(lambda: "Play" not in shown(client))
        assert client.ls("/mbox")
        count = logins(account)
        time.sleep(1.5)  # several looks, and no connection for each of them
        assert logins(account) == count


def logins(account: Account) -> int:
    text = (account.dovecot.root / "log").read_text(errors="replace")
    return text.count(f"Login: user=<{account.user}>")


def test_a_refused_password_waits_for_another(account: Account) -> None:
    account.keys.add(f"proto=pass server=localhost user={account.user} !password=wrong")
    spec = account.spec(folder="*")
    why = account.tree.do(account.tree.boxes.serve(spec, "mbox"))
    assert "login refused" in str(why)

    def refusals() -> int:
        text = (account.dovecot.root / "log").read_text(errors="replace")
        return text.count(f"({account.user},127.0.0.1,")

    until(refusals)
    count = refusals()
    with account.client() as client:
        for _ in range(3):
            assert b"state error\n" in client.read("/mbox/status")
            with pytest.raises(Refused, match="login refused"):
                client.ls("/mbox")
            time.sleep(1)  # longer than an error answers for the next attempt
        with pytest.raises(Refused, match="login refused"):
            client.write("/ctl", f"open {spec} mbox".encode())
        assert refusals() == count
        account.fill(1)
        account.keys.add(
            f"proto=pass server=localhost user={account.user} !password={PASSWORD}"
        )
        client.write("/ctl", f"open {spec} mbox".encode())
        assert client.read("/mbox/1/subject") == b"message 1"
        assert "mbox:Sent" in shown(client)


def test_who_looks_finds_the_account_when_it_is_back(account: Account) -> None:
    account.dovecot.stop()
    spec = account.spec(folder="*")
    try:
        why = account.tree.do(account.tree.boxes.serve(spec, "mbox"))
        assert isinstance(why, OSError)
        with account.client() as client:
            with pytest.raises(Refused, match="localhost/imap"):
                client.ls("/mbox")
    finally:
        account.dovecot.start()
    account.fill(1)
    with account.client() as client:
        until(lambda: numbers_or_none(client) == [1])
        until(lambda: "mbox:Sent" in shown(client))


def numbers_or_none(client: Client) -> list[int] | None:
    try:
        return numbers(client, "mbox")
    except Refused:
        return None


def test_connections_are_few(account: Account) -> None:
    count = 12
    with account.other() as imap:
        for n in range(count):
            imap.create(f"f{n}")
            imap.append(f"f{n}", "", None, mail(n))
    with account.client() as client:
        client.write("/ctl", f"open {account.spec(folder='*')}".encode())
        for n in range(count):
            assert client.read(f"/f{n}/1/body") == b"body of %d\n" % n
        until(lambda: connections(account) <= 8)
        for n in range(count):  # those that had to hang up come back
            assert numbers(client, f"f{n}") == [1]
            client.write(f"/f{n}/1/flags", b"+f")
            until(lambda n=n: account.same(f"f{n}", f"f{n}"))  # type: ignore[misc]


def connections(account: Account) -> int:
    lines = account.dovecot.doveadm("who", "-1", account.user).splitlines()
    return sum(b"imap" in line for line in lines[1:])


def test_it_can_be_opened_when_the_server_is_away(account: Account) -> None:
    """The list of folders is remembered, and each folder's mail."""
    account.fill(1)
    spec = account.spec(folder="*")
    with account.client() as client:
        client.write("/ctl", f"open {spec}".encode())
        assert client.read("/mbox/1/body") == b"body of 1\n"
    account.stop()
    account.dovecot.stop()
    try:
        account.start()
        with account.client() as client:
            client.write("/ctl", f"open {spec}".encode())
            assert client.read("/mbox/1/body") == b"body of 1\n"
            assert "Sent" in {e.name for e in client.ls("/")}
            with pytest.raises(Refused, match="localhost/imap"):
                client.ls("/Sent")
    finally:
        account.dovecot.start()
    assert PASSWORD


def test_a_folder_without_a_connection_hears_of_its_mail(account: Account) -> None:
    """One connection is told of all folders, RFC 5465."""
    with account.other() as imap:
        imap.create("Work")
        imap.append("Work", "", None, mail(1))
    with account.client() as client, account.client() as reader:
        client.write("/ctl", f"open {account.spec(folder='*')}".encode())
        assert b"messages 1\n" in client.read("/Work/status")
        with account.other() as imap:
            imap.append("Work", "", None, mail(2))
        until(lambda: b"messages 2\n" in client.read("/Work/status"))
        assert b"asleep" in client.read("/Work/status")
        # Who listens to the folder has it opened when there is something to hear.
        assert numbers(client, "Work") == [1, 2]
        client.write("/ctl", b"close Work")
        client.write("/ctl", f"open {account.spec(folder='*')}".encode())
        with reader.open("/event") as events:
            assert b"asleep" in client.read("/Work/status")
            with account.other() as imap:
                imap.append("Work", "", None, mail(3))
            assert events.read(4096).startswith(b"new Work/3 ")
