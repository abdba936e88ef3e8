"""Dialling a 9P server over TLS: ``tls!HOST!PORT``."""

import socket
from collections.abc import Callable
from pathlib import Path

from mailfs.p9 import dial as plain
from mailfs.tls import dial, keypair
from mailfs.tls.keypair import Keypair
from mailfs.tls.service import peer
from mailfs.tls.trust import Trust
from mailfs.where import DialString

SERVICE = "t9fs"  # 9front's name for 9P over TLS


def dialler(
    root: Path, own: Keypair | None = None
) -> Callable[[DialString, float | None], socket.socket]:
    """Make the dialler of any address, with TLS where it says so.

    The server is trusted by the thumbprints in sys/lib/tls/9fs or by the CAs; we are
    known to it by own, else by the certificate that lies below root, else by none.
    It raises MailfsError.
    """

    def connect(address: DialString, timeout: float | None) -> socket.socket:
        if address.net != "tls":
            return plain.dial(address, timeout)
        bare = DialString("tcp", address.host, address.port)
        context = dial.context(peer(SERVICE, address.host, address.port), Trust(root))
        mine = own or keypair.client(root)
        if mine is not None:
            mine.load(context)
        sock = plain.dial(bare, timeout)
        return plain.failing(address, lambda: context.wrap_socket(sock))

    return connect
