"""Sessions as tables of (request, reply): section 5 of the manual, line by line."""

import pytest

from mailfs.errors import (
    EEXIST,
    EIO,
    EISDIR,
    ENAME,
    ENOENT,
    ENOTDIR,
    ENOTEMPTY,
    Refused,
)
from mailfs.p9.budget import FID_BLOCK, Budget
from mailfs.p9.errstr import (
    EBADFID,
    EBADTYPE,
    EBADUSE,
    ECOUNT,
    EFIDUSE,
    EMODE,
    ENOAUTH,
    EOFFSET,
    EOPEN,
    EPROTO,
    ESTAT,
    EWSTAT,
)
from mailfs.p9.fcall import (
    DMDIR,
    NOFID,
    NOTOUCH,
    OCEXEC,
    OEXEC,
    ORCLOSE,
    ORDWR,
    OREAD,
    OTRUNC,
    OWRITE,
    QTDIR,
    Fcall,
    Qid,
    Rattach,
    Rclunk,
    Rcreate,
    Reply,
    Request,
    Rerror,
    Ropen,
    Rread,
    Rremove,
    Rstat,
    Rversion,
    Rwalk,
    Rwrite,
    Rwstat,
    Stat,
    Tattach,
    Tauth,
    Tclunk,
    Tcreate,
    Tflush,
    Topen,
    Tread,
    Tremove,
    Tstat,
    Tversion,
    Twalk,
    Twrite,
    Twstat,
    pack,
    unpack_stats,
)
from mailfs.p9.fid import EFIDS
from mailfs.p9.ramfs import RamDir
from mailfs.p9.session import EMSIZE, EVERSION, Limits
from tests.p9.tree import CLOCK, Peer, Tree, peer

IOUNIT = 8192
ROOT = Qid(QTDIR, 0, 0)  # only the type is looked at, here and below
FILE = Qid(0, 0, 0)
DIR = ROOT


def same(reply: Fcall, want: object) -> bool:
    """Whether the reply is as wanted; qids are compared by type alone."""
    if isinstance(want, str):
        want = Rerror(want)
    if isinstance(want, type):
        return isinstance(reply, want)

    def plain(msg: object) -> object:
        if isinstance(msg, Qid):
            return msg.type
        return tuple(map(plain, msg)) if isinstance(msg, tuple) else msg

    return type(reply) is type(want) and plain(reply) == plain(want)


VERSIONS: list[tuple[Tversion, object]] = [
    (Tversion(8216, "9P2000"), Rversion(8216, "9P2000")),
    (Tversion(256, "9P2000"), Rversion(256, "9P2000")),
    (Tversion(1 << 31, "9P2000"), Rversion(1 << 20, "9P2000")),
    (Tversion(8216, "9P2000.u"), Rversion(8216, "9P2000")),
    (Tversion(8216, "9P2000.L"), Rversion(8216, "9P2000")),
    (Tversion(8216, "9P2000."), Rversion(8216, "9P2000")),
    (Tversion(8216, "9P2000u"), Rversion(8216, "unknown")),
    (Tversion(8216, "9P1999"), Rversion(8216, "unknown")),
    (Tversion(8216, "NFS"), Rversion(8216, "unknown")),
    (Tversion(8216, ""), Rversion(8216, "unknown")),
    (Tversion(255, "9P2000"), EMSIZE),
    (Tversion(0, "9P2000"), EMSIZE),
]


@pytest.mark.parametrize(("ask", "want"), VERSIONS)
def test_version(ask: Tversion, want: object) -> None:
    client = peer(lambda uname, aname: Tree().ram.root)
    assert same(client.ask(ask, 0xFFFF), want)
    agreed = isinstance(want, Rversion) and want.version == "9P2000"
    assert client.session.versioned == agreed
    assert same(client.ask(Tclunk(9)), EBADFID if agreed else EVERSION)


