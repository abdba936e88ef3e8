"""One attempt at one message: claimed, delivered, and what follows from the outcome."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from mailfs.errors import MailfsError, reason
from mailfs.msg.date import unixdate
from mailfs.queue import retry, spool
from mailfs.queue.control import BadControl
from mailfs.queue.retry import Times
from mailfs.queue.spool import Claim, Job
from mailfs.runq.report import MAX_QUOTED, Action, Heading, report
from mailfs.runq.transport import Outcome, Transport, host, recipients
from mailfs.send.deferred import FORWARDED, LOCAL
from mailfs.site.site import Site
from mailfs.smtp.dsn import DELAY, FAILURE, SUCCESS, Dsn
from mailfs.smtp.fate import DeliveryError, Fate
from mailfs.smtp.limit import DeliveryLimit

log = logging.getLogger(__name__)

MAX_WHY = 500  # characters of an unexpected error that are noted
UNWRITTEN = 15 * 60.0  # seconds until an empty control file is nobody's
BUSY = 60.0  # seconds to leave a message alone that another process is at
NOBODY = ("/dev/null", "postmaster", "postmaster@localhost")  # hear of no failure
POSTMASTER = "postmaster"  # gets the reports that their addressee does not take
HOUR = 3600.0

_ASKED = {
    Action.FAILED: FAILURE,
    Action.DELAYED: DELAY,
    Action.DELIVERED: SUCCESS,
    Action.RELAYED: SUCCESS,
}

Tell = Callable[[str, str, bytes], None]
"""Send a report: for whose queue, to whom, the message.

