"""The blocking client, against a server of ours and against nonsense."""

import gc
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mailfs.errors import EISDIR, ENOENT, ENOTDIR, MailfsError, Refused
from mailfs.p9 import Client
from mailfs.p9.dial import announce, dial
from mailfs.p9.fcall import (
    DMDIR,
    NOTOUCH,
    ORDWR,
    OREAD,
    OTRUNC,
    OWRITE,
    QTDIR,
    Fcall,
    Qid,
    Rattach,
    Rclunk,
    Rerror,
    Ropen,
    Rread,
    Rversion,
    Rwalk,
    Rwrite,
    pack,
    unpack,
)
from mailfs.where import DialString
from tests.p9.serving import WAIT, Served, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("p9")) as running:
        yield running


@pytest.fixture(params=["unix", "tcp"])
def client(served: Served, request: pytest.FixtureRequest) -> Iterator[Client]:
    with Client(getattr(served, request.param), timeout=WAIT) as c:
        yield c
        assert_no_fids(served, c)


def assert_no_fids(served: Served, client: Client) -> None:
    """Nothing is left but the root."""
    client.stat("/")
    (connection,) = served.server.connections
    assert len(connection.session.fids.table) == 1
    assert client._next - len(client._free) == 1


def test_what_a_script_does(client: Client) -> None:
    with client.create("/new", 0o600) as file:
        assert file.write(b"one\ntwo\n") == 8
    assert client.read("/new") == b"one\ntwo\n"
    assert client.write("new", b"three") == 5
    assert client.read("//new/.") == b"three"
    assert client.stat("/new").length == 5
    client.rename("/new", "old")
    client.wstat("/old", NOTOUCH._replace(mode=0o444))
    assert client.stat("/old").mode == 0o444
    with pytest.raises(Refused, match="permission denied"):
        client.write("/old", b"x")
    client.remove("/old")
    with pytest.raises(Refused, match=ENOENT):
        client.stat("/old")


def test_directories(client: Client) -> None:
    client.create("/d", DMDIR | 0o755, OREAD).close()
    for name in "abc":
        client.create(f"/d/{name}/").close()
    assert [s.name for s in client.ls("/d")] == ["a", "b", "c"]
    assert next(client.entries("/d")).name == "a"
    with client.open("/d") as directory:
        assert not directory.seekable()
        assert directory.qid.type & QTDIR
    with pytest.raises(Refused, match=EISDIR):
        client.read("/d")
    with pytest.raises(Refused, match=ENOTDIR):
        client.ls("/alpha")
    for name in "abc":
        client.remove(f"/d/{name}")
    client.remove("/d")


DEEP = 40


def test_long_paths(client: Client) -> None:
    path = ""
    for i in range(DEEP):
        path += f"/n{i}"
        client.create(path, DMDIR | 0o755, OREAD).close()
    assert client.stat(path).name == f"n{DEEP - 1}"
    assert client.stat(path + "/.." * DEEP).name == "/"
    for missing in (
        path + "/x",
        path + "/x/y",
        "/n0/x" + path,
        path.replace("20", "x"),
    ):
        with pytest.raises(Refused, match=ENOENT):
            client.stat(missing)
    for _ in range(DEEP):
        client.remove(path)
        path = path[: path.rindex("/")]


def test_why_a_walk_fails(client: Client) -> None:
    for path, why in (
        ("/alpha/x", ENOTDIR),
        ("/dir/../alpha/x/y", ENOTDIR),
        ("/nix", ENOENT),
        ("/dir/nix", ENOENT),
    ):
        with pytest.raises(Refused) as e:
            client.open(path)
        assert str(e.value) == why


def test_refusals(client: Client) -> None:
    with pytest.raises(Refused, match=EISDIR):
        client.open("/dir", OWRITE)
    with pytest.raises(Refused, match="file already exists"):
        client.create("/alpha")
    with pytest.raises(Refused, match="no such tree"):
        client.attach("nix")
    with pytest.raises(Refused, match="not today"):
        client.read("/refuses")
    with pytest.raises(Refused, match="wstat prohibited"):
        client.wstat("/alpha", NOTOUCH._replace(uid="me"))
    with pytest.raises(MailfsError, match="NUL"):
        client.read("/a\0b")
    assert client.read("/alpha") == b"alpha\n"


