"""The command: ``mailfs VERB ...``.  A verb is a module here, imported when called."""

import importlib
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from mailfs import __version__
from mailfs.cmd import standard
from mailfs.cmd.args import why
from mailfs.errors import MailfsError, UsageError

# By group, in the order --help shows them; the verb and the module that does it.
GROUPS: dict[str, dict[str, str]] = {
    "look": {
        "fs": "fs",
        "index": "index",
        "9p": "p9",
        "mount": "mount",
        "demo": "demo",
        "doctor": "doctor",
        "ls": "ls",
        "show": "show",
        "search": "search",
        "save": "save",
        "man": "man",
        "completion": "completion",
    },
    "keys": {
        "factotum": "factotum",
        "secstore": "secstore",
        "secstored": "secstored",
        "secuser": "secuser",
        "passwd": "passwd",
        "trust": "trust",
        "rsagen": "rsagen",
        "rsa2x509": "rsa2x509",
        "rsa2csr": "rsa2csr",
        "rsa2pub": "rsa2pub",
        "asn12rsa": "asn12rsa",
        "pemencode": "pemencode",
        "pemdecode": "pemdecode",
        "secretpem": "secretpem",
        "ramfs": "ramfs",
    },
    "send": {
        "mail": "mail",
        "marshal": "marshal",
        "send": "send",
        "aliasmail": "aliasmail",
        "ndbquery": "ndbquery",
        "qer": "qer",
        "runq": "runq",
        "kickqueue": "kickqueue",
        "queue": "queue",
        "smtp": "smtp",
        "setup": "setup",
    },
    "serve": {
        "serve": "serve",
        "smtpd": "smtpd",
        "imap4d": "imap4d",
        "pop3": "pop3",
        "tlssrv": "tlssrv",
        "filter": "filtermail",
        "deliver": "deliver",
        "list": "listmail",
        "token": "token",
        "unesc": "unesc",
    },
}
VERBS = {verb: module for group in GROUPS.values() for verb, module in group.items()}


PLAN9 = ("/bin/", "upas/", "auth/")  # where Plan 9 keeps the programs of these names
ALIASES = {"warlock_mail": "setup", "ndb/query": "ndbquery"}


def plain(name: str) -> str:
    """Map upas/X and auth/X to X, and another name of Plan 9's to its verb."""
    for folder in PLAN9:
        name = name.removeprefix(folder)
    return ALIASES.get(name, name)


# The service that a server posts unless told otherwise.
POSTS = {"fs": "upasfs", "serve": "upasfs", "factotum": "factotum"}


@contextmanager
def _starting(verb: str, argv: list[str]) -> Iterator[None]:
    """Have clients wait for the server that a verb starts, from now until it serves."""
    asks = ("-g", "--oauth", "-h", "--help")  # these start none
    if verb not in POSTS or any(word.startswith(asks) for word in argv):
        yield
        return
    from mailfs.cmd.background import on_its_way
    from mailfs.p9.dial import Starting
    from mailfs.where import dialstring

    try:
        addresses = [dialstring(POSTS[verb])]
    except MailfsError:  # no name space: the verb will say so, if it needs one
        addresses = []
    with Starting(addresses) as starting:
        on_its_way.set(starting)
        yield


def usage() -> str:
    """Return the list of verbs."""
    lines = ["usage: mailfs VERB ...", ""]
    for group, verbs in GROUPS.items():
        lines.append(f"{group}:")
        for verb, module in verbs.items():
            summary = importlib.import_module(f"mailfs.cmd.{module}").SUMMARY
            lines.append(f"  {verb:<12}{summary}")
        lines.append("")
    lines.append("mailfs VERB --help tells more; mailfs --version tells the version.")
    return "\n".join(lines)


# Verbs whose work is done when it is done, whether or not anybody can be told of it.
# The others print what they are asked for, and fail if it cannot be printed.
LENIENT = frozenset(
    {"mail", "marshal", "send", "qer", "runq", "kickqueue", "smtp", "setup"}
    | {"mount", "factotum", "secstored", "secuser", "fs"}
    | GROUPS["serve"].keys()
)


def main(argv: list[str] | None = None) -> int:
    """Run a verb and return its exit status; an error is one line, no traceback."""
    argv = sys.argv[1:] if argv is None else argv
    verb = plain(argv[0]) if argv else ""
    with standard.streams():
        try:
            status = _run(verb, argv)
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader of our output has gone, as head(1) goes: no error of ours.
            return 128 + signal.SIGPIPE
        except (MailfsError, OSError) as e:
            name = f"mailfs {verb}" if verb in VERBS else "mailfs"
            print(f"{name}: {why(e)}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 128 + signal.SIGINT
        return status


def _run(verb: str, argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage(), file=sys.stdout if argv else sys.stderr)
        return 0 if argv else 1
    if argv[0] in ("-V", "--version"):
        print(f"mailfs {__version__}")
        return 0
    if verb not in VERBS:
        raise UsageError(f"{argv[0]}: unknown verb (try mailfs --help)")
    if verb in LENIENT:
        standard.lenient()
    with _starting(verb, argv[1:]):
        module = importlib.import_module(f"mailfs.cmd.{VERBS[verb]}")
        try:
            status: int = module.main(argv[1:])
        except SystemExit:  # argparse has shown the help
            standard.check()
            raise
    return status
