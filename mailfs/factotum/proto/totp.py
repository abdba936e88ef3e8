"""totp: one-time passwords by the clock; RFC 6238 over RFC 4226.

A key is ``proto=totp user= !secret=BASE32``, with ``digits=6 period=30 hash=sha1``
where the service wants others.
"""

import hmac
from base64 import b32decode

from mailfs.errors import MailfsError
from mailfs.factotum.key import Key
from mailfs.factotum.step import ConvStart, Proto, Steps, find, send

PROMPT = "user? !secret?"
HASHES = ("sha1", "sha256", "sha512")
MAX_PERIOD = 3600  # seconds


def hotp(secret: bytes, counter: int, digits: int = 6, name: str = "sha1") -> str:
    """Return the password for a counter; RFC 4226 section 5.3."""
    mac = hmac.new(secret, counter.to_bytes(8), name).digest()
    offset = mac[-1] & 15
    number = int.from_bytes(mac[offset : offset + 4]) & 0x7FFFFFFF
    return str(number % 10**digits).zfill(digits)


def shared(key: Key) -> bytes:
    """Return the key's secret.  Raises MailfsError if it is not base32."""
    text = key.secret("!secret").text().replace(" ", "").upper().rstrip("=")
    try:
        return b32decode(text + "=" * (-len(text) % 8))
    except ValueError:
        raise MailfsError("!secret is not base32") from None


def client(start: ConvStart) -> Steps:
    """Out: the password of this moment."""
    key = yield from find(start, PROMPT)
    counter = int(start.env.clock()) // int(key.get("period", "30"))
    digits = int(key.get("digits", "6"))
    yield from send(
        hotp(shared(key), counter, digits, key.get("hash", "sha1")).encode()
    )
    return None


def _check(key: Key) -> None:
    if not shared(key):
        raise MailfsError("!secret is empty")
    if key.get("digits", "6") not in ("6", "7", "8"):
        raise MailfsError("digits must be 6, 7 or 8")
    period = key.get("period", "30")
    if not (period.isdecimal() and len(period) < 5 and 0 < int(period) <= MAX_PERIOD):
        raise MailfsError(f"period must be 1 to {MAX_PERIOD} seconds")
    if key.get("hash", "sha1") not in HASHES:
        raise MailfsError(f"hash must be one of {' '.join(HASHES)}")


TOTP = Proto("totp", {"client": client}, PROMPT, default="client", check=_check)
