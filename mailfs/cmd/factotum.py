"""mailfs factotum: hold keys and speak authentication protocols."""

import argparse
import logging
import os
import socket
import sys
import time
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mailfs import where
from mailfs.attr import Attrs, lines, parse, value
from mailfs.cmd import background, logs, tty
from mailfs.cmd.args import Parser
from mailfs.errors import MailfsError, UsageError
from mailfs.factotum import guard, keeper

if TYPE_CHECKING:
    from mailfs.factotum.agent import Agent
    from mailfs.factotum.key import Source
    from mailfs.secret import Secret

SUMMARY = "hold keys and speak authentication protocols"
log = logging.getLogger(__name__)

EXAMPLE = """\
mailfs factotum -f ~/keys &
mailfs factotum -g 'proto=pass service=imap server=imap.example.com user? !password?'
mailfs factotum --oauth google --clientid ID glenda@gmail.com
mailfs 9p read factotum/ctl"""
FILES = """\
$NAMESPACE/factotum   the service: confirm conv ctl log needkey proto rpc
/dev/tty              where keys are asked for"""


def main(argv: list[str]) -> int:
    """Run the verb."""
    options = _parser().parse_args(argv)
    logs.start("factotum", logging.INFO if options.debug else logging.WARNING)
    root = where.root(options.root)
    serves = options.template is None and options.oauth is None
    ready = background.begin("factotum", root, background=serves and options.background)
    if not options.plain:  # only now: another process would not inherit all of it
        for text in guard.guard():
            log.warning("%s", text)
    if options.template is not None:
        if options.files:
            _put(options.files, options.service, _asked(options.template))
        else:
            _add(options.service, _asked(options.template))
    elif options.oauth is not None:
        _add(options.service, _granted(options))
    else:
        _serve(options, root, ready)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "factotum",
        "Hold a user's keys and speak authentication protocols with them; factotum(4).",
        example=EXAMPLE,
        files=FILES,
    )
    parser.add_argument(
        "-f",
        dest="files",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="read control messages from FILE, which nobody else may read",
    )
    parser.add_argument(
        "--keyring", action="store_true", help="read them from the desktop's keyring"
    )
    parser.add_argument(
        "-s",
        "--secstore",
        metavar="HOST",
        default=os.environ.get("secstore"),  # noqa: SIM112  # as the manuals name it
        help="read them from the file factotum of a secstore; default $secstore",
    )
    parser.add_argument("-n", dest="none", action="store_true", help="ask no secstore")
    parser.add_argument(
        "--service",
        metavar="NAME",
        default="factotum",
        help="what to be posted as (-s in factotum(4)); default %(default)s",
    )
    parser.add_argument(
        "-a",
        dest="authserver",
        metavar="ADDR",
        default=os.environ.get("auth", ""),  # noqa: SIM112
        help="the authentication server; default $auth",
    )
    background.add(parser)
    parser.add_argument("-d", dest="debug", action="store_true", help="log more")
    parser.add_argument(
        "-p",
        dest="plain",
        action="store_true",
        help="do not keep debuggers, core dumps and swap from the memory",
    )
    parser.add_argument(
        "-g",
        dest="template",
        metavar="TEMPLATE",
        help="ask for a key and add it; with -f, to FILE too",
    )
    parser.add_argument(
        "--oauth",
        metavar="PROVIDER",
        help="get a token from google, microsoft or an issuer's URL, and add it",
    )
    parser.add_argument("--clientid", metavar="ID", help="what the provider calls us")
    parser.add_argument(
        "--flow",
        choices=("loopback", "paste", "device"),
        help="how to agree: by a browser here, one elsewhere, a code typed elsewhere",
    )
    parser.add_root()
    parser.add_argument("user", nargs="?", help="with --oauth, the user's address")
    parser.add_argument(
        "attrs", nargs="*", metavar="ATTR=VALUE", help="with --oauth, more of the key"
    )
    return parser


# Adding a key to the factotum that runs.


def _add(service: str, ask: Callable[[], str]) -> None:
    from mailfs.factotum.client import Factotum
    from mailfs.p9.dial import dial_soon

    # Reach it first: nobody should type a password for nothing.
    Factotum(service, dial=dial_soon).reach().close()
    message = ask()
    with Factotum(service) as keys:
        keys.control(message)


def _put(files: Sequence[Path], service: str, ask: Callable[[], str]) -> None:
    """Put a key into files, in the place of the one it equals; tell who runs, too."""
    from mailfs.factotum import keyfile
    from mailfs.factotum.client import Factotum

    kept = [keyfile.KeyFile(path) for path in files]
    for file in kept:
        file.load()  # before a password is typed for nothing
    message = ask()
    for file in kept:
        file.put(message)
    try:
        keys = Factotum(service).reach()
    except MailfsError:
        return  # none runs
    with keys:
        keys.control(message)


def _asked(template: str) -> Callable[[], str]:
    """Make the dialogue for a key; MailfsError if the template is malformed."""
    from mailfs.factotum.getkey import getkey, wanted

    found = wanted(template)
    return lambda: getkey(
        found, where.user(), say=tty.say, ask=tty.ask, ask_secret=tty.password
    )


def _granted(options: argparse.Namespace) -> Callable[[], str]:
    """Make the consent for a token; raises UsageError if options contradict."""
    if not options.user or not options.clientid:
        raise UsageError("--oauth wants --clientid ID and the user's address")
    more: Attrs = parse(" ".join(options.attrs))
    if any(a.private for a in more):
        raise UsageError("a secret does not belong on a command line")
    return lambda: _grant(options, more)


