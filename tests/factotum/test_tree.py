"""The other files: ctl, proto, log, needkey, confirm, conv; factotum(4)."""

import threading
from collections.abc import Callable

import pytest

from mailfs.errors import Refused
from mailfs.factotum.feed import DEPTH
from mailfs.p9.client import Client
from mailfs.p9.fcall import (
    DMDIR,
    DMEXCL,
    ORCLOSE,
    ORDWR,
    OREAD,
    OTRUNC,
    OWRITE,
    QTEXCL,
    Reply,
    Request,
    Rerror,
    Rflush,
    Rread,
    Rwrite,
    Tflush,
    Tread,
    Twrite,
    pack,
)
from tests.factotum.serving import Rpc, Served

MODES = {
    "confirm": DMEXCL | 0o600,
    "needkey": DMEXCL | 0o600,
    "ctl": 0o644,
    "rpc": 0o666,
    "proto": 0o444,
    "log": DMEXCL | 0o400,
    "conv": 0o400,
}


def test_the_listing(served: Served) -> None:
    with served.client() as client:
        entries = client.ls("/")
        assert {e.name: e.mode for e in entries} == MODES
        for entry in entries:
            assert client.stat(entry.name) == entry
            assert (entry.length, entry.mtime) == (0, 1_700_000_000)
            assert bool(entry.qid.type & QTEXCL) == bool(entry.mode & DMEXCL)
        assert client.stat("/").mode == DMDIR | 0o555
        assert client.stat("/..").qid == client.stat("/").qid
        with pytest.raises(Refused, match="file does not exist"):
            client.stat("nonsense")


# (file, mode, for the owner, for another)
OPENS = [
    ("ctl", OREAD, True, True),
    ("ctl", OWRITE | OTRUNC, True, False),
    ("rpc", ORDWR, True, True),
    ("proto", OREAD, True, True),
    ("proto", OWRITE, False, False),
    ("log", OREAD, True, False),
    ("log", ORDWR, False, False),
    ("needkey", ORDWR, True, False),
    ("confirm", ORDWR, True, False),
    ("conv", OREAD, True, False),
    ("ctl", OREAD | ORCLOSE, False, False),
]


@pytest.mark.parametrize(("name", "mode", "owner", "other"), OPENS)
def test_modes(served: Served, name: str, mode: int, owner: bool, other: bool) -> None:
    for uname, allowed in ((None, owner), ("mallory", other)):
        with served.client(uname) as client:
            if allowed:
                client.open(name, mode).close()
            else:
                with pytest.raises(Refused, match="permission denied"):
                    client.open(name, mode)


CTL = [
    ("key proto=pass user=a !password=hush", None),
    ("  key proto=pass user=a !password=hush\n", None),
    ("", None),
    ("\n", None),
    ("# hush", None),
    ("delkey user=z !password?", "found no keys to delete"),
    ("delkey !password=hush", "only !private? patterns are allowed for private fields"),
    ("key user=a !password=hush", "key without protos"),
    ("key proto=nonsense !password=hush", "unknown proto nonsense"),
    ("key proto=pass user=a !hush=1", "missing attributes -- want !password?"),
    ("key proto=pass\nkey !password=hush", "line 1: "),
    ("debug\nkey proto=pass !password='hush\nhush'\n", "line 2: "),
    ("debug\n# a remark\n\nhush\n", "line 4: unknown verb"),
    ("hush", "unknown verb"),
    ("key " + "hush" * 5000, "control message too long"),
    ("key hush\0", "NUL in an attribute list"),
    ("key proto=xoauth2 !password=hush", "xoauth2 uses keys of proto oauth"),
    (
        "key proto=oauth issuer=http://x clientid=1 user=a !refreshtoken=hush",
        "not https",
    ),
    (b"key proto=pass !password=hush\xff", "text is not UTF-8"),
    ("debug", None),
]


