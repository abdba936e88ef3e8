"""SELECT and what belongs to an open folder: CLOSE, EXPUNGE, NOOP, IDLE."""

import asyncio
import time
from collections.abc import Iterator

from mailfs.imap.grammar.ranges import Ranges
from mailfs.mailbox import uid
from mailfs.mailbox.folder import MailboxState
from mailfs.mailbox.kinds import Flag
from mailfs.mailbox.uidfile import Claim
from mailfs.mailbox.view import View
from mailfs.mailboxes.events import Event
from mailfs.mailboxes.scoped import ScopedMailbox
from mailfs.serve.imapd import render
from mailfs.serve.imapd.actions import Expunge, Resync, Select
from mailfs.serve.imapd.command import Request, State
from mailfs.serve.imapd.poll import poll
from mailfs.serve.imapd.selected import EVERY, Selected, vanished
from mailfs.serve.imapd.session import Session, bad, no
from mailfs.serve.wire import Gone

IDLE_PAUSE = 0.1  # seconds between two times that an idling client is told of changes


async def select(session: Session, request: Request) -> None:
    """SELECT and EXAMINE."""
    action = request.action
    assert isinstance(action, Select)
    if action.resync is not None and "QRESYNC" not in session.enabled:
        raise bad("QRESYNC was not enabled")
    was = session.box is not None
    await session.unselect()
    if was:
        session.line("OK [CLOSED] the mailbox before is closed")
    folder = await session.mail.find(action.mailbox)
    if not folder.selectable:
        raise no("no mail can be in it", "NONEXISTENT")
    box = await session.mail.open(folder)
    session.mail.enter(box, session)  # what goes from now on can still be read
    try:
        chosen, claim = await _opened(session, box, action, folder.name)
    except BaseException:
        session.mail.leave(box, session)
        await session.mail.release(box)
        raise
    session.box, session.chosen, session.state = box, chosen, State.SELECTED
    if action.condstore:
        session.told.modseq = True  # HIGHESTMODSEQ is told anyway
    await session.saying(_described(session, chosen, claim))
    resync = action.resync
    if resync is not None and resync.validity == chosen.validity:
        await _resynced(session, box, chosen, resync)
    session.code = "READ-ONLY" if chosen.readonly else "READ-WRITE"


async def _opened(
    session: Session, box: ScopedMailbox, action: Select, name: str
) -> tuple[Selected, Claim]:
    readonly = action.readonly or session.mail.readonly
    now = int(time.time())

    def job(state: MailboxState) -> uid.Told:
        told = uid.opened(state, now)
        if not readonly and told.claim.recent < told.view.next:
            state.uids.take_recent(state.name, told.view.next)
        return told

    told = await box.relist(job)
    chosen = Selected(
        name,
        readonly,
        told.claim.validity,
        told.view,
        told.base,
        dict(told.modseqs),
        held=session.held,
    )
    chosen.recent.update(n for n in told.view.numbers if n >= told.claim.recent)
    return chosen, told.claim


def _described(session: Session, chosen: Selected, claim: Claim) -> Iterator[bytes]:
    """Give the untagged responses of SELECT."""
    yield from chosen.flag_lines()
    lines = [f"{chosen.count} EXISTS"]
    if session.told.recent:
        lines.append(f"{len(chosen.recent)} RECENT")
        unseen = chosen.unseen()
        if unseen:
            lines.append(f"OK [UNSEEN {unseen}] first unseen")
    lines += [
        f"OK [UIDVALIDITY {chosen.validity}] uids are valid",
        f"OK [UIDNEXT {chosen.view.next}] next uid",
        f"OK [HIGHESTMODSEQ {chosen.highest}] highest",
    ]
    yield from (f"* {line}\r\n".encode() for line in lines)
    if session.rev2:
        name = render.mailbox(chosen.name, utf8=True)
        yield b'* LIST () "/" ' + name + b"\r\n"


async def _resynced(
    session: Session, box: ScopedMailbox, chosen: Selected, resync: Resync
) -> None:
    """Tell what has changed since a client was here; RFC 7162 section 3.2.5."""
    last = chosen.view.next - 1
    known = EVERY if resync.known is None else resync.known.ranges(max(last, 1))
    await session.saying(await earlier(session, known, resync.modseq))
    changed = [
        one
        for one in chosen.uids
        if chosen.modseq(one) > resync.modseq and one in known
    ]
    session.told.uid = True
    await session.saying(chosen.fetched(one, session.told) for one in changed)


