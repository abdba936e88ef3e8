"""mailfs 9p: look at and change single files of any 9P server; 9p(1)."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from mailfs.attr import quote
from mailfs.cmd.args import Parser, why
from mailfs.cmd.posted import absent
from mailfs.errors import MailfsError, Refused, UsageError
from mailfs.p9.client import Client, Dial, OpenFile
from mailfs.p9.dial import NoServer, dial_soon
from mailfs.p9.fcall import (
    DMAPPEND,
    DMAUTH,
    DMDIR,
    DMEXCL,
    ORDWR,
    OREAD,
    OTRUNC,
    OWRITE,
    Reply,
    Request,
    Stat,
)
from mailfs.printable import shown
from mailfs.where import DialString, dialstring, namespace, root

KEYS = "factotum"  # the service of the user's keys

SUMMARY = "read and write the files of a 9P server"

PIECE = 64 << 10  # octets read at a time, so that the first are soon seen
RECENT = 6 * 30 * 86400  # seconds; what is older is shown with its year; ls(1)
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
BITS = ("---", "--x", "-w-", "-wx", "r--", "r-x", "rw-", "rwx")


def main(argv: list[str]) -> int:
    """Run the verb on each path; one that fails does not stop the others."""
    options = _parse(argv)
    status = 0
    with Servers(options) as servers:
        for path in options.paths:
            try:
                client, rest = servers.find(path)
                options.run(client, rest, options)
            except MailfsError as e:
                _complain(path, e)
                status = 1
    return status


class Servers:
    """The servers that paths name, each dialled once."""

    def __init__(self, options: argparse.Namespace) -> None:
        addr: str | None = options.addr
        self._address = None if addr is None else address(addr)
        self._aname: str = options.aname
        self._uname: str | None = options.uname
        self._options = options
        self._clients: dict[str, Client] = {}

    def __enter__(self) -> "Servers":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for client in self._clients.values():
            client.close()

    def find(self, path: str) -> tuple[Client, str]:
        """Return the server that path means, and the path there.

        Raises MailfsError if the server cannot be reached.
        """
        service, rest = "", path
        if self._address is None:
            service, _, rest = path.partition("/")
            if not service:
                raise UsageError("want SERVICE/PATH, or -a ADDR")
        client = self._clients.get(service)
        if client is None:
            where = self._address or DialString("unix", str(namespace() / service))
            auth = None if where.net == "unix" else prove
            dial = dialler(self._options) if where.net == "tls" else dial_soon
            try:
                client = Client(
                    where, aname=self._aname, uname=self._uname, auth=auth, dial=dial
                )
            except NoServer as e:
                raise absent(where, e) from e
            self._clients[service] = client
        return client, rest


def dialler(options: argparse.Namespace) -> Dial:
    """Make the TLS dialler with the certificate that add_cert's arguments name."""
    from mailfs.tls.keypair import Keypair
    from mailfs.tls.ninep import dialler

    own = None
    if options.cert is not None:
        own = Keypair(options.cert, options.key or options.cert)
    return dialler(root(options.root), own)


def add_cert(parser: Parser) -> None:
    """Add who we are to a server that is dialled by TLS."""
    parser.add_argument(
        "--cert",
        metavar="FILE",
        type=Path,
        help="for tls: the certificate we are known by, in PEM; default "
        "sys/lib/tls/client.pem, if it is there",
    )
    parser.add_argument(
        "--key",
        metavar="FILE",
        type=Path,
        help="its key, in PEM or as rsagen prints it; default sys/lib/tls/client.key, "
        "or in the file of --cert",
    )
    parser.add_root(fill=False)


def prove(ask: Callable[[Request], Reply], afid: int, uname: str, aname: str) -> bool:
    """Prove who we are to a server elsewhere, if there is a factotum to do it."""
    from mailfs.factotum import attach

    if not os.path.exists(namespace() / KEYS):
        return False  # attach(5): the attach tells whether a proof was needed
    return attach.prove(ask, afid, uname, aname)


