"""The secstore server: one thread for each connection, so many at a time.

It keeps octets it cannot read.  Whoever has not logged in can make it do no more than
a few modular exponentiations, and ten wrong passwords close an account for a while.
"""

import logging
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from mailfs.errors import reason
from mailfs.poll import readable
from mailfs.secstore import pak
from mailfs.secstore.account import Account, Accounts, NoAccount
from mailfs.secstore.conn import Conn
from mailfs.secstore.error import SecstoreError, SecstoreRefused, WrongPassword, shown
from mailfs.secstore.shelf import MAX_FILE, Shelf, listing

log = logging.getLogger(__name__)

ENDING = (signal.SIGINT, signal.SIGTERM)  # what the main thread is ended by

LIMIT = 30 * 60.0  # seconds of one connection, secstored's own
LOGIN_LIMIT = 300.0  # seconds to log in; old clients ask for the password meanwhile
MAX_CONNECTIONS = 64  # at a time
MAX_PER_HOST = 8  # of them from one address
MAX_DIGITS = 12  # of a size on the wire

FIRST = b"secstore\tKDF\n"


class Failed(SecstoreError):
    """A command that could not be done; the client is told and cut off."""


class SecstoreServer:
    """Answers connections from the files below one directory."""

    def __init__(
        self,
        root: Path,
        name: str,
        *,
        clock: Callable[[], float] = time.time,
        random: pak.Random = secrets.token_bytes,
    ) -> None:
        """Name is what the server calls itself; clock gives seconds since the epoch."""
        self._accounts = Accounts(root)
        self._name = name.encode()
        self._clock = clock
        self._random = random
        self._lock = threading.Lock()
        self._hosts: dict[str, int] = {}

    def serve(self, listener: socket.socket, wake: socket.socket | None = None) -> None:
        """Answer what connects until the listener is closed, or wake can be read."""
        while True:
            try:
                if wake is not None:
                    ready = readable([listener.fileno(), wake.fileno()])
                    if wake.fileno() in ready:
                        return
                sock, address = listener.accept()
            except (OSError, ValueError):  # closed, before or during the wait
                return
            host = str(address[0])
            if not self._enter(host):
                log.warning("too many connections: %s", host)
                sock.close()
                continue
            self._start(sock, host)

    def _start(self, sock: socket.socket, host: str) -> None:
        """Serve a connection in a thread that no signal goes to.

        One that took a signal would leave this thread in accept, and the handler
        waiting for it.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        try:
            threading.Thread(
                target=self._connection, args=(sock, host), daemon=True
            ).start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _enter(self, host: str) -> bool:
        with self._lock:
            here = self._hosts.get(host, 0)
            if here >= MAX_PER_HOST or sum(self._hosts.values()) >= MAX_CONNECTIONS:
                return False
            self._hosts[host] = here + 1
            return True

    def _leave(self, host: str) -> None:
        with self._lock:
            self._hosts[host] -= 1
            if not self._hosts[host]:
                del self._hosts[host]

    def _connection(self, sock: socket.socket, host: str) -> None:
        log.info("secstore from %s", host)
        conn = Conn(sock, LOGIN_LIMIT)
        try:
            self.answer(conn)
        except SecstoreError as e:
            log.info("%s: %s", host, e)
        except OSError as e:
            log.error("%s: %s", host, reason(e))  # noqa: TRY400  ours, but no bug
        finally:
            conn.close()
            self._leave(host)

    def answer(self, conn: Conn) -> None:
        """Play the server's side of one connection.  Raises SecstoreError, OSError."""
        account = self._login(conn)
        if account is None:
            return
        conn.extend(LIMIT)
        log.info("AUTH %s", account.user)
        conn.write(b"OK")
        Commands(conn, account, self._accounts).run()

    def _login(self, conn: Conn) -> Account | None:
        """Return the account whose password the client knows; None for a mere probe."""
        try:
            message = conn.read_message()
            stretched = message.startswith(FIRST)
            if stretched:
                message = self._stretch(conn, message)
            said = pak.hello(message)
            if said.probe:
                self._usable(said, stretched=stretched)
                conn.write_error("account exists")
                return None
            return self._prove(conn, said, stretched=stretched)
        except SecstoreRefused:
            raise
        except SecstoreError as e:
            if not isinstance(e, WrongPassword):  # who fails to prove is told nothing
                conn.write_error(str(e))
            raise

    def _stretch(self, conn: Conn, message: bytes) -> bytes:
        """Answer how the account's password is stretched; return the next message."""
        (user,) = pak.fields(message.removeprefix(FIRST), b"C=")
        kind = self._accounts.usable(_name(user), self._clock()).stretch
        conn.write(f"kdf={kind or 'none'}\n".encode())
        return conn.read_message()

    def _usable(self, said: pak.Hello, *, stretched: bool) -> None:
        account = self._accounts.usable(_name(said.user), self._clock())
        self._fit(account, stretched=stretched)

    def _fit(self, account: Account, *, stretched: bool) -> None:
        if account.token:
            raise NoAccount("account wants a token, which this server cannot check")
        if account.stretch is not None and not stretched:
            raise NoAccount("account is not for Plan 9 clients; see mailfs secuser -9")

    def _prove(self, conn: Conn, said: pak.Hello, *, stretched: bool) -> Account:
        user = _name(said.user)
        self._usable(said, stretched=stretched)
        account = self._accounts.attempt(user, self._clock())
        server = pak.PakServer(self._name, said, account.hi, self._random)
        conn.write(server.reply())
        try:
            session = server.check(conn.read_message())
        except SecstoreError:
            log.warning("secstore denied for %s", account.user)
            raise
        self._accounts.succeeded(account)
        conn.secret(session.secret, server=True)
        return account


