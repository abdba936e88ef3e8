"""Servers that say what a test wants: for answers that no real one gives on demand.

A play is a function that gets a Talk for one connection.  ``imap`` makes one from a
table of commands and their answers::

    with Scripted(imap({"UID SEARCH .*": ["* SEARCH 1 2", "$ OK done"]})) as server:
        ...connect to server.port...
"""

import re
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

from tests.net.proxy import shut

PATIENCE = 20.0  # seconds a server waits for its client
_LITERAL = re.compile(rb"\{([0-9]+)(\+?)\}\r\n\Z")


class Gone(Exception):
    """The client has hung up."""


class Talk:
    """The server's end of one connection."""

    def __init__(self, sock: socket.socket, heard: list[str]) -> None:
        self.sock = sock
        self._file = sock.makefile("rb")
        self._heard = heard

    def send(self, *lines: str | bytes) -> None:
        """Send lines; those of bytes as they are, others with CRLF after them."""
        octets = [x if isinstance(x, bytes) else x.encode() + b"\r\n" for x in lines]
        self.sock.sendall(b"".join(octets))

    def line(self) -> str:
        """Return the client's next line, with the literals in it; raises Gone."""
        text = b""
        while True:
            text += self._file.readline()
            if not text.endswith(b"\n"):
                raise Gone
            m = _LITERAL.search(text)
            if m is None:
                break
            if not m[2]:
                self.send("+ go on")
            text += self._file.read(int(m[1]))
        found = text.decode("latin-1").rstrip("\r\n")
        self._heard.append(found)
        return found

    def command(self, pattern: str = ".*") -> tuple[str, str]:
        """Return the tag and the words of the next command, which must match."""
        tag, _, words = self.line().partition(" ")
        assert re.fullmatch(pattern, words, re.DOTALL), words
        return tag, words

    def answer(self, tag: str, lines: Sequence[str | bytes]) -> None:
        """Send lines in which a $ at the beginning stands for the tag."""
        self.send(
            *(
                tag + x[1:] if isinstance(x, str) and x.startswith("$") else x
                for x in lines
            )
        )

    def close(self) -> None:
        """Hang up."""
        shut(self.sock)


Play = Callable[[Talk], None]
Answer = Sequence[str | bytes] | Callable[[Talk, str, str], None]


class Scripted:
    """Listens on loopback while entered; each connection gets the next play.

    The last play goes on for all that follow.  What goes wrong in a play is raised
    when the block is left.  ``heard`` has every line of every client.
    """

    def __init__(self, *plays: Play) -> None:
        self._plays = plays
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.heard: list[str] = []
        self.connections = 0
        self._failures: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._socks: list[socket.socket] = []

    def __enter__(self) -> "Scripted":
        self._spawn(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shut(self._listener)
        self._listener.close()
        for sock in self._socks:
            shut(sock)
        for thread in self._threads:
            thread.join()
        for sock in self._socks:
            sock.close()
        if kind is None and self._failures:
            raise self._failures[0]

    def said(self, pattern: str) -> list[str]:
        """Return the commands, without tags, that match."""
        words = [line.partition(" ")[2] for line in self.heard]
        return [w for w in words if re.fullmatch(pattern, w, re.DOTALL)]

    def _spawn(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(PATIENCE)
            play = self._plays[min(self.connections, len(self._plays) - 1)]
            self.connections += 1
            self._socks.append(sock)
            self._spawn(self._play, play, sock)

    def _play(self, play: Play, sock: socket.socket) -> None:
        talk = Talk(sock, self.heard)
        try:
            play(talk)
        except (Gone, OSError):
            pass
        except BaseException as e:  # noqa: BLE001  # raised where the test sees it
            self._failures.append(e)
        finally:
            shut(sock)
            talk._file.close()


CAPABILITIES = (
    "IMAP4rev1 AUTH=PLAIN SASL-IR LITERAL+ ID ENABLE IDLE UIDPLUS MOVE ESEARCH"
)
OPENED = (
    r"* FLAGS (\Answered \Flagged \Deleted \Seen \Draft)",
    r"* OK [PERMANENTFLAGS (\Answered \Flagged \Deleted \Seen \Draft \*)] Limited",
    "* 3 EXISTS",
    "* 0 RECENT",
    "* OK [UIDVALIDITY 7] UIDs valid",
    "* OK [UIDNEXT 40] Predicted next UID",
    "$ OK [READ-WRITE] Selected",
)


def _idle(talk: Talk, tag: str, _: str) -> None:
    talk.send("+ idling")
    assert talk.line() == "DONE"
    talk.send(f"{tag} OK idled")


def _logout(talk: Talk, tag: str, _: str) -> None:
    talk.send("* BYE so long", f"{tag} OK gone")
    raise Gone


_USUAL: dict[str, Answer] = {
    "CAPABILITY": ["* CAPABILITY @caps", "$ OK done"],
    "(AUTHENTICATE PLAIN|LOGIN) .*": ["$ OK [CAPABILITY @caps] logged in"],
    "ENABLE .*": ["* ENABLED", "$ OK done"],
    "ID .*": ["* ID NIL", "$ OK done"],
    "(SELECT|EXAMINE) .*": OPENED,
    "NOOP": ["$ OK done"],
    "IDLE": _idle,
    "LOGOUT": _logout,
    ".*": ["$ OK done"],
}


def imap(
    answers: Mapping[str, Answer] | None = None,
    *,
    capabilities: str = CAPABILITIES,
    greeting: str = "* OK [CAPABILITY @caps] ready",
) -> Play:
    """Return a play: greet, then answer commands from a table, asked in its order.

    Keys are patterns of whole commands.  In answers, a $ at the beginning of a line
    stands for the tag and @caps for the capabilities.
    """
    table = {**(answers or {}), **_USUAL}
    for key in answers or {}:  # a key of ours may hide one of the usual
        table[key] = (answers or {})[key]

    def fill(line: str | bytes) -> str | bytes:
        return line.replace("@caps", capabilities) if isinstance(line, str) else line

    def play(talk: Talk) -> None:
        talk.send(fill(greeting))
        while True:
            tag, words = talk.command()
            row = next(k for k in table if re.fullmatch(k, words, re.DOTALL))
            found = table[row]
            if callable(found):
                found(talk, tag, words)
            else:
                talk.answer(tag, [fill(line) for line in found])

    return play
