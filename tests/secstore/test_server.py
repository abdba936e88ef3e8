"""Client and server on loopback, and strangers at the server's door."""

import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from mailfs.errors import UsageError
from mailfs.secret import Secret
from mailfs.secstore import client, pak, seal
from mailfs.secstore import server as server_module
from mailfs.secstore.client import FileMissing, SecstoreSession
from mailfs.secstore.conn import Conn
from mailfs.secstore.error import SecstoreError, SecstoreRefused, WrongPassword
from mailfs.secstore.seal import SealFormat, Unreadable
from tests.secstore.conftest import CHEAP, PASSWORD, Running

WRONG = Secret("sesame124")


@pytest.mark.parametrize("user", ["old", "new"])
@pytest.mark.parametrize("form", SealFormat)
@pytest.mark.parametrize("size", [0, 1, 4063, 4096, 9000])
def test_put_and_get(server: Running, user: str, form: SealFormat, size: int) -> None:
    data = bytes(size)
    with server.login(user) as session:
        assert session.server == "test server"
        session.put("factotum", data, form, CHEAP)
        assert session.read("factotum") == (form, data)
        assert session.has("factotum")
        assert not session.has("other")
    assert client.fetch(server.dial, user, PASSWORD, "factotum") == data
    stored = (server.accounts.files(user) / "factotum").read_bytes()
    assert seal.form(stored) is form
    assert server.accounts.read(user).failed == 0


def test_list_and_remove(server: Running) -> None:
    with server.login("old") as session:
        assert session.list() == []
        session.put("b", b"", SealFormat.PLAN9)
        session.put("a", b"12", SealFormat.PLAN9)
        assert [(e.name, e.size) for e in session.list()] == [("a", 34), ("b", 32)]
        session.remove("a")
        assert [e.name for e in session.list()] == ["b"]
    with (
        server.login("old") as session,
        pytest.raises(SecstoreRefused, match="remove failed"),
    ):
        session.remove("a")


def test_missing_file(server: Running) -> None:
    with pytest.raises(FileMissing, match="remote file none does not exist"):
        client.fetch(server.dial, "old", PASSWORD, "none")


@pytest.mark.parametrize("name", ["", ".", "..", "../old", "a/b", "a\nGET b", " a"])
def test_names_are_checked_by_the_client(server: Running, name: str) -> None:
    with server.login("old") as session:
        for work in (session.get, session.remove, lambda n: session.put(n, b"")):
            with pytest.raises(SecstoreError, match="simple filenames"):
                work(name)


@pytest.mark.parametrize("user", ["old", "new"])
def test_wrong_password_is_counted(server: Running, user: str) -> None:
    with pytest.raises(WrongPassword, match="password mistyped"):
        server.login(user, WRONG)
    assert server.accounts.read(user).failed == 1
    server.login(user).close()
    assert server.accounts.read(user).failed == 0


def test_ten_wrong_passwords(server: Running) -> None:
    for _ in range(10):
        with pytest.raises(WrongPassword):
            server.login("old", WRONG)
    with pytest.raises(SecstoreRefused, match="too many failures"):
        server.login("old")
    server.now[0] += 300
    server.login("old").close()


def test_client_that_hangs_up_is_counted(server: Running) -> None:
    with server.socket() as sock:
        conn = Conn(sock, 20)
        conn.write(pak.PakClient(b"old", WRONG, bytes).hello())
        conn.read_message()
    assert server.accounts.read("old").failed == 1


def test_accounts_that_cannot_log_in(server: Running) -> None:
    with pytest.raises(SecstoreRefused, match="account does not exist"):
        server.login("nobody")
    old = server.accounts.read("old")
    for change, why in (
        ({"expires": 5}, "account expired"),
        ({"enabled": False}, "account disabled"),
        ({"token": True}, "wants a token"),
    ):
        server.accounts.write(replace(old, **change))
        with pytest.raises(SecstoreRefused, match=why):
            server.login("old")
        assert server.accounts.read("old").failed == 0


def plain(sock: socket.socket, *records: bytes) -> bytes:
    """Send records in clear, return what comes back until the end."""
    for record in records:
        sock.sendall((0x8000 | len(record)).to_bytes(2, "big") + record)
    got = b""
    while more := sock.recv(4096):
        got += more
    return got


