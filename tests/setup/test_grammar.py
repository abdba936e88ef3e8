"""What others say gets into files and onto the terminal only as what it should be."""

from pathlib import Path

import pytest

from mailfs.errors import MailfsError, UsageError
from mailfs.ndb.parse import records
from mailfs.secret import Secret
from mailfs.setup import answer, autoconfig, host, server, text
from mailfs.setup.change import FileChange
from mailfs.setup.daemon import enable
from mailfs.setup.person import Interview

ODD = ["\n", "\r", "\0", "\x1b", "\u2028", "\x85", "\x0b", "\x0c", "\u202e", "\t", " "]
ODD += ['"', "'", "#", "=", "/", "\\", "$", "`", ";"]


@pytest.mark.parametrize("odd", ODD)
def test_a_host_is_a_host(odd: str) -> None:
    for name in (f"a{odd}b.org", f"{odd}a.org", f"a.org{odd}x"):
        assert not host.is_host(name)
        with pytest.raises(MailfsError):
            server.incoming(f"/imaps/{name}")
        with pytest.raises(MailfsError):
            server.outgoing(f"/submission/tcp!{name}!587")


@pytest.mark.parametrize(
    "name",
    ["a.org", "A-b.c-d.org", "x", "xn--gra-0na.org", "grüß.org", "::1", "1.2.3.4"],
)
def test_hosts(name: str) -> None:
    assert host.is_host(name)


@pytest.mark.parametrize(
    "name", ["", ".", "-a.org", "a..org", "a-.org", "1.2.3", "a b"]
)
def test_no_hosts(name: str) -> None:
    assert not host.is_host(name)


XML = """<clientConfig><emailProvider>
<incomingServer type="imap"><hostname>{host}</hostname><port>993</port>
<socketType>SSL</socketType><username>{user}</username></incomingServer>
</emailProvider></clientConfig>"""


@pytest.mark.parametrize(
    "odd", ["&#10;", "&#x2028;", "&#x85;", "&#9;", '"', "'", "/", " "]
)
def test_autoconfig(odd: str) -> None:
    made = XML.format(host=f"a{odd}smtp=evil", user="x").encode()
    assert autoconfig.parse(made, "g@x.org") == []
    made = XML.format(host="a.org", user=f"x{odd}y").encode()
    assert [one.user for one in autoconfig.parse(made, "g@x.org")] == ["g@x.org"]


@pytest.mark.parametrize("odd", ["\n", "\u2028", "\x85", "\x0b", "\x1b", "\u202e", " "])
def test_answers(odd: str) -> None:
    for check in (answer.address, answer.word, answer.full_host):
        with pytest.raises(UsageError):
            check(f"a{odd}b@x.org" if check is answer.address else f"a{odd}b")


@pytest.mark.parametrize("odd", ["\u2028", "\x0b", "\x0c", "\x85", "\x1c"])
def test_only_newlines_end_lines(odd: str) -> None:
    old = f"sys=gnot note=a{odd}smtp=no\n{odd}x=y\n"
    assert records(old)[0] == [[("sys", "gnot"), ("note", f"a{odd}smtp=no")]]
    new = text.network(old, "gnot", {"smtp": "h"})
    assert new == f"sys=gnot note=a{odd}smtp=no\n\tsmtp=h\n{odd}x=y\n"
    change = FileChange(path=None, old=f"a{odd}b\n", new=f"a{odd}b\nc\n")  # type: ignore[arg-type]
    assert not change.overwrites
    assert len(change.diff()) == 5


@pytest.mark.parametrize(
    ("old", "new", "none"),
    [
        ("", "Fcc: /b\n", ""),
        ("From: a\n", "From: a\nFcc: /b\n", "From: a\n"),
        ("From: a", "From: a\nFcc: /b\n", "From: a"),
        ("fcc: x\n y\nX: z\n w\n", "Fcc: /b\nX: z\n w\n", "X: z\n w\n"),
        ("Fcc: x\nA: b\nFcc: z\n", "Fcc: /b\nA: b\n", "A: b\n"),
    ],
)
def test_the_mailbox_of_copies(old: str, new: str, none: str) -> None:
    assert text.copies(old, "/b") == new
    assert text.copied(new) == "/b"
    assert text.copies(old, "") == none
    assert not text.copied(none)


@pytest.mark.parametrize("told", ["", "/etc", "a\nb", "a\x1b"])
def test_a_folder_is_a_name(told: str) -> None:
    with pytest.raises(UsageError):
        answer.folder(told)
    assert answer.folder("Sent Items") == "Sent Items"
    assert not answer.folder("none")


def test_where_a_mount_may_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for told in (str(tmp_path), str(tmp_path / "new")):
        assert answer.mountpoint(told) == told
    assert not answer.mountpoint("none")
    assert answer.mountpoint("~") == str(Path.home())
    odd = ["", "mail", str(tmp_path / "a/b"), str(tmp_path / "file"), f"{tmp_path}/\n"]
    for told in odd:
        with pytest.raises(UsageError):
            answer.mountpoint(told)


def test_malformed_headers_are_refused() -> None:
    for old in ("nonsense\n", "From: a\nOrganisation Bell\n", " fold\n"):
        with pytest.raises(MailfsError, match="is no header field"):
            text.headers(old, "Glenda", "g@x.org")


class Scripted:
    """A person with answers ready, and what was shown to them."""

    present = True

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.hidden: list[str] = []
        self.shown: list[str] = []

    def say(self, text: str) -> None:
        self.shown.append(text)

    def progress(self, text: str) -> None:
        self.shown.append(text)

    def ask(self, prompt: str, default: str) -> str:
        self.shown.append(prompt)
        return self.answers.pop(0)

    def secret(self, prompt: str) -> Secret:
        self.shown.append(prompt)
        return Secret(self.hidden.pop(0))


def test_what_is_shown_obeys_no_server() -> None:
    person = Scripted("x", "y")
    interview = Interview(person)
    interview.say("a\x1b[31m\u202eb\nc")
    interview.text("name", "Name \x1b", "d\x9b", str)
    interview.confirm("Trust \x1b[2J?", usual=False)
    assert person.shown == ["a?[31m?b\nc", "Name ? [d?]: ", "Trust ?[2J? [y/N] "]


def test_a_password_typed_at_a_choice_is_not_shown() -> None:
    person = Scripted()
    rows = {"a": "one", "b": "two"}
    for typed, meant in (("hunter2", ""), ("B", "b"), ("", "a"), ("2", "b")):
        person.hidden.append(typed)
        if meant:
            chosen = Interview(person).choose("auth", "By", rows, "a", hidden=True)
            assert chosen == meant
            assert person.shown[-1] == f"By: {meant}"
    assert "hunter2" not in "".join(person.shown)
    assert "want one of a, b" in person.shown
    person = Scripted("2")
    assert Interview(person).choose("bare", "Name", rows, "a") == "b"


def test_systemd_says_why() -> None:
    def run(words: list[str]) -> str:
        return "Failed to connect to bus" if "enable" in words else ""

    assert enable(["fs"], run) == "Failed to connect to bus"  # type: ignore[arg-type]
    assert enable(["fs"], lambda words: "there is no systemctl") == (
        "there is no systemctl"
    )
    assert enable(["fs"], lambda words: "") == ""
