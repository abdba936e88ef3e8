"""The page's mail servers: a Dovecot, and a Postfix that asks it who logs in."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.net.dovecot import Dovecot
from tests.smtp.postfix import Postfix

USER, PASSWORD = "glenda", "open sesame"
# As the page has it, with the names that programs of today want.
CERTIFICATE = (
    "req -x509 -nodes -newkey rsa:2048 -keyout cert.key -out cert.pem "
    "-subj /CN=localhost -addext subjectAltName=DNS:localhost"
)
_AUTH = """
service auth {{
  unix_listener {folder}/auth {{
    mode = 0666
  }}
}}
"""


@dataclass(frozen=True)
class Servers:
    """imaps and smtp are ports; what is sent to b.com lands in postfix's box."""

    dovecot: Dovecot
    postfix: Postfix

    @property
    def imaps(self) -> int:
        return self.dovecot.ports["imaps"]

    @property
    def smtp(self) -> int:
        return self.postfix.port


@contextmanager
def servers() -> Iterator[Servers]:
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    folder.chmod(0o777)
    try:
        subprocess.run(
            ["openssl", *CERTIFICATE.split()],
            cwd=folder,
            check=True,
            capture_output=True,
        )
        users = {USER: (PASSWORD, "maildir:~/Maildir")}
        settings = {
            "smtpd_sasl_auth_enable": "yes",
            "smtpd_sasl_type": "dovecot",
            "smtpd_sasl_path": f"{folder}/auth",
            "smtpd_tls_auth_only": "yes",
            "smtpd_relay_restrictions": "permit_sasl_authenticated reject",
        }
        with Dovecot(users, extra=_AUTH.format(folder=folder)) as dovecot:
            with Postfix(folder / "cert.pem", settings) as postfix:
                yield Servers(dovecot, postfix)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def missing() -> str:
    """Say what the servers lack here, empty if nothing."""
    if os.getuid() != 0:
        return "needs root, to start Postfix"
    path = f"{os.environ['PATH']}:/usr/sbin"
    found = [
        name for name in ("postfix", "dovecot") if not shutil.which(name, path=path)
    ]
    return f"missing: {' '.join(found)}" if found else ""