def test_attach_again(client: Client) -> None:
    assert client.attach("late").type == QTDIR
    assert client.read("alpha") == b"alpha\n"


def test_the_file_is_a_file(client: Client) -> None:
    client.create("/io").close()
    with client.open("/io", ORDWR | OTRUNC) as file:
        assert (file.readable(), file.writable(), file.seekable()) == (True,) * 3
        file.write(b"0123456789")
        assert file.tell() == 10
        assert file.seek(-4, io.SEEK_END) == 6
        assert file.read(2) == b"67"
        assert file.seek(-1, io.SEEK_CUR) == 7
        assert file.read() == b"789"
        assert file.read(1) == b""
        with pytest.raises(ValueError, match="seek to -1"):
            file.seek(-1)
        file.seek(0)
        buffer = bytearray(4)
        assert file.readinto(buffer) == 4
        assert bytes(buffer) == b"0123"
        assert file.stat().length == 10
    for use in (lambda: file.read(1), lambda: file.write(b""), lambda: file.seek(0)):
        with pytest.raises(ValueError, match="closed file"):
            use()
    file.close()
    with io.TextIOWrapper(io.BufferedReader(client.open("/io"))) as text:
        assert text.readlines() == ["0123456789"]
    with client.open("/io", OWRITE) as file:
        assert not file.readable()
    with client.open("/io") as file:
        assert not file.writable()
    client.remove("/io")


def test_small_messages(served: Served) -> None:
    with Client(served.unix, timeout=WAIT, msize=256) as client:
        data = bytes(range(256)) * 4
        with client.create("/small") as file:
            assert file.iounit == 256 - 24
            file.write(data)
        assert client.read("/small") == data
        client.remove("/small")
        with pytest.raises(MailfsError, match="longer than 256 octets"):
            client.stat("/" + "x" * 256)
        assert client.stat("/alpha").length == 6


def test_closed(served: Served) -> None:
    client = Client(served.unix, timeout=WAIT)
    file = client.open("/alpha")
    client.close()
    client.close()
    file.close()
    with pytest.raises(MailfsError, match="s: connection closed"):
        client.read("/alpha")


def test_services_by_name(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = Path(served.unix.host).parent
    directory.chmod(0o700)
    monkeypatch.setenv("NAMESPACE", str(directory))
    with Client("s", uname="glenda", aname="late") as client:
        assert client.read("alpha") == b"alpha\n"
    with pytest.raises(MailfsError, match=r"unix!.*/upasfs: file does not exist"):
        Client()
    with pytest.raises(MailfsError, match="connection refused"):
        Client("tcp!127.0.0.1!1")
    with pytest.raises(Refused, match="no such tree"):
        Client("s", aname="nix")
    with pytest.raises(MailfsError, match="stdio: cannot be dialled"):
        dial(DialString("stdio"))


def test_no_answer(served: Served) -> None:
    client = Client(served.unix, timeout=WAIT)
    file = client.open("/waits")
    assert client._line._sock is not None
    client._line._sock.settimeout(0.02)
    with pytest.raises(MailfsError, match="s: no answer within"):
        file.read(1)
    with pytest.raises(MailfsError, match="connection closed"):
        file.read(1)
    file.close()


# What a scripted server says, reply by reply; None hangs up.
Said = list[bytes | None]
QID = Qid(0, 0, 0)


def said(*replies: Fcall) -> Said:
    return [pack(0xFFFF if isinstance(r, Rversion) else 0, r) for r in replies]


VERSION = Rversion(8192, "9P2000")
RVERSION = pack(0xFFFF, VERSION)
BEGUN: Said = said(VERSION, Rattach(QID))

NONSENSE: list[tuple[Said, str]] = [
    ([None], "hung up"),
    ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], "message of 1347703880 octets"),
    ([b"\0" * 7], "message of 0 octets"),
    ([pack(0, VERSION)], "tag 0"),
    (said(Rversion(8192, "9P1999")), "speaks '9P1999', not 9P2000"),
    (said(Rversion(1 << 30, "9P2000")), "msize 1073741824"),
    (said(Rversion(24, "9P2000")), "msize 24"),
    ([RVERSION[:9], None], "hung up"),
    ([RVERSION * 2], "two answers"),
    ([RVERSION[:-1] + b"\xff"], "not UTF-8"),
    (said(VERSION, Ropen(QID, 0)), "Ropen to Tattach"),
    ([*said(VERSION), pack(5, Rattach(QID))], "tag 5"),
    ([*BEGUN, *said(Rwalk((QID, QID)))], "Rwalk of so many qids"),
    ([*BEGUN, *said(Rwalk(()))], "Rwalk of so many qids"),
    ([*BEGUN, *said(Rwalk((QID,)), Ropen(QID, 0), Rread(b"x" * 9999))], "message of"),
    ([*BEGUN, *said(Rwalk((QID,)), Ropen(QID, 4), Rread(b"xxxxx"))], "more octets"),
    ([*BEGUN, *said(Rwalk((QID,)), Ropen(QID, 0), Rread(b"\0" * 4)), None], "hung up"),
]


