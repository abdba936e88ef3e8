"""Real programs that send through us: git send-email, mutt, and runq behind them."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mailfs.ndb import shipped
from tests.send.world import World

pytestmark = pytest.mark.live


def need(program: str) -> None:
    path = f"{os.environ['PATH']}:/usr/lib/git-core"
    if shutil.which(program, path=path) is None:
        pytest.skip(f"no {program}")


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path, user="glenda")
    made.env = {
        **os.environ,
        "HOME": str(tmp_path),
        "MAILFS_ROOT": str(made.root),
        "USER": "glenda",
        "LOGNAME": "glenda",
        "site": "kremvax",
        "EMAIL": "glenda@example.org",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    # mutt gives programs their bare name, and Python would not find itself by that.
    script = f'#!/bin/sh\nexec {sys.executable} -P -m mailfs send "$@"\n'
    made.write(made.root / "send", script, program=True)
    return made


def run(world: World, *words: str, text: str = "") -> str:
    done = subprocess.run(
        words,
        input=text,
        capture_output=True,
        text=True,
        env=world.env,
        cwd=world.root,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


PATCH = """\
From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001
From: Glenda <glenda@example.org>
Date: Sun, 22 Nov 2026 12:00:00 +0000
Subject: [PATCH] a dot alone

.
From here on
---
 x | 1 +

diff --git a/x b/x
--- a/x
+++ b/x
@@ -0,0 +1 @@
+.
--
2.39
"""


def test_git_send_email(world: World) -> None:
    need("git-send-email")
    run(world, "git", "init", "-q", ".")
    patch = world.write(world.root / "0001.patch", PATCH)
    words = [
        "send-email",
        "--quiet",
        f"--sendmail-cmd={world.root}/send",
        "--confirm=never",
    ]
    words += ["--from=Glenda <glenda@example.org>", "--to=bob", "--cc=a@b.com"]
    run(world, "git", *words, "--bcc=team", "--suppress-cc=all", str(patch))
    (found,) = world.mailbox("bob")
    body = PATCH.partition("\n\n")[2].encode()
    assert found.endswith(body)
    assert b"\nSubject: [PATCH] a dot alone\n" in found
    assert b"team" not in found
    assert len(world.mailbox("glenda")) == 1
    ours = [args[2:] for args, _ in world.taken()]
    assert ours == [["a"], ["x"]]


def test_git_send_email_learns_of_a_refusal(world: World) -> None:
    need("git-send-email")
    run(world, "git", "init", "-q", ".")
    patch = world.write(world.root / "0001.patch", PATCH)
    words = [
        "git",
        "send-email",
        f"--sendmail-cmd={world.root}/send",
        "--confirm=never",
    ]
    words += ["--from=glenda@example.org", "--to=nosuch", "--suppress-cc=all"]
    done = subprocess.run(
        [*words, str(patch)],
        capture_output=True,
        text=True,
        env=world.env,
        cwd=world.root,
        check=False,
    )
    assert done.returncode != 0
    assert "unknown user" in done.stderr


def test_mutt(world: World) -> None:
    need("mutt")
    picture = world.root / "picture.png"
    picture.write_bytes(bytes(range(256)))
    rc = world.write(
        world.root / "muttrc",
        f'set sendmail="{world.root}/send -oem -oi"\nset use_envelope_from=yes\n'
        "set copy=no\n"
        'set from="glenda@example.org"\nset realname="Glenda"\n',
    )
    words = ["mutt", "-n", "-F", str(rc), "-s", "caf\u00e9", "-c", "a@b.com"]
    words += ["-b", "glenda", "-a", str(picture), "--", "bob"]
    run(world, *words, text="hello\n.\nFrom here\n")
    (found,) = world.mailbox("bob")
    assert found.startswith(b"From glenda@example.org ")
    assert b"\nTo: bob" in found
    assert b"\n.\nFrom here\n" in found
    assert b'filename="picture.png"' in found
    assert b"Bcc" not in found
    assert len(world.mailbox("glenda")) == 1
    assert world.taken()[0][0] == ["glenda@example.org", "net!b.com", "a"]


REMOTE = """#!/bin/sh
for word; do printf '%s\\n' "$word"; done >"$MAILFS_ROOT/part"
cat >>"$MAILFS_ROOT/part"
mv "$MAILFS_ROOT/part" "$MAILFS_ROOT/remote"
"""


def test_the_queue_is_started(world: World) -> None:
    """As it ships, qmail is done without a process, and runq then started."""
    world.lib("qmail", shipped.path("qmail").read_text(), program=True)
    world.lib("remotemail", REMOTE, program=True)
    run(world, f"{world.root}/send", "a@b.com", text="Subject: x\n\ny\n")
    path = world.root / "remote"
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    lines = path.read_text().splitlines()
    assert lines[:4] == ["mail", "glenda", "net!b.com", "a"]
    assert lines[4].startswith("From glenda ")
    assert lines[4].endswith(" remote from kremvax")
    assert lines[-2:] == ["", "y"]


def test_the_script_does_the_same(world: World) -> None:
    shipped_text = shipped.path("justqmail").read_text()
    world.rules("([^!]*)!(.*) | \"/mail/lib/justqmail '\\s' 'net!\\1'\" \"'\\2'\"\n")
    found = []
    for text in (shipped_text, shipped_text + "# mine\n"):
        world.lib("justqmail", text, program=True)
        run(world, f"{world.root}/send", "b.com!a", "b.com!c", text="Subject: x\n\ny\n")
        queue = world.root / "mail" / "queue" / "glenda"
        (control,) = queue.glob("C.*")
        (data,) = queue.glob("D.*")
        lines = data.read_bytes().split(b"\n")
        found.append((control.read_bytes(), lines[0][:12], lines[-4:]))
        control.unlink()
        data.unlink()
    assert found[0] == found[1]
    assert found[0][0].split() == [b"mail", b"glenda", b"net!b.com", b"a", b"c"]
