"""What the kernel knows, and for how long."""

import errno

import pytest

from mailfs.fuse.entry import Entry
from mailfs.fuse.node import FRESH, LASTING, FuseNode, NodeListing, Nodes
from mailfs.p9.fcall import DMDIR, QTDIR


def a(name: str, path: int = 1, vers: int = 0, kind: int = 0) -> Entry:
    return Entry(kind, vers, path, 0o644, 0, 0, 0, name.encode(), 0, 0)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def nodes(clock: Clock) -> Nodes:
    return Nodes(Entry(QTDIR, 0, 9, DMDIR | 0o755, 0, 0, 0, b"/", 0, 0), clock)


def given(nodes: Nodes, parent: FuseNode, entry: Entry) -> FuseNode:
    node = nodes.enter(parent, entry)
    nodes.give(node)
    return node


def test_a_node_is_known_until_forgotten(nodes: Nodes) -> None:
    box = given(nodes, nodes.root, a("box", 2, kind=QTDIR))
    file = given(nodes, box, a("Grüße", 3))
    assert file.names() == ("box", "Grüße")
    assert given(nodes, box, a("Grüße", 3, vers=8)) is file
    assert file.entry.vers == 8
    nodes.forget(file.id, 1)
    assert nodes.find(file.id) is file
    nodes.forget(file.id, 1)
    with pytest.raises(OSError, match="forgotten") as e:
        nodes.find(file.id)
    assert e.value.errno == errno.ESTALE
    nodes.forget(file.id, 1)
    assert nodes.known(box, "Grüße".encode()) is None
    nodes.forget(1, 99)
    assert nodes.find(1) is nodes.root
    assert len(nodes) == 2


def test_another_file_of_that_name_is_another_node(nodes: Nodes) -> None:
    old = given(nodes, nodes.root, a("f", 2))
    new = given(nodes, nodes.root, a("f", 3))
    assert new is not old
    assert nodes.known(nodes.root, b"f") is new
    nodes.forget(old.id, 1)
    assert nodes.known(nodes.root, b"f") is new
    assert given(nodes, nodes.root, a("f", 3, kind=QTDIR)) is not new


def test_what_is_seen_is_believed_for_a_while(nodes: Nodes, clock: Clock) -> None:
    node = given(nodes, nodes.root, a("f"))
    assert nodes.known(nodes.root, b"f") is node
    assert nodes.left(node) == FRESH * 1e9
    clock.now += FRESH * 0.75
    assert nodes.left(node) == FRESH * 0.25e9
    clock.now += FRESH
    assert nodes.left(node) == 0
    assert nodes.known(nodes.root, b"f") is None
    nodes.saw(node)
    assert nodes.known(nodes.root, b"f") is node


def test_a_listing_answers_for_names(nodes: Nodes, clock: Clock) -> None:
    clock.now += 10
    then = clock.now - FRESH / 2
    nodes.root.listing = NodeListing([a("f", 2), a("g", 3)], then, then)
    node = nodes.known(nodes.root, b"g")
    assert node is not None
    assert node.entry == a("g", 3)
    assert nodes.left(node) == FRESH * 0.5e9
    assert nodes.known(nodes.root, b"h") is None
    nodes.change()
    assert nodes.known(nodes.root, b"f") is None


def test_a_change_names_what_the_kernel_believes(nodes: Nodes, clock: Clock) -> None:
    old = given(nodes, nodes.root, a("old", 2))
    again = given(nodes, nodes.root, a("again", 3))
    clock.now += FRESH * 2
    nodes.give(again)
    new = given(nodes, nodes.root, a("new", 4))
    nodes.give(new)
    clock.now += FRESH / 2
    assert nodes.change() == [(1, b"new")]
    assert nodes.change() == []
    assert not any(map(nodes.fresh, (old, again, new)))


@pytest.fixture
def box(nodes: Nodes) -> FuseNode:
    """Make a mailbox's directory, of a server that tells what changes."""
    nodes.hear()
    return given(nodes, nodes.root, a("box", 2, kind=QTDIR))


def message(nodes: Nodes, box: FuseNode, number: int) -> FuseNode:
    return given(nodes, box, a(f"{number}", 100 + number, 1, QTDIR))


def test_messages_are_believed_until_there_is_news(
    nodes: Nodes, box: FuseNode, clock: Clock
) -> None:
    first, second = (message(nodes, box, n) for n in (1, 2))
    subject = given(nodes, first, a("subject", 1000, 1))
    part = given(nodes, first, a("1", 1001, 1, QTDIR))
    body = given(nodes, part, a("body", 1002, 1))
    odd = given(nodes, first, a("odd", 1003))
    ctl = given(nodes, box, a("ctl", 3))
    clock.now += LASTING - 1
    assert [nodes.fresh(n) for n in (box, ctl, odd)] == [False] * 3
    assert all(map(nodes.fresh, (first, second, subject, part, body)))
    assert nodes.stir(b"other", b"1") == nodes.stir(b"box", b"3") == []
    asked = clock.now
    clock.now += 0.1
    assert set(nodes.stir(b"box", b"1")) == {
        (box.id, b"1"),
        (first.id, b"subject"),
        (first.id, b"1"),
        (part.id, b"body"),
    }
    assert not any(map(nodes.fresh, (first, subject, part, body)))
    assert nodes.fresh(second)
    assert nodes.stir(b"box", b"1") == []
    nodes.saw(first, asked)  # the answer may be older than the news
    assert nodes.left(first) == FRESH * 1e9
    nodes.saw(first)
    assert nodes.left(first) == LASTING * 1e9
    assert (box.id, b"2") in nodes.deafen()
    nodes.saw(first)
    assert nodes.left(first) == FRESH * 1e9


def test_a_change_in_a_message_changes_no_other(
    nodes: Nodes, box: FuseNode, clock: Clock
) -> None:
    first, second = (message(nodes, box, n) for n in (1, 2))
    flags = given(nodes, first, a("flags", 1000, 1))
    ctl = given(nodes, nodes.root, a("ctl", 3))
    letter = given(nodes, nodes.root, a("letter", 4, 7))
    clock.now += 0.1
    brief = {(1, b"ctl"), (1, b"letter"), (1, b"box")}
    assert set(nodes.change(flags)) == brief | {(box.id, b"1"), (first.id, b"flags")}
    assert nodes.fresh(second)
    clock.now += 0.1
    for node in (first, flags, letter):
        nodes.saw(node)
        nodes.give(node)
    assert set(nodes.change(letter)) == {(1, b"letter")}
    assert nodes.fresh(flags)
    assert set(nodes.change(ctl)) == {
        (box.id, b"1"),
        (box.id, b"2"),
        (first.id, b"flags"),
    }
    assert not any(map(nodes.fresh, (first, second, flags)))


def test_a_renamed_file(nodes: Nodes) -> None:
    node = given(nodes, nodes.root, a("f", 2))
    nodes.rename(nodes.root, b"f", b"g")
    nodes.rename(nodes.root, b"unknown", b"h")
    assert node.names() == ("g",)
    assert given(nodes, nodes.root, a("g", 2)) is node


def test_a_name_that_9p_cannot_carry(nodes: Nodes) -> None:
    odd = Entry(0, 0, 2, 0, 0, 0, 0, b"\xff", 0, 0)
    with pytest.raises(FileNotFoundError):
        given(nodes, nodes.root, odd).names()
