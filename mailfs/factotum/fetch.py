"""HTTPS for the token endpoints: post a form, get an answer, follow nothing."""

import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPMessage, HTTPResponse
from typing import IO

from mailfs.errors import MailfsError
from mailfs.tls.vouch import authorities

MAX_BODY = 1 << 20  # octets of an answer; tokens are 4 kB, discovery 20
TIMEOUT = 30.0  # seconds for each wait
Fetch = Callable[[str, bytes | None], tuple[int, bytes]]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry secrets to somebody nobody named."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        """Follow nothing: the answer is the error it then is."""


def fetcher(context: ssl.SSLContext | None = None) -> Fetch:
    """Make a function that posts octets to a URL, or gets it: status and body.

    The peer must have a certificate for its name.  Raises MailfsError for a URL that
    is not https and for whatever keeps the answer from coming.
    """
    opener = urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=context or authorities()),
        _NoRedirect(),
    )

    def fetch(url: str, body: bytes | None) -> tuple[int, bytes]:
        if not url.startswith("https://"):
            raise MailfsError(f"{url}: not https")
        request = urllib.request.Request(  # noqa: S310  # https, as just checked
            url, body, {"Accept": "application/json"}
        )
        try:
            with opener.open(request, timeout=TIMEOUT) as answer:
                return _body(url, answer)
        except urllib.error.HTTPError as e:
            with e:
                return _body(url, e)
        except OSError as e:  # URLError and TLS errors are among them
            raise MailfsError(f"{url}: {getattr(e, 'reason', e)}") from None

    return fetch


def _body(url: str, answer: HTTPResponse | urllib.error.HTTPError) -> tuple[int, bytes]:
    raw = answer.read(MAX_BODY + 1)
    if len(raw) > MAX_BODY:
        raise MailfsError(f"{url}: answer too long")
    return answer.status or 0, raw
