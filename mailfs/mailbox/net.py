"""What a driver needs to reach a store behind a network."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mailfs.cache.pack import Pack
from mailfs.mailbox.refused import RefusedLogins
from mailfs.remote.limit import ConnectionLimit
from mailfs.tls.trust import Trust

if TYPE_CHECKING:
    from mailfs.factotum.client import Factotum


@dataclass(frozen=True, slots=True)
class Network:
    """Whom to ask for keys, which servers to trust, where octets are cached.

    lines counts the connections of all mailboxes; refused has the logins that wait
    for another key.
    """

    keys: "Callable[[], Factotum]"  # one for each login: the agent may have restarted
    trust: Trust
    pack: Pack
    lines: ConnectionLimit = field(default_factory=ConnectionLimit)
    refused: RefusedLogins = field(default_factory=RefusedLogins)