def address(text: str) -> DialString:
    """Read -a: a dial string, a posted service, or else a host.

    A host is dialled at 9fs; netmkaddr, dial(3) of plan9port.
    """
    if "!" in text or "/" in text or (namespace() / text).exists():
        return dialstring(text)
    return dialstring(f"tcp!{text}!9fs")


def _read(client: Client, path: str, options: argparse.Namespace) -> None:
    with client.open(path, OREAD) as file:
        while data := file.read(PIECE):
            _put(data)


def _write(client: Client, path: str, options: argparse.Namespace) -> None:
    with client.open(path, OWRITE | OTRUNC) as file:
        if options.lines:
            _write_lines(file, options.paths[0])
            return
        data = os.read(0, file.iounit)
        file.write(data)  # an empty one too
        while data:
            data = os.read(0, file.iounit)
            if data:
                file.write(data)


def _write_lines(file: OpenFile, name: str) -> None:
    """Write each line of standard input; go on if one is refused, and fail then."""
    line, refused = b"", 0
    for line in sys.stdin.buffer:
        try:
            file.write(line)
        except Refused as e:
            _complain(name, e)
            refused += 1
    if not line:
        file.write(b"")
    if refused:
        raise MailfsError(f"lines refused: {refused}")


def _rdwr(client: Client, path: str, options: argparse.Namespace) -> None:
    """Copy out, copy a line in, until there are no more; refusals do not stop it."""
    (name,) = options.paths
    with client.open(path, ORDWR) as file:
        while True:
            try:
                file.seek(0)
                _put(file.read(PIECE) + b"\n")
            except Refused as e:
                _complain(name, e)
            line = sys.stdin.buffer.readline()
            if not line:
                return
            try:
                file.write(line.removesuffix(b"\n"))
            except Refused as e:
                _complain(name, e)


def _stat(client: Client, path: str, options: argparse.Namespace) -> None:
    print(_fit(str(client.stat(path))))


def _fit(line: str) -> str:
    """Return a line fit for where it goes: programs get names as they are."""
    return shown(line, keep="\n") if sys.stdout.isatty() else line


def _create(client: Client, path: str, options: argparse.Namespace) -> None:
    client.create(path, mode=OREAD).close()


def _rm(client: Client, path: str, options: argparse.Namespace) -> None:
    client.remove(path)


def _ls(client: Client, path: str, options: argparse.Namespace) -> None:
    stat = client.stat(path)
    if stat.mode & DMDIR and not options.itself:
        stats = client.ls(path)
        if options.by_time:
            stats.sort(key=lambda s: s.mtime)
        elif options.by_name:
            stats.sort(key=lambda s: s.name.encode())
    else:
        stats = [stat]
    rows = listing(stats, time.time(), long=options.long)
    sys.stdout.writelines(map(_fit, rows))


def listing(stats: list[Stat], now: float, *, long: bool) -> Iterable[str]:
    """Give the lines of a listing in the format of Plan 9's ls(1).

    M is the device type of what is mounted, which a 9P server cannot know.
    """
    if not long:
        return (f"{quote(s.name)}\n" for s in stats)
    uid = max((len(s.uid) for s in stats), default=0)
    gid = max((len(s.gid) for s in stats), default=0)
    length = max((len(str(s.length)) for s in stats), default=0)
    return (
        f"{mode_letters(s.mode)} M 0 {s.uid:<{uid}} {s.gid:<{gid}} {s.length:>{length}}"
        f" {when(s.mtime, now)} {quote(s.name)}\n"
        for s in stats
    )


def mode_letters(mode: int) -> str:
    """Return a mode as ls prints it: ``d-rwxr-xr-x``."""
    kinds = ((DMDIR, "d"), (DMAPPEND, "a"), (DMAUTH, "A"))
    kind = next((letter for bit, letter in kinds if mode & bit), "-")
    exclusive = "l" if mode & DMEXCL else "-"
    return kind + exclusive + "".join(BITS[mode >> shift & 7] for shift in (6, 3, 0))


