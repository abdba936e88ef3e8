"""Attaching over TCP: p9any through the afid, by keys the factotum holds."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mailfs.errors import MailfsError, Refused
from mailfs.factotum.attach import MAX_PENDING, authenticate, authenticator
from mailfs.p9.dial import dial
from mailfs.p9.fcall import NOFID, Tattach, Tauth, Tclunk, Tread, Tversion, Twrite
from mailfs.p9.ramfs import Ram
from mailfs.p9.rpc import Line
from mailfs.p9.session import MAX_AFIDS
from mailfs.p9.srv import Server
from mailfs.where import DialString
from tests.factotum.serving import Served, serving

KEYS = {
    "p9sk1": "proto=p9sk1 dom=d user=glenda !password=secret",
    "dp9ik": "proto=dp9ik dom=d user=glenda !password=secret",
}


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "c").mkdir()
    with serving(tmp_path / "c") as served:
        yield served


@pytest.fixture
def address(served: Served) -> Iterator[DialString]:
    """Serve a tree to whoever the served factotum can authenticate."""
    server = Server(Ram("glenda").attach, auth=authenticator(served.address))
    yield served.loop.do(server.listen(DialString("tcp", "127.0.0.1", 0)))
    served.loop.do(server.close())


@pytest.fixture
def line(address: DialString) -> Iterator[Line]:
    line = Line(dial(address, 30), "test", 8192, 30)
    line.rpc(Tversion(8192, "9P2000"))
    yield line
    line.close()


def prove(line: Line, mine: Served, uname: str = "glenda", aname: str = "") -> None:
    with mine.keys() as keys:
        info = authenticate(line.rpc, keys, afid=1, uname=uname, aname=aname)
    assert info is not None


@pytest.mark.parametrize("proto", KEYS)
def test_a_user_with_the_key(
    served: Served, mine: Served, line: Line, proto: str
) -> None:
    served.add(*KEYS.values())
    mine.add(KEYS[proto])
    prove(line, mine)
    line.rpc(Tattach(2, 1, "glenda", ""))
    line.rpc(Tclunk(1))
    assert not line.closed


def test_nobody_attaches_unproved(served: Served, mine: Served, line: Line) -> None:
    served.add(*KEYS.values())
    mine.add(*KEYS.values())
    with pytest.raises(Refused, match="authentication failed"):
        line.rpc(Tattach(2, NOFID, "glenda", ""))
    line.rpc(Tauth(1, "glenda", ""))
    with pytest.raises(Refused, match="authentication failed"):
        line.rpc(Tattach(2, 1, "glenda", ""))
    line.rpc(Tclunk(1))
    prove(line, mine, uname="bootes")
    # The tickets name glenda, whatever Tauth said.
    with pytest.raises(Refused, match="authentication failed"):
        line.rpc(Tattach(2, 1, "bootes", ""))
    line.rpc(Tclunk(1))
    prove(line, mine)
    for uname, aname in (("bootes", ""), ("glenda", "other"), ("", "")):
        with pytest.raises(Refused, match="authentication failed"):
            line.rpc(Tattach(2, 1, uname, aname))
    line.rpc(Tattach(2, 1, "glenda", ""))


@pytest.mark.parametrize("proto", KEYS)
def test_a_wrong_password(served: Served, mine: Served, line: Line, proto: str) -> None:
    served.add(*KEYS.values())
    mine.add(KEYS[proto].replace("secret", "wrong"))
    with pytest.raises(MailfsError, match="authentication failed"):
        prove(line, mine)
    with pytest.raises(Refused, match="authentication failed"):
        line.rpc(Tattach(2, 1, "glenda", ""))
    # The connection and the server live on.
    line.rpc(Tclunk(1))
    mine.add(KEYS[proto])
    prove(line, mine)
    line.rpc(Tattach(2, 1, "glenda", ""))


GARBAGE = [b"", b"\0", b"p9sk1 d", b"p9sk1 e\0", b"x" * 3000, b"\xff\0"]


@pytest.mark.parametrize("message", GARBAGE)
def test_garbage(served: Served, line: Line, message: bytes) -> None:
    served.add(*KEYS.values())
    line.rpc(Tauth(1, "glenda", ""))
    with pytest.raises(Refused, match="authentication failed"):
        line.rpc(Twrite(1, 0, message))  # before the offers were read
    offers = line.rpc(Tread(1, 0, 1000))
    assert offers.data == b"p9sk1@d dp9ik@d\0"  # type: ignore[union-attr]
    with pytest.raises(Refused, match="authentication failed"):
        line.rpc(Twrite(1, 0, message))
    with pytest.raises(Refused, match="authentication failed"):
        line.rpc(Tread(1, 0, 1000))
    with pytest.raises(Refused, match="authentication failed"):
        line.rpc(Tattach(2, 1, "glenda", ""))


def test_a_message_in_small_reads(served: Served, line: Line) -> None:
    served.add(KEYS["p9sk1"])
    line.rpc(Tauth(1, "glenda", ""))
    said = line.rpc(Tread(1, 0, 3)).data  # type: ignore[union-attr]
    with pytest.raises(Refused, match="authentication failed"):
        line.rpc(Twrite(1, 3, b"p9sk1 d\0"))
    while not said.endswith(b"\0"):
        reply = line.rpc(Tread(1, len(said), 3))
        said += reply.data  # type: ignore[union-attr]
    assert said == b"p9sk1@d\0"


def test_without_keys_there_is_no_authentication(line: Line) -> None:
    with pytest.raises(Refused, match="authentication failed"):
        line.rpc(Tauth(1, "glenda", ""))


def test_how_many_at_once(served: Served, line: Line) -> None:
    served.add(*KEYS.values())
    for afid in range(MAX_AFIDS):
        line.rpc(Tauth(afid, "glenda", ""))
    with pytest.raises(Refused, match="too many authentications at once"):
        line.rpc(Tauth(100, "glenda", ""))
    line.rpc(Tclunk(0))
    line.rpc(Tauth(100, "glenda", ""))


@pytest.mark.parametrize("one_line", [False, True])
def test_silent_authentications_shut_nobody_out(
    served: Served, mine: Served, address: DialString, one_line: bool
) -> None:
    served.add(*KEYS.values())
    mine.add(KEYS["dp9ik"])
    silent: list[Line] = []
    for afid in range(MAX_PENDING + 8):
        if not one_line or not silent:
            silent.append(Line(dial(address, 30), "silent", 8192, 30))
            silent[-1].rpc(Tversion(8192, "9P2000"))
        with suppress(Refused):
            silent[-1].rpc(Tauth(afid, "glenda", ""))
    line = Line(dial(address, 30), "test", 8192, 30)
    line.rpc(Tversion(8192, "9P2000"))
    prove(line, mine)
    line.rpc(Tattach(2, 1, "glenda", ""))
    for one in (*silent, line):
        one.close()


def test_a_server_that_wants_no_proof(served: Served, mine: Served) -> None:
    server = Server(Ram("glenda").attach)
    address = served.loop.do(server.listen(DialString("tcp", "127.0.0.1", 0)))
    line = Line(dial(address, 30), "test", 8192, 30)
    line.rpc(Tversion(8192, "9P2000"))
    with mine.keys() as keys:
        assert authenticate(line.rpc, keys, afid=1, uname="glenda", aname="") is None
    line.rpc(Tattach(2, NOFID, "glenda", ""))
    line.close()
    served.loop.do(server.close())
