"""Copies of letters of the outbox, as the headers file asks for them."""

import pytest

from mailfs.fs.outbox.send import send
from mailfs.mailbox.driver import Place

from .conftest import World

LETTER = b"To: %s\nSubject: tea\n\nat four?\n"


def test_a_letter_of_the_outbox(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("upasname", "")
    world.write("headers", "Fcc: sent\n")
    place = Place(world.root, "glenda")
    assert [one.refused for one in send(place, LETTER % b"bob", ())] == [False]
    (copy,) = world.mail("sent")
    assert copy == world.mail(user="bob")[0]
    assert "fcc" not in copy.lower()
    # Tried again for one of two, it has its copy by now.
    send(place, LETTER % b"bob, glenda", ("bob",))
    assert world.mail("sent") == [copy]
    # What nobody gets is not filed.
    assert all(one.refused for one in send(place, LETTER % b"nosuch", ()))
    assert world.mail("sent") == [copy]
    # A mailbox that takes no copy is told of; the letter is sent.
    world.write("headers", "Fcc: /imap/tcp!127.0.0.1!1/glenda/Sent\n")
    assert [one.refused for one in send(place, LETTER % b"bob", ())] == [False]
    assert "sent, but copy not saved in /imap/tcp!127.0.0.1!1" in caplog.text
