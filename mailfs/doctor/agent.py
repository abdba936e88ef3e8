"""The factotum: whether it runs, and what keys it has."""

import os
from collections import Counter
from collections.abc import Iterator

from mailfs.attr import value
from mailfs.doctor.finding import Finding, bad, note, ok
from mailfs.doctor.world import DoctorWorld
from mailfs.errors import MailfsError
from mailfs.factotum.client import SERVICE

START = "mailfs factotum &"
ADD = "mailfs factotum -g 'proto=pass server=HOST user=NAME !password?'"
WHAT = "factotum"


def check(world: DoctorWorld) -> Iterator[Finding]:
    """Ask it for its keys; nothing of a key but its protocol is shown."""
    try:
        path = world.namespace() / SERVICE
    except MailfsError:
        yield note(WHAT, "there is no name space to look for it in")
        return
    if not os.path.lexists(path):
        text = "not running: who holds no keys logs in nowhere"
        yield note(WHAT, text, START)
        return
    try:
        with world.agent() as agent:
            keys = agent.keys()
    except MailfsError as e:
        yield bad(WHAT, f"{path}: {e}", f"rm -f {path}; {START}")
        return
    if not keys:
        yield note(WHAT, f"{path}: runs, and has no keys", ADD)
        return
    kinds = Counter(value(key, "proto") or "?" for key in keys)
    told = ", ".join(f"{n} {proto}" for proto, n in sorted(kinds.items()))
    yield ok(WHAT, f"{path}: keys: {told}")