@contextmanager
def scripted(directory: Path, replies: Said) -> Iterator[DialString]:
    """Serve one connection: each message it sends is answered with the next reply."""
    address = DialString("unix", str(directory / "s"))
    announced = announce(address)

    def serve() -> None:
        sock, _ = announced.sockets[0].accept()
        with sock:
            sock.settimeout(WAIT)
            for reply in replies:
                if reply is None or not sock.recv(1 << 16):
                    return
                sock.sendall(reply)
            sock.recv(1 << 16)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield address
        thread.join(WAIT)
        assert not thread.is_alive()
    finally:
        announced.close()


@pytest.mark.parametrize(("replies", "why"), NONSENSE)
def test_nonsense(tmp_path: Path, replies: Said, why: str) -> None:
    with scripted(tmp_path, replies) as address:
        with pytest.raises(MailfsError, match=why) as e, Client(address) as client:
            client.read("/x")
        assert not isinstance(e.value, Refused)
        assert str(e.value).startswith(f"{address}: ")


def test_nonsense_in_a_directory(tmp_path: Path) -> None:
    replies: Said = [*BEGUN, *said(Rwalk((QID,)), Ropen(Qid(QTDIR, 0, 0), 0))]
    replies += said(Rread(b"nonsense"))
    with scripted(tmp_path, replies) as address:
        with pytest.raises(MailfsError, match="entry cut short"), Client(address) as c:
            c.ls("/x")


def test_a_server_that_takes_a_part(tmp_path: Path) -> None:
    replies: Said = [*BEGUN, *said(Rwalk((QID,)), Ropen(QID, 0), Rwrite(2), Rclunk())]
    with scripted(tmp_path, replies) as address, Client(address) as client:
        with pytest.raises(MailfsError, match="2 of 3 octets"):
            client.write("/x", b"abc")


def test_an_error_without_our_tag(tmp_path: Path) -> None:
    # Some servers answer what they cannot parse with NOTAG.
    replies: Said = [*BEGUN, pack(0xFFFF, Rerror("what?"))]
    with scripted(tmp_path, replies) as address, Client(address) as client:
        with pytest.raises(Refused, match=r"^what\?$"):
            client.read("/x")


def test_messages_fit_what_was_agreed(tmp_path: Path) -> None:
    seen: list[bytes] = []
    address = DialString("unix", str(tmp_path / "s"))
    announced = announce(address)

    def serve() -> None:
        sock, _ = announced.sockets[0].accept()
        with sock:
            for reply in (Rversion(300, "9P2000"), Rattach(QID)):
                seen.append(sock.recv(1 << 16))
                sock.sendall(pack(unpack(seen[-1])[0], reply))
            seen.append(sock.recv(1 << 16))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with Client(address, timeout=WAIT) as client:
        assert client._unit(0) == 300 - 24
        assert client._unit(8192) == 300 - 24
        assert client._unit(100) == 100
        client._line.close()
    thread.join(WAIT)
    announced.close()
    assert unpack(seen[0])[0] == 0xFFFF


def test_a_file_nobody_closed_is_clunked_later(client: Client) -> None:
    """By the next walk: a collector, in whatever thread, waits for no answer."""
    client.create("/left").close()
    file = client.open("/left")
    del file
    gc.collect()
    assert len(client._lost) == 1
    client.remove("/left")
    assert client._lost == []
