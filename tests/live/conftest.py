"""Fixtures for the tests that need a real program beside us."""

import pytest

from tests.live.kernel import Kernel, Missing, kernel


@pytest.fixture(scope="session")
def linux() -> Kernel:
    """Return a Linux kernel to boot; skip where it cannot be had."""
    try:
        return kernel()
    except Missing as e:
        pytest.skip(f"missing: {e}")
