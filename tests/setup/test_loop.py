"""The whole loop: set up, send, deliver, IDLE, event, a reply in the thread."""

import email
import email.policy
import threading
from queue import SimpleQueue

import pytest

from tests.net.dovecot import Dovecot
from tests.setup.test_unattended import setup
from tests.setup.world import ADDRESS, SOON, Place, Provider

pytestmark = pytest.mark.live


def header(content: object, name: str) -> str:
    assert isinstance(content, bytes)
    message = email.message_from_bytes(content, policy=email.policy.default)
    return str(message[name] or "")


def test_the_whole_loop(place: Place, ours: Provider, dovecot: Dovecot) -> None:
    done = setup(place, ours)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    lines: SimpleQueue[str] = SimpleQueue()
    ready = threading.Event()

    def listen() -> None:
        with place.client() as tree, tree.open("/mbox/event") as file:
            ready.set()
            while data := file.read(4096):
                for line in data.decode().splitlines():
                    lines.put(line)
                    if line.startswith("new mbox/4 "):
                        return

    def came() -> str:
        """Return the path of the next message that is told as new.

        Between, the one that is answered is told as changed.
        """
        while True:
            what, path, _ = lines.get(timeout=SOON).split()
            if what == "new":
                return path
            assert (what, path) == ("modify", "mbox/2")

    listener = threading.Thread(target=listen)
    listener.start()
    assert ready.wait(SOON)

    # Somebody writes to us, in a thread that has begun elsewhere.
    first = (
        "From: Ann <ann@b.com>\r\nTo: glenda@example.org\r\nSubject: tea?\r\n"
        "Message-ID: <2@b.com>\r\nReferences: <0@b.com> <1@b.com>\r\n\r\nat four?\r\n"
    )
    dovecot.deliver(ours.user, first.encode())
    path = came()
    assert path == "mbox/2"

    # We answer; a blind copy comes to us.
    words = ["mail", "-R", f"upasfs/{path}", "-B", ADDRESS]
    replied = place.mailfs(*words, text="Gladly.\n")
    assert (replied.returncode, replied.stderr) == (0, "")
    path = came()
    assert path == "mbox/3"
    got = ours.box.got[-1]
    assert sorted(got.rcpt_tos) == ["ann@b.com", ADDRESS]
    assert header(got.content, "To") == "Ann <ann@b.com>"
    assert got.mail_from == ADDRESS
    assert header(got.content, "In-Reply-To") == "<2@b.com>"
    assert header(got.content, "References") == "<0@b.com> <1@b.com> <2@b.com>"
    assert header(got.content, "Subject") == "Re: tea?"
    assert header(got.content, "From") == f"Glenda <{ADDRESS}>"

    # And she answers that.
    ident = header(got.content, "Message-ID")
    last = first.replace("2@b.com", "4@b.com").replace(
        "<1@b.com>", f"<2@b.com> {ident}"
    )
    dovecot.deliver(ours.user, last.encode())
    path = came()
    assert path == "mbox/4"
    listener.join(SOON)
    with place.client() as tree:
        references = tree.read("/mbox/4/references").decode().split()
        assert references == ["0@b.com", "2@b.com", ident.strip("<>")]
        assert tree.read("/mbox/3/messageid").decode() == ident.strip("<>")
        assert tree.read("/mbox/3/body").decode().strip() == "Gladly."
