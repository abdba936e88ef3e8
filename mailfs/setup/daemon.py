"""The servers that stay: factotum, fs, runq, a mount; started or kept by systemd."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mailfs import where
from mailfs.attr import quote
from mailfs.errors import MailfsError
from mailfs.p9.client import Client
from mailfs.runq import runq
from mailfs.setup import change

READY = 60.0  # seconds until a server is there; a large mailbox lists first
POLL = 0.05  # seconds between looks whether it is there
ANSWER = 10.0  # seconds for a server that runs to say so
MAX_TAIL = 4096  # octets of a log that are looked at for the reason of a failure

FACTOTUM, FS, RUNQ, MOUNT = "factotum", "fs", "runq", "mount"
SERVICES = {FACTOTUM: "factotum", FS: "upasfs"}  # what is posted; others post nothing


@dataclass(frozen=True, slots=True)
class Daemons:
    """The servers of a user.

    keys   the words that tell the factotum its keys
    mount  the directory that the mail is mounted on, read-only; empty for none
    """

    root: Path
    user: str
    keys: tuple[str, ...] = ()
    mount: str = ""

    def words(self, name: str) -> list[str]:
        """Return the command of one."""
        if name == MOUNT:
            return [*_mailfs(), MOUNT, "-f", "--readonly", self.mount]
        verbs = {
            FACTOTUM: [FACTOTUM, *self.keys],
            FS: [FS],
            RUNQ: [RUNQ, "--watch"],
        }
        return [*_mailfs(), *verbs[name], "--root", str(self.root)]

    def running(self, name: str) -> bool:
        """Whether one runs."""
        if name == RUNQ:
            return runq.watched(self.root / "mail" / "queue")
        if name == MOUNT:
            return os.path.ismount(self.mount)
        try:
            Client(SERVICES[name], timeout=ANSWER).close()
        except (MailfsError, OSError):
            return False
        return True

    def log(self, name: str) -> Path:
        """Name the log of a server that is started here."""
        return self.root / "sys" / "log" / f"{name}.err"

    def start(self, name: str) -> None:
        """Start one, and return when it serves.

        It goes on when we and the terminal end.  Raises MailfsError with its own
        complaint if it does not come up.
        """
        words = self.words(name)
        log = self.log(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "ab") as err:
            begin = err.tell()
            process = subprocess.Popen(  # noqa: S603  # our own verb
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=err,
                cwd="/",
                start_new_session=True,
            )
        if not ready(self, name, lambda: process.poll() is not None):
            raise MailfsError(_reason(log, begin) or f"{name}: ended at once")


def ready(servers: Daemons, name: str, ended: Callable[[], bool] = bool) -> bool:
    """Wait until a server answers; False if it has ended.  Raises MailfsError."""
    end = time.monotonic() + READY
    while not servers.running(name):
        if ended():
            return False
        if time.monotonic() > end:
            log = servers.log(name)
            raise MailfsError(f"{name}: not there after {READY:.0f} seconds: {log}")
        time.sleep(POLL)
    return True


def _reason(log: Path, begin: int) -> str:
    with open(log, "rb") as f:
        f.seek(begin)
        said = f.read(MAX_TAIL).decode(errors="replace").strip()
    return said.rpartition("\n")[2]


def _mailfs() -> list[str]:
    """Choose the command for mailfs: beside our interpreter, else the module."""
    beside = Path(sys.executable).with_name("mailfs")
    if os.access(beside, os.X_OK):
        return [str(beside)]
    return [sys.executable, "-P", "-m", "mailfs"]


def open_box(name: str, spec: str) -> None:
    """Have the server that runs open a mailbox.  Raises MailfsError."""
    with Client() as tree:
        tree.write("/ctl", f"open {quote(spec)} {quote(name)}".encode(), 1)


# Units for systemd --user, systemd.service(5).

_UNIT = """\
[Unit]
Description=mailfs {name}: {what}
{after}
[Service]
{service}
ExecStart={command}
Environment=NAMESPACE={namespace}
Restart=on-failure
RestartSec=10
UMask=0077
LimitCORE=0

[Install]
WantedBy=default.target
"""
# The manager of a user knows no network-online.target and passes it over; below
# /etc/systemd/system it counts.
_ONLINE = "network-online.target"
# A server is ready when its mailboxes are open; a large one is listed first.
_NOTIFY = "Type=notify\nTimeoutStartSec=15min"
# What needs no privilege, so that it works in a user's manager too.
_HARDENED = """\
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native"""
_SERVICE = {
    FACTOTUM: f"{_NOTIFY}\n{_HARDENED}",
    FS: f"{_NOTIFY}\n{_HARDENED}",
    RUNQ: "Type=exec",  # rules of rewrite may run sendmail, which is setgid
    MOUNT: "Type=exec",  # fusermount3 is setuid
}
_WHAT = {
    FACTOTUM: "holds your keys",
    FS: "serves your mail as files",
    RUNQ: "sends what is queued",
    MOUNT: "mounts your mail",
}


def units(servers: Daemons, folder: Path, *, factotum: bool) -> list[change.FileChange]:
    """Return the units as changes of files in a folder.

    Without factotum none is made for that, because somebody has to type a password.
    """
    found = []
    for name in (FACTOTUM, FS, RUNQ, MOUNT):
        if (name == FACTOTUM and not factotum) or (name == MOUNT and not servers.mount):
            continue
        path = folder / unit(name)
        first = "" if name == FACTOTUM else unit(FS if name == MOUNT else FACTOTUM)
        new = _unit(servers, name, first)
        found.append(change.FileChange(path, change.read(path), new))
    return found


def unit(name: str) -> str:
    """Return the name of a server's unit."""
    return f"mailfs-{name}.service"


def _unit(servers: Daemons, name: str, first: str) -> str:
    needs = f"{_ONLINE} {first}".strip()
    after = f"After={needs}\nWants={needs}\n"
    return _UNIT.format(
        name=name,
        what=_WHAT[name],
        after=after,
        service=_SERVICE[name],
        command=" ".join(map(_systemd, servers.words(name))),
        namespace=_systemd(str(where.namespace())),
    )


def _systemd(word: str) -> str:
    """Quote a word for a unit: % and $ mean something there; systemd.service(5)."""
    word = word.replace("%", "%%").replace("$", "$$")
    if word and not any(c in word for c in " \t\"'\\;"):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def unit_folder() -> Path:
    """Name the folder of a user's units; systemd.unit(5)."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "systemd" / "user"


Run = Callable[[Sequence[str]], str]
"""Run a command; return why it failed, empty if it did not."""


def run(words: Sequence[str]) -> str:
    """Run a command without showing what it says, unless it fails."""
    if shutil.which(words[0]) is None:
        return f"there is no {words[0]}"
    done = subprocess.run(  # noqa: S603  # our own words
        list(words), capture_output=True, stdin=subprocess.DEVNULL, check=False
    )
    if not done.returncode:
        return ""
    said = done.stderr.decode(errors="replace").strip().replace("\n", " ")
    return said[:MAX_TAIL] or f"{words[0]} ended with status {done.returncode}"


def enable(names: Sequence[str], run: Run = run) -> str:
    """Have systemd start units now and at each login; return why it did not."""
    return run(["systemctl", "--user", "daemon-reload"]) or run(
        ["systemctl", "--user", "enable", "--now", *map(unit, names)]
    )
