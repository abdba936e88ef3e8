"""Whole deliveries to aiosmtpd: forms, routes, logs, addresses of both families."""

import email
import email.policy
import socket
from pathlib import Path

import pytest

from mailfs.smtp.client import HostUnreachable
from mailfs.smtp.fate import DeliveryError
from tests.net.scripted import Scripted, Talk
from tests.smtp.nameserver import NameServer
from tests.smtp.test_session import END, OK3, play
from tests.smtp.world import (
    NOW,
    TEXT,
    Box,
    client,
    logged,
    logs,
    mail,
    posted,
    receiver,
)

UTF8 = "From: Jürgen <glenda@h.org>\nTo: a@b.com\nSubject: grüße\n\nköln\n".encode()


def test_delivered(tmp_path: Path) -> None:
    logs(tmp_path)
    box = Box()
    with receiver(box) as port:
        sender = client(tmp_path)
        text = b"From glenda Sun Nov 22 12:45:08 2026 remote from gnot\n" + TEXT
        (fate,) = sender.deliver(mail(port, "b.com!a", text=text))
        sender.close()
    assert (fate.ok, fate.code, fate.enhanced) == (True, 250, "2.0.0")
    (got,) = box.got
    assert got.mail_from == "glenda@gnot.h.org"
    assert got.rcpt_tos == ["a@b.com"]
    assert box.names == ["gnot.h.org"]
    assert logged(tmp_path)[0].endswith("bytes to b.com!a (127.0.0.1)")
    assert logged(tmp_path)[0].startswith("glenda sent ")


def test_the_example_domain_is_not_used(tmp_path: Path) -> None:
    """A queued message waits until remotemail is edited; one with a domain goes."""
    box = Box()
    with receiver(box) as port:
        sender = client(tmp_path, "-h", "yourdomain.dom")
        dest = f"net!127.0.0.1!{port}"
        with pytest.raises(DeliveryError, match="is an example: write your") as e:
            sender.deliver(posted(TEXT, dest, "glenda", ("a@b.com",)))
        assert not e.value.permanent
        assert box.got == []
        (fate,) = sender.deliver(posted(TEXT, dest, "glenda@x.org", ("a@b.com",)))
        sender.close()
    assert fate.ok


def test_names(tmp_path: Path) -> None:
    box = Box()
    with receiver(box) as port:
        sender = client(tmp_path, "-h", "mail")
        text = b"To: joe\nSubject: x\n\n"
        sender.deliver(posted(text, f"net!127.0.0.1!{port}", "/dev/null", ("b",)))
        sender.close()
    (got,) = box.got
    assert got.mail_from in ("", "<>")
    assert got.rcpt_tos == ["b@[127.0.0.1]"]
    assert isinstance(got.content, bytes)
    message = email.message_from_bytes(got.content)
    assert message["to"] == "joe@mail.h.org"
    assert message["from"] == "Postmaster@mail.h.org"
    assert message["message-id"].endswith("@mail.h.org>")
    assert message["date"] == email.utils.format_datetime(
        email.utils.localtime(__import__("datetime").datetime.fromtimestamp(NOW))
    )


def content(box: Box) -> bytes:
    (got,) = box.got
    assert isinstance(got.content, bytes)
    return got.content


def test_eight_bit_as_it_is(tmp_path: Path) -> None:
    box = Box()
    with receiver(box, enable_SMTPUTF8=False) as port:
        sender = client(tmp_path)
        assert sender.deliver(mail(port, text=UTF8))[0].ok
        sender.close()
    assert "köln".encode() in content(box)
    assert "BODY=8BITMIME" in box.got[0].mail_options
    message = email.message_from_bytes(content(box), policy=email.policy.default)
    assert (message["subject"], message["from"]) == ("grüße", "Jürgen <glenda@h.org>")
    assert content(box).partition(b"\r\n\r\n")[0].isascii()


def test_eight_bit_recoded(tmp_path: Path) -> None:
    with Scripted(play(*OK3, *END)) as server:  # it has no 8BITMIME
        sender = client(tmp_path)
        assert sender.deliver(mail(server.port, text=UTF8))[0].ok
        sender.close()
    assert "BODY" not in server.heard[1]
    text = "\n".join(server.heard[4 : server.heard.index(".")])
    message = email.message_from_string(text, policy=email.policy.default)
    assert message.get_content().strip() == "köln"
    assert text.isascii()


