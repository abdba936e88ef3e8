"""The verb send: options, exit statuses, texts programs look for, sendmail's way."""

import os
import re
import subprocess
import sys
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

from mailfs.send import bounce, deadletter, mail
from mailfs.send.bounce import Failure
from tests.send.world import PIPETO, RECORDER, World

ME = "glenda"
TEXT = b"Subject: hi\n\nhello\n"


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path, user=ME)
    made.env |= {"MAILFS_ROOT": str(made.root), "USER": ME, "LOGNAME": ME}
    made.env["sysname"] = "kremvax"
    return made


def send(
    world: World, *words: str, text: bytes = TEXT, **env: str
) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "mailfs", "send", *words],
        input=text,
        capture_output=True,
        env={**os.environ, **world.env, **env},
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_it_arrives(world: World) -> None:
    assert send(world, "bob", "a@b.com") == (0, "", "")
    (found,) = world.mailbox("bob")
    assert found.startswith(b"From glenda ")
    assert b"\nTo: bob, a@b.com\n" in found
    assert world.taken()[0][0] == ["glenda", "net!b.com", "a"]


def test_what_would_happen(world: World) -> None:
    status, out, err = send(world, "-x", "team", "nosuch", "a.b", "o'neil")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "local!glenda",
        "local!bob",
        "y.com!x",
        "unknown user: local!nosuch",
        "Invalid address: a.b",
        "unknown user: local!o%%27neil",
    ]
    status, out, err = send(world, "-#", "-f", "x@y", "bob", "a@b.com", "a.b")
    assert out.splitlines() == [
        "cat >> /mail/box/bob/mbox",
        "/mail/lib/qmail 'x@y' 'net!b.com' 'a'",
        "Invalid address: a.b",
    ]
    assert world.mailbox("bob") == []


def test_commands_for_pipeto(world: World) -> None:
    world.write(world.box("bob") / "pipeto", PIPETO, program=True)
    assert send(world, "-#", "bob")[1] == (
        "upasname=bob /mail/box/bob/pipeto local!bob /mail/box/bob/mbox\n"
    )


def test_a_refusal_is_told_and_the_message_kept(world: World) -> None:
    status, out, err = send(world, "bob", "nosuch", "a.b")
    assert (status, out) == (1, "")
    path = world.box(ME) / deadletter.NAME
    assert err == (
        "Mail from 'glenda'\n"
        "to 'nosuch' alias `local!nosuch'\n"
        "failed with error 'unknown user'.\n"
        "from 'glenda'\n"
        "to 'a.b'\n"
        "failed with error 'Invalid address'.\n"
        f"saved in {path}\n"
    )
    assert len(world.mailbox("bob")) == 1
    send(world, "nosuch", text=b"From me: no header\n")
    first, second = world.mailbox(ME, deadletter.NAME)
    assert first.startswith(b"From glenda ")
    assert first.partition(b"\n")[2] == TEXT + b"\n"
    assert second.partition(b"\n")[2] == b"\n From me: no header\n\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_program_refuses(world: World) -> None:
    script = "#!/bin/sh\necho 'qer failed' >&2\nexit 1\n"
    world.lib("qmail", script, program=True)
    status, _, err = send(world, "a@b.com")
    assert status == 1
    assert "failed with error 'qer failed'.\n" in err
    assert "The mailer `/mail/lib/qmail' returned error status 1.\n" in err


def test_later_is_another_status(world: World) -> None:
    (world.box("bob") / "mbox").symlink_to(world.root / "none")
    status, _, err = send(world, "bob")
    assert status == 75
    assert "mail file cannot be opened" in err
    assert len(world.mailbox(ME, deadletter.NAME)) == 1


def test_no_rules(world: World) -> None:
    rules = world.root / "mail/lib/rewrite"
    rules.unlink()
    status, _, err = send(world, "bob")
    assert status == 1
    assert f"no mail rules configured: there is no {rules}; run: " in err
    assert f"or: cp {rules}.gateway {rules}'" in err
    assert len(world.mailbox(ME, deadletter.NAME)) == 1
    status, _, err = send(world, "-x", "bob")
    assert (status, err.startswith("mailfs send: no mail rules")) == (1, True)


def test_nothing_to_send(world: World) -> None:
    assert send(world, "bob", text=b"") == (0, "", "")
    assert world.mailbox("bob") == []