@pytest.mark.parametrize(
    ("version", "text"),
    [
        ("9P2000", "no such tree"),
        ("9P2000.u", "No such file or directory"),
        ("9P2000.L", "No such file or directory"),
    ],
)
def test_linux_is_told_what_it_knows(version: str, text: str) -> None:
    client = peer(lambda uname, aname: _no_tree())
    client.ask(Tversion(8216, version), 0xFFFF)
    assert same(client.ask(Tattach(0, NOFID, "g", "nix")), text)
    client.ask(Tversion(8216, "9P2000"), 0xFFFF)
    assert same(client.ask(Tattach(0, NOFID, "g", "nix")), "no such tree")


def _no_tree() -> RamDir:
    raise Refused("no such tree")


def test_who_renames_may_be_told() -> None:
    """Linux's client does."""
    client = peer(lambda uname, aname: Tree().ram.root)
    client.ask(Tversion(8216, "9P2000"), 0xFFFF)
    client.ask(Tattach(0, NOFID, "g", ""))
    client.ask(Twalk(0, 1, ("alpha",)))
    changes = NOTOUCH._replace(name="beta", muid="somebody")
    assert isinstance(client.ask(Twstat(1, changes)), Rwstat)
    assert same(client.ask(Twstat(1, NOTOUCH._replace(muid="somebody"))), EWSTAT)


