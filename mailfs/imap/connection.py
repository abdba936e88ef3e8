"""A connection from its opening to its end: login, extensions, and what comes unasked.

Blocking, for one thread at a time.  A broken connection is OSError and it is of no
more use; a refusal is ImapError and it goes on.
"""

import logging
import time
from typing import Self

from mailfs.factotum.client import Factotum
from mailfs.imap import greet, ident, quirks
from mailfs.imap.account import Account
from mailfs.imap.changes import Changes, Tracker
from mailfs.imap.error import ImapError, broken
from mailfs.imap.fetched import fetched
from mailfs.imap.folder import Selected, small
from mailfs.imap.folders import read_status
from mailfs.imap.grammar import flags as flag
from mailfs.imap.grammar.names import Literal, astring, encode
from mailfs.imap.grammar.ranges import MAX_UID, BadRanges, Ranges
from mailfs.imap.grammar.tokens import Malformed
from mailfs.imap.greet import capabilities
from mailfs.imap.idle import Idle
from mailfs.imap.line import Clock
from mailfs.imap.login import login
from mailfs.imap.wire import NONSYNC, Status, named, status
from mailfs.remote.stream import Dial, Opened, Stream, tcp
from mailfs.tls.trust import Trust

log = logging.getLogger(__name__)

TIMEOUT = 60.0  # seconds a server may be silent when it should speak
ENABLE = ("CONDSTORE", "QRESYNC", "UTF8=ACCEPT")


# Codes that tell what a command has done.
_ANSWERS = frozenset({"COPYUID", "APPENDUID", "MODIFIED"})


def _nothing(stream: Stream) -> None:
    """Leave a stream to itself."""


