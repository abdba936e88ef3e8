"""The new texts of files: right, unchanged the second time, and nothing else lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.mailboxes import listed
from mailfs.ndb import shipped
from mailfs.ndb.parse import records
from mailfs.runq import script
from mailfs.send import rewrite
from mailfs.setup import text
from mailfs.setup.text import DIRECT, DOMAIN, GATEWAY, LOCAL
from mailfs.site import placeholder

SMTP = {"smtp": "net!h!465"}
BOTH = {"dom": "gnot.x.org", **SMTP}

NETWORK = [
    ("", SMTP, "sys=gnot\n\tsmtp=net!h!465\n"),
    ("# c\n", SMTP, "# c\n\nsys=gnot\n\tsmtp=net!h!465\n"),
    ("sys=gnot\n", SMTP, "sys=gnot\n\tsmtp=net!h!465\n"),
    ("sys=gnot", SMTP, "sys=gnot\n\tsmtp=net!h!465"),
    ("sys=gnot smtp=old\n", SMTP, "sys=gnot smtp=net!h!465\n"),
    ("sys=gnot\n\tsmtp=old # c\n", SMTP, "sys=gnot\n\tsmtp=net!h!465 # c\n"),
    ("sys=gnot\n\tsmtp=a smtp=b\n", SMTP, "sys=gnot\n\tsmtp=net!h!465\n"),
    (
        "sys=gnot\n\tsmtp=a\n\tsmtp=b\n\tx=y\n",
        SMTP,
        "sys=gnot\n\tsmtp=net!h!465\n\tx=y\n",
    ),
    ('sys=gnot\n\tsmtp="a b"\n', SMTP, "sys=gnot\n\tsmtp=net!h!465\n"),
    ("sys=gnot\n\txsmtp=a\n", SMTP, "sys=gnot\n\txsmtp=a\n\tsmtp=net!h!465\n"),
    ("sys=gnot\n#\tsmtp=a\n", SMTP, "sys=gnot\n\tsmtp=net!h!465\n#\tsmtp=a\n"),
    ("ip=1 sys=gnot\n\na=b\n", SMTP, "ip=1 sys=gnot\n\tsmtp=net!h!465\n\na=b\n"),
    (
        "sys=other\n\tsmtp=o\nsys=gnot\nsys=more\n",
        SMTP,
        "sys=other\n\tsmtp=o\nsys=gnot\n\tsmtp=net!h!465\nsys=more\n",
    ),
    ("sys=gnot\n", BOTH, "sys=gnot\n\tdom=gnot.x.org\n\tsmtp=net!h!465\n"),
]


@pytest.mark.parametrize(("old", "told", "new"), NETWORK)
def test_network(old: str, told: dict[str, str], new: str) -> None:
    assert text.network(old, "gnot", told) == new
    assert text.network(new, "gnot", told) == new


WORDS = [
    "",
    "sys=gnot",
    "\tsmtp=old",
    "sys=b smtp=x",
    "\t",
    " # c smtp=y",
    "#",
    "a#b=c",
]
WORDS += ["\ta=b", "\tsmtp=1 c=d smtp=2", "ip=1", "\tsys=gnot", 'x="a # b"']
LINES = st.lists(
    st.sampled_from(WORDS),
    max_size=8,
)


@given(LINES)
def test_network_changes_one_attribute_of_one_machine(lines: list[str]) -> None:
    old = "\n".join(lines)
    new = text.network(old, "gnot", SMTP)
    mine = [e for e in records(new) if any(("sys", "gnot") in line for line in e)]
    assert [p for line in mine[0] for p in line if p[0] == "smtp"] == [
        ("smtp", "net!h!465")
    ]
    assert text.network(new, "gnot", SMTP) == new

    def rest(told: str) -> list[tuple[str, str]]:
        pairs = [p for entry in records(told) for line in entry for p in line]
        return sorted(p for p in pairs if p[0] != "smtp" and p != ("sys", "gnot"))

    assert rest(new) == rest(old)


GATEWAY_RULES = shipped.path("rewrite.gateway").read_text()
DIRECT_RULES = shipped.path("rewrite.direct").read_text()


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("bare", [LOCAL, DOMAIN])
def test_rules(bare: str, *, later: bool) -> None:
    queue = "/mail/lib/justqmail" if later else "/mail/lib/qmail"
    gateway = text.rules(GATEWAY_RULES, GATEWAY, "X-y.ORG", bare=bare, later=later)
    direct = text.rules(DIRECT_RULES, DIRECT, "X-y.ORG", bare=bare, later=later)
    for made, dest in ((gateway, "net!$smtp"), (direct, r"net!\1")):
        assert not rewrite.parse(made, ("gnot", "gnot")).complaints
        assert not placeholder.left(made)
        assert f"\"{queue} '\\s' '{dest}'\"" in made
        local = [line for line in made.split("\n") if text.unqualified(line)]
        assert len(local) == 2
        end = r"/mail/box/\1/mbox" if bare == LOCAL else r"\1@x-y.org"
        assert all(line.endswith(end) for line in local)
    assert r"\l\.x-y\.org!(.*)" in direct
    # What names without a domain mean comes before all that would send them on.
    assert gateway.index("local!") < gateway.index("net!$smtp")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["-a", "-u", "glenda@x.org", "-h", "x.org"],
        ["-s"],
        ["-t", "-a", "-u", "a b"],
    ],
)
def test_remotemail(tmp_path, words: list[str]) -> None:  # type: ignore[no-untyped-def]
    ours = shipped.path("remotemail").read_text()
    made = text.remotemail(ours, ours, words)
    assert text.remotemail(ours, made, words) == made
    path = tmp_path / "remotemail"
    path.write_text(made)
    found = script.options(path)
    assert found is not None, "it is not done in process"
    assert found.user == (words[words.index("-u") + 1] if "-u" in words else "")
    assert (found.auth, found.starttls, found.tls) == (
        "-a" in words,
        "-s" in words,
        "-t" in words,
    )
    more = made.replace("shift 3\n", "shift 3\necho hello >>/tmp/log\n")
    again = text.remotemail(ours, more, ["-s"])
    assert "echo hello" in again
    assert ' -s "$host"' in again
    assert text.remotemail(ours, "#!/bin/rc\nsomething else\n", words) == made


HEADERS = [
    ("", 'From: "Glenda" <g@x.org>\n'),
    ("Organization: x\n", 'From: "Glenda" <g@x.org>\nOrganization: x\n'),
    ("A: b\nFROM: old\n <o@o>\nC: d\n", 'A: b\nFrom: "Glenda" <g@x.org>\nC: d\n'),
    ("From: Glenda <g@x.org>\n", "From: Glenda <g@x.org>\n"),
    ("From: Glenda\n <g@x.org>\nC: d\n", 'From: "Glenda" <g@x.org>\nC: d\n'),
]


@pytest.mark.parametrize(("old", "new"), HEADERS)
def test_headers(old: str, new: str) -> None:
    assert text.headers(old, "Glenda", "g@x.org") == new
    assert text.headers(new, "Glenda", "g@x.org") == new


@given(
    st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), max_size=20)
)
def test_any_name_is_read_back(name: str) -> None:
    name = " ".join(name.split())
    line = text.headers("", name, "g@x.org").strip().partition(":")[2]
    assert text.written(line).addr == "g@x.org"
    if "=?" not in name and "\\" not in name:
        assert text.written(line).name == name


ALIASES = [
    ("", "glenda\tg@x.org\n"),
    ("# c\nbob b@x", "# c\nbob b@x\nglenda\tg@x.org\n"),
    ("glenda a b\nbob x\n", "glenda\tg@x.org\nbob x\n"),
    ("glenda  g@x.org\n", "glenda  g@x.org\n"),
    ("#glenda x\n", "#glenda x\nglenda\tg@x.org\n"),
]


@pytest.mark.parametrize(("old", "new"), ALIASES)
def test_alias(old: str, new: str) -> None:
    assert text.alias(old, "glenda", "g@x.org") == new
    assert text.alias(new, "glenda", "g@x.org") == new


BOXES = [
    ("", "mbox=/imaps/h/u\n"),
    ("# c\nlists=~/l", "# c\nlists=~/l\nmbox=/imaps/h/u\n"),
    ("mbox=/imaps/old/u\nx=/y\n", "mbox=/imaps/h/u\nx=/y\n"),
    ("old=/imaps/h/u\n", "mbox=/imaps/h/u\n"),
    ("/imaps/h/u\n", "mbox=/imaps/h/u\n"),
    ("#mbox=/imaps/h/u\n", "#mbox=/imaps/h/u\nmbox=/imaps/h/u\n"),
]


@pytest.mark.parametrize(("old", "new"), BOXES)
def test_mailboxes(old: str, new: str) -> None:
    assert text.mailboxes(old, "mbox", "/imaps/h/u") == new
    assert text.mailboxes(new, "mbox", "/imaps/h/u") == new
    assert "mbox=/imaps/h/u" in listed.parse(new)
