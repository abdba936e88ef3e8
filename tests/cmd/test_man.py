"""The manual: a page for each verb, right to the last option, and fit to be read."""

import contextlib
import io
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from mailfs.cmd import synopses
from mailfs.cmd.args import Parser, asking
from mailfs.cmd.main import VERBS
from mailfs.cmd.main import main as command
from mailfs.cmd.man import main
from mailfs.errors import MailfsError, UsageError
from mailfs.fs import aname, boxctl, files, rootctl
from mailfs.fs.keyed import boxctl as keyedctl
from mailfs.fs.keyed import files as keyed
from mailfs.mailboxes import query
from mailfs.man import mdoc, page
from mailfs.man.page import join, path, split
from mailfs.man.synopsis import Operand, Option, Synopsis
from tests.cmd.pages import pages

PAGES = sorted(page.FOLDER.glob("man*/*"))
TREE = path("mailfs.4")


def test_pages_are_as_the_parsers_say() -> None:
    """Write them anew with python -m tests.cmd.pages."""
    there = dict(pages())
    assert sorted(there) == [one for one in PAGES if one.suffix == ".1"]
    for where, text in there.items():
        assert where.read_text() == text


def options(source: str) -> set[str]:
    """Return the options that a page explains, as they are typed."""
    found = set()
    for line in source.splitlines():
        if line.startswith(".It Fl "):
            head = re.split(r" Ar ", line.removeprefix(".It "))[0]
            found |= {f"-{name}" for name in re.findall(r"Fl (\S+)", head)}
    return found