# Each row begins with fid 0 at the root, fid 1 at alpha, fid 2 at dir.
Row = tuple[Request, object]
TRANSCRIPTS: dict[str, list[Row]] = {
    "attach to a fid in use": [
        (Tattach(0, NOFID, "g", ""), EFIDUSE),
        (Tattach(9, NOFID, "g", ""), Rattach(ROOT)),
        (Tattach(9, NOFID, "g", ""), EFIDUSE),
    ],
    "attach to NOFID": [(Tattach(NOFID, NOFID, "g", ""), EBADFID)],
    "attach is refused": [
        (Tattach(9, NOFID, "g", "nix"), "no such tree"),
        (Tclunk(9), EBADFID),
    ],
    "attach with an afid that is none": [
        (Tattach(9, 8, "g", ""), EBADFID),
        (Tattach(9, 1, "g", ""), EBADUSE),
    ],
    "auth is not needed": [(Tauth(9, "g", ""), ENOAUTH), (Tclunk(9), EBADFID)],
    "clone": [(Twalk(1, 9, ()), Rwalk(())), (Topen(9, OREAD), Ropen(FILE, IOUNIT))],
    "clone onto itself": [(Twalk(1, 1, ()), Rwalk(())), (Tstat(1), Rstat)],
    "walk to a fid in use": [(Twalk(0, 1, ("dir",)), EFIDUSE), (Tstat(1), Rstat)],
    "walk to NOFID": [(Twalk(0, NOFID, ("dir",)), EBADFID)],
    "walk from no fid": [(Twalk(9, 10, ()), EBADFID), (Tclunk(10), EBADFID)],
    "walk in place": [
        (Twalk(2, 2, ("..", "alpha")), Rwalk((DIR, FILE))),
        (Topen(2, OREAD), Ropen(FILE, IOUNIT)),
    ],
    "walk of sixteen names": [(Twalk(0, 9, ("..",) * 16), Rwalk((DIR,) * 16))],
    "dot stays": [(Twalk(0, 9, (".", "dir", ".")), Rwalk((DIR,) * 3))],
    "dot is no name in a file": [(Twalk(1, 9, (".",)), ENOTDIR)],
    "parent of the root": [(Twalk(0, 9, ("..", "..")), Rwalk((DIR, DIR)))],
    "first name is missing": [
        (Twalk(0, 9, ("nix",)), ENOENT),
        (Twalk(0, 9, ("nix", "alpha")), ENOENT),
        (Tclunk(9), EBADFID),
    ],
    "second name is missing: newfid is not made": [
        (Twalk(0, 9, ("dir", "nix")), Rwalk((DIR,))),
        (Tclunk(9), EBADFID),
    ],
    "second name is missing, in place: fid stays": [
        (Twalk(0, 0, ("dir", "nix")), Rwalk((DIR,))),
        (Twalk(0, 9, ("alpha",)), Rwalk((FILE,))),
    ],
    "walk through a file": [
        (Twalk(0, 9, ("alpha", "x")), Rwalk((FILE,))),
        (Twalk(1, 9, ("x",)), ENOTDIR),
        (Twalk(1, 9, ("..",)), ENOTDIR),
    ],
    "names that are none": [
        (Twalk(0, 9, ("",)), ENAME),
        (Twalk(0, 9, ("a/b",)), ENAME),
        (Twalk(0, 9, ("dir", "/")), ENAME),
    ],
    # Linux does this; servers that refuse it break its ls (chaos/diod#70).
    "walk from an open fid": [
        (Topen(0, OREAD), Ropen(ROOT, IOUNIT)),
        (Twalk(0, 9, ("alpha",)), Rwalk((FILE,))),
        (Twalk(0, 10, ()), Rwalk(())),
        (Twalk(0, 0, ("alpha",)), EOPEN),
        (Tread(0, 0, 8192), Rread),
    ],
    "open twice": [
        (Topen(1, OREAD), Ropen(FILE, IOUNIT)),
        (Topen(1, OREAD), EOPEN),
        (Tcreate(1, "x", 0, 0), EOPEN),
    ],
    "open of no fid": [(Topen(9, OREAD), EBADFID)],
    "open a directory to change it": [
        (Topen(2, OWRITE), EISDIR),
        (Topen(2, ORDWR), EISDIR),
        (Topen(2, OREAD | OTRUNC), EISDIR),
        (Topen(2, ORCLOSE), EISDIR),
        (Topen(2, OREAD | OCEXEC), Ropen(DIR, IOUNIT)),
    ],
    "modes that are none": [(Topen(1, 4), EMODE), (Topen(1, 0x80), EMODE)],
    "execute is read": [
        (Twstat(1, NOTOUCH._replace(mode=0o755)), Rwstat()),
        (Topen(1, OEXEC), Ropen(FILE, IOUNIT)),
        (Tread(1, 0, 5), Rread(b"alpha")),
        (Twrite(1, 0, b"x"), EBADUSE),
    ],
    "read": [
        (Tread(1, 0, 6), EBADUSE),
        (Topen(1, OREAD), Ropen(FILE, IOUNIT)),
        (Tread(1, 0, 3), Rread(b"alp")),
        (Tread(1, 3, 99), Rread(b"ha\n")),
        (Tread(1, 6, 1), Rread(b"")),
        (Tread(1, 7, 1), Rread(b"")),
        (Tread(1, 0, 0), Rread(b"")),
        (Tread(1, (1 << 63) - 1, 1), Rread(b"")),
        (Tread(1, 1 << 63, 1), EOFFSET),
        (Tread(9, 0, 1), EBADFID),
        (Twrite(1, 0, b"x"), EBADUSE),
    ],
    "read for writing": [
        (Topen(1, OWRITE), Ropen(FILE, IOUNIT)),
        (Tread(1, 0, 1), EBADUSE),
    ],
    "write": [
        (Twrite(1, 0, b"x"), EBADUSE),
        (Topen(1, ORDWR | OTRUNC), Ropen(FILE, IOUNIT)),
        (Twrite(1, 0, b"beta"), Rwrite(4)),
        (Twrite(1, 4, b""), Rwrite(0)),
        (Tread(1, 0, 99), Rread(b"beta")),
        (Twrite(1, (1 << 63) - 1, b"x"), EOFFSET),
        (Twrite(1, 0, b"x" * 8193), ECOUNT),
        (Twrite(1, 0, b"x" * 8192), Rwrite(8192)),
        (Twrite(9, 0, b"x"), EBADFID),
    ],
    "clunk": [
        (Topen(1, OREAD), Ropen(FILE, IOUNIT)),
        (Tclunk(1), Rclunk()),
        (Tclunk(1), EBADFID),
        (Tread(1, 0, 1), EBADFID),
        (Twalk(0, 1, ("dir",)), Rwalk((DIR,))),
    ],
    "a close that fails clunks": [
        (Twalk(0, 9, ("badclose",)), Rwalk((FILE,))),
        (Topen(9, OREAD), Ropen(FILE, IOUNIT)),
        (Tclunk(9), "not closed"),
        (Tclunk(9), EBADFID),
    ],
    "remove": [
        (Tremove(1), Rremove()),
        (Tremove(1), EBADFID),
        (Twalk(0, 9, ("alpha",)), ENOENT),
    ],
    "a remove that fails clunks": [
        (Tremove(0), ENOTEMPTY),
        (Tstat(0), EBADFID),
    ],
    "remove on close": [
        (Topen(1, OREAD | ORCLOSE), Ropen(FILE, IOUNIT)),
        (Twalk(0, 9, ("alpha",)), Rwalk((FILE,))),
        (Tclunk(1), Rclunk()),
        (Twalk(0, 10, ("alpha",)), ENOENT),
    ],
    "remove on close, removed before": [
        (Topen(1, OREAD | ORCLOSE), Ropen(FILE, IOUNIT)),
        (Tremove(1), Rremove()),
        (Tclunk(1), EBADFID),
    ],
    "create": [
        (Tcreate(2, "f", 0o644, ORDWR), Rcreate(FILE, IOUNIT)),
        (Twrite(2, 0, b"x"), Rwrite(1)),
        (Tcreate(2, "g", 0o644, OREAD), EOPEN),
        (Tread(2, 0, 9), Rread(b"x")),
        (Twalk(0, 9, ("dir", "f")), Rwalk((DIR, FILE))),
        (Tcreate(9, "g", 0o644, OREAD), ENOTDIR),
    ],
    "create a directory": [
        (Tcreate(2, "d", DMDIR | 0o755, OWRITE), EISDIR),
        (Tcreate(2, "d", DMDIR | 0o755, ORCLOSE), EISDIR),
        (Tcreate(2, "d", DMDIR | 0o755, OREAD), Rcreate(DIR, IOUNIT)),
        (Tread(2, 0, 99), Rread(b"")),
    ],
    "create what cannot be": [
        (Tcreate(9, "f", 0o644, OREAD), EBADFID),
        (Tcreate(1, "f", 0o644, OREAD), ENOTDIR),
        (Tcreate(2, ".", 0o644, OREAD), ENAME),
        (Tcreate(2, "..", 0o644, OREAD), ENAME),
        (Tcreate(2, "", 0o644, OREAD), ENAME),
        (Tcreate(2, "a/b", 0o644, OREAD), ENAME),
        (Tcreate(2, "f", 0o644, 0x80), EMODE),
        (Tcreate(0, "alpha", 0o644, OREAD), EEXIST),
    ],
    "remove on close what was created": [
        (Tcreate(2, "f", 0o644, ORDWR | ORCLOSE), Rcreate(FILE, IOUNIT)),
        (Tclunk(2), Rclunk()),
        (Twalk(0, 9, ("dir", "f")), Rwalk((DIR,))),
    ],
    "stat": [
        (Tstat(9), EBADFID),
        (
            Tstat(1),
            Rstat(Stat(0, 0, FILE, 0o644, CLOCK, CLOCK, 6, "alpha", *["glenda"] * 3)),
        ),
    ],
    "wstat": [
        (Twstat(9, NOTOUCH), EBADFID),
        (Twstat(1, NOTOUCH), Rwstat()),
        (Twstat(1, NOTOUCH._replace(name="a/b")), ENAME),
        (Twstat(1, NOTOUCH._replace(uid="root")), EWSTAT),
        (Twstat(1, NOTOUCH._replace(name="beta")), Rwstat()),
        (Twalk(0, 9, ("beta",)), Rwalk((FILE,))),
    ],
    "what a File raises": [
        (Twalk(0, 9, ("refuses",)), Rwalk),
        (Topen(9, OREAD), Ropen),
        (Tread(9, 0, 1), "not today"),
        (Twalk(0, 10, ("oserror",)), Rwalk),
        (Topen(10, OREAD), Ropen),
        (Tread(10, 0, 1), ENOENT),
    ],
    "version in mid-session": [
        (Tversion(4096, "9P1999"), Rversion(4096, "unknown")),
        (Tstat(1), Rstat),
        (Tversion(4096, "9P2000"), Rversion(4096, "9P2000")),
        (Tstat(1), EBADFID),
        (Tattach(1, NOFID, "g", ""), Rattach(ROOT)),
        (Topen(1, OREAD), Ropen(ROOT, 4096 - 24)),
    ],
}