PROBE = b"secstore\tPAK\nC=%s\nm=0\n"
STRANGERS: list[tuple[list[bytes], bytes]] = [
    ([PROBE % b"old"], b"\x80\x0f!account exists"),
    ([PROBE % b"nobody"], b"\x80\x17!account does not exist"),
    ([PROBE % b"new"], b"!account is not for Plan 9 clients"),
    ([PROBE % b"../who/old"], b"!account does not exist"),
    ([PROBE % b"\xff"], b"!account does not exist"),
    ([b"secstore\tKDF\nC=old\n", PROBE % b"old"], b"\x80\x09kdf=none\n"),
    ([b"secstore\tKDF\nC=new\n", PROBE % b"new"], b"!account exists"),
    ([b"secstore\tKDF\nC=nobody\n"], b"!account does not exist"),
    ([b"secstore\tKDF\n"], b"!verifier syntax error"),
    ([b"hello"], b"!protocol should start with ver alg"),
    ([b"secstore\tPAK\nC=old\n"], b"!PAK version mismatch"),
    ([b"secstore\tPAK\nC=old\nm=Ag==\n"], b"!number outside the group"),
    ([b"secstore\tPAK\nC=old\nm=" + b"A" * 3000 + b"\n"], b"!number too long"),
]


@pytest.mark.parametrize(("records", "reply"), STRANGERS)
def test_strangers(server: Running, records: list[bytes], reply: bytes) -> None:
    with server.socket() as sock:
        assert reply in plain(sock, *records)


@pytest.mark.parametrize(
    "octets", [b"\0\1x", b"\x80\x00", b"\xff\xff", b"\x80\x10half"]
)
def test_records_of_strangers(server: Running, octets: bytes) -> None:
    with server.socket() as sock:
        try:
            sock.sendall(octets)
            sock.shutdown(socket.SHUT_WR)
            reply = sock.recv(100)
        except OSError:  # it hung up with octets of ours unread
            reply = b""
    assert reply == b"" or reply[2:3] == b"!"
    server.login("old").close()


def test_probe(server: Running) -> None:
    assert client.probe(server.dial, "old")
    assert client.probe(server.dial, "new")
    with pytest.raises(SecstoreRefused, match="does not exist"):
        client.probe(server.dial, "nobody")


def raw(session: SecstoreSession) -> Conn:
    return session._conn


COMMANDS: list[tuple[list[bytes], str]] = [
    ([b"HELLO"], "unrecognized operation"),
    ([b"GETfactotum"], "unrecognized operation"),
    ([b"PUT a", b"x"], "operation failed"),
    ([b"PUT a", b"-1"], "operation failed"),
    ([b"PUT a", b"10485761"], "operation failed"),
    ([b"PUT a", b"9" * 40], "operation failed"),
    ([b"PUT a", b"3", b"1234"], "operation failed"),
    ([b"PUT ../a", b"3", b"123"], "operation failed"),
    ([b"PUT a/b", b"0"], "operation failed"),
    ([b"PUT .", b"0"], "operation failed"),
    ([b"RM ..", b"0"], "operation failed"),
    ([b"RM ../../who/new"], "operation failed"),
    ([b"CHPASS", b"Ag=="], "protocol botch while setting PAK"),
    ([b"CHPASS", b"x"], "protocol botch while setting PAK"),
]


@pytest.mark.parametrize(("records", "why"), COMMANDS)
def test_commands_that_fail(server: Running, records: list[bytes], why: str) -> None:
    before = server.accounts.read("old")
    with server.login("old") as session:
        for record in records:
            raw(session).write(record)
        with pytest.raises(SecstoreRefused, match=why):
            raw(session).read_message()
        with pytest.raises(SecstoreError):
            session.list()
    assert list(server.accounts.files("old").iterdir()) == []
    assert server.accounts.exists("new")
    assert server.accounts.read("old") == before


@pytest.mark.parametrize("name", [b"../../who/old", b"..", b"", b"none"])
def test_get_of_what_is_not_there(server: Running, name: bytes) -> None:
    with server.login("old") as session:
        raw(session).write(b"GET %s" % name)
        assert raw(session).read_message() in (b"-1", b"-3")
        with pytest.raises(SecstoreRefused, match="operation failed"):
            raw(session).read_message()


def test_put_cut_short_leaves_the_old_file(server: Running) -> None:
    with server.login("old") as session:
        session.put("a", b"hello", SealFormat.PLAN9)
        raw(session).write(b"PUT a")
        raw(session).write(b"100")
        raw(session).write(b"x" * 50)
    assert client.fetch(server.dial, "old", PASSWORD, "a") == b"hello"


