"""pass: hand the user name and password to the caller in the clear; factotum(4).

Every other protocol keeps the password in the agent: prefer one of those.
"""

from mailfs.attr import quote
from mailfs.factotum.step import ConvStart, Proto, Steps, find, send

PROMPT = "user? !password?"


def client(start: ConvStart) -> Steps:
    """Out: user and password, quoted, one blank between."""
    key = yield from find(start, PROMPT)
    words = quote(key.user), quote(key.secret().text())
    yield from send(" ".join(words).encode())
    return None


PASS = Proto("pass", {"client": client}, PROMPT, default="client")
