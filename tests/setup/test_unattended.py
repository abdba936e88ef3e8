"""mailfs setup with every answer in an option, against a real Dovecot."""

import os
import subprocess
from pathlib import Path

import pytest

from mailfs import where
from mailfs.fuse import mountpoint
from tests.net.dovecot import PASSWORD, Dovecot
from tests.setup.world import ADDRESS, Place, Provider, secret

pytestmark = pytest.mark.live

QUIET = ("--no-start", "--no-test")


def setup(
    place: Place, ours: Provider, *more: str, password: str = PASSWORD, **told: str
) -> "subprocess.CompletedProcess[str]":
    argv = ["setup", "--yes", *ours.argv(**told), *more]
    with secret(password) as fd:
        return place.mailfs(*argv, "--password-fd", str(fd), fds=[fd])


@pytest.mark.skipif(mountpoint.missing() is not None, reason="no FUSE here")
def test_a_mount(place: Place, ours: Provider, tmp_path: Path) -> None:
    mail = tmp_path / "mail"
    told = {"mount": str(mail)}
    done = setup(place, ours, "--start", "--units", "--no-test", **told)
    try:
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        assert f"below {mail}" in done.stdout
        assert (mail / "mbox").is_dir()
        with pytest.raises(OSError, match="Read-only"):
            (mail / "ctl").write_bytes(b"delete mbox 1")
        units = Path(place.env["XDG_CONFIG_HOME"]) / "systemd/user"
        text = (units / "mailfs-mount.service").read_text()
        assert f"mount -f --readonly {mail}\n" in text
        assert "\nAfter=network-online.target mailfs-fs.service\n" in text
        assert "NoNewPrivileges" not in text, "fusermount3 is setuid"
        again = setup(place, ours, "--start", "--no-test", **told)
        assert "mount started" not in again.stdout
        assert again.returncode == 0
    finally:
        subprocess.run(["fusermount3", "-u", str(mail)], check=False)


def test_from_nothing_to_mail(place: Place, ours: Provider) -> None:
    done = setup(place, ours)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "It came after" in done.stdout
    assert PASSWORD not in done.stdout
    # Nothing more is needed to read and to write.
    assert place.mailfs("9p", "ls", "upasfs/mbox").stdout.split() == ["1", "ctl"]
    sent = place.mailfs("mail", "-s", "hi", ADDRESS, text="hello\n")
    assert (sent.returncode, sent.stderr) == (0, "")
    last = ours.box.got[0]
    assert last.mail_from == ADDRESS
    keys = place.box / "factotum"
    assert keys.stat().st_mode & 0o777 == 0o600
    assert keys.read_text().count("!password=secret") == 2
    for name, data in place.files().items():
        if name != str(keys):
            assert b"=secret" not in data, name


def test_a_test_mail_that_is_refused(place: Place, ours: Provider) -> None:
    ours.box.refuse = "550 5.7.1 not you"
    done = setup(place, ours)
    assert (done.returncode, done.stderr) == (1, ""), done.stdout
    assert "It has not come." in done.stdout
    assert done.stdout.rstrip().endswith("failed: 550 5.7.1 not you")


def test_authorities_vouch(place: Place, ours: Provider) -> None:
    place.env["SSL_CERT_FILE"] = str(ours.dovecot.root / "cert.pem")
    done = setup(place, ours, *QUIET, trust="")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "certificate trusted by authorities" in done.stdout
    assert not list((place.root / "sys/lib/tls").iterdir())


