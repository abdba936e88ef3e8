"""FETCH: columns from the view, the rest from what was worked out of the octets."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from mailfs.mailbox import uid
from mailfs.mailbox.folder import MailboxState
from mailfs.mailbox.index import WireRow
from mailfs.mailbox.kinds import Flag
from mailfs.mailbox.octets import Memory, Octets, cut
from mailfs.mailbox.uid import FlagChange, Gone
from mailfs.mailbox.view import View
from mailfs.serve.description.message import describe
from mailfs.serve.description.structure import Tree
from mailfs.serve.imapd import render, section
from mailfs.serve.imapd.actions import Fetch
from mailfs.serve.imapd.command import Request
from mailfs.serve.imapd.items import Items
from mailfs.serve.imapd.items import Octets as Wanted
from mailfs.serve.imapd.poll import condstore, poll
from mailfs.serve.imapd.section import UnknownCoding
from mailfs.serve.imapd.selected import BadNumber, Selected, Told
from mailfs.serve.imapd.selection import earlier
from mailfs.serve.imapd.session import Session, bad, no
from mailfs.serve.imapd.texts import Texts

BATCH = 200  # messages whose columns are written at once
BATCH_READ = 20  # messages that are read at once

Piece = bytes | Octets
_READ = frozenset({"BODY", "BODYSTRUCTURE", "EMAILID", "ENVELOPE", "RFC822.SIZE"})


@dataclass(slots=True)
class Writer:
    """Writes FETCH responses of messages; used on the mailbox's worker."""

    state: MailboxState
    chosen: Selected
    items: Items
    told: Told
    texts: Texts
    fresh: list[tuple[int, WireRow]] = field(default_factory=list)
    lost: int = 0  # messages that could not be had
    unknown: bool = False  # whether a transfer encoding was not known

    def write(
        self, uids: Iterable[int], flagged: "frozenset[int]"
    ) -> list[list[Piece]]:
        """Return responses in pieces; flagged are those whose flags are told too."""
        found = []
        for one in uids:
            try:
                found.append(self._response(one, flagged=one in flagged))
            except Gone:
                self.lost += 1
            except UnknownCoding:
                self.unknown = True
        uid.keep(self.state, self.fresh)
        self.fresh.clear()
        return found

    def _response(self, one: int, *, flagged: bool) -> list[Piece]:
        view = self.chosen.view_of(one)
        row = self.chosen.row(one)
        if row is None:
            raise Gone
        wire: WireRow | None = None
        if not _READ.isdisjoint(self.items.names):
            wire = self._described(view, one)
        words: list[bytes] = []
        names = self.items.names
        if self.told.uid and "UID" not in names:
            words.append(b"UID %d" % one)
        if flagged and "FLAGS" not in names:
            words.append(f"FLAGS {self.chosen.shown(one)}".encode())
            if self.told.modseq and "MODSEQ" not in names:
                words.append(b"MODSEQ (%d)" % self.chosen.modseq(one))
        words += [self._word(name, one, view, row, wire) for name in names]
        head = b"* %d FETCH (" % self.chosen.sequence(one)
        out: list[Piece] = [head + b" ".join(words)]
        for index, wanted in enumerate(self.items.octets):
            if words or index:
                out.append(b" ")
            out += self._octets(view, one, wanted)
        out.append(b")\r\n")
        return _merged(out)

    def _described(self, view: View, one: int) -> WireRow:
        row, text = uid.described(self.state, view, one, describe)
        if text is not None:
            self.fresh.append((one, row))
        return row

    def _word(
        self, name: str, one: int, view: View, row: int, wire: WireRow | None
    ) -> bytes:
        match name:
            case "UID":
                return b"UID %d" % one
            case "FLAGS":
                return f"FLAGS {self.chosen.shown(one)}".encode()
            case "INTERNALDATE":
                when = render.internal_date(view.listing.dates[row])
                return f"INTERNALDATE {when}".encode()
            case "MODSEQ":
                return b"MODSEQ (%d)" % self.chosen.modseq(one)
            case "THREADID":
                return b"THREADID NIL"
        assert wire is not None
        match name:
            case "RFC822.SIZE":
                return b"RFC822.SIZE %d" % wire.size
            case "ENVELOPE":
                return b"ENVELOPE " + wire.envelope
            case "BODY":
                return b"BODY " + wire.body
            case "EMAILID":
                return b"EMAILID (%s)" % wire.digest.hex().encode()
        return b"BODYSTRUCTURE " + wire.structure

    def _octets(self, view: View, one: int, wanted: Wanted) -> list[Piece]:
        tree = self._tree(view, one)
        if wanted.decoded:
            found = section.decoded(tree, wanted.section)
        else:
            found = section.find(tree, wanted.section)
        if wanted.length:
            return [wanted.name + b" %d" % (0 if found is None else len(found))]
        if found is None:
            return [wanted.name + b" NIL"]
        if wanted.start is not None:
            end = min(wanted.start + wanted.count, len(found))
            found = cut(found, min(wanted.start, end), end)
        size = len(found)
        tilde = b""
        if wanted.decoded and isinstance(found, Memory) and b"\0" in found.data:
            tilde = b"~"
        return [wanted.name + b" " + tilde + b"{%d}\r\n" % size, found]

    def _tree(self, view: View, one: int) -> Tree:
        tree = self.texts.get(one)
        if tree is None:
            row, text = uid.described(self.state, view, one, describe)
            if text is None:
                text = uid.text_of(self.state, view, one)
            else:
                self.fresh.append((one, row))
            tree = Tree.of(text)
            self.texts.keep(one, tree)
        return tree


