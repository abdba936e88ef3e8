"""Where mail goes, and what becomes of it: send(8), without the verb."""

import os
import threading
from pathlib import Path

import pytest

from mailfs.send import command, local, mail, preview, submit
from mailfs.send.refusal import Refusal, Unconfigured
from mailfs.send.result import State
from tests.mailbox.contract import small_files
from tests.send.world import DATE, PIPETO, World, fates

PATHS = [
    ("Bob", ["local!bob"], ["cat >> /mail/box/bob/mbox"]),
    ("postmaster", ["local!glenda"], ["cat >> /mail/box/glenda/mbox"]),
    ('"postmaster"', ["local!glenda"], ["cat >> /mail/box/glenda/mbox"]),
    (
        "team",
        ["local!glenda", "local!bob", "y.com!x"],
        [
            "cat >> /mail/box/glenda/mbox",
            "cat >> /mail/box/bob/mbox",
            "/mail/lib/qmail 'glenda' 'net!y.com' 'x'",
        ],
    ),
    ("nosuch", ["unknown user: local!nosuch"], None),
    ("a@b.com", ["b.com!a"], ["/mail/lib/qmail 'glenda' 'net!b.com' 'a'"]),
    ("a.b", ["Invalid address: a.b"], None),
    ("x!y!z", ["x!y!z"], ["/mail/lib/qmail 'glenda' 'net!x' 'y!z'"]),
    ("o'neil", ["unknown user: local!o%%27neil"], None),
    (
        "o'neil@x.com",
        ["x.com!o%%27neil"],
        ["/mail/lib/qmail 'glenda' 'net!x.com' 'o%%27neil'"],
    ),
    ("postmaster@kremvax", ["local!glenda"], ["cat >> /mail/box/glenda/mbox"]),
    ("..", ["Invalid address: .."], None),
    ("local!..", ["unknown user: local!.."], None),
    ("local!../../../tmp", ["unknown user: local!../../../tmp"], None),
    ("local!bob/f", ["unknown user: local!bob/f"], None),
    ("local!", ["unknown user: local!"], None),
    ("-v@x.com", ["invalid address: x.com!-v"], None),
    ("a\nb@x", ["invalid address: a\nb@x"], None),
    ("!kremvax" * 5 + "!bob", ["forwarding loop: " + "!kremvax" * 5 + "!bob"], None),
    ("kremvax!kremvax!bob", ["local!bob"], ["cat >> /mail/box/bob/mbox"]),
    ("x" * 400, ["unknown user: local!" + "x" * 400], None),
]


@pytest.mark.parametrize(("address", "where", "commands"), PATHS)
def test_vectors(
    tmp_path: Path, address: str, where: list[str], commands: list[str] | None
) -> None:
    world = World(tmp_path)
    rules = submit.load_rules(world.site)
    for wanted, how in ((where, False), (commands or where, True)):
        found = preview.lines(world.site, rules, [address], "glenda", commands=how)
        assert list(found) == wanted


