"""What is broken is found, and the command that the doctor prints mends it for good."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailfs import where
from mailfs.doctor import checks
from mailfs.doctor.finding import FindingState
from mailfs.doctor.world import DoctorWorld
from mailfs.ndb import install, shipped
from mailfs.tls.trust import Trust
from tests.smtp.world import Box, receiver

KEY = "key proto=pass service=smtp server=%s user=glenda !password=secret\n"
RULES = shipped.path("rewrite.direct").read_text()


class Sick:
    """A root in which all is well: a gateway that answers, a list, keys, headers."""

    def __init__(self, folder: Path, port: int) -> None:
        self.root = folder / "root"
        self.ns = folder / "ns"
        self.ns.mkdir(mode=0o700)
        self.cache = folder / "cache"
        self.cache.mkdir()
        self.user = where.user()
        install.install(self.root, self.user)
        self.box = self.root / "mail/box" / self.user
        self.lib = self.root / "mail/lib"
        self.gateway = f"net!127.0.0.1!{port}"
        self.append(
            "lib/ndb/local", f"\nsys=gnot dom=gnot.our.org smtp={self.gateway}\n"
        )
        shutil.copy(self.lib / "rewrite.gateway", self.lib / "rewrite")
        remote = self.lib / "remotemail"
        remote.write_text(remote.read_text().replace("yourdomain.dom", "our.org"))
        (self.box / "headers").write_text('From: "Glenda" <glenda@our.org>\n')
        (self.box / "mbox").write_bytes(b"")
        (self.box / "mailboxes").write_text("mbox=mbox\n")
        keys = self.box / "factotum"
        keys.write_text(
            "key proto=pass server=other.invalid service=x user=u !password=x\n"
        )
        keys.chmod(0o600)

    def append(self, name: str, text: str) -> None:
        with (self.root / name).open("a") as file:
            file.write(text)

    def lines(self, path: Path, at: int, line: str) -> None:
        """Put a line into a file, after so many others."""
        told = path.read_text().split("\n")
        path.write_text("\n".join([*told[:at], line, *told[at:]]))

    @property
    def env(self) -> dict[str, str]:
        return os.environ | {
            "NAMESPACE": str(self.ns),
            "MAILFS_ROOT": str(self.root),
            "XDG_CACHE_HOME": str(self.cache),
            "sysname": "gnot",
        }

    def doctor(self) -> list[tuple[str, str]]:
        """Return what is wrong: the finding, and its remedy."""
        world = DoctorWorld(
            self.root,
            self.user,
            self.cache / "mailfs",
            where.namespace,
            Trust(self.root),
            5.0,
        )
        found = checks.examine(world, [])
        wrong = [one for one in found if one.state is FindingState.BAD]
        return [(f"{one.what}: {one.text}", one.remedy) for one in wrong]

    def run(self, remedy: str) -> None:
        mailfs = f'mailfs() {{ "{sys.executable}" -P -m mailfs "$@"; }}\n'
        subprocess.run(
            ["bash", "-c", f"{mailfs}{remedy}"],
            env=self.env,
            stdin=subprocess.DEVNULL,
            check=True,
            timeout=60,
        )


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with receiver(Box()) as number:
        yield number


@pytest.fixture
def sick(tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> Sick:
    monkeypatch.delenv("site", raising=False)
    made = Sick(tmp_path, port)
    for name in ("NAMESPACE", "sysname"):
        monkeypatch.setenv(name, made.env[name])
    return made


def stale_socket(sick: Sick) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(sick.ns / "upasfs"))


def no_smtp(sick: Sick) -> None:
    file = sick.root / "lib/ndb/local"
    file.write_text(file.read_text().replace(f" smtp={sick.gateway}", ""))
    host, port = sick.gateway.split("!")[1:]
    (sick.box / "mailboxes").write_text("mbox=mbox\n")
    (sick.box / "factotum").write_text(KEY % host)
    assert port


def direct(*edits: tuple[str, str]) -> Callable[[Sick], object]:
    def plant(sick: Sick) -> None:
        text = RULES
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        (sick.lib / "rewrite").write_text(text)

    return plant


def chmod(name: str, mode: int) -> Callable[[Sick], object]:
    def plant(sick: Sick) -> None:
        path = sick.root / name.replace("USER", sick.user)
        if not path.exists() and "." not in name:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x") if "key" in name else path.mkdir()
        path.chmod(mode)

    return plant


def unlink(name: str) -> Callable[[Sick], object]:
    return lambda sick: (sick.root / name).unlink()


def trust_open(sick: Sick) -> None:
    (sick.root / "sys/lib/tls/smtp").write_text("")
    (sick.root / "sys/lib/tls/smtp").chmod(0o646)


def keys_directory(sick: Sick) -> None:
    (sick.box / "factotum").unlink()
    (sick.box / "factotum").mkdir()


def no_remotemail(sick: Sick) -> None:
    (sick.lib / "remotemail").unlink()
    (sick.box / "headers").write_text("From: g@our.org\n")


def program(sick: Sick) -> None:
    (sick.box / "pipeto").write_text("#!/bin/sh\ncat >/dev/null\n")
    (sick.box / "pipeto").chmod(0o777)


def ndb_directory(sick: Sick) -> None:
    (sick.root / "lib/ndb/local").unlink()
    (sick.root / "lib/ndb/local").mkdir()
    (sick.lib / "rewrite").write_text(RULES.replace(r"YOURDOMAIN\.DOM", r"our\.org"))


BREAKAGES: dict[str, tuple[Callable[[Sick], object], str]] = {
    "keys file too open": (chmod("mail/box/USER/factotum", 0o644), "your keys"),
    "a line that is no key": (
        lambda sick: sick.lines(sick.box / "factotum", 1, "key server=x !password=no"),
        "line 2: not a key",
    ),
    "keys file a directory": (keys_directory, "factotum"),
    "mailbox missing": (
        lambda sick: sick.lines(sick.box / "mailboxes", 1, "old=/nonexistent/mail"),
        "line 2: /nonexistent/mail: file does not exist",
    ),
    "mailbox named twice": (
        lambda sick: sick.lines(sick.box / "mailboxes", 1, "mbox=./other"),
        "line 2: ",
    ),
    "qmail missing": (unlink("mail/lib/qmail"), "there is no "),
    "remotemail missing": (no_remotemail, "there is no "),
    "kickqueue missing": (unlink("mail/lib/kickqueue"), "there is no "),
    "justqmail not executable": (chmod("mail/lib/justqmail", 0o644), "not executable"),
    "headers malformed": (
        lambda sick: sick.lines(sick.box / "headers", 1, "Organisation Bell Labs"),
        "line 2: not a header field",
    ),
    "headers begin with a fold": (
        lambda sick: sick.lines(sick.box / "headers", 0, "  folded"),
        "line 1: not a header field",
    ),
    "YOURDOMAIN with backslashes": (direct(), "YOURDOMAIN.DOM is nobody's domain"),
    "YOURDOMAIN plain": (
        direct(("\n#local!", "\nlocal!"), (r"YOURDOMAIN\.DOM", r"our\.org")),
        "YOURDOMAIN.DOM is nobody's domain",
    ),
    "YOURDOMAIN in both spellings": (
        direct(("\n#local!", "\nlocal!")),
        "YOURDOMAIN.DOM is nobody's domain",
    ),
    "yourdomain in remotemail": (
        lambda sick: (
            shutil.copy(shipped.path("remotemail"), sick.lib / "remotemail") and None
        ),
        "yourdomain.dom",
    ),
    "rewrite missing": (unlink("mail/lib/rewrite"), "no rules"),
    "rewrite empty": (
        lambda sick: (sick.lib / "rewrite").write_text(""),
        "no rules",
    ),
    "rewrite with a bad rule": (
        lambda sick: sick.lines(sick.lib / "rewrite", 4, "([ alias x"),
        "line 5",
    ),
    "trust malformed": (
        lambda sick: sick.append("sys/lib/tls/mail", "x509 sha1=12\n"),
        "until this is mended",
    ),
    "trust writable by all": (
        trust_open,
        "anyone may write",
    ),
    "stale socket": (stale_socket, "its server has gone"),
    "name space open": (lambda sick: sick.ns.chmod(0o777), "others may write"),
    "root writable by others": (chmod(".", 0o777), "believed"),
    "lib writable by others": (chmod("mail/lib", 0o775), "becomes of mail"),
    "mail readable by others": (chmod("mail/box/USER", 0o755), "read your mail"),
    "ndb writable by others": (chmod("lib/ndb", 0o777), "where mail is sent"),
    "TLS key readable": (chmod("sys/lib/tls/key", 0o644), "secret key"),
    "secstore readable": (chmod("adm/secstore", 0o755), "holds secrets"),
    "tmp missing": (lambda sick: (sick.root / "mail/tmp").rmdir(), "no directory"),
    "tmp private": (chmod("mail/tmp", 0o700), "not writable by all"),
    "mail directory missing": (
        lambda sick: shutil.rmtree(sick.box),
        "there is no ",
    ),
    "pipeto writable by others": (program, "not run"),
    "ndb a directory": (ndb_directory, "lib/ndb/local"),
}


def test_all_is_well(sick: Sick) -> None:
    assert sick.doctor() == []


@pytest.mark.parametrize("name", BREAKAGES)
def test_remedy(sick: Sick, name: str) -> None:
    plant, said = BREAKAGES[name]
    plant(sick)
    found = sick.doctor()
    assert any(said in text for text, _ in found), found
    for _ in range(3):  # one fault may hide another
        for text, remedy in found:
            assert remedy, text
            if not remedy.startswith("nc "):  # which only tells more
                sick.run(remedy)
        found = sick.doctor()
        if not found:
            return
    raise AssertionError(found)


def test_a_real_domain_is_written(sick: Sick) -> None:
    direct(("\n#local!", "\nlocal!"))(sick)
    sick.run(sick.doctor()[0][1])
    text = (sick.lib / "rewrite").read_text()
    assert r"\l\.our\.org!(.*)" in text
    assert r"\1@our.org" in text


def test_smtp_missing(sick: Sick) -> None:
    """The server is guessed from the keys; the port is the usual one."""
    no_smtp(sick)
    found = sick.doctor()
    (remedy,) = (remedy for text, remedy in found if "no smtp=" in text)
    sick.run(remedy)
    assert not any("no smtp=" in text for text, _ in sick.doctor())
    assert (
        (sick.root / "lib/ndb/local")
        .read_text()
        .endswith("sys=gnot smtp=net!127.0.0.1!587\n")
    )


def test_a_full_cache(sick: Sick) -> None:
    cache = sick.cache / "mailfs"
    cache.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(cache)], check=False
    )
    if made.returncode:
        pytest.skip("no right to mount a small disk")
    try:
        (cache / "index").mkdir()
        (cache / "index/x").write_bytes(bytes(2040 << 10))
        ((text, remedy),) = sick.doctor()
        assert "nothing can be kept" in text
        sick.run(remedy)
        assert sick.doctor() == []
    finally:
        subprocess.run(["umount", str(cache)], check=True)


def test_a_refused_headers_file_is_told_by_who_sends(sick: Sick) -> None:
    sick.lines(sick.box / "headers", 1, "Organisation Bell Labs")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "mailfs", "mail", sick.user],
        env=sick.env,
        input="typed\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"{sick.box}/headers: line 2 is no header field; saved in" in done.stderr
    assert "typed" in (sick.box / "dead.letter").read_text()
