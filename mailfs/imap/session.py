"""One logged-in connection, with at most one folder selected: all that can be asked.

What the server tells unasked, in the middle of whatever, is gathered and waits in
changes().
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from mailfs.imap import folders
from mailfs.imap.account import INBOX
from mailfs.imap.bodies import BodyFetch, BodyRequest, FetchedPiece
from mailfs.imap.changes import Flagged, FolderStatus
from mailfs.imap.columns import ITEMS, MAX_ROWS, FetchedColumns, Reading
from mailfs.imap.connection import ImapConnection
from mailfs.imap.error import ImapError
from mailfs.imap.fetched import fetched
from mailfs.imap.folder import Known, Selected, small
from mailfs.imap.folders import FolderInfo
from mailfs.imap.grammar import search
from mailfs.imap.grammar.date import show as show_date
from mailfs.imap.grammar.flags import Flags, System
from mailfs.imap.grammar.names import Literal, Upload, astring
from mailfs.imap.grammar.ranges import MAX_UID, BadRanges, Ranges
from mailfs.imap.grammar.structure import Structure
from mailfs.imap.grammar.structure import parse as parse_structure
from mailfs.imap.grammar.tokens import Malformed
from mailfs.imap.heads import HeadFetch
from mailfs.imap.transfer import StoredUids, append_limit, copied, header
from mailfs.imap.window import MAX_SET
from mailfs.imap.wire import named

ENOUIDPLUS = "server can expunge only all deleted messages, not just these"
MAX_SEARCHED = 300_000  # messages whose uids SEARCH names in a line of MAX_LINE
MAX_KNOWN = 4000  # octets of the known uids in SELECT; more are left for it to guess


class ImapSession(ImapConnection):
    """A connection on which folders are selected, read and changed.

    rejected  rows of the last columns() that name no message: its number, and why
    """

    rejected: Mapping[int, str] = MappingProxyType({})

    # Folders

    def select(
        self, folder: str, known: Known | None = None, *, readonly: bool = False
    ) -> Selected:
        """Select a folder; with known, learn what happened to it since.

        readonly opens it by EXAMINE.  Raises ImapError if it cannot be had; before
        that, LIST is asked whether it goes by other octets than its name's.
        """
        try:
            return self._select(folder, known, readonly)
        except ImapError as e:
            if not (e.kind and e.permanent) or folder == INBOX or folder in self.names:
                raise
            self.folders()
            if folder not in self.names:
                raise
        return self._select(folder, known, readonly)

    def _select(self, folder: str, known: Known | None, readonly: bool) -> Selected:
        found = Selected(folder, readonly)
        verb = b"EXAMINE " if readonly else b"SELECT "
        parts: list[bytes | Literal] = [verb, self.name(folder)]
        resync = self._resync(known)
        if resync:
            parts.append(resync)
        elif "CONDSTORE" in self.capabilities:
            parts.append(b" (CONDSTORE)")
        self._idle.end()
        self._tracker.reset()
        self._selecting, self.selected = found, None
        try:
            self.wire.command(*parts)
        finally:
            self._selecting = None
        self.selected = found
        found.exists = self._tracker.exists
        news = self._tracker.take()
        valid = known is not None and known.uidvalidity == found.uidvalidity
        found.resynced = bool(resync) and valid and found.uidvalidity > 0
        found.resynced &= found.modseq is not None
        if found.resynced:
            found.vanished = news.vanished
            found.changed = list(news.flagged)
        return found

    def _resync(self, known: Known | None) -> bytes:
        """Return the QRESYNC parameter; RFC 7162 section 3.2.5."""
        if known is None or "QRESYNC" not in self.enabled or not known.modseq:
            return b""
        text = f" (QRESYNC ({known.uidvalidity} {known.modseq}"
        uids = str(known.uids)
        if uids and len(uids) <= MAX_KNOWN:
            text += f" {uids}"
        return text.encode() + b"))"

    # Reading

    def columns(self, uids: Ranges | str = "1:*") -> FetchedColumns:
        """Fetch uid, size, date and flags of messages, by uid.

        uids may be ``N:*``; rows below N, which servers add, are left out.
        """
        text = str(uids)
        if not text:
            return FetchedColumns()
        self.rejected = {}
        return self._rows(text, b" (" + ITEMS + b")", (b"UID", b"RFC822.SIZE"))

    def _rows(
        self, uids: str, what: bytes, required: tuple[bytes, ...]
    ) -> FetchedColumns:
        every = uids.endswith("*")
        if every and self._tracker.counted and not self._tracker.exists:
            return FetchedColumns()  # some servers refuse to tell of no messages
        self._much()
        self.wire.line.begin_flow()
        tag = self.wire.send(b"UID FETCH ", uids.encode(), what)
        tracker = self._tracker
        most = tracker.exists if tracker.counted else MAX_ROWS
        reading = Reading(required, tracker.meet, tracker.answered, most)
        try:
            reading.run(self.wire, tag)
        finally:
            self.wire.line.end_flow()
        self.rejected = {**self.rejected, **reading.rejected}
        try:
            self.wire.finish(tag)
        except ImapError as e:
            if not (every and e.kind and e.permanent and not self._tracker.exists):
                raise
        least = int(uids.partition(":")[0]) if every else 1
        return reading.columns.tidy(least)

    def flags(self, uids: Ranges | str = "1:*", since: int = 0) -> FetchedColumns:
        """Return the flags of messages, sizes and dates left 0, by uid.

        since is a modification: only what changed after it is given (CONDSTORE).
        """
        text = str(uids)
        if not text:
            return FetchedColumns()
        what = b" (UID FLAGS)"
        if since:
            what += b" (CHANGEDSINCE %d)" % since
        return self._rows(text, what, (b"UID", b"FLAGS"))

    def uids(self) -> Ranges:
        """Return the uids of all messages."""
        self._idle.end()
        extended = bool(self.capabilities & {"ESEARCH", "IMAP4REV2"})
        found = None
        if extended or self._tracker.exists <= MAX_SEARCHED:
            command = b"UID SEARCH "  # UID 1:*, for ALL confuses iCloud
            command += b"RETURN (ALL) UID 1:*" if extended else b"UID 1:*"
            try:
                raws, _ = self.wire.ask(named(b"ESEARCH", b"SEARCH"), command)
                found = search.read(raws)
            except ImapError as e:
                if not e.kind or not e.permanent:
                    raise
        if found is None or len(found) != self._tracker.exists:
            # What is left out need not have gone: another question, before it is
            # believed.
            found = Ranges.of(self._rows("1:*", b" (UID)", (b"UID",)).uids)
        self._tracker.learn(found)
        return found

    def search(self, key: Sequence[bytes | str]) -> Ranges:
        """Return the uids of the messages that a search key finds.

        key is in pieces as they are sent: atoms with the blanks around them, and texts.
        Raises ImapError if the server has no such key.
        """
        self._idle.end()
        command = b"UID SEARCH "
        if self.capabilities & {"ESEARCH", "IMAP4REV2"}:
            command += b"RETURN (ALL) "
        if not all(one.isascii() for one in key):
            command += b"CHARSET UTF-8 "
        parts: list[bytes | Literal] = [command]
        parts += [
            one if isinstance(one, bytes) else astring(one.encode(errors="replace"))
            for one in key
        ]
        raws, _ = self.wire.ask(named(b"ESEARCH", b"SEARCH"), *parts)
        found = search.read(raws)
        return Ranges() if found is None else found

    def heads(
        self,
        uids: Ranges | Iterable[int],
        fields: Sequence[str] = (),
        *,
        structure: bool = True,
    ) -> HeadFetch:
        """Ask for header fields (all, if none are named) and structures, newest first.

        Iterated once, the result gives them; messages that have gone are passed over.
        """
        wanted = uids if isinstance(uids, Ranges) else Ranges.of(uids)
        self._much()
        return HeadFetch(self.wire, wanted, fields, structure=structure)

    def fetch(self, requests: Sequence[BodyRequest]) -> Iterator[FetchedPiece]:
        """Give the octets asked for, in pieces, in whatever order they come."""
        self._much()
        return BodyFetch(self.wire, requests).run()

    def structure(self, uid: int) -> Structure:
        """Return a message's parts.

        Raises Malformed if the server's word is of no use, ImapError (NONEXISTENT) if
        the message has gone.
        """
        self._idle.end()
        raws, _ = self.wire.ask(
            lambda raw: _structure(raw, uid) is not None,
            b"UID FETCH ",
            b"%d" % uid,
            b" (UID BODYSTRUCTURE)",
        )
        found = _structure(raws[-1], uid) if raws else None
        if not found:
            raise ImapError(self.server, "no such message", code="NONEXISTENT")
        return parse_structure(found)

    # Waiting

    def wait(self, timeout: float, wake: int | None = None) -> bool:
        """Wait for news of the selected folder; True if there is some.

        Ends after timeout seconds, and at once when the descriptor wake can be read.
        Uses IDLE if the server has it, else only hears what comes by itself.
        """
        if self._tracker.pending:
            return True
        idle = "IDLE" in self.capabilities
        self._idle.run(timeout, wake, lambda: self._tracker.pending, idle=idle)
        return self._tracker.pending

    @property
    def pending(self) -> bool:
        """Whether the server has told news that changes has not given yet."""
        return self._tracker.pending

    def noop(self) -> None:
        """Give the server an occasion to tell what changed."""
        self._idle.end()
        self.wire.command(b"NOOP")

    def notify(self) -> None:
        """Have the server tell of every folder of the user's; RFC 5465.

        News of other folders come in Changes.folders.
        """
        self._idle.end()
        events = b"(MessageNew MessageExpunge FlagChange)"
        self.wire.command(
            b"NOTIFY SET (selected " + events + b") (personal " + events + b")"
        )

    # Changing messages

    def store(
        self, uids: Ranges, sign: str, flags: Flags, unchangedsince: int = 0
    ) -> StoredUids:
        """Add (+) or remove (-) exactly these flags; all others stay as they are.

        With unchangedsince, messages modified later are left alone and named in the
        result (CONDSTORE).  Raises ImapError if the server refuses, after what part
        of a large set it may have done.
        """
        words = " ".join(flags.words()).encode("ascii")
        done: list[Flagged] = []
        modified = Ranges()
        if not words:
            return StoredUids(done, modified)
        condition = b" (UNCHANGEDSINCE %d)" % unchangedsince if unchangedsince else b""
        self._idle.end()
        for part in uids.chunks(MAX_SET):
            self._told.clear()
            told = dict.fromkeys(part, Flagged(0, flags))
            tag = self.wire.send(
                b"UID STORE " + str(part).encode() + condition,
                b" " + sign.encode() + b"FLAGS (" + words + b")",
            )
            self.wire.collect(tag, lambda raw, told=told: self._answers(raw, told))  # type: ignore[misc]
            self.wire.finish(tag)
            done += [one for one in told.values() if one.uid]
            modified |= self._told_ranges("MODIFIED")
        return StoredUids(done, modified)

    def _answers(self, raw: bytes, told: dict[int, Flagged]) -> bool:
        """Note in told the flags that a response names, if it answers STORE.

        A FETCH of any other message is news.
        """
        row = fetched(raw)
        try:
            if row is None or row.uid is None or row.flags is None:
                return False
            found = Flagged(row.uid, row.flags, row.modseq)
        except Malformed:
            return False
        if found.uid not in told:
            return False
        self._tracker.answered((found.uid,), (found.flags,))
        told[found.uid] = found
        return True

    def _told_ranges(self, code: str) -> Ranges:
        try:
            return Ranges.parse(self._told.get(code, b"").strip())
        except BadRanges:
            return Ranges()

    def expunge(self, uids: Ranges) -> None:
        """Remove those of the messages that have the flag Deleted, and no others.

        What went is told by changes().  Raises ImapError where the server can remove
        only all that anybody has flagged (no UIDPLUS).
        """
        if not self.capabilities & {"UIDPLUS", "IMAP4REV2"}:
            raise ImapError(self.server, ENOUIDPLUS)
        self._idle.end()
        for part in uids.chunks(MAX_SET):
            self.wire.command(b"UID EXPUNGE ", str(part).encode())

    def copy(self, uids: Ranges, folder: str) -> dict[int, int]:
        """Copy messages; their uids there, as far as the server tells (UIDPLUS)."""
        return self._transfer(b"UID COPY ", uids, folder)

    def move(self, uids: Ranges, folder: str) -> dict[int, int]:
        """Move messages; their uids there, as far as the server tells.

        Without MOVE they are copied, flagged Deleted and expunged, one set after
        the other.  Raises ImapError, before anything is done, where neither MOVE nor
        UIDPLUS is there.
        """
        if self.capabilities & {"MOVE", "IMAP4REV2"}:
            return self._transfer(b"UID MOVE ", uids, folder)
        if "UIDPLUS" not in self.capabilities:
            raise ImapError(self.server, ENOUIDPLUS)
        found: dict[int, int] = {}
        for part in uids.chunks(MAX_SET):
            found |= self.copy(part, folder)
            self.store(part, "+", Flags(System.DELETED))
            self.expunge(part)
        return found

    def _transfer(self, verb: bytes, uids: Ranges, folder: str) -> dict[int, int]:
        self._idle.end()
        found: dict[int, int] = {}
        for part in uids.chunks(MAX_SET):
            self._told.clear()
            self.wire.command(verb, str(part).encode(), b" ", self.name(folder))
            found |= copied(self._told.get("COPYUID", b""))
        return found

    def append(
        self,
        folder: str,
        octets: bytes | Upload,
        flags: Flags | None = None,
        date: int = 0,
    ) -> int | None:
        """Add a message; its uid, if the server tells.

        octets have CRLF line ends and are sent in pieces; date is seconds since the
        epoch, 0 is now.  Raises ImapError, code TRYCREATE if there is no such folder.
        """
        limit = append_limit(self.capabilities)
        if limit is not None and len(octets) > limit:
            raise ImapError(self.server, f"message too long: over {limit} octets")
        parts: list[bytes | Literal] = [b"APPEND ", self.name(folder)]
        if flags is not None:
            parts.append(b" (" + " ".join(flags.words()).encode("ascii") + b")")
        if date:
            parts.append(b' "' + show_date(date).encode() + b'"')
        if self.utf8 and not header(octets).isascii():  # RFC 6855 section 4
            parts += [b" UTF8 (", Literal(octets, binary=True), b")"]
        else:
            parts += [b" ", Literal(octets)]
        self._idle.end()
        self._told.clear()
        self.wire.command(*parts)
        words = self._told.get("APPENDUID", b"").split()
        return (small(words[1], MAX_UID) or None) if len(words) == 2 else None

    # Folders of the account

    def create(self, folder: str) -> None:
        """Create a folder.  Raises ImapError, code ALREADYEXISTS on most servers."""
        self._simple(b"CREATE ", self.name(folder))

    def delete(self, folder: str) -> None:
        """Delete a folder and the messages in it."""
        self._simple(b"DELETE ", self.name(folder))

    def rename(self, old: str, new: str) -> None:
        """Rename a folder, and those below it."""
        self._simple(b"RENAME ", self.name(old), b" ", self.name(new))

    def subscribe(self, folder: str) -> None:
        """Have other programs show a folder."""
        self._simple(b"SUBSCRIBE ", self.name(folder))

    def _simple(self, *parts: bytes | Literal) -> None:
        self._idle.end()
        self.wire.command(*parts)

    def folders(self, *, counts: bool = True) -> list[FolderInfo]:
        """List all folders, with their status where one command tells it.

        counts=False leaves the status out: a question that costs the server little.
        """
        self._idle.end()
        known = self.capabilities
        if not counts:
            known -= {"LIST-STATUS", "IMAP4REV2"}
        raws, _ = self.wire.ask(named(b"LIST", b"STATUS"), folders.command(known))
        found = folders.listing(raws, utf8=self.utf8)
        self._learn(folders.odd(found, utf8=self.utf8))
        return found

    def _learn(self, odd: Mapping[str, bytes]) -> None:
        """Remember the octets of names that do not lead back to them."""
        for name in self.names.keys() - odd.keys():
            self.names.pop(name, None)
        self.names.update(odd)

    def status(self, folder: str) -> FolderStatus:
        """Ask for a folder's STATUS."""
        self._idle.end()
        raws, _ = self.wire.ask(
            named(b"STATUS"),
            b"STATUS ",
            self.name(folder),
            b" " + folders.status_items(self.capabilities),
        )
        told = [folders.read_status(raw, utf8=self.utf8) for raw in raws]
        found = FolderStatus()
        for item in told:
            if item is not None and item[0] == folder:
                found = item[1]
            elif item is not None:
                self._tracker.folder(*item)
        return found


def _structure(raw: bytes, uid: int) -> bytes | None:
    """Return the BODYSTRUCTURE of a message, if that is what a response is."""
    row = fetched(raw)
    try:
        if row is None or row.uid != uid:
            return None
    except Malformed:
        return None
    return row.value(b"BODYSTRUCTURE")
