"""A user's folders on disk: names, paths, kinds; what they are for; subscriptions.

INBOX is the user's mailbox, wherever it is.  The others lie in ROOT/mail/box/USER: a
file or directory that is a store is a folder, a directory may have folders in it.  No
name leads out of there, and no two names lead to one folder.

All methods block.  They raise OSError, Refused and BadFolder.
"""

import os
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mailfs.errors import MailfsError
from mailfs.mailbox.driver import Driver, Place
from mailfs.mailbox.drivers import open_store
from mailfs.mailbox.drivers.maildir import Maildir
from mailfs.mailbox.drivers.mdir import Mdir
from mailfs.mailbox.drivers.mh import Mh
from mailfs.mailbox.drivers.spec import is_network
from mailfs.mailbox.folder import box_name
from mailfs.mailbox.uidfile import UidFile, uid_path

INBOX = "INBOX"
MAX_NAME = 200  # octets of one level: 255 less what companions' names have behind it
MAX_LEVELS = 20
MAX_FOLDERS = 10_000  # that are listed
USES = ("\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash")
USUAL = {
    "Drafts": "\\Drafts",
    "Sent": "\\Sent",
    "Junk": "\\Junk",
    "Trash": "\\Trash",
    "Archive": "\\Archive",
}

# What else lies in a user's mail directory; imap4d(8), marshal(1), upasfs(4).
_OTHERS = frozenset(
    {
        *("addresses", "dead.letter", "flags", "folders", "forward", "headers"),
        *("imap.subscribed", "mailboxes", "mbox", "names", "outbox", "pipefrom"),
        *("pipeto", "pipeto.lib", "signature", "tmp"),
        *("cur", "new"),
    }
)
_BEGINNINGS = (".", "-", "L.", "imap-tmp.", "uids.db", "names.", "tmp.")
_ENDS = (".flags", ".idx", ".imp", ".lock", ".tmp", ".00", ".keys", ".journal")
_SUBSCRIBED = "imap.subscribed"  # imap4d(8)'s list, read once
_MAX_SUBSCRIBED = 1 << 20  # octets of it
_KINDS: dict[str, type[Driver]] = {"maildir": Maildir, "mh": Mh}


