"""The contract, for each local kind."""

from pathlib import Path

import pytest

from mailfs.errors import ENOMOVE, ENORENAME, Refused
from mailfs.mailbox.driver import Driver, Place
from mailfs.mailbox.drivers.mdir import Mdir
from tests.mailbox.bench import BENCHES, Bench
from tests.mailbox.contract import CHECKS, Check


@pytest.mark.parametrize("bench", BENCHES, ids=lambda bench: bench.kind)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_driver(check: Check, bench: type[Bench], tmp_path: Path) -> None:
    check(bench(tmp_path))


def test_what_a_kind_does_not_do_is_refused(tmp_path: Path) -> None:
    """By the contract's own methods, where a kind has none."""
    driver = Mdir(str(tmp_path), Place(tmp_path, "glenda"))
    with pytest.raises(Refused, match=ENORENAME):
        Driver.rename(driver, "elsewhere")
    with pytest.raises(Refused, match=ENOMOVE):
        Driver.move(driver, driver.list(), [0], "elsewhere")
