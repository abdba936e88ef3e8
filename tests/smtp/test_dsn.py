"""RFC 3461: what the sender asks of reports, read, kept and passed on."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.smtp import dsn
from mailfs.smtp.dsn import BadDsn, Dsn, RcptDsn
from mailfs.smtp.fate import read
from tests.net.scripted import Scripted
from tests.smtp.test_session import OK3, play
from tests.smtp.world import client, mail

WISHES = Dsn(
    "hdrs",
    "QQ314159",
    {
        "a@b.com": RcptDsn(("success", "delay"), "rfc822;Bob+20X@h.org"),
        "c@b.com": RcptDsn(("never",)),
    },
)


def test_passed_on(tmp_path: Path) -> None:
    script = ("250 ok", "250 ok", "250 ok", "354 go")
    with Scripted(play(*script, "DATA", "250 2.0.0 queued", "221 bye")) as server:
        sender = client(tmp_path)
        one = replace(mail(server.port, "a@b.com", "c@b.com"), dsn=WISHES)
        fates = sender.deliver(one)
        sender.close()
    assert [(f.ok, f.dsn) for f in fates] == [(True, True)] * 2
    assert server.heard[1].endswith(" RET=HDRS ENVID=QQ314159")
    assert server.heard[2:4] == [
        "RCPT TO:<a@b.com> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Bob+20X@h.org",
        "RCPT TO:<c@b.com> NOTIFY=NEVER ORCPT=rfc822;c@b.com",
    ]
    assert read(fates[0].show()) == fates[0]


def test_a_server_without(tmp_path: Path) -> None:
    hello = ("250-mx", "250 PIPELINING")
    with Scripted(play(*OK3, "DATA", "250 ok", "221 bye", hello=hello)) as server:
        sender = client(tmp_path)
        (fate,) = sender.deliver(replace(mail(server.port), dsn=WISHES))
        sender.close()
    assert (fate.ok, fate.dsn) == (True, False)
    assert server.heard[2] == "RCPT TO:<a@b.com>"


def test_file() -> None:
    assert dsn.read(dsn.show(WISHES)) == WISHES
    assert dsn.read(dsn.show(Dsn())) == Dsn()
    for octets in (b"", b"\xff'", b"ret='"):
        assert not dsn.read(octets).rcpts


@given(st.binary(max_size=80))
def test_any_file_is_read(octets: bytes) -> None:
    dsn.read(octets)


def test_wants() -> None:
    assert WISHES.wants("a@b.com", "delay")
    assert not WISHES.wants("a@b.com", "failure")
    assert not WISHES.wants("c@b.com", "failure")
    assert WISHES.wants("other@b.com", "failure")
    assert not WISHES.wants("other@b.com", "success")


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (dsn.notify, ""),
        (dsn.notify, "NEVER,DELAY"),
        (dsn.notify, "SOMETIMES"),
        (dsn.ret, "SOME"),
        (dsn.envid, ""),
        (dsn.envid, "a b"),
        (dsn.envid, "a+0"),
        (dsn.envid, "a\r\nb"),
        (dsn.envid, "x" * 101),
        (dsn.orcpt, "a@b.c"),
        (dsn.orcpt, "rfc822;"),
        (dsn.orcpt, "rfc822;a\nb"),
        (dsn.orcpt, "rfc822;\u00fc@b"),
        (dsn.orcpt, "utf-8;a\u2028b"),
    ],
)
def test_refused(read, text: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BadDsn):
        read(text)


def test_xtext() -> None:
    assert dsn.xtext("a b+c=\u00fc") == "a+20b+2Bc+3D+C3+BC"
    assert dsn.plain(dsn.xtext("a b+c=\u00fc")) == "a b+c=\u00fc"
