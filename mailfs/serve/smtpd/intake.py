"""Mail handed to send: what a 250 was said for is on disk, delivered or bounced."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from mailfs.disk.replace import replace
from mailfs.errors import MailfsError, reason
from mailfs.msg import date, header
from mailfs.ndb import install
from mailfs.runq.report import Action, Heading, report
from mailfs.send import bounce, mail, submit
from mailfs.send.mail import Mail
from mailfs.send.refusal import FORBIDDEN, TOO_FAR, Refusal
from mailfs.send.result import Result, State
from mailfs.send.rewrite import Rules
from mailfs.send.submit import RULES
from mailfs.serve.smtpd.grammar import Path as MailPath
from mailfs.serve.smtpd.session import Reply
from mailfs.site.site import Site, here
from mailfs.smtp.dsn import FAILURE, SUCCESS, Dsn
from mailfs.smtp.fate import Fate

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trace:
    """What the Received: field tells; RFC 5321 section 4.4."""

    helo: str
    address: str
    domain: str  # ours
    protocol: str  # ESMTP, ESMTPS, LMTP ...

    def field(self, site: Site, recipients: Sequence[MailPath]) -> bytes:
        """Return the field with its LF; one recipient is named, of several none."""
        to = f"\n\tfor <{recipients[0]}>" if len(recipients) == 1 else ""
        when = date.rfc822(int(site.clock()), site.local)
        ident = site.random(6).hex()
        text = (
            f"Received: from {self.helo} ([{self.address}])\n"
            f"\tby {self.domain} with {self.protocol} id {ident}{to};\n\t{when}\n"
        )
        return text.encode("utf-8", "replace")


class Intake:
    """Recipients resolved and messages delivered, for one root; safe in any thread."""

    def __init__(self, root: Path, user: str) -> None:
        """Prepare the root.  Raises OSError and MailfsError."""
        install.install(root, user)
        self.site = here(root, user)
        self._lock = Lock()
        self._rules: tuple[object, Rules] | None = None

    def _load(self) -> Rules:
        """Return the rules as the file has them now.  Raises Refusal."""
        try:
            st = (self.site.lib / RULES).stat()
            stamp: object = (st.st_ino, st.st_size, st.st_mtime_ns)
        except OSError:
            stamp = None
        with self._lock:
            known = self._rules
        if known is not None and stamp is not None and known[0] == stamp:
            return known[1]
        rules = submit.load_rules(self.site)
        with self._lock:
            self._rules = (stamp, rules)
        return rules

    def resolve(self, sender: MailPath, path: MailPath) -> Reply:
        """Answer RCPT by where the address leads; nothing is delivered."""
        try:
            letter = self._letter(sender, b"")
            roots, _ = submit.resolve(
                self.site, self._load(), [str(path)], letter, relayed=True
            )
        except Refusal as e:
            return self._refused(path, e)
        except (OSError, MailfsError) as e:
            log.warning("%s: %s", path, e)
            return Reply(451, "4.3.0", "cannot be looked up now; try again later")
        leaves = [node.leaf for node in roots[0].leaves()]
        refusals = [leaf for leaf in leaves if isinstance(leaf, Refusal)]
        if len(refusals) == len(leaves):
            # If one of them may end, so may all.
            lasting = all(refusal.permanent for refusal in refusals)
            first = next(r for r in refusals if r.permanent == lasting)
            return self._refused(path, first)
        return Reply(250, "2.0.0", f"receiver is {path}")

    @staticmethod
    def _refused(path: MailPath, why: Refusal) -> Reply:
        if not why.permanent:
            log.warning("%s: %s", path, why)
            return Reply(451, "4.3.0", f"{path} ... cannot be delivered to now")
        if why.text == FORBIDDEN:
            return Reply(550, "5.7.1", f"{path} ... {why.text}")
        return Reply(550, "5.1.1", f"{path} ... user unknown")

    def _letter(self, sender: MailPath, text: bytes) -> Mail:
        who = str(sender) if sender.local else mail.NOBODY
        if not text:
            return Mail(who, 0, b"", 0, who == mail.NOBODY, header.scan(b""))
        return mail.read(self.site, text, str(sender), relayed=True)

    def deliver(
        self,
        trace: Trace,
        sender: MailPath,
        recipients: Sequence[MailPath],
        text: bytes,
        *,
        each: bool,
        dsn: Dsn | None = None,
    ) -> list[Reply]:
        """Deliver a message, on disk when this returns.

        each gives a reply for each recipient (LMTP); else there is one for all, and
        recipients who cannot have it while others can are reported to the sender.  dsn
        is what reports the sender wants.
        """
        text = trace.field(self.site, recipients) + text
        to = [str(path) for path in recipients]
        try:
            letter = self._letter(sender, text)
            results = submit.send(
                self.site,
                self._load(),
                to,
                letter,
                relayed=True,
                defer=not each,
                dsn=dsn,
            )
        except Refusal as e:
            return [self._failed(e)] * (len(to) if each else 1)
        except (OSError, MailfsError) as e:
            why = reason(e) if isinstance(e, OSError) else str(e)
            log.error("from %s: %s", sender, why)  # noqa: TRY400  # no bug of ours
            return [Reply(451, "4.3.0", "not delivered; try again later")] * (
                len(to) if each else 1
            )
        self._told(letter, results, dsn or Dsn())
        if each:
            return [_for_one([r for r in results if r.recipient == one]) for one in to]
        return [self._for_all(letter, results, dsn or Dsn())]

    def save(self, text: bytes) -> None:
        """Keep a message that was blocked, in mail/queue.dump; smtpd(8)."""
        now = time.gmtime(self.site.clock())
        day = self.site.root / "mail" / "queue.dump" / time.strftime("%b%d", now)
        try:
            day.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace(day / self.site.random(8).hex(), text)
        except OSError as e:
            log.warning("%s: %s", day, reason(e))

    @staticmethod
    def _failed(why: Refusal) -> Reply:
        if not why.permanent:
            return Reply(451, "4.3.0", why.text)
        return Reply(554, "5.4.6" if why.text == TOO_FAR else "5.6.0", why.text)

    def _told(self, letter: Mail, results: Sequence[Result], dsn: Dsn) -> None:
        """Tell the sender who asked for it of deliveries that were made here."""
        done = [
            Fate(result.recipient, True)
            for result in results
            if result.state is State.DELIVERED and dsn.wants(result.recipient, SUCCESS)
        ]
        if not done or letter.sender == mail.NOBODY:
            return
        now, site = int(self.site.clock()), self.site
        heading = Heading(
            site.names.domain,
            letter.sender,
            now,
            letter.date,
            site.random(13).hex(),
            local=site.local,
        )
        text = report(heading, Action.DELIVERED, done, letter.text, dsn=dsn)
        try:
            submit.submit(site, "", [letter.sender], text, to_line=False)
        except (MailfsError, OSError) as e:
            log.warning("no report to %s: %s", letter.sender, e)

    def _for_all(self, letter: Mail, results: Sequence[Result], dsn: Dsn) -> Reply:
        refused = [result for result in results if result.refused]
        if len(refused) < len(results):
            told = [r for r in refused if dsn.wants(r.recipient, FAILURE)]
            if told:
                bounce.send_back(self.site, letter, told)
            return Reply(250, "2.5.0", "sent")
        return _for_one(results)


def _for_one(results: Sequence[Result]) -> Reply:
    """Return the reply for results that stand for one recipient, or failed all."""
    refused = [result for result in results if result.refused]
    if len(refused) < len(results):
        return Reply(250, "2.5.0", "sent")
    passing = [result for result in refused if not result.permanent]
    why = (passing or refused)[0]
    text = why.text.split("\n")[0][:200]
    if passing:
        return Reply(451, "4.3.0", text)
    return Reply(554, "5.0.0", text)
