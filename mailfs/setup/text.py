"""The new text of each file that setup changes, from its old text; pure.

Each function given what it made before returns that unchanged, and keeps whatever else
is in the file.
"""

import re
import shlex
from collections.abc import Mapping

from mailfs.mailboxes.listed import split
from mailfs.marshal import draft
from mailfs.msg import address as addresses
from mailfs.msg.address import Address
from mailfs.ndb.parse import BLANKS, records
from mailfs.site import placeholder

GATEWAY, DIRECT = "gateway", "direct"  # where mail for others goes
LOCAL, DOMAIN = "local", "domain"  # what a name without a domain means

_ANY_CALL = re.compile(r'^exec mailfs smtp.* "\$host" "\$sender" "\$@"$', re.MULTILINE)
HEAD = "# What addresses mean; rewrite(6).  Made by mailfs setup from %s."
_ADDED = re.compile(r'local!(?:"\(\.\+\)"|\(\.\*\)) ')  # rules for what has no domain


def network(text: str, sysname: str, told: Mapping[str, str]) -> str:
    """Return lib/ndb/local with attributes set in the entry of a machine.

    An attribute that the entry has keeps its place and loses its other values; the
    others come at its end.  Without an entry one is added.
    """
    lines = text.split("\n")
    span = _entry(lines, sysname)
    if span is None:
        more = [f"sys={sysname}", *(f"\t{a}={v}" for a, v in told.items())]
        text = text.rstrip("\n")
        return (f"{text}\n\n" if text else "") + "\n".join(more) + "\n"
    start, end = span
    entry = lines[start:end]
    for attr, value in told.items():
        entry = _set(entry, attr, value)
    return "\n".join([*lines[:start], *entry, *lines[end:]])


def _entry(lines: list[str], sysname: str) -> tuple[int, int] | None:
    """Return the lines [start, end) of the entry with ``sys=`` the name.

    Entries begin and end as in ndb.parse; comments behind the last pair stay outside.
    """
    spans: list[list[int]] = []
    inside = False
    for number, line in enumerate(lines):
        if records(line):
            if inside and line[0] in BLANKS:
                spans[-1][1] = number + 1
            else:
                spans.append([number, number + 1])
            inside = True
        elif line in ("", "\r"):
            inside = False
    for start, end in spans:
        pairs = [pair for one in records("\n".join(lines[start:end])) for pair in one]
        if any(("sys", sysname) in pair for pair in pairs):
            return start, end
    return None


def _set(entry: list[str], attr: str, value: str) -> list[str]:
    word = f"[^{BLANKS}]"
    pattern = re.compile(
        rf'[ \t]*(?<!{word}){re.escape(attr)}=(?:"[^"]*"?|{word}*)', re.DOTALL
    )
    out, done = [], False
    for line in entry:
        bare, comment = _uncommented(line)
        at = pattern.search(bare)
        if at is not None:
            rest = pattern.sub("", bare[at.end() :])
            blank = at[0][: len(at[0]) - len(at[0].lstrip())]
            word = "" if done else f"{blank}{attr}={value}"
            bare, done = bare[: at.start()] + word + rest, True
            if not (bare + comment).strip():
                continue
        out.append(bare + comment)
    return out if done else [*out, f"\t{attr}={value}"]


def _uncommented(line: str) -> tuple[str, str]:
    """Split a line where its comment begins."""
    m = re.search(f"(?<![^{BLANKS}])#", line)
    return (line[: m.start()], line[m.start() :]) if m else (line, "")


def unqualified(line: str) -> bool:
    """Whether a rule says what becomes of names without a domain."""
    return _ADDED.match(line) is not None


