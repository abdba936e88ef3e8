"""Replies, and what they mean for a recipient."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.errors import MailfsError
from mailfs.smtp.fate import DeliveryError, Fate, Reply, failed, judged, read

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)


@given(
    st.builds(
        Fate,
        TEXT,
        st.just(False),
        st.booleans(),
        st.integers(0, 999),
        TEXT,
        TEXT,
        TEXT,
    )
)
def test_report_is_read_back(fate: Fate) -> None:
    assert read(fate.show()) == fate


@pytest.mark.parametrize(
    "line", ["", "rcpt=a", "fate=ok", "rcpt=a fate=maybe", "rcpt=a fate=ok code=9999"]
)
def test_no_report(line: str) -> None:
    with pytest.raises(MailfsError):
        read(line)


@pytest.mark.parametrize(
    ("code", "text", "ok", "permanent", "enhanced"),
    [
        (250, "2.1.5 ok", True, False, "2.1.5"),
        (450, "4.2.0 later", False, False, "4.2.0"),
        (550, "5.1.1 nobody", False, True, "5.1.1"),
        (550, "4.1.1 confused", False, True, ""),
        (550, "5.1.1.1 nobody", False, True, ""),
        (354, "go on", False, False, ""),
        (999, "9.9.9 x", False, False, ""),
    ],
)
def test_judged(
    code: int, text: str, *, ok: bool, permanent: bool, enhanced: str
) -> None:
    fate = judged("a", Reply(code, (text, "more")), "mx.b")
    want = Fate("a", ok, permanent, code, enhanced, f"{code} {text} more", "mx.b")
    assert fate == want
    assert fate.temporary == (not ok and not permanent)


def test_shared_error() -> None:
    error = DeliveryError("no", permanent=True)
    assert failed("ab", error, "h") == [
        Fate("a", False, True, 0, "5.0.0", "no", "h"),
        Fate("b", False, True, 0, "5.0.0", "no", "h"),
    ]
    assert DeliveryError("no", permanent=False).enhanced == "4.0.0"
