"""Many clients at once; one stalls, one talks nonsense, and mail comes and goes."""

import socket
import threading
from pathlib import Path

from mailfs.errors import Refused
from mailfs.p9.client import Client
from mailfs.p9.fcall import NOFID, OREAD, Tattach, Topen, Tread, Tversion, Twalk, pack

from .conftest import mbox
from .serving import USER, serving

CLIENTS = 8
ROUNDS = 5
MESSAGES = 40


def message(i: int) -> tuple[str, str, str]:
    return (
        f"m{i}@example.org",
        "Mon Mar  2 09:00:00 2026",
        f"Subject: number {i}\nMessage-ID: <{i}@x>\n\n{f'line of {i}' * 500}\n",
    )


def stall(address: str) -> socket.socket:
    """Ask for a great deal, and read none of it."""
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(address)
    sock.sendall(
        pack(0xFFFF, Tversion(1 << 20, "9P2000"))
        + pack(1, Tattach(0, NOFID, USER, ""))
        + pack(2, Twalk(0, 1, ("mbox", "1", "raw")))
        + pack(3, Topen(1, OREAD))
    )
    sock.setblocking(False)
    sent = 0
    try:
        while sent < 1 << 22:
            sent += sock.send(
                b"".join(pack(4 + i, Tread(1, 0, 9999)) for i in range(500))
            )
    except BlockingIOError:
        pass  # the server has stopped reading, as it should
    return sock


def test_eight_clients_while_one_stalls(tmp_path: Path) -> None:
    box = tmp_path / "box"
    box.write_bytes(mbox([message(i) for i in range(1, MESSAGES + 1)]))
    failures: list[str] = []

    def reader(tree_address: str, me: int) -> None:
        try:
            with Client(f"unix!{tree_address}", uname=USER, timeout=60) as client:
                for _ in range(ROUNDS):
                    check(client)
        except Exception as e:  # noqa: BLE001  # a thread's failure is told to the test
            failures.append(f"{me}: {e!r}")

    def check(client: Client) -> None:
        names = [e.name for e in client.ls("/mbox") if e.name.isdecimal()]
        assert names == sorted(names, key=int)
        for name in names:
            try:
                subject = client.read(f"/mbox/{name}/subject")
                info = client.read(f"/mbox/{name}/info").split(b"\n")
                raw = client.read(f"/mbox/{name}/raw")
            except Refused:
                assert int(name) % 5 == 0  # these are being deleted
                continue
            assert subject == b"number %s" % name.encode() == info[5]
            assert info[14] == b"%s@x" % name.encode()
            assert raw == message(int(name))[2].encode()

    def changer(tree_address: str) -> None:
        try:
            with Client(f"unix!{tree_address}", uname=USER, timeout=60) as client:
                for i in range(5, MESSAGES + 1, 5):
                    with box.open("ab") as f:
                        f.write(mbox([message(MESSAGES + i // 5)]))
                    client.write("/ctl", f"delete mbox {i}".encode())
                    client.write(
                        f"/mbox/{i + 1}/flags", b"+s"
                    ) if i < MESSAGES else None
        except Exception as e:  # noqa: BLE001  # likewise
            failures.append(f"changer: {e!r}")

    with serving(tmp_path, mbox=box) as tree:
        where = tree.address.host
        stalled = [stall(where) for _ in range(2)]
        with socket.socket(socket.AF_UNIX) as nonsense:
            nonsense.connect(where)
            nonsense.sendall(b"GET / HTTP/1.0\r\n\r\n")
            threads = [
                threading.Thread(target=reader, args=(where, i)) for i in range(CLIENTS)
            ]
            threads.append(threading.Thread(target=changer, args=(where,)))
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(120)
                assert not thread.is_alive()
        for sock in stalled:
            sock.close()
        assert failures == []
        left = [i for i in range(1, MESSAGES + 1) if i % 5]
        came = range(MESSAGES + 1, MESSAGES + 1 + MESSAGES // 5)
        with tree.client() as client:
            names = [e.name for e in client.ls("/mbox") if e.name.isdecimal()]
        assert names == [str(i) for i in [*left, *came]]
    assert box.read_bytes() == mbox([message(i) for i in [*left, *came]])
