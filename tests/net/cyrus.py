"""A private Cyrus 3: a second IMAP server, of another make.

Debian does not let cyrus-imapd be installed beside dovecot-imapd, so only cyrus-common
is, and the one program that lacks is taken out of its package.  Nothing of the system's
configuration is read.  Any user may log in with any password.
"""

import contextlib
import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.net.dovecot import free_ports

MASTER = Path("/usr/lib/cyrus/bin/master")
READY_SECONDS = 30
END_SECONDS = 15
TAIL = 2000  # characters of what it printed that a failure shows

_IMAPD = """\
configdirectory: {root}/conf
partition-default: {root}/spool
defaultpartition: default
altnamespace: yes
unixhierarchysep: yes
cyrus_user: {user}
cyrus_group: {group}
allowplaintext: yes
sasl_pwcheck_method: alwaystrue
sasl_mech_list: PLAIN LOGIN
autocreate_quota: 0
autocreate_inbox_folders: Trash|Sent
xlist-trash: Trash
imapidlepoll: 1
duplicate_db_path: {root}/duplicate.db
proc_path: {root}/proc
mboxname_lockpath: {root}/lock
temp_path: {root}/tmp
lmtpsocket: {root}/lmtp
idlesocket: {root}/idle
notifysocket: {root}/notify
servername: localhost
"""
_CYRUS = """\
START {{
}}
SERVICES {{
  imap cmd="{imapd} -C {root}/imapd.conf" listen="127.0.0.1:{port}" prefork=1
}}
EVENTS {{
}}
"""


class Cyrus:
    """Running while entered; user() names somebody whom no other test has."""

    def __init__(self) -> None:
        (self.port,) = free_ports(1)
        self.root = Path(tempfile.mkdtemp(prefix="cy"))
        drop = os.geteuid() == 0
        self._pw = pwd.getpwnam("nobody") if drop else pwd.getpwuid(os.geteuid())
        ids = {"user": self._pw.pw_uid, "group": self._pw.pw_gid}
        self._who: dict[str, Any] = {**ids, "extra_groups": []} if drop else {}
        self._process: subprocess.Popen[bytes] | None = None
        self._given = 0

    def user(self) -> str:
        """Return a new user's name."""
        self._given += 1
        return f"user{self._given}"

    def __enter__(self) -> "Cyrus":
        try:
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        process = self._process
        if process is not None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_SECONDS)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(self.root, ignore_errors=True)

    def _start(self) -> None:
        assert MASTER.exists(), "no cyrus: apt-get install cyrus-common"
        group = grp.getgrgid(self._pw.pw_gid).gr_name
        values = {"root": self.root, "user": self._pw.pw_name, "group": group}
        (self.root / "imapd.conf").write_text(_IMAPD.format(**values))
        imapd = self._imapd()
        config = _CYRUS.format(imapd=imapd, port=self.port, **values)
        (self.root / "cyrus.conf").write_text(config)
        for name in ("conf", "spool", "proc", "lock", "tmp"):
            (self.root / name).mkdir()
        if self._who:
            for path in (self.root, *self.root.iterdir()):
                os.chown(path, self._pw.pw_uid, self._pw.pw_gid)
        with (self.root / "out").open("wb") as out:
            self._process = subprocess.Popen(
                [
                    *(MASTER, "-D", "-p", self.root / "pid"),
                    *("-C", self.root / "imapd.conf", "-M", self.root / "cyrus.conf"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=self.root,
                start_new_session=True,
                **self._who,
            )
        self._wait()

    def _imapd(self) -> Path:
        """Return the program, out of its package where it is not installed."""
        installed = MASTER.parent / "imapd"
        if installed.exists():
            return installed
        scratch = self.root / "package"
        scratch.mkdir()
        subprocess.run(
            [
                "apt-get",
                "download",
                "-q",
                "-o",
                "APT::Sandbox::User=root",
                "cyrus-imapd",
            ],
            cwd=scratch,
            check=True,
            capture_output=True,
        )
        (package,) = scratch.glob("*.deb")
        subprocess.run(["dpkg", "-x", package, scratch], check=True)
        return scratch / "usr/lib/cyrus/bin/imapd"

    def _wait(self) -> None:
        assert self._process is not None
        end = time.monotonic() + READY_SECONDS
        while True:
            with contextlib.suppress(OSError):
                with socket.create_connection(("127.0.0.1", self.port), 1) as sock:
                    if sock.recv(4) == b"* OK":
                        return
            if self._process.poll() is not None or time.monotonic() > end:
                said = (self.root / "out").read_text(errors="replace")
                raise AssertionError(f"cyrus: {said[-TAIL:]}")
            time.sleep(0.05)
