"""What smtp's options mean; smtp(8).  One value, for the verb and for the queue."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields

from mailfs.errors import UsageError

PING = 6.0  # what -p divides all timeouts by
NOTIFY = ("never", "success", "failure", "delay")
RETURN = ("full", "hdrs")


@dataclass(frozen=True, slots=True)
class Options:
    """How to deliver.  Fields are called as the long options are."""

    auth: bool = False  # -a
    silent: bool = False  # -A
    busted: tuple[str, ...] = ()  # -b
    debug: bool = False  # -d
    gateway: str = ""  # -g
    domain: str = ""  # -h
    insecure: bool = False  # -i
    unverified: bool = False  # -o
    ping: bool = False  # -p
    starttls: bool = False  # -s
    tls: bool = False  # -t
    strict: bool = False  # --strict
    user: str = ""  # -u
    notify: str = ""
    ret: str = ""
    envid: str = ""
    local: str = ""  # .domain

    @property
    def needs_tls(self) -> bool:
        """Whether mail may leave this machine only over TLS."""
        return self.starttls or self.tls or (self.auth and not self.insecure)


DEFAULT = Options()


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser; its help is ``--help`` alone, -h is the domain."""
    flags = (
        ("-a", "--auth", "authenticate, if the server knows how; TLS is needed"),
        ("-A", "--silent", "the server says nothing until it is spoken to"),
        ("-d", "--debug", "show the dialogue on standard error"),
        ("-i", "--insecure", "with -a: authenticate even without TLS"),
        ("-o", "--unverified", "take a server's certificate whoever it names"),
        ("-p", "--ping", "stop after the recipients; shorter timeouts"),
        ("-s", "--starttls", "send only over TLS, to a server that is trusted"),
        ("-t", "--tls", "TLS from the first octet, as on port 465"),
        ("", "--strict", "trust thumbprints only, whatever authorities say"),
    )
    for short, long, text in flags:
        names = [short, long] if short else [long]
        parser.add_argument(*names, action="store_true", help=text)
    words = (
        ("-b", "--busted", "HOST", "never use this mail server; may be repeated"),
        ("-g", "--gateway", "HOST", "try it if the destination has no server"),
        ("-h", "--domain", "NAME", "our domain, for addresses that have none"),
        ("-u", "--user", "NAME", "whose key to authenticate with"),
        ("--notify", "", "WHAT", "DSN: never, or success,failure,delay; RFC 3461"),
        ("--ret", "", "WHAT", "DSN: full or hdrs"),
        ("--envid", "", "ID", "DSN: an id of ours, for the reports"),
    )
    for short, long, metavar, text in words:
        names = [short, long] if long else [short]
        many = short == "-b"
        parser.add_argument(
            *names,
            action="append" if many else "store",
            default=[] if many else "",
            metavar=metavar,
            help=text,
        )


def of(parsed: argparse.Namespace, local: str = "") -> Options:
    """Return the options of parsed arguments.  Raises UsageError."""
    given = {
        f.name: getattr(parsed, f.name) for f in fields(Options) if f.name != "local"
    }
    given["busted"] = tuple(given["busted"])
    options = Options(**given, local=local)
    words = options.notify.lower().split(",") if options.notify else []
    if set(words) - set(NOTIFY) or ("never" in words and len(words) > 1):
        raise UsageError(f"--notify {options.notify}: want never, or {NOTIFY[1:]}")
    if options.ret and options.ret.lower() not in RETURN:
        raise UsageError(f"--ret {options.ret}: want full or hdrs")
    return options


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]  # it raises
        raise UsageError(message)


def parse(words: Sequence[str]) -> Options:
    """Return the options that words mean, nothing else among them.

    Raises UsageError.
    """
    parser = _Parser(add_help=False, allow_abbrev=False)
    add(parser)
    return of(parser.parse_args(list(words)))
