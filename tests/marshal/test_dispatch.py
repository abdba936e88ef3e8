"""Sending, filing of copies, and what is left when either fails."""

from pathlib import Path
from typing import Any, ClassVar

import pytest

from mailfs.errors import MailfsError
from mailfs.imap.error import ImapError
from mailfs.mailbox.drivers.mdir import Mdir
from mailfs.mailbox.kinds import Flag
from mailfs.mailbox.octets import Octets
from mailfs.marshal import draft, filing
from mailfs.marshal.author import author
from mailfs.marshal.compose import ComposedMail, Order, compose
from mailfs.marshal.dispatch import NotSent, dispatch
from mailfs.site.site import Site

from .conftest import NOW, World


def mail(site: Site, *to: str, text: str = "hello\n", **order: Any) -> ComposedMail:
    """Compose a text to some."""
    made = Order(to=to, **order)
    taken = draft.typed(text.encode())
    return compose(taken, made, author(site), now=site.clock(), token=lambda: "t")


def test_sent_here_and_elsewhere(world: World) -> None:
    site = world.site()
    sent = dispatch(site, mail(site, "bob", "a@out.example"))
    assert (sent.refused, sent.unfiled) == ("", "")
    (got,) = world.mail(user="bob")
    assert "To: bob, a@out.example\n" in got
    assert got in world.kept.read_text()
    assert not (world.box / "unfiled").exists()


def test_nobody_gets_it(world: World) -> None:
    site = world.site()
    made = mail(site, "nosuch", "x@y.example")
    with pytest.raises(
        NotSent, match=r"nosuch: unknown user; x@y.example: Invalid add"
    ):
        dispatch(site, made, folder=filing.folder(site, "sent"))
    assert not (world.box / "sent").exists()
    assert list((world.box / "unfiled").iterdir()) == []


def test_a_failure_that_may_end(world: World) -> None:
    site = world.site()
    with pytest.raises(NotSent, match=r"later@out.example.*: busy") as caught:
        dispatch(site, mail(site, "later@out.example"))
    assert not caught.value.permanent
    with pytest.raises(NotSent) as caught:
        dispatch(site, mail(site, "later@out.example", "nosuch"))
    assert caught.value.permanent


def test_some_get_it(world: World) -> None:
    site = world.site()
    sent = dispatch(site, mail(site, "bob", "nosuch"), folder=str(world.box / "sent"))
    assert sent.refused == "nosuch: unknown user"
    assert len(world.mail(user="bob")) == 1
    assert world.mail("sent") == world.mail(user="bob")


FOLDERS = [
    ("sent", "mail/box/glenda/sent"),
    ("/mail/box/glenda/sent", "mail/box/glenda/sent"),
    ("/imaps/host/user/Sent", None),
]


@pytest.mark.parametrize(("name", "path"), FOLDERS)
def test_folder(world: World, name: str, path: str | None) -> None:
    expect = name if path is None else str(world.root / path)
    assert filing.folder(world.site(), name) == expect


@pytest.mark.parametrize(
    "name", ["names", "headers", "pipeto", "dead.letter", "/mail/box/glenda/forward"]
)
def test_no_folder(world: World, name: str) -> None:
    with pytest.raises(MailfsError, match="won't overwrite"):
        filing.folder(world.site(), name)


NAMED = [
    ("bob", "bob"),
    ("bob@here", "bob"),
    ("x!y!bob@z", "bob"),
    ("a/b@c", "a_b"),
    ("../x", "_x"),
]


@pytest.mark.parametrize("filed", [False, True])
@pytest.mark.parametrize(("address", "name"), NAMED)
def test_named_after(world: World, address: str, name: str, *, filed: bool) -> None:
    folder = world.box
    if filed:
        folder = world.box / "f"
        folder.mkdir()
    assert filing.named_after(world.site(), address) == str(folder / name)


@pytest.mark.parametrize("address", ["names", "@x", "..", "x!headers@y"])
def test_named_after_no_mailbox(world: World, address: str) -> None:
    with pytest.raises(MailfsError, match="won't overwrite"):
        filing.named_after(world.site(), address)


def test_copy_into_a_file(world: World) -> None:
    site = world.site()
    world.write("sent", "")
    dispatch(site, mail(site, "bob", bcc=("glenda",)), folder=str(world.box / "sent"))
    text = (world.box / "sent").read_text()
    assert text.startswith("From glenda Sun Nov 22 ")
    assert world.mail(user="bob")[0].partition("\n\n")[0] in text
    assert "Bcc" not in text
    assert list((world.box / "unfiled").iterdir()) == []


def test_copy_that_is_not_taken(world: World) -> None:
    site = world.site()
    (world.box / "sent").symlink_to("/nonexistent/nowhere")
    sent = dispatch(site, mail(site, "bob"), folder=str(world.box / "sent"))
    assert len(world.mail(user="bob")) == 1
    assert "copy not saved" in sent.unfiled
    assert world.mail("unfiled") == world.mail(user="bob")
    kept = Path(sent.unfiled.rpartition("it is in ")[2])
    assert kept.read_text().startswith("From glenda ")


def test_kept_copies_are_many(world: World) -> None:
    site = world.site()
    (world.box / "sent").symlink_to("/nonexistent/nowhere")
    for text in ("one\n", "two\n"):
        dispatch(site, mail(site, "bob", text=text), folder=str(world.box / "sent"))
    assert len(world.mail("unfiled")) == 2


