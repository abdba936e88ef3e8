"""mailfs setup with a person at a terminal: right and wrong answers, and no more."""

import signal

import pytest

from mailfs.factotum.client import Factotum
from mailfs.where import DialString
from tests.net.dovecot import PASSWORD
from tests.setup.test_unattended import nothing_written, setup
from tests.setup.world import ADDRESS, Place, Provider, Talk

pytestmark = pytest.mark.live


def begin(talk: Talk, ours: Provider) -> None:
    """Answer up to the password, with mistakes on the way."""
    talk.answer("Mail address", "glenda")
    assert "glenda: not a mail address" in talk.wait("Mail address")
    talk.type(f"{ADDRESS}\n")
    talk.answer("Your name", "Glenda")
    talk.answer("Server to read mail from", "imap.example.org:993")
    assert "want HOST or /imaps/HOST" in talk.wait("Server to read mail from")
    talk.type("/imaps/tcp!localhost!1\n")
    assert "onnection refused" in talk.wait("Server to read mail from")
    talk.type(f"{ours.imap()}\n")
    shown = talk.answer("Trust localhost?", "maybe")
    assert "subject     CN=localhost" in shown
    assert "do not vouch for it: self-signed certificate" in shown
    talk.answer("Trust localhost?", "y")
    talk.answer("Server to send mail to", ours.smtp)
    talk.answer("User name at localhost", ours.user)


