"""The authentication server: how it is found and asked; authsrv(6)."""

import socket
from collections.abc import Callable, Sequence

from mailfs.errors import MailfsError
from mailfs.factotum.ticket import ERR, ERRLEN, OK
from mailfs.ndb.parse import entries

PORT = 567  # service ticket
TIMEOUT = 30.0  # seconds for each wait
Ask = Callable[[str, Sequence[tuple[bytes, int]]], list[bytes]]


class AuthUnreachable(MailfsError):
    """No authentication server is known or answers; keys may do without it."""


def asker(
    locate: Callable[[str], str],
    dial: Callable[..., socket.socket] = socket.create_connection,
) -> Ask:
    """Make a function that asks the authentication server of a domain.

    locate gives its host, perhaps ``tcp!HOST!PORT``, or "".  The function takes
    the domain and a dialogue: requests, each with the size of what follows the OK
    octet of its reply; it blocks, and raises Unreachable before the first octet of a
    reply and MailfsError after.
    """

    def ask(dom: str, dialogue: Sequence[tuple[bytes, int]]) -> list[bytes]:
        host, port = _address(locate(dom))
        if not host:
            raise AuthUnreachable(f"no authentication server for {dom}")
        try:
            conn = dial((host, port), timeout=TIMEOUT)
        except OSError as e:
            raise AuthUnreachable(f"{host}: {e.strerror or e}") from None
        try:
            with conn:
                return [_exchange(conn, request, size) for request, size in dialogue]
        except OSError as e:
            raise MailfsError(f"{host}: {e.strerror or e}") from None

    return ask


def locate(database: str, dom: str) -> str:
    """Return the authentication server of a domain: its ``auth``, or "".

    Entries with ``authdom=DOM`` come before those with ``dom=DOM``; database is the
    text of an ndb(6) file.
    """
    found = entries(database)
    for attr in ("authdom", "dom"):
        for entry in found:
            pairs = dict(entry)
            if (attr, dom) in entry and "auth" in pairs:
                return pairs["auth"]
    return ""


def _address(where: str) -> tuple[str, int]:
    if not where.startswith("tcp!"):
        return where, PORT
    _, host, *rest = where.split("!")
    port = rest[0] if rest else ""
    return host, int(port) if port.isdecimal() else PORT


def _exchange(conn: socket.socket, request: bytes, size: int) -> bytes:
    conn.sendall(request)
    kind = _receive(conn, 1)[0]
    if kind == OK:
        return _receive(conn, size)
    if kind == ERR:
        text = _receive(conn, ERRLEN).partition(b"\0")[0]
        shown = "".join(c for c in text.decode(errors="replace") if c.isprintable())
        raise MailfsError(f"remote: {shown}")
    raise MailfsError("AS protocol botch")


def _receive(conn: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        chunk = conn.recv(size - len(data))
        if not chunk:
            raise MailfsError("authentication server hung up")
        data += chunk
    return bytes(data)
