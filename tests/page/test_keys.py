"""The page's lines about keys: factotum, secstore, secretpem."""

import re
import subprocess
from pathlib import Path

import pytest

from mailfs.factotum.client import Factotum
from mailfs.p9.client import Client
from tests.page.world import end, serve
from tests.secstore.conftest import Running, server
from tests.setup.world import Place

__all__ = ["server"]  # a fixture

FILE = """\
key proto=pass service=pop dom=pop.gmx.de user=glenda !password=one

# what the page calls a file named factotum
key proto=pass service=smtp server=smtp.example.org user=glenda !password='t w''o'\r
key proto=rsa service=tls role=client owner=* size=1024 {numbers}
key proto=pass server=last user=glenda !password=three"""


def test_a_file_of_keys_is_written_to_ctl(place: Place) -> None:
    """``You may also write factotum to /mnt/factotum/ctl``: all of it at once."""
    line = place.mailfs("rsagen", "-b", "1024").stdout
    text = FILE.format(numbers=line.partition(" ek=")[2].strip())
    text = text.replace("size=1024 ", "size=1024 ek=")
    agent = serve(place, "factotum", "-n", service="factotum")
    done = place.mailfs("9p", "write", "factotum/ctl", text=text)
    assert (done.returncode, done.stderr) == (0, "")
    with Client(f"unix!{place.namespace}/factotum") as keys:
        listed = keys.read("ctl").decode().splitlines()
    assert [re.sub(r" (ek|n)=\w+", "", one).split()[:3] for one in listed] == [
        ["key", "proto=pass", "service=pop"],
        ["key", "proto=pass", "service=smtp"],
        ["key", "proto=rsa", "service=tls"],
        ["key", "proto=pass", "server=last"],
    ]
    bad = text.replace("proto=rsa", "proto=nonesuch")
    done = place.mailfs("9p", "write", "factotum/ctl", text=bad)
    assert done.stderr == ("mailfs 9p: factotum/ctl: line 5: unknown proto nonesuch\n")
    assert end(agent) == ""


ODD = "\u2028a\u2029b\x85c\x0bd\x0ce\x1cf\x1dg\x1eh\ri"  # no ends of lines


def test_what_passwords_hold_is_kept(place: Place) -> None:
    """Written to ctl in pieces, read from the file at the start, told by verbs."""
    line = f"key proto=pass server=a user=u !password='{ODD}'\n"
    agent = serve(place, "factotum", "-n", service="factotum")
    done = place.mailfs("9p", "write", "factotum/ctl", text=2 * line)
    assert (done.returncode, done.stderr) == (0, "")
    with Factotum(f"unix!{place.namespace}/factotum") as keys:
        assert keys.getuserpasswd("proto=pass server=a").password.text() == ODD
    end(agent)
    file = place.box / "factotum"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{line}{line.replace('=a ', '=b ')}", newline="")
    file.chmod(0o600)
    agent = serve(place, "factotum", service="factotum")
    for host in "ab":
        with Factotum(f"unix!{place.namespace}/factotum") as keys:
            login = keys.getuserpasswd(f"proto=pass server={host}")
            assert login.password.text() == ODD
    assert end(agent) == ""


def test_keys_go_to_the_secstore_and_come_back(
    place: Place, server: Running, tmp_path: Path
) -> None:
    """``cd /tmp; auth/secstore -g factotum; auth/secretpem ... >> factotum; -p``."""
    store = f"-i -u old -s tcp!127.0.0.1!{server.port}"
    script = f"""
    set -e
    mailfs() {{ {" ".join(place.command())} "$@"; }}
    secstore() {{ echo sesame123 | mailfs auth/secstore {store} "$@"; }}
    echo 'key proto=pass server=a user=u !password=b' > factotum
    secstore -p factotum
    rm factotum
    openssl genrsa -out key.pem 2048
    secstore -g factotum
    mailfs auth/secretpem key.pem >> factotum
    secstore -p factotum
    rm factotum
    mailfs auth/factotum -B -n
    secstore -G factotum | mailfs 9p write factotum/ctl
    mailfs 9p read factotum/ctl | cut -d' ' -f1-3
    """
    done = subprocess.run(
        ["sh", "-c", script],
        env=place.env,
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "key proto=pass server=a\nkey proto=rsa service=tls\n"


@pytest.mark.parametrize("more", [[], ["-i"]])
def test_secstore_names_what_is_missing_before_it_asks(
    place: Place, more: list[str]
) -> None:
    """No terminal here: a question would be the error."""
    done = place.mailfs("auth/secstore", *more, "-g", "factotum", text="secret\n")
    assert done.returncode == 1
    assert done.stdout == ""
    start = "mailfs secstore: no server is named: set $secstore or use -s ("
    assert done.stderr.startswith(start)


def test_the_key_of_the_mail_server(place: Place) -> None:
    """``openssl req``, ``cp``, ``auth/secretpem ... >> factotum``, as they stand."""
    folder = place.root / "sys/lib/tls"
    folder.mkdir(parents=True, exist_ok=True)
    script = f"""
    set -e
    cd {place.root}
    openssl req -x509 -nodes -newkey rsa:1024 -keyout key.pem -out cert.pem -subj /CN=x
    cp cert.pem sys/lib/tls/imap.pem
    cp key.pem sys/lib/tls/key.pem
    mailfs() {{ {" ".join(place.command())} "$@"; }}
    mailfs auth/secretpem /sys/lib/tls/key.pem >> factotum
    mailfs auth/secretpem sys/lib/tls/key.pem >> factotum
    """
    subprocess.run(
        ["sh", "-c", script], env=place.env, check=True, stderr=subprocess.DEVNULL
    )
    agent = serve(place, "factotum", "-n", service="factotum")
    text = (place.root / "factotum").read_text()
    assert text.count("\n") == 2
    place.mailfs("9p", "write", "factotum/ctl", text=text)
    with Client(f"unix!{place.namespace}/factotum") as keys:
        listed = keys.read("ctl").decode()
    assert listed.startswith("key proto=rsa service=tls role=client owner=* size=1024 ")
    assert listed.count("\n") == 1
    assert end(agent) == ""


def test_names_of_mailboxes(place: Place) -> None:
    """As upas/fs has them: -f's as they stand, ctl's below /mail/box/$user."""
    box = place.box
    box.mkdir(parents=True, exist_ok=True)
    for path in (box / "two", box / "here"):
        path.write_text(f"From a@b Mon Mar  2 09:00:00 2026\nSubject: {path}\n\n\n")
    # The server's own directory is this one, wherever the shell that writes is.
    server = serve(place, "fs", "-f", _relative(box / "two"), service="upasfs")
    with place.client() as mail:
        assert mail.read("/mbox/1/subject").decode() == str(box / "two")
        mail.write("/ctl", b"open here")
        assert mail.read("/here/1/subject").decode() == str(box / "here")
        mail.write("/ctl", f"open {_relative(box / 'here')} again".encode())
        assert mail.read("/again/1/subject").decode() == str(box / "here")
    assert end(server) == ""


def _relative(path: object) -> str:
    import os

    return os.path.relpath(str(path))
