"""What follows from an attempt: removal, another time, a report to the sender."""

import email
import email.policy
import os
from dataclasses import replace
from email.message import EmailMessage, Message

import pytest

from mailfs.errors import MailfsError
from mailfs.queue import retry, spool
from mailfs.queue.retry import Times
from mailfs.queue.spool import Job, enqueue
from mailfs.runq.attempt import AttemptState, AttemptVerdict, RetryRules, explain
from mailfs.runq.report import Action, Heading, report
from mailfs.smtp.dsn import Dsn, RcptDsn
from mailfs.smtp.fate import DeliveryError, Fate
from tests.queue.test_spool import killed_at
from tests.queue.world import DATA, World, later, never, ok

HOUR = 3600.0


def files(job: Job) -> list[str]:
    return sorted(name for name in os.listdir(job.folder) if name.endswith(job.name))


def blocks(status: Message) -> list[Message]:
    """Return the field blocks of a message/delivery-status part."""
    found = status.get_payload()
    assert isinstance(found, list)
    return [block for block in found if isinstance(block, Message)]


def test_delivered(world: World) -> None:
    job = world.put("a@b.com", "b@b.com")
    assert world.worker()(job).state is AttemptState.GONE
    assert files(job) == []
    assert world.told == []
    assert f"glenda/C.{job.name}: execing 'mail' 'glenda' 'net!b.com'" in world.log()


def test_later(world: World) -> None:
    world.fake.answers["net!b.com"] = later
    job = world.put()
    verdict = world.worker()(job)
    assert (verdict.state, verdict.host) == (AttemptState.LATER, True)
    assert verdict.due > world.now
    assert files(job) == [f"{kind}.{job.name}" for kind in "CDE"]
    text = job.path("E").read_text()
    assert "connect to net!b.com:\n  mail to a@b.com failed: 450 4.2.0 later\n" in text
    assert world.worker()(job).state is AttemptState.LATER  # not due
    assert len(world.fake.given) == 1
    assert world.worker(RetryRules(at_once=True))(job).state is AttemptState.LATER
    assert len(world.fake.given) == 2
    world.fake.answers.clear()
    world.now = retry.due(Times(world.now, world.now), job.name) + 1
    assert world.worker()(job).state is AttemptState.GONE
    assert files(job) == []


def test_returned(world: World) -> None:
    world.fake.answers["net!b.com"] = never
    job = world.put("b.com!a")
    assert world.worker()(job).state is AttemptState.GONE
    assert files(job) == []
    ((user, to, octets),) = world.told
    assert (user, to) == ("glenda", "glenda")
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    assert message["auto-submitted"] == "auto-replied"
    text, status, original = message.iter_parts()
    assert "a@b.com" in text.get_content()
    per_message, per_rcpt = blocks(status)
    assert per_message["reporting-mta"] == "dns; gnot.h.org"
    assert per_rcpt["final-recipient"] == "rfc822; a@b.com"
    assert per_rcpt["action"] == "failed"
    assert per_rcpt["status"] == "5.1.1"
    assert per_rcpt["remote-mta"] == "dns; mx.b.com"
    assert per_rcpt["diagnostic-code"] == "smtp; 550 5.1.1 nobody"
    assert original.get_content()["subject"] == "x"


def mixed(words: tuple[str, ...]) -> list[Fate]:
    by = {"a": ok, "b": later, "c": never}
    return [by[r[0]]((*words[:3], r))[0] for r in words[3:]]


def test_each_recipient_apart(world: World) -> None:
    world.fake.answers["net!b.com"] = mixed
    job = world.put("a@b.com", "b@b.com", "c@b.com", "b2@b.com")
    assert world.worker()(job).state is AttemptState.LATER
    assert job.words() == ("mail", "glenda", "net!b.com", "b@b.com", "b2@b.com")
    ((_, _, octets),) = world.told
    assert b"c@b.com" in octets
    assert b"a@b.com" not in octets
    world.fake.answers.clear()
    assert world.worker(RetryRules(at_once=True))(job).state is AttemptState.GONE
    assert world.fake.given[-1][3:] == ("b@b.com", "b2@b.com")


def test_given_up(world: World) -> None:
    world.fake.answers["net!b.com"] = later
    job = world.put()
    world.now += 121 * HOUR
    assert world.worker(RetryRules(at_once=True))(job).state is AttemptState.LATER
    assert world.told == []
    world.now += HOUR * 2
    assert (
        world.worker(RetryRules(give_up=200, warn=1e9))(job).state is AttemptState.LATER
    )
    world.now += HOUR * 2
    assert world.worker()(job).state is AttemptState.GONE
    ((_, _, octets),) = world.told
    assert b"Status: 4.2.0" in octets
    assert b"Action: failed" in octets
    assert "gave up" in world.log()