def test_it_arrives(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert fates(world.send(["Bob", "a@b.com", "nosuch"])) == [
        ("Bob", "local!bob", "delivered"),
        ("a@b.com", "b.com!a", "queued"),
        ("nosuch", "local!nosuch", "unknown user"),
    ]
    text = (
        f"From glenda {DATE}\nDate: Sun, 22 Nov 2026 12:45:08 +0000\n"
        f"Message-ID: <{0:032x}@kremvax>\nTo: Bob, a@b.com, nosuch\n"
        "From: glenda\nSubject: hi\n\nhello\n"
    ).encode()
    assert world.mailbox("bob") == [text]
    remote = text.replace(b"2026\n", b"2026 remote from kremvax\n", 1)
    assert world.taken() == [(["glenda", "net!b.com", "a"], remote)]
    prefix = "kremvax Nov 22 12:45:08 "
    assert world.log() == [
        f"{prefix}delivered local!bob From glenda {DATE} (Bob) 19",
        f"{prefix}remote b.com!a From glenda {DATE} (a@b.com) 19",
        f"{prefix}error local!nosuch From glenda {DATE}",
        "error+ from 'glenda'",
        "error+ to 'nosuch' alias `local!nosuch'",
        "error+ failed with error 'unknown user'.",
    ]


def test_alike_addresses_share_a_command(tmp_path: Path) -> None:
    world = World(tmp_path)
    many = [f"u{n}@b.com" for n in range(40)]
    results = world.send([*many, "a@c.com", "u1@b.com", "b.com!u2"])
    assert all(r.state is State.QUEUED for r in results)
    assert len(results) == 43
    calls = [args for args, _ in world.taken()]
    assert [args[1] for args in calls] == ["net!b.com", "net!b.com", "net!c.com"]
    assert calls[0][2:] == [f"u{n}" for n in range(32)]
    assert calls[1][2:] == [f"u{n}" for n in range(32, 40)]


def test_long_commands_are_parted(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.send([f"{'u' * 300}{n}@b.com" for n in range(6)])
    assert [len(args) for args, _ in world.taken()] == [5, 5]


def test_nobody_gets_a_message_twice(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.lib("names.local", "all bob team\nteam bob Bob local!bob glenda\n")
    results = world.send(["all", "bob", "bob@kremvax"])
    assert [len(world.mailbox(u)) for u in ("bob", "glenda")] == [1, 1]
    assert [r.recipient for r in results] == ["all", "all", "bob", "bob@kremvax"]


def test_nobody_gets_it_twice_by_forwarding(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.write(world.box("glenda") / "forward", "bob\n")
    assert len(world.send(["glenda", "bob", "postmaster"])) == 3
    assert (len(world.mailbox("glenda")), len(world.mailbox("bob"))) == (0, 1)


LOOPS = [
    ("(a|b) alias x\nx alias a\n", "a"),
    ("a alias a\n", "a"),
    (r"a(.*) alias aa\1", "a"),
    ("", "loop"),
]


@pytest.mark.parametrize(("rules", "address"), LOOPS)
def test_loops_end(tmp_path: Path, rules: str, address: str) -> None:
    world = World(tmp_path)
    world.rules(rules)
    world.lib("names.local", "loop pool\npool loop\n")
    (result,) = world.send([address])
    assert (result.text, result.permanent) == ("forwarding loop", True)


def test_an_alias_for_itself_is_the_mailbox(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.lib("names.local", "bob bob bob@kremvax x@y.com\n")
    assert fates(world.send(["bob"])) == [
        ("bob", "local!bob", "delivered"),
        ("bob", "y.com!x", "queued"),
    ]
    assert len(world.mailbox("bob")) == 1


def test_an_alias_may_have_thousands(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.lib("names.local", "all " + " ".join(f"u{n}@x.com" for n in range(2000)))
    site = world.site
    rules = submit.load_rules(site)
    assert len(list(preview.lines(site, rules, ["all"], "me", commands=False))) == 2000


# forward and pipeto


def test_forward(tmp_path: Path) -> None:
    world = World(tmp_path)
    forward = world.box("glenda") / "forward"
    world.write(forward, "# comment\nglenda,\n bob \\\n x@y.com\nlast")
    world.box("last").mkdir()
    assert fates(world.send(["glenda"])) == [
        ("glenda", "local!glenda", "delivered"),
        ("glenda", "local!bob", "delivered"),
        ("glenda", "y.com!x", "queued"),
        ("glenda", "local!last", "delivered"),
    ]
    world.write(forward, "\n \n")
    assert fates(world.send(["glenda"])) == [("glenda", "local!glenda", "delivered")]


def test_forwarding_to_each_other_ends_at_the_second(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.write(world.box("glenda") / "forward", "bob\n")
    world.write(world.box("bob") / "forward", "glenda\n")
    world.send(["glenda"])
    assert (len(world.mailbox("glenda")), len(world.mailbox("bob"))) == (0, 1)


def test_forward_to_an_alias_of_oneself(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.write(world.box("glenda") / "forward", "postmaster a@b.com\n")
    assert fates(world.send(["glenda"])) == [
        ("glenda", "local!glenda", "delivered"),
        ("glenda", "b.com!a", "queued"),
    ]


@pytest.mark.parametrize(("status", "permanent"), [(0, None), (1, True), (75, False)])
def test_pipeto(tmp_path: Path, status: int, *, permanent: bool | None) -> None:
    world = World(tmp_path)
    program = world.write(world.box("bob") / "pipeto", PIPETO, program=True)
    world.write(world.root / "status", str(status))
    (result,) = world.send(["Bob"], b"Subject: x\n\nFrom me\n")
    mbox = world.box("bob") / "mbox"
    args = (world.root / "args").read_text().splitlines()
    assert args == ["bob", "local!bob", str(mbox)]
    message = (world.root / "message").read_bytes()
    assert message.startswith(f"From glenda {DATE}\nDate: ".encode())
    assert message.endswith(b"\n\nFrom me\n")
    assert not mbox.exists()
    assert result.program == str(program)
    if permanent is None:
        assert result.state is State.DELIVERED
        assert "remote local!bob From glenda" in world.log()[0]
    else:
        assert (result.text, result.permanent) == ("no thanks\nreally", permanent)
        assert world.log()[-1].endswith(f"returned error status {status:x}.")


def test_a_pipeto_that_is_no_program_is_none(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.write(world.box("bob") / "pipeto", PIPETO)
    world.send(["bob"])
    assert len(world.mailbox("bob")) == 1


def test_a_pipeto_others_may_change_is_not_run(tmp_path: Path) -> None:
    world = World(tmp_path)
    program = world.write(world.box("bob") / "pipeto", PIPETO, program=True)
    program.chmod(0o777)
    (result,) = world.send(["bob"])
    assert (result.text, result.permanent) == ("pipeto: others may change it", False)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs programs as others")
def test_root_runs_pipeto_as_its_owner(tmp_path: Path) -> None:
    world = World(tmp_path)
    for path in (tmp_path, *tmp_path.parents[:3]):
        path.chmod(path.stat().st_mode | 0o111)
    script = '#!/bin/sh\nid -u >"$(dirname "$2")/id"; id -G >>"$(dirname "$2")/id"\n'
    program = world.write(world.box("bob") / "pipeto", script, program=True)
    os.chown(world.box("bob"), 65534, 65534)
    (result,) = world.send(["bob"])
    assert "others may change" not in result.text  # root's own program is trusted
    os.chown(program, 65534, 65534)
    (result,) = world.send(["bob"])
    assert result.state is State.DELIVERED
    assert (world.box("bob") / "id").read_text() == "65534\n65534\n"
    os.chown(program, 12345, 12345)
    (result,) = world.send(["bob"])
    assert result.refused


# mailboxes


@pytest.mark.parametrize("kind", ["mbox", "maildir", "mdir", "mh", "none"])
def test_each_kind_of_mailbox(tmp_path: Path, kind: str) -> None:
    world = World(tmp_path)
    path = world.box("bob") / "mbox"
    if kind == "mbox":
        path.write_bytes(b"")
    elif kind != "none":
        path.mkdir()
    if kind == "maildir":
        for sub in ("new", "cur", "tmp"):
            (path / sub).mkdir()
    if kind == "mh":
        (path / ".mh_sequences").touch()
    for _ in range(2):
        (result,) = world.send(["bob"])
        assert result.state is State.DELIVERED
    found = world.mailbox("bob")
    assert len(found) == 2
    assert found[0].startswith(b"From glenda ") == (kind in ("mbox", "mdir", "none"))
    assert all(b"Subject: hi\n\nhello\n" in octets for octets in found)


def test_a_link_leads_to_the_mailbox(tmp_path: Path) -> None:
    world = World(tmp_path)
    spool = tmp_path / "spool"
    spool.write_bytes(b"")
    (world.box("bob") / "mbox").symlink_to(spool)
    world.send(["bob"])
    assert spool.read_bytes().startswith(b"From glenda ")


def test_a_mailbox_nobody_may_write_is_disabled(tmp_path: Path) -> None:
    world = World(tmp_path)
    path = world.box("bob") / "mbox"
    path.write_bytes(b"")
    path.chmod(0o444)
    (result,) = world.send(["bob"])
    assert (result.text, result.permanent) == ("unknown user", True)


def test_a_file_of_its_own_rule(tmp_path: Path) -> None:
    world = World(tmp_path)
    log = tmp_path / "log"
    log.write_bytes(b"")
    world.rules(f"log >> {log}\nnull >> /dev/null\nplain!(.*) >>\n")
    results = world.send(["log", "null"])
    assert [r.state for r in results] == [State.DELIVERED] * 2
    assert log.read_bytes().startswith(b"From glenda")


@pytest.mark.parametrize("kind", ["mbox", "mdir"])
def test_a_full_disk(tmp_path: Path, kind: str) -> None:
    world = World(tmp_path)
    path = world.box("bob") / "mbox"
    if kind == "mbox":
        path.write_bytes(b"")
    world.send(["bob"])
    with small_files(2000):
        (result,) = world.send(["bob"], b"\n" + b"x" * 9000)
    assert result.text == "error writing mail file: file too big"
    assert not result.permanent
    assert len(world.mailbox("bob")) == 1
    world.send(["bob"])
    assert len(world.mailbox("bob")) == 2


def test_what_cannot_be_opened_is_no_end(tmp_path: Path) -> None:
    world = World(tmp_path)
    (world.box("bob") / "mbox").symlink_to(tmp_path / "none")
    (result,) = world.send(["bob"])
    assert result.text.startswith("mail file cannot be opened: ")
    assert not result.permanent


# rules


def test_without_rules_all_is_refused_for_now(tmp_path: Path) -> None:
    world = World(tmp_path)
    path = world.lib("rewrite", "# nothing\n")
    with pytest.raises(Unconfigured, match=f"configured: {path} is empty; run: "):
        world.send(["bob"])
    path.unlink()
    with pytest.raises(Unconfigured, match=f"configured: there is no {path}; run: "):
        world.send(["bob"])
    world.lib("rewrite", "[ alias x\n")
    with pytest.raises(Unconfigured, match="line 1: malformed"):
        world.send(["bob"])


def test_a_bad_rule_is_logged_and_skipped(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.rules("[ alias x\n")
    (result,) = world.send(["bob"])
    assert result.state is State.DELIVERED
    assert world.log()[0].endswith("rewrite: line 1: malformed []: no end") or (
        "error in rewrite: " in world.log()[0]
    )


TRANSLATOR = """#!/bin/sh
echo "$1" >>"$MAILFS_ROOT/asked"
case $1 in
list) echo bob; echo '"x y"@z.com a@b.com' ;;
secret) echo _nosummary_; echo bob ;;
empty) ;;
later) echo try later >&2; exit 75 ;;
*) exit 1 ;;
esac
"""


def test_translate(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.rules("t-(.*) translate \"/mail/lib/names '\\1'\"\n")
    world.lib("names", TRANSLATOR, program=True)
    given = ["t-list", "t-empty", "t-later", "t-bad;echo", "t-a b"]
    assert fates(world.send(given)) == [
        ("t-list", "local!bob", "delivered"),
        ("t-list", 'z.com!"x y"', "queued"),
        ("t-list", "b.com!a", "queued"),
        ("t-empty", "t-empty", "broken alias"),
        ("t-later", "t-later", "try later"),
        ("t-bad;echo", "t-bad;echo", "name translation failed"),
        ("t-a b", "t-a b", "name translation failed"),
    ]
    asked = (world.root / "asked").read_text().splitlines()
    assert asked == ["list", "empty", "later", "bad;echo", "a b"]
    assert b"To: t-list" in world.mailbox("bob")[0]
    world.send(["t-secret"])
    assert b"To: bob\n" in world.mailbox("bob")[1]


def test_auth(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.rules("(.*)@relay\\.org auth \"/mail/lib/may '\\s' '\\1'\"\n")
    script = (
        '#!/bin/sh\ntest "$1" = friend && exit\ntest "$2" = x && echo no >&2\nexit 1\n'
    )
    world.lib("may", script, program=True)
    friend = b"From friend Sun Nov 22 12:45:08 GMT 2026 remote from \n\nx\n"
    stranger = friend.replace(b"friend", b"stranger")
    assert not world.send(["x@relay.org"])[0].refused
    assert not world.send(["x@relay.org"], friend, relayed=True)[0].refused
    results = world.send(["x@relay.org", "y@relay.org", "bob"], stranger, relayed=True)
    assert [r.text for r in results] == [
        "no",
        "destination unknown or forwarding disallowed",
        "",
    ]


def test_a_program_that_fails(tmp_path: Path) -> None:
    world = World(tmp_path)
    script = "#!/bin/sh\ncat >/dev/null\necho qer failed >&2\nexit 1\n"
    world.lib("qmail", script, program=True)
    (result,) = world.send(["a@b.com"])
    assert (result.text, result.permanent) == ("qer failed", True)
    assert (result.program, result.status) == ("/mail/lib/qmail", 1)
    world.lib("qmail", "#!/bin/sh\nkill -9 $$\n", program=True)
    (result,) = world.send(["a@b.com"])
    assert (result.text, result.permanent) == ("broken pipe", False)
    (world.root / "mail/lib/qmail").unlink()
    (result,) = world.send(["a@b.com"])
    assert (result.text, result.permanent) == (
        "/mail/lib/qmail: file does not exist",
        False,
    )


def test_a_program_that_does_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    monkeypatch.setattr(command, "WAIT", 0.2)
    world.lib("qmail", "#!/bin/sh\nexec sleep 60\n", program=True)
    (result,) = world.send(["a@b.com"])
    assert "did not end within" in result.text
    assert not result.permanent


def test_a_program_that_does_not_read(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.lib("qmail", "#!/bin/sh\nexit 0\n", program=True)
    assert not world.send(["a@b.com"], b"\n" + b"x" * 1_000_000)[0].refused


def test_which_program_a_name_means(tmp_path: Path) -> None:
    site = World(tmp_path).site
    root = str(site.root)
    for name, want in [
        ("upas/smtp", "smtp"),
        ("/bin/upas/qer", "qer"),
        ("aliasmail", "aliasmail"),
        ("/mail/lib/qmail", f"{root}/mail/lib/qmail"),
        ("/usr/bin/true", "/usr/bin/true"),
        ("filter.rc", "filter.rc"),
        ("bin/x", f"{root}/mail/lib/bin/x"),
    ]:
        argv = command.resolve(site, [name, "-x"])
        if "/" in want or "." in want:
            assert argv == [want, "-x"]
        else:
            assert argv[-4:] == ["-m", "mailfs", want, "-x"]


# the envelope and what is added


def test_relayed_mail_is_left_alone(tmp_path: Path) -> None:
    world = World(tmp_path)
    data = (
        b"From a@x Mon Nov 23 12:45:08 GMT 2026 remote from two\n"
        b">From bob@y Sun Nov 22 12:00:00 GMT 2026 remote from one\r\n"
    )
    world.send(["bob"], data + b"no header\n", relayed=True)
    assert world.mailbox("bob") == [
        b"From two!one!bob@y Sun Nov 22 12:00:00 +0000 2026\nno header\n"
    ]


ENVELOPES = [
    (b"From a Sun Nov 22 12:00:00 GMT 2026 remote from \nx\n", "a", b"x\n"),
    (b"From a Sun Nov 22 12:00:00 GMT 2026 remote from\nx\n", "a", b"x\n"),
    (b"From a Sun Nov 22 12:00:00 GMT 2026\nx\n", "a", b"x\n"),
    (b"From a Sun Nov 22 12:00:00 GMT 2026\nFrom b Sun Nov 22 12:00:00 GMT 2026\nx\n",
     "a", b"From b Sun Nov 22 12:00:00 GMT 2026\nx\n"),
    (b'From "a b"@c Sun Nov 22 12:00:00 GMT 2026 remote from d\nx\n', 'd!"a b"@c',
     b"x\n"),
    (b"From me to you\nx\n", "glenda", b"From me to you\nx\n"),
    (b"x\n", "glenda", b"x\n"),
    (b"", "glenda", b""),
]  # fmt: skip


@pytest.mark.parametrize(("data", "sender", "text"), ENVELOPES)
def test_envelopes(tmp_path: Path, data: bytes, sender: str, text: bytes) -> None:
    letter = mail.read(World(tmp_path).site, data, None, relayed=True)
    assert (letter.sender, letter.text) == (sender, text)


def test_who_sends(tmp_path: Path) -> None:
    world = World(tmp_path)
    for env, sender, want in [
        ("", None, "glenda"),
        ("janet@machine.dom", None, "janet@machine.dom"),
        ("janet@machine.dom", "x@y", "x@y"),
        ("", "", "/dev/null"),
    ]:
        world.env["upasname"] = env
        letter = mail.read(world.site, b"\nx\n", sender, relayed=False)
        assert letter.sender == want
        assert letter.bulk == (want == "/dev/null")


@pytest.mark.parametrize("sender", ["a\nb", "a\0", "x" * 2000])
def test_no_sender(tmp_path: Path, sender: str) -> None:
    world = World(tmp_path)
    with pytest.raises(Refusal, match="invalid address"):
        world.send(["bob"], sender=sender)


@pytest.mark.parametrize("value", [b"bulk", b"Bulk", b"list", b" junk "])
def test_bulk(tmp_path: Path, value: bytes) -> None:
    text = b"Precedence: " + value + b"\n\nx\n"
    assert mail.read(World(tmp_path).site, text, None, relayed=False).bulk


def test_what_is_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = World(tmp_path).site
    far = b"Received: x\n" * 33 + b"\nx\n"
    with pytest.raises(Refusal, match="possible forward loop"):
        mail.read(site, far, None, relayed=True)
    mail.read(site, far[12:], None, relayed=True)
    monkeypatch.setattr(mail, "MAX_MESSAGE", 1000)
    with pytest.raises(Refusal, match="message too long"):
        mail.read(site, b"x" * 1001, None, relayed=False)


ID = f"Message-ID: <{0:032x}@kremvax>\n".encode()
DATED = b"Date: Sun, 22 Nov 2026 12:45:08 +0000\n" + ID
UTF8 = (
    b'MIME-Version: 1.0\nContent-Type: text/plain; charset="UTF-8"\n'
    b"Content-Transfer-Encoding: 8bit\n"
)
MANY = b"".join(b"X-%d: y\n" % n for n in range(20_000))
COMPLETED = [
    (b"To: x\n\nb\n", DATED + b"From: glenda\nTo: x\n\nb\n"),
    (b"b\n", DATED + b"To: y@z\nFrom: glenda\n\nb\n"),
    (b"From me\n", DATED + b"To: y@z\nFrom: glenda\n\nFrom me\n"),
    (b"\nb\n", DATED + b"To: y@z\nFrom: glenda\n\nb\n"),
    (b"one: two\nb\n", DATED + b"To: y@z\nFrom: glenda\none: two\nb\n"),
    (
        b"Date: d\nMessage-ID: i\nFrom: f\nCc: c\n\nb\n",
        b"Date: d\nMessage-ID: i\nFrom: f\nCc: c\n\nb\n",
    ),
    (
        "Date: d\nMessage-ID: i\nFrom: f\nTo: t\n\n\u00e9\n".encode(),
        UTF8 + "Date: d\nMessage-ID: i\nFrom: f\nTo: t\n\n\u00e9\n".encode(),
    ),
    (
        b"Date: d\nMessage-ID: i\nFrom: f\nTo: t\n\n\xff\n",
        UTF8.replace(b"UTF-8", b"unknown-8bit")
        + b"Date: d\nMessage-ID: i\nFrom: f\nTo: t\n\n\xff\n",
    ),
    (
        b"Date: d\nBcc: a,\n b\nMessage-ID: i\nbCC : c\nFrom: f\nTo: t\n\nBcc: x\n",
        b"Date: d\nMessage-ID: i\nFrom: f\nTo: t\n\nBcc: x\n",
    ),
    (
        b"Resent-Bcc: a\nDate: d\nRESENT-bcc\t:\n b,\n\tc\nMessage-ID: i\nFrom: f\n"
        b"To: t\nBcc: last\n",
        b"Date: d\nMessage-ID: i\nFrom: f\nTo: t\n",
    ),
    (
        b"Date: d\nMessage-ID: i\nFrom: f\n" + MANY + b"Bcc: a\nTo: t\nX: y\n\nz\n",
        b"Date: d\nMessage-ID: i\nFrom: f\n" + MANY + b"To: t\nX: y\n\nz\n",
    ),
    (
        b"From: f\n" + MANY + b"Message-ID: i\nTo: t\nDate: d\nBcc: a\n\nz\n",
        b"From: f\n" + MANY + b"Message-ID: i\nTo: t\nDate: d\n\nz\n",
    ),
    (
        b"From glenda Sun Nov 22 12:00:00 2026\nDate: d\nMessage-ID: i\nFrom: f\n"
        b"To: t\n\nb\n",
        b"Date: d\nMessage-ID: i\nFrom: f\nTo: t\n\nb\n",
    ),
    (
        b"Date: d\r\nMessage-ID: i\r\nFrom: f\r\nTo: t\r\n\r\nb\r\n.\r\n",
        b"Date: d\nMessage-ID: i\nFrom: f\nTo: t\n\nb\n.\n",
    ),
]


@pytest.mark.parametrize(("given", "want"), COMPLETED)
def test_what_is_added(tmp_path: Path, given: bytes, want: bytes) -> None:
    site = World(tmp_path).site
    letter = mail.read(site, given, None, relayed=False)
    assert mail.complete(letter, site, ["local!y@z"]).text == want


def test_names_and_long_lists(tmp_path: Path) -> None:
    site = World(tmp_path).site
    letter = mail.read(site, b"\nx\n", None, relayed=False)
    many = [f"user{n}@example.org" for n in range(20)]
    text = mail.complete(letter, site, many, 'G. "The" Rabbit').text
    assert b'From: "G. \\"The\\" Rabbit" <glenda>\n' in text
    lines = text.split(b"\n")
    assert max(map(len, lines)) < 78
    assert b"".join(lines).count(b"@example.org") == 20
    nobody = mail.read(site, b"\nx\n", "", relayed=False)
    assert b"From: Postmaster\n" in mail.complete(nobody, site, []).text


@pytest.mark.parametrize(
    ("text", "want"),
    [
        (b"To: a@b, C <c@d>\nCc: (x) e\nBcc: f\n", ["a@b", "c@d", "e", "f"]),
        (b"To: g: a@b, c@d;, h:;\n", ["a@b", "c@d"]),
        (b"To: a@b\nResent-To: x@y\n", ["x@y"]),
        (b"Subject: none\n", []),
        (MANY + b"To: a@b\nBcc : c@d,\n e@f\n", ["a@b", "c@d", "e@f"]),
    ],
)
def test_recipients_in_the_header(tmp_path: Path, text: bytes, want: list[str]) -> None:
    letter = mail.read(World(tmp_path).site, text + b"\nx\n", None, relayed=False)
    assert mail.recipients(letter) == want


LONG = "x" * 64


@pytest.mark.parametrize(
    "poison",
    [
        *(f"a@{LONG}.com", f"{LONG}.com!a", f"b.com!{LONG}!a", "a@" + "ab." * 90 + "c"),
        *("a@" + "ü" * 60 + ".de", "a@b\udcff.com", f"a@{LONG}", "a@b..ü"),
    ],
)
def test_a_host_no_dns_can_hold_is_refused_alone(tmp_path: Path, poison: str) -> None:
    world = World(tmp_path)
    bad, good = world.send([poison, "a@b.com"])
    assert (bad.state, bad.permanent, bad.text) == (
        State.REFUSED,
        True,
        "invalid address",
    )
    assert not good.refused
    ((words, _),) = world.taken()
    assert words[-2:] == ["net!b.com", "a"]


def test_many_threads(tmp_path: Path) -> None:
    world = World(tmp_path)
    (world.box("bob") / "mbox").write_bytes(b"")
    texts = [b"Subject: %d\n\nx\n" % n for n in range(24)]

    def work(mine: list[bytes]) -> None:
        for text in mine:
            (result,) = submit.submit(world.site, None, ["bob"], text)
            assert result.state is State.DELIVERED

    threads = [threading.Thread(target=work, args=(texts[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = world.mailbox("bob")
    assert len(found) == 24
    assert all(any(text[:12] in octets for octets in found) for text in texts)


def test_parts_of_a_path() -> None:
    for part in ("", ".", "..", "a/b", "a\0"):
        with pytest.raises(Refusal, match="unknown user"):
            local.check_part(part)
    local.check_part("...")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root delivers as others")
def test_root_delivers_as_the_owner(tmp_path: Path) -> None:
    world = World(tmp_path)
    for path in (tmp_path, *tmp_path.parents[:3]):
        path.chmod(path.stat().st_mode | 0o111)
    box = world.box("bob")
    os.chown(box, 65534, 65534)
    secret = tmp_path / "secret"
    secret.write_text("root only\n")
    secret.chmod(0o600)
    (box / "forward").symlink_to(secret)
    (box / "mbox").symlink_to(secret)
    (result,) = world.send(["bob"])
    assert result.refused
    assert not result.permanent
    assert secret.read_text() == "root only\n"
    (box / "mbox").unlink()
    (result,) = world.send(["bob"])
    assert result.state is State.DELIVERED
    (found,) = (box / "mbox").iterdir()
    assert found.stat().st_uid == 65534
