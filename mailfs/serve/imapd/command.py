"""The table of commands; RFC 9051 section 6.

A row says in which states a command may come and how its arguments are read.
"""

from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from enum import Flag, auto

from mailfs.serve.imapd import criteria, items
from mailfs.serve.imapd.actions import (
    Action,
    Append,
    Appended,
    Authenticate,
    Compress,
    Copy,
    Create,
    Enable,
    Expunge,
    Fetch,
    Folder,
    Id,
    ListFolders,
    Login,
    Plain,
    Rename,
    Results,
    Resync,
    Search,
    Select,
    Status,
    Store,
    Thread,
)
from mailfs.serve.imapd.cursor import BadCommand, Cursor
from mailfs.serve.imapd.listing import ListOptions

MAX_ID = 30  # pairs of ID; RFC 2971 section 3.3
MAX_APPENDS = 1000  # messages of one APPEND


class State(Flag):
    """Where a session stands; RFC 9051 section 3."""

    STRANGER = auto()  # not authenticated
    AUTH = auto()
    SELECTED = auto()


ANY = State.STRANGER | State.AUTH | State.SELECTED
KNOWN = State.AUTH | State.SELECTED


def _id(c: Cursor) -> Action:
    c.space()
    if c.take(b"NIL"):
        return Id(())
    c.expect(b"(")
    pairs: list[tuple[bytes, bytes]] = []
    while not c.take(b")"):
        if pairs:
            c.space()
        name = c.string()
        c.space()
        pairs.append((name, c.nstring() or b""))
        if len(pairs) > MAX_ID:
            raise BadCommand("too many fields")
    return Id(tuple(pairs))


def _authenticate(c: Cursor) -> Action:
    c.space()
    mechanism = c.word()
    initial = None
    if c.take(b" "):
        initial = octets(c.take_rest())
    return Authenticate(mechanism, initial)


def octets(text: bytes) -> bytes:
    """Return the octets of base64; ``=`` is none of them.  Raises BadCommand."""
    try:
        return b"" if text == b"=" else b64decode(text, validate=True)
    except ValueError:
        raise BadCommand("malformed base64") from None


def _login(c: Cursor) -> Action:
    c.space()
    user = c.astring()
    c.space()
    return Login(user, c.astring())


def _compress(c: Cursor) -> Action:
    c.space()
    return Compress(c.word())


def _enable(c: Cursor) -> Action:
    names = []
    while c.take(b" "):
        names.append(c.word())
    if not names:
        raise BadCommand("want a capability")
    return Enable(tuple(names))


def _select(c: Cursor, *, readonly: bool) -> Action:
    c.space()
    mailbox = c.mailbox()
    condstore, resync = False, None
    if c.take(b" "):
        c.expect(b"(")
        while True:
            word = c.word()
            if word == "CONDSTORE":
                condstore = True
            elif word == "QRESYNC":
                c.space()
                condstore, resync = True, _resync(c)
            else:
                raise BadCommand(f"unknown parameter {word[:40]}")
            if c.take(b")"):
                break
            c.space()
    return Select(mailbox, readonly, condstore, resync)


def _resync(c: Cursor) -> Resync:
    c.expect(b"(")
    validity = c.number()
    c.space()
    modseq = c.number()
    known = match = None
    if c.take(b" "):
        if c.peek() != b"(":
            known = c.set()
            c.take(b" ")
        if c.take(b"("):
            numbers = c.set()
            c.space()
            match = (numbers, c.set())
            c.expect(b")")
    c.expect(b")")
    return Resync(validity, modseq, known, match)


def _create(c: Cursor) -> Action:
    c.space()
    mailbox = c.mailbox()
    uses: list[str] = []
    if c.take(b" "):
        c.expect(b"(")
        if c.word() != "USE":
            raise BadCommand("unknown parameter")
        c.space()
        c.expect(b"(")
        while not c.take(b")"):
            if uses:
                c.space()
            uses.append(c.flag())
        c.expect(b")")
    return Create(mailbox, tuple(uses))


def _folder(name: str) -> Callable[[Cursor], Action]:
    def read(c: Cursor) -> Action:
        c.space()
        return Folder(name, c.mailbox())

    return read


