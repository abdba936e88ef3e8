"""A Postfix of our own: its configuration, queue and ports, nothing of the system's.

It needs root, and the users postfix and postdrop that its package makes.
"""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

READY_SECONDS = 30
NOBODY = pwd.getpwnam("nobody")

MAIN = """\
compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.test
mydestination =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = reject_unauth_destination
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
maillog_file = {root}/log
maillog_file_prefixes = {root}
virtual_mailbox_domains = b.com, smtputf8.b.com
virtual_mailbox_base = {root}/box
virtual_mailbox_maps = static:all/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
smtpd_tls_security_level = may
smtpd_tls_cert_file = {cert}
smtpd_tls_key_file = {key}
in_flow_delay = 0
smtpd_client_connection_count_limit = 0
default_process_limit = 100
"""

MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
pickup unix n - n 60 1 pickup
showq unix n - n - - showq
postlog unix-dgram n - n - 1 postlogd
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


class Postfix:
    """Runs while entered; more is added to main.cf."""

    def __init__(
        self, cert: Path | None = None, more: Mapping[str, str] | None = None
    ) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="pf"))
        self.port = free_port()
        self.root.chmod(0o755)
        owner = pwd.getpwnam("postfix")
        for name, user in (("queue", None), ("data", owner), ("box", NOBODY)):
            (self.root / name).mkdir(mode=0o755)
            if user is not None:
                os.chown(self.root / name, user.pw_uid, user.pw_gid)
        self.config = self.root / "etc"
        self.config.mkdir()
        settings = {
            "root": self.root,
            "uid": NOBODY.pw_uid,
            "gid": NOBODY.pw_gid,
            "cert": cert or "",
            "key": cert.with_suffix(".key") if cert else "",
            "port": self.port,
        }
        lines = MAIN.format(**settings).splitlines()
        table = dict(line.split(" =", 1) for line in lines) | dict(more or {})
        text = "".join(f"{name} = {told}\n" for name, told in table.items())
        (self.config / "main.cf").write_text(text)
        (self.config / "master.cf").write_text(MASTER.format(**settings))

    def __enter__(self) -> "Postfix":
        self._control("start")
        try:
            self._greeted()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _greeted(self) -> None:
        end = time.monotonic() + READY_SECONDS
        while True:
            assert time.monotonic() < end, self.log()
            with contextlib.suppress(OSError):
                with socket.create_connection(("127.0.0.1", self.port), 5) as sock:
                    if sock.recv(3) == b"220":
                        return
            time.sleep(0.02)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._control("stop")
        shutil.rmtree(self.root, ignore_errors=True)

    def _control(self, verb: str) -> None:
        done = subprocess.run(
            ["postfix", "-c", self.config, verb], capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode() + self.log()

    def log(self) -> str:
        with contextlib.suppress(OSError):
            return (self.root / "log").read_text()
        return ""

    def mail(self, count: int) -> list[bytes]:
        """Return the messages delivered, once there are so many."""
        folder = self.root / "box/all/new"
        end = time.monotonic() + READY_SECONDS
        while not folder.exists() or len(os.listdir(folder)) < count:
            assert time.monotonic() < end, self.log()
            time.sleep(0.02)
        return [path.read_bytes() for path in sorted(folder.iterdir())]
