"""TLS at a door of ours: our certificate, and whose certificates are known."""

import asyncio
from pathlib import Path

from mailfs.p9.secure import Context
from mailfs.tls import keypair
from mailfs.tls.clients import Clients
from mailfs.tls.keypair import Keypair


class Gate:
    """A server's certificate, and the certificates of its known clients."""

    def __init__(self, root: Path, cert: Path | None, key: Path | None) -> None:
        """Use the files that are given, else the standard ones below root.

        Raises MailfsError if a list of clients cannot be read.
        """
        standard = keypair.server(root)
        if cert is None:
            self._pair = Keypair(standard.cert, key or standard.key)
        else:
            self._pair = Keypair(cert, key or cert)
        self._clients = Clients(root)
        self.listed = bool(self._clients.load())

    def context(self) -> Context:
        """Make the function that gives each connection a context, by the lists of then.

        Raises MailfsError if the certificate cannot be used.
        """
        self._clients.context(self._pair)
        return lambda: self._clients.context(self._pair)

    def identify(self, transport: asyncio.BaseTransport) -> str:
        """Return the user whose certificate was shown; empty if nobody's."""
        line = transport.get_extra_info("ssl_object")
        return "" if line is None else self._clients.user(line.getpeercert(True))
