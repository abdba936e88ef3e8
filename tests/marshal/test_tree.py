"""Messages of a served tree, named as acme, nedmail and people name them."""

import os
import subprocess
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path

import pytest

from mailfs.p9.client import Client
from tests.marshal.conftest import World
from tests.marshal.reading import both
from tests.marshal.test_verbs import command, environment
from tests.wait import until

MBOX = """\
From ann@x Sun Nov 22 12:45:08 GMT 2026
From: Ann <ann@out.example>
To: glenda
Subject: Tea
Message-ID: <one@x>

one

From bob Sun Nov 22 12:46:08 GMT 2026
From: bob
To: glenda
Subject: Milk
Message-ID: <two@x>
Content-Type: multipart/mixed; boundary=b

--b

two
--b
Content-Type: text/plain; name=part

inner
--b--

"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Serve a mailbox as upasfs and as mail, in a name space."""
    folder = tmp_path_factory.mktemp("tree")
    space = folder / "ns"
    space.mkdir(mode=0o700)
    (folder / "mbox").write_text(MBOX)
    env = {**os.environ, "NAMESPACE": str(space), "LOGNAME": "glenda"}
    env["XDG_CACHE_HOME"] = str(folder / "c")
    words = ["fs", "--root", str(folder / "root"), "-f", str(folder / "mbox")]
    words += ["-l", "upasfs", "-l", "mail"]
    with subprocess.Popen(command(*words), env=env) as server:
        try:
            until(lambda: (space / "mail").exists() and (space / "upasfs").exists())
            yield space
        finally:
            server.terminate()
            server.wait(30)


def flags(space: Path, number: str) -> str:
    with Client(f"{space}/upasfs", uname="glenda") as client:
        return client.read(f"/mbox/{number}/flags").decode()


def mail(
    world: World, space: Path, *argv: str, text: str = "yes\n"
) -> "subprocess.CompletedProcess[bytes]":
    env = environment(world, {"NAMESPACE": str(space)})
    return subprocess.run(
        command("marshal", *argv),
        input=text.encode(),
        capture_output=True,
        env=env,
        check=False,
    )


NAMES = ["Mail/mbox/2/", "Mail/mbox/2", "mbox/2", "mbox/2/", "mail/mbox/2"]
NAMES += ["upasfs/mbox/2", "/mail/fs/mbox/2/"]


@pytest.mark.parametrize("name", NAMES)
def test_replies(world: World, served: Path, name: str) -> None:
    with Client(f"{served}/upasfs", uname="glenda") as client:
        client.write("/mbox/2/flags", b"-a")
    done = mail(world, served, "-R", name, "-8", text="To: bob\n\nyes\n")
    assert (done.returncode, done.stderr) == (0, b"")
    (got,) = world.mail(user="bob")
    assert "In-Reply-To: <two@x>\n" in got
    assert "Subject: Re: Milk\n" in got
    assert "a" in flags(served, "2")
    assert "s" not in flags(served, "2")


def test_an_answer_that_is_not_sent_marks_nothing(world: World, served: Path) -> None:
    done = mail(world, served, "-R", "Mail/mbox/1/", "nosuch")
    assert done.returncode == 1
    assert "a" not in flags(served, "1")
    assert "In-Reply-To: <one@x>\n" in (world.box / "dead.letter").read_text()
    done = mail(world, served, "-R", "Mail/mbox/99/", "nosuch", "bob")
    assert b"Mail/mbox/99/: " in done.stderr.splitlines()[0]
    assert "a" not in flags(served, "1")


@pytest.mark.parametrize(
    "name",
    ["Mail/mbox/1/raw", "mbox/1/raw", "upasfs/mbox/1/raw", "/mail/fs/mbox/1/raw"],
)
@pytest.mark.parametrize("how", ["-A", "-a", "Include", "Attach"])
def test_messages_are_attached(world: World, served: Path, name: str, how: str) -> None:
    argv, text = (
        (["-8", how, name], "") if how[0] == "-" else (["-8"], f"{how}: {name}\n")
    )
    done = mail(world, served, *argv, text=f"To: bob\n{text}\nsee\n")
    assert (done.returncode, done.stderr) == (0, b"")
    (got,) = world.mail(user="bob")
    part = message_from_bytes(got.encode()).get_payload(1)
    assert part.get_content_type() == "message/rfc822"  # type: ignore[union-attr]
    inner = part.get_payload(0)  # type: ignore[union-attr]
    assert inner["Message-ID"] == "<one@x>"  # type: ignore[index]
    assert inner.get_payload() == "one\n"  # type: ignore[union-attr]


def test_a_part_is_attached(world: World, served: Path) -> None:
    done = mail(world, served, "-a", "Mail/mbox/2/2/body", "bob")
    assert (done.returncode, done.stderr) == (0, b"")
    (got,) = world.mail(user="bob")
    assert both(got.encode())[1].octets == b"inner\n"


@pytest.mark.parametrize("name", ["Mail/mbox/9/raw", "Mail/nosuch/1/raw", "Mail/x"])
def test_what_is_not_there_is_told_and_the_text_kept(
    world: World, served: Path, name: str
) -> None:
    done = mail(world, served, "-A", name, "bob", text="typed\n")
    assert done.returncode == 1
    assert done.stderr.startswith(f"mailfs marshal: {name}: can't read file: ".encode())
    assert "typed\n" in (world.box / "dead.letter").read_text()
    assert f"Include: {name}\n" in (world.box / "dead.letter").read_text()


def test_a_mailbox_that_may_not_be_changed(world: World, tmp_path: Path) -> None:
    space = tmp_path / "ns"
    space.mkdir(mode=0o700)
    (tmp_path / "mbox").write_text(MBOX)
    env = {**os.environ, "NAMESPACE": str(space), "LOGNAME": "glenda"}
    env["XDG_CACHE_HOME"] = f"{tmp_path}/c"
    words = ["fs", "--root", f"{tmp_path}/root", "--readonly"]
    with subprocess.Popen(command(*words, "-f", f"{tmp_path}/mbox"), env=env) as server:
        try:
            until(lambda: (space / "upasfs").exists())
            done = mail(world, space, "-R", "mbox/2", "bob")
        finally:
            server.terminate()
    assert done.returncode == 0
    assert done.stderr.startswith(b"mailfs marshal: sent, but not marked as answered: ")
    assert len(world.mail(user="bob")) == 1