def _rename(c: Cursor) -> Action:
    c.space()
    old = c.mailbox()
    c.space()
    return Rename(old, c.mailbox())


def _list(c: Cursor) -> Action:
    c.space()
    options = ListOptions()
    if c.take(b"("):
        options = options.selecting(_words(c))
        c.space()
    reference = c.reference()
    c.space()
    patterns: list[str] = []
    if c.take(b"("):
        options = options.made_extended()
        while not c.take(b")"):
            if patterns:
                c.space()
            patterns.append(c.pattern())
    else:
        patterns.append(c.pattern())
    if c.take(b" "):
        c.expect(b"RETURN ")
        options = _returning(c, options)
    return ListFolders(reference, tuple(patterns), options)


def _words(c: Cursor) -> list[str]:
    """Take words after an open parenthesis, and the one that closes it."""
    words: list[str] = []
    while not c.take(b")"):
        if words:
            c.space()
        words.append(c.word())
    return words


def _returning(c: Cursor, options: ListOptions) -> ListOptions:
    c.expect(b"(")
    words: list[str] = []
    status: tuple[str, ...] = ()
    while not c.take(b")"):
        if words:
            c.space()
        words.append(c.word())
        if words[-1] == "STATUS":
            c.space()
            status = _status_items(c)
    return options.returning(words, status)


def _lsub(c: Cursor) -> Action:
    c.space()
    reference = c.reference()
    c.space()
    return ListFolders(reference, (c.pattern(),), ListOptions(), lsub=True)


STATUS_ITEMS = frozenset(
    {
        "APPENDLIMIT",
        "DELETED",
        "HIGHESTMODSEQ",
        "MAILBOXID",
        "MESSAGES",
        "RECENT",
        "SIZE",
        "UIDNEXT",
        "UIDVALIDITY",
        "UNSEEN",
    }
)


def _status_items(c: Cursor) -> tuple[str, ...]:
    names = c.words()
    unknown = set(names) - STATUS_ITEMS
    if unknown or not names:
        raise BadCommand("unknown status item")
    return tuple(dict.fromkeys(names))


def _status(c: Cursor) -> Action:
    c.space()
    mailbox = c.mailbox()
    c.space()
    return Status(mailbox, _status_items(c))


def _append(c: Cursor) -> Action:
    c.space()
    mailbox = c.mailbox()
    messages: list[Appended] = []
    while not messages or not c.ended:
        c.space()
        messages.append(_appended(c))
        if len(messages) > MAX_APPENDS:
            raise BadCommand("too many messages")
    return Append(mailbox, tuple(messages))


def _appended(c: Cursor) -> Appended:
    flags: list[str] = []
    when = None
    if c.peek() == b"(":
        flags = c.flags()
        c.space()
    if c.peek() == b'"':
        when = c.date_time()
        c.space()
    if c.take(b"UTF8 ("):  # RFC 6855 section 4
        upload = c.upload()
        c.expect(b")")
    else:
        upload = c.upload()
    return Appended(upload, tuple(flags), when)


def _replace(c: Cursor, *, uid: bool) -> Action:
    c.space()
    numbers = c.set()
    c.space()
    mailbox = c.mailbox()
    c.space()
    return Append(mailbox, (_appended(c),), (numbers, uid))


def _uid_expunge(c: Cursor) -> Action:
    c.space()
    return Expunge(c.set())


_RESULTS = frozenset({"ALL", "COUNT", "MAX", "MIN", "SAVE"})


def _results(c: Cursor) -> Results:
    """Read RETURN (...) if it comes next."""
    if not c.take(b"RETURN "):
        return Results()
    c.expect(b"(")
    names: set[str] = set()
    partial = None
    while not c.take(b")"):
        if names or partial:
            c.space()
        word = c.word()
        if word == "PARTIAL":
            c.space()
            first, last = c.number(), 0
            c.expect(b":")
            last = c.number()
            if not first or not last:
                raise BadCommand("empty range")
            partial = (min(first, last), max(first, last))
        elif word in _RESULTS:
            names.add(word)
        else:
            raise BadCommand(f"unknown result {word[:40]}")
    c.space()
    if not names and partial is None:
        names.add("ALL")
    return Results(frozenset(names), partial)


