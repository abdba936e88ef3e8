"""Messages as they are named to marshal: a directory of a mail tree, mounted or served.

/home/glenda/mnt/mbox/10    a directory of this machine: a mounted tree
/mail/fs/mbox/10            where Plan 9 mounts it: the service upasfs
Mail/mbox/10/               as plan9port's acme names it: the service mail
upasfs/mbox/10              a service and a path in its tree, as 9p(1) does
mbox/10                     as plan9port's nedmail names it: mail, else upasfs
"""

import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from mailfs.errors import EFBIG, MailfsError, Refused, reason
from mailfs.p9.client import Client
from mailfs.p9.fcall import OWRITE
from mailfs.where import DialString as Dial
from mailfs.where import namespace

MOUNTED = "/mail/fs/"  # where Plan 9 has the tree of UPASFS
ACME = "Mail/"  # what plan9port's acme and marshal put before a name in MAIL
UPASFS, MAIL = "upasfs", "mail"
ANSWER = 60.0  # seconds for each answer of a server, which may have to fetch a message

# What marks a message as answered, in each of the two dialects of a flags file.
_ANSWERED = (b"+a", b"+replied")


class MessageDirectory(ABC):
    """A directory whose files tell of one message; upasfs(4)."""

    name: str  # as it was given

    @abstractmethod
    def read(self, file: str, limit: int) -> bytes:
        """Read at most limit octets of a file.  Raises MailfsError or OSError."""

    @abstractmethod
    def write(self, file: str, octets: bytes) -> None:
        """Write a file in one piece.  Raises MailfsError or OSError."""

    def mark_answered(self) -> None:
        """Set the message's flag answered.  Raises MailfsError or OSError."""
        first, second = _ANSWERED
        try:
            self.write("flags", first)
        except (Refused, OSError):
            self.write("flags", second)


class MountedDirectory(MessageDirectory):
    """One in the file system."""

    def __init__(self, name: str) -> None:
        self.name = name

    def read(self, file: str, limit: int) -> bytes:
        """Read a file."""
        with open(os.path.join(self.name, file), "rb") as f:
            return f.read(limit)

    def write(self, file: str, octets: bytes) -> None:
        """Write a file."""
        fd = os.open(os.path.join(self.name, file), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, octets)
        finally:
            os.close(fd)


class ServedDirectory(MessageDirectory):
    """One in the tree of a server that is connected to."""

    def __init__(self, name: str, client: Client, path: str) -> None:
        self.name = name
        self._client = client
        self._path = path

    def read(self, file: str, limit: int) -> bytes:
        """Read a file."""
        out = b""
        with self._client.open(f"{self._path}/{file}") as f:
            while len(out) < limit and (data := f.read(f.iounit)):
                out += data
        return out[:limit]

    def write(self, file: str, octets: bytes) -> None:
        """Write a file."""
        self._client.write(f"{self._path}/{file}", octets, OWRITE)


@contextmanager
def directory(name: str) -> Iterator[MessageDirectory]:
    """Yield the message directory of a name.

    Raises MailfsError that begins with the name if there is none.
    """
    if os.path.isdir(name) and (_is_message(name) or not places(name)):
        yield MountedDirectory(name)
        return
    error: MailfsError | None = None
    for service, path in places(name):
        try:
            client = Client(Dial("unix", str(namespace() / service)), timeout=ANSWER)
        except MailfsError as e:
            error = error or e
            continue
        with closing(client):
            yield ServedDirectory(name, client, path)
            return
    raise MailfsError(f"{name}: {error or 'no message directory, and no mail server'}")


def _is_message(name: str) -> bool:
    return os.path.lexists(os.path.join(name, "rawheader"))


def places(name: str) -> list[tuple[str, str]]:
    """List the (service, path) that a name may mean, in the order they are tried."""
    if name.startswith(MOUNTED):
        return [(UPASFS, f"/{name.removeprefix(MOUNTED).strip('/')}")]
    bare = name.strip("/")
    first, _, rest = bare.partition("/")
    if not rest:
        return []
    if f"{first}/" == ACME:
        return [(MAIL, f"/{rest}")]
    if _posted(first):
        return [(first, f"/{rest}")]
    if name.startswith("/"):
        return []
    return [(one, f"/{bare}") for one in (MAIL, UPASFS) if _posted(one)]


def _posted(service: str) -> bool:
    with suppress(OSError):
        return stat.S_ISSOCK((namespace() / service).stat().st_mode)
    return False


def octets(path: str, limit: int, *, look: bool = False) -> tuple[bytes, bool]:
    """Read a file of this machine, else of a served message.

    Return it, and whether it is the ``raw`` of a whole message.  look: only see whether
    it can be read.  Raises MailfsError that begins with the path if it cannot be read
    or is over limit octets.
    """
    wanted = 1 if look else limit + 1
    try:
        with open(path, "rb") as f:
            found, message = f.read(wanted), False
    except OSError as e:
        folder, _, file = path.rpartition("/")
        if os.path.lexists(path) or not folder or not places(folder):
            raise MailfsError(f"{path}: can't read file: {reason(e)}") from e
        found, message = _served(path, folder, file, wanted)
    if len(found) > limit:
        raise MailfsError(f"{path}: {EFBIG}: over {limit >> 20} MB")
    return found, message


def _served(path: str, folder: str, file: str, limit: int) -> tuple[bytes, bool]:
    try:
        with directory(folder) as where:
            found = where.read(file, limit)
            message = False
            if file == "raw":
                with suppress(Refused):  # a part has none, or an empty one
                    message = bool(where.read("unixdate", 64).strip())
            return found, message
    except Refused as e:
        raise MailfsError(f"{path}: can't read file: {e}") from e
    except OSError as e:
        raise MailfsError(f"{path}: can't read file: {reason(e)}") from e
