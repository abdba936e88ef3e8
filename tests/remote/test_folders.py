"""Folders of an account by ctl: made, renamed, removed; mail moved among them."""

import pytest

from mailfs.errors import ENOMSG, EPERM, Refused
from mailfs.p9.client import Client
from tests.remote.account import Account, mail
from tests.remote.test_imap import numbers

pytestmark = pytest.mark.live

NAMES = ["Work", "Work/2024", "Entwürfe", "日本語", "A & B", 'q"uote\\', "%*"]


def folders(account: Account) -> set[str]:
    """Return the names on the wire."""
    with account.other() as imap:
        rows = [row for row in imap.list()[1] if isinstance(row, bytes)]
        return {row.split(b' "/" ')[1].decode().strip('"') for row in rows}


def ctl(client: Client, *words: str) -> None:
    quoted = ("'" + word.replace("'", "''") + "'" for word in words)
    client.write("/ctl", " ".join(quoted).encode())


@pytest.mark.parametrize("name", NAMES)
def test_made_renamed_removed(account: Account, name: str) -> None:
    before = folders(account)
    with account.client() as client:
        ctl(client, "create", account.spec(folder=name), "box")
        assert numbers(client, "box") == []
        made = folders(account) - before
        assert made
        ctl(client, "rename", account.spec(folder=name), account.spec(folder="New"))
        assert "New" in folders(account)
        ctl(client, "remove", account.spec(folder="New"))
        assert "New" not in folders(account)


def test_names_as_the_wire_has_them(account: Account) -> None:
    """Modified UTF-7, RFC 3501 section 5.1.3; what others made is found as well."""
    with account.other() as imap:
        imap.create('"Entw&APw-rfe"')
        imap.append('"Entw&APw-rfe"', "", None, mail(1))
    account.open("e", folder="Entwürfe")
    with account.client() as client:
        assert client.read("/e/1/subject") == b"message 1"
        ctl(client, "create", account.spec(folder="A & B"), "ab")
    assert "A &- B" in folders(account)


def subjects(account: Account, folder: str) -> list[str]:
    with account.other(folder) as imap:
        _, rows = imap.uid("fetch", "1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        found = [row[1].decode() for row in rows if isinstance(row, tuple)]
    return [text.strip().removeprefix("Subject: message ") for text in found]


def test_mail_moves_and_is_copied(account: Account) -> None:
    account.fill(5)
    account.open()
    with account.client() as client:
        client.write("/mbox/2/flags", b"+f")
        ctl(client, "copy", "mbox", "1", "2", "Work/2024")  # made, as in a local box
        ctl(client, "move", "mbox", "3", "4", "Work/2024")
        assert numbers(client) == [1, 2, 5]
        assert subjects(account, "Work/2024") == ["1", "2", "3", "4"]
        account.open("w", folder="Work/2024")
        assert client.read("/w/2/flags") == b"---f---"
        ctl(client, "move", "w", "4", "mbox")  # an open mailbox, by its name
        assert numbers(client, "w") == [1, 2, 3]
        ctl(client, "move", "mbox", "5", "\\Trash")
        assert subjects(account, "Trash") == ["5"]
        ctl(client, "expunge", "mbox", "1")
        assert subjects(account, "INBOX") == ["2", "4"]
        with pytest.raises(Refused, match=ENOMSG):
            ctl(client, "move", "mbox", "77", "Work")


def test_mail_moves_between_stores(account: Account) -> None:
    """What comes from a server and goes to a disk, and back, is the same mail."""
    account.fill(3)
    account.open()
    local = account.scratch / "local"
    for name in ("cur", "new", "tmp"):
        (local / name).mkdir(parents=True)
    account.tree.open(local, "local")
    with account.client() as client:
        raw = client.read("/mbox/2/raw")
        client.write("/mbox/2/flags", b"+a")
        ctl(client, "move", "mbox", "2", "local")
        assert numbers(client) == [1, 3]
        assert subjects(account, "INBOX") == ["1", "3"]
        assert "Trash" not in folders(account) or subjects(account, "Trash") == []
        assert client.read("/local/1/raw") == raw
        ctl(client, "copy", "local", "1", "mbox")
        assert client.read("/mbox/4/raw") == raw
        assert client.read("/mbox/4/flags")[:1] == b"a"
    assert subjects(account, "INBOX") == ["1", "3", "2"]


@pytest.mark.parametrize("target", ["Other", "Other/x", "\\Trash", "/mine", "SPEC"])
@pytest.mark.parametrize("verb", ["move", "copy"])
def test_a_scope_holds_in_an_account(account: Account, verb: str, target: str) -> None:
    """Who sees some mailboxes only names no other folder of the account."""
    account.fill(2)
    with account.other() as imap:
        imap.create("Other")
        imap.create("Seen")
    account.open()
    account.open("seen", folder="Seen")
    before = folders(account)
    if target == "SPEC":
        target = account.spec(folder="Other")
    with account.client("upas/box=mbox/box=seen") as client:
        with pytest.raises(Refused, match=EPERM):
            ctl(client, verb, "mbox", "1", target)
        assert folders(account) == before
        assert subjects(account, "INBOX") == ["1", "2"]
        assert subjects(account, "Other") == []
        for n, seen in enumerate(("seen", account.spec(folder="Seen"))):
            ctl(client, verb, "mbox", str(n + 1), seen)
        assert subjects(account, "Seen") == ["1", "2"]


def test_remove_only_the_mail(account: Account) -> None:
    account.fill(3, folder="Trash")
    with account.client() as client:
        ctl(client, "open", account.spec(folder="Trash"), "t")
        ctl(client, "remove", "-t", account.spec(folder="Trash"))
        assert numbers(client, "t") == []
    assert subjects(account, "Trash") == []
