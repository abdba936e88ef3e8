"""Commands as values: what a client asks for; RFC 9051 section 6."""

from dataclasses import dataclass

from mailfs.serve.imapd.criteria import Key
from mailfs.serve.imapd.items import Items
from mailfs.serve.imapd.listing import ListOptions
from mailfs.serve.imapd.reader import Upload
from mailfs.serve.imapd.sets import SequenceSet


@dataclass(frozen=True, slots=True)
class Plain:
    """A command that takes no arguments."""

    name: str


@dataclass(frozen=True, slots=True)
class Id:
    """ID: what the client says it is."""

    pairs: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Authenticate:
    """AUTHENTICATE; initial is None where none came."""

    mechanism: str
    initial: bytes | None


@dataclass(frozen=True, slots=True)
class Login:
    """LOGIN."""

    user: bytes
    password: bytes

    def __repr__(self) -> str:
        return "Login(?)"


@dataclass(frozen=True, slots=True)
class Compress:
    """COMPRESS."""

    algorithm: str


@dataclass(frozen=True, slots=True)
class Enable:
    """ENABLE."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Resync:
    """QRESYNC of SELECT: what the client knows; RFC 7162 section 3.2.5."""

    validity: int
    modseq: int
    known: SequenceSet | None = None
    match: tuple[SequenceSet, SequenceSet] | None = None


@dataclass(frozen=True, slots=True)
class Select:
    """SELECT and EXAMINE."""

    mailbox: str
    readonly: bool
    condstore: bool = False
    resync: Resync | None = None


@dataclass(frozen=True, slots=True)
class Create:
    """CREATE; use names a special use, as Sent."""

    mailbox: str
    uses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Folder:
    """DELETE, SUBSCRIBE, UNSUBSCRIBE: a command with a name."""

    name: str
    mailbox: str


@dataclass(frozen=True, slots=True)
class Rename:
    """RENAME."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class ListFolders:
    """LIST and LSUB."""

    reference: str
    patterns: tuple[str, ...]
    options: ListOptions
    lsub: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    """STATUS."""

    mailbox: str
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Appended:
    """One message of an APPEND."""

    upload: Upload
    flags: tuple[str, ...] = ()
    date: int | None = None


@dataclass(frozen=True, slots=True)
class Append:
    """APPEND; replaces is the message that REPLACE removes (set, whether by uid)."""

    mailbox: str
    messages: tuple[Appended, ...]
    replaces: tuple[SequenceSet, bool] | None = None


@dataclass(frozen=True, slots=True)
class Expunge:
    """EXPUNGE; of UID EXPUNGE, the set."""

    uids: SequenceSet | None = None


@dataclass(frozen=True, slots=True)
class Results:
    """What of a SEARCH or SORT is wanted; none is the old answer; RFC 4731."""

    names: frozenset[str] | None = None
    partial: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """SEARCH; with sort, SORT."""

    key: Key
    uid: bool
    results: Results = Results()  # a value
    sort: tuple[tuple[str, bool], ...] | None = None


@dataclass(frozen=True, slots=True)
class Thread:
    """THREAD."""

    algorithm: str
    key: Key
    uid: bool


@dataclass(frozen=True, slots=True)
class Fetch:
    """FETCH; since and vanished are CONDSTORE's and QRESYNC's."""

    set: SequenceSet
    items: Items
    uid: bool
    since: int | None = None
    vanished: bool = False


@dataclass(frozen=True, slots=True)
class Store:
    """STORE; how is ``+``, ``-`` or empty."""

    set: SequenceSet
    how: str
    flags: tuple[str, ...]
    silent: bool
    uid: bool
    unchanged: int | None = None


@dataclass(frozen=True, slots=True)
class Copy:
    """COPY and MOVE."""

    set: SequenceSet
    mailbox: str
    uid: bool
    move: bool


Action = (
    Plain
    | Id
    | Authenticate
    | Login
    | Enable
    | Compress
    | Select
    | Create
    | Folder
    | Rename
    | ListFolders
    | Status
    | Append
    | Expunge
    | Search
    | Thread
    | Fetch
    | Store
    | Copy
)
