"""Whether a server takes OAuth2 tokens, as it says before any login."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from mailfs.setup.server import incoming, outgoing
from mailfs.setup.trial import offers_oauth
from mailfs.site import site as sites
from mailfs.tls.vouch import Unvouched
from tests.net.scripted import Scripted, Talk, imap


def no(chain: Sequence[bytes], host: str) -> None:
    raise Unvouched("no")


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("AUTH=PLAIN AUTH=XOAUTH2", True),
        ("AUTH=OAUTHBEARER", True),
        ("AUTH=PLAIN XOAUTH2", False),
        ("AUTH=PLAIN", False),
    ],
)
def test_imap(tmp_path: Path, said: str, found: bool) -> None:
    with Scripted(imap(capabilities=f"IMAP4rev1 {said}")) as server:
        one = incoming(f"/imap/tcp!127.0.0.1!{server.port}")
        assert offers_oauth(one, sites.here(tmp_path, "glenda"), no) is found
        assert not any("AUTHENTICATE" in line for line in server.heard)


@pytest.mark.parametrize(
    ("said", "found"), [("PLAIN XOAUTH2", True), ("PLAIN LOGIN", False)]
)
def test_smtp(tmp_path: Path, said: str, found: bool) -> None:
    def play(talk: Talk) -> None:
        talk.send("220 test")
        while (line := talk.line()).lower().startswith("ehlo"):
            talk.send("250-test", f"250 AUTH {said}")
        assert line.upper() == "QUIT"
        talk.send("221 bye")

    with Scripted(play) as server:
        one = outgoing(f"/smtp/tcp!127.0.0.1!{server.port}")
        assert offers_oauth(one, sites.here(tmp_path, "glenda"), no) is found


def test_one_that_cannot_be_asked(tmp_path: Path) -> None:
    site = sites.here(tmp_path, "glenda")
    assert not offers_oauth(incoming("/imap/tcp!127.0.0.1!1"), site, no)
    assert not offers_oauth(outgoing("/smtp/tcp!127.0.0.1!1"), site, no)
    assert not offers_oauth(incoming("/pop/tcp!127.0.0.1!1"), site, no)