def test_the_whole_conversation(place: Place, ours: Provider) -> None:
    with Talk(place, "setup", "--provider", "own") as talk:
        begin(talk, ours)
        talk.answer(f"Password of {ours.user} at localhost", "wrong")
        assert "login refused" in talk.wait("Password of")
        talk.type(f"{PASSWORD}\n")
        talk.answers(
            ("Name of the mailbox", ""),
            ("Which folders", "some"),
            ("Which folders", ""),
            (f"User name at localhost [{ours.user}]", ""),
            ("A name without @ means", "local"),
            ("Full name of this machine", ""),
            ("Folder for a copy of what you send [Sent]", "/etc"),
            ("Folder for a copy", ""),
            ("Keep the keys in", ""),
        )
        shown = talk.wait("Write this?")
        assert f"+mbox={ours.imap()}/{ours.user}" in shown
        assert nothing_written(place)
        talk.type("y\n")
        talk.answers(
            ("Mount your mail", "mail"),
            ("Mount your mail", ""),
            ("Write systemd units", ""),
            ("Start factotum, fs, runq", ""),
            ("Send a", ""),
        )
        assert talk.end() == 0, talk.shown
    assert "It came after" in talk.shown
    copies = f"Fcc: {ours.imap()}/{ours.user}/Sent\n"
    assert copies in (place.box / "headers").read_text()
    done = place.mailfs("mail", "-s", "hi", ADDRESS, text="hello\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert place.mailfs("9p", "write", "upasfs/ctl", text=f"open {copies[5:-1]} s\n")
    assert place.mailfs("9p", "read", "upasfs/s/1/subject").stdout == "hi"
    assert "Log in by" not in talk.shown
    assert f"(as {ours.user})" in talk.shown
    assert "waiting for it, at most 120 s" in talk.shown
    assert PASSWORD not in talk.shown
    assert "wrong" not in talk.shown
    assert ">>         /mail/box/" in place.lib("rewrite").read_text()


def test_again_for_another_name(place: Place, ours: Provider) -> None:
    """What is there is offered; an empty answer takes it."""
    assert setup(place, ours, "--no-test").returncode == 0
    with Talk(place, "setup", "--provider", "own") as talk:
        talk.answer("Mail address [glenda@example.org]", "")
        talk.answer("Your name [Glenda]", "Gle\u00f1da")
        talk.answer(f"Server to read mail from [{ours.imap()}]", "")
        talk.answer(f"Server to send mail to [{ours.smtp}]", "")
        talk.answer(f"User name at localhost [{ours.user}]", "")
        shown = talk.answer("Name of the mailbox [mbox]", "")
        assert "Log in by" not in shown
        assert "Password" not in shown
        talk.answer("Which folders [inbox]", "")
        talk.answer(f"User name at localhost [{ours.user}]", "")
        talk.answer("A name without @ means [domain]", "")
        talk.answer("Full name of this machine [none]", "")
        talk.answer("Folder for a copy of what you send [Sent]", "none")
        shown = talk.answer("Write this?", "")
        assert shown.count("\n+++ ") == 1
        assert f'+From: "Gle\u00f1da" <{ADDRESS}>' in shown
        talk.answer("Replace lines of", "y")
        talk.answer("Mount your mail", "")
        talk.answer("Write systemd units", "")
        shown = talk.answer("Send a test mail", "y")
        assert "Start " not in shown, "all run"
        assert talk.end() == 0, talk.shown
    assert (
        f"From: Glenda <{ADDRESS}>".replace("Glenda", '"Glenda"')
        in (place.box / "headers.old").read_text()
    )
    assert "=?utf-8?" in str(ours.box.got[-1].content).lower()


def test_a_password_typed_at_the_choice_of_a_login(
    place: Place, ours: Provider
) -> None:
    argv = [
        *ours.argv(bare="local", dom="none", keys="none", folders="inbox", sent="none")
    ]
    argv += ["--mailbox", "mbox"]
    with Talk(place, "setup", "--provider", "gmail", *argv) as talk:
        talk.answer("Log in by [password]", PASSWORD)
        assert "want one of password, oauth" in talk.wait("Log in by")
        talk.type("1\n")
        shown = talk.answer("Password of", PASSWORD)
        assert "Log in by: password" in shown
        talk.answer("Write this?", "n")
        assert talk.end() == 0
    assert PASSWORD not in talk.shown


def test_a_certificate_that_is_not_trusted(place: Place, ours: Provider) -> None:
    with Talk(place, "setup", "--provider", "own", "--address", ADDRESS) as talk:
        talk.answer("Your name", "")
        talk.answer("Server to read mail from", ours.imap())
        talk.answer("Trust localhost?", "")
        assert "localhost: not trusted" in talk.wait("Server to read mail from")
        talk.type("\x03")
        assert talk.end() == 128 + signal.SIGINT
    assert nothing_written(place)


def test_three_wrong_passwords(place: Place, ours: Provider) -> None:
    with Talk(place, "setup", *ours.argv(), "--auth", "password") as talk:
        for _ in range(3):
            talk.answer("Password of", "wrong")
        assert talk.end() == 1
    assert talk.shown.splitlines()[-1].startswith(
        "mailfs setup: localhost/imaps: login"
    )
    assert nothing_written(place)


@pytest.mark.parametrize(
    "prompt",
    ["Password of", "Which folders", "Keep the keys", "Write this?"],
)
def test_interrupted_anywhere(place: Place, ours: Provider, prompt: str) -> None:
    rows = [
        ("Password of", PASSWORD),
        ("Name of the mailbox", ""),
        ("Which folders", ""),
        ("A name without @", ""),
        ("Full name", ""),
        ("Folder for a copy", ""),
        ("Keep the keys", ""),
        ("Write this?", "y"),
    ]
    with Talk(place, "setup", *ours.argv()) as talk:
        for asked, text in rows:
            if asked == prompt:
                break
            talk.answer(asked, text)
        talk.wait(prompt)
        talk.type("\x03")
        assert talk.end() == 128 + signal.SIGINT
    assert "nothing is half written" in talk.shown
    assert "Traceback" not in talk.shown
    assert nothing_written(place)


def test_declined(place: Place, ours: Provider) -> None:
    argv = [
        *ours.argv(bare="local", dom="none", keys="none", folders="inbox", sent="none")
    ]
    with Talk(place, "setup", *argv, "--mailbox", "mbox", "--auth", "password") as talk:
        talk.answer("Password of", PASSWORD)
        talk.answer("Write this?", "n")
        assert talk.end() == 0
    assert nothing_written(place)


def test_keys_in_memory_only(place: Place, ours: Provider) -> None:
    """The factotum is given them and no file is."""
    argv = [
        *ours.argv(bare="local", dom="none", keys="none", folders="inbox", sent="none")
    ]
    argv += [
        "--mailbox",
        "mbox",
        "--auth",
        "password",
        "--no-units",
        "--start",
        "--no-test",
        "--mount",
        "none",
    ]
    with Talk(place, "setup", *argv) as talk:
        talk.answer("Password of", PASSWORD)
        talk.answer("Write this?", "")
        assert talk.end() == 0, talk.shown
    assert not (place.box / "factotum").exists()
    with Factotum(DialString("unix", str(place.namespace / "factotum"))) as keys:
        assert len(keys.keys()) == 2
    assert all(b"=secret" not in data for data in place.files().values())
    with place.client() as tree:
        assert [e.name for e in tree.ls("/mbox")] == ["ctl"]
