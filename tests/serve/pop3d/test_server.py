"""The POP3 server as clients see it."""

import poplib
import re
import shutil
import signal
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from tests.serve.imapd.served import PASSWORD
from tests.serve.pop3d.served import Served
from tests.tls import pki

LETTER = b"From: a@b.c\nSubject: s%d\n\n.dot %d\n..\nlast\n"


def _letter(number: int) -> bytes:
    return LETTER % (number, number)


def _wire(number: int) -> list[bytes]:
    return _letter(number).split(b"\n")[:-1]


def _fill(served: Served, count: int) -> None:
    for number in range(1, count + 1):
        served.put(f"{number:04}.a", _letter(number))


def test_mail_is_read_and_deleted_at_quit(served: Served) -> None:
    _fill(served, 3)
    served.start()
    client = served.client(PASSWORD)
    size = len(b"\r\n".join(_wire(1))) + 2
    assert client.stat() == (3, 3 * size)
    assert client.list()[1] == [b"%d %d" % (n, size) for n in (1, 2, 3)]
    assert client.retr(2)[1] == _wire(2)
    assert client.top(1, 1)[1] == _wire(1)[:4]
    idents = client.uidl()[1]
    client.dele(2)
    client.quit()
    assert sorted(p.name for p in (served.box / "new").iterdir()) == [
        "0001.a",
        "0003.a",
    ]
    client = served.client(PASSWORD)
    left = [line.split()[1] for line in client.uidl()[1]]
    assert left == [idents[0].split()[1], idents[2].split()[1]]
    client.quit()


def test_nothing_is_removed_without_quit(served: Served) -> None:
    _fill(served, 2)
    served.start()
    client = served.client(PASSWORD)
    client.dele(1)
    client.close()
    heard = served.piped(b"DELE 1\r\nSTAT\r\n")
    assert heard.endswith(b"+OK 1 %d\r\n" % (len(b"\r\n".join(_wire(1))) + 2))
    assert len(served.names()) == 2


def test_reading_marks_nothing(served: Served) -> None:
    path = served.put("1.a", _letter(1))
    served.piped(b"RETR 1\r\nTOP 1 0\r\nQUIT\r\n")
    assert path.read_bytes() == _letter(1)


def test_ids_stay_though_the_index_is_lost_and_never_come_again(served: Served) -> None:
    _fill(served, 3)
    before = served.piped(b"UIDL\r\nDELE 3\r\nQUIT\r\n")
    shutil.rmtree(served.cache)
    served.put("9999.b", _letter(9))
    after = served.piped(b"UIDL\r\nQUIT\r\n")
    first, then = (re.findall(rb"\n\d (\S+)", text) for text in (before, after))
    assert len(first) == len(then) == len(set(then)) == 3
    assert first[2] not in then


def test_two_sessions_and_who_was_faster(served: Served) -> None:
    _fill(served, 3)
    served.start()
    one, other = served.client(PASSWORD), served.client(PASSWORD)
    one.dele(1)
    one.quit()
    served.put("9999.b", _letter(9))
    assert other.stat()[0] == 3
    try:  # never another message's octets
        assert other.retr(1)[1] == _wire(1)
    except poplib.error_proto as e:
        assert "no such message any more" in str(e)  # noqa: PT017  # may do either
    assert other.retr(2)[1] == _wire(2)
    other.dele(1)
    other.dele(3)
    other.quit()
    assert served.names() == ["0002.a", "9999.b"]


def test_one_session_at_a_time_if_so_wanted(served: Served) -> None:
    served.start("--exclusive")
    first = served.client(PASSWORD)
    second = poplib.POP3("127.0.0.1", served.port, timeout=30)
    second.user(served.user)
    with pytest.raises(poplib.error_proto, match=r"\[IN-USE\]"):
        second.pass_(PASSWORD)
    first.quit()
    second.user(served.user)
    second.pass_(PASSWORD)
    second.quit()


def test_strangers_hear_the_same_whatever_failed(served: Served) -> None:
    served.start()
    heard = set()
    for user, password in (
        (served.user, "x"),
        ("nobody-here", "x"),
        ("other", "secret"),
    ):
        client = poplib.POP3("127.0.0.1", served.port, timeout=30)
        client.user(user)
        with pytest.raises(poplib.error_proto) as refused:
            client.pass_(password)
        heard.add(str(refused.value))
        client.close()
    assert heard == {repr(b"-ERR [AUTH] Authentication failed")}
    assert not any(PASSWORD in line for line in served.log)


