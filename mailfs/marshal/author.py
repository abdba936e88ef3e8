"""Who writes, from the files in his mail directory: headers, names; marshal(1)."""

from mailfs.errors import MailfsError, reason
from mailfs.marshal import draft
from mailfs.marshal.compose import Author
from mailfs.msg.word import unfold
from mailfs.send import alias
from mailfs.site.site import Site

MAX_HEADERS = 1 << 20  # octets of a headers file
COPY = "fcc"  # the field of a headers file that names the mailbox of copies


def author(site: Site) -> Author:
    """Return the site's user as the author of a message.

    The headers file is that of ``$upasname``, so another name has none of ours; the
    aliases are the user's in any case.  Its field Fcc is for us and no field of a
    message.  Raises MailfsError if a file cannot be read.
    """
    upasname = site.env.get("upasname", "")
    names = alias.load(site, site.box(site.user) / "names", exact=True)
    fields = _headers(site, upasname or site.user)
    copies = [unfold(value) for name, value in fields if name.lower() == COPY]
    return Author(
        site.user,
        site.names.domain,
        upasname,
        tuple(field for field in fields if field[0].lower() != COPY),
        lambda word: names.get(word, []),
        copies[0].decode("utf-8", "surrogateescape").strip() if copies else "",
    )


def _headers(site: Site, owner: str) -> tuple[tuple[str, bytes], ...]:
    if "/" in owner or owner in ("", ".", ".."):
        return ()
    path = site.box(owner) / "headers"
    try:
        with open(path, "rb") as file:
            octets = file.read(MAX_HEADERS + 1)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as e:
        raise MailfsError(f"{path}: {reason(e)}") from e
    if len(octets) > MAX_HEADERS:
        raise MailfsError(f"{path}: over {MAX_HEADERS >> 20} MB")
    try:
        return draft.fields(octets)
    except MailfsError as e:
        raise MailfsError(f"{path}: {e}") from e
