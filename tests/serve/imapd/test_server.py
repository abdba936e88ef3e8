"""The server as clients see it: mail read, flagged, moved; two sessions; strangers."""

import base64
import imaplib
import re
import ssl
from pathlib import Path

import pytest

from tests.serve.imapd.served import PASSWORD, Served
from tests.tls import pki

LETTER = (
    b"From: a@b.c\r\nTo: x@y.z\r\nSubject: s%d\r\nMessage-ID: <%d@b>\r\n\r\nbody %d\r\n"
)


def _letter(number: int) -> bytes:
    return LETTER % (number, number, number)


def _code(answer: "tuple[str, list[bytes]]", name: str) -> str:
    found = re.search(rf"\[{name} ([^\]]*)\]", repr(answer))
    assert found is not None
    return found[1]


def test_mail_is_read_and_flagged(each: Served) -> None:
    with each.piped() as client:
        assert client.welcome is not None
        assert b"PREAUTH" in client.welcome
        for number in (1, 2, 3):
            added = client.append(
                "INBOX",
                "(\\Seen Work)",
                '"17-Jul-1996 02:44:25 -0700"',
                _letter(number),
            )
            assert _code(added, "APPENDUID").endswith(f" {number}")
        assert client.select()[1] == [b"3"]
        _, found = client.fetch("1:*", "(UID FLAGS RFC822.SIZE INTERNALDATE)")
        for number, row in enumerate(found, 1):
            assert isinstance(row, bytes)
            assert b"UID %d" % number in row
            assert b"RFC822.SIZE %d " % len(_letter(number)) in row
            assert b"\\Seen Work" in row
            assert b'"17-Jul-1996 09:44:25 +0000"' in row
        _, body = client.fetch("2", "(BODY.PEEK[])")
        assert body[0] is not None
        assert body[0][1] == _letter(2)
        _, part = client.fetch("2", "(BODY.PEEK[]<5.7>)")
        assert part[0] is not None
        assert part[0][1] == _letter(2)[5:12]
        client.store("2", "FLAGS", "(\\Flagged $Label1)")
        assert client.search(None, "FLAGGED", "KEYWORD", "$label1")[1] == [b"2"]
        assert client.search(None, "SUBJECT", "S3")[1] == [b"3"]
        assert client.search(None, "BODY", "ody 1")[1] == [b"1"]
    with each.piped() as client:  # flags and numbers are the same the next time
        client.select()
        _, found = client.fetch("1:*", "(UID FLAGS)")
        assert [
            b"UID 2 FLAGS (\\Flagged $Label1)" in row
            for row in found
            if isinstance(row, bytes)
        ] == [False, True, False]


def test_copied_moved_expunged(each: Served) -> None:
    with each.piped() as client:
        folder = "Work/2026"
        client.create(folder)
        for number in (1, 2, 3):
            client.append("INBOX", "(tag)", "", _letter(number))
        client.select()
        copied = client.copy("2:3", folder)
        assert _code(copied, "COPYUID").split(" ")[1:] == ["2:3", "1:2"]
        client.uid("MOVE", "1", folder)
        assert client.response("EXPUNGE")[1] == [b"1"]
        client.store("1", "+FLAGS", "(\\Deleted)")
        assert client.expunge()[1] == [b"1"]
        assert client.uid("SEARCH", "ALL")[1] == [b"3"]
        client.select(folder)
        _, found = client.fetch("1:*", "(FLAGS BODY.PEEK[])")
        bodies = [row[1] for row in found if isinstance(row, tuple)]
        assert bodies == [_letter(2), _letter(3), _letter(1)]
        assert all(b"tag" in row[0] for row in found if isinstance(row, tuple))


def test_binary(each: Served) -> None:
    """What stores cannot have is kept in base64; RFC 3516 section 4.3."""
    head = b"Content-Type: a/b\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    body = b"\0\r\n\n\xff\r\n"
    with each.piped() as client:
        size = len(head + body)
        client.send(b"x APPEND INBOX ~{%d+}\r\n" % size + head + body + b"\r\n")
        assert b"APPENDUID" in client.readline()
        client.send(b"y APPEND INBOX {1+}\r\n\0\r\n")
        assert b"UNKNOWN-CTE" in client.readline()
        client.select()
        _, found = client.fetch("1", "(BODY.PEEK[1])")
        assert found[0] is not None
        assert found[0][1] == base64.encodebytes(body).replace(b"\n", b"\r\n")
        client.send(b"z FETCH 1 (BINARY.PEEK[1] BINARY.SIZE[1])\r\n")
        assert client.readline().endswith(b"BINARY[1] ~{%d}\r\n" % len(body))
        assert client.read(len(body)) == body
        assert client.readline() == b" BINARY.SIZE[1] 7)\r\n"
        assert client.readline().startswith(b"z OK")


