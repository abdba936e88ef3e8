"""Queued mail for this machine: what send could not deliver the first time."""

from mailfs.errors import MailfsError
from mailfs.msg.escape import unescape
from mailfs.queue.spool import Claim
from mailfs.runq.transport import Outcome, Transport, host, recipients
from mailfs.send import mail, submit
from mailfs.send.deferred import FORWARDED, LOCAL
from mailfs.send.refusal import Refusal
from mailfs.send.result import Result
from mailfs.send.route import Router
from mailfs.site.site import Site
from mailfs.smtp.fate import DeliveryError, Fate, failed
from mailfs.smtp.limit import DeliveryLimit


class WithLocal:
    """A transport that makes local deliveries itself, and leaves all else to another.

    quiet and slow are the other's.
    """

    def __init__(self, site: Site, remote: Transport) -> None:
        self._site = site
        self._remote = remote
        self.quiet = remote.quiet
        self.slow = remote.slow

    def __call__(self, claim: Claim, limit: DeliveryLimit) -> Outcome:
        """Deliver a message."""
        if host(claim.words) not in (LOCAL, FORWARDED):
            return self._remote(claim, limit)
        rcpts = recipients(claim.words)
        try:
            return Outcome(tuple(self._deliver(claim)))
        except Refusal as e:
            error = DeliveryError(e.text, permanent=e.permanent)
        except MailfsError as e:
            error = DeliveryError(str(e), permanent=False)
        return Outcome(tuple(failed(rcpts, error)))

    def _deliver(self, claim: Claim) -> list[Fate]:
        site, rcpts = self._site, recipients(claim.words)
        data, _ = claim.job.data(mail.MAX_MESSAGE + 1)
        letter = mail.read(site, data, None, relayed=True)
        rules = submit.load_rules(site)
        router = Router(site, rules, letter.sender, bulk=letter.bulk, auth=False)
        addresses = [unescape(word) for word in rcpts]
        again = host(claim.words) == FORWARDED
        roots = router.resolve(addresses, forwarded=again)
        results = submit.carry_out(site, addresses, roots, letter, defer=False)
        return [
            _fate(word, [r for r in results if r.recipient == address])
            for word, address in zip(rcpts, addresses, strict=True)
        ]

    def prune(self) -> None:
        """Let go of what has been idle."""
        self._remote.prune()

    def close(self) -> None:
        """Let go of everything."""
        self._remote.close()


def _fate(word: str, results: list[Result]) -> Fate:
    """Sum up what became of one recipient: the first refusal counts."""
    refused = [r for r in results if r.refused]
    if not refused:
        return Fate(word, True)
    one = next((r for r in refused if not r.permanent), refused[0])
    enhanced = "5.0.0" if one.permanent else "4.3.0"
    return Fate(word, False, one.permanent, enhanced=enhanced, line=one.text)