@pytest.mark.parametrize("rows", TRANSCRIPTS.values(), ids=TRANSCRIPTS.keys())
def test_transcript(rows: list[Row]) -> None:
    client = begun(Tree())
    for ask, want in rows:
        reply = client.ask(ask)
        assert same(reply, want), (ask, reply)


def begun(tree: Tree, **options: object) -> Peer:
    client = peer(tree.attach, **options)
    client.begin()
    client.ask(Twalk(0, 1, ("alpha",)))
    client.ask(Twalk(0, 2, ("dir",)))
    return client


def test_a_bug_is_logged_and_answered(caplog: pytest.LogCaptureFixture) -> None:
    client = begun(Tree())
    for fid, name in (9, "bug"), (10, "toomuch"):
        client.ask(Twalk(0, fid, (name,)))
        client.ask(Topen(fid, OREAD))
        assert same(client.ask(Tread(fid, 0, 1)), EIO)
        assert "Traceback" in caplog.text
        caplog.clear()
    assert same(client.ask(Tstat(1)), Rstat)


MALFORMED = [
    (Tread(1, 0, 1), EPROTO),
    (Twrite(1, 0, b"abc"), EPROTO),
    (Twalk(0, 9, ("a", "b")), EPROTO),
    (Topen(1, 0), EPROTO),
    (Tclunk(1), EPROTO),
    (Tstat(1), EPROTO),
    (Tremove(1), EPROTO),
    (Tflush(7), EPROTO),
    (Tattach(9, NOFID, "g", ""), EPROTO),
    (Tauth(9, "g", ""), EPROTO),
    (Tcreate(2, "f", 0o644, 0), EPROTO),
    (Tversion(8216, "9P2000"), EPROTO),
]


