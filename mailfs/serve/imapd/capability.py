"""What the server says it can do; RFC 9051 section 7.2.2."""

from collections.abc import Sequence

from mailfs.serve.imapd.upload import MAX_MESSAGE

ALWAYS = ("IMAP4rev1", "IMAP4rev2", "LITERAL+", "SASL-IR", "ID", "ENABLE")
AFTER_LOGIN = (
    "IDLE",
    "NAMESPACE",
    "UIDPLUS",
    "UNSELECT",
    "MOVE",
    "CHILDREN",
    "CONDSTORE",
    "QRESYNC",
    "ESEARCH",
    "SEARCHRES",
    "WITHIN",
    "SORT",
    "SORT=DISPLAY",
    "ESORT",
    "THREAD=ORDEREDSUBJECT",
    "THREAD=REFERENCES",
    "LIST-EXTENDED",
    "LIST-STATUS",
    "SPECIAL-USE",
    "CREATE-SPECIAL-USE",
    "STATUS=SIZE",
    "UTF8=ACCEPT",
    "MULTIAPPEND",
    "BINARY",
    "REPLACE",
    "COMPRESS=DEFLATE",
    f"APPENDLIMIT={MAX_MESSAGE}",
)
ENABLES = frozenset({"CONDSTORE", "QRESYNC", "UTF8=ACCEPT", "IMAP4REV2"})


def capabilities(*, known: bool, tls: bool, mechanisms: Sequence[str]) -> str:
    """Return the list.

    known       the client has logged in
    tls         STARTTLS is offered
    mechanisms  of AUTHENTICATE
    """
    if known:
        return " ".join([*ALWAYS, *AFTER_LOGIN])
    words = [*ALWAYS, *(["STARTTLS"] if tls else [])]
    words += [f"AUTH={name}" for name in mechanisms] or ["LOGINDISABLED"]
    return " ".join(words)
