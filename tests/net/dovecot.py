"""A private Dovecot 2.3: IMAP and POP3 on loopback, with and without TLS.

All its files lie in one directory and nothing of /etc/dovecot is read.  Started by
root it runs as nobody, since Dovecot serves no mail of uid 0.
"""

import contextlib
import grp
import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from mailfs.tls.thumb import line as thumb_line
from mailfs.tls.trust import Policy, Trust

READY_SECONDS = 30
END_SECONDS = 15
TAIL = 2000  # characters of the log that a failure shows
PASSWORD = "secret"
POOL = 150  # users of each kind that Dovecot.user hands out

# How user() stores mail: the format to the user's mail_location.
KINDS = {"maildir": "maildir:~/Maildir", "mdbox": "mdbox:~/mdbox", "mbox": "mbox:~/m"}

_CONF = """\
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/log
instance_name = mailfs-test
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 1
first_valid_gid = 1
default_vsz_limit = 0
service anvil {{
  chroot =
  # No delay for an address that a wrong password came from.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service imap-login {{
  chroot =
  service_count = 0
  process_min_avail = 1
  inet_listener imap {{
    address = 127.0.0.1
    port = {imap}
  }}
  inet_listener imaps {{
    address = 127.0.0.1
    port = {imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  chroot =
  service_count = 0
  inet_listener pop3 {{
    address = 127.0.0.1
    port = {pop3}
  }}
  inet_listener pop3s {{
    address = 127.0.0.1
    port = {pop3s}
    ssl = yes
  }}
}}
protocols = imap pop3
listen = 127.0.0.1
disable_plaintext_auth = no
auth_mechanisms = {mechanisms}
auth_verbose = yes
auth_failure_delay = 0
auth_cache_size = 0
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {root}/passwd
}}
userdb {{
  driver = passwd-file
  args = {root}/passwd
}}
ssl = {ssl}
ssl_cert = <{root}/cert.pem
ssl_key = <{root}/key.pem
ssl_min_protocol = TLSv1.2
mail_location = maildir:~/Maildir
mailbox_list_index = yes
mail_fsync = never
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Drafts {{
    special_use = \\Drafts
    auto = create
  }}
  mailbox Sent {{
    special_use = \\Sent
    auto = subscribe
  }}
  mailbox Trash {{
    special_use = \\Trash
    auto = create
  }}
}}
mail_plugins = zlib
mailbox_idle_check_interval = 1 secs
protocol imap {{
  mail_plugins = zlib imap_zlib
  mail_max_userip_connections = 200
  {capability}
}}
protocol pop3 {{
  mail_max_userip_connections = 200
  pop3_uidl_format = %08Xu%08Xv
}}
{extra}
"""


def free_ports(count: int) -> list[int]:
    """Return TCP ports of the loopback that were free a moment ago, all different."""
    socks = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in socks]
    for s in socks:
        s.close()
    return ports


