"""Fixtures; a folder's conftest imports those that it wants.

A test takes a user of its own from ``dovecot.user()``, so one server does for all.
"""

from collections.abc import Iterator

import pytest

from tests.net.cyrus import Cyrus
from tests.net.dovecot import Dovecot


@pytest.fixture(scope="session")
def dovecot() -> Iterator[Dovecot]:
    with Dovecot() as server:
        yield server


@pytest.fixture(scope="session")
def cyrus() -> Iterator[Cyrus]:
    with Cyrus() as server:
        yield server