@pytest.mark.parametrize(("message", "why"), CTL)
def test_control(served: Served, message: str | bytes, why: str | None) -> None:
    raw = message.encode() if isinstance(message, str) else message
    with served.client() as client, client.open("ctl", ORDWR) as ctl:
        if why is None:
            assert ctl.write(raw) == len(raw)
        else:
            with pytest.raises(Refused) as e:
                ctl.write(raw)
            assert why in str(e.value)
            assert "hush" not in str(e.value)
    assert "hush" not in "".join(served.agent.log._messages)


KEYS = b"".join(
    b"key proto=pass server=s%d user=u !password='a b'\n" % n for n in range(3)
)
LISTED = KEYS.replace(b"='a b'", b"?")


@pytest.mark.parametrize("end", [b"\n", b""])
def test_many_lines_cut_anywhere(served: Served, end: bytes) -> None:
    text = b"# my keys\n\n" + KEYS.removesuffix(b"\n") + end
    first = text.index(b"\n") + 1  # a write without a newline is a whole message
    for cut in range(first, len(text) + 1):
        with served.client() as client:
            with client.open("ctl", ORDWR) as ctl:
                ctl.write(text[:cut])
                if text[cut:]:
                    ctl.write(text[cut:])
            assert client.read("ctl") == LISTED
            client.write("ctl", b"delkey proto=pass")
            assert client.read("ctl") == b""


def test_lines_behind_a_refused_one_are_not_carried_out(served: Served) -> None:
    with served.client() as client:
        with client.open("ctl", ORDWR) as ctl:
            with pytest.raises(Refused, match="line 2: unknown verb"):
                ctl.write(KEYS[: KEYS.index(b"\n") + 1] + b"hush\n" + KEYS)
        assert len(client.read("ctl").splitlines()) == 1


def test_listing_keys(served: Served) -> None:
    served.add("proto=pass user='a b' !password=x", "proto=rsa ek=3 n=" + "f" * 200)
    lines = (
        b"key proto=pass user='a b' !password?\n"
        b"key proto=rsa ek=3 n=" + b"f" * 200 + b" \n"
    )
    with served.client() as client:
        assert client.read("ctl") == lines
        with client.open("ctl") as ctl:
            # Whole lines where one fits, and no key skipped where it does not.
            assert ctl.read(100) == lines.splitlines(keepends=True)[0]
            served.add("proto=pass user=c !password=x")
            rest = b""
            while part := ctl.read(100):
                rest += part
            assert rest == lines.splitlines(keepends=True)[1]
            ctl.seek(0)
            assert len(ctl.read(1000).splitlines()) == 3
        assert client.read("proto").startswith(b"apop\ncram\ndp9ik\n")


def test_exclusive_files_are_free_after_the_clunk(served: Served) -> None:
    with served.client() as client, served.client() as other:
        for name in ("log", "needkey", "confirm"):
            for _ in range(2):
                with client.open(name), pytest.raises(Refused, match="file in use"):
                    other.open(name)
        other.open("needkey")
        other.close()
        for _ in range(100):
            try:
                client.open("needkey").close()
            except Refused:
                continue
            return
        raise AssertionError("not released when the connection ended")


def test_log(served: Served) -> None:
    served.add("proto=pass user=a !password=hush")
    with served.client() as client, client.open("log") as log:
        assert log.read(4096) == b"addkey proto=pass user=a !password?\n"
        served.add("proto=pass user=b !password=hush")
        assert log.read(22) == b"addkey proto=pass ...\n"
        with pytest.raises(Refused, match="read request count too short"):
            log.read(4)
        for i in range(DEPTH + 10):
            served.loop.call(lambda i=i: served.agent.note(f"é{i}"))  # type: ignore[misc]
        assert log.read(4096) == "é10\n".encode()
        served.loop.call(lambda: served.agent.log._messages.clear())
        served.loop.call(lambda: served.agent.note("aéééé"))
        # The cut never leaves half a character.
        assert log.read(6) == b"a...\n"


class Waiter(threading.Thread):
    """Does something that blocks."""

    def __init__(self, job: Callable[[], bytes]) -> None:
        super().__init__()
        self._job = job
        self.result = b""
        self.start()

    def run(self) -> None:
        try:
            self.result = self._job()
        except Refused as e:
            self.result = b"Rerror " + str(e).encode()

    def wait(self) -> bytes:
        self.join(30)
        return self.result


