"""Our certificate for clients, read again when its files change."""

import logging
import ssl
from pathlib import Path

from mailfs.errors import MailfsError
from mailfs.tls.keypair import Keypair

log = logging.getLogger(__name__)


class Certificate:
    """A TLS context that is as new as the files; safe in one thread at a time."""

    def __init__(self, pair: Keypair) -> None:
        """Load it.  Raises KeypairError, or OSError if a file is not there."""
        self._pair = pair
        self._stamp = self._stamps()
        self._context = self._load()

    def __call__(self) -> ssl.SSLContext:
        """Return the context for the next connection.

        While the files cannot be used, the context before stays, and the log says why.
        """
        stamp = self._stamps()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._context = self._load()
            except (MailfsError, OSError) as e:
                log.error("%s: the certificate before stays in use", e)  # noqa: TRY400
        return self._context

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
        context.num_tickets = 0
        self._pair.load(context)
        return context

    def _stamps(self) -> tuple[object, ...]:
        return tuple(map(_stamp, (self._pair.cert, self._pair.key)))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        st = path.stat()
    except OSError:
        return None
    return st.st_ino, st.st_size, st.st_mtime_ns