def test_stubborn(world: World) -> None:
    world.fake.answers["net!b.com"] = never
    job = world.put()
    assert world.worker(RetryRules(stubborn=True))(job).state is AttemptState.LATER
    assert world.told == []


def test_warned_once(world: World) -> None:
    world.fake.answers["net!b.com"] = later
    job = world.put()
    for hours, reports in ((3, 0), (5, 1), (9, 1)):
        world.now = job.path("D").stat().st_mtime + hours * HOUR
        assert world.worker()(job).state is AttemptState.LATER
        assert len(world.told) == reports
    octets = world.told[0][2]
    assert b"Action: delayed" in octets
    assert b"Will-Retry-Until: " in octets
    assert b"hello" not in octets  # the header will do
    assert job.path("w").exists()
    world.fake.answers.clear()
    assert world.worker(RetryRules(at_once=True))(job).state is AttemptState.GONE
    assert files(job) == []


@pytest.mark.parametrize("reply", ["/dev/null", "postmaster"])
def test_nobody_is_told_of_bounces(world: World, reply: str) -> None:
    world.fake.answers["net!b.com"] = never
    job = world.put(reply=reply)
    assert world.worker()(job).state is AttemptState.GONE
    assert world.told == []


def test_report_that_cannot_be_sent_keeps_the_message(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tell(user: str, to: str, message: bytes) -> None:
        raise MailfsError("mailbox is full")

    world.fake.answers["net!b.com"] = never
    job = world.put()
    monkeypatch.setattr(world, "tell", tell)
    assert world.worker()(job).state is AttemptState.LATER
    assert job.words()[3] == "a@b.com"
    assert "returnmail failed: mailbox is full" in world.log()


def test_who_was_served_is_on_disk_before_the_report(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tell(user: str, to: str, message: bytes) -> None:
        assert job.words()[3:] == ("b@b.com", "c@b.com")
        raise MailfsError("mailbox is full")

    world.fake.answers["net!b.com"] = mixed
    job = world.put("a@b.com", "b@b.com", "c@b.com")
    monkeypatch.setattr(world, "tell", tell)
    assert world.worker()(job).state is AttemptState.LATER
    assert world.worker(RetryRules(at_once=True))(job).state is AttemptState.LATER
    assert [w[3:] for w in world.fake.given] == [
        ("a@b.com", "b@b.com", "c@b.com"),
        ("b@b.com", "c@b.com"),
    ]


def test_who_was_served_is_remembered_where_nothing_can_be_written(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    world.fake.answers["net!b.com"] = mixed
    job = world.put("a@b.com", "b@b.com", "a2@b.com")
    worker = world.worker(RetryRules(at_once=True))
    with monkeypatch.context() as patch:
        patch.setattr(spool.Claim, "rewrite", full)
        patch.setattr(spool.Claim, "note", full)
        for _ in range(3):
            assert worker(job).state is AttemptState.LATER
    assert [w[3:] for w in world.fake.given[1:]] == [("b@b.com",)] * 2
    assert worker(job).state is AttemptState.LATER
    assert job.words()[3:] == ("b@b.com",)
    world.fake.answers.clear()
    assert worker(job).state is AttemptState.GONE
    assert files(job) == []


def test_an_errors_file_that_cannot_be_written_changes_nothing(world: World) -> None:
    world.fake.answers["net!b.com"] = mixed
    job = world.put("a@b.com", "b@b.com")
    job.path("E").mkdir()
    world.worker()(job)
    assert job.words()[3:] == ("b@b.com",)
    assert "writing errors file: not a regular file" in world.log()


def refusing(world: World, *refused: str) -> None:
    def tell(user: str, to: str, message: bytes) -> None:
        if to in refused:
            raise DeliveryError(f"{to}: unknown user", permanent=True)
        world.told.append((user, to, message))

    world.tell = tell  # type: ignore[method-assign]


def test_report_refused_for_good_goes_to_the_postmaster(world: World) -> None:
    world.fake.answers["net!b.com"] = never
    job = world.put()
    refusing(world, "glenda")
    assert world.worker()(job).state is AttemptState.GONE
    assert [to for _, to, _ in world.told] == ["postmaster"]
    assert files(job) == []


def test_report_nobody_takes_is_held(world: World) -> None:
    world.fake.answers["net!b.com"] = mixed
    job = world.put("a@b.com", "c@b.com")
    refusing(world, "glenda", "postmaster")
    assert world.worker()(job).state is AttemptState.GONE
    (held,) = spool.jobs(job.folder, held=True)
    assert held.held
    assert held.words()[3:] == ("c@b.com",)
    assert "nobody takes the report; held" in world.log()


@pytest.mark.parametrize("error", [UnicodeError("label too long"), KeyError("x")])
def test_whatever_a_worker_raises_is_noted_and_ends(
    world: World, error: Exception
) -> None:
    def mistake(words: tuple[str, ...]) -> list[Fate]:
        raise error

    world.fake.answers["net!b.com"] = mistake
    job = world.put()
    assert world.worker()(job).state is AttemptState.LATER
    assert type(error).__name__ in job.path("E").read_text()
    world.now += 121 * HOUR
    assert world.worker()(job).state is AttemptState.GONE
    ((_, _, octets),) = world.told
    assert type(error).__name__.encode() in octets


def test_times_ahead_of_the_clock_count_as_now(world: World) -> None:
    job = world.put()
    job.path("E").touch()
    for kind in "DE":
        os.utime(job.path(kind), (world.now + 1e7, world.now + 1e7))
    assert world.worker()(job).due < world.now + HOUR
    world.now += 121 * HOUR
    world.fake.answers["net!b.com"] = later
    assert world.worker()(job).state is AttemptState.GONE
    assert len(world.told) == 1


def test_host_is_down(world: World) -> None:
    world.fake.down.add("net!b.com")
    job = world.put()
    verdict = world.worker()(job)
    assert (verdict.state, verdict.host) == (AttemptState.LATER, False)
    given = len(world.fake.given)
    world.now += 2 * HOUR
    assert world.worker()(job, "connection refused") == AttemptVerdict(
        AttemptState.LATER, world.now
    )
    world.now += 200 * HOUR
    assert world.worker()(job, "connection refused").state is AttemptState.GONE
    assert len(world.fake.given) == given
    assert b"connection refused" in world.told[0][2]


def test_leftovers(world: World) -> None:
    worker = world.worker()
    job = world.put()
    job.path("D").unlink()
    assert worker(job).state is AttemptState.GONE
    assert files(job) == []
    assert f"no data file for {job.name}" in world.log()
    empty = world.put()
    empty.path("C").write_bytes(b"")
    assert worker(empty).state is AttemptState.LATER  # qer may be writing it
    world.now += HOUR
    assert worker(empty).state is AttemptState.GONE
    assert f"empty ctl file for {empty.name}" in world.log()
    odd = world.put()
    odd.path("C").write_bytes(b"mail\n")
    assert worker(odd).state is AttemptState.GONE
    assert odd.path("h").exists()
    assert worker(odd).state is AttemptState.GONE  # it has gone meanwhile


def test_busy(world: World) -> None:
    job = world.put()
    held = spool.claim(job)
    assert held is not None
    assert world.worker()(job).state is AttemptState.BUSY
    held.close()
    assert world.worker()(job).state is AttemptState.GONE


def test_killed_at_every_step(world: World) -> None:
    """Nobody who is owed the message is forgotten, whenever we die.

    A recipient that had it is only asked again if we died before that was written.
    """
    world.fake.answers["net!b.com"] = mixed
    for step in range(1, 200):
        job = world.put("a@b.com", "b@b.com", "c@b.com")
        died = killed_at(step, lambda job=job: world.worker()(job))  # type: ignore[misc]
        (left,) = spool.jobs(job.folder)
        assert left.words()[3:] in (
            ("a@b.com", "b@b.com", "c@b.com"),
            ("b@b.com", "c@b.com"),
            ("b@b.com",),
        )
        assert left.path("D").read_bytes() == DATA
        held = spool.claim(left)
        assert held is not None  # no lock outlives its process
        held.remove()
        held.close()
        if not died:
            break
    assert 5 < step < 199


def test_schedule() -> None:
    """Waits grow, and stay between half a minute and an hour."""
    now = tried = 0.0
    waits = []
    for _ in range(40):
        due = retry.due(Times(0.0, tried), "x")
        waits.append(due - tried)
        tried = now = due
    assert waits[0] == pytest.approx(30, rel=0.11)
    assert waits[-1] == pytest.approx(3600, rel=0.11)
    assert [round(w) for w in waits] == sorted(round(w) for w in waits)
    assert retry.due(Times(5.0), "x") == 5.0
    assert retry.due(Times(0, 0), "x") != retry.due(Times(0, 0), "y")
    assert now > 20 * HOUR


def test_backoff() -> None:
    assert retry.backoff(1, "h") == pytest.approx(30, rel=0.11)
    assert retry.backoff(4, "h") == pytest.approx(240, rel=0.11)
    assert retry.backoff(1000, "h") == pytest.approx(3600, rel=0.11)


HEADING = Heading("h.org", "a@b.c\nBcc: x@y.z", 0, 0, "token")


def test_report_is_one_message_whatever_is_in_it() -> None:
    fate = Fate(
        "a\n--upas-token\nx@b.c", False, True, 0, "", "line\n\n--upas-token--", ""
    )
    large = b"Subject: big\n\n" + b"x\n" * 200_000
    octets = report(HEADING, Action.FAILED, [fate], large)
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert message["bcc"] is None
    assert isinstance(message, EmailMessage)
    parts = list(message.iter_parts())
    assert [p.get_content_type() for p in parts] == [
        "text/plain",
        "message/delivery-status",
        "text/rfc822-headers",
    ]
    assert blocks(parts[1])[1]["diagnostic-code"].startswith("x-upas; line")
    eai = report(HEADING, Action.FAILED, [Fate("jü@b.c", False, True)], b"")
    assert "Final-Recipient: utf-8; jü@b.c".encode() in eai
    assert b"Status: 5.0.0" in eai


def test_explain() -> None:
    fates = [Fate("a", True), Fate("b", False, line="450 x\ny")]
    assert explain(fates, "net!b", 0).endswith(
        "connect to net!b:\n  mail to b failed: 450 x y\n"
    )


def test_a_report_quotes_no_more_than_it_may() -> None:
    """However many lines of an envelope there are, and however large the message."""
    lines = b"From \n" * 200_000
    fate = Fate("a@b.c", False, True, line="550 no")
    octets = report(HEADING, Action.FAILED, [fate], lines + b"To: a\n\nbody\n")
    assert b"From \n" not in octets
    assert octets.endswith(b"\n\nTo: a\n--upas-token--\n"), octets[-200:]
    octets = report(HEADING, Action.FAILED, [fate], b"To: a\n\nbody\n", 1 << 30)
    assert b"body" not in octets


def wishing(world: World, ret: str = "", **notify: str) -> Job:
    """Queue a message whose sender has wishes: recipients to NOTIFY."""
    rcpts = {
        f"{who}@b.com": RcptDsn(tuple(words.split("_")), f"rfc822;{who}+2Bx@h.org")
        for who, words in notify.items()
    }
    words = ("mail", "glenda", "net!b.com", *rcpts)
    job = enqueue(world.queue, "glenda", DATA, words, dsn=Dsn(ret, "id+20x", rcpts))
    world.now = max(world.now, job.path("D").stat().st_mtime)
    return job


def test_no_report_that_nobody_wants(world: World) -> None:
    world.fake.answers["net!b.com"] = never
    job = wishing(world, a="never", c="success_delay")
    assert world.worker()(job).state is AttemptState.GONE
    assert world.told == []
    assert list(job.folder.iterdir()) == []


def test_a_report_of_those_asked_for(world: World) -> None:
    world.fake.answers["net!b.com"] = never
    job = wishing(world, "hdrs", a="never", c="failure")
    world.worker()(job)
    ((_, to, text),) = world.told
    assert to == "glenda"
    assert b"Original-Envelope-Id: id x\n" in text
    assert b"Original-Recipient: rfc822;c+x@h.org\nFinal-Recipient: rfc822; c@b" in text
    assert b"a@b.com" not in text
    assert b"hello" not in text  # the header alone was asked for


def test_no_word_of_a_delay(world: World) -> None:
    world.fake.answers["net!b.com"] = later
    job = wishing(world, a="failure")
    world.now += 5 * 3600
    world.worker()(job)
    assert world.told == []


@pytest.mark.parametrize("passed_on", [False, True])
def test_success(world: World, *, passed_on: bool) -> None:
    """A server that reports itself has been asked to; for another we tell."""

    def taken(words: tuple[str, ...]) -> list[Fate]:
        return [replace(fate, dsn=passed_on) for fate in ok(words)]

    world.fake.answers["net!b.com"] = taken
    job = wishing(world, a="success", c="failure")
    world.worker()(job)
    assert not job.control.exists()
    if passed_on:
        assert world.told == []
        return
    ((_, _, text),) = world.told
    assert b"Action: relayed\nStatus: 2.0.0\n" in text
    assert b"c@b.com" not in text
