"""The decision: listed, vouched for, or refused with the line to add."""

import errno
from collections.abc import Sequence
from pathlib import Path

import pytest

from mailfs import where
from mailfs.tls import store, thumb
from mailfs.tls.service import peer
from mailfs.tls.trust import Policy, Trust, Untrusted
from mailfs.tls.vouch import Unvouched
from tests.descriptors import none_left
from tests.tls.conftest import imaps
from tests.tls.pki import Pki


def yes(chain: Sequence[bytes], host: str) -> None:
    """Vouch for anyone."""


def no(chain: Sequence[bytes], host: str) -> None:
    raise Unvouched("nobody knows it")


def ca(root: Path) -> Trust:
    return Trust(root, vouch=no)


def write(root: Path, text: str, name: str = "mail") -> None:
    store.trusted(root, name).write_text(text + "\n")


def test_listed(root: Path, pki: Pki) -> None:
    one = pki.good.der
    for text in (
        thumb.line(one),
        thumb.line(one, "LocalHost."),
        thumb.line(one, key=True),
        "# hello\nx509 sha1=" + "00" * 20 + "\n" + thumb.line(one),
    ):
        write(root, text)
        for policy in Policy:
            Trust(root, policy, no).check([one], imaps())


def test_not_listed(root: Path, pki: Pki) -> None:
    for text in (
        "",
        thumb.line(pki.rsa.der),
        thumb.line(pki.good.der, "elsewhere"),
        thumb.line(pki.good.der, "localhost.elsewhere"),
        f"#{thumb.line(pki.good.der)}",
    ):
        write(root, text)
        with pytest.raises(Untrusted, match="not recognized: nobody knows it"):
            ca(root).check([pki.good.der], imaps())


def test_mail_and_smtp_are_two_lists(root: Path, pki: Pki) -> None:
    write(root, thumb.line(pki.good.der), "smtp")
    ca(root).check([pki.good.der], peer("smtp", "localhost"))
    with pytest.raises(Untrusted):
        ca(root).check([pki.good.der], imaps())


def test_only_the_first_certificate_counts(root: Path, pki: Pki) -> None:
    write(root, thumb.line(pki.good.der))
    with pytest.raises(Untrusted):
        ca(root).check([pki.alone.der, pki.good.der], imaps())


def test_authorities_count_unless_told_otherwise(root: Path, pki: Pki) -> None:
    Trust(root, vouch=yes).check([pki.good.der], imaps())
    with pytest.raises(Untrusted, match="not listed in"):
        Trust(root, Policy.THUMBPRINT, yes).check([pki.good.der], imaps())


@pytest.mark.parametrize("chain", [[], [b""]])
def test_no_certificate(root: Path, chain: list[bytes]) -> None:
    with pytest.raises(Untrusted, match="did not provide TLS certificate"):
        Trust(root, vouch=yes).check(chain, imaps())


def test_missing_lists(tmp_path: Path, pki: Pki) -> None:
    Trust(tmp_path, vouch=yes).check([pki.good.der], imaps())
    with pytest.raises(Untrusted):
        ca(tmp_path).check([pki.good.der], imaps())


@pytest.mark.parametrize("name", ["mail", "mail.exclude"])
@pytest.mark.parametrize(
    "text", ["x509 sha1=zz", "#include none", "#include mail", "?", "\0"]
)
def test_bad_list_refuses_even_the_vouched_for_and_the_listed(
    root: Path, pki: Pki, name: str, text: str
) -> None:
    write(root, thumb.line(pki.good.der))
    trust = Trust(root, vouch=yes)
    trust.check([pki.good.der], imaps())
    if name == "mail":
        text = thumb.line(pki.good.der) + "\n" + text
    elif text == "#include mail":
        text = "#include mail.exclude"
    write(root, text, name)
    with pytest.raises(Untrusted, match=r"refused: bad thumbprints: .*/tls/") as e:
        trust.check([pki.good.der], imaps())
    assert e.value.line == ""


@pytest.mark.parametrize("name", ["mail", "mail.exclude"])
def test_a_list_that_cannot_be_opened_is_not_called_bad(
    root: Path, pki: Pki, name: str
) -> None:
    """Nobody is trusted, and the error says what is lacking."""
    write(root, thumb.line(pki.good.der), name)
    with none_left(), pytest.raises(OSError, match="too many open files") as e:
        Trust(root, vouch=yes).check([pki.good.der], imaps())
    assert e.value.errno == errno.EMFILE


def test_excluded_is_refused_whoever_speaks_for_it(root: Path, pki: Pki) -> None:
    write(root, thumb.line(pki.good.der))
    for text in (thumb.line(pki.good.der), thumb.line(pki.good.der, "b", key=True)):
        write(root, f"\n{text}", "mail.exclude")
        with pytest.raises(Untrusted, match=r"excluded by .*mail\.exclude:2"):
            Trust(root, vouch=yes).check([pki.good.der], imaps())
    Trust(root, vouch=yes).check([pki.rsa.der], imaps())


def test_refusal_carries_line_and_command(root: Path, pki: Pki) -> None:
    with pytest.raises(Untrusted) as e:
        ca(root).check([pki.good.der], imaps("Mail.Example.org", 1993))
    text = str(e.value)
    assert "\n" not in text
    file = root / "sys/lib/tls/mail"
    assert e.value.file == file
    assert text.endswith(f"or: echo '{e.value.line}' >>{file}")
    assert "(of CN=" in text
    command = f"mailfs trust --root {root} imaps 'tcp!mail.example.org!1993'"
    assert e.value.command == command
    assert f"run: {command}," in text
    write(root, e.value.line)
    ca(root).check([pki.good.der], imaps("mail.example.org"))


def test_command_is_short_for_what_is_usual(
    root: Path, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAILFS_ROOT", str(root))
    with pytest.raises(Untrusted) as e:
        ca(where.root()).check([pki.good.der], peer("imaps", "a"))
    assert e.value.command == "mailfs trust imaps a"
