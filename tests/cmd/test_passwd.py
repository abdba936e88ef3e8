"""mailfs passwd: what it writes, where, and who can log in then."""

import os
from pathlib import Path

import pytest

from mailfs.factotum.client import Factotum
from mailfs.serve.login import Attempt, LoginFailed, offered
from mailfs.where import DialString
from tests.page.world import end, serve
from tests.setup.conftest import place
from tests.setup.world import Place, Talk

__all__ = ["place"]

WORD = "correct horse"


def agent(place: Place) -> Factotum:
    return Factotum(DialString("unix", str(place.namespace / "factotum")))


def may(place: Place, user: str, password: str) -> bool:
    """Whether a server lets somebody in by PLAIN."""
    attempt = Attempt(lambda: agent(place), "PLAIN")
    try:
        attempt.begin(b"\0%s\0%s" % (user.encode(), password.encode()))
    except LoginFailed:
        return False
    finally:
        attempt.close()
    assert attempt.user == user
    return True


def keyfile(place: Place) -> Path:
    return place.box / "factotum"


def passwd(place: Place, *argv: str, text: str = "") -> str:
    done = place.mailfs("passwd", *argv, text=text)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_a_password_is_set_changed_and_taken_back(place: Place) -> None:
    server = serve(place, "factotum", service="factotum")
    assert passwd(place, "glenda", "-i", text=f"{WORD}\n") == ""
    assert may(place, "glenda", WORD)
    assert not may(place, "glenda", "wrong")
    assert not may(place, "other", WORD)
    phone = passwd(place, "glenda", "--app", "phone", "--invent").strip()
    assert may(place, "glenda", phone)
    assert may(place, "glenda", WORD)
    text = keyfile(place).read_text()
    assert keyfile(place).stat().st_mode & 0o777 == 0o600
    assert text.count("\n") == 4
    assert WORD not in text
    assert phone not in text
    assert len({line.split("salt=")[1].split()[0] for line in text.splitlines()}) == 1
    assert offered(lambda: agent(place)) == (
        "SCRAM-SHA-256",
        "SCRAM-SHA-1",
        "PLAIN",
        "LOGIN",
    )
    passwd(place, "glenda", "-i", text="another one\n")
    assert not may(place, "glenda", WORD)
    assert may(place, "glenda", "another one")
    assert may(place, "glenda", phone)
    assert keyfile(place).read_text().count("\n") == 4
    # It is there again after a restart.
    assert end(server) == ""
    server = serve(place, "factotum", service="factotum")
    assert may(place, "glenda", phone)
    passwd(place, "glenda", "-d", "--app", "phone")
    assert not may(place, "glenda", phone)
    assert may(place, "glenda", "another one")
    passwd(place, "glenda", "-d")
    assert not may(place, "glenda", "another one")
    assert keyfile(place).read_text() == ""
    done = place.mailfs("passwd", "glenda", "-d")
    assert done.stderr == "mailfs passwd: glenda: no such password\n"
    assert offered(lambda: agent(place)) == ()
    assert end(server) == ""


def test_other_keys_stay(place: Place) -> None:
    """A client's key of the same user name, other users, comments, a last line."""
    mine = (
        "# mine\nkey proto=scram-sha-256 user=glenda server=x !password=a\n"
        "key proto=plain role=server user=glenda !password=b"
    )
    keyfile(place).parent.mkdir(parents=True, exist_ok=True)
    keyfile(place).write_text(mine)
    keyfile(place).chmod(0o600)
    passwd(place, "glenda", "-i", text=f"{WORD}\n")
    passwd(place, "glenda2", "-i", text=f"{WORD}\n")
    assert keyfile(place).read_text().startswith(f"{mine}\nkey proto=scram-sha-256 ")
    done = place.mailfs("passwd", "glenda", "-d")
    assert done.returncode == 0
    assert "glenda still has keys of plain: " in done.stderr
    text = keyfile(place).read_text()
    assert text.startswith(mine + "\n")
    assert text.count("\n") == 5
    assert " user=glenda2 " in text


def test_memory_alone(place: Place) -> None:
    done = place.mailfs("passwd", "glenda", "-m", "-i", text=f"{WORD}\n")
    assert done.stderr == "mailfs passwd: no factotum runs: mailfs factotum &\n"
    server = serve(place, "factotum", "-n", service="factotum")
    passwd(place, "glenda", "-m", "-i", text=f"{WORD}\n")
    assert may(place, "glenda", WORD)
    assert not keyfile(place).exists()
    assert end(server) == ""


def test_asked_twice_without_echo(place: Place) -> None:
    with Talk(place, "passwd", "glenda") as talk:
        talk.answer("new password for glenda", WORD)
        talk.answer("retype password", WORD)
        assert talk.end() == 0, talk.shown
    assert WORD not in talk.shown
    with Talk(place, "passwd", "glenda") as talk:
        talk.answer("new password for glenda", WORD)
        talk.answer("retype password", "other")
        assert talk.end() == 1
    assert "passwords didn't match" in talk.shown
    with Talk(place, "passwd", "glenda") as talk:
        talk.answer("new password for glenda", "")
        assert talk.end() == 1
    assert "password change aborted" in talk.shown


@pytest.mark.parametrize(
    ("argv", "text", "why"),
    [
        (["glenda", "-i"], "short\n", "password must be at least 8 characters"),
        (["glenda", "-i"], "", "no password on standard input"),
        (["a\nb", "-i"], "", "a b: not a name"),
        (["glenda", "--app", ""], "", ": not a name"),
        (["x" * 256], "", "not a name"),
        (["glenda", "-i", "--invent"], "", "-i and --invent: which of them?"),
        (["glenda", "-d", "--app", "tv"], "", "glenda for tv: no such password"),
        (["glenda"], "", "no terminal to ask for a password on"),
    ],
)
def test_refusals(place: Place, argv: list[str], text: str, why: str) -> None:
    done = place.mailfs("passwd", *argv, text=text)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("mailfs passwd: ")
    assert why in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_file_others_may_read(place: Place) -> None:
    keyfile(place).parent.mkdir(parents=True, exist_ok=True)
    keyfile(place).write_text("")
    keyfile(place).chmod(0o644)
    done = place.mailfs("passwd", "glenda", "-i", text=f"{WORD}\n")
    assert f"{keyfile(place)}: others may read or write it: chmod 600" in done.stderr
    assert os.path.getsize(keyfile(place)) == 0
