"""What is not set up is told at once, with what mends it; nothing of it is queued."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mailfs.ndb import shipped
from mailfs.site import placeholder
from tests.send.test_verb import ME, TEXT, send
from tests.send.world import World

QUALIFIED = b"From: Glenda <glenda@example.org>\nTo: fred@out.org\n\nhi\n"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Make a root as it comes, with rewrite.gateway copied and nothing else."""
    made = World(tmp_path, user=ME)
    made.env |= {"MAILFS_ROOT": str(made.root), "USER": ME, "LOGNAME": ME}
    made.env |= {"sysname": "gnot", "site": "gnot"}
    for name in ("qmail", "remotemail"):
        made.lib(name, shipped.path(name).read_text(), program=True)
    gateway(made)
    return made


def gateway(world: World) -> None:
    """Queue and start no delivery, so that the queue can be looked at."""
    text = shipped.path("rewrite.gateway").read_text()
    world.lib("rewrite", text.replace("lib/qmail", "lib/justqmail"))


def queued(world: World) -> list[str]:
    return sorted(p.read_text() for p in (world.root / "mail/queue").glob("*/C.*"))


def ndb(world: World, text: str) -> None:
    with (world.root / "lib/ndb/local").open("a") as file:
        file.write(f"\n{text}\n")


def mend(err: str) -> None:
    """Run the command behind the last ``run:`` of an error."""
    command = err.rpartition("run: ")[2].partition("'.\n")[0].rpartition("or: ")[2]
    subprocess.run(["/bin/sh", "-c", command], check=True)


def test_smtp_is_all_that_the_gateway_needs(world: World) -> None:
    ndb(world, "sys=gnot smtp=mail.example.org")
    words = ["-f", "glenda@example.org", "fred@out.org", "bob", "a!b@c.org"]
    assert send(world, *words, text=QUALIFIED) == (0, "", "")
    (one,) = queued(world)
    assert one.split() == [
        "mail",
        "glenda@example.org",
        "net!$smtp",
        "fred@out.org",
        "a!b@c.org",
    ]
    assert len(world.mailbox("bob")) == 1


@pytest.mark.parametrize("first", ["", "sys=gnot dom=x.org\n", "sys=a smtp=b"])
def test_without_smtp(world: World, first: str) -> None:
    ndb(world, first)
    status, _, err = send(world, "-f", "g@x.org", "a@b.com", "bob", text=QUALIFIED)
    assert status == 1
    assert f"{world.root}/lib/ndb/local: no smtp= for sys=gnot; run: " in err
    assert f"mailfs setup --root {world.root}" in err or "mailfs setup, or" in err
    assert queued(world) == []
    assert len(world.mailbox("bob")) == 1
    mend(err)
    assert send(world, "-f", "g@x.org", "a@b.com", text=QUALIFIED)[0] == 0


def test_smtp_that_is_an_example(world: World) -> None:
    for told in ("mail.yourdomain.dom", "net!yourdomain.dom!587"):
        (world.root / "lib/ndb/local").write_text(f"sys=gnot smtp={told}\n")
        status, _, err = send(world, "-f", "g@x.org", "a@b.com", text=QUALIFIED)
        assert (status, f"smtp={told}: that host is an example" in err) == (1, True)


@pytest.mark.parametrize(
    "left",
    [
        r"\l\.YOURDOMAIN\.DOM!(.*) alias \1",
        r"local!(.*) alias \1@YOURDOMAIN.DOM",
        r"local!(.*) alias \1@yourdomain.dom",
        r"x\.YourDomain\.dom!(.*) alias \1@YOURDOMAIN.DOM",
    ],
)
@pytest.mark.parametrize("headers", ["", 'From: "Glenda" <glenda@a-b.example.org>\n'])
def test_rules_with_yourdomain(world: World, left: str, headers: str) -> None:
    world.write(world.box(ME) / "headers", headers)
    rules = shipped.path("rewrite.direct").read_text().split("\n")
    kept = [line for line in rules if r"\l\." not in line]
    path = world.lib("rewrite", "\n".join([left, *kept]))
    for to in ("a@b.com", "bob"):
        status, _, err = send(world, to)
        assert (status, f"{path}: line 1: YOURDOMAIN.DOM stands" in err) == (1, True)
    status, out, err = send(world, "-x", "a@b.com")
    assert (status, out, err.startswith(f"mailfs send: {path}: line 1")) == (1, "", 1)
    assert queued(world) == []
    assert world.mailbox("bob") == []
    mend(err)
    domain = "a-b.example.org" if headers else "example.org"
    made = path.read_text().split("\n")[0]
    assert domain in made.replace("\\.", ".")
    assert not placeholder.left(path.read_text())
    assert ("." + domain).replace(".", "\\.") in made or "\\." not in left
    world.lib("qmail", shipped.path("justqmail").read_text(), program=True)
    status, _, err = send(world, "-f", "g@x.org", "a@b.com", text=QUALIFIED)
    assert (status, err) == (0, "")


def test_comments_with_yourdomain_do_not_matter(world: World) -> None:
    text = (world.root / "mail/lib/rewrite").read_text()
    world.lib("rewrite", f"# YOURDOMAIN.DOM\n  #\\.YOURDOMAIN\\.DOM\n{text}")
    assert send(world, "bob")[0] == 0


@pytest.mark.parametrize(
    ("sender", "text"),
    [
        ("glenda", TEXT),
        ("glenda", QUALIFIED),
        ("g@x.org", QUALIFIED.replace(b"@example.org", b"")),
        ("g@x.org", QUALIFIED.replace(b"\n\n", b"\nCc: a@b.com, bob\n\n")),
        ("g@x.org", QUALIFIED.replace(b"\n\n", b"\nReply-To: glenda\n\n")),
    ],
)
def test_the_default_domain_has_to_be_edited(
    world: World, sender: str, text: bytes
) -> None:
    ndb(world, "sys=gnot smtp=mail.example.org dom=gnot.mine.org")
    status, _, err = send(world, "-f", sender, "a@b.com", text=text)
    path = world.root / "mail/lib/remotemail"
    assert status == 1
    assert f"{path}: " in err
    assert "has no domain, and the default is still yourdomain.dom" in err
    assert queued(world) == []
    mend(err)
    assert "exec mailfs smtp -h gnot.mine.org " in path.read_text()
    assert send(world, "-f", sender, "a@b.com", text=text) == (0, "", "")


def test_groups_and_nobody_need_no_domain(world: World) -> None:
    ndb(world, "sys=gnot smtp=mail.example.org")
    text = b"From: g@x.org\nTo: undisclosed-recipients:;\nCc: list: ;\n\nhi\n"
    assert send(world, "-f", "<>", "a@b.com", text=text) == (0, "", "")


def test_mail_of_programs_is_refused_for_now(world: World) -> None:
    text = b"From x@y.org Sun Nov 22 12:00:00 GMT 2026 remote from \n" + QUALIFIED
    assert send(world, "-r", "a@b.com", text=text)[0] == 75
    world.lib("rewrite", "")
    assert send(world, "-r", "bob", text=text)[0] == 75


def test_marshal_says_so_too(world: World) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "mailfs", "mail", "a@b.com"],
        input=b"hello\n",
        capture_output=True,
        env={**os.environ, **world.env},
        check=False,
    )
    assert done.returncode == 1
    assert b"no smtp= for sys=gnot; run: mailfs setup" in done.stderr
