"""A provider of one's own: Dovecot, and a submission server that delivers into it."""

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from mailfs import where
from mailfs.p9.client import Client
from mailfs.tls.thumb import line as thumb_line
from tests.net.dovecot import PASSWORD, Dovecot
from tests.smtp.world import context, receiver

ADDRESS = "glenda@example.org"
SOON = 30.0  # seconds in which what must happen happens, on the slowest machine


class Deliverer:
    """Takes mail after a login, and puts it into a Dovecot's mailbox."""

    def __init__(self, dovecot: Dovecot, user: str, password: str = PASSWORD) -> None:
        self.dovecot = dovecot
        self.user = user
        self.password = password
        self.got: list[Envelope] = []
        self.refuse = ""

    def check(
        self, server: SMTP, session: Session, env: Envelope, mech: str, data: object
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        wanted = LoginPassword(self.user.encode(), self.password.encode())
        return AuthResult(success=data == wanted, handled=False)

    async def handle_DATA(
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        if self.refuse:
            return self.refuse
        self.got.append(envelope)
        assert isinstance(envelope.content, bytes)
        if ADDRESS in envelope.rcpt_tos:
            self.dovecot.deliver(self.user, envelope.content)
        return "250 2.0.0 delivered"


class Place:
    """A home, a root and a name space of one user, and mailfs run there."""

    def __init__(self, scratch: Path) -> None:
        self._short = tempfile.TemporaryDirectory(prefix="mfs")
        self.root = scratch / "root"
        self.namespace = Path(self._short.name) / "ns"
        temporary = Path(self._short.name) / "t"  # of runs that are killed
        temporary.mkdir()
        self.env = {
            **os.environ,
            "HOME": str(scratch),
            "MAILFS_ROOT": str(self.root),
            "NAMESPACE": str(self.namespace),
            "XDG_CACHE_HOME": str(scratch / "cache"),
            "XDG_CONFIG_HOME": str(scratch / "config"),
            "TMPDIR": str(temporary),
            "sysname": "gnot",
            "PYTHONUNBUFFERED": "1",
        }
        for name in ("DBUS_SESSION_BUS_ADDRESS", "secstore", "site", "upasname"):
            self.env.pop(name, None)

    def __enter__(self) -> "Place":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()
        self._short.cleanup()

    def end(self) -> None:
        """End the servers that run here: those whose environment has our root."""
        mark = f"MAILFS_ROOT={self.root}".encode()
        found = []
        for proc in Path("/proc").iterdir():
            if proc.name.isdecimal() and int(proc.name) != os.getpid():
                with contextlib.suppress(OSError):
                    if mark in (proc / "environ").read_bytes().split(b"\0"):
                        found.append(int(proc.name))
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @property
    def box(self) -> Path:
        return self.root / "mail/box" / where.user()

    def lib(self, name: str) -> Path:
        return self.root / "mail/lib" / name

    def command(self, *argv: str) -> list[str]:
        return [sys.executable, "-P", "-m", "mailfs", *argv]

    def mailfs(
        self, *argv: str, text: str = "", fds: Sequence[int] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run a verb without a terminal."""
        return subprocess.run(
            self.command(*argv),
            input=text,
            capture_output=True,
            text=True,
            env=self.env,
            pass_fds=fds,
            start_new_session=True,
            timeout=150,
            check=False,
        )

    def client(self) -> Client:
        return Client(where.DialString("unix", str(self.namespace / "upasfs")))

    def files(self) -> dict[str, bytes]:
        """Return every file below the root and the configuration but the logs."""
        tops = (self.root, Path(self.env["XDG_CONFIG_HOME"]))
        return {
            str(path): path.read_bytes()
            for top in tops
            for path in sorted(top.rglob("*"))
            if path.is_file() and "sys/log" not in str(path)
        }


class Talk:
    """A run of the verb on a terminal of its own."""

    def __init__(self, place: Place, *argv: str) -> None:
        self.shown = ""
        self._at = 0
        self._ours, theirs = os.openpty()
        begin = (
            "import fcntl, termios, sys; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
            "from mailfs.cmd.main import main\n"
            f"sys.exit(main({list(argv)!r}))"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", begin],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=place.env,
            start_new_session=True,
        )
        os.close(theirs)

    def __enter__(self) -> "Talk":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def wait(self, prompt: str) -> str:
        """Wait until the terminal asks that, and return what came before it."""
        pattern = re.compile(re.escape(prompt) + r"[^\n]*?(: |\] )\Z")
        end = time.monotonic() + SOON
        while not pattern.search(self.shown[self._at :]):
            left = end - time.monotonic()
            assert left > 0, self.shown
            if not select.select([self._ours], [], [], left)[0]:
                continue
            try:
                more = os.read(self._ours, 65536).decode()
            except OSError:
                more = ""
            assert more, f"ended before {prompt!r}: {self.shown}"
            self.shown += more.replace("\r\n", "\n")
        before = self.shown[self._at :]
        self._at = len(self.shown)
        return before

    @property
    def terminal(self) -> int:
        """The descriptor of our side of the terminal."""
        return self._ours

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def answer(self, prompt: str, text: str) -> str:
        """Wait for a question and type the answer."""
        before = self.wait(prompt)
        self.type(f"{text}\n")
        return before

    def answers(self, *rows: tuple[str, str]) -> None:
        for prompt, text in rows:
            self.answer(prompt, text)

    def end(self) -> int:
        """Read to the end; return the exit status."""
        while True:
            try:
                more = os.read(self._ours, 65536).decode()
            except OSError:  # EIO: nobody has the other end
                break
            if not more:
                break
            self.shown += more.replace("\r\n", "\n")
        return self.process.wait(SOON)


class Provider:
    """Both servers, and the arguments that name them."""

    def __init__(self, dovecot: Dovecot, box: Deliverer, port: int) -> None:
        self.dovecot = dovecot
        self.box = box
        self.port = port

    @property
    def user(self) -> str:
        return self.box.user

    def imap(self, service: str = "imaps") -> str:
        port = self.dovecot.ports["imaps" if service == "imaps" else "imap"]
        return f"/{service}/tcp!localhost!{port}"

    @property
    def smtp(self) -> str:
        return f"/submission/tcp!localhost!{self.port}"

    def argv(self, **more: str) -> list[str]:
        """Return the options that answer everything but the password."""
        told: Mapping[str, str] = {
            "address": ADDRESS,
            "name": "Glenda",
            "imap": self.imap(),
            "smtp": self.smtp,
            "user": self.user,
            "smtp-user": self.user,
            "trust": "first",
            **more,
        }
        out = []
        for name, value in told.items():
            out += [f"--{name}", value] if value else []
        return out

    def line(self) -> str:
        """Return the thumbprint line of both servers' certificate."""
        return thumb_line(self.dovecot.certificate(), "localhost")


@contextlib.contextmanager
def provider(dovecot: Dovecot) -> Iterator[Provider]:
    """Run a submission server for a user of a Dovecot whom no other test has."""
    box = Deliverer(dovecot, dovecot.user())
    with receiver(
        box,
        tls_context=context(dovecot.root / "cert.pem"),
        authenticator=box.check,
        auth_required=True,
        require_starttls=True,
    ) as port:
        yield Provider(dovecot, box, port)


@contextlib.contextmanager
def secret(text: str) -> Iterator[int]:
    """Yield a descriptor that a secret, with a newline, is read from."""
    ours, theirs = os.pipe()
    try:
        os.write(theirs, f"{text}\n".encode())
        os.close(theirs)
        yield ours
    finally:
        os.close(ours)