Written = tuple[Writer, list[list[Piece]]]


def _merged(pieces: list[Piece]) -> list[Piece]:
    """Join what is in memory."""
    out: list[Piece] = []
    run: list[bytes] = []
    for piece in pieces:
        if isinstance(piece, Memory):
            run.append(piece.data)
        elif isinstance(piece, bytes):
            run.append(piece)
        else:
            out += [b"".join(run), piece]
            run = []
    return [*out, b"".join(run)]


async def fetch(session: Session, request: Request) -> None:
    """FETCH and UID FETCH."""
    action = request.action
    assert isinstance(action, Fetch)
    _, chosen = session.opened()
    if action.vanished and "QRESYNC" not in session.enabled:
        raise bad("QRESYNC was not enabled")
    if action.since is not None or "MODSEQ" in action.items.names:
        condstore(session)
    try:
        uids = chosen.pick(action.set, uid=action.uid)
    except BadNumber:
        raise bad("no such message") from None
    if action.vanished and action.since is not None:
        known = action.set.ranges(max(chosen.view.next - 1, 1))
        await session.saying(await earlier(session, known, action.since))
    if action.since is not None:
        since = action.since
        uids = [one for one in uids if chosen.modseq(one) > since]
    flagged = frozenset[int]()
    if action.items.marks_seen and not chosen.readonly:
        flagged = await _mark_seen(session, chosen, uids)
    wanted = action.items
    if action.since is not None and "MODSEQ" not in wanted.names:
        wanted = Items((*wanted.names, "MODSEQ"), wanted.octets)
    await _fetched(session, chosen, wanted, uids, flagged)
    await poll(session, expunge=action.uid, look=False)


async def _mark_seen(
    session: Session, chosen: Selected, uids: list[int]
) -> "frozenset[int]":
    r"""Set \Seen on messages that lack it; return those."""
    box, _ = session.opened()
    unseen = [one for one in uids if not chosen.flags(one)[0] & Flag.SEEN]
    if not unseen:
        return frozenset()
    change = FlagChange(Flag.SEEN)
    await box.alter(lambda state: uid.store(state, unseen, change))
    chosen.hush(unseen, box.view)
    before = session.told.modseq
    await poll(session, expunge=False, look=False)
    session.told.modseq = before
    return frozenset(unseen)


async def _fetched(
    session: Session,
    chosen: Selected,
    wanted: Items,
    uids: list[int],
    flagged: "frozenset[int]",
) -> None:
    box, _ = session.opened()
    reads = bool(wanted.octets) or not _READ.isdisjoint(wanted.names)
    size = BATCH_READ if wanted.octets else BATCH
    told = Told(uid=session.told.uid, modseq=session.told.modseq)
    lost, unknown = 0, False
    for at in range(0, len(uids), size):
        part = uids[at : at + size]

        def job(state: MailboxState, part: list[int] = part) -> Written:
            writer = Writer(state, chosen, wanted, told, session.texts)
            return writer, writer.write(part, flagged)

        writer, responses = await (box.relist(job) if reads else box.consult(job))
        lost += writer.lost
        unknown = unknown or writer.unknown
        for pieces in responses:
            for piece in pieces:
                if isinstance(piece, bytes):
                    session.say(piece)
                else:
                    await session.say_octets(piece, box)
        await session.flush()
    if unknown:
        raise no("a transfer encoding is not known", "UNKNOWN-CTE")
    if lost:
        await poll(session, expunge=session.told.uid)
        raise no("some of the messages have gone", "EXPUNGEISSUED")