@pytest.mark.parametrize("verb", VERBS)
def test_options_of_a_verb(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Against what --help prints, which is written by argparse alone."""
    with pytest.raises(SystemExit):
        command([verb, "--help"])
    told: set[str] = set()
    for line in capsys.readouterr().out.partition("\nexample:\n")[0].splitlines():
        if re.match(r"  -\S", line) and "--help " not in line:
            head = re.split(r"  +", line.strip())[0]
            told |= set(re.findall(r"(?:^|, )(-[^\s,]+)", head))
    source = path(f"mailfs-{verb}.1").read_text()
    own, _, below = source.partition("\n.Ss ")
    assert options(own) == told
    assert options(below) <= {"-l", "-d", "-t", "-n"}


def test_hand_written_sections_stay() -> None:
    of = Synopsis("x", "do", text="Do it.")
    first = page.verb_page(of)
    head, found = split(first)
    found["DESCRIPTION"] = ["By hand."]
    found["CAVEATS"] = ["Odd."]
    found["NAME"] = [".Nm wrong"]
    again = page.verb_page(of, join(head, found))
    _, found = split(again)
    assert (found["DESCRIPTION"], found["CAVEATS"]) == (["By hand."], ["Odd."])
    assert found["NAME"] == [".Nm mailfs-x", ".Nd do"]
    assert again == page.verb_page(of, again)


@pytest.mark.parametrize(
    ("value", "source"),
    [
        (mdoc.text(".x \\y"), "\\&.x \\ey"),
        (mdoc.literal("-x 'y'"), "\\-x 'y'"),
        (mdoc.word("Pa"), "\\&Pa"),
        (mdoc.word("a b"), '"a b"'),
        (mdoc.word("|"), "\\&|"),
        (mdoc.prose("One.  Two (x).  Three"), ["One.", "Two (x).", "Three"]),
        (mdoc.option(Option(("-f",), "", "[NAME=]FILE")), "Fl f Ar [NAME=]FILE"),
        (mdoc.option(Option(("--all",), "")), "Fl -all"),
        (mdoc.operand(Operand("X", "", optional=True, many=True)), "Op Ar X ..."),
    ],
)
def test_macros(value: object, source: object) -> None:
    assert value == source


def section(name: str) -> str:
    return "\n".join(split(TREE.read_text())[1][name])


def terms(name: str, macro: str) -> set[str]:
    """Return what a section's list explains: ``.It Cm term``."""
    return set(re.findall(rf"^\.It {macro} ([\w=]+)", section(name), re.MULTILINE))


def test_tree_is_all_there() -> None:
    assert terms("MESSAGE FILES", "Pa") == set(files.FILES | files.OURS)
    info = re.findall(r"^\.Pa (\S+)$", section("INFO"), re.MULTILINE)
    assert info == list(files.INFO)
    assert terms("CONTROL", "Cm") == set(rootctl.VERBS)
    assert terms("MAILBOX CONTROL", "Cm") == set(boxctl.VERBS)
    assert terms("THE KEYED DIALECT", "Cm") == set(keyedctl.VERBS)
    elements = {name.rstrip("=") for name in terms("ATTACH NAMES", "Cm")}
    assert elements == {*aname._ELEMENTS, "all"}
    told = section("THE KEYED DIALECT")
    assert f".Sy unixdate {' '.join(keyed.INFO[:12])}"[:60] in told
    words = set(re.findall(r"\w+", told))
    assert words >= set(keyed.INFO) | set(query.FIELDS)
    assert words >= set(keyed.FILES) - set(files.FILES)


@pytest.mark.live
@pytest.mark.parametrize("source", PAGES, ids=lambda p: p.name)
def test_page_is_well_formed(source: Path) -> None:
    """All that mandoc complains of, but for pages and names that it cannot look up."""
    if shutil.which("mandoc") is None:
        pytest.skip("missing: apt-get install mandoc")
    done = subprocess.run(
        ["mandoc", "-Tlint", source], capture_output=True, text=True, check=False
    )
    unknown = ("referenced manual not found", "outdated mandoc.db", "Mdocdate")
    said = (done.stdout + done.stderr).splitlines()
    assert [line for line in said if not any(text in line for text in unknown)] == []
    shown = subprocess.run(
        ["mandoc", "-Tutf8", source], capture_output=True, text=True, check=True
    )
    assert len(shown.stdout) > 200


def test_references_lead_somewhere() -> None:
    ours = {one.name for one in PAGES}
    for one in PAGES:
        for name, number in re.findall(r"Xr (mailfs\S*) (\d)", one.read_text()):
            assert f"{name}.{number}" in ours


def test_verb_shows_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    for name, file in (
        ("fs", "mailfs-fs.1"),
        ("4", "mailfs.4"),
        ("7", "mailfs.7"),
        ("rewrite", "mailfs-rewrite.6"),
        ("ndb", "mailfs-ndb.6"),
        ("smtpd.conf", "mailfs-smtpd.6"),
        ("smtpd", "mailfs-smtpd.1"),
        ("6 smtpd", "mailfs-smtpd.6"),
        ("6 rewrite", "mailfs-rewrite.6"),
        ("6 ndb", "mailfs-ndb.6"),
        ("8 smtp", "mailfs-smtp.1"),
        ("4 upasfs", "mailfs.4"),
        ("4 fs", "mailfs.4"),
        ("4 factotum", "mailfs-factotum.1"),
        ("upas/fs", "mailfs-fs.1"),
        ("auth/secretpem", "mailfs-secretpem.1"),
        ("warlock_mail", "mailfs-setup.1"),
        ("mailfs", "mailfs.1"),
    ):
        assert main(["-w", *name.split()]) == 0
        assert capsys.readouterr().out == f"{path(file)}\n"
    for name in ("nonesuch", "../../man4/mailfs", "/etc/passwd"):
        with pytest.raises(MailfsError, match="no such page"):
            main([name])
    for words in (["1", "fs", "x"], ["fs", "smtp"]):
        with pytest.raises(UsageError, match="want PAGE, or SECTION PAGE"):
            main(words)


def test_asking_for_a_parser_is_free() -> None:
    """--help is as ever where nobody asks."""
    assert asking.get() is None
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        Parser("x", "do").parse_args(["--help"])
    assert shown.getvalue().startswith("usage: mailfs x")
    assert synopses.parser("9p").prog == "mailfs 9p"
    assert asking.get() is None
    assert time.strptime(page.DATE, "%B %d, %Y")
