"""Where things are: the root of Plan 9 paths, the name space, the cache, addresses.

Every Plan 9 path that a manual names lies below one root directory; services are
posted where plan9port looks for them; what can be rebuilt lies in the user's cache.
"""

import getpass
import ipaddress
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from mailfs.errors import MailfsError, UsageError
from mailfs.ndb import shipped


def user() -> str:
    """Return the name of the user we run as."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such uid in the password file
        return str(os.getuid())


def root(given: str | None = None) -> Path:
    """Return the root of Plan 9 paths: given, else $MAILFS_ROOT, else the user's data.

    The directory need not exist.
    """
    path = given or os.environ.get("MAILFS_ROOT")
    if path:
        return Path(path).absolute()
    import platformdirs

    return Path(platformdirs.user_data_dir("mailfs", appauthor=False))


def cache() -> Path:
    """Return the directory for what can be rebuilt; it need not exist."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("mailfs", appauthor=False))


def plan9(name: str) -> Path:
    """Find a file that a person named as Plan 9 does.

    A path that does not exist, but does below the root of Plan 9 paths, is that one.
    """
    path = Path(name)
    if path.is_absolute() and not os.path.lexists(path):
        below = root() / path.relative_to("/")
        if os.path.lexists(below):
            return below
    return path


def box(root: Path, name: str, login: str) -> str:
    """Return the path a control message means by name: upasfs(4), section FILES.

    A name that starts with /, ./ or ../ is kept; any other lies in the user's
    mail directory below root.
    """
    if name.startswith(("/", "./", "../")):
        return name
    return f"{root}/mail/box/{login}/{name}"


def namespace() -> Path:
    """Return the directory services are posted in, made 0700; intro(4) of plan9port.

    Raises MailfsError if somebody else owns it: a service there could be theirs.
    """
    given = os.environ.get("NAMESPACE")
    if given:
        path = Path(given)
    else:
        display = os.environ.get("DISPLAY") or ":0"
        if display.endswith(".0"):
            display = display[:-2]
        path = Path(f"/tmp/ns.{user()}.{display.replace('/', '_')}")  # noqa: S108
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        st = path.lstat() if not given else path.stat()
    except OSError as e:
        raise MailfsError(f"name space {path}: {e.strerror}") from e
    if not stat.S_ISDIR(st.st_mode):
        raise MailfsError(f"name space {path}: not a directory")
    if st.st_uid not in (os.getuid(), 0) or st.st_mode & 0o022:
        raise MailfsError(f"name space {path}: others may write there")
    return path


def is_loopback(host: str) -> bool:
    """Whether a host, by name or address, is this machine and nobody else can be it.

    All of 127.0.0.0/8, ::1, those mapped into IPv6, and localhost (RFC 6761 section
    6.3); a name that a resolver would have to be asked for is not.
    """
    name = host.strip("[]").partition("%")[0].rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def local_peer(sock: socket.socket) -> bool:
    """Whether a connected socket's peer is this machine, so that nobody can listen.

    Raises OSError if it is not connected.
    """
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return True
    return is_loopback(str(sock.getpeername()[0]))


@dataclass(frozen=True, slots=True)
class DialString:
    """A dial string taken apart; dial(3) of plan9port.

    net is unix, tcp, stdio, or tls, which is TLS from the first octet over tcp.
    """

    net: str
    host: str = ""  # a host, or the path of a Unix socket
    port: int = 0

    def __str__(self) -> str:
        if self.net in ("tcp", "tls"):
            return f"{self.net}!{self.host}!{self.port}"
        return f"{self.net}!{self.host}" if self.host else self.net

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        return self.net in ("unix", "stdio") or is_loopback(self.host)


def dialstring(text: str) -> DialString:
    """Parse ``unix!PATH``, ``tcp!HOST!PORT``, ``tls!HOST!PORT``, ``stdio``, or a name.

    A bare name is a service in the name space, as in ``9p -a``, or with a slash the
    path of a Unix socket.  ``*`` as host means every address.  Raises UsageError with
    the string in it.
    """
    net, bang, rest = text.partition("!")
    if net == "stdio" and not rest:
        return DialString("stdio")
    if net == "unix" and rest:
        return DialString("unix", rest)
    if net in ("tcp", "tls") and rest:
        host, _, port = rest.rpartition("!")
        if host and port:
            return DialString(net, host, _port(port, text))
    elif not bang:
        if "/" in text:
            return DialString("unix", text)
        if text:
            return DialString("unix", str(namespace() / text))
    raise UsageError(
        f"{text}: not an address: want unix!PATH, tcp!HOST!PORT, tls!HOST!PORT, stdio "
        "or a service"
    )


def _port(name: str, text: str) -> int:
    if name.isdecimal() and int(name) < 65536:
        return int(name)
    port = shipped.port(name)
    if port is not None:
        return port
    try:
        return socket.getservbyname(name, "tcp")
    except OSError:
        raise UsageError(f"{text}: unknown service {name}") from None
