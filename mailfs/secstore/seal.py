"""Files as they are stored: encrypted by their owner, for the server to keep.

sealed   ours: ``mailfs secret 1`` LF, log2 N, r, p, 16 octets of salt, 12 of nonce,
         then AES-256-GCM under scrypt(password).  It is tied to its owner and its
         name, so a server cannot give one file for another.
plan9    secstore(1)'s: 16 octets of IV, then AES-128-CBC under SHA-1 of the password,
         ending in sixteen X.  Interoperation code.
"""

import enum
import hashlib
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mailfs.secret import Secret
from mailfs.secstore.error import SecstoreError
from mailfs.secstore.kdf import Cost, scrypt
from mailfs.secstore.pak import Random

MAGIC = b"mailfs secret 1\n"
SALT = 16  # octets
NONCE = 12  # octets, GCM's own size; random, and the key is new with each salt
TAG = 16  # octets
KEY = 32  # octets
HEAD = len(MAGIC) + 3 + SALT + NONCE
OVERHEAD = HEAD + TAG

BLOCK = 16  # octets of AES
MARK = b"X" * BLOCK  # the end of a plan9 file, by which a password is known to fit


class SealFormat(enum.Enum):
    """How a file is stored."""

    SEALED = "sealed"
    PLAN9 = "plan9"


class Unreadable(SecstoreError):
    """The password does not open the file, or it has been changed."""


def form(stored: bytes) -> SealFormat:
    """Tell from its octets how a file is stored."""
    return SealFormat.SEALED if stored.startswith(MAGIC) else SealFormat.PLAN9


def seal(
    data: bytes, password: Secret, owner: str, name: str, cost: Cost, random: Random
) -> bytes:
    """Return data as a sealed file."""
    salt, nonce = random(SALT), random(NONCE)
    head = MAGIC + cost.pack() + salt + nonce
    key = scrypt(password, salt, cost, KEY)
    return head + AESGCM(key).encrypt(nonce, data, _tie(head, owner, name))


def seal_plan9(data: bytes, password: Secret, random: Random) -> bytes:
    """Return data as Plan 9's programs read it; Plan 9 itself has no random IV."""
    iv = random(BLOCK)
    text = data + MARK
    whole = len(text) - len(text) % BLOCK
    key = _plan9_key(password)
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    out = encryptor.update(text[:whole]) + encryptor.finalize()
    return iv + out + _tail(key, out[-BLOCK:], text[whole:])


def unseal(stored: bytes, password: Secret, owner: str, name: str) -> bytes:
    """Decrypt a file of either form.  Raises Unreadable."""
    if form(stored) is SealFormat.PLAN9:
        return _unseal_plan9(stored, password)
    if len(stored) < OVERHEAD:
        raise Unreadable("file cut short")
    head, body = stored[:HEAD], stored[HEAD:]
    at = len(MAGIC)
    cost = Cost.unpack(head[at : at + 3])
    salt, nonce = head[at + 3 : -NONCE], head[-NONCE:]
    key = scrypt(password, salt, cost, KEY)
    try:
        return AESGCM(key).decrypt(nonce, body, _tie(head, owner, name))
    except InvalidTag as e:
        raise Unreadable("decrypted file failed to authenticate") from e


def _tie(head: bytes, owner: str, name: str) -> bytes:
    return head + owner.encode() + b"\0" + name.encode()


def _unseal_plan9(stored: bytes, password: Secret) -> bytes:
    if len(stored) < 2 * BLOCK:
        raise Unreadable("file cut short")
    iv, body = stored[:BLOCK], stored[BLOCK:]
    whole = len(body) - len(body) % BLOCK
    key = _plan9_key(password)
    decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    text = decryptor.update(body[:whole]) + decryptor.finalize()
    text += _tail(key, body[whole - BLOCK : whole], body[whole:])
    if not hmac.compare_digest(text[-BLOCK:], MARK):
        raise Unreadable("decrypted file failed to authenticate")
    return text[:-BLOCK]


def _plan9_key(password: Secret) -> bytes:
    digest = hashlib.sha1(b"aescbc file" + password.reveal()).digest()  # noqa: S324
    return digest[:BLOCK]


def _tail(key: bytes, last: bytes, rest: bytes) -> bytes:
    """Return less than a block, either way: under the cipher of the block before."""
    pad = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(last)  # noqa: S305
    return bytes(a ^ b for a, b in zip(rest, pad, strict=False))
