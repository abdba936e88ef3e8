"""Sending a letter of the outbox: all of the sending side meets here."""

from collections.abc import Sequence

from mailfs.errors import MailfsError
from mailfs.mailbox.driver import Place
from mailfs.marshal import draft
from mailfs.marshal.author import author
from mailfs.marshal.compose import ComposedMail, Order, compose
from mailfs.marshal.dispatch import NotSent, dispatch
from mailfs.marshal.entity import tokens
from mailfs.msg import param
from mailfs.send.result import Result
from mailfs.site import site as sites


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
    mail = compose(
        taken, order, author(site), now=site.clock(), token=tokens(site.random)
    )
    if todo:
        kept = tuple(one for one in mail.recipients if one in todo)
        mail = ComposedMail(mail.octets, mail.sender, kept, mail.date)
    try:
        return dispatch(site, mail).results
    except NotSent as e:
        if e.results:
            return e.results
        raise


def check_whole(letter: draft.Draft) -> None:
    """Raise MailfsError if the end of a multipart is missing: its writer was killed."""
    for value in letter.all("content-type"):
        boundary = param.boundary(value) or b""
        parts = param.media(value)[0].startswith("multipart/") and boundary
        if parts and b"--" + boundary + b"--" not in letter.body:
            raise MailfsError("incomplete: the last boundary is missing")
