"""A client of secstore: log in, fetch, store, list, remove, change the password.

with login(dial("tcp!host!5356"), "glenda", password) as session:
    data = session.get("factotum")
"""

import contextlib
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from mailfs.errors import UsageError
from mailfs.secret import Secret
from mailfs.secstore import pak, seal
from mailfs.secstore.conn import Conn
from mailfs.secstore.error import SecstoreError, SecstoreRefused, WrongPassword, shown
from mailfs.secstore.kdf import Cost, Stretch, stretch
from mailfs.secstore.seal import SealFormat, Unreadable
from mailfs.secstore.shelf import (
    MAX_FILE,
    MAX_FILES,
    StoredFile,
    good_name,
    parse_listing,
)

PORT = 5356
TIMEOUT = 120.0  # seconds for the login, and for each command after it
MAX_LISTING = MAX_FILES * 512  # octets
MAX_DIGITS = 12  # of a size on the wire

Dial = Callable[[], socket.socket]


def dial(address: str) -> Dial:
    """Make the dialler of an address: a host, or ``tcp!HOST[!PORT]``.

    Raises UsageError now, and SecstoreError when the server cannot be reached.
    """
    net, bang, rest = address.partition("!")
    host, _, port = rest.partition("!") if bang else (address, "", "")
    if (bang and net not in ("tcp", "net")) or not host:
        raise UsageError(f"{address}: not an address: want tcp!HOST!PORT")
    if port in ("", "secstore"):
        port = str(PORT)
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f"{address}: {port}: not a port")
    number = int(port)

    def connect() -> socket.socket:
        try:
            return socket.create_connection((host, number), TIMEOUT)
        except OSError as e:
            text = f"can't dial tcp!{host}!{number}: {e.strerror or e}"
            raise SecstoreError(text) from e

    return connect


def probe(connect: Dial, user: str) -> bool:
    """Whether the server has a usable account of that name; it logs nobody in.

    Raises SecstoreError, Refused among them: the server's own reason.
    """
    conn, _ = _begin(connect, user, TIMEOUT)
    with contextlib.closing(conn):
        conn.write(b"secstore\tPAK\nC=%s\nm=0\n" % user.encode())
        try:
            conn.read_message()
        except SecstoreRefused as e:
            return str(e) == "account exists"
    return False


def _begin(connect: Dial, user: str, limit: float) -> tuple[Conn, Stretch | None]:
    """Connect and ask how the account's password is stretched: None if it is not.

    A server that does not understand the question hangs up, and is dialled again.
    """
    conn = Conn(connect(), limit)
    try:
        conn.write(b"secstore\tKDF\nC=%s\n" % user.encode())
        (text,) = pak.fields(conn.read_message(), b"kdf=")
        return conn, None if text == b"none" else stretch(shown(text))
    except SecstoreRefused as e:
        conn.close()
        if str(e) != "protocol should start with ver alg":
            raise
        return Conn(connect(), limit), None
    except BaseException:
        conn.close()
        raise


def login(
    connect: Dial,
    user: str,
    password: Secret,
    *,
    pin: Callable[[], Secret] | None = None,
    random: pak.Random = secrets.token_bytes,
    limit: float = TIMEOUT,
) -> "SecstoreSession":
    """Return a session of the user.

    pin is asked for the PIN and token of an account that wants them; limit is in
    seconds, for the login and for each command.  Raises WrongPassword, Refused with
    the server's reason, and SecstoreError.
    """
    conn, kind = _begin(connect, user, limit)
    try:
        name = user.encode()
        inner = password if kind is None else kind.password(name, password)
        client = pak.PakClient(name, inner, random)
        conn.write(client.hello())
        try:
            answer, done = client.answer(conn.read_message())
        except WrongPassword:
            conn.write_error("verifier didn't match")
            raise
        conn.write(answer)
        conn.secret(done.secret, server=False)
        _admitted(conn, pin)
    except BaseException:
        conn.close()
        raise
    shared = _Login(conn, user, password, kind, random, limit)
    return SecstoreSession(shared, shown(done.server), client.word)


def _admitted(conn: Conn, pin: Callable[[], Secret] | None) -> None:
    reply = conn.read_message()
    if reply == b"STA":
        if pin is None:
            raise SecstoreError("the account wants a PIN and token")
        conn.write(b"STA" + pin().reveal())
        reply = conn.read_message()
    if reply != b"OK":
        raise SecstoreError(f"unexpected reply: {shown(reply)}")


@dataclass(frozen=True, slots=True)
class _Login:
    """What a session works with; kind is how the login's password was stretched."""

    conn: Conn
    user: str
    password: Secret
    kind: Stretch | None
    random: pak.Random
    limit: float


