"""One message over one session: what the server must be able to, and transactions."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mailfs.smtp.downgrade import Unconvertible
from mailfs.smtp.dsn import Dsn, RcptDsn, xtext
from mailfs.smtp.fate import DeliveryError, Fate, Reply, failed, judged
from mailfs.smtp.letter import SmtpLetter, WireForm
from mailfs.smtp.options import DEFAULT, Options
from mailfs.smtp.path import Path
from mailfs.smtp.session import GROUP, Broken, SmtpSession

TOO_MANY = 452  # recipients for one transaction; RFC 5321 section 4.5.3.1.10
FULL = ("4.2.2", "4.3.1")  # with 452: it is the mailbox or the disk instead


@dataclass(frozen=True, slots=True)
class Transfer:
    """A message, its envelope, and how to go about it; called with a session.

    rcpts are the words of the caller with their paths.
    """

    letter: SmtpLetter
    sender: Path
    rcpts: Sequence[tuple[str, Path]]
    options: Options = DEFAULT
    whole: bool = False
    dsn: Dsn = field(default_factory=Dsn)

    def __call__(self, session: SmtpSession) -> list[Fate]:
        """Return the fate of each recipient.

        Raises Broken if the connection ends before the server has said anything: then
        another connection may be tried.
        """
        try:
            form, able, fates = self._checked(session)
        except DeliveryError as e:
            return failed([word for word, _ in self.rcpts], e, session.host)
        rest = able
        while rest:
            group, rest = rest[:GROUP], rest[GROUP:]
            try:
                done, again = self._transact(session, form, group)
            except Broken as e:
                if not fates and not session.answered:
                    raise
                return fates + failed([w for w, _ in group + rest], e, session.host)
            except DeliveryError as e:  # the sender was refused
                return fates + failed([w for w, _ in group + rest], e, session.host)
            fates += done
            rest = again + rest
        return fates

    def _checked(
        self, session: SmtpSession
    ) -> tuple[WireForm, list[tuple[str, Path]], list[Fate]]:
        """Return the form for the server, whom it can serve, and those it cannot."""
        utf8 = session.has("smtputf8") and session.has("8bitmime")
        if not utf8 and (self.sender.utf8 or self.letter.utf8):
            raise _unable(
                "5.6.7", "server does not offer SMTPUTF8, which addresses need"
            )
        try:
            form = self.letter.form(eight=session.has("8bitmime"), utf8=utf8)
        except Unconvertible as e:
            raise _unable("5.6.3", str(e)) from e
        if session.size and form.size > session.size:
            raise _unable(
                "5.3.4",
                f"message of {form.size} octets, server takes {session.size}",
            )
        able, fates = [], []
        for word, path in self.rcpts:
            if path.utf8 and not utf8:
                error = _unable("5.6.7", "server does not offer SMTPUTF8")
                fates += failed([word], error, session.host)
            else:
                able.append((word, path))
        return form, able, fates

    def _transact(
        self, session: SmtpSession, form: WireForm, group: list[tuple[str, Path]]
    ) -> tuple[list[Fate], list[tuple[str, Path]]]:
        """Return the fates of a group, and whom to try in another transaction."""
        utf8 = form.utf8 or any(p.utf8 for p in [self.sender, *(p for _, p in group)])
        mail = f"<{_ascii(self.sender)}>{self._mail(session, form, utf8=utf8)}"
        rcpts = [f"<{_ascii(p)}>{self._rcpt(session, w, p)}" for w, p in group]
        stop = self._proceed if self.whole or self.options.ping else None
        result = session.transact(mail, rcpts, form.data(), stop)
        fates: list[Fate] = []
        again: list[tuple[str, Path]] = []
        taken = result.end is not None and result.end.ok
        for (word, path), reply in zip(group, result.rcpts, strict=True):
            if reply.ok and not self.options.ping:
                end = result.end or Reply(451, ("4.3.0 others were put off",))
                fates.append(judged(word, end, session.host, dsn=session.has("dsn")))
            elif taken and reply.code == TOO_MANY and reply.enhanced not in FULL:
                again.append((word, path))
            else:
                fates.append(judged(word, reply, session.host))
        return fates, again

    def _proceed(self, replies: Sequence[Reply]) -> bool:
        """Whether to send the data: not if somebody is put off, nor with -p."""
        return not self.options.ping and all(r.ok or r.permanent for r in replies)

    def _mail(self, session: SmtpSession, form: WireForm, *, utf8: bool) -> str:
        """Return the parameters of MAIL; RFC 1870, 6152, 6531, 3461."""
        words = []
        if session.has("size"):
            words.append(f"SIZE={form.size}")
        if form.eight and session.has("8bitmime"):
            words.append("BODY=8BITMIME")
        if utf8:
            words.append("SMTPUTF8")
        if session.has("dsn"):
            ret = self.dsn.ret or self.options.ret
            envid = self.dsn.envid or xtext(self.options.envid)
            words += [f"RET={ret.upper()}"] if ret else []
            words += [f"ENVID={envid}"] if envid else []
        return "".join(f" {word}" for word in words)

    def _rcpt(self, session: SmtpSession, word: str, path: Path) -> str:
        """Return the parameters of RCPT; RFC 3461."""
        wished = self.dsn.of(word)
        told = ",".join(wished.notify) or self.options.notify
        if not session.has("dsn") or (wished == RcptDsn() and not told):
            return ""
        orcpt = wished.orcpt
        if not orcpt and not path.utf8:
            orcpt = f"rfc822;{xtext(_ascii(path))}"
        if not orcpt.isascii():
            orcpt = ""  # only SMTPUTF8 could carry it
        words = [f" NOTIFY={told.upper()}"] if told else []
        words += [f" ORCPT={orcpt}"] if orcpt else []
        return "".join(words)


def _ascii(path: Path) -> str:
    """Return a path as it is sent: the domain in ASCII, unless all of it is UTF-8."""
    return str(path if path.utf8 else path.ascii())


def _unable(enhanced: str, text: str) -> DeliveryError:
    return DeliveryError(text, permanent=True, enhanced=enhanced)
