"""Numbers stay with their messages, whatever happens to the store."""

from array import array
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.mailbox.kinds import Flag, Key, Listing, MessageReader
from mailfs.mailbox.view import Change, View, first_view, merge, without


class NoStore(MessageReader):
    def read(self, key: Key, size: int, ident: int, start: int, end: int) -> bytes:
        raise NotImplementedError


STORE = NoStore()


def listing(
    idents: list[int], weaks: list[int] | None = None, **columns: list[int]
) -> Listing:
    n = len(idents)
    return Listing(
        signature=repr(idents),
        settled=True,
        keys=array("Q", range(n)),
        sizes=array("Q", [100] * n),
        idents=array("Q", idents),
        weaks=array("Q", weaks or [0] * n),
        dates=array("q", columns.get("dates", [1000] * n)),
        flags=bytearray(columns.get("flags", [0] * n)),
        store=STORE,
    )


def numbers(view: View) -> dict[int, int]:
    """Return the number of each identity."""
    return dict(zip(view.listing.idents, view.numbers, strict=True))


def test_first() -> None:
    view = first_view(listing([7, 5, 9]), 1234)
    assert list(view) == [1, 2, 3]
    assert view.next == 4
    assert view.mtime == 1234
    assert [view.row(n) for n in (0, 1, 2, 3, 4)] == [None, 0, 1, 2, None]
    assert list(view.seqs) == [0, 1, 2]


# before, after (idents and weaks), numbers after, what changed
CASES = [
    ("nothing", ([1, 2], []), ([1, 2], []), [1, 2], Change()),
    ("append", ([1, 2], []), ([1, 2, 3], []), [1, 2, 3], Change(new=(3,))),
    ("delete first", ([1, 2, 3], []), ([2, 3], []), [2, 3], Change(gone=(1,))),
    ("delete last", ([1, 2, 3], []), ([1, 2], []), [1, 2], Change(gone=(3,))),
    (
        "delete and append",
        ([1, 2, 3], []),
        ([1, 3, 4], []),
        [1, 3, 4],
        Change(new=(4,), gone=(2,)),
    ),
    ("empty", ([1, 2], []), ([], []), [], Change(gone=(1, 2))),
    ("from empty", ([], []), ([5], []), [1], Change(new=(1,))),
    ("reordered", ([1, 2, 3], []), ([3, 1, 2], []), [3, 1, 2], Change()),
    ("twins", ([1, 1], []), ([1, 1, 1], []), [1, 2, 3], Change(new=(3,))),
    ("a twin gone", ([1, 1, 2], []), ([1, 2], []), [1, 3], Change(gone=(2,))),
    ("out of order", ([1, 3], []), ([1, 2, 3], []), [1, 3, 2], Change(new=(3,))),
    (
        "edited",
        ([1, 2, 3], [7, 8, 9]),
        ([1, 20, 3], [7, 8, 9]),
        [1, 2, 3],
        Change(rewritten=(2,)),
    ),
    (
        "edited and moved up",
        ([1, 2, 3], [7, 8, 9]),
        ([20, 30], [8, 9]),
        [2, 3],
        Change(gone=(1,), rewritten=(2, 3)),
    ),
    (
        "edited, but which",
        ([1, 2, 3], [7, 7, 9]),
        ([20, 3], [7, 9]),
        [4, 3],
        Change(new=(4,), gone=(1, 2)),
    ),
]


@pytest.mark.parametrize(
    ("before", "after", "want", "change"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_merge(
    before: tuple[list[int], list[int]],
    after: tuple[list[int], list[int]],
    want: list[int],
    change: Change,
) -> None:
    old = first_view(listing(*before), 10)
    view, found = merge(old, listing(*after), 20)
    assert list(view.numbers) == want
    assert found == change
    assert list(view) == sorted(want)
    assert view.vers - old.vers == bool(change)
    assert view.mtime == (20 if change else 10)


def test_flags_are_a_change() -> None:
    old = first_view(listing([1, 2]), 10)
    view, change = merge(old, listing([1, 2], flags=[0, Flag.SEEN.value]), 20)
    assert change == Change(modified=(2,))
    assert view.vers == old.vers + 1
    assert not merge(view, listing([1, 2], flags=[Flag.RECENT.value, 32]), 30)[1]


def test_numbers_are_never_given_twice() -> None:
    view = first_view(listing([1, 2, 3]), 10)
    view, _ = merge(view, listing([]), 20)
    view, _ = merge(view, listing([1, 2, 3]), 30)
    assert list(view) == [4, 5, 6]


def test_sequence_numbers_stay() -> None:
    view = first_view(listing([1, 2, 3], dates=[5, 5, 6]), 10)
    assert list(view.seqs) == [0, 1, 0]
    view, _ = merge(view, listing([2, 3, 4, 5], dates=[5, 6, 5, 6]), 20)
    assert list(view.seqs) == [1, 0, 2, 1]
    many = first_view(listing(list(range(150))), 10)
    assert list(many.seqs[98:102]) == [98, 99, 99, 99]


def test_without() -> None:
    old = first_view(listing([1, 2, 3, 4]), 10)
    view = without(old, listing([1, 3]), [1, 3], 20)
    assert numbers(view) == {1: 1, 3: 3}
    assert view.vers == old.vers + 2
    assert view.mtime == 20
    # mail that came during the rewrite
    view = without(old, listing([1, 3, 9]), [1, 3], 20)
    assert numbers(view) == {1: 1, 3: 3, 9: 5}
    assert view.next == 6


IDENTS = st.lists(st.integers(1, 12), max_size=12)


@given(st.lists(IDENTS, min_size=2, max_size=5), st.booleans())
def test_numbers_stay_with_identities(stores: list[list[int]], unique: bool) -> None:
    if unique:
        stores = [list(dict.fromkeys(store)) for store in stores]
    view = first_view(listing(stores[0]), 0)
    used = set(view.numbers)
    for store in stores[1:]:
        was = view
        view, change = merge(was, listing(store), 0)
        assert len(set(view.numbers)) == len(store)
        assert list(view) == sorted(view.numbers)
        assert not set(change.new) & used
        used |= set(view.numbers)
        assert set(change.new) == set(view.numbers) - set(was.numbers)
        assert set(change.gone) == set(was.numbers) - set(view.numbers)
        ident = {n: i for i, n in numbers_of(was)}
        for i, n in numbers_of(view):
            assert ident.get(n, i) == i
        # as many stay as can
        kept = len(view.numbers) - len(change.new)
        assert kept == sum(
            min(store.count(i), list(was.listing.idents).count(i)) for i in set(store)
        )


def numbers_of(view: View) -> list[tuple[int, int]]:
    return list(zip(view.listing.idents, view.numbers, strict=True))


def test_same_rows() -> None:
    old = first_view(listing([1, 2, 3]), 10)
    new, _ = merge(old, listing([1, 2, 3, 4]), 10)
    assert old.same_rows(new) == (3, 0)
    assert old.same_rows(merge(old, listing([1, 9, 3, 4]), 10)[0])[0] == 1
    moved = replace(new, listing=replace(new.listing, keys=array("Q", [0, 9, 2, 3])))
    assert old.same_rows(moved) == (1, 0)
    same = first_view(replace(listing([3]), keys=array("Q", [2])), 10)
    same = replace(same, numbers=array("I", [3]), seqs=bytearray([2]))
    assert old.same_rows(same) == (0, 1)
    assert same.same_rows(old) == (0, 1)
    assert old.same_rows(old) == (3, 0)
