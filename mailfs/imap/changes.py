"""What happened to the selected folder while nobody asked; RFC 9051 section 7.

Servers tell of it in the middle of any command.  Sequence numbers are turned into uids
at the moment they arrive, since the next line may give them another meaning.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mailfs.imap.grammar.flags import Flags
from mailfs.imap.grammar.ranges import Ranges

MAX_FLAGGED = 20_000  # changes kept; beyond, the folder had better be listed again
MAX_MAPPED = 1_000_000  # messages whose sequence numbers are followed
MAX_EXISTS = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Flagged:
    """The flags a message has now, and the modification they are from (0: unknown)."""

    uid: int
    flags: Flags
    modseq: int = 0


@dataclass(frozen=True, slots=True)
class FolderStatus:
    """What STATUS tells of a folder; None is what it did not tell."""

    messages: int | None = None
    unseen: int | None = None
    uidnext: int | None = None
    uidvalidity: int | None = None
    modseq: int | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """News of one folder.

    exists    how many messages there are now
    grown     whether messages have arrived
    vanished  uids that are no more
    flagged   flags that were set anew
    unsure    whether something changed that cannot be named: list all uids and flags
    folders   news of other folders, by name (NOTIFY)
    """

    exists: int = 0
    grown: bool = False
    vanished: Ranges = field(default_factory=Ranges)
    flagged: tuple[Flagged, ...] = ()
    unsure: bool = False
    folders: dict[str, FolderStatus] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(
            self.grown or self.vanished or self.flagged or self.unsure or self.folders
        )


class Tracker:
    """Gathers the news of the selected folder.

    numbers says whether the server's sequence numbers can be believed.
    """

    def __init__(self, *, numbers: bool = True) -> None:
        self._numbers = numbers
        self.exists = 0
        self.counted = False  # whether the server has told how many there are
        self._uids: array[int] | None = None  # of message 1, 2, ...; None: unknown
        self._folders: dict[str, FolderStatus] = {}
        self._clear()

    def _clear(self) -> None:
        self._grown = self._unsure = False
        self._vanished: list[tuple[int, int]] = []
        self._flagged: dict[int, Flagged] = {}

    def reset(self) -> None:
        """Begin with another folder; news of the old one is void."""
        self.exists = 0
        self.counted = False
        self._uids = None
        self._clear()

    def learn(self, uids: Iterable[int]) -> None:
        """Take the uids of all messages, in order, as they are now."""
        self._uids = None
        if isinstance(uids, Ranges) and len(uids) > MAX_MAPPED:
            return
        mapped = array("Q", sorted(uids))
        if len(mapped) == self.exists:
            self._uids = mapped

    @property
    def mapped(self) -> bool:
        """Whether sequence numbers can be turned into uids."""
        return self._numbers and self._uids is not None

    @property
    def pending(self) -> bool:
        """Whether take would give anything."""
        return bool(
            self._grown
            or self._vanished
            or self._flagged
            or self._unsure
            or self._folders
        )

    def take(self) -> Changes:
        """Take the changes gathered so far."""
        found = Changes(
            self.exists,
            self._grown,
            Ranges(self._vanished),
            tuple(self._flagged.values()),
            self._unsure,
            self._folders,
        )
        self._folders = {}
        self._clear()
        return found

    def count(self, exists: int) -> None:
        """EXISTS: the number of messages now."""
        self.counted = True
        if exists > self.exists:
            self._grown = True
        elif exists < self.exists:  # it may shrink by EXPUNGE only
            self._unsure = True
            self._uids = None
        self.exists = min(exists, MAX_EXISTS)

    def expunge(self, number: int) -> None:
        """EXPUNGE: those behind move up by one."""
        self.exists = max(0, self.exists - 1)
        uids = self._uids
        if not self._numbers or uids is None or not 0 < number <= len(uids):
            self._unsure = True
            self._uids = None
            return
        uid = uids.pop(number - 1)
        self._vanished.append((uid, uid))
        self._flagged.pop(uid, None)

    def vanish(self, uids: Ranges, *, earlier: bool) -> None:
        """VANISHED; those of an earlier time are not in exists any more."""
        self._vanished += uids.pairs
        if len(self._vanished) > MAX_FLAGGED:
            self._vanished = []
            self._unsure = True
        if earlier:
            return
        self.exists = max(0, self.exists - len(uids))
        if self._uids is not None:
            self._uids = array("Q", (u for u in self._uids if u not in uids))

    def flag(self, number: int, uid: int | None, flags: Flags, modseq: int) -> None:
        """FETCH with FLAGS; without a uid the number has to tell it."""
        if uid is None:
            uid = self._uid(number)
        if uid is None:
            # What we do not know cannot have changed for us; else look again.
            self._unsure |= self._uids is None or not self._numbers
            return
        if len(self._flagged) >= MAX_FLAGGED:
            self._unsure = True
            return
        self._flagged[uid] = Flagged(uid, flags, modseq)

    def answered(self, uids: Sequence[int], flags: Sequence[Flags]) -> None:
        """Flags that were asked for: what was heard before of the same is outdated."""
        if not self._flagged:
            return
        for uid, now in zip(uids, flags, strict=True):
            if (old := self._flagged.get(uid)) is not None:
                self._flagged[uid] = Flagged(uid, now, old.modseq)

    def _uid(self, number: int) -> int | None:
        if not self._numbers or self._uids is None:
            return None
        return self._uids[number - 1] if 0 < number <= len(self._uids) else None

    def met(self, number: int, uid: int) -> None:
        """A FETCH named both: the next message's place in the map is known."""
        self.meet((number,), (uid,))

    def meet(self, numbers: Sequence[int], uids: Sequence[int]) -> None:
        """Rows of a FETCH, as they come: sequence numbers and uids, both rising."""
        if not numbers or not self._numbers:
            return
        first, last = numbers[0], numbers[-1]
        rising = last - first == len(numbers) - 1 and last <= self.exists
        if self._uids is None and first == 1 and rising:
            self._uids = array("Q")
        if (known := self._uids) is None:
            return
        if first == len(known) + 1 and rising and (not known or uids[0] > known[-1]):
            known.extend(uids)
        elif any(
            n <= len(known) and known[n - 1] != uid
            for n, uid in zip(numbers, uids, strict=True)
        ):
            self._uids = None  # server and map disagree: never guess

    def folder(self, name: str, status: FolderStatus) -> None:
        """STATUS that nobody asked for."""
        if len(self._folders) < MAX_FLAGGED:
            self._folders[name] = status

    def doubt(self) -> None:
        """Something was said that cannot be understood."""
        self._unsure = True