def _grant(options: argparse.Namespace, more: Attrs) -> str:
    from mailfs.factotum import consent, oauth
    from mailfs.factotum.fetch import fetcher

    fetch = fetcher()
    provider = oauth.provider(options.oauth, fetch)
    if scope := value(more, "scope"):
        provider = oauth.scoped(provider, scope)
    secret = tty.password("client secret (empty if it has none): ")
    client = oauth.OAuthClient(provider, options.clientid, secret)
    person = consent.ConsentPerson(
        say=tty.say, ask=tty.ask, browse=webbrowser.open, fetch=fetch, random=os.urandom
    )
    flow = options.flow or _flow(provider.device)
    tokens = consent.FLOWS[flow](client, options.user, person)
    return client.key(options.user, tokens, time.time(), more)


def _flow(device: str) -> str:
    """Return the flow that suits the machine."""
    remote = "SSH_CONNECTION" in os.environ
    if not remote and (sys.platform == "darwin" or os.environ.get("DISPLAY")):
        return "loopback"
    if not remote and os.environ.get("WAYLAND_DISPLAY"):
        return "loopback"
    return "device" if device else "paste"


# Serving.


def _serve(options: argparse.Namespace, root: Path, ready: background.Ready) -> None:
    from mailfs.factotum import keyfile
    from mailfs.factotum.agent import Agent
    from mailfs.factotum.authsrv import asker
    from mailfs.factotum.fetch import fetcher
    from mailfs.factotum.proto import PROTOS
    from mailfs.factotum.step import Env
    from mailfs.p9.srv import run

    if options.user:
        raise UsageError(f"{options.user}: unexpected argument")
    ask = asker(lambda dom: options.authserver or _authserver(root, dom))
    env = Env(os.urandom, time.time, ask, fetcher(), guard.machine_secret())
    agent = Agent(where.user(), PROTOS, env)
    agent.debug = options.debug
    own = keyfile.path(root, where.user())
    told = options.files or options.keyring or options.secstore
    for path in options.files if told else keyfile.usual(root, where.user()):
        if path.absolute() == own.absolute():
            file = keyfile.KeyFile(path)  # what is renewed goes back into it
            _load(agent, file.load(), str(path), file.source)
        else:
            _load(agent, keeper.read_file(path), str(path))
    if options.keyring:
        ring = keeper.Keyring(where.user())
        _load(agent, ring.load(), "keyring", ring.source)
    if options.secstore and not options.none:
        _load_secstore(agent, options.secstore)
    run(_run(agent, options.service, ready))


def _authserver(root: Path, dom: str) -> str:
    from mailfs.factotum.authsrv import locate

    try:
        text = (root / "lib" / "ndb" / "local").read_text(errors="replace")
    except OSError:
        return ""
    return locate(text, dom)


def _load(agent: "Agent", text: str, name: str, source: "Source | None" = None) -> None:
    """Carry out the control messages of a text; a bad line is reported and skipped."""
    for number, line in enumerate(lines(text), 1):
        try:
            agent.control(line, source)
        except MailfsError as e:
            log.warning("%s line %d: %s", name, number, e)


def _load_secstore(agent: "Agent", host: str) -> None:
    """Ask for the secstore password until it fits or is empty; secstore(1)."""
    from mailfs.secstore import client
    from mailfs.secstore.error import SecstoreError, WrongPassword

    user = where.user()
    connect = client.dial(host)
    try:
        if not client.probe(connect, user):
            log.warning("secstore: no account of %s", user)
            return
    except SecstoreError as e:
        log.warning("secstore: %s", e)
        return
    while password := tty.password("secstore password: "):
        kept = _secstore(host, user, password)
        try:
            text = kept.load()
        except WrongPassword:
            tty.say("password mistyped?")
        except client.FileMissing:
            return
        except SecstoreError as e:
            tty.say(f"secstorefetch: {e}")
            tty.say("Enter an empty password to quit.")
        else:
            _load(agent, text, f"secstore({keeper.NAME})", kept.source)
            return


def _secstore(host: str, user: str, password: "Secret") -> keeper.Remote:
    """Return the file factotum of a secstore as a keeper of keys."""
    from mailfs.secstore import client

    connect = client.dial(host)

    def fetch() -> bytes:
        return client.fetch(connect, user, password, keeper.NAME)

    def store(data: bytes) -> None:
        with client.login(connect, user, password) as session:
            if session.has(keeper.NAME):
                form, _ = session.read(keeper.NAME)  # other programs read it as it is
                session.put(keeper.NAME, data, form)
            else:
                session.put(keeper.NAME, data)

    return keeper.Remote(fetch, store)


def _ours(sock: socket.socket) -> bool:
    """Whether the peer is a process of our own user; the socket's mode says so too."""
    return guard.peer_uid(sock) in (None, os.getuid())


async def _run(agent: "Agent", name: str, ready: background.Ready) -> None:
    from mailfs.factotum.tree import FactotumService
    from mailfs.p9.srv import Server, serve

    service = FactotumService(agent)
    # Who is admitted is the owner, whatever name they give: under sudo plan9port's
    # programs have it from the password file, and we from $USER.
    server = Server(lambda uname, aname: service.root(agent.owner), admit=_ours)
    try:
        await serve(server, [where.dialstring(name)], ready)
    finally:
        await agent.close()
