"""A Postfix that relays to us, by SMTP with STARTTLS and by LMTP."""

import smtplib
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serve.smtpd.test_server import CONF, Served
from tests.smtp.postfix import READY_SECONDS, Postfix
from tests.tls import pki

pytestmark = pytest.mark.live

COUNT = 200


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    cert, key = pki.leaf(pki.authority("ours"), "localhost").write(tmp_path, "own")
    key.chmod(0o600)
    # Postfix opens many connections from one address.
    server = Served(tmp_path, CONF + "ournets 127.0.0.1\n")
    with tempfile.TemporaryDirectory(prefix="lmtp") as folder:
        Path(folder).chmod(0o755)  # Postfix has to get there
        server.lmtp = Path(folder) / "socket"
        server.start("-c", str(cert), "-K", str(key))
        yield server
        server.stop()


def _bodies() -> list[bytes]:
    return [
        b"Subject: %d\r\n\r\n" % n
        + b"." * (n % 3)
        + b"\xe9 line\r\n" * (n % 7)
        + b"end\r\n"
        for n in range(COUNT)
    ]


def _all_there(served: Served, sent: list[bytes], log: str) -> None:
    wanted = Counter(
        body.replace(b"\r\n", b"\n").partition(b"\n\n")[2] for body in sent
    )
    end = time.monotonic() + READY_SECONDS
    folder = served.root / "mail" / "box" / "glenda" / "mbox"
    while len(list(folder.glob("[0-9]*"))) < len(sent):
        assert time.monotonic() < end, log
        time.sleep(0.05)
    found = (p.read_bytes() for p in folder.glob("[0-9]*"))
    assert Counter(octets.partition(b"\n\n")[2] for octets in found) == wanted


@pytest.mark.parametrize("way", ["smtp", "lmtp"])
def test_postfix_delivers(served: Served, way: str) -> None:
    more = {
        "smtpd_relay_restrictions": "permit_mynetworks, reject",
        "relayhost": f"[127.0.0.1]:{served.port}",
        "smtp_tls_security_level": "encrypt",
    }
    if way == "lmtp":
        served.lmtp.chmod(0o666)
        more = {"virtual_transport": f"lmtp:unix:{served.lmtp}"}
        more |= {"virtual_mailbox_domains": "example.org"}
    with Postfix(more=more) as postfix:
        if way == "lmtp":
            master = postfix.config / "master.cf"
            master.write_text(master.read_text() + "lmtp unix - - n - - lmtp\n")
            postfix._control("reload")
        with smtplib.SMTP("127.0.0.1", postfix.port) as smtp:
            for body in _bodies():
                smtp.sendmail("a@b.com", ["glenda@example.org"], body)
        _all_there(served, _bodies(), postfix.log())