async def earlier(session: Session, known: Ranges, since: int) -> list[bytes]:
    """Return VANISHED (EARLIER) for the uids of a set removed after a mod-sequence."""
    box, chosen = session.opened()
    gone = await box.consult(lambda state: state.index.gone(since))
    below = Ranges([(1, max(chosen.view.next - 1, 1))])
    found = known & below
    if gone is None:
        found = vanished(found, chosen.uids)
    else:
        found = found & Ranges.of(n for n in gone if not chosen.knows(n))
    return [f"* VANISHED (EARLIER) {found}\r\n".encode()] if found else []


async def noop(session: Session, request: Request) -> None:
    """NOOP and CHECK."""
    await poll(session)


async def close(session: Session, request: Request) -> None:
    """CLOSE: what is marked deleted goes, silently."""
    _, chosen = session.opened()
    if not chosen.readonly:
        await _remove(session, None)
    session.code = ""
    await session.unselect()


async def unselect(session: Session, request: Request) -> None:
    """UNSELECT: nothing goes; RFC 3691."""
    await session.unselect()


async def expunge(session: Session, request: Request) -> None:
    """EXPUNGE and UID EXPUNGE."""
    action = request.action
    assert isinstance(action, Expunge)
    _, chosen = session.opened()
    if chosen.readonly:
        raise no("the mailbox is open read-only", "READ-ONLY")
    only = None
    if action.uids is not None:
        only = chosen.pick(action.uids, uid=True)
    await _remove(session, only)
    await poll(session, look=False)
    if "QRESYNC" in session.enabled:
        session.code = f"HIGHESTMODSEQ {chosen.highest}"


async def _remove(session: Session, only: list[int] | None) -> None:
    """Remove the messages that are marked deleted, of some only perhaps."""
    box, chosen = session.opened()
    wanted = None if only is None else set(only)

    def pick(view: View) -> list[int]:
        flags = view.listing.flags
        return [
            number
            for row, number in enumerate(view.numbers)
            if flags[row] & Flag.DELETED
            and chosen.knows(number)
            and (wanted is None or number in wanted)
        ]

    await session.mail.expunge(box, pick)


class _Ear:
    """Wakes an idling session; events.Listener."""

    digests = False

    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, events: "list[Event] | object") -> None:
        """Know of news."""
        self._session.news.set()

    def end(self) -> None:
        """Know that the mailbox is closed."""
        self._session.news.set()


async def idle(session: Session, request: Request) -> None:
    """IDLE: tell of changes until DONE; RFC 2177."""
    session.say(b"+ idling\r\n")
    session.reader.expect_line()
    box = session.box
    ear = _Ear(session)
    if box is not None:
        await box.listen(ear)
    try:
        await poll(session, look=False)
        done = await _until_done(session)
    finally:
        if box is not None:
            box.ignore(ear)
    await poll(session)
    if not done:
        raise bad("want DONE")


async def _until_done(session: Session) -> bool:
    """Tell of changes until the client says something; return whether that is DONE."""
    from mailfs.serve.imapd import reader

    loop = asyncio.get_running_loop()
    until = loop.time() + session.house.patience.idle
    reading: asyncio.Task[bytes] | None = None
    try:
        while not session.closing:
            event = session.reader.next()
            if isinstance(event, reader.Line):
                return event.octets.upper() == b"DONE"
            if isinstance(event, reader.Bad):
                raise Gone
            await session.flush()
            if reading is None:
                reading = loop.create_task(session.receive(until))
            waking = loop.create_task(session.news.wait())
            try:
                await asyncio.wait(
                    {reading, waking}, return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                waking.cancel()
            if reading.done():
                session.reader.feed(await _read(session, reading))
                reading = None
            elif session.news.is_set():
                await asyncio.sleep(IDLE_PAUSE)  # many changes become one telling
                session.news.clear()
                await poll(session, look=False)
    finally:
        if reading is not None:
            reading.cancel()
    return True


async def _read(session: Session, reading: "asyncio.Task[bytes]") -> bytes:
    try:
        return await reading
    except Gone as e:
        if e.late:
            session.line("BYE idle for too long")
            await session.flush()
        raise
