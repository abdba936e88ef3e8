"""The contract, for each local kind."""

from pathlib import Path

import pytest

from tests.mailbox.bench import BENCHES, Bench
from tests.mailbox.contract import CHECKS, Check


@pytest.mark.parametrize("bench", BENCHES, ids=lambda bench: bench.kind)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_driver(check: Check, bench: type[Bench], tmp_path: Path) -> None:
    check(bench(tmp_path))
