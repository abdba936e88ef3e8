"""Tokens, lists of patterns, mailboxes chosen by rules; and their verbs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mailfs.errors import MailfsError, UsageError
from mailfs.filters import patterns, sorting, token
from mailfs.filters.patterns import Verdict
from mailfs.filters.sorting import SortRule

NOW = 1795351508
DAY = 86400


def test_a_token_is_good_for_a_fortnight() -> None:
    word = token.token("plan9", NOW)
    assert len(word) == token.LENGTH
    assert word == token.token("plan9", NOW + 60)
    assert word != token.token("plan9", NOW + DAY)
    assert word != token.token("glenda", NOW)
    text = b"Subject: Re: hello [%s]\n\n" % word.encode()
    assert token.found("plan9", text, NOW)
    assert token.found("plan9", text, NOW + 13 * DAY)
    assert not token.found("plan9", text, NOW + 14 * DAY)
    assert not token.found("plan9", text, NOW - DAY)
    assert not token.found("glenda", text, NOW)
    assert not token.found("plan9", b"x" * token.SEARCHED + text, NOW)


LIST = """# friends
=glenda rob is one too
~.*@(.*\\.)?bell-labs\\.com
!~.*@(.*\\.)?spam\\.example
!=Bob@Example.ORG
#include more
"""

JUDGED = [
    (["glenda"], Verdict.MATCH),
    (["GLENDA"], Verdict.MATCH),
    (["glendas"], Verdict.UNKNOWN),
    (["ken@plan9.bell-labs.com"], Verdict.MATCH),
    (["ken@bell-labs.com"], Verdict.MATCH),
    (["ken@bell-labsxcom"], Verdict.UNKNOWN),
    (["ken@evilbell-labs.com"], Verdict.UNKNOWN),
    (["x@a.spam.example"], Verdict.REFUSED),
    (["bob@example.org"], Verdict.REFUSED),
    (["bob@example.org", "glenda"], Verdict.MATCH),
    (["nobody@x", "bob@example.org"], Verdict.REFUSED),
    (["inc@luded"], Verdict.MATCH),
    ([], Verdict.UNKNOWN),
]


@pytest.mark.parametrize(("addresses", "verdict"), JUDGED)
def test_what_a_list_says(
    addresses: list[str], verdict: Verdict, tmp_path: Path
) -> None:
    (tmp_path / "list").write_text(LIST)
    (tmp_path / "more").write_text("=inc@luded\n")
    assert patterns.judge(patterns.load(tmp_path / "list"), addresses) is verdict


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("glenda", "want ~REGEXP"),
        ("~(", "list:1"),
        ("#include list", "included before"),
        ("#include none", "file does not exist"),
    ],
)
def test_a_line_that_cannot_be_meant(line: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "list").write_text(f"{line}\n")
    with pytest.raises(MailfsError, match="list:1") as refused:
        patterns.load(tmp_path / "list")
    assert why in str(refused.value)


MADE = [
    ("glenda", "=glenda"),
    ("Ken@plan9.bell-labs.COM", "~ken@(.*\\.)?bell-labs\\.com"),
    ("a.b+c@x.co.uk", "~a\\.b\\+c@(.*\\.)?x\\.co\\.uk"),
    ("x@host", "~x@(.*\\.)?host"),
]


@pytest.mark.parametrize(("address", "pattern"), MADE)
def test_what_is_added_means_the_address(
    address: str, pattern: str, tmp_path: Path
) -> None:
    path = tmp_path / "list"
    assert patterns.made(address) == pattern
    assert patterns.add(path, [address, address]) == [address]
    assert patterns.add(path, [address.upper()]) == []
    assert patterns.judge(patterns.load(path), [address]) is Verdict.MATCH
    assert path.stat().st_mode & 0o777 == 0o600


CHOSEN = [
    ([], "mbox"),
    ([("lists", "lists")], "mbox"),
    ([("ken@.*", "ken")], "ken"),
    ([("nobody", "x"), ("ken@(.*)\\.com", "from/\\1")], "from/plan9.bell-labs"),
    ([("ken", "&-s")], "ken-s"),
    ([("(subject): (.*)", "\\2\\9")], "_.._etc_passwd"),
]


@pytest.mark.parametrize(("rows", "mailbox"), CHOSEN)
def test_the_mailbox_that_rules_choose(
    rows: list[tuple[str, str]], mailbox: str
) -> None:
    texts = ["ken@plan9.bell-labs.com", "Subject: ../../etc/passwd"]
    found = sorting.choose([SortRule(*row) for row in rows], texts, "mbox")
    assert found == mailbox or found.endswith("_.._etc_passwd")
    assert "/../" not in f"/{found}/"


def test_a_pattern_wants_a_mailbox() -> None:
    with pytest.raises(UsageError, match="without its mailbox"):
        sorting.rules(["x"])


# The verbs, as a script calls them.

LETTER = (
    "From ken@plan9.bell-labs.com Sun Nov 22 12:45:08 GMT 2026\n"
    "Subject: =?utf-8?q?caf=C3=A9?=\n\nFrom here on\n"
)


def _verb(
    root: Path, *words: str, said: str = ""
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-P", "-m", "mailfs", *words],
        input=said,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"MAILFS_ROOT": str(root), "USER": "glenda"},
        cwd=root,
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "mail/box/glenda").mkdir(parents=True)
    (tmp_path / "sys/log").mkdir(parents=True)
    (tmp_path / "sys/log/mail").touch()
    return tmp_path


def test_deliver(root: Path) -> None:
    box = root / "mail/box/glenda/lists"
    box.touch()
    (root / "from").write_text("rob@example.org ken\n")
    done = _verb(root, "deliver", "glenda", "from", str(box), said="Subject: x\n\ny\n")
    assert (done.returncode, done.stderr) == (0, "")
    text = box.read_text()
    assert text.startswith("From rob@example.org ")
    assert "\nSubject: x\n\ny\n" in text
    assert (
        "delivered glenda From rob@example.org " in (root / "sys/log/mail").read_text()
    )


def test_filter(root: Path) -> None:
    home = root / "mail/box/glenda"
    for name in ("mbox", "labs"):
        (home / name).touch()
    words = ("glenda", str(home / "mbox"), ".*bell-labs.*", str(home / "labs"))
    shown = _verb(root, "filter", "-n", *words, said=LETTER)
    assert shown.stdout == f"{home / 'labs'}\n"
    assert not (home / "labs").read_bytes()
    done = _verb(root, "filter", *words, said=LETTER)
    assert (done.returncode, done.stderr) == (0, "")
    text = (home / "labs").read_text()
    assert text.startswith("From ken@plan9.bell-labs.com ")
    assert "\n From here on\n" in text
    assert not (home / "mbox").read_bytes()


def test_list_and_token(root: Path) -> None:
    (root / "who").write_text("# comment\nken@plan9.bell-labs.com\n")
    assert _verb(root, "list", "add", "_pattern", "who").returncode == 0
    (root / "who").write_text("ken@bell-labs.com\n")
    assert _verb(root, "list", "check", "_pattern", "who").returncode == 0
    (root / "who").write_text("ken@elsewhere.com\n")
    done = _verb(root, "list", "check", "_pattern", "who")
    assert (done.returncode, done.stderr) == (1, "no match\n")
    word = _verb(root, "token", "key").stdout
    (root / "message").write_text(f"Subject: {word}")
    assert _verb(root, "token", "key", "message").returncode == 0
    assert _verb(root, "token", "other", "message").stderr == "no match\n"


def test_unesc(root: Path) -> None:
    said = "Subject: =?iso-8859-1?q?caf=E9?= =?utf-8?b?w6k=?=\nplain =? x\n"
    assert (
        _verb(root, "unesc", said=said).stdout == "Subject: caf\xe9\xe9\nplain =? x\n"
    )