_CHARSETS = {"US-ASCII": "utf-8", "UTF-8": "utf-8"}


class BadCharset(BadCommand):
    """A charset that is not known; answered NO [BADCHARSET]."""


def _charset(name: bytes) -> str:
    found = _CHARSETS.get(name.decode("latin-1").upper())
    if found is None:
        raise BadCharset("charset not known")
    return found


def _search(c: Cursor, *, uid: bool) -> Action:
    c.space()
    results = _results(c)
    charset = "utf-8"
    if c.take(b"CHARSET "):
        charset = _charset(c.astring())
        c.space()
    key = criteria.Parser(c, charset).keys()
    return Search(key, uid, results)


_SORTS = frozenset(
    {
        "ARRIVAL",
        "CC",
        "DATE",
        "DISPLAYFROM",
        "DISPLAYTO",
        "FROM",
        "SIZE",
        "SUBJECT",
        "TO",
    }
)


def _sort(c: Cursor, *, uid: bool) -> Action:
    c.space()
    results = _results(c)
    keys: list[tuple[str, bool]] = []
    reverse = False
    for word in c.words():
        if word == "REVERSE":
            reverse = True
        elif word in _SORTS:
            keys.append((word, reverse))
            reverse = False
        else:
            raise BadCommand(f"unknown sort key {word[:40]}")
    if not keys or reverse:
        raise BadCommand("want a sort key")
    c.space()
    charset = _charset(c.astring())
    c.space()
    key = criteria.Parser(c, charset).keys()
    return Search(key, uid, results, tuple(keys))


def _thread(c: Cursor, *, uid: bool) -> Action:
    c.space()
    algorithm = c.word()
    if algorithm not in ("ORDEREDSUBJECT", "REFERENCES"):
        raise BadCommand("unknown algorithm")
    c.space()
    charset = _charset(c.astring())
    c.space()
    return Thread(algorithm, criteria.Parser(c, charset).keys(), uid)


def _fetch(c: Cursor, *, uid: bool) -> Action:
    c.space()
    numbers = c.set()
    c.space()
    found = items.parse(c)
    since, vanished = None, False
    if c.take(b" "):
        c.expect(b"(")
        while True:
            word = c.word()
            if word == "CHANGEDSINCE":
                c.space()
                since = c.number()
            elif word == "VANISHED" and uid:
                vanished = True
            else:
                raise BadCommand(f"unknown modifier {word[:40]}")
            if c.take(b")"):
                break
            c.space()
        if vanished and since is None:
            raise BadCommand("VANISHED needs CHANGEDSINCE")
    return Fetch(numbers, found, uid, since, vanished)


def _store(c: Cursor, *, uid: bool) -> Action:
    c.space()
    numbers = c.set()
    c.space()
    unchanged = None
    if c.take(b"("):
        c.expect(b"UNCHANGEDSINCE ")
        unchanged = c.number()
        c.expect(b")")
        c.space()
    how = "+" if c.take(b"+") else "-" if c.take(b"-") else ""
    c.expect(b"FLAGS")
    silent = c.take(b".SILENT")
    c.space()
    return Store(numbers, how, tuple(c.flags()), silent, uid, unchanged)


def _copy(c: Cursor, *, uid: bool, move: bool) -> Action:
    c.space()
    numbers = c.set()
    c.space()
    return Copy(numbers, c.mailbox(), uid, move)


@dataclass(frozen=True, slots=True)
class Row:
    """Where a command may come, and how its arguments are read; None: it has none."""

    states: State
    read: Callable[[Cursor], Action] | None = None


