"""The verb trust, against openssl's server."""

import io
from pathlib import Path

import pytest

from mailfs.cmd.trust import main
from mailfs.errors import MailfsError, UsageError
from mailfs.tls import dial, store, thumb
from mailfs.tls.thumb import BadThumbprint
from mailfs.tls.trust import Trust, Untrusted
from tests.tls.conftest import Serve, dead_port, our_ca, pki, root, s_server
from tests.tls.pki import Pki

__all__ = ["dead_port", "our_ca", "pki", "root", "s_server"]  # fixtures


def run(root: Path, port: int, *flags: str, host: str = "localhost") -> int:
    return main(["--root", str(root), *flags, "imaps", f"tcp!{host}!{port}"])


def test_shows_asks_and_adds(
    our_ca: Pki,
    root: Path,
    s_server: Serve,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    port = s_server("alone")
    file = store.trusted(root, "mail")
    for answer in ("", "n\n", "no\n", "\n", "yesterday\n"):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        with pytest.raises(MailfsError, match="localhost: not added"):
            run(root, port)
        assert not file.exists()
    out = capsys.readouterr().out
    line = thumb.line(our_ca.alone.der, "localhost")
    for text in (
        "subject     CN=localhost\n",
        "names       localhost 127.0.0.1\n",
        "authorities do not vouch for it: self-signed certificate\n",
        f"{line}\nadd this line to {file}? [y/N] ",
    ):
        assert text in out
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert run(root, port) == 0
    assert file.read_text() == f"{line}\n"
    dial.connect("localhost", port, "imaps", Trust(root), 20).close()
    assert f"added to {file}" in capsys.readouterr().out
    assert run(root, port) == 0
    assert capsys.readouterr().out.endswith(f"{file}:1 trusts it\n")


def test_without_asking(our_ca: Pki, root: Path, s_server: Serve) -> None:
    port = s_server("good")
    file = store.trusted(root, "mail")
    file.write_text("# mine")
    assert run(root, port, "-y", "--key") == 0
    line = thumb.line(our_ca.good.der, "localhost", key=True)
    assert file.read_text() == f"# mine\n{line}\n"
    assert run(root, port, "-y", "--any", host="127.0.0.1") == 0
    assert file.read_text() == f"# mine\n{line}\n{thumb.line(our_ca.good.der)}\n"


def test_what_the_authorities_say(
    our_ca: Pki, root: Path, s_server: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(root, s_server("good"), "-y") == 0
    assert "authorities vouch for it as localhost\n" in capsys.readouterr().out


def test_smtp_has_its_own_list(our_ca: Pki, root: Path, s_server: Serve) -> None:
    port = s_server("good")
    assert main(["--root", str(root), "-y", "smtps", f"tcp!localhost!{port}"]) == 0
    assert store.trusted(root, "smtp").exists()
    assert not store.trusted(root, "mail").exists()


def test_excluded_is_not_added(our_ca: Pki, root: Path, s_server: Serve) -> None:
    store.excluded(root, "mail").write_text(thumb.line(our_ca.good.der) + "\n")
    with pytest.raises(Untrusted, match="excluded by"):
        run(root, s_server("good"), "-y")
    assert not store.trusted(root, "mail").exists()


def test_bad_list_is_told(our_ca: Pki, root: Path, s_server: Serve) -> None:
    store.trusted(root, "mail").write_text("hello\n")
    with pytest.raises((Untrusted, BadThumbprint), match="mail:1: not an x509 line"):
        run(root, s_server("good"), "-y")


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "mailfs trust imaps mail.example.org" in capsys.readouterr().out


def test_errors(root: Path, dead_port: int) -> None:
    with pytest.raises(MailfsError, match=rf"tcp!127.0.0.1!{dead_port}: .*refused"):
        run(root, dead_port, host="127.0.0.1")
    for words in ([], ["imaps"], ["gopher", "x"], ["imaps", "x", "y"], ["x!"]):
        with pytest.raises(UsageError):
            main(words)


@pytest.mark.parametrize(
    ("who", "host", "doubt"),
    [
        ("expired", "localhost", "it expired on "),
        ("early", "localhost", "it is not valid before "),
        ("wrong", "localhost", "it is not for localhost; its host names are other"),
        ("good", "localhost", ""),
        ("good", "127.0.0.1", ""),
        ("alone", "localhost", ""),
    ],
)
def test_what_is_wrong_with_it(
    our_ca: Pki,
    root: Path,
    s_server: Serve,
    capsys: pytest.CaptureFixture[str],
    who: str,
    host: str,
    doubt: str,
) -> None:
    """It may be trusted all the same, but not unawares."""
    assert run(root, s_server(who), "-y", host=host) == 0
    shown = capsys.readouterr().out
    told = [line for line in shown.splitlines() if line.startswith("beware ")]
    assert len(told) == bool(doubt)
    assert all(line.startswith(f"beware      {doubt}") for line in told)
