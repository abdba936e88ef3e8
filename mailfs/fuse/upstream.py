"""The server behind a mount: attached to, and attached to again when it comes back.

A mount outlives its line.  Were it to end with the server, its directory would look
empty, and whoever copies it and removes what is not there (``rsync --delete``) would
lose the copy.  So every file answers "input/output error" until the server is back.
What was open stays broken: a new line has other fids, and nobody could say whether the
last command had been taken.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mailfs.errors import ENOTDIR, MailfsError, Refused
from mailfs.fuse.entry import Entry, owner
from mailfs.fuse.session import FuseSession
from mailfs.fuse.tree import Tree
from mailfs.p9.client import Prove
from mailfs.p9.mux import Mux

log = logging.getLogger(__name__)

FIRST = 0.1  # seconds until a lost server is dialled again
LONGEST = 5.0  # seconds between attempts; each wait is twice the one before

Dial = Callable[[], Awaitable[Mux]]
"""Begin a session with the server.  Raises MailfsError."""


@dataclass(frozen=True, slots=True)
class Attach:
    """Which tree of a server, and as whom; prove shows it to servers that ask.

    Of several names the first is taken that the server knows.
    """

    uname: str
    anames: tuple[str, ...]
    prove: Prove | None = None
    unlisted: frozenset[bytes] = frozenset()  # empty files that are not in listings
    queries: frozenset[bytes] = frozenset()  # directories that have any name


class Upstream:
    """One server: how it is dialled, and the tree that is mounted of it."""

    def __init__(
        self, dial: Dial, attach: Attach, *, first: float = FIRST, most: float = LONGEST
    ) -> None:
        """Note how to dial; first and most are waits between attempts, in seconds."""
        self._dial = dial
        self._attach = attach
        self._first = first
        self._most = most

    async def begin(self) -> tuple[Tree, Entry]:
        """Dial and attach; return the tree and what its root is.

        Raises MailfsError.
        """
        mux = await self._dial()
        try:
            fid = await self._root(mux)
            owners = owner((os.getuid(), os.getgid()), self._attach.uname)
            tree = Tree(mux, fid, owners, self._attach.unlisted, self._attach.queries)
            found = await tree.fstat(fid, b"/")
        except BaseException:
            mux.close()
            raise
        if not found.is_dir:
            mux.close()
            raise MailfsError(f"{mux.name}: {ENOTDIR}")
        return tree, found

    async def _root(self, mux: Mux) -> int:
        refused: Refused | None = None
        for aname in self._attach.anames:
            try:
                fid, _ = await mux.attach(self._attach.uname, aname, self._attach.prove)
            except Refused as e:
                refused = refused or e
            else:
                return fid
        raise MailfsError(f"{mux.name}: {refused}")

    async def keep(self, session: FuseSession) -> None:
        """Attach a session to its server again, whenever the line is lost."""
        while True:
            error = await asyncio.shield(session.tree.mux.lost)
            log.warning("%s: files answer i/o error until it is back", error)
            session.lost(error)
            tree, root = await self._again()
            session.renew(tree, root)
            log.warning("%s: back", tree.mux.name)

    async def _again(self) -> tuple[Tree, Entry]:
        wait, said = self._first, ""
        while True:
            await asyncio.sleep(wait)
            wait = min(2 * wait, self._most)
            try:
                return await self.begin()
            except (MailfsError, OSError) as e:
                if str(e) != said:
                    said = str(e)
                    log.info("%s", e)