class SecstoreSession:
    """A logged-in connection.

    server is the name the server gives itself; word is the check word of the password.
    """

    def __init__(self, shared: _Login, server: str, word: str) -> None:
        self.server = server
        self.word = word
        self._conn = shared.conn
        self._user = shared.user
        self._password = shared.password
        self._kind = shared.kind
        self._random = shared.random
        self._limit = shared.limit

    def __enter__(self) -> "SecstoreSession":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Say goodbye and hang up."""
        with contextlib.suppress(SecstoreError):
            self._conn.write(b"BYE")
        self._conn.close()

    def _stored(self, name: str, most: int) -> bytes:
        """Return octets as the server has them."""
        self._conn.extend(self._limit)
        self._conn.write(b"GET %s\n" % name.encode())
        text = self._conn.read_message()
        if text.strip() == b"-1":
            raise FileMissing(f"remote file {name} does not exist")
        if not text.isdigit() or len(text) > MAX_DIGITS or int(text) > most:
            raise SecstoreError(f"implausible filesize for {name}")
        return self._conn.read_all(int(text))

    def list(self) -> list[StoredFile]:
        """List the stored files.  Raises SecstoreError."""
        raw = self._stored(".", MAX_LISTING)
        try:
            return parse_listing(raw.decode())
        except ValueError as e:
            raise SecstoreError("bad directory listing") from e

    def has(self, name: str) -> bool:
        """Whether there is such a file: asking for one that is not ends a session."""
        return any(e.name == name for e in self.list())

    def read(self, name: str) -> tuple[SealFormat, bytes]:
        """Fetch a file: the form it is stored in, and its clear octets.

        The form is proven: the password has opened it that way.  Raises FileMissing,
        after which the server has hung up, Unreadable and SecstoreError.
        """
        stored = self._stored(_checked(name), MAX_FILE)
        try:
            data = seal.unseal(stored, self._password, self._user, name)
        except Unreadable as e:
            raise Unreadable(f"{name}: {e}") from e
        return seal.form(stored), data

    def get(self, name: str) -> bytes:
        """Return a file's clear octets, whichever way it is stored; as read does."""
        return self.read(name)[1]

    def put(
        self,
        name: str,
        data: bytes,
        form: SealFormat = SealFormat.SEALED,
        cost: Cost | None = None,
    ) -> None:
        """Store a file; it has been read back, and is whole, when this returns.

        Raises SecstoreError.
        """
        name = _checked(name)
        if form is SealFormat.PLAN9:
            stored = seal.seal_plan9(data, self._password, self._random)
        else:
            price = cost or Cost()
            stored = seal.seal(
                data, self._password, self._user, name, price, self._random
            )
        if len(stored) > MAX_FILE:
            raise SecstoreError(f"{name}: over {MAX_FILE} octets")
        self._conn.extend(self._limit)
        self._conn.write(b"PUT %s\n" % name.encode())
        self._conn.write(b"%d" % len(stored))
        self._conn.write_all(stored)
        if self._stored(name, MAX_FILE) != stored:  # success is silent
            raise SecstoreError(f"{name}: not stored as it was sent")

    def remove(self, name: str) -> None:
        """Remove a file; it is gone when this returns.  Raises SecstoreError."""
        self._conn.extend(self._limit)
        self._conn.write(b"RM %s\n" % _checked(name).encode())
        if self.has(name):
            raise SecstoreError(f"{name}: not removed")

    def set_password(self, new: Secret) -> None:
        """Change what the account's login asks for; the files keep their password."""
        name = self._user.encode()
        inner = new if self._kind is None else self._kind.password(name, new)
        _, hi = pak.verifier(name, inner)
        self._conn.extend(self._limit)
        self._conn.write(b"CHPASS")
        self._conn.write(pak.b64(hi))
        self.list()  # success is silent


class FileMissing(SecstoreError):
    """There is no such file on the server."""


def _checked(name: str) -> str:
    if not good_name(name):
        raise SecstoreError(f"simple filenames, not {name!r}")
    return name


def fetch(connect: Dial, user: str, password: Secret, name: str) -> bytes:
    """Log in and return one file's clear octets.

    Raises WrongPassword, FileMissing and SecstoreError.
    """
    with login(connect, user, password) as session:
        return session.get(name)


def change(
    connect: Dial,
    user: str,
    old: Secret,
    new: Secret,
    *,
    cost: Cost | None = None,
    tell: Callable[[str], None] = lambda name: None,
) -> None:
    """Change the password of an account and of all its files.

    Every file is fetched and opened before anything changes.  They are stored anew,
    each in the form it had, by a login with the new password.  Raises SecstoreError;
    if that is half way, with the names of the files the old password still opens.
    """
    with login(connect, user, old) as session:
        names = [e.name for e in session.list()]
        files = {n: session.read(n) for n in names}
        session.set_password(new)
    left = list(files)
    try:
        with login(connect, user, new) as session:
            for name, (form, data) in files.items():
                tell(name)
                session.put(name, data, form, cost)
                left.remove(name)
    except SecstoreError as e:
        what = ", ".join(left)
        raise SecstoreError(f"{e}; still under the old password: {what}") from e
