"""upas' escapes: what its shell would understand, as ``%%XX`` in addresses; send(8).

No shell of ours sees an address, so the form is only read, and written where programs
expect it.
"""

import re

_SHELL = re.compile(r"[ ()<>{};=\\'`^&|]")
_ESCAPE = re.compile(r"%%([0-9A-Fa-f]{2})")
_UNSAFE = re.compile(r"[^A-Za-z0-9@!._%+=/:,-]")


def escape(address: str) -> str:
    """Return an address with what rc would understand as ``%%XX``; send(8)."""
    return _SHELL.sub(lambda m: f"%%{ord(m[0]):02X}", address)


def unescape(address: str) -> str:
    """Undo escape."""
    return _ESCAPE.sub(lambda m: chr(int(m[1], 16)), address)


def harmless(text: str) -> str:
    """Return a text with all but letters, digits and ``@!._%+=/:,-`` as ``%%XX``.

    No shell sees anything in it but one word.
    """
    return _UNSAFE.sub(
        lambda m: "".join(
            f"%%{octet:02X}" for octet in m[0].encode("utf-8", "replace")
        ),
        text,
    )