@pytest.mark.parametrize("user", ["old", "new"])
def test_change_of_password(server: Running, user: str) -> None:
    with server.login(user) as session:
        session.put("a", b"one", SealFormat.SEALED, CHEAP)
        session.put("b", b"two", SealFormat.PLAN9)
    told: list[str] = []
    client.change(server.dial, user, PASSWORD, WRONG, cost=CHEAP, tell=told.append)
    assert told == ["a", "b"]
    with pytest.raises(WrongPassword):
        server.login(user)
    with server.login(user, WRONG) as session:
        assert session.read("a") == (SealFormat.SEALED, b"one")
        assert session.read("b") == (SealFormat.PLAN9, b"two")


def test_change_begins_only_if_every_file_opens(server: Running) -> None:
    with server.login("old") as session:
        session.put("a", b"one", SealFormat.PLAN9)
    stored = server.accounts.files("old") / "b"
    stored.write_bytes(bytes(48))
    with pytest.raises(Unreadable, match="b: decrypted file failed to authenticate"):
        client.change(server.dial, "old", PASSWORD, WRONG, cost=CHEAP)
    server.login("old").close()
    assert client.fetch(server.dial, "old", PASSWORD, "a") == b"one"


def test_change_half_way_names_what_is_left(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server.login("old") as session:
        for name in ("a", "b", "c"):
            session.put(name, b"x", SealFormat.PLAN9)

    def stop(name: str) -> None:
        if name == "b":
            raise SecstoreError("connection closed")

    with pytest.raises(
        SecstoreError, match="closed; still under the old password: b, c"
    ):
        client.change(server.dial, "old", PASSWORD, WRONG, tell=stop)


def test_file_of_another_name_is_noticed(server: Running) -> None:
    with server.login("new") as session:
        session.put("a", b"one", cost=CHEAP)
        session.put("b", b"two", cost=CHEAP)
    folder = server.accounts.files("new")
    (folder / "a").write_bytes((folder / "b").read_bytes())
    with pytest.raises(Unreadable, match="a: decrypted file failed"):
        client.fetch(server.dial, "new", PASSWORD, "a")


def test_too_many_connections(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MAX_PER_HOST", 2)
    with server.login("old") as one, server.login("old"):
        with pytest.raises(SecstoreError):
            server.login("old")
        assert one.list() == []


def test_connection_takes_too_long(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "LOGIN_LIMIT", 0.05)
    with server.socket() as sock:
        sock.settimeout(20)
        assert sock.recv(100) == b""  # cut off: there is no time left to say why


class Fake:
    """A server that says what it is told to, once for each connection."""

    def __init__(self, *talks: Callable[[Conn], None]) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.talks = talks
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    @property
    def dial(self) -> client.Dial:
        return client.dial(f"tcp!127.0.0.1!{self.port}")

    def run(self) -> None:
        with self.listener:
            for talk in self.talks:
                sock, _ = self.listener.accept()
                with sock, contextlib.suppress(SecstoreError):
                    talk(Conn(sock, 20))


def known(conn: Conn) -> None:
    """Log a client in as a server that knows the password."""
    said = pak.hello(conn.read())
    server = pak.PakServer(b"s", said, pak.verifier(b"bob", PASSWORD)[1], bytes)
    conn.write(server.reply())
    conn.secret(server.check(conn.read()).secret, server=True)


def test_server_of_plan9_is_dialled_again() -> None:
    def first(conn: Conn) -> None:
        assert conn.read() == b"secstore\tKDF\nC=bob\n"
        conn.write_error("protocol should start with ver alg")

    def second(conn: Conn) -> None:
        known(conn)
        conn.write(b"OK")
        assert conn.read() == b"GET f\n"
        stored = seal.seal_plan9(b"hello", PASSWORD, bytes)
        conn.write(b"%d" % len(stored))
        conn.write_all(stored)

    fake = Fake(first, second)
    assert client.fetch(fake.dial, "bob", PASSWORD, "f") == b"hello"
    fake.thread.join(20)


SILENT = [
    (
        lambda s: s.put("f", b"x", SealFormat.PLAN9),
        3,
        b"33",
        "f: not stored as it was sent",
    ),
    (lambda s: s.remove("f"), 1, b"%d", "f: not removed"),
    (lambda s: s.list(), 0, b"3", "bad directory listing"),
    (
        lambda s: s.put("f", bytes(10 << 20), SealFormat.PLAN9),
        0,
        b"",
        "f: over 10485760",
    ),
]


@pytest.mark.parametrize(("work", "skip", "size", "why"), SILENT)
def test_silent_failures_are_noticed(
    work: Callable[[SecstoreSession], object], skip: int, size: bytes, why: str
) -> None:
    def talk(conn: Conn) -> None:
        conn.read()
        conn.write(b"kdf=none\n")
        known(conn)
        conn.write(b"OK")
        for _ in range(skip):
            conn.read()
        conn.read()  # GET
        line = b"f\t1 Nov 22 12:59:33 GMT 2026 AAECAwQFBgcICQoLDA0ODxAREhM=\n"
        conn.write(size if b"%" not in size else size % len(line))
        conn.write(line if b"%" in size else b"\xff" * int(size))

    fake = Fake(talk)
    with (
        client.login(fake.dial, "bob", PASSWORD) as session,
        pytest.raises(SecstoreError, match=why),
    ):
        work(session)
    fake.thread.join(20)


BAD_SERVERS = [
    ([b"kdf=rot13\n"], "unknown way to stretch"),
    ([b"kdf=scrypt 30 8 1 AAAAAAAAAAAAAAAAAAAAAA==\n"], "implausible cost"),
    ([b"hello"], "verifier syntax error"),
    ([b"!go away\x1b[2J"], r"go away\?\[2J"),
    ([b"!"], "refused"),
    ([b"kdf=none\n", b"mu=AQ==\nk=x\nS=y\n"], "number outside the group"),
    ([b"kdf=none\n", b"mu=" + pak.b64(pak.G) + b"\nk=x\nS=y\n"], "mistyped"),
    ([b"kdf=none\n", b"mu=\n"], "verifier syntax error"),
    ([], "connection closed"),
]


@pytest.mark.parametrize(("replies", "why"), BAD_SERVERS)
def test_bad_servers(replies: list[bytes], why: str) -> None:
    def talk(conn: Conn) -> None:
        for reply in replies:
            conn.read()
            conn.write(reply)
        conn.read()

    fake = Fake(talk)
    with pytest.raises(SecstoreError, match=why):
        client.login(fake.dial, "bob", PASSWORD)
    fake.thread.join(20)


BAD_ANSWERS = [
    ([b"OK", b"x"], "implausible filesize"),
    ([b"OK", b"-3"], "implausible filesize"),
    ([b"OK", b"-1"], "does not exist"),
    ([b"OK", b"10485761"], "implausible filesize"),
    ([b"OK", b"9" * 4000], "implausible filesize"),
    ([b"OK", b"1", b"12"], "more octets than announced"),
    ([b"OK", b"3", b"123"], "file cut short"),
    ([b"no"], "unexpected reply: no"),
    ([b"STA"], "wants a PIN"),
    ([b"!denied"], "denied"),
]


@pytest.mark.parametrize(("answers", "why"), BAD_ANSWERS)
def test_bad_answers_of_a_server_that_knows_the_password(
    answers: list[bytes], why: str
) -> None:
    def talk(conn: Conn) -> None:
        conn.read()
        conn.write(b"kdf=none\n")
        known(conn)
        for at, answer in enumerate(answers):
            if at == 1:
                conn.read()
            conn.write(answer)
        conn.read()

    fake = Fake(talk)
    with pytest.raises(SecstoreError, match=why):
        client.fetch(fake.dial, "bob", PASSWORD, "factotum")
    fake.thread.join(20)


def test_token_is_sent_when_asked_for() -> None:
    sent: list[bytes] = []

    def talk(conn: Conn) -> None:
        conn.read()
        conn.write(b"kdf=none\n")
        known(conn)
        conn.write(b"STA")
        sent.append(conn.read())
        conn.write(b"OK")

    fake = Fake(talk)
    session = client.login(fake.dial, "bob", PASSWORD, pin=lambda: Secret("1234567"))
    session.close()
    fake.thread.join(20)
    assert sent == [b"STA1234567"]


@pytest.mark.parametrize(
    "address", ["", "tcp!", "unix!x", "tcp!x!y", "tcp!x!0", "tcp!x!65536", "udp!x!5356"]
)
def test_bad_address(address: str) -> None:
    with pytest.raises(UsageError):
        client.dial(address)


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    with pytest.raises(SecstoreError, match=rf"can't dial tcp!127.0.0.1!{port}: "):
        client.login(client.dial(f"tcp!127.0.0.1!{port}"), "bob", PASSWORD)