class BadFolder(MailfsError):
    """A folder that cannot be had; code is what the response says, as NONEXISTENT."""

    def __init__(self, text: str, code: str = "CANNOT") -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that is there."""

    name: str
    path: str
    selectable: bool = True
    parent: bool = True  # whether folders may lie in it


class Folders:
    """One user's folders."""

    def __init__(self, place: Place, inbox: str) -> None:
        """Look at nothing yet.  inbox: path of the user's mailbox."""
        self.place = place
        self.inbox = inbox
        self.base = f"{place.root}/mail/box/{place.user}"
        self.notes = UidFile(uid_path(place.root, place.user))

    def path(self, name: str) -> str:
        """Return a folder's path.  Raises BadFolder if there can be no such name."""
        if name == INBOX:
            return self.inbox
        levels = name.split("/")
        if len(levels) > MAX_LEVELS or levels[0].upper() == INBOX:
            raise BadFolder("no such name")
        for level in levels:
            _check(level)
        return f"{self.base}/{unicodedata.normalize('NFC', name)}"

    def find(self, name: str) -> Folder:
        """Return a folder that is there.  Raises BadFolder."""
        path = self.path(name)
        if name == INBOX:
            return Folder(name, path, parent=False)
        try:
            self._beneath(path)
            st = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            raise BadFolder("no such mailbox", "NONEXISTENT") from None
        found = _folder(name, path, st)
        if found is None:
            raise BadFolder("no such mailbox", "NONEXISTENT")
        return found

    def _beneath(self, path: str) -> None:
        """Raise BadFolder if a link leads to the path."""
        at = self.base
        for level in path[len(self.base) + 1 :].split("/")[:-1]:
            at = f"{at}/{level}"
            if stat.S_ISLNK(os.lstat(at).st_mode):
                raise BadFolder("no such mailbox", "NONEXISTENT")

    def all(self) -> dict[str, Folder]:
        """Return the folders by name, INBOX first, each before those in it."""
        found = {INBOX: Folder(INBOX, self.inbox, parent=False)}
        for folder in self._walk():
            found[folder.name] = folder
            if len(found) >= MAX_FOLDERS:
                break
        return found

    def _walk(self) -> Iterator[Folder]:
        rest = [("", self.base)]
        while rest:
            prefix, path = rest.pop()
            below = []
            for name, st in _entries(path):
                try:
                    _check(name)
                except BadFolder:
                    continue
                folder = _folder(prefix + name, f"{path}/{name}", st)
                if folder is None or self._is_inbox(folder.path):
                    continue
                yield folder
                if folder.parent and folder.name.count("/") < MAX_LEVELS - 1:
                    below.append((f"{folder.name}/", folder.path))
            rest.extend(reversed(below))

    def _is_inbox(self, path: str) -> bool:
        try:
            return os.path.samefile(path, self.inbox)
        except OSError:
            return False

    def store(self, folder: Folder) -> Driver:
        """Return the driver of a folder."""
        if folder.name == INBOX and not is_network(folder.path):
            Path(folder.path).parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        return open_store(folder.path, self.place)

    def create(self, name: str) -> None:
        """Make a folder, and those that it lies in."""
        levels = name.rstrip("/").split("/")
        for count in range(1, len(levels)):
            self._make_level("/".join(levels[:count]))
        name = "/".join(levels)
        path = self.path(name)
        if name == INBOX:
            raise BadFolder("there is an INBOX", "ALREADYEXISTS")
        if os.path.lexists(path):
            raise BadFolder("there is such a mailbox", "ALREADYEXISTS")
        self.notes.forget(box_name(path))
        self._new(path).make()

    def _new(self, path: str) -> Driver:
        """Return the driver of a new folder; of INBOX's kind if that has folders."""
        kind = open_store(self.inbox, self.place).kind if self._there() else ""
        return _KINDS.get(kind, Mdir)(path, self.place)

    def _there(self) -> bool:
        return not is_network(self.inbox) and os.path.exists(self.inbox)

    def _make_level(self, name: str) -> None:
        path = self.path(name)
        self._beneath(path)
        if os.path.isdir(path):
            return
        if os.path.lexists(path):
            raise BadFolder(f"{name}: no mailbox may lie in it")
        self.notes.forget(box_name(path))
        self._new(path).make()

    def delete(self, folder: Folder) -> None:
        """Remove a folder's mail; folders in it stay."""
        if folder.name == INBOX:
            raise BadFolder("INBOX stays")
        if any(_entries_of(folder)):
            raise BadFolder("mailboxes lie in it; delete them first", "HASCHILDREN")
        driver = self.store(folder)
        try:
            driver.remove()
        finally:
            driver.close()
        self.notes.forget(box_name(folder.path))
        use, _ = self.notes.folders().get(folder.name, ("", False))
        if use:
            self.note(folder.name, use="")

    def rename(self, folder: Folder, new: str) -> None:
        """Give a folder, and those in it, another name; of INBOX the mail moves."""
        path = self.path(new)
        if os.path.lexists(path):
            raise BadFolder("there is such a mailbox", "ALREADYEXISTS")
        if f"{new}/".startswith(f"{folder.name}/"):
            raise BadFolder("a mailbox cannot be put into itself")
        levels = new.split("/")
        for count in range(1, len(levels)):
            self._make_level("/".join(levels[:count]))
        self.notes.forget(box_name(path))
        driver = self.store(folder)
        try:
            driver.rename(path, keep=folder.name == INBOX)
        finally:
            driver.close()
        self.notes.forget(box_name(folder.path))
        for name, (use, _) in self.notes.folders().items():
            if use and f"{name}/".startswith(f"{folder.name}/") and name != INBOX:
                self.note(name, use="")
                self.note(new + name[len(folder.name) :], use=use)

    def uses(self) -> dict[str, tuple[str, bool]]:
        """Return (special use, subscribed) by name."""
        return self.notes.folders()

    def note(
        self, name: str, *, use: str | None = None, subscribed: bool | None = None
    ) -> None:
        """Change what a folder is for, or whether it is subscribed."""
        was = self.notes.folders().get(name, ("", False))
        self.notes.set_folder(
            name,
            was[0] if use is None else use,
            was[1] if subscribed is None else subscribed,
        )

    def begin(self) -> None:
        """Make the usual folders for a user who comes for the first time."""
        if self.notes.folders() or self.place.readonly:
            return
        self.note(INBOX, subscribed=True)
        for name in self._subscribed():
            self.note(name, subscribed=True)
        for name, use in USUAL.items():
            path = self.path(name)
            if not os.path.lexists(path):
                self._new(path).make()
            self.note(name, use=use, subscribed=True)

    def _subscribed(self) -> list[str]:
        """Read imap4d(8)'s list, less its first line."""
        try:
            with open(f"{self.base}/{_SUBSCRIBED}", "rb") as file:
                text = file.read(_MAX_SUBSCRIBED).decode("utf-8", "replace")
        except OSError:
            return []
        return [line for line in text.splitlines()[1:] if line and line != INBOX]


def _check(level: str) -> None:
    """Raise BadFolder if a name cannot be that of a folder on one level."""
    octets = os.fsencode(level) if _encodable(level) else b""
    if not octets or len(octets) > MAX_NAME:
        raise BadFolder("no such name")
    if any(c < " " or c == "\x7f" for c in level):
        raise BadFolder("no such name")
    if level in _OTHERS or level.startswith(_BEGINNINGS) or level.endswith(_ENDS):
        raise BadFolder("the name is taken for something else")


def _encodable(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def _folder(name: str, path: str, st: os.stat_result) -> Folder | None:
    """Return the folder that a directory entry is, None if it is none."""
    if stat.S_ISDIR(st.st_mode):
        return Folder(name, path)
    if not stat.S_ISREG(st.st_mode):
        return None
    return Folder(name, path, parent=False) if _is_mbox(path, st) else None


def _is_mbox(path: str, st: os.stat_result) -> bool:
    """Whether a file is an mbox: empty, or with a From_ line in front."""
    if not st.st_size:
        return True
    try:
        with open(path, "rb") as file:
            return file.read(8).removeprefix(b"\xef\xbb\xbf").startswith(b"From ")
    except OSError:
        return False


def _entries(path: str) -> list[tuple[str, os.stat_result]]:
    """Return a directory's entries that may be folders, sorted; links are not."""
    found = []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name[:1].isdigit() and entry.is_file(follow_symlinks=False):
                    continue  # a message of an mdir or of MH
                found.append((entry.name, entry.stat(follow_symlinks=False)))
    except OSError:
        return []
    return sorted(found, key=lambda one: one[0])


def _entries_of(folder: Folder) -> Iterator[str]:
    """Give the names of folders in a folder."""
    for name, st in _entries(folder.path) if folder.parent else ():
        try:
            _check(name)
        except BadFolder:
            continue
        if _folder(name, f"{folder.path}/{name}", st) is not None:
            yield name
