"""The IMAP server: who may connect, and which function does which command."""

import time

from mailfs.serve import limits
from mailfs.serve.imapd import append, fetch, find, login, manage, selection, store
from mailfs.serve.imapd.session import Handler, House, Session
from mailfs.serve.wire import Wire
from mailfs.where import is_loopback

HANDLERS: dict[str, Handler] = {
    "CAPABILITY": login.capability_,
    "NOOP": selection.noop,
    "LOGOUT": login.logout,
    "ID": login.id_,
    "STARTTLS": login.starttls,
    "AUTHENTICATE": login.authenticate,
    "LOGIN": login.login,
    "COMPRESS": login.compress,
    "ENABLE": login.enable,
    "SELECT": selection.select,
    "EXAMINE": selection.select,
    "CREATE": manage.create,
    "DELETE": manage.delete,
    "SUBSCRIBE": manage.subscribe,
    "UNSUBSCRIBE": manage.subscribe,
    "RENAME": manage.rename,
    "LIST": manage.list_,
    "LSUB": manage.list_,
    "NAMESPACE": manage.namespace,
    "STATUS": manage.status,
    "APPEND": append.append,
    "IDLE": selection.idle,
    "CHECK": selection.noop,
    "CLOSE": selection.close,
    "UNSELECT": selection.unselect,
    "EXPUNGE": selection.expunge,
    "UID EXPUNGE": selection.expunge,
    "SEARCH": find.search_,
    "UID SEARCH": find.search_,
    "SORT": find.sort_,
    "UID SORT": find.sort_,
    "THREAD": find.thread,
    "UID THREAD": find.thread,
    "FETCH": fetch.fetch,
    "UID FETCH": fetch.fetch,
    "STORE": store.store,
    "UID STORE": store.store,
    "COPY": store.copy,
    "UID COPY": store.copy,
    "MOVE": store.copy,
    "UID MOVE": store.copy,
    "REPLACE": append.append,
    "UID REPLACE": append.append,
}


class Imapd:
    """The server of one house, on an event loop."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def converse(self, wire: Wire) -> None:
        """Hold a conversation with a client who has to log in."""
        peer = limits.network(wire.peer)
        near = not wire.peer or is_loopback(wire.peer)
        if not self._house.table.enter(peer, trusted=near):
            loop_time = time.monotonic() + 5
            await wire.send(
                b"* BYE too many connections; try again later\r\n", loop_time
            )
            return
        try:
            await Session(wire, self._house, HANDLERS).run()
        finally:
            self._house.table.leave(peer, trusted=near)

    async def known(self, wire: Wire, user: str) -> None:
        """Hold a conversation with a user who need not log in."""
        await Session(wire, self._house, HANDLERS).run(user=user)
