"""What has to change in which files, and what is there already."""

from pathlib import Path

import pytest

from mailfs.errors import MailfsError
from mailfs.ndb import install
from mailfs.setup import plan
from mailfs.setup.plan import Sending, Settings
from mailfs.setup.present import CurrentMailbox, present
from mailfs.setup.server import incoming, outgoing
from mailfs.setup.text import DIRECT, DOMAIN, GATEWAY, LOCAL
from mailfs.site import site as sites
from mailfs.site.site import Site

HUB = Sending(outgoing("/smtp/hub"), ("-h", "x.org"), DOMAIN)
TLS = Sending(outgoing("smtp.x.org"), ("-a", "-u", "g@x.org", "-h", "x.org"), LOCAL)
OWN = Sending(None, (), LOCAL, "gnot.x.org")
ODD = Sending(outgoing("/submissions/tcp!h!4650"), ("-a", "-u", "g", "-t"), LOCAL)
SPEC = "/imaps/imap.x.org/g@x.org"


def here(root: Path) -> Site:
    return sites.here(root, "glenda", {"sysname": "gnot"})


def settings(sending: Sending | None = None, spec: str = "") -> Settings:
    return Settings("Glenda", "g@x.org", "mbox" if spec else "", spec, sending)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    install.install(tmp_path, "glenda")
    return tmp_path


def names(root: Path, told: Settings) -> list[str]:
    return [str(c.path.relative_to(root)) for c in plan.changes(here(root), told)]


def apply(root: Path, told: Settings) -> None:
    for one in plan.changes(here(root), told):
        one.apply()


def test_what_others_need_comes_first(root: Path) -> None:
    assert names(root, settings(TLS, SPEC)) == [
        "lib/ndb/local",
        "mail/lib/names.local",
        "mail/box/glenda/headers",
        "mail/box/glenda/names",
        "mail/lib/remotemail",
        "mail/lib/rewrite",
        "mail/box/glenda/mailboxes",
    ]
    assert not any(c.overwrites for c in plan.changes(here(root), settings(TLS, SPEC)))
    apply(root, settings(TLS, SPEC))
    assert names(root, settings(TLS, SPEC)) == []


@pytest.mark.parametrize("sending", [HUB, TLS, OWN, ODD])
def test_what_is_written_is_read_back(root: Path, sending: Sending) -> None:
    apply(root, settings(sending, f"{SPEC}/*"))
    site = here(root)
    plan.verify(site, sending)
    now = present(site)
    assert (now.name, now.address) == ("Glenda", "g@x.org")
    assert now.boxes == (
        CurrentMailbox("mbox", incoming("imap.x.org"), "g@x.org", True),
    )
    assert now.box("g@x.org") == now.boxes[0]
    assert now.box("other@x.org") is None
    assert now.outgoing == sending.gateway
    assert now.routing == (GATEWAY if sending.gateway else DIRECT)
    assert (now.bare, now.dom) == (sending.bare, sending.dom)
    assert now.smtp.auth == ("-a" in sending.words)


def test_an_empty_root_has_nothing(tmp_path: Path) -> None:
    now = present(here(tmp_path))
    assert (now.name, now.boxes, now.outgoing, now.routing) == ("", (), None, "")


def test_what_a_network_says_is_not_repeated(root: Path) -> None:
    local = root / "lib/ndb/local"
    net = "ipnet=n ip=10.0.0.0 ipmask=255.0.0.0\n\tsmtp=hub\nip=10.0.0.1 sys=gnot\n"
    local.write_text(net)
    assert "lib/ndb/local" not in names(root, settings(HUB))
    apply(root, settings(TLS))
    assert local.read_text() == f"{net}\tsmtp=net!smtp.x.org!465\n"


def test_an_entry_that_comes_first_is_told(root: Path) -> None:
    first = "database=\n\tfile=/lib/ndb/first\n\tfile=/lib/ndb/local\n"
    (root / "lib/ndb/local").write_text(first)
    (root / "lib/ndb/first").write_text("sys=gnot smtp=elsewhere\n")
    apply(root, settings(TLS))
    with pytest.raises(MailfsError, match="another entry comes first"):
        plan.verify(here(root), TLS)


def test_mode_and_links_stay(root: Path) -> None:
    real = root / "elsewhere"
    real.write_text("A: b\n")
    real.chmod(0o600)
    headers = root / "mail/box/glenda/headers"
    headers.symlink_to(real)
    apply(root, settings(TLS))
    assert headers.is_symlink()
    assert real.read_text() == 'From: "Glenda" <g@x.org>\nA: b\n'
    assert real.stat().st_mode & 0o777 == 0o600
