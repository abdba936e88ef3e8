"""Where keys come from, what asks for them, and what keeps memory to itself."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mailfs.attr import lines, parse, value
from mailfs.errors import MailfsError
from mailfs.factotum.getkey import getkey, wanted
from mailfs.factotum.guard import effective, peer_uid
from mailfs.factotum.keeper import MAX_FILE, Keyring, Remote, put, read_file
from mailfs.secret import Secret
from tests.factotum.serving import serving
from tests.factotum.world import key

TEXT = """\
# mine
key proto=pass user=a !password=1
key proto=oauth issuer=https://x clientid=1 user=a !refreshtoken=old
key proto=apop proto=cram user=a !password=2
nonsense
"""
OAUTH = "proto=oauth issuer=https://x clientid=1 user=a"


def test_a_line_is_replaced() -> None:
    new = key(f"{OAUTH} !refreshtoken=new")
    assert put(TEXT, new) == TEXT.replace("old", "new")


OTHERS = [
    "proto=oauth issuer=https://y clientid=1 user=a !refreshtoken=new",
    "proto=cram user=a !password=3",  # its line makes two keys
]


@pytest.mark.parametrize("text", OTHERS)
def test_a_line_is_added(text: str) -> None:
    new = key(text)
    assert put(TEXT, new) == TEXT + new.reveal() + "\n"
    assert put("", new) == new.reveal() + "\n"


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(TEXT)
    path.chmod(0o600)
    assert read_file(path) == TEXT
    for mode in (0o640, 0o604, 0o602, 0o644):
        path.chmod(mode)
        with pytest.raises(MailfsError, match="others may read or write it"):
            read_file(path)
    path.chmod(0o600)
    path.write_bytes(b"\xff")
    with pytest.raises(MailfsError, match="not UTF-8"):
        read_file(path)
    os.truncate(path, MAX_FILE + 1)
    with pytest.raises(MailfsError, match="not a file of keys"):
        read_file(path)
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "none")


def test_a_remote_keeper() -> None:
    stored = [TEXT.encode()]
    kept = Remote(lambda: stored[-1], stored.append)
    assert kept.load() == TEXT
    kept.source(key(f"{OAUTH} !refreshtoken=new"))
    assert stored[-1].decode() == TEXT.replace("old", "new")
    stored.append(b"\xff")
    with pytest.raises(MailfsError, match="not UTF-8"):
        kept.source(key(f"{OAUTH} !refreshtoken=newer"))
    assert stored[-1] == b"\xff"


def test_the_keyring() -> None:
    import keyring
    import keyring.errors
    from keyring.backend import KeyringBackend

    class Memory(KeyringBackend):
        priority = 1
        broken = False

        def __init__(self) -> None:
            self.kept: dict[tuple[str, str], str] = {}

        def get_password(self, service: str, username: str) -> str | None:
            if self.broken:
                raise keyring.errors.KeyringError("locked")
            return self.kept.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            if self.broken:
                raise keyring.errors.KeyringError("locked")
            self.kept[service, username] = password

    before, memory = keyring.get_keyring(), Memory()
    keyring.set_keyring(memory)
    try:
        ring = Keyring("al")
        assert ring.load() == ""
        ring.source(key("proto=pass user=a !password=1"))
        assert ring.load() == "key proto=pass user=a !password=1\n"
        assert list(memory.kept) == [("mailfs factotum", "al")]
        memory.broken = True
        for job in (ring.load, lambda: ring.save("")):
            with pytest.raises(MailfsError, match="keyring: locked"):
                job()
    finally:
        keyring.set_keyring(before)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(MailfsError, match="mailfs\\[keyring\\]"):
        Keyring("al")


# getkey: template, answers, what is said and asked, the message.
DIALOGUES = [
    (
        "proto=pass service=pop user? !password?",
        ["", "it's"],
        ["!adding key: proto=pass service=pop", "user[me]: ", "password: ", "!"],
        "key proto=pass service=pop user=me !password='it''s'",
    ),
    (
        "!password? proto=pass dom? user=al",
        ["x.com", "pw"],
        ["!adding key: proto=pass user=al", "dom: ", "password: ", "!"],
        "key proto=pass user=al dom=x.com !password=pw",
    ),
    (
        "proto=pass user=al !password?\nno good\nproto=pass user? !password?",
        ["al", "pw"],
        [
            "!replace: proto=pass user=al !password?",
            "!because: no good",
            "!adding key: proto=pass",
            "user[me]: ",
            "password: ",
            "!",
        ],
        "key proto=pass user=al !password=pw",
    ),
]


@pytest.mark.parametrize(("template", "answers", "said", "message"), DIALOGUES)
def test_getkey(
    template: str, answers: list[str], said: list[str], message: str
) -> None:
    told: list[str] = []
    left = list(answers)

    def ask(prompt: str, default: str) -> str:
        told.append(prompt)
        return left.pop(0) or default

    def ask_secret(prompt: str) -> Secret:
        told.append(prompt)
        return Secret(left.pop(0))

    got = getkey(
        wanted(template), "me", say=told.append, ask=ask, ask_secret=ask_secret
    )
    assert (got, told) == (message, said)
    assert parse(got.removeprefix("key "))


@pytest.mark.parametrize("template", ["proto=pass !password=x", "a\nb", "a\nb\nc\nd"])
def test_getkey_refuses(template: str) -> None:
    with pytest.raises(MailfsError) as e:
        wanted(template)
    assert "=x" not in str(e.value)


GUARD = """
import resource, sys
from mailfs.factotum.guard import guard
for text in guard():
    assert "memory not locked" in text, text
assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
assert "VmLck" in open("/proc/self/status").read()
import ctypes
assert ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) == 0
kept = [bytes(1 << 20) for _ in range(64)]  # memory is still to be had
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl and /proc are Linux's")
def test_guard() -> None:
    subprocess.run([sys.executable, "-c", GUARD], check=True, timeout=60)


def test_capabilities() -> None:
    assert effective("Name:\tx\n\nCapEff:\t0000000000004001\n") == 0x4001
    assert effective("") == 0


@pytest.mark.skipif(sys.platform != "linux", reason="SO_PEERCRED is Linux's")
def test_peer() -> None:
    a, b = socket.socketpair()
    with a, b:
        assert peer_uid(a) == os.getuid()


ODD = "\u2028 \u2029 \x85 \x0b \x0c \x1c \x1d \x1e".split(" ")


@pytest.mark.parametrize("odd", ODD)
def test_only_a_newline_ends_a_line(odd: str) -> None:
    """A password may hold what str.splitlines cuts at; none is damaged."""
    text = TEXT + f"key proto=pass user=b '!password=x{odd}y'\n"
    new = key(f"{OAUTH} !refreshtoken=new")
    assert put(text, new) == text.replace("old", "new")
    assert lines(text)[-1].endswith(f"x{odd}y'")


@pytest.mark.parametrize("odd", ODD)
def test_the_agent_lists_such_a_user_on_one_line(tmp_path: Path, odd: str) -> None:
    with serving(tmp_path) as served:
        served.add(f"proto=pass server=x 'user=a{odd}b' !password=c")
        with served.keys() as keys:
            (attrs,) = keys.keys()
    assert value(attrs, "user") == f"a{odd}b"