def test_sorted_and_threaded(served: Served) -> None:
    with served.client() as client:
        for number in (3, 1, 2):
            client.append("INBOX", "", "", _letter(number))
        client.append("INBOX", "", "", b"Subject: Re: s3\r\nIn-Reply-To: <3@b>\r\n\r\n")
        client.select()
        assert client.sort("SUBJECT", "UTF-8", "ALL")[1] == [b"2 3 1 4"]
        assert client.uid("SORT", "(REVERSE SIZE)", "UTF-8", "1:3")[0] == "OK"
        assert client.thread("REFERENCES", "UTF-8", "ALL")[1] == [b"(1 4)(2)(3)"]
        assert client.thread("ORDEREDSUBJECT", "UTF-8", "ALL")[1] == [b"(1 4)(2)(3)"]


def test_status_and_select_expunge_nothing(each: Served) -> None:
    with each.piped() as client:
        client.append("INBOX", "(\\Deleted)", "", _letter(1))
        assert client.status("INBOX", "(MESSAGES)")[1] == [b"INBOX (MESSAGES 1)"]
        client.select()
        client.select()
        assert client.select()[1] == [b"1"]


def test_folders(each: Served) -> None:
    with each.piped() as client:
        names = {line for line in client.list()[1] if isinstance(line, bytes)}
        assert any(b"\\Sent" in line and line.endswith(b" Sent") for line in names)
        for odd in ("../x", "/etc", "~root/x/..", "a//b", ".", '""', "mbox", "x" * 300):
            assert client.create(odd)[0] in ("NO", "BAD")
        assert client.create("&AOQ-")[0] == "OK"
        assert client.create("&AOQ-")[0] == "NO"
        assert (each.home / "\u00e4").is_dir()
        assert client.rename("&AOQ-", "other")[0] == "OK"
        assert client.subscribe("other")[0] == "OK"
        assert b'() "/" other' in client.lsub()[1]
        assert client.delete("other")[0] == "OK"
        assert client.delete("other")[0] == "NO"
        client.create("used")
        client.append("used", "(\\Seen tag)", "", _letter(1))
        client.select("used")
        client.store("1", "+FLAGS", "(\\Flagged)")
        assert client.delete("used")[0] == "OK"
        assert not (each.home / "used").exists()
        assert client.delete("INBOX")[0] == "NO"
        assert not (each.home / "other").exists()
        assert client.append("nosuch", "", "", _letter(1))[1][0].startswith(
            b"[TRYCREATE]"
        )


def test_a_number_is_never_given_again(each: Served) -> None:
    with each.piped() as client:
        for number in (1, 2):
            client.append("INBOX", "", "", _letter(number))
        client.select()
        client.store("1:2", "+FLAGS", "(\\Deleted)")
        client.close()
        validity = _code(client.append("INBOX", "", "", _letter(3)), "APPENDUID")
        assert validity.endswith(" 3")
    for file in (each.cache / "mailfs" / "index").iterdir():
        file.unlink()
    with each.piped() as client:  # the index is lost: other numbers, another validity
        client.select()
        _, status = client.status("INBOX", "(UIDVALIDITY)")
        assert int(status[0].split()[-1][:-1]) > int(validity.split()[0])


