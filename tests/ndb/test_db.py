"""The database: its files, searches, inheritance, and what a machine is called."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from mailfs.errors import MailfsError
from mailfs.ndb import db, shipped
from mailfs.ndb.db import Ndb, open_ndb
from mailfs.ndb.ipinfo import ipinfo
from mailfs.ndb.parse import records
from mailfs.ndb.sysname import SystemNames, attribute, names

SITE = """\
ipnet=world ip=0.0.0.0 ipmask=/0
	ntp=pool.example.net
ipnet=campus ip=10.0.0.0 ipmask=255.0.0.0
	smtp=relay.example.org dnsdomain=example.org
	auth=keys.example.org
ipnet=lab ip=10.1.0.0 ipmask=255.255.0.0
	smtp=lab.example.org
ipnet=room ip=10.1.2.0 ipmask=/120
	printer=lp
ipnet=old ip=192.168.0.0
	smtp=old.example.org
ipnet=six ip=2001:db8:1:: ipmask=/48
	smtp=six.example.org
sys=gnot dom=gnot.example.org ip=10.1.2.7
	ip=10.1.2.8 dom=mail.example.org
	dom=*.example.org
sys=other smtp=own.example.org ip=10.1.2.9
sys=lost
sys=fqdn.example.org dom=x.example.org
"""


def ndb(text: str = SITE) -> Ndb:
    return Ndb(records(text), {})


@pytest.mark.parametrize(
    ("attr", "value", "wanted", "values"),
    [
        ("sys", "gnot", "dom", ["gnot.example.org"]),
        ("ip", "10.1.2.8", "dom", ["mail.example.org"]),
        ("ip", "10.1.2.8", "sys", ["gnot"]),
        ("sys", "GNOT", "dom", []),
        ("sys", "lost", "dom", []),
        ("sys", "none", "dom", []),
        ("ipnet", "*", "printer", ["lp"]),
    ],
)
def test_a_line_is_looked_at_first(
    attr: str, value: str, wanted: str, values: list[str]
) -> None:
    assert ndb().values(attr, value, wanted) == values
    assert ndb().value(attr, value, wanted) == (values[0] if values else None)


def test_every_entry_is_found_once() -> None:
    text = "a=1 x=1\n a=1\na=1 x=2\na=2 x=3\n"
    assert [m.value("x") for m in ndb(text).search("a", "1")] == ["1", "2"]
    assert [m.value("x") for m in ndb(text).search("a", "*")] == ["1", "2", "3"]


INHERITED: list[tuple[str, str, Mapping[str, str]]] = [
    ("sys", "gnot", {"smtp": "lab.example.org", "auth": "keys.example.org"}),
    ("sys", "other", {"smtp": "own.example.org", "auth": "keys.example.org"}),
    ("ip", "10.1.2.200", {"smtp": "lab.example.org", "auth": "keys.example.org"}),
    ("ip", "10.200.0.1", {"smtp": "relay.example.org", "auth": "keys.example.org"}),
    ("ip", "10.1.3.1", {"smtp": "lab.example.org", "auth": "keys.example.org"}),
    ("ip", "192.168.0.4", {"smtp": "old.example.org"}),
    ("ip", "192.168.1.4", {}),  # of class C, so the net is a /24
    ("ip", "2001:db8:1:2::7", {"smtp": "six.example.org"}),
    ("ip", "2001:db8:2::7", {}),
    ("sys", "lost", {}),
    ("sys", "nobody", {}),
    ("ip", "nonsense", {}),
]


@pytest.mark.parametrize(("attr", "value", "want"), INHERITED)
def test_what_networks_say(attr: str, value: str, want: Mapping[str, str]) -> None:
    assert ipinfo(ndb(), attr, value, ["smtp", "auth"]) == want


def test_narrow_networks_come_first() -> None:
    assert ipinfo(ndb(), "sys", "gnot", ["printer", "ntp", "dom"]) == {
        "dom": "gnot.example.org",
        "printer": "lp",
        "ntp": "pool.example.net",
    }
    text = "ipnet=a ip=10.1.0.0 ipmask=/8 x=wide\nipnet=b ip=10.1.0.0 ipmask=/16 x=near"
    assert ipinfo(ndb(text), "ip", "10.1.2.3", ["x"]) == {"x": "near"}


NAMES: list[tuple[Mapping[str, str], str, SystemNames, str, str]] = [
    (
        {},
        "gnot",
        SystemNames("gnot", "gnot", ("gnot.example.org", "mail.example.org")),
        "gnot.example.org",
        "gnot.example.org",
    ),
    (
        {"site": "example.com"},
        "gnot",
        SystemNames("example.com", "gnot", ("gnot.example.org", "mail.example.org")),
        "example.com",
        "example.com",
    ),
    ({"sysname": "lost"}, "gnot", SystemNames("lost", "lost"), "lost", "lost"),
    (
        {},
        "gnot.home",
        SystemNames("gnot.home", "gnot.home", ("gnot.example.org", "mail.example.org")),
        "gnot.home",
        "gnot.home",
    ),
    (
        {"site": "kremvax"},
        "fqdn.example.org",
        SystemNames("kremvax", "fqdn.example.org", ("x.example.org",)),
        "fqdn.example.org",
        "kremvax.example.org",
    ),
    (
        {"site": "", "sysname": ""},
        "elsewhere",
        SystemNames("elsewhere", "elsewhere"),
        "elsewhere",
        "elsewhere",
    ),
]


@pytest.mark.parametrize(("env", "host", "want", "domain", "helo"), NAMES)
def test_names(
    env: Mapping[str, str], host: str, want: SystemNames, domain: str, helo: str
) -> None:
    found = names(ndb(), env, host)
    assert found == want
    assert (found.domain, found.helo) == (domain, helo)
    assert found.all[0] == found.site


@pytest.mark.parametrize(
    ("host", "address", "want"),
    [
        ("gnot", "", "lab.example.org"),
        ("gnot.home", "", "lab.example.org"),
        ("other", "10.200.0.1", "own.example.org"),
        ("nobody", "10.200.0.1", "relay.example.org"),
        ("nobody", "", None),
    ],
)
def test_own_attribute(host: str, address: str, want: str | None) -> None:
    assert attribute(ndb(), names(ndb(), {}, host), "smtp", address) == want


def write(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_new_root_has_what_ships(tmp_path: Path) -> None:
    found = open_ndb(tmp_path)
    assert found.value("tcp", "submission", "port") == "587"
    assert found.current
    write(tmp_path, db.LOCAL, "sys=here\n")
    assert not found.current


def test_files_are_searched_in_order(tmp_path: Path) -> None:
    local = "database=\n file=/lib/ndb/extra\n file=/lib/ndb/local\n file=/lib/ndb/no\n"
    write(tmp_path, db.LOCAL, local + "sys=a x=local\n")
    write(tmp_path, "lib/ndb/extra", "sys=a x=extra\nsys=b x=b\n")
    write(tmp_path, db.COMMON, "sys=c x=c\n")
    found = open_ndb(tmp_path)
    assert [m.value("x") for m in found.search("sys", "a")] == ["extra", "local"]
    assert found.value("sys", "b", "x") == "b"
    assert found.value("sys", "c", "x") is None
    write(tmp_path, db.LOCAL, "sys=a x=local\n")
    again = open_ndb(tmp_path)
    assert again.value("sys", "c", "x") == "c"
    assert not found.current
    assert again.current


def test_a_root_file_not_listed_is_first(tmp_path: Path) -> None:
    write(tmp_path, db.LOCAL, "database= file=/lib/ndb/../ndb/extra\nsys=a x=local\n")
    write(tmp_path, "lib/ndb/extra", "sys=a x=extra\n")
    found = open_ndb(tmp_path).search("sys", "a")
    assert [m.value("x") for m in found] == ["local", "extra"]


def test_paths_stay_below_the_root(tmp_path: Path) -> None:
    outside = write(tmp_path, "secret", "sys=a x=secret\n")
    root = tmp_path / "root"
    write(root, db.LOCAL, f"database= file=../secret file={outside}\n")
    assert open_ndb(root).value("sys", "a", "x") is None


def test_unreadable_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FileNotFoundError):
        open_ndb(tmp_path, tmp_path / "none")
    (tmp_path / db.LOCAL).mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        open_ndb(tmp_path)
    monkeypatch.setattr(db, "MAX_FILE", 10)
    with pytest.raises(MailfsError, match="too big"):
        open_ndb(tmp_path, write(tmp_path, "x", "a=b\n" * 10))


def test_what_ships_can_be_read() -> None:
    for name in ("common", "local"):
        assert records(shipped.path(name).read_text())


def query(root: Path, *words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "mailfs", "ndbquery", "--root", str(root), *words],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (["sys", "other"], "sys=other smtp=own.example.org ip=10.1.2.9\n"),
        (["sys", "gnot", "dom"], "gnot.example.org\n"),
        (["-m", "dom", "mail.example.org", "ip"], "10.1.2.8\n"),
        (["-m", "sys", "gnot", "ip"], "10.1.2.7\n"),
        (["-a", "ipnet", "*", "smtp"], "relay.example.org\nlab.example.org\n"
         "old.example.org\nsix.example.org\n"),
        (["-i", "sys", "gnot", "smtp", "auth"], "lab.example.org\nkeys.example.org\n"),
        (["tcp", "smtp", "port"], "25\n"),
    ],
)  # fmt: skip
def test_the_verb(tmp_path: Path, words: list[str], out: str) -> None:
    write(tmp_path, db.LOCAL, SITE)
    assert query(tmp_path, *words) == (0, out, "")


def test_the_verb_finds_nothing(tmp_path: Path) -> None:
    status, out, err = query(tmp_path, "sys", "none")
    assert (status, out) == (1, "")
    assert err == "mailfs ndbquery: sys=none: no match\n"
    assert query(tmp_path, "-i", "sys", "none")[0] == 1
