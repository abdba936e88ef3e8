"""DES as p9sk1 uses it: keys from passwords, buffers of any length from 8 octets.

For interoperation only: 56 bits keep nothing secret.  Source: passtokey(2), crypt(2),
auth(6); the library has no single DES, so triple DES with one key three times.
"""

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

KEY = 7  # octets of a key
MAX_PASSWORD = 27  # octets that count
BLOCK = 8


def passtokey(password: bytes) -> bytes:
    """Make the 7-octet key of a password, as authsrv(2) tells."""
    text = password[:MAX_PASSWORD]
    window = bytearray(b" " * BLOCK + b"\0")
    window[: len(text)] = text
    window[len(text) : len(text) + 1] = b"\0"
    window.extend(bytes(MAX_PASSWORD + 1))
    left, at = len(text), 0
    key = _pack7(window[:BLOCK])
    while left > BLOCK:
        left -= BLOCK
        at += BLOCK
        if left < BLOCK:
            at -= BLOCK - left
            left = BLOCK
        window[at : at + BLOCK] = encrypt(key, bytes(window[at : at + BLOCK]))
        key = _pack7(window[at : at + BLOCK])
    return key


def _pack7(window: bytes | bytearray) -> bytes:
    """Squeeze the low 7 bits of each of 8 octets into 7 octets."""
    return bytes(
        ((window[i] >> i) + (window[i + 1] << (7 - i))) & 0xFF for i in range(KEY)
    )


def expand(key: bytes) -> bytes:
    """Return the 8 octets DES wants for 7: seven bits each and odd parity."""
    number = int.from_bytes(key)
    octets = ((number >> shift & 0x7F) << 1 for shift in range(49, -1, -7))
    return bytes(o | (o.bit_count() & 1 ^ 1) for o in octets)


def _des(key: bytes) -> "Cipher[modes.ECB]":
    return Cipher(TripleDES(expand(key) * 3), modes.ECB())  # noqa: S305


def _places(size: int) -> list[int]:
    """Return the offsets of the overlapping blocks, in the order of encryption."""
    whole, rest = divmod(size - 1, KEY)
    return [KEY * i for i in range(whole)] + ([size - BLOCK] if rest else [])


def encrypt(key: bytes, data: bytes) -> bytes:
    """Encrypt 8 octets or more; encrypt in crypt(2)."""
    return _crypt(_des(key), data, decrypting=False)


def decrypt(key: bytes, data: bytes) -> bytes:
    """Undo encrypt."""
    return _crypt(_des(key), data, decrypting=True)


def _crypt(des: "Cipher[modes.ECB]", data: bytes, *, decrypting: bool) -> bytes:
    if len(data) < BLOCK:
        raise ValueError("fewer than 8 octets")
    places = _places(len(data))
    context = des.decryptor() if decrypting else des.encryptor()
    buffer = bytearray(data)
    for at in reversed(places) if decrypting else places:
        buffer[at : at + BLOCK] = context.update(bytes(buffer[at : at + BLOCK]))
    return bytes(buffer)
