"""``upas/fs -f /imaps/your.host``: the easiest way to get the fingerprint.

The certificate comes first, and needs neither key nor factotum; then the factotum, or,
at a terminal, the key.
"""

import re
import signal
import subprocess
import termios

import pytest

from mailfs import where
from mailfs.p9.client import Client
from tests.net.dovecot import PASSWORD, Dovecot
from tests.page.world import end, serve, unattended
from tests.setup.world import Place, Talk
from tests.wait import until

pytestmark = pytest.mark.live

# The nine ways to write it that begin TLS, and the port of each.
FORMS = {
    "pop": "pop3",
    "pops": "pop3s",
    "poptls": "pop3",
    "apop": "pop3",
    "apops": "pop3s",
    "apoptls": "pop3",
    "imap": "imap",
    "imaps": "imaps",
    "imaptls": "imap",
}
LINE = re.compile(r"echo '(x509 sha256=[0-9a-f]{64} server=localhost)' >>(\S+)")


def spec(dovecot: Dovecot, form: str, user: str = "") -> str:
    tail = f"/{user}" if user else ""
    return f"/{form}/tcp!localhost!{dovecot.ports[FORMS[form]]}{tail}"


def test_certificate_then_factotum(place: Place, dovecot: Dovecot) -> None:
    """At a terminal it ends; the line that it shows can be typed."""
    path = spec(dovecot, "imaps")
    shown = unattended(place, "upas/fs", f"-f{path}")
    assert shown.startswith(
        f"mailfs fs: mbox of {where.user()} ({path}): cert for localhost not recognized"
    )
    assert "(of CN=localhost, until 20" in shown
    found = LINE.search(shown)
    assert found, shown
    trusted = place.root / "sys/lib/tls/mail"
    assert found[2] == str(trusted)
    trusted.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["sh", "-c", found[0]], check=True)
    assert trusted.read_text() == f"{found[1]}\n"
    assert unattended(place, "upas/fs", f"-f{path}") == (
        f"mailfs fs: mbox of {where.user()} ({path}): "
        "no factotum runs: mailfs factotum &\n"
    )


def every_form(place: Place, dovecot: Dovecot) -> dict[str, str]:
    """Serve all forms, with and without user; return what status says of each."""
    specs = {
        f"{form}{user}": spec(dovecot, form, user)
        for form in FORMS
        for user in ("", "glenda")
    }
    argv = [f"-f{name}={path}" for name, path in specs.items()]
    server = serve(place, "fs", *argv, service="upasfs")
    with place.client() as mail:
        found = {name: mail.read(f"/{name}/status").decode() for name in specs}
    errors = end(server)
    assert errors.count("mailfs fs: ") == errors.count("\n") == len(specs), errors
    assert f"mailfs fs: imaps of {where.user()} (/imaps/tcp!localhost!" in errors
    assert "mailfs.cmd" not in errors
    return found


def test_every_form_shows_the_certificate(place: Place, dovecot: Dovecot) -> None:
    """Without a terminal it serves what says why, and tries again."""
    for name, status in every_form(place, dovecot).items():
        assert LINE.search(status), f"{name}: {status}"
        assert "(of CN=localhost, until 20" in status
    trusted(place, dovecot)
    for name, status in every_form(place, dovecot).items():
        assert "no factotum runs: mailfs factotum &\n" in status, f"{name}: {status}"


def trusted(place: Place, dovecot: Dovecot) -> None:
    dovecot.trust(place.root)


@pytest.mark.parametrize("form", ["imaps", "apoptls"])
def test_the_key_is_asked_for(place: Place, dovecot: Dovecot, form: str) -> None:
    """On a terminal, and kept for this run; nothing of it is written."""
    trusted(place, dovecot)
    user = dovecot.user()
    dovecot.deliver(user, b"Subject: hello\n\nbody\n")
    with Talk(place, "fs", "-f", spec(dovecot, form)) as talk:
        asked = talk.wait("user[")
        assert "!adding key: proto=" in asked
        assert " server=localhost\n" in asked
        talk.type(f"{user}\n")
        talk.answer("password", "wrong")
        talk.answer("user[", user)
        talk.answer("password", PASSWORD)
        until((place.namespace / "upasfs").exists)
        with place.client() as mail:
            assert mail.read("/mbox/1/subject") == b"hello"
        assert not (place.namespace / "factotum").exists()
        talk.process.send_signal(signal.SIGTERM)
        assert talk.end() == 0
    assert PASSWORD not in talk.shown
    assert "wrong" not in talk.shown


def test_one_question_for_all_folders(place: Place, dovecot: Dovecot) -> None:
    trusted(place, dovecot)
    user = dovecot.user()
    argv = ["-f", spec(dovecot, "imaps", user), "-f", spec(dovecot, "imap", user)]
    with Talk(place, "fs", *argv) as talk:
        talk.answer("password", PASSWORD)
        until((place.namespace / "upasfs").exists)
        talk.process.send_signal(signal.SIGTERM)
        assert talk.end() == 0
    assert talk.shown.count("password") == 1


def test_the_key_goes_to_the_factotum_that_runs(place: Place, dovecot: Dovecot) -> None:
    trusted(place, dovecot)
    user = dovecot.user()
    agent = serve(place, "factotum", "-n", service="factotum")
    with Talk(place, "fs", "-f", spec(dovecot, "imaps", user)) as talk:
        talk.answer("password", PASSWORD)
        until((place.namespace / "upasfs").exists)
        talk.process.send_signal(signal.SIGTERM)
        assert talk.end() == 0
    with Client(f"unix!{place.namespace}/factotum") as keys:
        assert f"user={user}".encode() in keys.read("ctl")
    end(agent)


def test_interrupted_at_the_question(place: Place, dovecot: Dovecot) -> None:
    """It ends at once, and the terminal echoes again."""
    trusted(place, dovecot)
    with Talk(place, "fs", "-f", spec(dovecot, "imaps", "glenda")) as talk:
        talk.wait("password")
        terminal = talk.terminal
        assert not termios.tcgetattr(terminal)[3] & termios.ECHO
        talk.type("\x03")
        until(lambda: talk.process.poll() is not None)
        assert talk.process.returncode == 128 + signal.SIGINT
        assert termios.tcgetattr(terminal)[3] & termios.ECHO