def test_copy_that_cannot_even_be_kept(world: World) -> None:
    site = world.site()
    world.write("unfiled", "in the way")
    with pytest.raises(MailfsError, match=r"copy for .*sent: "):
        dispatch(site, mail(site, "bob"), folder=str(world.box / "sent"))
    assert world.mail(user="bob") == []


class Remote(Mdir):
    """A folder of a server: not there until it is made."""

    made: ClassVar[set[str]] = set()
    error: Exception = ImapError("host", "no such folder", kind="NO", code="TRYCREATE")

    def make(self) -> None:
        """Make it."""
        super().make()
        self.made.add(self.path)

    def append(
        self, message: bytes | Octets, date: int, sender: str, flags: Flag
    ) -> None:
        """Refuse until it is made."""
        if self.path not in self.made:
            raise self.error
        super().append(message, date, sender, flags)


@pytest.mark.parametrize(
    "error", [Remote.error, FileNotFoundError(2, "no such folder")]
)
def test_a_folder_is_made(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(Remote, "error", error)
    path = str(world.box / "far")
    monkeypatch.setattr(filing, "is_network", lambda name: name == path)
    monkeypatch.setattr(filing, "open_store", Remote)
    site = world.site()
    sent = dispatch(site, mail(site, "bob"), folder=path)
    assert sent.unfiled == ""
    assert world.mail("far") == world.mail(user="bob")


def test_a_server_refuses(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    error = ImapError("host", "over quota", kind="NO", code="OVERQUOTA")
    monkeypatch.setattr(Remote, "error", error)
    monkeypatch.setattr(filing, "is_network", lambda name: True)
    monkeypatch.setattr(filing, "open_store", Remote)
    site = world.site()
    sent = dispatch(site, mail(site, "bob"), folder="/imap/host/me/Sent")
    assert "over quota; it is in" in sent.unfiled
    assert len(world.mail("unfiled")) == 1


PIPEFROM = """#!/bin/sh
echo "$upasname|$replymsg|$*" >{out}
cat >>{out}
exit {status}
"""


def test_pipefrom(world: World) -> None:
    out = world.root / "piped"
    world.write("pipefrom", PIPEFROM.format(out=out, status=0), 0o700)
    site = world.site(upasname="j@m.dom")
    made = mail(site, "fred@y", "bob", cc=("c@d",))
    dispatch(site, made, flags=["-d"], replymsg="upasfs/mbox/3")
    first, _, rest = out.read_text().partition("\n")
    assert first == "j@m.dom|upasfs/mbox/3|-d fred@y bob c@d"
    assert rest.encode() == made.octets
    assert world.mail(user="bob") == []


def test_pipefrom_fails(world: World) -> None:
    out = world.root / "piped"
    world.write("pipefrom", PIPEFROM.format(out=out, status=3), 0o700)
    site = world.site()
    with pytest.raises(NotSent, match="bob: status 3"):
        dispatch(site, mail(site, "bob"))
    with pytest.raises(NotSent, match="begins with -"):
        dispatch(site, mail(site, "bob", "-x"))


@pytest.mark.parametrize(
    ("mode", "why"), [(0o722, "others may"), (0o720, "others may")]
)
def test_pipefrom_that_others_may_change(world: World, mode: int, why: str) -> None:
    world.write("pipefrom", "#!/bin/sh\n", mode)
    site = world.site()
    with pytest.raises(NotSent, match=why):
        dispatch(site, mail(site, "bob"))


def test_pipefrom_that_is_no_program(world: World) -> None:
    world.write("pipefrom", "#!/bin/sh\nexit 1\n", 0o600)
    site = world.site()
    dispatch(site, mail(site, "bob"))
    assert len(world.mail(user="bob")) == 1


def test_author(world: World) -> None:
    world.write("headers", "From: Glenda <glenda@x.dom>\nX-A: b\n")
    world.write("names", "# mine\nBob bob@far\nteam bob \\\n carol\n")
    who = author(world.site())
    assert who.headers == (("From", b" Glenda <glenda@x.dom>"), ("X-A", b" b"))
    assert who.domain == "gnot.example.com"
    assert who.expand("Bob") == ["bob@far"]
    assert who.expand("bob") == []
    assert who.expand("team") == ["bob", "carol"]
    for upasname in ("janet@x", "../box/glenda", "bob/../glenda", "/dev/null", ".."):
        other = author(world.site(upasname=upasname))
        assert other.headers == ()
        assert other.expand("Bob") == ["bob@far"]


def test_headers_with_a_line_that_is_none(world: World) -> None:
    world.write("headers", "From: Glenda <glenda@x.dom>\nnonsense\n")
    with pytest.raises(MailfsError, match="headers: line 2 is no header field"):
        author(world.site())


def test_headers_that_cannot_be_read(world: World) -> None:
    (world.box / "headers").mkdir()
    with pytest.raises(MailfsError, match="headers: "):
        author(world.site())


def test_date_is_of_the_message(world: World) -> None:
    site = world.site()
    dispatch(site, mail(site, "bob"), folder=str(world.box / "sent"))
    assert (world.box / f"sent/{int(NOW)}.00").exists()
