"""Octets in PEM: base64 between BEGIN and END lines; pem(8), RFC 7468."""

import base64
import binascii
import re

from mailfs.errors import MailfsError

WIDTH = 64  # characters of base64 in a line


class PemError(MailfsError):
    """There is no such section, or it is damaged."""


def encode(section: str, data: bytes) -> str:
    """Return data as one section of text."""
    _check(section)
    text = base64.b64encode(data).decode()
    lines = [text[at : at + WIDTH] for at in range(0, len(text), WIDTH)]
    body = "".join(f"{line}\n" for line in lines)
    return f"-----BEGIN {section}-----\n{body}-----END {section}-----\n"


def decode(section: str, text: str) -> bytes:
    """Return the octets of the first such section; text around it is ignored.

    Raises PemError.  Lines may end in LF, CR LF or CR.
    """
    _check(section)
    name = re.escape(section)
    found = re.search(
        rf"^-----BEGIN {name}-----[ \t]*$(.*?)^-----END {name}-----[ \t]*$",
        text.replace("\r\n", "\n").replace("\r", "\n"),
        re.MULTILINE | re.DOTALL,
    )
    if found is None:
        raise PemError(f"cannot extract section {section!r} from pem")
    body = re.sub(r"\s", "", found[1])
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as e:
        raise PemError(f"section {section!r} of pem is not base64") from e


def _check(section: str) -> None:
    if not section or not section.isprintable() or "-----" in section:
        raise PemError(f"{section!r} cannot name a section")