Raises DeliveryError, permanent if it is refused for good, or another MailfsError.
"""


class Report(Enum):
    """How a report fared."""

    TAKEN = "taken"  # or nobody was to have it
    LATER = "later"
    REFUSED = "refused"  # for good, by the postmaster too


@dataclass(frozen=True, slots=True)
class RetryRules:
    """How long to go on; runq's options.

    give_up  hours, -t; at_once ignores the schedule and give_up, -E; stubborn takes a
    failure for good as one for now, -R; warn in seconds
    """

    give_up: float = retry.GIVE_UP
    at_once: bool = False
    stubborn: bool = False
    warn: float = retry.WARN

    def over(self, times: Times, now: float) -> bool:
        """Whether it is time to give up."""
        return not self.at_once and times.age(now) > self.give_up * HOUR


RULES = RetryRules()


class AttemptState(Enum):
    """How a message stands after an attempt."""

    GONE = "gone"  # out of the queue
    LATER = "later"
    BUSY = "busy"  # another process has it


@dataclass(frozen=True, slots=True)
class AttemptVerdict:
    """What an attempt tells its scheduler: the state, and when to come again.

    host is True or False if the host was up or down, None if it was not asked.
    """

    state: AttemptState
    due: float = 0.0
    host: bool | None = None
    fates: tuple[Fate, ...] = ()


@dataclass(frozen=True, slots=True)
class QueueWorker:
    """Makes attempts; safe in any thread."""

    site: Site
    transport: Transport
    tell: Tell
    rules: RetryRules = RULES
    # Recipients served whom no disk would remember, by message.
    served: dict[Job, frozenset[str]] = field(default_factory=dict)
    ending: threading.Event = field(default_factory=threading.Event)  # we are to end

    def __call__(
        self, job: Job, down: str = "", limit: DeliveryLimit | None = None
    ) -> AttemptVerdict:
        """Attempt a message.

        down, if not empty, says why its host is known to be down: then nothing is
        tried, but what has waited too long is given up.  limit is for the delivery.
        """
        limit = limit or DeliveryLimit()
        now = self.site.clock()
        try:
            claim = spool.claim(job)
        except BadControl as e:
            return self._set_aside(job, str(e))
        if claim is None:
            gone = not job.control.exists()
            return (
                AttemptVerdict(AttemptState.GONE)
                if gone
                else AttemptVerdict(AttemptState.BUSY, now + BUSY)
            )
        try:
            return self._claimed(claim, now, down, limit)
        finally:
            claim.close()

    def _set_aside(self, job: Job, why: str) -> AttemptVerdict:
        """Hold back a message nothing can be done with, for a person to look at."""
        self._log(f"{job.ident}: {why}; held")
        job.path("C").rename(job.path("h"))
        return AttemptVerdict(AttemptState.GONE)

    def _claimed(
        self, claim: Claim, now: float, down: str, limit: DeliveryLimit
    ) -> AttemptVerdict:
        job = claim.job
        times = spool.times(job, now)
        if times is None:
            self._log(f"no data file for {job.name}")
            claim.remove()
            return AttemptVerdict(AttemptState.GONE)
        if claim.empty:
            written = spool.age(job.control)
            if written is not None and now - written <= UNWRITTEN:
                return AttemptVerdict(AttemptState.LATER, now + BUSY)
            self._log(f"empty ctl file for {job.name}")
            claim.remove()
            return AttemptVerdict(AttemptState.GONE)
        due = retry.due(times, job.name)
        if due > now and not self.rules.at_once:
            return AttemptVerdict(AttemptState.LATER, due)
        if down:
            fates = tuple(Fate(r, False, line=down) for r in recipients(claim.words))
            outcome = Outcome(fates)
            if not self.rules.over(times, now):
                return AttemptVerdict(AttemptState.LATER, now)
        else:
            self._execing(claim)
            outcome = self._deliver(claim, limit)
            if self.ending.is_set() and outcome.idle:
                # We ended it: that is no attempt to note or to wait after.
                return AttemptVerdict(AttemptState.LATER, now)
        return self._settle(claim, outcome, times, None if down else not outcome.down)

    def _deliver(self, claim: Claim, limit: DeliveryLimit) -> Outcome:
        """Deliver to all who have not been served; a fault of ours is temporary.

        So it is noted, and comes to an end as any other failure does.
        """
        done = self.served.get(claim.job, frozenset())
        if done:
            left = [r for r in recipients(claim.words) if r not in done]
            if not left:
                return Outcome(tuple(Fate(r, True) for r in done))
            claim.words = (*claim.words[:3], *left)
        try:
            return self.transport(claim, limit)
        except Exception as e:
            log.exception("%s: unexpected", claim.job.ident)
            why = f"{type(e).__name__}: {e}"[:MAX_WHY]
            fates = [Fate(r, False, line=why) for r in recipients(claim.words)]
            return Outcome(tuple(fates))

    def _settle(
        self, claim: Claim, outcome: Outcome, times: Times, host: bool | None
    ) -> AttemptVerdict:
        """Do what an outcome asks for: remove, return, put off.

        Who was served is on disk before anything else may fail.
        """
        job, now = claim.job, self.site.clock()
        over = self.rules.over(times, now)
        dead = [
            f
            for f in outcome.fates
            if (f.permanent and not self.rules.stubborn) or (over and not f.ok)
        ]
        live = [f for f in outcome.fates if not f.ok and f not in dead]
        later = AttemptVerdict(
            AttemptState.LATER, now + retry.LONGEST, host, outcome.fates
        )
        if (dead or live) and not self._keep(claim, [*dead, *live], outcome.fates):
            return later
        if dead or live:
            self._note(claim, explain(outcome.fates, claim.words[2], now))
        self._succeeded(claim, outcome.fates, times)
        if dead:
            taken = self._return(claim, Action.FAILED, dead, times, over=over)
            if taken is Report.REFUSED and not live:
                return self._hold(claim, outcome.fates)
            if taken is not Report.TAKEN:
                return later
        if not live:
            claim.remove()
            self.served.pop(job, None)
            return AttemptVerdict(AttemptState.GONE, 0.0, host, outcome.fates)
        if dead and not self._keep(claim, live, ()):
            return later
        self._warn(claim, live, times, now)
        due = retry.due(Times(times.queued, now), job.name)
        return AttemptVerdict(AttemptState.LATER, due, host, outcome.fates)

    def _keep(self, claim: Claim, fates: Sequence[Fate], tried: Sequence[Fate]) -> bool:
        """Have the control file name only recipients still to be seen to.

        False if it cannot be written: then this process remembers who was served.
        """
        wanted = {f.rcpt for f in fates}
        before = recipients(claim.words)
        kept = [rcpt for rcpt in before if rcpt in wanted]
        if kept == list(before) and claim.job not in self.served:
            return True
        try:
            claim.rewrite([*claim.words[:3], *kept])
        except OSError as e:
            done = {f.rcpt for f in tried if f.ok}
            known = self.served.get(claim.job, frozenset())
            self.served[claim.job] = known | done
            self._log(f"{claim.job.ident}: writing control file: {reason(e)}")
            return False
        self.served.pop(claim.job, None)
        return True

    def _note(self, claim: Claim, text: str) -> None:
        try:
            claim.note(text)
        except OSError as e:
            self._log(f"{claim.job.ident}: writing errors file: {reason(e)}")

    def _hold(self, claim: Claim, fates: tuple[Fate, ...]) -> AttemptVerdict:
        """Hold back a message whose report nobody takes, for a person to look at."""
        self._log(f"{claim.job.ident}: nobody takes the report; held")
        claim.job.path("C").rename(claim.job.path("h"))
        return AttemptVerdict(AttemptState.GONE, 0.0, None, fates)

    def _warn(
        self, claim: Claim, live: Sequence[Fate], times: Times, now: float
    ) -> None:
        """Tell the sender once that it takes long."""
        mark = claim.job.path("w")
        if times.age(now) < self.rules.warn or self.rules.at_once or mark.exists():
            return
        if self._return(claim, Action.DELAYED, live, times) is not Report.LATER:
            try:
                claim.job.mark("w")
            except OSError as e:
                self._log(f"{claim.job.ident}: {reason(e)}")

    def _succeeded(self, claim: Claim, fates: Sequence[Fate], times: Times) -> None:
        """Tell the sender who asked for it of recipients served, once; RFC 3461.

        A server that reports itself has been asked to.
        """
        done = [fate for fate in fates if fate.ok and not fate.dsn]
        here = host(claim.words) in (LOCAL, FORWARDED)
        action = Action.DELIVERED if here else Action.RELAYED
        if done:
            self._return(claim, action, done, times)

    def _return(
        self,
        claim: Claim,
        action: Action,
        fates: Sequence[Fate],
        times: Times,
        *,
        over: bool = False,
    ) -> Report:
        """Send a report to the reply address, or to the postmaster if that refuses.

        It tells of the recipients of whom the sender wants to hear; of none there is
        none.
        """
        fates = [f for f in fates if self._dsn(claim).wants(f.rcpt, _ASKED[action])]
        if claim.words[1] in NOBODY or not fates:
            return Report.TAKEN
        last = Report.REFUSED
        for to in (claim.words[1], POSTMASTER):
            last = self._tell(claim, to, action, fates, times)
            if last is Report.TAKEN:
                words = "gave up" if over else "returning"
                self._log(f"{claim.job.ident}: {words} to '{to}'")
            if last is not Report.REFUSED:
                break
        return last

    def _dsn(self, claim: Claim) -> Dsn:
        """Read what reports the sender wants; what cannot be read asks for nothing."""
        try:
            return claim.job.dsn()
        except OSError as e:
            self._log(f"{claim.job.ident}: {reason(e)}")
            return Dsn()

    def _tell(
        self,
        claim: Claim,
        to: str,
        action: Action,
        fates: Sequence[Fate],
        times: Times,
    ) -> Report:
        now = self.site.clock()
        heading = Heading(
            self.site.names.domain,
            to,
            int(now),
            int(times.queued),
            self.site.random(13).hex(),
            int(times.queued + self.rules.give_up * HOUR),
            self.site.local,
        )
        try:
            original, size = claim.job.data(MAX_QUOTED)
            dsn = self._dsn(claim)
            text = report(heading, action, fates, original, size, dsn)
            self.tell(claim.job.folder.name, to, text)
        except DeliveryError as e:
            self._log(f"{claim.job.ident}: returnmail failed: {e}")
            return Report.REFUSED if e.permanent else Report.LATER
        except (MailfsError, OSError) as e:
            why = reason(e) if isinstance(e, OSError) else str(e)
            self._log(f"{claim.job.ident}: returnmail failed: {why}")
            return Report.LATER
        except Exception:
            log.exception("%s: unexpected", claim.job.ident)
            return Report.REFUSED  # and would be again: a person has to look
        return Report.TAKEN

    def _execing(self, claim: Claim) -> None:
        words = "".join(f" '{word}'" for word in claim.words)
        job = claim.job
        self._log(f"{job.folder.name}/C.{job.name}: execing{words}"[:255])

    def _log(self, text: str) -> None:
        self.site.log.write("runq", text)


def explain(fates: Sequence[Fate], dest: str, now: float) -> str:
    """Make the text for the errors file: when, where, and who did not get it."""
    lines = [f"{unixdate(int(now))} connect to {dest}:"]
    for fate in fates:
        if not fate.ok:
            lines.append(f"  mail to {fate.rcpt} failed: {' '.join(fate.line.split())}")
    return "\n".join(lines) + "\n"