def test_two_sessions(served: Served) -> None:
    with served.client() as one, served.client() as two:
        for number in range(1, 5):
            one.append("INBOX", "", "", _letter(number))
        one.select()
        two.select()
        one.store("1,3", "+FLAGS", "(\\Deleted)")
        one.expunge()
        # What has gone is told only where it may be, and is read until then.
        _, found = two.fetch("1:4", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        texts = [row[1] for row in found if isinstance(row, tuple)]
        assert texts[1] == b"Subject: s2\r\n\r\n"
        assert texts[-1] == b"Subject: s4\r\n\r\n"
        two.noop()
        assert two.response("EXPUNGE")[1] == [b"3", b"1"]
        two.store("1", "+FLAGS", "(\\Answered)")
        one.store("1", "+FLAGS", "(\\Flagged)")
        _, flags = two.fetch("1", "(FLAGS)")
        assert isinstance(flags[-1], bytes)
        assert b"\\Answered \\Flagged" in flags[-1]


def test_two_processes(each: Served) -> None:
    with each.piped() as one, each.piped() as two:
        one.append("INBOX", "", "", _letter(1))
        one.select()
        two.select()
        one.store("1", "+FLAGS", "(word \\Seen)")
        two.noop()
        assert b"FLAGS (\\Seen word" in b"".join(two.response("FETCH")[1])
        two.store("1", "-FLAGS", "(word)")
        two.append("INBOX", "", "", _letter(2))
        one.noop()
        assert b"word" not in b"".join(one.response("FETCH")[1])
        assert one.response("EXISTS")[1][-1:] == [b"2"]


def test_idle(served: Served) -> None:
    with served.client() as one, served.line() as line:
        line.ask(f"a login {served.user} {PASSWORD}".encode())
        line.ask(b"b select inbox")
        line.send(b"c idle\r\n")
        assert line.file.readline() == b"+ idling\r\n"
        one.append("INBOX", "", "", _letter(1))
        assert line.file.readline() == b"* 1 EXISTS\r\n"
        line.send(b"done\r\n")
        assert line.until(b"c")[-1] == b"c OK IDLE completed\r\n"


def test_mail_that_comes_is_told(served: Served) -> None:
    with served.line() as line:
        line.ask(f"a login {served.user} {PASSWORD}".encode())
        line.ask(b"b select inbox")
        line.send(b"c idle\r\n")
        line.file.readline()
        temp = served.root / "new"
        temp.write_bytes(b"From a@b Mon Nov 30 01:02:03 2026\nSubject: x\n\nbody\n")
        temp.rename(served.inbox / "1796000000.00")
        assert line.file.readline() == b"* 1 EXISTS\r\n"


def test_mechanisms(served: Served) -> None:
    client = imaplib.IMAP4("127.0.0.1", served.port, timeout=30)
    with client:
        client.login_cram_md5(served.user, PASSWORD)
        assert client.state == "AUTH"
    with imaplib.IMAP4("127.0.0.1", served.port, timeout=30) as client:
        text = f"\0{served.user}\0{PASSWORD}".encode()
        client.authenticate("PLAIN", lambda _: text)
        assert client.select()[0] == "OK"


def test_wrong_logins_are_alike(served: Served) -> None:
    with served.line() as line:
        first = line.ask(f"a login {served.user} wrong".encode())[-1]
        second = line.ask(b"a login nobody wrong")[-1]
        assert first == second
        assert first.startswith(b"a NO [AUTHENTICATIONFAILED]")
        # There is such a user, but no mailbox of that user here.
        third = line.ask(f"a login other {PASSWORD}".encode())
        assert third[0].startswith(b"* BYE")
        assert third[-1] == first
    assert not any(PASSWORD in text or "wrong" in text for text in served.log)


HOSTILE = [
    (b"a login {4294967295}\r\n", b"a BAD [TOOBIG]"),
    (b"a noop (((((\r\n", b"a BAD"),
    (b"a login \0 x\r\n", b"a BAD"),
    (b"a select inbox\r\n", b"a BAD"),
    (b"a append inbox {9+}\r\n123456789\r\n", b"a BAD"),
    (b"a authenticate plain !\r\n", b"a BAD"),
    (b"a authenticate nosuch\r\n", b"a NO"),
    (b"a starttls\r\n", b"a BAD"),
]


@pytest.mark.parametrize(("octets", "answer"), HOSTILE)
def test_strangers(served: Served, octets: bytes, answer: bytes) -> None:
    with served.line() as line:
        line.send(octets)
        assert line.until(b"a")[-1].startswith(answer)
        assert line.ask(b"b noop")[-1] == b"b OK NOOP completed\r\n"


def test_known_clients_may_ask_much(served: Served) -> None:
    with served.line() as line:
        line.ask(f"a login {served.user} {PASSWORD}".encode())
        line.ask(b"b select inbox")
        deep = b"(" * 100_000
        assert line.ask(b"c search " + deep)[-1].startswith((b"c BAD", b"*"))
    with served.line() as line:
        line.ask(f"a login {served.user} {PASSWORD}".encode())
        line.send(b"c append inbox {99999999}\r\n")
        assert line.until(b"c")[-1].startswith(b"c NO [TOOBIG]")
        line.send(b"d append inbox {%d+}\r\n" % (1 << 40))
        assert line.file.readline().startswith(b"d NO [TOOBIG]")
        assert line.file.readline().startswith(b"* BYE")


def test_starttls(tmp_path: Path, agent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAMESPACE", str(agent))
    cert, key = pki.leaf(pki.authority("ours"), "localhost").write(tmp_path, "own")
    key.chmod(0o600)
    served = Served(tmp_path).start("-c", str(cert), "-K", str(key))
    try:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with imaplib.IMAP4("127.0.0.1", served.port, timeout=30) as client:
            client.starttls(context)
            assert "STARTTLS" not in client.capabilities
            client.login(served.user, PASSWORD)
            assert client.select()[0] == "OK"
        with served.line() as line:  # a command in the same segment has no effect
            line.send(b"a starttls\r\nb noop\r\n")
            assert line.until(b"a")[-1].startswith(b"a BAD")
            assert line.file.read() == b""
    finally:
        served.stop()