def test_signed_text_is_not_recoded(tmp_path: Path) -> None:
    signed = UTF8.replace(
        b"\n\n", b"\nContent-Type: multipart/signed; boundary=b\n\n", 1
    )
    with Scripted(play()) as server:  # it has no 8BITMIME
        sender = client(tmp_path)
        (fate,) = sender.deliver(mail(server.port, text=signed))
        sender.close()
    assert (fate.permanent, fate.enhanced) == (True, "5.6.3")
    assert "what is signed must not change" in fate.line


@pytest.mark.parametrize(
    "poison",
    ["a@" + "x" * 64 + ".com", "a@" + "ü" * 60 + ".de", "a@b\udcff.com", "a@b..ü"],
)
def test_a_recipient_no_command_can_carry_fails_alone(
    tmp_path: Path, poison: str
) -> None:
    box = Box()
    with receiver(box) as port:
        sender = client(tmp_path)
        bad, good = sender.deliver(mail(port, poison, "a@b.com"))
        sender.close()
    assert (bad.permanent, bad.enhanced) == (True, "5.1.3")
    assert good.ok


@pytest.mark.parametrize("host", ["x" * 64, "b\udcff.com", "ü" * 60 + ".de", "b..ü"])
def test_a_host_no_resolver_can_be_asked_for(tmp_path: Path, host: str) -> None:
    sender = client(tmp_path)
    with pytest.raises(HostUnreachable, match="illegal address") as e:
        sender.deliver(posted(b"From: a@b.c\n\nx\n", f"net!{host}", "g", ("a@b.c",)))
    assert e.value.permanent


def test_utf8_addresses(tmp_path: Path) -> None:
    box = Box()
    text = "From: jürgen@h.org\nTo: größe@bücher.example\n\nx\n".encode()
    with receiver(box, enable_SMTPUTF8=True) as port:
        sender = client(tmp_path)
        dest = f"net!127.0.0.1!{port}"
        rcpts = ("größe@bücher.example", "a@bücher.example")
        fates = sender.deliver(posted(text, dest, "jürgen@h.org", rcpts))
        sender.close()
    assert all(f.ok for f in fates)
    assert "SMTPUTF8" in box.got[0].mail_options
    assert box.got[0].rcpt_tos == ["größe@bücher.example", "a@xn--bcher-kva.example"]
    assert "größe@bücher.example".encode() in content(box)


@pytest.mark.parametrize("who", ["sender", "recipient", "header"])
def test_utf8_addresses_refused(tmp_path: Path, who: str) -> None:
    with receiver(Box(), enable_SMTPUTF8=False) as port:
        sender = client(tmp_path)
        mails = {
            "sender": posted(TEXT, f"net!127.0.0.1!{port}", "jü@h.org", ("a@b.com",)),
            "recipient": mail(port, "jü@b.com"),
            "header": mail(port, text="From: jü@h.org\n\nx\n".encode()),
        }
        (fate,) = sender.deliver(mails[who])
        sender.close()
    assert (fate.ok, fate.permanent, fate.enhanced) == (False, True, "5.6.7")


def test_bad_addresses_do_not_harm_others(tmp_path: Path) -> None:
    box = Box()
    logs(tmp_path)
    box.rcpts = {"c@b.com": "550 5.1.1 no c", "d@b.com": "451 4.2.1 d is busy"}
    with receiver(box) as port:
        sender = client(tmp_path)
        fates = sender.deliver(
            mail(port, "a@b.com", "x@<y>", "c@b.com", "d@b.com", "e@b.com")
        )
        assert not sender.deliver(mail(port, "x@<y>"))[0].ok
        odd = posted(TEXT, f"net!127.0.0.1!{port}", "a b@<c>", ("a@b.com",))
        assert sender.deliver(odd)[0].enhanced == "5.1.7"
        sender.close()
    assert [f.ok for f in fates] == [True, False, False, False, True]
    assert [f.permanent for f in fates] == [False, True, True, False, False]
    assert box.got[0].rcpt_tos == ["a@b.com", "e@b.com"]
    failures = logged(tmp_path, "smtp.fail")
    assert "delivery to c@b.com at 127.0.0.1 failed: 550 5.1.1 no c" in failures


def test_ipv6(tmp_path: Path) -> None:
    if not socket.has_ipv6 or not Path("/proc/net/if_inet6").read_text().strip():
        return
    box = Box()
    with receiver(box, host="::1") as port:
        zone = {("b.com", "AAAA"): ("::1",)}
        with NameServer(zone) as names:
            sender = client(tmp_path, resolvers=names.resolvers)
            dest = posted(TEXT, f"net!b.com!{port}", "glenda", ("a@b.com",))
            assert sender.deliver(dest)[0].ok
            assert sender.deliver(posted(TEXT, f"net![::1]!{port}", "glenda", ("u",)))[
                0
            ].ok
            sender.close()
    assert box.got[1].rcpt_tos == ["u@[IPv6:::1]"]


