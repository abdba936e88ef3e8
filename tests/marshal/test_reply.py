"""Replies: what is read from a message's directory, mounted or served."""

import asyncio
import threading
from pathlib import Path

import pytest

from mailfs.errors import MailfsError
from mailfs.marshal import reply
from mailfs.msg import header
from mailfs.msg.address import Address
from mailfs.p9.ramfs import Ram, RamDir, RamFile
from mailfs.p9.srv import Server
from mailfs.where import DialString as Dial

HEAD = """\
From: Ann <ann@x>
To: glenda, Bob <bob@x>
Cc: carol@x
Subject: Re: re[2]: RE: =?utf-8?q?Th=C3=A9?=
Message-ID: <three@x>
References: <one@x>
 <two@x>
"""
FILES = {"rawheader": HEAD.encode(), "messageid": b"three@x", "replyto": b"ann@x"}


def check(found: reply.Parent) -> None:
    """Check that all was read."""
    assert found.messageid == "three@x"
    assert found.references == ("one@x", "two@x", "three@x")
    assert found.subject == "Re: Thé"
    assert found.replyto == (Address("Ann", "ann@x"),)
    assert [box.addr for box in found.others] == ["glenda", "bob@x", "carol@x"]


def test_mounted(tmp_path: Path) -> None:
    for name, octets in FILES.items():
        (tmp_path / name).write_bytes(octets)
    check(reply.parent(str(tmp_path)))
    (tmp_path / "messageid").unlink()
    with pytest.raises(MailfsError, match=f"{tmp_path}: file does not exist"):
        reply.parent(str(tmp_path))


@pytest.mark.parametrize("name", ["upasfs/mbox/3", "/mail/fs/mbox/3", "upasfs/mbox/3/"])
def test_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("NAMESPACE", str(tmp_path))
    tmp_path.chmod(0o700)
    ram = Ram("glenda")
    at = ram.root
    for step in ("mbox", "3"):
        at.children[step] = at = RamDir(ram, at, step, 0o20000000755)
    for file, octets in FILES.items():
        made = at.children[file] = RamFile(ram, at, file, 0o644)
        made.data[:] = octets
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = Server(ram.attach)
    socket = Dial("unix", str(tmp_path / "upasfs"))
    try:
        asyncio.run_coroutine_threadsafe(server.listen(socket), loop).result(30)
        check(reply.parent(name))
        with pytest.raises(MailfsError, match="upasfs/mbox/4: file does not exist"):
            reply.parent("upasfs/mbox/4")
        del at.children["rawheader"]
        with pytest.raises(MailfsError, match="file does not exist"):
            reply.parent(name)
    finally:
        asyncio.run_coroutine_threadsafe(server.close(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.mark.parametrize("name", ["nonesuch", "", "nonesuch/mbox/3"])
def test_no_such_thing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("NAMESPACE", str(tmp_path))
    tmp_path.chmod(0o700)
    with pytest.raises(MailfsError, match=f"{name}: "):
        reply.parent(name)


CHAINS = [
    ("", "a@x", ("a@x",)),
    ("References: <r@x>\n", "a@x", ("r@x", "a@x")),
    ("References: <r@x> <a@x> <s@x>\n", "a@x", ("r@x", "s@x", "a@x")),
    ("In-Reply-To: <i@x>\n", "a@x", ("i@x", "a@x")),
    ("In-Reply-To: <i@x> <j@x>\n", "a@x", ("a@x",)),
    ("In-Reply-To: your mail of <i@x>\nReferences: <r@x>\n", "a@x", ("r@x", "a@x")),
    ("References: nonsense\n", "a@x", ("a@x",)),
    ("References: <r@x>\n", "", ("r@x",)),
    ("References: <é@x> <r@x>\n", "", ("r@x",)),
]


@pytest.mark.parametrize(("fields", "ident", "expect"), CHAINS)
def test_chain(fields: str, ident: str, expect: tuple[str, ...]) -> None:
    assert reply.chain(header.scan(fields.encode() + b"\n"), ident) == expect


def test_long_chains_keep_both_ends() -> None:
    many = "".join(f" <{i}@x>\n" for i in range(200))
    found = reply.chain(header.scan(f"References:\n{many}\n".encode()), "last@x")
    assert len(found) == reply.MAX_REFERENCES
    assert (found[0], found[-2:]) == ("0@x", ("199@x", "last@x"))


@pytest.mark.parametrize(
    ("subject", "expect"),
    [("", "Re:"), ("a", "Re: a"), ("Re: a", "Re: a"), ("Fwd: a", "Re: Fwd: a")],
)
def test_answer(subject: str, expect: str) -> None:
    assert reply.answer(subject) == expect
