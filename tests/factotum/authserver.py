"""An authentication server for tests: tickets by DES, or after an exchange."""

import socket
import threading
from collections.abc import Callable, Sequence

from mailfs.factotum import deskey
from mailfs.factotum.authpak import SIZE, aeskey, begin, masks
from mailfs.factotum.ticket import (
    FORM0,
    FORM1,
    PAK,
    TC,
    TICKETREQ,
    TREQ,
    TS,
    Ticket,
    TicketForm,
    Ticketreq,
)


class AuthServer:
    """Knows passwords; whoever it does not know gets tickets under a random key."""

    def __init__(self, users: dict[str, str], random: Callable[[int], bytes]) -> None:
        self.users = users
        self.random = random
        self.asked: list[str] = []
        self.lie = b""  # a challenge to put into tickets instead of the right one

    def ask(self, dom: str, dialogue: Sequence[tuple[bytes, int]]) -> list[bytes]:
        """Answer a dialogue on one connection."""
        self.asked.append(dom)
        keys: dict[str, bytes] = {}
        replies = []
        for request, size in dialogue:
            reply = self.reply(request, keys)
            assert len(reply) == size
            replies.append(reply)
        return replies

    def reply(self, request: bytes, keys: dict[str, bytes]) -> bytes:
        req = Ticketreq.unpack(request[:TICKETREQ])
        if req.type == PAK:
            halves = request[TICKETREQ:]
            return b"".join(
                self._exchange(keys, name, halves[at : at + SIZE])
                for name, at in ((req.authid, 0), (req.hostid, SIZE))
            )
        assert req.type == TREQ
        if keys:
            return self._tickets(req, FORM1, keys[req.hostid], keys[req.authid])
        client, server = (
            deskey.passtokey(self._password(name)) for name in (req.hostid, req.authid)
        )
        return self._tickets(req, FORM0, client, server)

    def _password(self, name: str) -> bytes:
        known = self.users.get(name)
        return self.random(16) if known is None else known.encode()

    def _exchange(self, keys: dict[str, bytes], name: str, half: bytes) -> bytes:
        mine = masks(aeskey(self._password(name)), name)
        pak = begin(mine, self.random, initiator=False)
        keys[name] = pak.finish(half)
        return pak.y

    def _tickets(
        self, req: Ticketreq, form: TicketForm, client: bytes, server: bytes
    ) -> bytes:
        chal, key = self.lie or req.chal, self.random(form.key)
        return b"".join(
            form.seal_ticket(
                Ticket(num, chal, req.uid, req.uid, key), secret, self.random(4)
            )
            for num, secret in ((TC, client), (TS, server))
        )


class Listener:
    """A socket that sends a script's replies, each after the octets it waits for."""

    def __init__(self, script: Sequence[tuple[int, bytes]]) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp!127.0.0.1!{self._socket.getsockname()[1]}"
        self._script = script
        self.heard = b""
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        conn, _ = self._socket.accept()
        with conn:
            for want, reply in self._script:
                while want > 0 and (data := conn.recv(want)):
                    self.heard += data
                    want -= len(data)
                conn.sendall(reply)

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *exc: object) -> None:
        self._thread.join()
        self._socket.close()