@pytest.mark.parametrize(("msg", "text"), MALFORMED)
def test_malformed_fields_are_refused(msg: Request, text: str) -> None:
    client = begun(Tree())
    raw = pack(5, msg)
    for body in [raw[7:cut] for cut in range(7, len(raw))] + [raw[7:] + b"!"]:
        client.session.request(raw[4], 5, b"1234567" + body, 7, 7 + len(body))
        assert client.heard() == [(5, Rerror(text))]
    assert same(client.ask(Tstat(1)), Rstat)
    assert same(client.ask(Tstat(2)), Rstat)


def test_malformed_wstat() -> None:
    client = begun(Tree())
    raw = pack(5, Twstat(1, NOTOUCH))
    for cut in range(13, len(raw)):
        client.session.request(raw[4], 5, raw, 7, cut)
        assert client.heard() == [(5, Rerror(ESTAT))]
    client.session.request(raw[4], 5, raw, 7, 12)
    assert client.heard() == [(5, Rerror(EPROTO))]


def test_types_that_no_client_sends() -> None:
    client = begun(Tree())
    sent = {100, 102, 104, *range(108, 128, 2)}
    for number in set(range(256)) - sent:
        client.session.request(number, 5, b"", 0, 0)
        assert client.heard() == [(5, Rerror(EBADTYPE))]


def test_replies_fit_the_smallest_msize() -> None:
    tree = Tree()
    tree.put("n" * 200, b"x" * 999)
    client = peer(tree.attach)
    client.begin(msize=256)
    client.ask(Twalk(0, 1, ("n" * 200,)))
    assert same(client.ask(Tstat(1)), "directory entry too long for a message")
    assert same(client.ask(Topen(1, OREAD)), Ropen(FILE, 256 - 24))
    assert same(client.ask(Tread(1, 0, 0xFFFFFFFF)), Rread(b"x" * (256 - 24)))
    assert same(client.ask(Twalk(0, 2, ("..",) * 16)), Rwalk)
    client.ask(Topen(0, OREAD))
    offset = 0
    while isinstance(reply := client.ask(Tread(0, offset, 4096)), Rread):
        assert list(unpack_stats(reply.data))
        offset += len(reply.data)
    assert same(reply, "directory entry larger than the count")


def test_errors_have_a_text_that_can_be_sent() -> None:
    def attach(uname: str, aname: str) -> object:
        raise TimeoutError

    client = peer(attach)  # type: ignore[arg-type]
    client.ask(Tversion(256, "9P2000"))
    assert same(client.ask(Tattach(0, NOFID, "", "")), EIO)
    raw = refusal_octets("a\0b\ud800")
    assert raw.endswith(b"\x03\0ab?")


