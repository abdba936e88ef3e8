"""What a run of setup may not take from the air: places, servers, time, chance."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mailfs.factotum.client import Factotum
from mailfs.factotum.fetch import Fetch
from mailfs.setup.lookup import Lookup
from mailfs.tls.vouch import vouch


@dataclass(frozen=True, slots=True)
class SetupWorld:
    """Everything outside.

    keys     the factotum that runs
    browse   opens a URL; False if there is no browser
    near     whether a browser would open on the machine we run on
    units    where systemd's units of the user lie
    """

    root: Path
    user: str
    lookup: Lookup
    fetch: Fetch
    units: Path
    keys: Callable[[], Factotum] = Factotum
    vouch: Callable[..., None] = field(default=vouch)
    browse: Callable[[str], bool] = lambda url: False
    near: bool = False
    random: Callable[[int], bytes] = os.urandom
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