class Dovecot:
    """Running while entered.  kill and start again as often as a test likes.

    users       name to (password, mail_location), besides those that user() gives
    capability  what to add to the capabilities (``UTF8=ACCEPT``), or, if it begins
                with =, all of them after login
    extra       more lines of dovecot.conf
    mechanisms  SASL mechanisms, as auth_mechanisms has them
    """

    def __init__(
        self,
        users: Mapping[str, tuple[str, str]] | None = None,
        *,
        capability: str = "",
        extra: str = "",
        mechanisms: str = "plain login cram-md5 apop scram-sha-1 scram-sha-256",
        tls: bool = True,
    ) -> None:
        names = ("imap", "imaps", "pop3", "pop3s")
        self.ports = dict(zip(names, free_ports(4), strict=True))
        self._users = dict(users or {})
        for kind, location in KINDS.items():
            for n in range(POOL):
                self._users[f"{kind}{n}"] = (PASSWORD, location)
        self._given = dict.fromkeys(KINDS, 0)
        self._settings = (capability, extra, mechanisms, "yes" if tls else "no")
        self._process: subprocess.Popen[bytes] | None = None
        # Short: a Unix socket's path is 108 octets at most.
        self.root = Path(tempfile.mkdtemp(prefix="dv"))
        drop = os.geteuid() == 0
        self._pw = pwd.getpwnam("nobody") if drop else pwd.getpwuid(os.geteuid())
        self._who: dict[str, Any] = {}
        if drop:
            ids = {"user": self._pw.pw_uid, "group": self._pw.pw_gid}
            self._who = {**ids, "extra_groups": []}

    def __enter__(self) -> "Dovecot":
        try:
            self._configure()
            self.start()
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
        self.stop()
        shutil.rmtree(self.root, ignore_errors=True)

    def user(self, kind: str = "maildir") -> str:
        """Return the name of a user whom no other test has, with PASSWORD."""
        n = self._given[kind]
        self._given[kind] += 1
        assert n < POOL, "out of users"
        return f"{kind}{n}"

    def home(self, user: str) -> Path:
        """Return a user's home; it exists once the user was there."""
        return self.root / "home" / user

    def start(self) -> None:
        """Start it, and return when all four ports answer."""
        exe = shutil.which("dovecot", path=f"{os.environ['PATH']}:/usr/sbin")
        assert exe, "no dovecot: apt-get install dovecot-imapd dovecot-pop3d"
        self._process = subprocess.Popen(
            [exe, "-F", "-c", self.root / "dovecot.conf"],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            cwd=self.root,
            **self._who,
        )
        end = time.monotonic() + READY_SECONDS
        for name, port in self.ports.items():
            if name in ("imap", "pop3") or self._settings[3] == "yes":
                self._wait(port, end)

    def _wait(self, port: int, end: float) -> None:
        assert self._process is not None
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise AssertionError(f"dovecot: {self.log()}") from None
                time.sleep(0.02)
            else:
                return

    def log(self) -> str:
        """Return the end of its log."""
        path = self.root / "log"
        return path.read_text(errors="replace")[-TAIL:] if path.exists() else ""

    def stop(self) -> None:
        """End it in good order; connections end."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it and all its children at once, as a crash of the machine does."""
        self._end(signal.SIGKILL)
        # A child may die a moment later; its sockets must not look alive.
        shutil.rmtree(self.root / "run", ignore_errors=True)
        (self.root / "run").mkdir(exist_ok=True)
        self._chown(self.root / "run")

    def _end(self, sig: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if sig == signal.SIGTERM and process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def doveadm(self, *words: str, stdin: bytes = b"") -> bytes:
        """Run doveadm and return what it prints; it must succeed."""
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            ["doveadm", "-c", str(self.root / "dovecot.conf"), *words],
            input=stdin,
            capture_output=True,
            cwd=self.root,
            check=False,
            **self._who,
        )
        assert done.returncode == 0, done.stderr.decode()[-TAIL:]
        return done.stdout

    def deliver(self, user: str, message: bytes, folder: str = "INBOX") -> None:
        """Put a message into a folder, as another program would."""
        self.doveadm("save", "-u", user, "-m", folder, stdin=message)

    def fill(self, user: str, maildir: Path) -> None:
        """Copy a whole Maildir into a user's INBOX; the way for thousands."""
        source = self.root / "fill"
        shutil.copytree(maildir, source, copy_function=os.link)
        (source / "tmp").mkdir(exist_ok=True)
        self._chown(source, source / "cur", source / "new", source / "tmp")
        self.doveadm(
            "import", "-u", user, f"maildir:{source}", "", "mailbox", "INBOX", "all"
        )
        shutil.rmtree(source)

    def trust(self, root: Path, *, listed: bool = True) -> Trust:
        """Return a Trust whose lists lie below root and name our certificate, or not.

        No authority vouches for anybody.
        """
        if listed:
            file = root / "sys/lib/tls/mail"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(thumb_line(self.certificate()) + "\n")
        return Trust(root, Policy.THUMBPRINT)

    def certificate(self) -> bytes:
        """Return the server's certificate, DER."""
        return ssl.PEM_cert_to_DER_cert((self.root / "cert.pem").read_text())

    def _configure(self) -> None:
        capability, extra, mechanisms, tls = self._settings
        if capability:
            sign = "" if capability.startswith("=") else "+"
            capability = f"imap_capability = {sign}{capability.removeprefix('=')}"
        for name in ("run", "state", "home"):
            (self.root / name).mkdir()
        self.root.chmod(0o755)
        config = _CONF.format(
            root=self.root,
            user=self._pw.pw_name,
            group=grp.getgrgid(self._pw.pw_gid).gr_name,
            ssl=tls,
            extra=extra,
            mechanisms=mechanisms,
            capability=capability,
            **self.ports,
        )
        (self.root / "dovecot.conf").write_text(config)
        ids = f"{self._pw.pw_uid}:{self._pw.pw_gid}"
        lines = [
            f"{name}:{password}:{ids}::{self.home(name)}::userdb_mail={mail}\n"
            for name, (password, mail) in self._users.items()
        ]
        (self.root / "passwd").write_text("".join(lines))
        self._make_certificate()
        self._chown(self.root, *self.root.iterdir())

    def _make_certificate(self) -> None:
        words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        words += f" -days 3650 -keyout {self.root}/key.pem -out {self.root}/cert.pem"
        words += " -subj /CN=localhost"
        names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
        subprocess.run(
            ["openssl", *words.split(), "-addext", names],
            check=True,
            capture_output=True,
        )

    def _chown(self, *paths: Path) -> None:
        if self._who:
            for path in paths:
                os.chown(path, self._pw.pw_uid, self._pw.pw_gid)
