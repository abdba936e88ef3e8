"""Folders: LIST, LSUB, CREATE, DELETE, RENAME, subscriptions, STATUS, NAMESPACE."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from mailfs.errors import MailfsError
from mailfs.mailbox import uid
from mailfs.mailbox.folder import MailboxState
from mailfs.mailbox.kinds import Flag
from mailfs.mailboxes.scoped import ScopedMailbox
from mailfs.serve.description.message import sizes_of
from mailfs.serve.folders import INBOX, USES, BadFolder, Folder
from mailfs.serve.imapd import actions, render
from mailfs.serve.imapd.actions import Create, ListFolders, Rename, Status
from mailfs.serve.imapd.command import Request
from mailfs.serve.imapd.listing import SEPARATOR, ListOptions, Pattern
from mailfs.serve.imapd.poll import condstore
from mailfs.serve.imapd.session import Session, no
from mailfs.serve.imapd.upload import MAX_MESSAGE

_SEEN, _DELETED = Flag.SEEN.value, Flag.DELETED.value


async def namespace(session: Session, request: Request) -> None:
    """NAMESPACE; RFC 2342."""
    session.line('NAMESPACE (("" "/")) NIL NIL')


async def create(session: Session, request: Request) -> None:
    """CREATE, for a special use perhaps; RFC 6154."""
    action = request.action
    assert isinstance(action, Create)
    folders = session.mail.folders
    uses = [use for use in USES if use.lower() in map(str.lower, action.uses)]
    if len(uses) < len(set(action.uses)) or len(uses) > 1:
        raise no("no such special use", "USEATTR")
    _writable(session)

    def job() -> None:
        taken = {use for use, _ in folders.uses().values()}
        if taken.intersection(uses):
            raise BadFolder("another mailbox has that use", "USEATTR")
        folders.create(action.mailbox)
        for use in uses:
            folders.note(action.mailbox.rstrip(SEPARATOR), use=use)

    await session.mail.work(job)


def _writable(session: Session) -> None:
    if session.mail.readonly:
        raise no("mailboxes are read-only here", "NOPERM")


async def delete(session: Session, request: Request) -> None:
    """DELETE."""
    assert isinstance(request.action, actions.Folder)
    _writable(session)
    mail = session.mail
    folder = await mail.find(request.action.mailbox)
    if folder.name == INBOX:
        raise no("INBOX stays", "CANNOT")
    if session.box is not None and session.box.path == folder.path:
        await session.unselect()
    await mail.take_away(folder)
    await mail.work(partial(mail.folders.delete, folder))


async def rename(session: Session, request: Request) -> None:
    """RENAME; INBOX stays, empty."""
    action = request.action
    assert isinstance(action, Rename)
    _writable(session)
    mail = session.mail
    folder = await mail.find(action.old)
    mail.folders.path(action.new)  # raises before anything is closed
    if session.box is not None and session.box.path == folder.path:
        await session.unselect()
    await mail.take_away(folder)
    await mail.work(partial(mail.folders.rename, folder, action.new))


async def subscribe(session: Session, request: Request) -> None:
    """SUBSCRIBE and UNSUBSCRIBE; the folder need not be there."""
    action = request.action
    assert isinstance(action, actions.Folder)
    folders = session.mail.folders
    folders.path(action.mailbox)
    note = partial(folders.note, action.mailbox, subscribed=action.name == "SUBSCRIBE")
    await session.mail.work(note)


@dataclass(frozen=True, slots=True)
class _Known:
    """All that LIST may tell of."""

    folders: dict[str, Folder]
    uses: dict[str, str]
    subscribed: frozenset[str]

    def children(self, name: str) -> bool:
        """Whether there are folders in one."""
        return any(other.startswith(f"{name}/") for other in self.folders)


def _known(session: Session) -> _Known:
    folders = session.mail.folders
    notes = folders.uses()
    return _Known(
        folders.all(),
        {name: use for name, (use, _) in notes.items() if use},
        frozenset(name for name, (_, subscribed) in notes.items() if subscribed),
    )


async def list_(session: Session, request: Request) -> None:
    """LIST and LSUB; RFC 9051 section 6.3.9, RFC 5258, RFC 5819, RFC 6154."""
    action = request.action
    assert isinstance(action, ListFolders)
    if action.patterns == ("",) and not action.options.extended:
        kind = "LSUB" if action.lsub else "LIST"
        session.line(f'{kind} (\\Noselect) "/" ""')
        return
    patterns = [Pattern(action.reference + one) for one in action.patterns]
    known = await session.mail.work(partial(_known, session))
    if action.lsub:
        for name, attributes in _lsub(known, patterns):
            _tell(session, "LSUB", name, attributes)
        return
    for name, attributes, child in _listed(known, patterns, action.options):
        _tell(session, "LIST", name, attributes, child=child)
        folder = known.folders.get(name)
        if action.options.status and folder is not None and folder.selectable:
            await _status_of(session, folder, action.options.status)


def _tell(
    session: Session,
    kind: str,
    name: str,
    attributes: Iterable[str],
    *,
    child: bool = False,
) -> None:
    shown = " ".join(attributes)
    line = f'* {kind} ({shown}) "/" '.encode()
    line += render.mailbox(name, utf8=session.utf8)
    line += b' (CHILDINFO ("SUBSCRIBED"))' if child else b""
    session.say(line + b"\r\n")


def _lsub(known: _Known, patterns: list[Pattern]) -> Iterator[tuple[str, list[str]]]:
    """Give subscribed names; with ``%`` a level above stands for those below it."""
    told: dict[str, list[str]] = {}
    for name in sorted(known.subscribed):
        if _matches(patterns, name):
            told[name] = [] if name in known.folders else ["\\Noselect"]
            continue
        levels = name.split("/")
        for count in range(1, len(levels)):
            above = "/".join(levels[:count])
            if _matches(patterns, above) and above not in known.subscribed:
                told.setdefault(above, ["\\Noselect"])
    yield from told.items()


def _matches(patterns: Iterable[Pattern], name: str) -> bool:
    return any(pattern.matches(name) for pattern in patterns)


def _listed(
    known: _Known, patterns: list[Pattern], options: ListOptions
) -> Iterator[tuple[str, list[str], bool]]:
    """Give names, attributes, and whether subscribed folders lie below unlisted."""
    names = list(known.folders)
    if options.subscribed:
        names += sorted(known.subscribed - known.folders.keys())
    matched = [name for name in names if _matches(patterns, name)]
    shown = set(matched)
    for name in matched:
        selected = _selected(known, name, options)
        child = options.recursive and any(
            other.startswith(f"{name}/")
            and _selected(known, other, options)
            and other not in shown
            for other in names
        )
        if selected or child:
            yield name, _attributes(known, name, options), child
    if options.recursive:
        yield from _above(known, patterns, options, names)


def _above(
    known: _Known, patterns: list[Pattern], options: ListOptions, names: list[str]
) -> Iterator[tuple[str, list[str], bool]]:
    """Give names that are no folders but have subscribed ones below."""
    told = set(names)
    for name in names:
        levels = name.split("/")
        for count in range(1, len(levels)):
            above = "/".join(levels[:count])
            if above not in told and _matches(patterns, above):
                told.add(above)
                if _selected(known, name, options):
                    yield above, ["\\NonExistent", "\\HasChildren"], True


def _selected(known: _Known, name: str, options: ListOptions) -> bool:
    if options.subscribed and name not in known.subscribed:
        return False
    return not options.special or name in known.uses


def _attributes(known: _Known, name: str, options: ListOptions) -> list[str]:
    folder = known.folders.get(name)
    found: list[str] = []
    if folder is None:
        found.append("\\NonExistent")
    elif not folder.selectable:
        found.append("\\Noselect")
    if known.children(name):
        found.append("\\HasChildren")
    elif folder is not None and not folder.parent:
        found += ["\\Noinferiors", "\\HasNoChildren"]
    else:
        found.append("\\HasNoChildren")
    # Some clients look for these in a plain LIST only.
    if name in known.uses:
        found.append(known.uses[name])
    if (options.subscribed or options.show_subscribed) and name in known.subscribed:
        found.append("\\Subscribed")
    return found


async def status(session: Session, request: Request) -> None:
    """STATUS; it changes nothing."""
    action = request.action
    assert isinstance(action, Status)
    folder = await session.mail.find(action.mailbox)
    if not folder.selectable:
        raise no("no mail can be in it", "NONEXISTENT")
    await _status_of(session, folder, action.items)


async def _status_of(session: Session, folder: Folder, items: tuple[str, ...]) -> None:
    if "HIGHESTMODSEQ" in items:
        condstore(session)
    try:
        box = await session.mail.open(folder)
    except (OSError, MailfsError) as e:
        raise BadFolder(f"{folder.name} cannot be opened", "UNAVAILABLE") from e
    try:
        values = await counted(box, items)
    finally:
        await session.mail.release(box)
    shown = " ".join(f"{item} {values[item]}" for item in items if item in values)
    name = render.mailbox(folder.name, utf8=session.utf8)
    session.say(b"* STATUS " + name + f" ({shown})\r\n".encode())


async def counted(box: ScopedMailbox, items: tuple[str, ...]) -> dict[str, object]:
    """Return the values of STATUS items."""
    now = int(time.time())
    told = await box.relist(lambda state: uid.opened(state, now))
    view = told.view
    flags = view.listing.flags
    values: dict[str, object] = {
        "MESSAGES": view.count,
        "UIDNEXT": view.next,
        "UIDVALIDITY": told.claim.validity,
        "UNSEEN": sum(1 for bits in flags if not bits & _SEEN),
        "DELETED": sum(1 for bits in flags if bits & _DELETED),
        "RECENT": sum(1 for n in view.numbers if n >= told.claim.recent),
        "HIGHESTMODSEQ": max(view.generation, told.base, 1),
        "APPENDLIMIT": MAX_MESSAGE,
    }
    if "SIZE" in items:

        def sizes(state: MailboxState) -> int:
            return sum(sizes_of(state, view, list(view)).values())

        values["SIZE"] = await box.relist(sizes)
    return values