def test_pipelined_commands_are_answered_in_order(served: Served) -> None:
    _fill(served, 50)
    served.start()
    with served.connect() as sock:
        sock.sendall(
            b"USER %s\r\nPASS %s\r\n" % (served.user.encode(), PASSWORD.encode())
            + b"".join(b"RETR %d\r\n" % n for n in range(1, 51))
            + b"QUIT\r\n"
        )
        file = sock.makefile("rb")
        text = file.read()
    found = re.findall(rb"Subject: s(\d+)\r\n", text)
    assert found == [b"%d" % n for n in range(1, 51)]
    assert text.endswith(b".\r\n+OK\r\n")


def test_tls_begins_and_nothing_from_before_counts(
    served: Served, tmp_path: Path
) -> None:
    cert, key = pki.leaf(pki.authority("ours"), "localhost").write(tmp_path, "own")
    key.chmod(0o600)
    served.start("-c", str(cert), "-K", str(key))
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client = poplib.POP3("127.0.0.1", served.port, timeout=30)
    assert "STLS" in client.capa()
    client.user(served.user)
    client.stls(context)
    with pytest.raises(poplib.error_proto, match="USER first"):
        client.pass_(PASSWORD)
    client.user(served.user)
    client.pass_(PASSWORD)
    client.quit()
    with served.connect() as sock:
        sock.sendall(b"STLS\r\nCAPA\r\n")
        assert b"behind STLS" in sock.makefile("rb").read()


def test_the_end_is_told(served: Served) -> None:
    served.start()
    with served.connect() as sock:
        begun = time.monotonic()
        assert served.stop(signal.SIGTERM) == 0
        assert time.monotonic() - begun < 5
        assert sock.recv(512) == b"-ERR [SYS/TEMP] the server ends\r\n"


# Real clients: all mail the first time, none the second.

COUNT = 300


@pytest.mark.live
def test_mpop(served: Served, tmp_path: Path) -> None:
    _fill(served, COUNT)
    served.start()
    out = tmp_path / "got"
    conf = tmp_path / "mpoprc"
    conf.write_text(
        f"account default\nhost 127.0.0.1\nport {served.port}\nuser {served.user}\n"
        f"password {PASSWORD}\ntls off\nauth plain\nkeep on\nreceived_header off\n"
        f"uidls_file {tmp_path}/uidls\ndelivery mbox {out}\n"
    )
    conf.chmod(0o600)
    for _ in range(2):
        subprocess.run(["mpop", "-C", str(conf)], check=True, timeout=120)
        assert out.read_bytes().count(b"\nSubject: s") == COUNT


@pytest.mark.live
def test_fetchmail(served: Served, tmp_path: Path) -> None:
    _fill(served, COUNT)
    served.start()
    out = tmp_path / "got"
    conf = tmp_path / "fetchmailrc"
    conf.write_text(
        f"set idfile {tmp_path}/ids\n"
        f"poll 127.0.0.1 protocol pop3 port {served.port} uidl\n"
        f"user {served.user} password {PASSWORD} keep sslproto ''\n"
        f'mda "cat >>{out}"\n'
    )
    conf.chmod(0o600)
    command = ["fetchmail", "-f", str(conf), "--pidfile", str(tmp_path / "pid"), "-s"]
    for status in (0, 1):  # 1: there was no mail
        done = subprocess.run(command, check=False, timeout=300)
        assert done.returncode == status
        assert out.read_bytes().count(b"Subject: s") == COUNT


@pytest.mark.live
def test_curl(served: Served) -> None:
    _fill(served, 3)
    served.start()
    for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5"):
        done = subprocess.run(
            [
                *("curl", "-s", f"pop3://127.0.0.1:{served.port}/2"),
                *("--login-options", f"AUTH={mechanism}"),
                *("-u", f"{served.user}:{PASSWORD}"),
            ],
            check=True,
            capture_output=True,
            timeout=60,
        )
        assert done.stdout.split(b"\r\n")[:-1] == _wire(2)