WANT = b"needkey tag=0 !password? proto=pass server=x user?\n"
START = "start proto=pass server=x"


def test_needkey(served: Served) -> None:
    with (
        served.client() as client,
        served.client() as other,
        client.open("needkey", ORDWR) as needkey,
    ):
        rpc = Rpc(other)
        waiter = Waiter(lambda: rpc(START))
        assert needkey.read(4096) == WANT
        served.add("proto=pass server=x user=a !password=b")
        needkey.write(b"tag=0\n")
        assert waiter.wait() == b"ok"
        assert rpc("read") == b"ok a b"


NEEDKEY_ANSWERS = [
    (b"tag=0 error='canceled by user'", b"error canceled by user"),
    (b"tag=0", b"needkey !password? proto=pass server=x user?"),
    (None, b"needkey !password? proto=pass server=x user?"),
]


@pytest.mark.parametrize(("answer", "reply"), NEEDKEY_ANSWERS)
def test_needkey_without_a_key(
    served: Served, answer: bytes | None, reply: bytes
) -> None:
    with (
        served.client() as client,
        served.client() as other,
        client.open("needkey", ORDWR) as needkey,
    ):
        waiter = Waiter(lambda: Rpc(other)(START))
        assert needkey.read(4096) == WANT
        if answer is not None:
            needkey.write(answer)
        needkey.close()
        assert waiter.wait() == reply


BAD_ANSWERS = [
    ("needkey", b"", "empty write"),
    ("needkey", b"\n", "empty write"),
    ("needkey", b"error=x", "no tag"),
    ("needkey", b"tag=7", "tag not found"),
    ("needkey", b"tag=-1", "tag not found"),
    ("needkey", "tag=²".encode(), "tag not found"),
    ("needkey", b"tag=" + b"9" * 5000, "tag not found"),
    ("needkey", b"\xff", "not UTF-8"),
    ("confirm", b"tag=0", "no answer"),
    ("confirm", b"tag=0 answer=perhaps", "bad answer"),
    ("confirm", b"tag=0 answer=yes", "tag not found"),
]


@pytest.mark.parametrize(("name", "answer", "why"), BAD_ANSWERS)
def test_bad_answers(served: Served, name: str, answer: bytes, why: str) -> None:
    with (
        served.client() as client,
        client.open(name, ORDWR) as file,
        pytest.raises(Refused, match=why),
    ):
        file.write(answer)


CONFIRMED = "proto=pass server=x user=a confirm !password=1"


def test_confirm_closed(served: Served) -> None:
    served.add(CONFIRMED)
    with served.client() as client:
        assert Rpc(client)(START) == b"error confirm is closed"


@pytest.mark.parametrize(
    ("answer", "reply"), [(b"yes", b"ok"), (b"no", b"error key use refused")]
)
def test_confirm(served: Served, answer: bytes, reply: bytes) -> None:
    served.add(CONFIRMED)
    with (
        served.client() as client,
        served.client() as other,
        client.open("confirm", ORDWR) as confirm,
    ):
        rpc = Rpc(other)
        waiter = Waiter(lambda: rpc(START))
        assert confirm.read(4096) == (
            b"confirm tag=0 proto=pass server=x user=a confirm=''\n"
        )
        confirm.write(b"tag=0 answer=" + answer)
        assert waiter.wait() == reply
        if answer == b"yes":
            # Remembered for this open of rpc.
            assert rpc(START) == b"ok"


def test_a_refused_key_leaves_the_next(served: Served) -> None:
    served.add(CONFIRMED, "proto=pass server=x user=b !password=2")
    with (
        served.client() as client,
        served.client() as other,
        client.open("confirm", ORDWR) as confirm,
    ):
        rpc = Rpc(other)
        waiter = Waiter(lambda: rpc(START))
        confirm.read(4096)
        confirm.write(b"tag=0 answer=no")
        assert waiter.wait() == b"ok"
        assert rpc("read") == b"ok b 2"


