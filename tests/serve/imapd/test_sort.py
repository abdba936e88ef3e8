"""Base subjects, orders and threads; circles and long chains too."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.serve.imapd.sort import (
    Facts,
    base_subject,
    by_references,
    by_subject,
    ordered,
    written,
)

SUBJECTS = [
    ("hello", "hello", False),
    ("Re: hello", "hello", True),
    ("RE[2]: hello (fwd)", "hello", True),
    ("[list] Re: [other] Fw: hello  there", "hello there", True),
    ("[list] hello", "hello", False),
    ("[list]", "[list]", False),
    ("Fwd: [fwd: re: x]", "x", True),
    ("re", "re", False),
    ("reply: x", "reply: x", False),
    ("", "", False),
    ("Re:", "", True),
]


@pytest.mark.parametrize(("subject", "base", "reply"), SUBJECTS)
def test_base_subject(subject: str, base: str, *, reply: bool) -> None:
    assert base_subject(subject) == (base, reply)


def test_ordered() -> None:
    rows = [
        Facts(1, 9, 5, 3, "B"),
        Facts(2, 8, 5, 2, "A"),
        Facts(3, 7, 4, 1, "B"),
    ]
    assert ordered(rows, [("ARRIVAL", False)]) == [3, 2, 1]
    assert ordered(rows, [("SUBJECT", False), ("DATE", True)]) == [2, 1, 3]
    assert ordered(rows, [("SIZE", True)]) == [1, 2, 3]


def _row(
    uid: int, name: str, *references: str, subject: str = "", reply: bool = False
) -> Facts:
    return Facts(
        uid,
        uid,
        0,
        uid,
        subject,
        reply,
        (),
        name.encode(),
        tuple(r.encode() for r in references),
    )


THREADS = [
    ([_row(1, "a"), _row(2, "b", "a"), _row(3, "c", "a", "b")], "(1 2 3)"),
    ([_row(1, "a"), _row(2, "b", "a"), _row(3, "c", "a")], "(1 (2)(3))"),
    ([_row(1, "b", "a"), _row(2, "c", "a")], "((1)(2))"),
    ([_row(1, "b", "a")], "(1)"),
    ([_row(1, "a", "b"), _row(2, "b", "a")], "(2 1)"),
    ([_row(1, "a", "a")], "(1)"),
    ([_row(1, "a"), _row(2, "a", "x")], "(1)(2)"),
    ([_row(2, "a", subject="S"), _row(1, "b", subject="S", reply=True)], "(2 1)"),
    ([_row(1, "a", subject="S"), _row(2, "b", subject="S")], "((1)(2))"),
    ([_row(1, ""), _row(2, "")], "(1)(2)"),
    ([], ""),
]


@pytest.mark.parametrize(("rows", "text"), THREADS)
def test_by_references(rows: list[Facts], text: str) -> None:
    assert "".join(written(by_references(rows), lambda uid: uid)) == text


def test_by_subject() -> None:
    rows = [
        _row(1, "a", subject="X"),
        _row(2, "b", subject="Y"),
        _row(3, "c", subject="X"),
    ]
    assert "".join(written(by_subject(rows), lambda uid: uid)) == "(1 3)(2)"


@pytest.mark.parametrize("backwards", [False, True])
def test_a_long_chain(*, backwards: bool) -> None:
    """Neither recursion nor steps that grow with the square of the length."""
    count = 30_000
    rows = [_row(n, f"m{n}", f"m{n - 1}") for n in range(1, count + 1)]
    if backwards:
        rows = [_row(n, f"m{n}", f"m{n + 1}") for n in range(1, count + 1)]
    text = "".join(written(by_references(rows), lambda uid: uid))
    wanted = range(count, 0, -1) if backwards else range(1, count + 1)
    assert text == f"({' '.join(map(str, wanted))})"


NAMES = st.sampled_from("abcde")


@given(st.lists(st.tuples(NAMES, st.lists(NAMES, max_size=4)), max_size=12))
def test_every_message_is_in_one_thread(messages: list[tuple[str, list[str]]]) -> None:
    rows = [_row(n, name, *refs) for n, (name, refs) in enumerate(messages, 1)]
    text = "".join(written(by_references(rows), lambda uid: uid))
    found = text.replace("(", " ").replace(")", " ").split()
    assert sorted(map(int, found)) == [row.uid for row in rows]
