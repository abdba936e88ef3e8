"""Who answers: a person, with what was said beforehand; or what was said alone.

Each question has a row in QUESTIONS and with it an option; an answer given by that is
not asked for.  Where nobody is present, a question without an answer takes its default,
and without one it ends the run with the option that would have answered it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from mailfs.errors import MailfsError, UsageError
from mailfs.printable import shown
from mailfs.secret import Secret

T = TypeVar("T")

YES, NO = "yes", "no"


@dataclass(frozen=True, slots=True)
class Question:
    """The option that answers a question; metavar is empty for yes and no."""

    option: str
    metavar: str
    help: str


QUESTIONS: dict[str, Question] = {
    "name": Question("--name", "NAME", "your name, as From: shows it"),
    "address": Question("--address", "ADDR", "your mail address"),
    "provider": Question("--provider", "NAME", "gmail, fastmail, ...; own for no such"),
    "imap": Question(
        "--imap",
        "SERVER",
        "where mail is read: HOST, /imaptls/HOST, /pops/tcp!HOST!PORT, ... or none",
    ),
    "smtp": Question(
        "--smtp",
        "SERVER",
        "where mail is sent: HOST, /submission/HOST, /smtp/HOST without a login; "
        "direct for each domain's own server; or none: leave sending as it is",
    ),
    "user": Question("--user", "NAME", "who logs in"),
    "smtp_user": Question("--smtp-user", "NAME", "who logs in to send, if another"),
    "auth": Question("--auth", "HOW", "log in by password, oauth, or a key there is"),
    "oauth": Question("--oauth", "PROVIDER", "google, microsoft or an issuer's URL"),
    "clientid": Question("--clientid", "ID", "what the OAuth2 provider calls us"),
    "flow": Question("--flow", "HOW", "agree by loopback, paste or device"),
    "trust": Question(
        "--trust",
        "HASH",
        "trust the certificate with this SHA-256; first for what is shown",
    ),
    "keys": Question("--keys", "WHERE", "keep keys in file, keyring, secstore or none"),
    "secstore": Question("--secstore", "HOST", "which secstore"),
    "mailbox": Question("--mailbox", "NAME", "what to call the mailbox; default mbox"),
    "folders": Question("--folders", "WHICH", "open inbox, or all folders of IMAP"),
    "sent": Question(
        "--sent", "FOLDER", "where a copy of what you send is filed; none for nowhere"
    ),
    "bare": Question("--bare", "MEANING", "a name without @: local, or of your domain"),
    "dom": Question("--dom", "NAME", "this machine's full name, if it has one"),
    "later": Question("--later", "", "queue only; kickqueue or runq sends"),
    "ispdb": Question("--ispdb", "", "ask Mozilla's list about the domain"),
    "mount": Question(
        "--mount", "DIR", "mount the mail there, read-only, by FUSE; none for not"
    ),
    "start": Question("--start", "", "start the servers that do not run yet"),
    "units": Question("--units", "", "write systemd user units that run them"),
    "test": Question("--test", "", "send a mail to yourself and wait for it"),
}


class Person(Protocol):
    """Somebody to talk with; questions raise MailfsError if there is nobody."""

    present: bool

    def say(self, text: str) -> None:
        """Show lines."""

    def progress(self, text: str) -> None:
        """Show that something goes on, in the place of the last such text.

        An empty text ends it.
        """

    def ask(self, prompt: str, default: str) -> str:
        """Return a line, default for an empty one."""

    def secret(self, prompt: str) -> Secret:
        """Return a line that nobody else sees."""


@dataclass(slots=True)
class Interview:
    """Asks the questions of one run.

    given    answers by the names of QUESTIONS; used once, so a bad one is asked again
    secrets  what reads a password given beforehand, by ``imap``, ``smtp``, ``client``
    """

    person: Person
    given: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, Callable[[], Secret]] = field(default_factory=dict)

    def say(self, text: str) -> None:
        """Show lines; others wrote some of what they say."""
        self.person.say(shown(text, keep="\n\t"))

    def text(
        self,
        key: str,
        prompt: str,
        default: str,
        check: Callable[[str], T],
        *,
        hidden: bool = False,
    ) -> T:
        """Ask until check accepts the answer, and give its value.

        While it raises MailfsError a person is told so and asked again.  What is typed
        at a hidden question is not echoed.
        """
        while True:
            answer = self._answer(key, prompt, default, hidden)
            try:
                return check(answer)
            except MailfsError as e:
                if not self.person.present:
                    raise
                self.say(f"{e}")

    def _answer(self, key: str, prompt: str, default: str, hidden: bool) -> str:
        given = self.given.pop(key, None)
        if given is not None:
            return given
        if self.person.present:
            asked = f"{prompt} [{default}]: " if default else f"{prompt}: "
            if hidden:
                return self.person.secret(shown(asked)).text().strip() or default
            return self.person.ask(shown(asked), default).strip(" \t\r\n")
        if not default:
            raise UsageError(f"{prompt}: say it with {QUESTIONS[key].option}")
        return default

    def choose(
        self,
        key: str,
        prompt: str,
        rows: Mapping[str, str],
        usual: str,
        *,
        hidden: bool = False,
    ) -> str:
        """Ask for one of the keys of rows, or its number; their values explain them.

        What is typed at a hidden question is neither echoed nor told again, for it may
        be a password; what was chosen is told.
        """
        numbered = {str(number): name for number, name in enumerate(rows, 1)}

        def check(answer: str) -> str:
            word = numbered.get(answer, answer.lower())
            if word not in rows:
                told = "" if hidden else f"{answer}: "
                raise MailfsError(f"{told}want one of {', '.join(rows)}")
            return word

        asked = key not in self.given and self.person.present
        if asked:
            for number, name in numbered.items():
                self.say(f"  {number} {name:<10}{rows[name]}")
        word = self.text(key, prompt, usual, check, hidden=hidden)
        if asked and hidden:
            self.say(f"{prompt}: {word}")
        return word

    def agree(self, key: str, prompt: str, *, usual: bool) -> bool:
        """Return whether the answer is yes; usual is what an empty one means."""
        given = self.given.pop(key, None)
        if given is not None:
            return given == YES
        if not self.person.present:
            return usual
        return self.confirm(prompt, usual=usual)

    def confirm(self, prompt: str, *, usual: bool) -> bool:
        """Ask a person what no option answers."""
        mark = "[Y/n]" if usual else "[y/N]"
        while True:
            default = YES if usual else NO
            word = self.person.ask(shown(f"{prompt} {mark} "), default).lower()
            if word in ("y", YES, "n", NO):
                return word in ("y", YES)
            self.say("yes or no?")

    def secret(self, which: str, prompt: str) -> Secret:
        """Return a password."""
        given = self.secrets.pop(which, None)
        if given is not None:
            return given()
        if not self.person.present:
            raise UsageError(
                f"{prompt}: say it with --{_PREFIX[which]}password-file or -fd"
            )
        return self.person.secret(shown(f"{prompt}: "))

    def again(self, which: str) -> bool:
        """Whether another answer can be had after a bad one."""
        return self.person.present or which in self.secrets


_PREFIX = {"imap": "", "smtp": "smtp-", "client": "client-", "secstore": "secstore-"}