@pytest.mark.parametrize(
    ("words", "err"),
    [
        ([], "want an address, or -t"),
        (["a\nb"], "illegal characters in destination"),
        (["--nonsense", "a"], "unrecognized arguments"),
    ],
)
def test_usage(world: World, words: list[str], err: str) -> None:
    status, out, said = send(world, *words)
    assert (status, out) == (1, "")
    assert said.startswith("mailfs send: ")
    assert err in said
    assert said.count("\n") == 1


def test_upasname(world: World) -> None:
    send(world, "bob", upasname="janet@machine.dom")
    (found,) = world.mailbox("bob")
    assert found.startswith(b"From janet@machine.dom ")
    assert b"\nFrom: janet@machine.dom\n" in found


SENDMAIL = [
    ["-oem", "-oi", "bob"],  # mutt
    ["-oem", "-oi", "-f", "me@x.org", "--", "bob"],
    ["-i", "bob"],  # git send-email
    ["-i", "-f", "me@x.org", "bob"],
    ["-FCronDaemon", "-i", "-B8BITMIME", "-oem", "bob"],  # cron
    ["-bm", "-em", "-n", "-N", "failure", "-R", "hdrs", "bob"],
    ["bob", "-oi"],
]


@pytest.mark.parametrize("words", SENDMAIL)
def test_the_ways_of_sendmail(world: World, words: list[str]) -> None:
    text = b"Subject: hi\n\none\n.\ntwo\n"
    assert send(world, *words, text=text) == (0, "", "")
    (found,) = world.mailbox("bob")
    assert found.endswith(b"\n\none\n.\ntwo\n")
    sender = b"me@x.org" if "me@x.org" in words else b"glenda"
    assert found.startswith(b"From " + sender + b" ")
    if "-FCronDaemon" in words:
        assert b'\nFrom: "CronDaemon" <glenda>\n' in found


def test_octets_that_are_no_text(world: World) -> None:
    words = [sys.executable, "-P", "-m", "mailfs", "send"]
    env = {**os.environ, **world.env}
    for more, status in ((["-x"], 0), ([], 1)):
        done = subprocess.run(
            [*words, *more, b"a\xff@x.com", b"b\xfe"],
            input=TEXT,
            capture_output=True,
            env=env,
            check=False,
        )
        assert done.returncode == status
        assert b"Traceback" not in done.stderr
        if more:
            assert done.stdout == b"invalid address: a\xff@x.com\n" + (
                b"invalid address: b\xfe\n"
            )
    assert send(world, "-f", os.fsdecode(b"\xff@x"), "bob") == (0, "", "")


def test_sender_in_brackets(world: World) -> None:
    for given, sender in (("<a@b>", b"a@b"), ("<>", b"/dev/null"), ("", b"/dev/null")):
        assert send(world, "-f", given, "bob") == (0, "", "")
        assert world.mailbox("bob")[-1].startswith(b"From " + sender + b" ")


def test_recipients_from_the_header(world: World) -> None:
    text = b"To: Bob <bob>,\n\ta@b.com\nBcc: glenda\nSubject: x\n\ny\n"
    assert send(world, "-t", "-oi", text=text) == (0, "", "")
    for user in ("bob", "glenda"):
        (found,) = world.mailbox(user)
        assert b"\nTo: Bob <bob>,\n\ta@b.com\nSubject: x\n" in found
        assert b"Bcc" not in found
    status, _, err = send(world, "-t", text=b"Subject: x\n\ny\n")
    assert (status, err) == (1, "mailfs send: no addresses found, message not sent\n")


def test_a_dot_ends_it_if_asked(world: World) -> None:
    send(world, "--dot", "bob", text=b"\none\n.\ntwo\n")
    assert world.mailbox("bob")[0].endswith(b"\none\n")


def test_no_to_line(world: World) -> None:
    send(world, "-b", "bob")
    assert b"\nTo:" not in world.mailbox("bob")[0]


REMOTE = b"From x@y.org Sun Nov 22 12:00:00 GMT 2026 remote from \n"


def test_from_a_program(world: World) -> None:
    assert send(world, "-r", "bob", text=REMOTE + TEXT) == (0, "", "")
    (found,) = world.mailbox("bob")
    assert found.startswith(b"From x@y.org Sun Nov 22 12:00:00 ")
    assert found.partition(b"\n")[2] == TEXT