def test_a_confirmer_that_leaves(served: Served) -> None:
    served.add(CONFIRMED)
    with (
        served.client() as client,
        served.client() as other,
        client.open("confirm", ORDWR) as confirm,
    ):
        waiter = Waiter(lambda: Rpc(other)(START))
        confirm.read(4096)
        confirm.close()
        assert waiter.wait() == b"error confirm is closed"


def test_conv(served: Served) -> None:
    served.add("proto=pass user=a !password=b")
    with served.client() as client:
        rpc = Rpc(client)
        assert client.read("conv") == b"conv state=closed err='no current protocol'\n"
        rpc("start proto=pass")
        assert client.read("conv") == b"conv state=send proto=pass user=a\n"
        rpc("read")
        assert client.read("conv") == b"conv state=done proto=pass user=a\n"


def send(client: Client, **messages: Request) -> None:
    """Send messages in one piece, the names being tags."""
    sock = client._line._sock
    assert sock is not None
    sock.sendall(b"".join(pack(int(t[1:]), msg) for t, msg in messages.items()))


def expect(client: Client, **replies: Reply) -> None:
    """Wait until just these replies, by tag, have come in this order."""
    sock = client._line._sock
    assert sock is not None
    want = b"".join(pack(int(t[1:]), msg) for t, msg in replies.items())
    data = b""
    while len(data) < len(want):
        data += sock.recv(4096)
    assert data == want


def test_a_second_read_while_one_waits(served: Served) -> None:
    with served.client() as client, served.client() as other:
        needkey = client.open("needkey", ORDWR)
        rpc = Rpc(other)
        fid = rpc.file._fid
        rpc.file.write(START.encode())
        send(other, t5=Tread(fid, 0, 4096))
        assert needkey.read(4096) == WANT
        send(other, t6=Tread(fid, 0, 4096), t7=Twrite(fid, 0, b"read"))
        expect(
            other,
            t6=Rerror("read already pending"),
            t7=Rerror("rpc already pending; read to clear"),
        )
        needkey.close()


def test_requests_sent_together_are_done_in_order(served: Served) -> None:
    served.add("proto=pass server=x user=a !password=b")
    with served.client() as client:
        rpc = Rpc(client)
        fid = rpc.file._fid
        send(
            client,
            t1=Twrite(fid, 0, START.encode()),
            t2=Tread(fid, 0, 4096),
            t3=Twrite(fid, 0, b"read"),
            t4=Tread(fid, 0, 4096),
        )
        expect(
            client,
            t1=Rwrite(len(START)),
            t3=Rwrite(4),
            t2=Rread(b"ok"),
            t4=Rread(b"ok a b"),
        )


def test_flush_of_a_conversation(served: Served) -> None:
    with served.client() as client, served.client() as other:
        needkey = client.open("needkey", ORDWR)
        rpc = Rpc(other)
        fid = rpc.file._fid
        rpc.file.write(START.encode())
        send(other, t5=Tread(fid, 0, 4096))
        assert needkey.read(4096) == WANT
        send(other, t6=Tflush(5))
        expect(other, t6=Rflush())
        with pytest.raises(Refused, match="tag not found"):
            needkey.write(b"tag=0")
        served.add("proto=pass server=x user=a !password=b")
        assert rpc(START) == b"ok"
        assert rpc("read") == b"ok a b"


def test_flush_after_a_write_was_taken(served: Served) -> None:
    with served.client() as client, served.client() as other:
        needkey = client.open("needkey", ORDWR)
        rpc = Rpc(other)
        rpc("start proto=apop role=client server=x")
        rpc.file.write(b"write <1>")
        send(other, t5=Tread(rpc.file._fid, 0, 4096))
        needkey.read(4096)
        send(other, t6=Tflush(5))
        expect(other, t6=Rflush())
        served.add("proto=apop server=x user=a !password=b")
        assert rpc("write <1>") == b"ok"
        assert len(rpc("read")) == 3 + 32
        needkey.close()


def test_flush(served: Served) -> None:
    with served.client() as client:
        log = client.open("log")
        send(client, t5=Tread(log._fid, 0, 100), t6=Tflush(5))
        expect(client, t6=Rflush())
        served.loop.call(lambda: served.agent.note("later"))
        assert log.read(100) == b"later\n"
