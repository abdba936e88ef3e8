"""The generator: the same mail always, and stores that others can read."""

import mailbox
from pathlib import Path

from tests.corpus import (
    FLAWED,
    FLAWS,
    SHAPES,
    corpus,
    message,
    quoted,
    write_maildir,
    write_mbox,
    write_mdir,
    write_mh,
)

MAIL = list(corpus(200))


def test_a_message_depends_on_its_index_only() -> None:
    assert list(corpus(20, start=100)) == MAIL[100:120]
    assert message(7) == MAIL[7] != message(7, seed=2)
    assert len({m.data for m in MAIL}) == len(MAIL)


def test_messages_arrive_in_order_and_whole() -> None:
    dates = [m.date for m in MAIL]
    assert dates == sorted(set(dates))
    for mail in MAIL:
        assert mail.data.endswith(b"\n")
        assert b"\0" not in mail.data


def test_all_shapes_and_flaws_occur() -> None:
    whole = b"".join(m.data for m in corpus(1500))
    kinds = (
        b"alternative",
        b"mixed",
        b"signed",
        b"message/rfc822",
        b"8bit",
        b"=?utf-8",
    )
    assert [k for k in kinds if k not in whole] == []
    assert len(SHAPES) == 7
    assert 0 < FLAWED < 0.1
    good = b"".join(m.data for m in MAIL[:50])
    assert all(flaw(good) != good for flaw in FLAWS)


def test_quoting_leaves_no_separator() -> None:
    data = b"From a\n>From b\n\nFrom c"
    assert quoted(data) == b" From a\n>From b\n\n From c\n"


def test_stores_read_back(tmp_path: Path) -> None:
    few, more = MAIL[:40], MAIL[40:50]
    for part in (few, more):
        write_mbox(tmp_path / "mbox", part)
        write_maildir(tmp_path / "maildir", part)
        write_mh(tmp_path / "mh", part)
        write_mdir(tmp_path / "mdir", part)
    stored = mailbox.mbox(tmp_path / "mbox", create=False)
    assert [stored.get_bytes(key) for key in stored.iterkeys()] == [
        quoted(m.data) for m in MAIL[:50]
    ]
    stored.close()
    maildir = mailbox.Maildir(tmp_path / "maildir", create=False)
    flags = {maildir.get_bytes(k): maildir[k].get_flags() for k in maildir.iterkeys()}
    assert flags == {m.data: "".join(sorted(m.flags)) for m in MAIL[:50]}
    folder = mailbox.MH(tmp_path / "mh", create=False)
    keys = folder.keys()
    assert [folder.get_bytes(key) for key in keys] == [m.data for m in MAIL[:50]]
    unseen = [n for n, m in enumerate(MAIL[:50], 1) if not m.flags]
    assert folder.get_sequences() == {"unseen": unseen}
    names = sorted(p.name for p in (tmp_path / "mdir").iterdir())
    assert names == [f"{m.date}.00" for m in MAIL[:50]]
