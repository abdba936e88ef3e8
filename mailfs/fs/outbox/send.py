"""Sending a letter of the outbox: all of the sending side meets here."""

import logging
from collections.abc import Sequence

from mailfs.errors import MailfsError
from mailfs.mailbox.driver import Place
from mailfs.marshal import draft, filing
from mailfs.marshal.author import author
from mailfs.marshal.compose import ComposedMail, Order, compose
from mailfs.marshal.dispatch import NotSent, dispatch
from mailfs.marshal.entity import tokens
from mailfs.msg import param
from mailfs.send.result import Result
from mailfs.site import site as sites

log = logging.getLogger(__name__)


def send(place: Place, octets: bytes, todo: Sequence[str]) -> Sequence[Result]:
    """Send a letter as marshal -8 would; blocks.

    Raises MailfsError or OSError if nothing could be sent to anybody.
    """
    site = sites.here(place.root, place.user)
    taken, files = draft.attachments(draft.message(octets))
    if files:
        raise MailfsError("Attach and Include are not for the outbox")
    check_whole(taken)
    order = Order(headed=True)
    writer = author(site)
    mail = compose(taken, order, writer, now=site.clock(), token=tokens(site.random))
    # A letter tried again for some has its copy by now.
    first = not todo or set(mail.recipients) <= set(todo)
    folder = filing.folder(site, writer.copy) if writer.copy and first else ""
    if todo:
        kept = tuple(one for one in mail.recipients if one in todo)
        mail = ComposedMail(mail.octets, mail.sender, kept, mail.date)
    try:
        sent = dispatch(site, mail, folder=folder, net=place.net)
    except NotSent as e:
        if e.results:
            return e.results
        raise
    if sent.unfiled:
        log.warning("outbox: sent, but %s", sent.unfiled)
    return sent.results


def check_whole(letter: draft.Draft) -> None:
    """Raise MailfsError if the end of a multipart is missing: its writer was killed."""
    for value in letter.all("content-type"):
        boundary = param.boundary(value) or b""
        parts = param.media(value)[0].startswith("multipart/") and boundary
        if parts and b"--" + boundary + b"--" not in letter.body:
            raise MailfsError("incomplete: the last boundary is missing")