COMMANDS: dict[str, Row] = {
    "CAPABILITY": Row(ANY),
    "NOOP": Row(ANY),
    "LOGOUT": Row(ANY),
    "ID": Row(ANY, _id),
    "STARTTLS": Row(State.STRANGER),
    "AUTHENTICATE": Row(State.STRANGER, _authenticate),
    "LOGIN": Row(State.STRANGER, _login),
    "COMPRESS": Row(KNOWN, _compress),
    "ENABLE": Row(KNOWN, _enable),
    "SELECT": Row(KNOWN, lambda c: _select(c, readonly=False)),
    "EXAMINE": Row(KNOWN, lambda c: _select(c, readonly=True)),
    "CREATE": Row(KNOWN, _create),
    "DELETE": Row(KNOWN, _folder("DELETE")),
    "SUBSCRIBE": Row(KNOWN, _folder("SUBSCRIBE")),
    "UNSUBSCRIBE": Row(KNOWN, _folder("UNSUBSCRIBE")),
    "RENAME": Row(KNOWN, _rename),
    "LIST": Row(KNOWN, _list),
    "LSUB": Row(KNOWN, _lsub),
    "NAMESPACE": Row(KNOWN),
    "STATUS": Row(KNOWN, _status),
    "APPEND": Row(KNOWN, _append),
    "IDLE": Row(KNOWN),
    "CHECK": Row(State.SELECTED),
    "CLOSE": Row(State.SELECTED),
    "UNSELECT": Row(State.SELECTED),
    "EXPUNGE": Row(State.SELECTED, lambda c: Expunge()),
    "UID EXPUNGE": Row(State.SELECTED, _uid_expunge),
    "SEARCH": Row(State.SELECTED, lambda c: _search(c, uid=False)),
    "UID SEARCH": Row(State.SELECTED, lambda c: _search(c, uid=True)),
    "SORT": Row(State.SELECTED, lambda c: _sort(c, uid=False)),
    "UID SORT": Row(State.SELECTED, lambda c: _sort(c, uid=True)),
    "THREAD": Row(State.SELECTED, lambda c: _thread(c, uid=False)),
    "UID THREAD": Row(State.SELECTED, lambda c: _thread(c, uid=True)),
    "FETCH": Row(State.SELECTED, lambda c: _fetch(c, uid=False)),
    "UID FETCH": Row(State.SELECTED, lambda c: _fetch(c, uid=True)),
    "STORE": Row(State.SELECTED, lambda c: _store(c, uid=False)),
    "UID STORE": Row(State.SELECTED, lambda c: _store(c, uid=True)),
    "COPY": Row(State.SELECTED, lambda c: _copy(c, uid=False, move=False)),
    "UID COPY": Row(State.SELECTED, lambda c: _copy(c, uid=True, move=False)),
    "MOVE": Row(State.SELECTED, lambda c: _copy(c, uid=False, move=True)),
    "UID MOVE": Row(State.SELECTED, lambda c: _copy(c, uid=True, move=True)),
    "REPLACE": Row(State.SELECTED, lambda c: _replace(c, uid=False)),
    "UID REPLACE": Row(State.SELECTED, lambda c: _replace(c, uid=True)),
}


@dataclass(frozen=True, slots=True)
class Request:
    """A command with its tag."""

    tag: str
    name: str
    action: Action


class Refused(Exception):
    """A command that cannot be done: the tag, and what to answer."""

    def __init__(self, tag: str, status: str, text: str, code: str = "") -> None:
        super().__init__(text)
        self.tag = tag
        self.status = status
        self.text = text
        self.code = code


def parse(c: Cursor, state: State) -> Request:
    """Read a command.  Raises Refused."""
    try:
        tag = c.tag()
    except BadCommand as e:
        raise Refused("*", "BAD", str(e)) from e
    try:
        name, action = _command(c, state)
    except BadCharset as e:
        raise Refused(tag, "NO", str(e), "BADCHARSET (UTF-8 US-ASCII)") from e
    except BadCommand as e:
        raise Refused(tag, "BAD", str(e)) from e
    return Request(tag, name, action)


def _command(c: Cursor, state: State) -> tuple[str, Action]:
    c.space()
    name = c.word()
    if name == "UID":
        c.space()
        name = f"UID {c.word()}"
    row = COMMANDS.get(name)
    if row is None:
        raise BadCommand("unknown command")
    if state not in row.states:
        raise BadCommand(f"{name}: not now")
    action = Plain(name) if row.read is None else row.read(c)
    c.end()
    return name, action
