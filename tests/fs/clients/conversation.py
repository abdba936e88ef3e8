"""Conversations of clients with the server, as text: what they ask, what we answer.

    # a comment
    walk 0 1 mbox 1 info        one request a line: its fields, quoted as in rc
      walk d d -                and, indented, the reply
    @deliver                    something that happens meanwhile: see serving.py

Requests are those of the real programs: recorded where the program runs here, else
as their sources and upasfs(4) have them.  Replies are ours, and golden: change them
with ``python -m tests.fs.clients`` and read the difference.

A read at ``+`` goes on where the last one ended; ``=`` is the length that the last
stat told.  ``$ROOT`` is the server's root.

In replies, ``d`` and ``-`` are a directory and a file.  An entry shows its name, mode
and length, and ``changed`` if its version differs from when it was last seen.  Of
data, each line follows ``| ``, the last after ``|.`` if no newline ends it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from mailfs.attr import quote, tokenize
from mailfs.errors import Refused
from mailfs.p9.fcall import (
    DMDIR,
    NOFID,
    OCEXEC,
    OEXEC,
    ORCLOSE,
    ORDWR,
    OREAD,
    OTRUNC,
    OWRITE,
    QTDIR,
    Qid,
    Rattach,
    Reply,
    Request,
    Ropen,
    Rread,
    Rstat,
    Rversion,
    Rwalk,
    Rwrite,
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
    unpack_stats,
)

MODES = {
    "r": OREAD,
    "w": OWRITE,
    "rw": ORDWR,
    "x": OEXEC,
    "wt": OWRITE | OTRUNC,
    "rt": OREAD | OTRUNC,
    "rwt": ORDWR | OTRUNC,
    "rc": OREAD | ORCLOSE,
}
MODE_NAMES = {mode: name for name, mode in MODES.items()}
Ask = Callable[[Request], Reply]


def _fid(word: str) -> int:
    return NOFID if word == "-" else int(word)


# How each request is read from its words.
REQUESTS: dict[str, Callable[[list[str]], Request]] = {
    "version": lambda w: Tversion(int(w[0]), w[1]),
    "auth": lambda w: Tauth(int(w[0]), w[1], w[2]),
    "attach": lambda w: Tattach(int(w[0]), _fid(w[1]), w[2], w[3]),
    "walk": lambda w: Twalk(int(w[0]), int(w[1]), tuple(w[2:])),
    "open": lambda w: Topen(int(w[0]), MODES[w[1]]),
    "create": lambda w: Tcreate(int(w[0]), w[1], int(w[2], 8), MODES[w[3]]),
    "read": lambda w: Tread(int(w[0]), int(w[1]), int(w[2])),
    "write": lambda w: Twrite(int(w[0]), int(w[1]), w[2].replace("\\n", "\n").encode()),
    "clunk": lambda w: Tclunk(int(w[0])),
    "remove": lambda w: Tremove(int(w[0])),
    "stat": lambda w: Tstat(int(w[0])),
    "flush": lambda w: Tflush(int(w[0])),
}


def line(request: Request, ends: Mapping[int, int]) -> str:
    """Return the line of a request; ends tells where reads of fids have ended."""
    name = type(request).__name__[1:]
    values: list[object] = []
    for key, value in zip(request._fields, request, strict=True):
        if key == "mode" and isinstance(value, int):
            values.append(MODE_NAMES[value & ~OCEXEC])
        elif key == "afid" and value == NOFID:
            values.append("-")
        elif isinstance(value, tuple):
            values += value
        elif isinstance(value, bytes):
            values.append(value.decode().replace("\n", "\\n"))
        elif key == "offset" and isinstance(request, Tread) and value:
            values.append("+" if value == ends.get(request.fid) else value)
        else:
            values.append(value)
    return " ".join([name, *(quote(str(value)) for value in values)])


@dataclass
class Play:
    """One conversation being held; it renders the replies."""

    ask: Ask
    act: Callable[[str], None]
    root: str = "/"  # what $ROOT in a request stands for
    _directories: set[int] = field(default_factory=set)  # fids that were opened as such
    _seen: dict[int, tuple[int, int]] = field(default_factory=dict)
    _ends: dict[int, int] = field(default_factory=dict)  # of the last reads, by fid
    _length = 0  # as the last stat told it

    def hold(self, script: str) -> str:
        """Ask what a script asks, and return it with the replies of now."""
        return "".join(f"{line}\n" for line in self._lines(script))

    def _lines(self, script: str) -> Iterator[str]:
        for text in script.splitlines():
            if text.startswith("  "):
                continue
            yield text
            if text.startswith("@"):
                self.act(text[1:])
            elif text and not text.startswith("#"):
                yield from (f"  {reply}".rstrip() for reply in self._exchange(text))

    def _exchange(self, text: str) -> list[str]:
        name, *words = tokenize(text.replace("$ROOT", self.root))
        if name == "read" and words[1] == "+":
            words[1] = str(self._ends[int(words[0])])
        if name == "read" and words[2] == "=":
            words[2] = str(self._length)
        request = REQUESTS[name](words)
        try:
            reply = self.ask(request)
        except Refused as e:
            return [f"error {e}"]
        return self._shown(request, reply)

    def _shown(self, request: Request, reply: Reply) -> list[str]:
        match reply:
            case Rversion():
                return [f"version {reply.msize} {reply.version}"]
            case Rattach():
                return [f"attach {kind(reply.qid)}"]
            case Rwalk():
                return [" ".join(["walk", *map(kind, reply.wqid)])]
            case Ropen():
                assert isinstance(request, Topen)
                self._directories.discard(request.fid)
                if reply.qid.type & QTDIR:
                    self._directories.add(request.fid)
                return [f"open {kind(reply.qid)}"]
            case Rstat():
                self._length = reply.stat.length
                return [f"stat {self._entry(reply.stat)}"]
            case Rwrite():
                assert isinstance(request, Twrite)
                short = len(request.data) - reply.count
                return [f"write {short} short" if short else "write"]
            case Rread():
                assert isinstance(request, Tread)
                self._ends[request.fid] = request.offset + len(reply.data)
                return self._data(request.fid, reply.data)
        return [type(reply).__name__[1:]]

    def _data(self, fid: int, data: bytes) -> list[str]:
        if fid in self._directories:
            entries = [f"- {self._entry(stat)}" for stat in unpack_stats(data)]
            return [f"read {len(entries)} entries", *entries]
        *lines, last = data.decode("utf-8", "backslashreplace").split("\n")
        shown = [f"| {_plain(text)}" for text in lines]
        if last:
            shown.append(f"|.{_plain(last)}")
        return [f"read {len(data)}", *shown]

    def _entry(self, stat: Stat) -> str:
        now = (stat.qid.vers, stat.mtime if stat.mode & DMDIR else 0)
        before = self._seen.setdefault(stat.qid.path, now)
        self._seen[stat.qid.path] = now
        mark = "d" if stat.mode & DMDIR else "-"
        length = "~" if stat.name == "ctl" else stat.length  # a path is in it
        shown = f"{quote(stat.name)} {mark}{stat.mode & 0o777:o} {length}"
        return shown if before == now else f"{shown} changed"


def kind(qid: Qid) -> str:
    """Return the letter that tells directories from files."""
    return "d" if qid.type & QTDIR else "-"


def _plain(text: str) -> str:
    return text.replace("\r", "\\r").replace("\t", "\\t").replace("\0", "\\0")