def rules(
    shipped: str, routing: str, domain: str, *, bare: str, later: bool = False
) -> str:
    """Make rewrite from the rules that ship for a routing, GATEWAY or DIRECT.

    bare says what a name without a domain means: LOCAL, a mailbox here, or DOMAIN,
    somebody at domain.  later queues without trying at once.
    """
    name = domain.lower()
    escaped = re.escape(name).replace(r"\-", "-")
    text = HEAD % f"rewrite.{routing}" + "\n\n" + shipped.partition("\n\n")[2]
    out = []
    for line in text.split("\n"):
        if not line.startswith("#"):
            if bare == DOMAIN and unqualified(line):
                line = f"{line.partition('>>')[0]}alias      \\1@{name}"
            line = line.replace(placeholder.SAMPLE.replace(".", r"\."), escaped)
            line = line.replace(placeholder.SAMPLE, name)
            if later:
                line = line.replace("/mail/lib/qmail ", "/mail/lib/justqmail ")
        out.append(line)
    return "\n".join(out)


def remotemail(shipped: str, old: str, words: list[str]) -> str:
    """Return remotemail with these options for smtp; what else old does is kept.

    old that calls smtp in no known way is replaced by what ships.
    """
    call = " ".join(["exec mailfs smtp", *map(shlex.quote, words), '"$host"'])
    call += ' "$sender" "$@"'
    base = old if len(_ANY_CALL.findall(old)) == 1 else shipped
    return _ANY_CALL.sub(lambda _: call, base)


def headers(old: str, name: str, addr: str) -> str:
    """Make the headers file with this From.

    Raises MailfsError with the number of an old line that is no header field.
    """
    draft.fields(old.encode("utf-8", "surrogateescape"))
    line = f"From: {author(name, addr)}"
    lines = old.split("\n")
    for number, told in enumerate(lines):
        if told.lower().startswith("from:"):
            end = number + 1
            while end < len(lines) and lines[end][:1] in (" ", "\t"):
                end += 1
            if _same(told, name, addr):
                return old
            return "\n".join([*lines[:number], line, *lines[end:]])
    return f"{line}\n{old}"


def copies(old: str, mailbox: str) -> str:
    """Make the headers file with this mailbox for copies; empty for none.

    It is the field Fcc; marshal(1).
    """
    new = f"Fcc: {mailbox}"
    out, skipping, done = [], False, not mailbox
    for line in old.split("\n"):
        if skipping and line[:1] in (" ", "\t"):
            continue
        skipping = line.lower().startswith("fcc:")
        if not skipping:
            out.append(line)
        elif not done:
            out.append(new)
            done = True
    if not done:
        out[-1:] = [new, ""] if not out[-1] else [out[-1], new, ""]
    return "\n".join(out)


def copied(headers: str) -> str:
    """Read the mailbox of copies that a headers file names, empty if none."""
    lines = headers.split("\n")
    found = [line for line in lines if line.lower().startswith("fcc:")]
    return found[0].partition(":")[2].strip() if found else ""


def _same(line: str, name: str, addr: str) -> bool:
    return written(line.partition(":")[2]) == Address(name, addr)


def author(name: str, addr: str) -> str:
    """Return a name and address as a field has them."""
    if not name:
        return addr
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" <{addr}>'


def written(value: str) -> Address:
    """Return the first address of a field's value; empty if there is none."""
    found = addresses.addresses([value.encode("utf-8", "surrogateescape")])
    return found[0] if found else Address("", "")


def alias(old: str, name: str, to: str) -> str:
    """Return names.local with an alias; its other lines are kept."""
    lines = old.split("\n")
    for number, line in enumerate(lines):
        words = line.split()
        if words and words[0] == name:
            if words[1:] == [to]:
                return old
            return "\n".join([*lines[:number], f"{name}\t{to}", *lines[number + 1 :]])
    text = old if old.endswith("\n") or not old else f"{old}\n"
    return f"{text}{name}\t{to}\n"


def mailboxes(old: str, name: str, spec: str) -> str:
    """Return the list of mailboxes with spec under name."""
    line = f"{name}={spec}"
    lines = old.split("\n")
    for number, told in enumerate(lines):
        given, path = split(told.strip())
        if told.strip().startswith("#") or not told.strip():
            continue
        if given == name or path == spec:
            return "\n".join([*lines[:number], line, *lines[number + 1 :]])
    text = old if old.endswith("\n") or not old else f"{old}\n"
    return f"{text}{line}\n"
