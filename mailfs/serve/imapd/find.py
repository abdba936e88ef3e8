"""SEARCH, ESEARCH, SORT and THREAD; RFC 9051 section 6.4.4, RFC 5256, RFC 5267."""

import time
from collections.abc import Iterator

from mailfs.imap.grammar.ranges import Ranges
from mailfs.mailbox.folder import MailboxState
from mailfs.mailbox.uid import Gone
from mailfs.serve.description.message import sizes_of
from mailfs.serve.imapd import render, search, sort
from mailfs.serve.imapd.actions import Results, Search, Thread
from mailfs.serve.imapd.command import Request
from mailfs.serve.imapd.criteria import And, Key, Not, Or, Touched
from mailfs.serve.imapd.poll import condstore, poll
from mailfs.serve.imapd.selected import Selected
from mailfs.serve.imapd.session import Session

STEP = 200  # messages looked at before others get the worker


async def found(session: Session, key: Key) -> list[int]:
    """Return the uids, ascending, of messages that a key matches."""
    box, chosen = session.opened()
    uids = list(chosen.uids)
    now = time.time()
    out: list[int] = []
    for at in range(0, len(uids), STEP):
        part = uids[at : at + STEP]

        def job(state: MailboxState, part: list[int] = part) -> list[int]:
            return search.matching(state, chosen, key, part, now)

        out += await box.consult(job)
    return out


def _by_modseq(key: Key) -> bool:
    """Whether a key asks for mod-sequences: then the answer tells the highest."""
    rest = [key]
    while rest:
        match rest.pop():
            case Touched():
                return True
            case Not(inner):
                rest.append(inner)
            case Or(left, right):
                rest += [left, right]
            case And(keys):
                rest += keys
    return False


async def search_(session: Session, request: Request) -> None:
    """SEARCH and UID SEARCH."""
    action = request.action
    assert isinstance(action, Search)
    _, chosen = session.opened()
    if _by_modseq(action.key):
        condstore(session)
    uids = await found(session, action.key)
    if action.results.names is not None and "SAVE" in action.results.names:
        chosen.saved = Ranges.of(_saved(action.results, uids))
    highest = 0
    if _by_modseq(action.key) and uids:
        told = _saved(action.results, uids)
        highest = max(map(chosen.modseq, told))
    numbers = uids if action.uid else [chosen.sequence(one) for one in uids]
    answer(session, request, action, numbers, highest)
    await poll(session, expunge=action.uid, look=False)


async def sort_(session: Session, request: Request) -> None:
    """SORT and UID SORT; RFC 5256, RFC 5267."""
    action = request.action
    assert isinstance(action, Search)
    assert action.sort is not None
    _, chosen = session.opened()
    fields = {name for name, _ in action.sort}
    rows = await _facts(session, await found(session, action.key), fields)
    uids = sort.ordered(rows, action.sort)
    if action.results.names is not None and "SAVE" in action.results.names:
        chosen.saved = Ranges.of(_saved(action.results, uids))
    numbers = uids if action.uid else [chosen.sequence(one) for one in uids]
    answer(session, request, action, numbers, 0)
    await poll(session, expunge=action.uid, look=False)


async def thread(session: Session, request: Request) -> None:
    """THREAD and UID THREAD."""
    action = request.action
    assert isinstance(action, Thread)
    box, chosen = session.opened()
    rows = await _facts(session, await found(session, action.key), set())
    number = (lambda uid: uid) if action.uid else chosen.sequence

    def job() -> bytes:
        how = sort.by_subject
        if action.algorithm == "REFERENCES":
            how = sort.by_references
        return "".join(sort.written(how(rows), number)).encode()

    text = await box.run(job)
    session.say(b"* THREAD" + (b" " + text if text else b"") + b"\r\n")
    await poll(session, expunge=action.uid, look=False)


async def _facts(
    session: Session, uids: list[int], fields: set[str]
) -> list[sort.Facts]:
    """Read what orders and threads need of messages."""
    box, chosen = session.opened()
    out: list[sort.Facts] = []
    for at in range(0, len(uids), STEP):
        part = uids[at : at + STEP]

        def job(state: MailboxState, part: list[int] = part) -> list[sort.Facts]:
            return list(_read(state, chosen, part, fields))

        out += await box.relist(job)
    return out


_COLUMNS = frozenset({"ARRIVAL", "SIZE"})


def _read(
    state: MailboxState, chosen: Selected, uids: list[int], fields: set[str]
) -> Iterator[sort.Facts]:
    sizes: dict[int, int] = {}
    if "SIZE" in fields:
        sizes = sizes_of(state, chosen.view, uids)
    for uid in uids:
        view = chosen.view_of(uid)
        row = view.row(uid)
        if row is None:
            continue
        arrived = view.listing.dates[row]
        if fields and fields <= _COLUMNS:
            yield sort.Facts(uid, arrived, sizes.get(uid, 0))
            continue
        subject = search.Subject(state, view, uid, row)
        try:
            head = subject.header
        except Gone:
            continue
        yield sort.facts(uid, arrived, head, fields, sizes.get(uid, 0))


def _saved(results: Results, uids: list[int]) -> list[int]:
    """Choose the messages that SAVE keeps; RFC 5182 section 2.4."""
    names = results.names or frozenset()
    if names & {"ALL", "COUNT"} or not names & {"MIN", "MAX"}:
        return uids
    kept = uids[:1] if "MIN" in names else []
    return kept + (uids[-1:] if "MAX" in names else [])


def answer(
    session: Session,
    request: Request,
    action: Search,
    numbers: list[int],
    highest: int,
) -> None:
    """Say the result of a SEARCH or SORT; numbers are in its order."""
    results = action.results
    if results.names is None and not session.rev2:
        kind = "SEARCH" if action.sort is None else "SORT"
        words = "".join(f" {n}" for n in numbers)
        mark = f" (MODSEQ {highest})" if highest else ""
        session.line(f"{kind}{words}{mark}")
        return
    names = results.names
    if names is None:
        names = frozenset({"ALL"})
    elif names == {"SAVE"} and results.partial is None:
        return
    words = f' (TAG "{request.tag}")' + (" UID" if action.uid else "")
    ordered = action.sort is not None
    if numbers:
        first, last = (
            (numbers[0], numbers[-1]) if ordered else (min(numbers), max(numbers))
        )
        words += f" MIN {first}" if "MIN" in names else ""
        words += f" MAX {last}" if "MAX" in names else ""
        if "ALL" in names:
            shown = render.numbers(numbers)
            words += f" ALL {shown}"
    if "COUNT" in names:
        words += f" COUNT {len(numbers)}"
    if results.partial is not None:
        a, b = results.partial
        part = numbers[a - 1 : b]
        shown = render.numbers(part)
        words += f" PARTIAL ({a}:{b} {shown or 'NIL'})"
    if highest:
        words += f" MODSEQ {highest}"
    session.line(f"ESEARCH{words}")
