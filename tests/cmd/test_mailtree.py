"""The verbs that show mail: ls, search, show, save."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailfs.cmd import ls, main, save, search, show
from mailfs.errors import MailfsError, Refused, UsageError

from ..fs.conftest import mbox
from ..fs.serving import Tree, serving

MIXED = "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n"
ATTACHED = "Content-Disposition: attachment; filename="
MESSAGES = [
    (
        "a@example.org",
        "Mon Mar  2 09:00:00 2026",
        "From: Glenda <glenda@example.org>\nSubject: first \x1b[31m\n\nneedle\x1b[2J\n",
    ),
    (
        "b@example.org",
        "Mon Mar  2 10:00:00 2026",
        f"From: bunny@example.org\nSubject: files\n{MIXED}"
        "--x\n\nsee the needle\n"
        f'--x\nContent-Type: text/plain; charset=koi8-r\n{ATTACHED}"a note.txt"\n\n'
        "caf\xe9\nend\n\n"
        f"--x\nContent-Transfer-Encoding: base64\n{ATTACHED}../../etc/passwd\n\nAAEC\n"
        f"--x\nContent-Transfer-Encoding: base64\n{ATTACHED}..\n\nAwQF\n"
        f'--x\nContent-Transfer-Encoding: base64\n{ATTACHED}"a note.txt"\n\nBgc=\n'
        "--x\nContent-Type: message/rfc822\nContent-Disposition: attachment\n\n"
        f"Subject: in\n\nside\n--x--\n",
    ),
    ("c@example.org", "Mon Mar  2 11:00:00 2026", "Subject: third\n\nhay\n"),
]
OTHER = [("d@example.org", "Mon Mar  2 09:30:00 2026", "Subject: other\n\nneedle\n")]


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    box, other = tmp_path / "box", tmp_path / "other"
    box.write_bytes(mbox(MESSAGES).decode().encode("latin-1"))
    other.write_bytes(mbox(OTHER))
    with serving(tmp_path, mbox=box, other=other) as tree:
        yield tree


@pytest.fixture
def at(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("USER", "glenda")
    monkeypatch.setenv("LOGNAME", "glenda")
    return ["-a", str(tree.address)]


def places(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.split()[0] for line in capsys.readouterr().out.splitlines()]


def test_ls(at: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert ls.main(at) == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["mbox", "3"],
        ["other", "1"],
    ]
    assert ls.main([*at, "mbox"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()] == [
        "mbox/3",
        "mbox/2",
        "mbox/1",
    ]
    assert "\x1b" not in out
    assert "first [31m" in out
    assert ls.main([*at, "-n", "1", "mbox", "nonesuch", "other"]) == 1
    captured = capsys.readouterr()
    assert [line.split()[0] for line in captured.out.splitlines()] == [
        "mbox/3",
        "other/1",
    ]
    assert captured.err.startswith("mailfs ls: nonesuch: ")


def test_json(at: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert ls.main([*at, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == {"mailbox": "mbox", "state": "ready", "messages": 3}
    assert search.main([*at, "--json", "needle", "from:glenda"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    row = json.loads(line)
    assert row["message"] == "mbox/1"
    assert row["from"] == "glenda@example.org"
    assert row["name"] == "Glenda"
    assert row["flags"] == []
    assert show.main([*at, "--json", "mbox/2"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["text"].startswith("see the needle\n")
    assert shown["subject"] == "files"


def test_search(at: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert search.main([*at, "needle"]) == 0
    assert places(capsys) == ["mbox/2", "other/1", "mbox/1"]
    assert search.main([*at, "-n", "1", "needle"]) == 0
    assert places(capsys) == ["mbox/2"]
    assert search.main([*at, "-m", "other", "needle", "or", "hay"]) == 0
    assert places(capsys) == ["other/1"]
    assert search.main([*at, "nonesuch"]) == 1
    assert places(capsys) == []
    with pytest.raises(Refused, match="frm: "):
        search.main([*at, "frm:glenda"])
    with pytest.raises(UsageError, match="slash"):
        search.main([*at, "a/b"])


def test_show(at: list[str], capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert show.main([*at, "1", "other/1"]) == 0
    out = capsysbinary.readouterr().out.decode()
    assert "From:    glenda@example.org\n" in out
    assert "Subject: first [31m\n" in out
    assert "\nneedle?[2J\n" in out
    assert "Subject: other\n\nneedle\n" in out
    assert "\x1b" not in out
    assert show.main([*at, "mbox/2/1"]) == 0
    assert b"see the needle\n" in capsysbinary.readouterr().out
    assert show.main([*at, "--raw", "mbox/1"]) == 0
    assert b"needle\x1b[2J\n" in capsysbinary.readouterr().out
    assert show.main([*at, "9"]) == 1
    assert b"mailfs show: mbox/9: " in capsysbinary.readouterr().err
    for bad in ("mbox", "x/y", ""):
        with pytest.raises(UsageError, match="NUMBER"):
            show.main([*at, bad])


def test_save(
    at: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    into = tmp_path / "into"
    assert save.main([*at, "2", str(into)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert {p.name: p.read_bytes() for p in into.iterdir()} == {
        "a note.txt": b"caf\xe9\nend\n",
        "a note (2).txt": b"\x06\x07",
        "_.._etc_passwd": b"\0\1\2",
        "attachment": b"\3\4\5",
        "part-6.eml": b"Subject: in\n\nside",
    }
    assert sorted(told) == sorted(map(str, into.iterdir()))
    assert save.main([*at, "mbox/2/3", str(into)]) == 0
    assert (into / "_.._etc_passwd (2)").read_bytes() == b"\0\1\2"
    assert save.main([*at, "1", str(into)]) == 1
    assert "nothing is attached" in capsys.readouterr().err
    assert save.main([*at, "mbox/2/1", str(into)]) == 0
    assert (into / "part-1.txt").read_bytes() == b"see the needle"
    with pytest.raises(OSError, match="No such file"):
        save.main([*at, "2", str(tmp_path / "none" / "deep")])


def test_nothing_is_written_over_or_followed(
    at: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    into, victim = tmp_path / "into", tmp_path / "victim"
    into.mkdir()
    (into / "a note.txt").symlink_to(victim)
    (into / "attachment").mkdir()
    assert save.main([*at, "2", str(into)]) == 0
    assert not victim.exists()
    assert (into / "a note (2).txt").read_bytes() == b"caf\xe9\nend\n"
    assert (into / "attachment (2)").read_bytes() == b"\3\4\5"


NAMES = [
    ("a.pdf", "a.pdf"),
    ("../x", "_x"),
    (".bashrc", "bashrc"),
    ("...", "attachment"),
    ("", "attachment"),
    ("a\0b\n.txt", "a_b_.txt"),
    ("C:\\dir\\f.doc", "C__dir_f.doc"),
    ("Grüße aus.pdf", "Grüße aus.pdf"),
    ("a\u202efdp.exe", "a_fdp.exe"),
]


@pytest.mark.parametrize(("name", "want"), NAMES)
def test_safe_names(name: str, want: str) -> None:
    assert save.safe(name) == want


def test_long_names_keep_their_ending() -> None:
    name = save.safe("é" * 300 + ".pdf")
    assert name.endswith(".pdf")
    assert len(os.fsencode(name)) <= 255


def test_without_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NAMESPACE", str(tmp_path))
    with pytest.raises(MailfsError, match="mailfs fs &"):
        ls.main([])
    assert main.main(["ls", "mbox"]) == 1
    assert capsys.readouterr().err == "mailfs ls: no mail server runs: mailfs fs &\n"
