"""aliasmail(8): files, lookups, the verb."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.errors import MailfsError
from mailfs.send import alias
from tests.send.world import World

FILE = """\
# comment
  postmaster\tglenda   # the rabbit
Team glenda \\
  bob x@y.com
quoted "joe x"@foo 'a b'
empty
self self other
circle circle@kremvax
loud LOUD
kremvax!system root
#include more
twice first
twice second
"""


def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.lib("names.local", FILE)
    made.lib("more", "included yes\n#include more2\n")
    made.lib("more2", "deeper yes\n")
    made.lib("second", "only-second yes\npostmaster no\n")
    made.lib("namefiles", "# lists\nnames.local\nsecond # last\nmissing\n")
    return made


LOOKUPS = [
    ("postmaster", ["glenda"]),
    ("POSTMASTER", ["glenda"]),
    ("team", ["glenda", "bob", "x@y.com"]),
    ("quoted", ["joe x", "@foo", "a b"]),
    ("empty", ["local!empty"]),
    ("nosuch", ["local!nosuch"]),
    ("NoSuch", ["local!nosuch"]),
    ("self", ["local!self", "other"]),
    ("circle", ["local!circle"]),
    ("loud", ["local!loud"]),
    ("system", ["root"]),
    ("included", ["yes"]),
    ("deeper", ["yes"]),
    ("twice", ["first"]),
    ("only-second", ["yes"]),
    ("a!b", ["local!a!b"]),
    ("o%%27neil", ["local!o'neil"]),
]


@pytest.mark.parametrize(("name", "want"), LOOKUPS)
def test_lookup(tmp_path: Path, name: str, want: list[str]) -> None:
    assert alias.lookup(world(tmp_path).site, name) == want


@pytest.mark.parametrize(
    ("line", "want"),
    [
        ("a x.com", "x.com"),
        ("a x.com!me", "x.com"),
        ("a me@x.com", "x.com"),
        ("b c", ""),
    ],
)
def test_outgoing_domain(tmp_path: Path, line: str, want: str) -> None:
    made = World(tmp_path)
    assert alias.sender_domain(made.site, "a") == ""
    made.lib("fromfiles", "from\n")
    made.lib("from", line + "\n")
    assert alias.sender_domain(made.site, "A") == want


def test_a_users_own_names_have_case(tmp_path: Path) -> None:
    made = World(tmp_path)
    path = made.write(made.box("glenda") / "names", "Bob b@x\nbob c@x\n")
    assert alias.load(made.site, path, exact=True) == {"Bob": ["b@x"], "bob": ["c@x"]}
    assert alias.load(made.site, path) == {"bob": ["b@x"]}


def test_includes_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = World(tmp_path)
    made.lib("names.local", "#include names.local\n")
    with pytest.raises(MailfsError, match="includes itself"):
        alias.lookup(made.site, "x")
    (result,) = made.send(["x"])
    assert not result.permanent
    for n in range(40):
        made.lib(f"n{n}", f"#include n{n + 1}\n")
    made.lib("names.local", "#include n0\n")
    with pytest.raises(MailfsError, match="too many includes"):
        alias.lookup(made.site, "x")
    monkeypatch.setattr(alias, "MAX_FILE", 5)
    with pytest.raises(MailfsError, match="too big"):
        alias.lookup(made.site, "x")


def test_paths_lie_below_the_root(tmp_path: Path) -> None:
    made = World(tmp_path)
    made.lib("namefiles", "/mail/lib/other sub/names\n")
    made.lib("other", "a x\n")
    made.write(made.root / "mail/lib/sub/names", "b y\n")
    site = made.site
    assert (alias.lookup(site, "a"), alias.lookup(site, "b")) == (["x"], ["y"])


@given(st.text(alphabet="ab \t\n#\\\"'!", max_size=60))
def test_any_file_is_read(text: str) -> None:
    for line in alias.parse(text):
        assert line
        assert isinstance(line, str) or all(line)


def verb(root: Path, *words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [
            sys.executable,
            "-P",
            "-m",
            "mailfs",
            "aliasmail",
            "--root",
            str(root),
            *words,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_verb(tmp_path: Path) -> None:
    made = world(tmp_path)
    assert verb(made.root, "team", "x") == (0, "glenda\nbob\nx@y.com\nlocal!x\n", "")
    assert verb(made.root, "-n", "second", "postmaster")[1] == "local!postmaster\n"
    made.lib("list", "second\n")
    assert verb(made.root, "-n", "list", "postmaster")[1] == "no\n"
    made.lib("fromfiles", "from")
    made.lib("from", "glenda example.org")
    assert verb(made.root, "-f", "glenda") == (0, "example.org", "")
    files = verb(made.root, "-d", "x")[2].splitlines()
    assert [Path(name).name for name in files] == ["names.local", "second", "missing"]