def test_what_is_written(place: Place, ours: Provider) -> None:
    done = setup(place, ours, *QUIET, dom="gnot.example.org")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert (place.box / "mailboxes").read_text() == f"mbox={ours.imap()}/{ours.user}\n"
    assert (place.box / "headers").read_text() == f'From: "Glenda" <{ADDRESS}>\n'
    ndb = (place.root / "lib/ndb/local").read_text()
    gateway = f"net!localhost!{ours.port}"
    assert f"\nsys=gnot\n\tdom=gnot.example.org\n\tsmtp={gateway}\n" in ndb
    assert f"{where.user()}\t{ADDRESS}\n" in place.lib("names.local").read_text()
    call = f'exec mailfs smtp -a -u {ours.user} -h example.org "$host"'
    assert call in place.lib("remotemail").read_text()
    assert os.access(place.lib("remotemail"), os.X_OK)
    assert "@example.org" in place.lib("rewrite").read_text()
    for name in ("mail", "smtp"):
        path = place.root / "sys/lib/tls" / name
        assert path.read_text() == f"{ours.line()}\n"
    shown = place.mailfs("ndbquery", "sys", "gnot", "smtp").stdout
    assert shown == f"{gateway}\n"
    shown = place.mailfs("send", "-#", "x@b.com").stdout
    assert "'net!$smtp' 'x@b.com'" in shown
    # Again: everything is there, so nothing is asked for and nothing changes.
    before = place.files()
    again = place.mailfs("setup", "--yes", *QUIET)
    assert (again.returncode, again.stderr) == (0, ""), again.stdout
    assert place.files() == before
    assert "trusted by" in again.stdout


def nothing_written(place: Place) -> bool:
    return not (
        place.root / "mail/box" / where.user() / "mailboxes"
    ).exists() and not list((place.root / "sys/lib/tls").glob("*"))


@pytest.mark.parametrize(
    ("told", "more", "password", "why"),
    [
        ({}, (), "wrong", "login refused"),
        ({"trust": ""}, (), PASSWORD, "not recognized: self-signed certificate"),
        ({"trust": "0" * 64}, (), PASSWORD, "or say --trust "),
        ({"trust": "sure"}, (), PASSWORD, "--trust sure: want first, or 64 hex"),
        ({"imap": "/imaps/tcp!localhost!1"}, (), PASSWORD, "onnection refused"),
        ({"smtp": "/submissions/tcp!localhost!1"}, (), PASSWORD, "onnection refused"),
        ({"imap": "/imaps/nosuch.invalid"}, (), PASSWORD, "nosuch.invalid"),
        ({"address": "glenda"}, (), PASSWORD, "glenda: not a mail address"),
        ({"address": ""}, (), PASSWORD, "Mail address: say it with --address"),
        ({"imap": "none", "smtp": "none"}, (), PASSWORD, "none to send to"),
        ({"smtp-user": "nobody"}, (), PASSWORD, "535"),
        ({"bare": "what"}, (), PASSWORD, "what: want one of local, domain"),
        ({"mailbox": "a/b"}, (), PASSWORD, "not a name for a mailbox"),
        ({"provider": "nosuch"}, (), PASSWORD, "want one of gmail"),
        ({"keys": "elsewhere"}, (), PASSWORD, "want one of file, keyring"),
        ({"auth": "key"}, (), PASSWORD, "want one of password"),
    ],
)
def test_bad_answers_write_nothing(
    place: Place,
    ours: Provider,
    told: dict[str, str],
    more: tuple[str, ...],
    password: str,
    why: str,
) -> None:
    done = setup(place, ours, *QUIET, *more, password=password, **told)
    assert done.returncode == 1, done.stdout
    assert why in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("mailfs setup: ")
    assert nothing_written(place)


def test_the_hash_that_was_told_is_trusted(place: Place, ours: Provider) -> None:
    digest = ours.line().split()[1]
    done = setup(place, ours, *QUIET, trust=digest)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_passwords_come_from_files_only_we_can_read(
    place: Place, ours: Provider, tmp_path: Path
) -> None:
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\nmore\n")
    argv = ["setup", "--yes", *ours.argv(), *QUIET, "--password-file", str(path)]
    done = place.mailfs(*argv)
    assert "others may read or write it: chmod 600" in done.stderr
    path.chmod(0o600)
    assert place.mailfs(*argv).returncode == 0
    path.write_text("")
    empty = place.mailfs(*argv, "--auth", "password")
    assert "no password there" in empty.stderr


def test_without_a_password_or_a_terminal(place: Place, ours: Provider) -> None:
    done = place.mailfs("setup", "--yes", *ours.argv(), *QUIET)
    assert "say it with --password-file or -fd" in done.stderr
    assert nothing_written(place)
    done = place.mailfs("setup", *ours.argv(), *QUIET)
    assert done.stderr == "mailfs setup: no terminal to ask for a password on\n"