def test_a_program_is_refused(world: World) -> None:
    status, out, err = send(world, "-r", "nosuch", text=REMOTE + TEXT)
    assert (status, out) == (1, "")
    assert err == (
        "mail refused: from 'x@y.org'\nto 'nosuch' alias `local!nosuch'\n"
        "failed with error 'unknown user'.\n"
    )
    assert not (world.box(ME) / deadletter.NAME).exists()
    (world.root / "mail/lib/rewrite").unlink()
    status, _, err = send(world, "-r", "bob", text=REMOTE + TEXT)
    assert (status, err.startswith("Mail from")) == (75, True)


def parts(octets: bytes) -> tuple[Message, list[Message]]:
    message = message_from_bytes(octets.partition(b"\n")[2])
    found = message.get_payload()
    assert isinstance(found, list)
    return message, [part for part in found if isinstance(part, Message)]


def test_a_report_of_those_who_did_not_get_it(world: World) -> None:
    sent = REMOTE + TEXT
    assert send(world, "-r", "bob", "nosuch", "other", text=sent) == (0, "", "")
    assert len(world.mailbox("bob")) == 1
    ((args, data),) = world.taken()
    assert args == ["/dev/null", "net!y.org", "x"]
    assert data.startswith(b"From /dev/null ")
    message, (text, status, original) = parts(data)
    assert message["To"] == "x@y.org"
    assert message["From"] == "Postmaster <postmaster@kremvax>"
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    assert "to 'nosuch' alias `local!nosuch'\nand 'other'" in text.as_string()
    fields = status.as_string()
    assert fields.count("Final-Recipient: rfc822; ") == 2
    assert fields.count("Action: failed\nStatus: 5.0.0\n") == 2
    assert original.get_payload(0).as_bytes() == TEXT  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "sent",
    [
        REMOTE.replace(b"x@y.org", b"/dev/null") + TEXT,
        REMOTE + b"Precedence: bulk\n" + TEXT,
    ],
)
def test_nobody_is_told_of_bulk(world: World, sent: bytes) -> None:
    assert send(world, "-r", "bob", "nosuch", text=sent)[0] == 0
    assert world.taken() == []


def test_a_report_that_cannot_go_goes_to_the_postmaster(world: World) -> None:
    sent = REMOTE.replace(b"x@y.org", b"nobody") + TEXT
    assert send(world, "-r", "bob", "nosuch", text=sent)[0] == 0
    (found,) = world.mailbox("glenda")  # who is postmaster
    assert b"\nSubject: bounced mail\n" in found


def test_reports_are_bounded(tmp_path: Path) -> None:
    site = World(tmp_path).site
    hostile = Failure("a\nb@c\r\nX: y", "text\n\nwith lines\x00", permanent=False)
    large = TEXT + b"x" * bounce.MAX_RETURNED
    octets = bounce.report(site, "me@x\nBcc: z", "why", [hostile], large)
    message, (_, status, header) = parts(b"From\n" + octets)
    assert message["To"] == "me@x Bcc: z"
    assert message["Bcc"] is None
    assert "Status: 4.0.0" in status.as_string()
    assert "Final-Recipient: rfc822; a b@c X: y" in status.as_string()
    assert header.get_content_type() == "text/rfc822-headers"
    assert len(octets) < 2000
    assert mail.read(site, octets, "", relayed=False).bulk


def test_the_first_sending_fills_a_root(tmp_path: Path) -> None:
    made = tmp_path / "new"
    env = {**os.environ, "USER": ME, "LOGNAME": ME, "MAILFS_ROOT": str(made)}
    words = [sys.executable, "-P", "-m", "mailfs", "send", "-x", "x"]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert "no mail rules configured" in done.stderr
    for name in ("rewrite.direct", "rewrite.gateway", "namefiles", "ignore"):
        assert (made / "mail/lib" / name).is_file()
    assert (made / "mail/lib/rewrite").read_bytes() == b""
    assert (made / "lib/ndb/local").is_file()
    assert (made / f"mail/box/{ME}").stat().st_mode & 0o777 == 0o700
    for name in ("mail", "smtp", "smtp.fail", "runq"):
        assert (made / "sys/log" / name).is_file()
    lib = made / "mail/lib"
    assert re.search(rf"^postmaster\t{ME}$", (lib / "names.local").read_text(), re.M)
    (lib / "rewrite").write_text((lib / "rewrite.gateway").read_text())
    (lib / "ignore").unlink()
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "unknown user: local!x\n"
    assert not (lib / "ignore").exists()
    leftovers = [p for p in made.rglob(".*") if p.is_file()]
    assert leftovers == []


def test_the_recorder_is_sh() -> None:
    assert subprocess.run(["sh", "-n"], input=RECORDER, text=True, check=True)