def _name(user: bytes) -> str:
    try:
        return user.decode()
    except UnicodeDecodeError as e:
        raise NoAccount("account does not exist") from e


class Commands:
    """What a client may ask once it has logged in; success is silent but for GET."""

    def __init__(self, conn: Conn, account: Account, accounts: Accounts) -> None:
        self._conn = conn
        self._account = account
        self._accounts = accounts
        self._shelf = Shelf(accounts.files(account.user))

    def run(self) -> None:
        """Do commands until BYE.  Raises SecstoreError and OSError."""
        verbs = {"GET": self._get, "PUT": self._put, "RM": self._remove}
        while True:
            line = self._conn.read_message().removesuffix(b"\n")
            log.info("[%s] %s", self._account.user, shown(line))
            verb, _, name = line.decode("utf-8", "replace").partition(" ")
            if verb == "BYE":
                return
            if verb == "CHPASS":
                self._change_password()
            elif verb in verbs:
                try:
                    verbs[verb](name)
                except (OSError, SecstoreError) as e:
                    self._conn.write_error("operation failed")
                    why = reason(e) if isinstance(e, OSError) else str(e)
                    raise Failed(f"failed {verb} {shown(name.encode())}: {why}") from e
            else:
                self._conn.write_error("unrecognized operation")
                raise Failed("unrecognized operation")

    def _get(self, name: str) -> None:
        try:
            if name == ".":
                data = listing(self._shelf.entries()).encode()
            else:
                data = self._shelf.get(name)
        except OSError:
            self._conn.write(b"-1")
            raise
        except SecstoreError:
            self._conn.write(b"-3")
            raise
        self._conn.write(b"%d" % len(data))
        self._conn.write_all(data)

    def _put(self, name: str) -> None:
        text = self._conn.read_message().strip()
        if not text.isdigit() or len(text) > MAX_DIGITS or int(text) > MAX_FILE:
            raise SecstoreError("implausible filesize")
        self._shelf.put(name, self._conn.read_all(int(text)))

    def _remove(self, name: str) -> None:
        try:
            self._shelf.remove(name)
        except OSError as e:
            self._conn.write_error(f"remove failed: {reason(e)}")
            raise

    def _change_password(self) -> None:
        try:
            hi = pak.element(self._conn.read_message().strip())
            self._accounts.set_verifier(self._account, hi)
        except (SecstoreError, OSError):
            self._conn.write_error("protocol botch while setting PAK")
            raise
        log.info("password of %s changed", self._account.user)