def test_rehearsal(place: Place, ours: Provider) -> None:
    done = setup(place, ours, "-n")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"+mbox={ours.imap()}/{ours.user}" in done.stdout
    assert "!password?" in done.stdout
    assert place.files() == {}


def test_what_a_person_wrote_stays(place: Place, ours: Provider) -> None:
    assert setup(place, ours, *QUIET).returncode == 0
    rewrite = place.lib("rewrite")
    rewrite.write_text("# mine\n")
    (place.box / "headers").write_text(f"From: G <{ADDRESS}>\nOrganization: mine\n")
    before = place.files()
    done = place.mailfs("setup", "--yes", *QUIET, "--name", "Other")
    assert "lines would go: say --overwrite" in done.stderr
    assert place.files() == before
    done = place.mailfs("setup", "--yes", *QUIET, "--name", "Other", "--overwrite")
    assert (done.returncode, done.stderr) == (0, "")
    assert (place.lib("rewrite.old")).read_text() == "# mine\n"
    headers = f'From: "Other" <{ADDRESS}>\nOrganization: mine\n'
    assert (place.box / "headers").read_text() == headers


def test_another_account_leaves_the_first(place: Place, ours: Provider) -> None:
    assert setup(place, ours, *QUIET).returncode == 0
    before = place.files()
    other = ours.dovecot.user()
    told = {"address": "else@b.com", "user": other, "smtp": "none", "smtp-user": ""}
    done = setup(place, ours, *QUIET, **told)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    after = place.files()
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {str(place.box / name) for name in ("mailboxes", "factotum")}
    listed = (place.box / "mailboxes").read_text().splitlines()
    assert listed == [
        f"mbox={ours.imap()}/{ours.user}",
        f"b={ours.imap()}/{other}",
    ]
    assert after[str(place.box / "factotum")].count(b"key ") == 3


def test_another_account_joins_what_runs(place: Place, ours: Provider) -> None:
    assert setup(place, ours, "--no-test").returncode == 0
    other = ours.dovecot.user()
    told = {"address": "else@b.com", "user": other, "smtp": "none", "smtp-user": ""}
    done = setup(place, ours, "--no-test", **told)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    with place.client() as tree:
        assert {"mbox", "b"} <= {entry.name for entry in tree.ls()}
    assert place.mailfs("9p", "read", "factotum/ctl").stdout.count("key ") == 3


def test_pop_and_all_folders(place: Place, ours: Provider, dovecot: Dovecot) -> None:
    port = dovecot.ports["pop3s"]
    told = {"smtp": "none", "smtp-user": ""}
    done = setup(place, ours, *QUIET, imap=f"/pops/tcp!localhost!{port}", **told)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "service=pop " in (place.box / "factotum").read_text()
    done = setup(
        place, ours, *QUIET, "--overwrite", folders="all", mailbox="mbox", **told
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    line = f"mbox={ours.imap()}/{ours.user}/*\n"
    assert (place.box / "mailboxes").read_text() == line


def test_units(place: Place, ours: Provider) -> None:
    done = setup(place, ours, *QUIET, "--units")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    folder = Path(place.env["XDG_CONFIG_HOME"]) / "systemd/user"
    units = {path.name: path.read_text() for path in folder.iterdir()}
    assert sorted(units) == [f"mailfs-{n}.service" for n in ("factotum", "fs", "runq")]
    assert f" -f {place.box}/factotum " in units["mailfs-factotum.service"]
    for text in units.values():
        assert f"Environment=NAMESPACE={place.namespace}\n" in text
        assert " mailfs-factotum.service" in text or "holds" in text
    assert "systemctl --user enable --now" in done.stdout


def test_direct(place: Place, ours: Provider) -> None:
    done = setup(place, ours, *QUIET, imap="none", smtp="direct")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    shown = place.mailfs("send", "-#", "x@b.com").stdout
    assert "'net!b.com'" in shown
    assert not (place.box / "factotum").exists()
    assert "smtp=net" not in (place.root / "lib/ndb/local").read_text()
