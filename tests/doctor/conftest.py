"""Patients, servers and certificates for this folder's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doctor.world import Patient, patient
from tests.net.fixtures import dovecot
from tests.tls.conftest import dead_port, our_ca, pki, s_server

__all__ = ["dead_port", "dovecot", "our_ca", "pki", "s_server", "sick"]


@pytest.fixture
def sick(tmp_path: Path) -> Iterator[Patient]:
    with patient(tmp_path) as made:
        yield made