class ImapConnection:
    """What a Session stands on; made by open.

    user          who is logged in, as the server was told; empty if only it knows
    server        host/service, for errors
    greeting      the server's first words
    capabilities  upper case, as announced after login
    enabled       extensions in force
    quirks        what is odd about the server
    """

    def __init__(self, found: greet.Greeted) -> None:
        self.wire = found.wire
        self.server = found.wire.server
        self.greeting = found.greeting.text
        self.capabilities = found.capabilities
        self.quirks = quirks.find(self.greeting, found.capabilities)
        self._compress: bool | None = None
        self.user = ""
        self.enabled: frozenset[str] = frozenset()
        self.selected: Selected | None = None
        self._tracker = Tracker()
        self._idle = Idle(self.wire)
        self._selecting: Selected | None = None
        self._told: dict[str, bytes] = {}  # response codes that answer a command
        # Octets of folders whose name encode cannot give back; an account shares them.
        self.names: dict[str, bytes] = {}
        self.wire.hear = self._hear

    # Opening

    @classmethod
    def open(
        cls,
        account: Account,
        keys: Factotum,
        trust: Trust,
        *,
        clock: Clock = time.monotonic,
        timeout: float = TIMEOUT,
        dial: Dial = tcp,
        opened: Opened = _nothing,
        clear: bool = False,
        compress: bool | None = None,
    ) -> Self:
        """Connect and log in.

        clear allows a password to be sent to another machine without TLS; compress
        says whether COMPRESS is used, None leaves it to the line's speed.  opened is
        given the connection as soon as there is one.  Raises
        OSError if the line breaks or cannot be had, Untrusted, TlsError, ImapError
        (LoginRefused for a refused key) and FactotumError (NeedKey if none is there).
        """
        found = greet.connect(
            account,
            trust,
            _nobody,
            dialer=dial,
            opened=opened,
            timeout=timeout,
            clock=clock,
        )
        try:
            greet.ask(found)
            session = cls(found)
            session._login(found, account, keys, clear=clear)
            session._compress = compress
            if compress:
                session.compress()
        except BaseException:
            found.wire.close()
            raise
        return session

    def _login(
        self, found: greet.Greeted, account: Account, keys: Factotum, *, clear: bool
    ) -> None:
        if found.greeting.kind == "PREAUTH":
            self.user = account.user or ""
            self._begin()
            return
        eager: list[bytes] = []

        def send() -> None:
            if self.quirks.pipeline:
                eager.extend(self._introduce(found.capabilities, blind=True))

        before, self.capabilities = self.capabilities, frozenset()
        try:
            self.user = login(
                found, account, keys, clear=clear, ir=self.quirks.ir, eager=send
            )
        except ImapError:
            self.wire.forget(eager)
            raise
        if not self.capabilities:  # the server did not tell them by itself
            self.capabilities = before
            self.wire.command(b"CAPABILITY")
        self._begin(eager)

    def _introduce(self, caps: frozenset[str], *, blind: bool = False) -> list[bytes]:
        """Ask for the extensions we use, and say who we are; the commands' tags.

        blind asks for what has not been announced: unknown ones are ignored, RFC 5161.
        """
        tags = []
        wanted = [name for name in ENABLE if blind or name in caps]
        if "ENABLE" in caps and wanted:
            tags.append(self.wire.send(b"ENABLE ", " ".join(wanted).encode()))
        if "ID" in caps:
            tags.append(self.wire.send(ident.COMMAND))
        return tags

    def _begin(self, introduced: list[bytes] | None = None) -> None:
        """Settle what the server can do, and switch on what we use of it."""
        self._settle(self.greeting)
        for tag in introduced or self._introduce(self.capabilities):
            raws = self.wire.collect(tag, named(b"ENABLED", b"ID"))
            try:
                self.wire.finish(tag)
            except ImapError as e:
                log.debug("%s", e)  # nothing is in force then; all can be done without
                continue
            for raw in raws:
                if raw[2:10].upper() == b"ENABLED ":
                    self.enabled |= capabilities(raw[10:])
                else:
                    self._settle(f"{self.greeting} {ident.words(ident.read(raw))}")
        if "QRESYNC" in self.enabled:
            self.enabled |= {"CONDSTORE"}  # RFC 7162 section 3.2.3

    def _settle(self, words: str) -> None:
        """Find out whom we speak with."""
        self.quirks = quirks.find(words, self.capabilities)
        self.capabilities -= self.quirks.lacks
        self._tracker = Tracker(numbers=self.quirks.numbers)
        if "LITERAL+" in self.capabilities:
            self.wire.literal = -1
        elif self.capabilities & {"LITERAL-", "IMAP4REV2"}:
            self.wire.literal = NONSYNC

    # What comes unasked

    def _hear(self, raw: bytes) -> None:
        """Take a response that is no answer."""
        words = raw.split(b" ", 3)
        kind = words[1].upper() if len(words) > 1 else b""
        if kind.isdigit() and len(words) > 2:
            self._hear_number(int(kind[:10]), words[2].upper(), raw)
        elif kind == b"VANISHED":
            self._hear_vanished(raw[11:])
        elif kind == b"CAPABILITY":
            self.capabilities = capabilities(raw[13:]) - self.quirks.lacks
        elif kind == b"STATUS":
            told = read_status(raw, utf8=self.utf8)
            if told is not None:
                self._tracker.folder(*told)
        elif kind == b"FLAGS" and self._selecting is not None:
            self._selecting.flags = flag.parse(raw[8:].strip(b"() ").split())
        elif kind in (b"OK", b"NO", b"BAD"):
            said = status(raw)
            if said is not None:
                self._hear_code(said)

    def _hear_number(self, number: int, kind: bytes, raw: bytes) -> None:
        tracker = self._tracker
        if kind == b"EXISTS":
            tracker.count(number)
        elif kind == b"EXPUNGE":
            tracker.expunge(number)
        elif kind == b"FETCH":
            self._hear_fetch(raw)

    def _hear_fetch(self, raw: bytes) -> None:
        row = fetched(raw)
        if row is None:
            return
        try:
            uid, flags, modseq = row.uid, row.flags, row.modseq
        except Malformed:
            self._tracker.doubt()
            return
        if uid is not None:
            self._tracker.met(row.number, uid)
        if flags is not None:
            self._tracker.flag(row.number, uid, flags, modseq)

    def _hear_vanished(self, text: bytes) -> None:
        earlier = text[:10].upper() == b"(EARLIER) "
        try:
            uids = Ranges.parse(text[10:].strip() if earlier else text.strip())
        except BadRanges:
            self._tracker.doubt()
            return
        self._tracker.vanish(uids, earlier=earlier)

    def _hear_code(self, said: Status) -> None:
        if said.code == "CAPABILITY":
            self.capabilities = capabilities(said.args) - self.quirks.lacks
        elif said.code in _ANSWERS:
            self._told[said.code] = said.args
        elif self._selecting is not None:
            if said.code == "CLOSED":  # what comes before it is the old folder's
                self._tracker.reset()
            self._selecting.code(said.code, said.args)
        elif said.code == "UIDVALIDITY" and self.selected is not None:
            told = small(said.args, MAX_UID)
            if told and told != self.selected.uidvalidity:
                raise broken(self.server, "uidvalidity changed")
        elif said.code == "NOTIFICATIONOVERFLOW":  # RFC 5465 section 5.8
            self._tracker.doubt()

    def changes(self) -> Changes:
        """Take the changes of the selected folder since last asked."""
        return self._tracker.take()

    @property
    def utf8(self) -> bool:
        """Whether names are UTF-8 on the wire."""
        return "UTF8=ACCEPT" in self.enabled

    def name(self, folder: str) -> bytes | Literal:
        """Return a folder's name as a command carries it."""
        return astring(self.names.get(folder) or encode(folder, utf8=self.utf8))

    def compress(self) -> bool:
        """Compress from here on, if the server can; RFC 4978."""
        line = self.wire.line
        if "COMPRESS=DEFLATE" not in self.capabilities or line.compressed:
            return line.compressed
        self._idle.end()
        self.wire.drain()
        self.wire.command(b"COMPRESS DEFLATE")
        reader = self.wire.reader
        reader.unread(line.start_compress(reader.rest()))
        return True

    def _much(self) -> None:
        """Make ready for an answer that may be long."""
        self._idle.end()
        if self._compress is None and self.wire.line.slow:
            self.compress()

    # Ending

    def logout(self) -> None:
        """Say goodbye and hang up; a broken line is no error here."""
        try:
            self._idle.end()
            self.wire.command(b"LOGOUT")
        except (OSError, ImapError) as e:
            log.debug("%s", e)
        finally:
            self.drop()

    @property
    def alive(self) -> bool:
        """Whether the connection has not been given up; the server may know better."""
        return self.wire.line.fileno() >= 0

    def drop(self) -> None:
        """Hang up without a word."""
        self.wire.close()


def _nobody(raw: bytes) -> None:
    """Hear what comes before there is a session; nothing of it matters."""
