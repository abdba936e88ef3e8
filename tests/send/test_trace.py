"""Return-Path, Delivered-To, and mail that comes back."""

from pathlib import Path

import pytest

from mailfs.mailbox.driver import Place
from mailfs.mailbox.drivers.maildir import Maildir
from mailfs.send.refusal import LOOP
from mailfs.send.trace import delivered
from tests.send.world import World

OLD = (
    b"Return-Path: <old@x.y>\nSubject: x\nreturn-path :\n <older@x.y>\n\n"
    b"Return-Path: z\n"
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize(
    ("sender", "path"),
    [("a@b.c", "a@b.c"), ("b.c!a", "a@b.c"), ("a", "a@k.org"), ("/dev/null", "")],
)
def test_fields(sender: str, path: str) -> None:
    want = b"Subject: x\n\nReturn-Path: z\n"
    assert delivered(OLD, sender, "bob@k.org", "k.org", envelope=True) == want
    front = f"Return-Path: <{path}>\nDelivered-To: bob@k.org\n".encode()
    got = delivered(OLD, sender, "bob@k.org", "k.org", envelope=False)
    assert got == front + want


@pytest.mark.parametrize("text", [b"", b"\nbody\n", b"body without a header\n"])
def test_a_message_without_a_header(text: bytes) -> None:
    got = delivered(text, "a@b.c", "bob@k.org", "k.org", envelope=False)
    front = b"Return-Path: <a@b.c>\nDelivered-To: bob@k.org\n"
    assert got == front + (text if text.startswith(b"\n") or not text else b"\n" + text)


def test_by_store(world: World) -> None:
    """A Maildir has no From_ line: the sender is in the message."""
    world.rules()
    box = world.box("bob")
    box.mkdir(parents=True, exist_ok=True)
    Maildir(str(box / "mbox"), Place(world.root, "bob")).make()
    (result,) = world.send(["bob"], OLD, sender="a@b.c", relayed=True)
    assert not result.refused
    (got,) = world.mailbox("bob")
    assert got.startswith(b"Return-Path: <a@b.c>\nDelivered-To: bob@kremvax\nSubject")
    assert b"old" not in got


def test_a_loop_ends(world: World) -> None:
    world.rules()
    world.box("bob").mkdir(parents=True, exist_ok=True)
    text = b"Delivered-To: Bob@kremvax\nSubject: x\n\nhello\n"
    (result,) = world.send(["bob"], text, relayed=True)
    assert (result.refused, result.permanent, result.text) == (True, True, LOOP)
    other = text.replace(b"Bob", b"Rob")
    assert not world.send(["bob"], other, relayed=True)[0].refused
