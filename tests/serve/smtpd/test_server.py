"""The server on a socket of its own process: intake, LMTP, TLS, hostile clients."""

import os
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tls import pki

RULES = """
[^!@.]+            translate  "/bin/upas/aliasmail '&'"
([^@]+)@([^@]+)    alias      \\2!\\1
example\\.org!(.*)  alias      \\1
local!(.*)         >>         /mail/box/\\1/mbox
([^!]*)!(.*)       |          "/mail/lib/qmail '\\s' 'net!\\1'" "'\\2'"
"""
CONF = """
defaultdomain mx.example.org
ourdomains example.org
earlytalker 0
maxsize 200000
"""


class Served:
    """A smtpd of a fresh root, as a process."""

    def __init__(self, folder: Path, conf: str = CONF) -> None:
        self.root = folder / "root"
        lib = self.root / "mail" / "lib"
        lib.mkdir(parents=True)
        (lib / "rewrite").write_text(RULES)
        (lib / "smtpd.conf").write_text(conf)
        for user in ("glenda", "bob"):
            (self.root / "mail" / "box" / user).mkdir(parents=True)
        self.lmtp = folder / "lmtp"
        self.port = 0
        self.process: subprocess.Popen[str] | None = None

    def start(self, *more: str) -> "Served":
        verb = [sys.executable, "-P", "-m", "mailfs", "smtpd", "--root", str(self.root)]
        doors = ["-l", f"tcp!127.0.0.1!{self.port}", "--lmtp", f"unix!{self.lmtp}"]
        self.process = subprocess.Popen(
            [*verb, *doors, *more], stderr=subprocess.PIPE, text=True
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if " SMTP at tcp" in line:
                self.port = int(line.rpartition("!")[2])
            if " LMTP at " in line:
                break
        self._drain = threading.Thread(target=self.process.stderr.read)
        self._drain.start()
        return self

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        status = self.process.wait(30)
        self._drain.join()
        assert self.process.stderr is not None
        self.process.stderr.close()
        return status

    def line(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        assert sock.recv(1000).startswith(b"220 ")
        return sock

    def client(self) -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", self.port, "client.example.net", timeout=30)

    def mail(self, user: str = "glenda") -> list[bytes]:
        """Return the messages of a user's mdir, without what was put in front."""
        folder = self.root / "mail" / "box" / user / "mbox"
        files = sorted(folder.glob("[0-9]*"))
        return [p.read_bytes().partition(b"+0000\nSubject")[2] for p in files]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    server = Served(tmp_path).start()
    yield server
    if server.process is not None and server.process.poll() is None:
        server.stop()


def test_delivered(served: Served) -> None:
    body = b"Subject: one\r\n\r\n.\r\n..\r\n\xff\xfe 8 bit\r\n"
    with served.client() as smtp:
        smtp.sendmail("a@b.com", ["glenda@example.org", "bob@example.org"], body)
    wanted = b": one\n\n.\n..\n\xff\xfe 8 bit\n"
    assert (served.mail(), served.mail("bob")) == ([wanted], [wanted])
    first = next((served.root / "mail/box/glenda/mbox").iterdir()).read_bytes()
    received = b"Received: from client.example.net ([127.0.0.1])\n\tby mx.example.org"
    assert received in first


@pytest.mark.parametrize("notify", ["SUCCESS", "FAILURE", "NEVER"])
def test_a_sender_who_wants_to_know(served: Served, notify: str) -> None:
    with served.client() as smtp:
        assert b"DSN" in smtp.ehlo()[1]
        smtp.mail("bob@example.org", ["RET=HDRS", "ENVID=q+2B1"])
        options = [f"NOTIFY={notify}", "ORCPT=rfc822;g@elsewhere.net"]
        assert smtp.rcpt("glenda@example.org", options)[0] == 250
        assert smtp.data(b"Subject: one\r\n\r\nhello\r\n")[0] == 250
    assert len(served.mail()) == 1
    folder = served.root / "mail/box/bob/mbox"
    reports = [p.read_bytes() for p in folder.glob("[0-9]*")]
    if notify != "SUCCESS":
        assert reports == []
        return
    (report,) = reports
    assert b"Original-Envelope-Id: q+1\n" in report
    assert b"Original-Recipient: rfc822;g@elsewhere.net\n" in report
    assert b"Final-Recipient: rfc822; glenda@example.org\nAction: delivered" in report
    assert b"hello" not in report


RELAYED = [
    "x@elsewhere.net",
    "glenda%elsewhere.net@example.org",
    "elsewhere.net!glenda@example.org",
    '"x@elsewhere.net"@example.org',
    "x@[127.0.0.1]",
    "@example.org:x@elsewhere.net",
    "-oQ/tmp@example.org",
    "|/bin/sh@example.org",
    "nobody@example.org",
    "../glenda@example.org",
    "a/b@example.org",
]


@pytest.mark.parametrize("address", RELAYED)
def test_nothing_is_relayed_or_run(served: Served, address: str) -> None:
    with served.client() as smtp:
        smtp.ehlo_or_helo_if_needed()
        smtp.mail("a@b.com")
        code, _ = smtp.rcpt(address)
        assert 500 <= code < 600
        assert smtp.rcpt("glenda@example.org")[0] == 250


def test_ournets_may_relay(tmp_path: Path) -> None:
    served = Served(tmp_path, CONF + "ournets 127.0.0.1\n").start()
    try:
        with served.client() as smtp:
            smtp.sendmail("glenda@example.org", ["x@elsewhere.net"], b"Subject: x\r\n")
        queue = served.root / "mail" / "queue"
        words = next(queue.glob("*/C.*")).read_text().split()
        assert words[-2:] == ["net!elsewhere.net", "x"]
    finally:
        served.stop()


def test_lmtp_answers_for_each(served: Served) -> None:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(30)
    sock.connect(str(served.lmtp))
    with sock, sock.makefile("rb") as replies:
        sock.sendall(b"LHLO me\r\n")
        while replies.readline()[3:4] == b"-":
            pass
        while not replies.readline().startswith(b"250 HELP"):
            pass
        sock.sendall(b"MAIL FROM:<>\r\nRCPT TO:<glenda>\r\nRCPT TO:<bob>\r\nDATA\r\n")
        codes = [replies.readline()[:3] for _ in range(4)]
        assert codes == [b"250", b"250", b"250", b"354"]
        sock.sendall(b"Subject: x\r\n\r\nhello\r\n.\r\nQUIT\r\n")
        codes = [replies.readline()[:3] for _ in range(3)]
        assert codes == [b"250", b"250", b"221"]
    assert (len(served.mail()), len(served.mail("bob"))) == (1, 1)


def test_starttls(tmp_path: Path) -> None:
    cert, key = pki.leaf(pki.authority("ours"), "localhost").write(tmp_path, "own")
    key.chmod(0o600)
    served = Served(tmp_path).start("-c", str(cert), "-K", str(key))
    try:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with served.client() as smtp:
            smtp.starttls(context=context)
            smtp.sendmail("a@b.com", ["glenda@example.org"], b"Subject: x\r\n")
            assert not smtp.has_extn("starttls")
        file = next((served.root / "mail/box/glenda/mbox").iterdir())
        assert b"with ESMTPS id" in file.read_bytes()
        with served.line() as sock:  # a command in the same segment has no effect
            sock.sendall(b"EHLO a.example.net\r\n")
            time.sleep(0.1)
            sock.recv(1000)
            sock.sendall(b"STARTTLS\r\nMAIL FROM:<a@b>\r\n")
            assert sock.recv(1000).startswith(b"503 ")
            assert sock.recv(1000) == b""
    finally:
        served.stop()


def test_early_talkers(tmp_path: Path) -> None:
    served = Served(tmp_path, CONF.replace("earlytalker 0", "earlytalker 2")).start()
    try:
        with socket.create_connection(("127.0.0.1", served.port), timeout=30) as sock:
            sock.sendall(b"EHLO spam.example.net\r\n")
            said = b""
            while chunk := sock.recv(1000):
                said += chunk
        assert said.startswith(b"220-mx.example.org ESMTP\r\n554 ")
        with served.client() as smtp:  # who waits is served
            assert smtp.ehlo()[0] == 250
    finally:
        served.stop()


def test_greylisted(tmp_path: Path) -> None:
    served = Served(tmp_path).start("-g")
    try:
        with served.client() as smtp:
            with pytest.raises(smtplib.SMTPDataError, match="try again soon") as e:
                smtp.sendmail("a@b.com", ["glenda@example.org"], b"Subject: x\r\n")
            assert e.value.smtp_code == 451
        white = served.root / "mail" / "grey" / "whitelist"
        white.write_text("127.0.0.1 ourselves\n")
        with served.client() as smtp:
            smtp.sendmail("a@b.com", ["glenda@example.org"], b"Subject: x\r\n")
    finally:
        served.stop()


def test_blocked_and_scripts(served: Served) -> None:
    lib = served.root / "mail" / "lib"
    (lib / "blocked").write_text("*deny spam.net\n*block junk.net\n")
    script = lib / "validateaddress"
    script.write_text('#!/bin/sh\n[ "$1" != bob ] || echo no $1 here\n')
    script.chmod(0o755)
    with served.client() as smtp:
        assert smtp.docmd("EHLO", "client.example.net")[0] == 250
        code, text = smtp.mail("a@spam.net")
        assert (code, b"postmaster@mx.example.org" in text) == (554, True)
        smtp.mail("a@b.com")
        assert smtp.rcpt("bob@example.org")[0] == 550
        smtp.rset()
        with pytest.raises(smtplib.SMTPDataError, match="spam"):
            smtp.sendmail("a@junk.net", ["glenda@example.org"], b"Subject: x\r\n")
    assert served.mail() == []


def test_liars(served: Served) -> None:
    with served.client() as smtp:
        code, text = smtp.docmd("EHLO", "[10.1.2.3]")
        assert (code, text) == (554, b"5.7.0 Liar!")
        with pytest.raises(smtplib.SMTPServerDisconnected):
            smtp.docmd("NOOP")


def test_a_full_message_and_one_too_long(served: Served) -> None:
    big = b"Subject: big\r\n\r\n" + b"x" * 70 + b"\r\n"
    big += (b"y" * 98 + b"\r\n") * 1500  # beyond what is kept in memory
    with served.client() as smtp:
        smtp.sendmail("a@b.com", ["glenda@example.org"], big)
        assert b"Subject" + served.mail()[0] == big.replace(b"\r\n", b"\n")
        with pytest.raises(smtplib.SMTPResponseException, match="over 200000 octets"):
            smtp.sendmail("a@b.com", ["glenda@example.org"], big * 2)
        assert smtp.noop()[0] == 250
    assert list((served.root / "mail/tmp").iterdir()) == []


def test_it_ends_in_time_whoever_hangs(served: Served) -> None:
    socks = [served.line() for _ in range(5)]
    for sock in socks:
        sock.sendall(b"EHLO a.example.net\r\n")
    socks[0].recv(1000)
    socks[0].sendall(b"MAI")
    begun = time.monotonic()
    assert served.stop() == 0
    assert time.monotonic() - begun < 20
    for sock in socks:
        said = b""
        while chunk := sock.recv(1000):
            said += chunk
        assert b"421 4.3.2 the server ends" in said
        sock.close()


def test_too_many_from_one_network(served: Served) -> None:
    socks = [served.line() for _ in range(20)]
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as sock:
        assert sock.recv(1000).startswith(b"421 4.7.0")
    for sock in socks:
        sock.close()


@pytest.mark.slow
def test_killed_at_any_moment(tmp_path: Path) -> None:
    """What was answered 250 is there; nothing else but the last may be."""
    served = Served(tmp_path, CONF + "ournets 127.0.0.1\n")
    told: list[bytes] = []
    for turn in range(6):
        served.start()
        stop = threading.Timer(0.1 + 0.13 * turn, served.stop, [signal.SIGKILL])
        stop.start()
        unsure = 0
        try:
            with served.client() as smtp:
                for n in range(10_000):
                    name = f"{turn}-{n}".encode()
                    unsure = 1
                    smtp.sendmail(
                        "a@b.com", ["glenda@example.org"], b"Subject: %b\r\n\r\n" % name
                    )
                    unsure = 0
                    told.append(b": %b\n\n" % name)
        except (smtplib.SMTPException, OSError):
            pass
        stop.join()
        there = served.mail()
        assert len(there) == len(set(there))
        assert set(told) <= set(there)
        assert len(there) - len(told) <= unsure
        told = there
    assert len(told) > 6
    assert os.listdir(served.root / "mail" / "box" / "glenda") == ["mbox"]
