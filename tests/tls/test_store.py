"""Thumbprint files on disk: includes, refusals, appending."""

import fcntl
import os
import threading
from pathlib import Path

import pytest

from mailfs.tls import store
from mailfs.tls.thumb import BadThumbprint

LINE = "x509 sha1=" + "00" * 20
MORE = "x509 sha1=" + "11" * 20
LAST = "x509 sha1=" + "22" * 20


def lines(path: Path, root: Path) -> list[str]:
    found = store.load(path, root)
    return [t.digests[0][1][:1].hex() + "@" + Path(t.where).name for t in found]


def test_names(tmp_path: Path) -> None:
    assert store.trusted(tmp_path, "mail") == tmp_path / "sys/lib/tls/mail"
    assert store.excluded(tmp_path, "smtp") == tmp_path / "sys/lib/tls/smtp.exclude"


def test_missing_list_is_empty(tmp_path: Path) -> None:
    assert store.load(tmp_path / "none", tmp_path) == ()
    assert store.load(tmp_path / "no/such/folder", tmp_path) == ()


def test_includes_below_root_and_beside(root: Path) -> None:
    folder = root / "sys/lib/tls"
    (folder / "mail").write_text(
        f"{LINE}\n#include /lib/more\n#include last\n#include last\n\n# end"
    )
    (root / "lib").mkdir()
    (root / "lib/more").write_text(f"\n{MORE}\r\n")
    (folder / "last").write_text(LAST)
    assert lines(folder / "mail", root) == [
        "00@mail:1",
        "11@more:2",
        "22@last:1",
        "22@last:1",
    ]


def test_depth_is_bounded(root: Path) -> None:
    for n in range(10):
        (root / str(n)).write_text(f"#include {n + 1}\n")
    (root / "8").write_text(LINE)
    assert lines(root / "0", root) == ["00@8:1"]  # eight includes deep
    (root / "8").write_text("#include 9\n")
    (root / "9").write_text(LINE)
    with pytest.raises(BadThumbprint, match=f"too many includes, last file {root}/9"):
        store.load(root / "0", root)


def test_width_is_bounded(root: Path) -> None:
    (root / "top").write_text("#include leaf\n" * 64)
    (root / "leaf").write_text(LINE)
    with pytest.raises(BadThumbprint, match="too many includes"):
        store.load(root / "top", root)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


REFUSED = [
    ("garbage", lambda p: _write(p, b"\x80\x81\n"), "not UTF-8 at octet 0"),
    ("nul", lambda p: _write(p, b"x\0"), "not text"),
    ("word", lambda p: _write(p, b"\nhello\n"), ":2: not an x509 line"),
    ("hash", lambda p: _write(p, b"x509 sha1=00\n"), ":1: malformed sha1=00"),
    ("no include", lambda p: _write(p, b"#include x\n"), "x: file does not exist"),
    ("bad include", lambda p: _write(p, b"#include\n"), ":1: #include wants one file"),
    ("itself", lambda p: _write(p, b"#include list\n"), "includes itself"),
    ("dot", lambda p: _write(p, b"#include ./a/../list\n"), "includes itself"),
    ("huge", lambda p: _write(p, b"#\n" * (1 << 19) + b"#"), "over 1048576 octets"),
    ("folder", lambda p: p.mkdir(), "not a file"),
    ("fifo", os.mkfifo, "not a file"),
    ("dangling", lambda p: p.symlink_to("nowhere"), "file does not exist"),
    ("beneath", lambda p: p.symlink_to("list"), "symbolic links"),
]


@pytest.mark.parametrize(
    ("prepare", "why"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_doubt_is_refused(root: Path, prepare: object, why: str) -> None:
    assert callable(prepare)
    prepare(root / "list")
    with pytest.raises(BadThumbprint, match=why):
        store.load(root / "list", root)


def test_list_that_cannot_be_looked_for_is_refused(root: Path) -> None:
    (root / "file").write_text("")
    with pytest.raises(BadThumbprint, match="not a directory"):
        store.load(root / "file" / "list", root)


def test_anyone_may_write(root: Path) -> None:
    (root / "list").write_text(LINE)
    (root / "list").chmod(0o666)
    with pytest.raises(BadThumbprint, match="anyone may write"):
        store.load(root / "list", root)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable(root: Path) -> None:
    (root / "list").write_text(LINE)
    (root / "list").chmod(0)
    with pytest.raises(BadThumbprint, match="permission denied"):
        store.load(root / "list", root)


def test_append_keeps_what_is_there(root: Path) -> None:
    path = store.trusted(root, "mail")
    assert store.append(path, root, LINE)
    assert path.read_text() == f"{LINE}\n"
    path.write_text(f"# mine\r\n{LINE}")  # no newline at the end
    path.chmod(0o640)
    assert store.append(path, root, MORE)
    assert path.read_bytes().decode() == f"# mine\r\n{LINE}\n{MORE}\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert not store.append(path, root, MORE)
    assert [p.name for p in path.parent.iterdir()] == ["mail"]


def test_append_makes_folders_and_keeps_links(tmp_path: Path) -> None:
    path = tmp_path / "deep/er/mail"
    assert store.append(path, tmp_path, LINE)
    (tmp_path / "link").symlink_to(path)
    assert store.append(tmp_path / "link", tmp_path, MORE)
    assert (tmp_path / "link").is_symlink()
    assert path.read_text() == f"{LINE}\n{MORE}\n"


def test_append_to_a_refused_list_is_refused(root: Path) -> None:
    path = store.trusted(root, "mail")
    path.write_text("hello\n")
    with pytest.raises(BadThumbprint, match=":1: not an x509 line"):
        store.append(path, root, LINE)
    assert path.read_text() == "hello\n"


def test_disk_that_fails_leaves_the_old_list(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(fd: int) -> None:
        raise OSError(28, "No space left on device")

    path = store.trusted(root, "mail")
    store.append(path, root, LINE)
    with monkeypatch.context() as m:
        m.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space"):
            store.append(path, root, MORE)
    assert path.read_text() == f"{LINE}\n"
    assert [p.name for p in path.parent.iterdir()] == ["mail"]


def test_appends_wait_for_each_other(root: Path) -> None:
    path = store.trusted(root, "mail")
    folder = os.open(path.parent, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    new = [f"x509 sha1={n:040x}" for n in range(8)]
    threads = [threading.Thread(target=store.append, args=(path, root, t)) for t in new]
    for t in threads:
        t.start()
    assert not path.exists()
    os.close(folder)
    for t in threads:
        t.join(20)
    assert sorted(path.read_text().splitlines()) == new