def test_next_mx(tmp_path: Path) -> None:
    """A server that is down, or greets with a refusal, is passed over."""
    box = Box()

    def act(talk: Talk) -> None:
        talk.send("554 5.3.2 no service")

    with receiver(box) as port:
        zone = {
            ("b.com", "MX"): ("1 dead.b.com.", "2 live.b.com."),
            ("dead.b.com", "A"): ("127.0.0.9",),
            ("live.b.com", "A"): ("127.0.0.1",),
        }
        with NameServer(zone) as names:
            sender = client(tmp_path, resolvers=names.resolvers)
            (fate,) = sender.deliver(
                posted(TEXT, f"net!b.com!{port}", "glenda", ("a@b.com",))
            )
            sender.close()
    assert (fate.ok, fate.host) == (True, "live.b.com")


def test_gateway_of_the_database(tmp_path: Path) -> None:
    box = Box()
    (tmp_path / "lib/ndb").mkdir(parents=True)
    with receiver(box) as port:
        local = tmp_path / "lib/ndb/local"
        local.write_text(f"sys=gnot dom=gnot.h.org smtp=tcp!127.0.0.1!{port}\n")
        sender = client(tmp_path)
        assert sender.deliver(posted(TEXT, "net!$smtp", "glenda", ("a@b.com",)))[0].ok
        with pytest.raises(DeliveryError, match="no mx= in ndb") as e:
            sender.deliver(posted(TEXT, "net!$mx", "glenda", ("a@b.com",)))
        sender.close()
    assert not e.value.permanent
    assert box.got[0].rcpt_tos == ["a@b.com"]


def test_host_without_a_dot(tmp_path: Path) -> None:
    """One of ndb, one of the system, or none at all: then at once and for good."""
    box = Box()
    (tmp_path / "lib/ndb").mkdir(parents=True)
    (tmp_path / "lib/ndb/local").write_text("sys=kremvax ip=127.0.0.1\n")
    with receiver(box) as port:
        sender = client(tmp_path)
        for host in ("kremvax", "localhost"):
            one = posted(TEXT, f"net!{host}!{port}", "glenda", ("a@b.com",))
            assert sender.deliver(one)[0].ok
        with pytest.raises(HostUnreachable, match="sys=nosuchvax dom=") as e:
            sender.deliver(posted(TEXT, f"net!nosuchvax!{port}", "g", ("a@nosuchvax",)))
        sender.close()
    assert (e.value.permanent, e.value.enhanced) == (True, "5.1.2")
    assert len(box.got) == 2


def test_gateway_of_last_resort(tmp_path: Path) -> None:
    box = Box()
    with receiver(box) as port, NameServer({}) as names:
        sender = client(
            tmp_path, "-g", f"net!127.0.0.1!{port}", resolvers=names.resolvers
        )
        dest = posted(TEXT, "net!nowhere.org", "glenda", ("a@nowhere.org",))
        assert sender.deliver(dest)[0].ok
        sender.close()
        lone = client(tmp_path, resolvers=names.resolvers)
        with pytest.raises(HostUnreachable, match="unknown domain") as e:
            lone.deliver(dest)
    assert e.value.permanent


def test_no_destination(tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match="unknown service") as e:
        client(tmp_path).deliver(posted(TEXT, "net!b.com!nope", "glenda", ("a",)))
    assert e.value.permanent


def test_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailfs.smtp.letter.MAX_MESSAGE", 10)
    (fate,) = client(tmp_path).deliver(mail(1))
    assert (fate.permanent, fate.enhanced) == (True, "5.3.4")


def test_smuggling(tmp_path: Path) -> None:
    box = Box()
    evil = TEXT + b"x\r.\rMAIL FROM:<e@vil>\rRCPT TO:<a@b.com>\rDATA\rboo\r.\r"
    with receiver(box) as port:
        sender = client(tmp_path)
        assert sender.deliver(mail(port, text=evil))[0].ok
        sender.close()
    assert len(box.got) == 1
    assert b"\r\n.\r\nMAIL FROM" in content(box)  # unstuffed again


def test_short_name_says_its_address(tmp_path: Path) -> None:
    from dataclasses import replace

    box = Box()
    with receiver(box) as port:
        sender = client(tmp_path)
        sender.opener = replace(sender.opener, helo="gnot")
        assert sender.deliver(mail(port))[0].ok
        sender.close()
    assert box.names == ["[127.0.0.1]"]
