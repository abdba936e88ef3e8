"""mailfs demo: a sample mailbox, a short tour of it, and how to mount it."""

import asyncio
import sys
import tempfile
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from mailfs import where
from mailfs.cmd import logs
from mailfs.cmd.args import Parser
from mailfs.errors import MailfsError

if TYPE_CHECKING:
    from mailfs.p9.srv import Server

SUMMARY = "serve a sample mailbox and show what can be done with it"

SERVICE = "mailfsdemo"
PORT = 5640


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = Parser(
        "demo",
        "Serve a sample mailbox on a Unix socket and on loopback TCP, show a short tour"
        " of it as a 9P client sees it, tell how to mount it, and serve until"
        " interrupted.",
        example="mailfs demo --once",
        files="$NAMESPACE/mailfsdemo   the service",
    )
    parser.add_argument("--once", action="store_true", help="exit after the tour")
    parser.add_argument(
        "--port", type=int, help=f"TCP port; default {PORT}, or any if that is taken"
    )
    options = parser.parse_args(argv)
    logs.start("demo")
    if sys.stderr.isatty():
        print("mailfs demo: starting", file=sys.stderr, flush=True)
    # What takes a while to load, after the line above.
    from mailfs.p9.srv import run

    with tempfile.TemporaryDirectory(prefix="mailfs-demo.") as scratch:
        run(_demo(Path(scratch), options.port, once=options.once))
    return 0


async def _demo(scratch: Path, port: int | None, *, once: bool) -> None:
    from mailfs.fs.root import attach
    from mailfs.mailbox.driver import Place
    from mailfs.mailboxes.registry import MailboxRegistry
    from mailfs.p9.srv import Server, serve

    sample = scratch / "mbox"
    sample.write_bytes(resources.files("mailfs.sample").joinpath("mbox").read_bytes())
    place = Place(scratch / "root", where.user())
    boxes = MailboxRegistry(place, scratch / "cache")
    server = Server(lambda uname, aname: attach(boxes, uname, aname))
    try:
        await boxes.open(str(sample), "mbox")
        service = await server.listen(where.dialstring(SERVICE))
        tcp = await _listen(server, port)
        await asyncio.to_thread(tour, service.host)
        _mounting(service, tcp)
        if not once:
            print("\nServing until interrupted (Ctrl-C).", flush=True)
            await serve(server, [])
    finally:
        await server.close()
        await boxes.close_all()


async def _listen(server: "Server", port: int | None) -> where.DialString:
    """Serve on loopback TCP, at any port if none is asked for and ours is taken."""
    first = PORT if port is None else port
    try:
        return await server.listen(where.DialString("tcp", "127.0.0.1", first))
    except MailfsError:
        if port is not None:
            raise
        return await server.listen(where.DialString("tcp", "127.0.0.1", 0))


def tour(service: str) -> None:
    """Show the tree through a real client, each step with the command that does it."""
    from mailfs.p9.client import Client

    name = SERVICE
    with Client(service) as client:
        _step(f"mailfs 9p ls {name}")
        print(*(entry.name for entry in client.ls("/")))
        _step(f"mailfs 9p ls {name}/mbox")
        print(*(entry.name for entry in client.ls("/mbox")))
        _step(f"mailfs 9p read {name}/mbox/2/info")
        sys.stdout.write(client.read("/mbox/2/info").decode())
        _step(f"mailfs 9p read {name}/mbox/2/body")
        sys.stdout.write(client.read("/mbox/2/body").decode())
        _step(f"mailfs 9p ls {name}/mbox/3    # a message with parts")
        print(*(entry.name for entry in client.ls("/mbox/3")))
        _step(f"mailfs 9p read {name}/mbox/3/3/filename; ... /3/3/body")
        print(client.read("/mbox/3/3/filename").decode())
        sys.stdout.write(client.read("/mbox/3/3/body").decode())
        _step(f"mailfs 9p read {name}/mbox/4/2/1/subject    # of the forwarded message")
        print(client.read("/mbox/4/2/1/subject").decode())
        _step(f"echo delete mbox 1 | mailfs 9p write {name}/ctl")
        client.write("/ctl", b"delete mbox 1")
        print(*(entry.name for entry in client.ls("/mbox")))


def _step(command: str) -> None:
    print(f"\n$ {command}", flush=True)


def _mounting(service: where.DialString, tcp: where.DialString) -> None:
    user = where.user()
    print(
        f"""
To mount it, or to read it with other clients:

  plan9port   9p -a {service} ls mbox
              9pfuse {service} /mnt
  Plan 9      srv tcp!{tcp.host}!{tcp.port} demo /mail/fs     (as {user})
  Linux       mount -t 9p -o trans=tcp,port={tcp.port},version=9p2000,\
uname={user},access=any {tcp.host} /mnt
  a script    from mailfs.p9 import Client
              print(Client("{SERVICE}").read("/mbox/3/body").decode())
  this one    mailfs 9p read {SERVICE}/mbox/3/subject"""
    )