def when(seconds: int, now: float) -> str:
    """Return a time as ls prints it: local, with the hour or else the year."""
    t = time.localtime(seconds)
    month = MONTHS.split()[t.tm_mon - 1]
    if now - seconds < RECENT:
        return f"{month} {t.tm_mday:2d} {t.tm_hour:02d}:{t.tm_min:02d}"
    return f"{month} {t.tm_mday:2d} {t.tm_year:5d}"


def _put(data: bytes) -> None:
    """Write to standard output at once: it may be an event that somebody awaits."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _complain(path: str, error: Exception) -> None:
    sys.stdout.flush()
    print(f"mailfs 9p: {path}: {why(error)}", file=sys.stderr, flush=True)


class _Verb(argparse.ArgumentParser):
    """The parser of one of the verbs of 9p."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(f"{message} (try --help)")


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        "9p",
        "Read and write the files of a 9P server.  Without -a, a PATH begins with the\n"
        "name of a service in the name space.",
        example="mailfs 9p ls -l upasfs/mbox\n"
        "mailfs 9p read upasfs/mbox/1/subject\n"
        "echo delete mbox 3 | mailfs 9p write upasfs/ctl\n"
        "mailfs 9p -a tcp!localhost!5640 read mbox/1/body\n"
        "mailfs 9p -a tls!mail.example.org!17020 ls mbox",
        files="$NAMESPACE, else /tmp/ns.$USER.$DISPLAY   where services are posted\n"
        "ROOT/sys/lib/tls/9fs   thumbprints of the servers dialled by TLS\n"
        "ROOT/sys/lib/tls/client.pem, client.key   who we are to them",
    )
    parser.add_argument("-a", metavar="ADDR", dest="addr", help="dial ADDR")
    parser.add_argument(
        "-A", metavar="ANAME", dest="aname", default="", help="attach to that tree"
    )
    parser.add_argument(
        "-u", metavar="USER", dest="uname", help="attach as USER; default: who we are"
    )
    parser.add_argument("-n", action="store_true", help="ignored: do not authenticate")
    add_cert(parser)
    _add_verbs(parser.add_subparsers(metavar="VERB", required=True, parser_class=_Verb))
    options = parser.parse_args(argv)
    if not options.paths:
        if options.addr is None:
            raise UsageError("ls: want SERVICE/PATH, or -a ADDR")
        options.paths = ["/"]
    return options


def _add_verbs(verbs: "argparse._SubParsersAction[_Verb]") -> None:
    ls = verbs.add_parser("ls", help="list directories")
    ls.set_defaults(run=_ls)
    ls.add_argument("-l", action="store_true", dest="long", help="tell more")
    ls.add_argument("-d", action="store_true", dest="itself", help="not what is in it")
    ls.add_argument("-t", action="store_true", dest="by_time", help="oldest first")
    ls.add_argument(
        "-n", action="store_false", dest="by_name", help="in the server's order"
    )
    ls.add_argument("paths", metavar="PATH", nargs="*")
    read = verbs.add_parser("read", help="copy a file to standard output")
    read.set_defaults(run=_read)
    write = verbs.add_parser("write", help="copy standard input to a file")
    write.set_defaults(run=_write)
    write.add_argument("-l", action="store_true", dest="lines", help="line by line")
    stat = verbs.add_parser("stat", help="print a directory entry")
    stat.set_defaults(run=_stat)
    rdwr = verbs.add_parser("rdwr", help="read, write a line of input, and again")
    rdwr.set_defaults(run=_rdwr)
    for one in (read, write, stat, rdwr):
        one.add_argument("paths", metavar="PATH", nargs=1)
    create = verbs.add_parser("create", help="make files")
    create.set_defaults(run=_create)
    rm = verbs.add_parser("rm", help="remove files")
    rm.set_defaults(run=_rm)
    for many in (create, rm):
        many.add_argument("paths", metavar="PATH", nargs="+")