def refusal_octets(text: str) -> bytes:
    client = peer(Tree().attach)
    client.session.refuse(1, text)
    return client.session.replies[0]


def test_long_error_is_cut_at_a_character() -> None:
    def attach(uname: str, aname: str) -> object:
        raise OSError(None, "ä" * 999 + "\0")

    client = peer(attach)  # type: ignore[arg-type]
    client.ask(Tversion(256, "9P2000"))
    reply = client.ask(Tattach(0, NOFID, "", ""))
    assert isinstance(reply, Rerror)
    assert reply.ename == "ä" * ((256 - 9) // 2)


def test_reading_a_directory() -> None:
    client = begun(Tree())
    client.ask(Topen(0, OREAD))

    def read(offset: int, count: int) -> Reply:
        return client.ask(Tread(0, offset, count))

    whole = read(0, 8192)
    assert isinstance(whole, Rread)
    names = [s.name for s in unpack_stats(whole.data)]
    assert names[:3] == ["alpha", "empty", "dir"]
    assert same(read(len(whole.data), 8192), Rread(b""))
    assert same(read(0, 8192), whole)  # rewinds: lionkov/go9p#6
    first = read(0, 100)
    assert isinstance(first, Rread)
    assert [s.name for s in unpack_stats(first.data)] == ["alpha"]
    assert same(read(1, 8192), "bad offset in directory read")
    rest = read(len(first.data), 8192)
    assert isinstance(rest, Rread)
    assert first.data + rest.data == whole.data
    # Linux reads what is left of its buffer, and then goes on (net/9p, v9fs)
    first = read(0, 100)
    assert isinstance(first, Rread)
    assert same(read(len(first.data), 20), Rread(b""))
    rest = read(len(first.data), 8192)
    assert isinstance(rest, Rread)
    assert first.data + rest.data == whole.data
    client.ask(Tclunk(0))
    client.ask(Tattach(0, NOFID, "glenda", ""))
    client.ask(Topen(0, OREAD))
    assert same(read(0, 20), "directory entry larger than the count")
    assert same(read(0, 8192), whole)


def test_bounds() -> None:
    client = begun(Tree(), limits=Limits(fids=4))
    assert same(client.ask(Twalk(0, 3, ())), Rwalk(()))
    assert same(client.ask(Twalk(0, 4, ())), EFIDS)
    assert same(client.ask(Tattach(4, NOFID, "", "")), EFIDS)
    client.ask(Tclunk(3))
    assert same(client.ask(Twalk(0, 4, ())), Rwalk(()))


def test_fids_are_bounded_for_the_server_as_a_whole() -> None:
    """One may take half of them, others still get some; what is clunked comes back."""
    budget = Budget(fids=8 * FID_BLOCK)
    first, second = (begun(Tree(), budget=budget) for _ in range(2))

    def take(client: Peer, start: int) -> int:
        """Return how many fids a client can have."""
        for number in range(start, 10_000):
            if same(client.ask(Twalk(0, number, ())), EFIDS):
                return number
        raise AssertionError

    # Its own block, and of the eight as many as are left to others.
    assert take(first, 3) == 5 * FID_BLOCK
    assert take(second, 3) == 3 * FID_BLOCK
    crowd = [begun(Tree(), budget=budget) for _ in range(8)]
    counts = [take(client, 3) for client in crowd]
    assert min(counts) == FID_BLOCK
    assert budget.fids >= 0
    for number in range(3, 5 * FID_BLOCK):
        assert same(first.ask(Tclunk(number)), Rclunk())
    assert take(crowd[-1], min(counts)) > FID_BLOCK
    for client in (first, second, *crowd):
        client.session.close()
    assert budget.fids == 8 * FID_BLOCK


def test_end_clunks_everything() -> None:
    tree = Tree()
    client = begun(tree)
    client.ask(Topen(1, OREAD | ORCLOSE))
    client.ask(Twalk(0, 9, ("badclose",)))
    client.ask(Topen(9, OREAD))
    client.session.close()
    assert not client.session.fids.table
    assert "alpha" not in tree.ram.root.children
