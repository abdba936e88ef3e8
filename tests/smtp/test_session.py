"""The dialogue, line by line: transcripts, hangups, tarpits, servers that lie."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailfs.smtp.client import HostUnreachable, SmtpClient
from mailfs.smtp.fate import Fate, Reply
from mailfs.smtp.limit import DeliveryLimit
from mailfs.smtp.session import (
    MAX_LINE,
    MAX_LINES,
    Broken,
    SmtpSession,
    Timeouts,
    extensions,
)
from tests.net.scripted import Gone, Play, Scripted, Talk
from tests.smtp.world import QUICK, client, mail

HELLO = ("250-mx greets you", "250-PIPELINING", "250-SIZE 1000000", "250 DSN")


def play(
    *script: str | tuple[str, ...],
    hello: tuple[str, ...] = HELLO,
    banner: str = "220 mx ESMTP",
) -> Play:
    """Return a play: banner, EHLO, then answers to each line that comes.

    ``DATA`` in the script stands for reading a message.
    """

    def act(talk: Talk) -> None:
        talk.send(banner)
        assert talk.line().upper().startswith("EHLO ")
        talk.send(*hello)
        data = False
        for answers in script:
            if answers == "DATA":
                data = True
                continue
            while talk.line() != "." and data:
                pass
            data = False
            talk.send(*([answers] if isinstance(answers, str) else answers))

    return act


def deliver(
    root: Path, server: Scripted, *rcpts: str, whole: bool = False
) -> list[Fate]:
    sender = client(root)
    try:
        return sender.deliver(mail(server.port, *rcpts, whole=whole))
    finally:
        sender.close()


OK3 = ("250 2.1.0 ok", "250 2.1.5 ok", "354 go")


def test_transaction(tmp_path: Path) -> None:
    with Scripted(play(*OK3, "DATA", "250 2.0.0 queued", "221 bye")) as server:
        (fate,) = deliver(tmp_path, server)
    assert fate.ok
    assert server.heard[:4] == [
        "ehlo gnot.h.org",
        "MAIL FROM:<glenda@gnot.h.org> SIZE=156",
        "RCPT TO:<a@b.com>",
        "DATA",
    ]
    assert server.heard[-3:] == ["hello", ".", "QUIT"]


END = ("DATA", "250 2.0.0 queued")
Script = tuple[str, ...]
# Recipients, what the server says if all comes at once, if line by line, the fates.
FATES: list[tuple[str, Script, Script, list[tuple[bool, int]]]] = [
    ("a", (*OK3, *END), (*OK3, *END), [(True, 250)]),
    (
        "abc",
        ("250 ok", "250 ok", "450 4.2.0 busy", "550 5.1.1 who", "354 go", *END),
        ("250 ok", "250 ok", "450 4.2.0 busy", "550 5.1.1 who", "354 go", *END),
        [(True, 250), (False, 450), (False, 550)],
    ),
    ("a", ("250 ok", "550 who", "503 no"), ("250 ok", "550 who"), [(False, 550)]),
    (
        "a",
        ("250 ok", "550 who", "354 go", "DATA", "554 none"),
        ("250 ok", "550 who"),
        [(False, 550)],
    ),
    ("ab", ("550 not you", *("503 x",) * 3), ("550 no",), [(False, 550)] * 2),
    ("a", ("451 later", "503 x", "503 x"), ("451 later",), [(False, 451)]),
    ("a", (*OK3[:2], "451 4.3.0 x"), (*OK3[:2], "451 x"), [(False, 451)]),
    ("a", (*OK3[:2], "250 what"), (*OK3[:2], "250 what"), [(False, 451)]),
    ("a", (*OK3, "DATA", "554 x"), (*OK3, "DATA", "554 x"), [(False, 554)]),
    ("a", (*OK3, "DATA", "452 x"), (*OK3, "DATA", "452 x"), [(False, 452)]),
    ("a", ("421 going", "503 x", "503 x"), ("421 going",), [(False, 421)]),
]


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize(("rcpts", "fast", "slow", "want"), FATES)
def test_fates(
    tmp_path: Path,
    rcpts: str,
    fast: Script,
    slow: Script,
    want: list[tuple[bool, int]],
    *,
    pipelining: bool,
) -> None:
    script = play(*fast) if pipelining else play(*slow, hello=("250 mx",))
    with Scripted(script) as server:
        words = [f"{r}@b.com" for r in rcpts]
        fates = deliver(tmp_path, server, *words)
    assert [f.rcpt for f in fates] == words
    assert [(f.ok, f.code) for f in fates] == want
    assert [f.permanent for f in fates] == [code >= 500 for _, code in want]
    assert ("." in server.heard) == ("354 go" in (fast if pipelining else slow))


def test_flight_is_one_write(tmp_path: Path) -> None:
    got = []

    def act(talk: Talk) -> None:
        talk.send("220 mx")
        talk.line()
        talk.send(*HELLO)
        got.append(talk.line())  # the others must be here, unasked for
        got.extend(talk.line() for _ in range(3))
        talk.send("250 ok", "250 ok", "250 ok", "354 go")
        while talk.line() != ".":
            pass
        talk.send("250 ok")

    with Scripted(act) as server:
        fates = deliver(tmp_path, server, "a@b.com", "c@b.com")
    assert all(f.ok for f in fates)
    assert got[3] == "DATA"


def test_all_or_nothing(tmp_path: Path) -> None:
    script = ("250 ok", "250 ok", "450 later", "250 reset")
    with Scripted(play(*script)) as server:
        fates = deliver(tmp_path, server, "a@b.com", "b@b.com", whole=True)
    assert [(f.ok, f.permanent, f.code) for f in fates] == [
        (False, False, 451),
        (False, False, 450),
    ]
    assert "DATA" not in server.heard
    never = ("250 ok", "250 ok", "550 never", "354 go", "DATA", "250 ok")
    with Scripted(play(*never)) as server:
        fates = deliver(tmp_path, server, "a@b.com", "b@b.com", whole=True)
    assert [f.ok for f in fates] == [True, False]


def test_too_many_recipients(tmp_path: Path) -> None:
    script = ("250 ok", "250 ok", "452 4.5.3 too many", "354 go", "DATA", "250 ok")
    again = ("250 ok", "250 ok", "354 go", "DATA", "250 ok")
    with Scripted(play(*script, *again)) as server:
        fates = deliver(tmp_path, server, "a@b.com", "b@b.com")
    assert [f.ok for f in fates] == [True, True]
    full = ("250 ok", "250 ok", "452 4.2.2 full", "354 go", "DATA", "250 ok")
    with Scripted(play(*full)) as server:
        fates = deliver(tmp_path, server, "a@b.com", "b@b.com")
    assert [f.ok for f in fates] == [True, False]


def test_groups(tmp_path: Path) -> None:
    """RFC 5321 section 4.5.3.1.8: no server has to take more than 100."""
    first = ("250 ok",) * 101 + ("354 go", "DATA", "250 ok")
    rest = ("250 ok",) * 6 + ("354 go", "DATA", "250 ok")
    with Scripted(play(*first, *rest)) as server:
        words = [f"u{i}@b.com" for i in range(105)]
        fates = deliver(tmp_path, server, *words)
    assert all(f.ok for f in fates)
    assert [f.rcpt for f in fates] == words


@pytest.mark.parametrize(
    ("banner", "permanent"), [("554 go away", True), ("421 busy", False), ("220", None)]
)
def test_banner(tmp_path: Path, banner: str, *, permanent: bool | None) -> None:
    def act(talk: Talk) -> None:
        talk.send(banner)
        talk.line()
        talk.send("502 no")
        assert talk.line().startswith("helo ")
        talk.send("554 nor that")

    with Scripted(act) as server, pytest.raises(HostUnreachable) as e:
        deliver(tmp_path, server)
    assert e.value.permanent is (permanent is not False)


def test_helo(tmp_path: Path) -> None:
    def act(talk: Talk) -> None:
        talk.send("220 old")
        talk.line()
        talk.send("500 what")
        assert talk.line() == "helo gnot.h.org"
        talk.send("250 hi")
        for reply in OK3:
            assert "SIZE" not in talk.line()
            talk.send(reply)
        while talk.line() != ".":
            pass
        talk.send("250 ok")

    with Scripted(act) as server:
        assert deliver(tmp_path, server)[0].ok


TARPITS: list[tuple[str, Callable[[Talk], None]]] = [
    ("nothing", lambda talk: None),
    ("half a line", lambda talk: talk.send(b"220 he")),
    ("no end of lines", lambda talk: talk.send("220-a", "220-b")),
]


@pytest.mark.parametrize("what", [f for _, f in TARPITS], ids=[n for n, _ in TARPITS])
def test_tarpit(tmp_path: Path, what: Callable[[Talk], None]) -> None:
    def act(talk: Talk) -> None:
        what(talk)
        while True:
            talk.line()

    with Scripted(act) as server:
        sender = client(tmp_path, timeouts=Timeouts(2, 0.1, 0.1))
        with pytest.raises(HostUnreachable, match="timed out") as e:
            sender.deliver(mail(server.port))
    assert not e.value.permanent


def test_dripping_tarpit(tmp_path: Path) -> None:
    """Octets that keep coming do not move the end of the wait."""
    stop = threading.Event()

    def act(talk: Talk) -> None:
        while not stop.wait(0.02):
            try:
                talk.send(b"2")
            except OSError:
                return

    with Scripted(act) as server:
        sender = client(tmp_path, timeouts=Timeouts(2, 0.3))
        with pytest.raises(HostUnreachable, match="timed out"):
            sender.deliver(mail(server.port))
        stop.set()


BABBLE: list[tuple[list[bytes], str]] = [
    ([b"x" * (MAX_LINE + 20)], "line too long"),
    ([b"220-more\r\n" * (MAX_LINES + 1)], "too many lines"),
    ([b"hello there\r\n"], "not a reply"),
    ([b"22x hi\r\n"], "not a reply"),
    ([b"220:hi\r\n"], "not a reply"),
    ([b"\r\n"], "not a reply"),
]


@pytest.mark.parametrize(("octets", "why"), BABBLE)
def test_babble(tmp_path: Path, octets: list[bytes], why: str) -> None:
    def act(talk: Talk) -> None:
        talk.send(*octets)
        while True:
            talk.line()

    with Scripted(act) as server, pytest.raises(HostUnreachable, match=why):
        deliver(tmp_path, server)


REPLIES = [
    (b"250 ok\r\n", Reply(250, ("ok",))),
    (b"250-a\r\n250-b c\r\n250 d\r\n", Reply(250, ("a", "b c", "d"))),
    (b"250\r\n", Reply(250, ("",))),
    (b"550-5.1.1 a\n550 5.1.1 b\n", Reply(550, ("5.1.1 a", "5.1.1 b"))),
    (b"250 \xff\x07\r\n", Reply(250, ("\ufffd?",))),
]


def paired() -> tuple[SmtpSession, socket.socket]:
    ours, theirs = socket.socketpair()
    return SmtpSession(ours, "mx", "h.org", QUICK), theirs


@pytest.mark.parametrize(("octets", "want"), REPLIES)
def test_reply_cut_everywhere(octets: bytes, want: Reply) -> None:
    for cut in range(len(octets)):
        session, theirs = paired()
        with theirs:
            theirs.sendall(octets[:cut])
            sender = threading.Timer(0, theirs.sendall, [octets[cut:] + b"221 x\r\n"])
            sender.start()
            assert session.reply(2) == want
            assert session.reply(2).code == 221
            sender.join()
        session.close()


@given(st.binary(max_size=60))
@settings(max_examples=200)
def test_garbage_is_broken_or_a_reply(octets: bytes) -> None:
    session, theirs = paired()
    theirs.sendall(octets)
    theirs.close()
    try:
        reply = session.reply(2)
    except Broken:
        pass
    else:
        assert 0 <= reply.code <= 999
        assert all(text.isprintable() for text in reply.lines)
    session.close()


def test_hangup_after_data_is_temporary(tmp_path: Path) -> None:
    def act(talk: Talk) -> None:
        play(*OK3)(talk)
        while talk.line() != ".":
            pass
        talk.close()

    with Scripted(act) as server:
        (fate,) = deliver(tmp_path, server)
    assert (fate.ok, fate.permanent, fate.code) == (False, False, 0)
    assert server.connections == 1  # it may have been taken: not at once again


def test_hangup_in_the_second_group_spares_the_first(tmp_path: Path) -> None:
    def act(talk: Talk) -> None:
        play(*("250 ok",) * 101, "354 go", "DATA", "250 ok")(talk)
        talk.line()
        talk.close()

    with Scripted(act) as server:
        fates = deliver(tmp_path, server, *[f"u{i}@b.com" for i in range(105)])
    assert [f.ok for f in fates] == [True] * 100 + [False] * 5


def test_connection_is_used_again_or_replaced(tmp_path: Path) -> None:
    once = play(*OK3, *END)

    def closing(talk: Talk) -> None:
        once(talk)
        talk.close()

    with Scripted(closing, play(*OK3, *END, *OK3, *END)) as server:
        sender = client(tmp_path)
        for _ in range(3):
            assert sender.deliver(mail(server.port))[0].ok
        sender.close()
        assert server.connections == 2


def test_a_failed_transaction_is_reset(tmp_path: Path) -> None:
    script = ("250 ok", "550 who", "503 no", "250 reset", *OK3, *END)
    with Scripted(play(*script)) as server:
        sender = client(tmp_path)
        assert not sender.deliver(mail(server.port))[0].ok
        assert sender.deliver(mail(server.port))[0].ok
        sender.close()
    assert server.heard.count("RSET") == 1


def test_421_ends_the_connection(tmp_path: Path) -> None:
    closing = play("421 4.3.2 bye", "503 x", "503 x")
    with Scripted(closing, play(*OK3, *END)) as server:
        sender = client(tmp_path)
        assert sender.deliver(mail(server.port))[0].code == 421
        assert sender.deliver(mail(server.port))[0].ok
        sender.close()


def test_ping(tmp_path: Path) -> None:
    script = ("250 ok", "250 ok", "550 no", "221 bye")
    with Scripted(play(*script)) as server:
        sender = client(tmp_path, "-p")
        fates = sender.deliver(mail(server.port, "a@b.com", "b@b.com"))
        sender.close()
    assert [f.ok for f in fates] == [True, False]
    assert "DATA" not in server.heard


def test_silent_server(tmp_path: Path) -> None:
    def act(talk: Talk) -> None:
        assert talk.line() == "NOOP"
        talk.send("220 mx")
        talk.send("250 noop")
        talk.line()
        talk.send("250 mx")
        for reply in OK3:
            talk.line()
            talk.send(reply)
        while talk.line() != ".":
            pass
        talk.send("250 ok")

    with Scripted(act) as server:
        sender = client(tmp_path, "-A")
        assert sender.deliver(mail(server.port))[0].ok
        sender.close()


def test_dsn_parameters(tmp_path: Path) -> None:
    with Scripted(play(*OK3, *END)) as server:
        sender = client(
            tmp_path,
            "--notify",
            "success,failure",
            "--ret",
            "hdrs",
            "--envid",
            "a=b +c",
        )
        assert sender.deliver(mail(server.port, "x+y@b.com"))[0].ok
        sender.close()
    assert server.heard[1].endswith(" RET=HDRS ENVID=a+3Db+20+2Bc")
    want = "RCPT TO:<x+y@b.com> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;x+2By@b.com"
    assert server.heard[2] == want


def test_size(tmp_path: Path) -> None:
    with Scripted(play(hello=("250-mx", "250 SIZE 20"))) as server:
        (fate,) = deliver(tmp_path, server)
    assert (fate.permanent, fate.enhanced) == (True, "5.3.4")
    assert not [line for line in server.heard if line.startswith("MAIL")]


def test_trace(tmp_path: Path) -> None:
    seen: list[str] = []
    with Scripted(play(*OK3, *END)) as server:
        sender = client(tmp_path, trace=seen.append)
        sender.deliver(mail(server.port))
        sender.close()
    assert seen[0] == "<- 220 mx ESMTP"
    assert "-> ehlo gnot.h.org" in seen
    assert "-> (message)" in seen


def closing(*replies: str, count: int, hello: tuple[str, ...] = HELLO) -> Play:
    """Return a play that reads so many lines, gives replies and hangs up."""

    def act(talk: Talk) -> None:
        talk.send("220 mx")
        talk.line()
        talk.send(*hello)
        for _ in range(count):
            talk.line()
        talk.send(*replies)
        talk.close()

    return act


ALONE = tuple(line for line in HELLO if "PIPELINING" not in line)


@pytest.mark.parametrize("code", ["550 5.1.1", "452 4.2.2"])
def test_hang_up_behind_a_refusal(tmp_path: Path, code: str) -> None:
    """The reply that came counts, with its text."""
    with Scripted(closing("250 ok", f"{code} no such user", count=3)) as server:
        (fate,) = deliver(tmp_path, server)
    assert (fate.ok, fate.permanent) == (False, code.startswith("5"))
    assert "no such user" in fate.line


def test_hang_up_behind_a_refused_sender(tmp_path: Path) -> None:
    with Scripted(closing("550 5.7.1 not you", count=3)) as server:
        fates = deliver(tmp_path, server, "a@h.org", "b@h.org")
    assert [f.permanent for f in fates] == [True, True]
    assert all("not you" in f.line for f in fates)


def test_hang_up_recipient_by_recipient(tmp_path: Path) -> None:
    replies = "250 ok", "250 ok", "550 5.1.1 no b"
    rcpts = "a@h.org", "b@h.org", "c@h.org"
    with Scripted(closing(*replies, count=5)) as server:
        a, b, c = deliver(tmp_path, server, *rcpts)
    assert (b.permanent, "no b" in b.line) == (True, True)
    for fate in (a, c):
        assert (fate.ok, fate.permanent) == (False, False)
        assert "connection closed" in fate.line


def test_hang_up_without_pipelining(tmp_path: Path) -> None:
    def act(talk: Talk) -> None:
        talk.send("220 mx")
        talk.line()
        talk.send(*ALONE)
        for reply in ("250 ok", "550 5.1.1 no a"):
            talk.line()
            talk.send(reply)
        talk.close()

    with Scripted(act) as server:
        a, b = deliver(tmp_path, server, "a@h.org", "b@h.org")
    assert (a.permanent, "no a" in a.line) == (True, True)
    assert not b.permanent


def test_421_is_each_remaining_recipients_reply(tmp_path: Path) -> None:
    replies = "250 ok", "250 ok", "421 4.3.2 going down"
    rcpts = "a@h.org", "b@h.org", "c@h.org"
    with Scripted(closing(*replies, count=5)) as server:
        fates = deliver(tmp_path, server, *rcpts)
    assert [f.permanent for f in fates] == [False] * 3
    assert all("going down" in f.line for f in fates)


def test_refused_while_the_message_is_sent(tmp_path: Path) -> None:
    """The server says why and hangs up; sending fails, the reply is there."""

    def act(talk: Talk) -> None:
        talk.send("220 mx")
        talk.line()
        talk.send(*HELLO)
        for reply in OK3:
            talk.line()
            talk.send(reply)
        talk.send("552 5.3.4 too big for us")
        talk.sock.shutdown(socket.SHUT_WR)
        while talk.line():
            pass

    with Scripted(act) as server:
        (fate,) = deliver(tmp_path, server)
    assert fate.permanent
    assert "too big for us" in fate.line


@pytest.mark.parametrize("stray", ["421 4.4.2 timeout", "250 2.0.0 stray"])
def test_a_kept_connection_with_octets_waiting_is_not_used(
    tmp_path: Path, stray: str
) -> None:
    spoken = threading.Event()

    def first(talk: Talk) -> None:
        # Else the stray waits in the server's kernel for an acknowledgement.
        talk.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        play(*OK3, "DATA", "250 2.0.0 queued")(talk)
        talk.send(stray)
        spoken.set()
        assert not talk.sock.recv(1)

    second = play(*OK3, "DATA", "250 2.0.0 queued anew", "221 bye")
    with Scripted(first, second) as server:
        sender = client(tmp_path)
        assert sender.deliver(mail(server.port))[0].ok
        assert spoken.wait(5)
        (fate,) = sender.deliver(mail(server.port))
        sender.close()
        assert server.connections == 2
    assert "queued anew" in fate.line


@pytest.mark.parametrize("reply", ["501 syntax", "454 4.7.0 not now", "502 what?"])
def test_an_optional_starttls_that_is_refused(tmp_path: Path, reply: str) -> None:
    def first(talk: Talk) -> None:
        talk.send("220 mx")
        talk.line()
        talk.send("250-mx", "250 STARTTLS")
        assert talk.line() == "STARTTLS"
        talk.send(reply)

    second = play(*OK3, "DATA", "250 2.0.0 queued", "221 bye")
    with Scripted(first, second) as server:
        (fate,) = deliver(tmp_path, server)
    assert fate.ok


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (("SIZE 10", "8BITMIME"), {"size": "10", "8bitmime": ""}),
        (("AUTH=LOGIN PLAIN",), {"auth": "LOGIN PLAIN"}),
        (("AUTH PLAIN", "AUTH=LOGIN"), {"auth": "PLAIN LOGIN"}),
        (("", "X=Y Z"), {"x=y": "Z"}),
    ],
)
def test_extensions(lines: tuple[str, ...], found: dict[str, str]) -> None:
    assert extensions(lines) == found


def drip(talk: Talk) -> None:
    """Answer every command, an octet at a time, as if there were no end to it."""
    talk.send("220 mx")
    assert talk.line()
    talk.send("250 mx")
    with suppress(OSError):
        for _ in range(4000):
            talk.send(b"250-")
            time.sleep(0.05)


@pytest.mark.parametrize("act", [drip, lambda talk: talk.line()])
def test_a_delivery_ends_in_time(tmp_path: Path, act: Play) -> None:
    """However patient each wait is."""
    with Scripted(act) as server:
        sender = client(tmp_path, timeouts=Timeouts())
        limit = DeliveryLimit(0.5)
        with pytest.raises(HostUnreachable, match=r"timed out|gave up") as told:
            sender.deliver(mail(server.port), limit)
        assert not told.value.permanent
        sender.close()


def test_a_delivery_is_cut_in_any_wait(tmp_path: Path) -> None:
    for heard in (0, 1, 2, 3):
        asked = threading.Event()

        def act(talk: Talk, heard: int = heard, asked: threading.Event = asked) -> None:
            answers = ["220 mx", "250 mx", "250 ok", "250 ok"][:heard]
            for i, answer in enumerate(answers):
                talk.send(answer)
                assert talk.line()
                if i == 3:
                    break
            asked.set()
            with suppress(Gone, ConnectionError):
                talk.line()

        with Scripted(act) as server:
            sender = client(tmp_path, timeouts=Timeouts())
            limit = DeliveryLimit()
            told: list[object] = []

            def deliver(
                sender: SmtpClient = sender,
                port: int = server.port,
                limit: DeliveryLimit = limit,
                told: list[object] = told,
            ) -> None:
                try:
                    told.extend(sender.deliver(mail(port), limit))
                except HostUnreachable as e:
                    told.append(e)

            thread = threading.Thread(target=deliver)
            thread.start()
            assert asked.wait(20)
            assert limit.cut("runq ends")
            thread.join(20)
            assert not thread.is_alive()
            sender.close()
        assert "runq ends" in str(told[0])
