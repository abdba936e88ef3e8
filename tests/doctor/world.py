"""A patient: a root, a name space and a factotum of its own; what is found there."""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mailfs.doctor import account, rounds
from mailfs.doctor.finding import Finding, FindingState
from mailfs.doctor.world import DoctorWorld
from mailfs.tls.trust import Trust
from tests.factotum.serving import Served

SECRET = "correct horse battery staple"
USER = "glenda"


class Patient:
    """Entered, there is a name space with nothing in it."""

    def __init__(self, scratch: Path) -> None:
        self.root = scratch / "root"
        self.root.mkdir()
        self._sockets = tempfile.TemporaryDirectory(prefix="mf")
        self.ns = Path(self._sockets.name)
        self.world = DoctorWorld(
            self.root, USER, scratch / "cache", lambda: self.ns, Trust(self.root), 20.0
        )
        self._served: Served | None = None

    def factotum(self, *keys: str) -> Served:
        """Run one, with keys."""
        self._served = Served(self.ns)
        os.symlink("f", self.ns / "factotum")  # Served calls it f
        self._served.add(*keys)
        return self._served

    def quick(self) -> None:
        """Have the doctor wait for a second only."""
        self.world = replace(self.world, timeout=1.0)

    def account(self, *specs: str) -> list[Finding]:
        """Look at accounts."""
        jobs = list(account.jobs(self.world, specs, account.listed(self.world)))
        return list(rounds.run(jobs, 60))

    def ask(self, check: Callable[[DoctorWorld], Iterator[Finding]]) -> list[Finding]:
        """Do one check."""
        return list(check(self.world))

    def close(self) -> None:
        """End the factotum."""
        if self._served is not None:
            self._served.close()
        self._sockets.cleanup()


@contextmanager
def patient(scratch: Path) -> Iterator[Patient]:
    """Have a patient, and clean up after it."""
    made = Patient(scratch)
    try:
        yield made
    finally:
        made.close()


def wrong(found: Iterable[Finding]) -> Finding:
    """Return the one thing that is wrong; nothing found may hold the secret."""
    found = list(found)
    for one in found:
        assert SECRET not in str(one)
    (one,) = (one for one in found if one.state is FindingState.BAD)
    return one


def stages(found: Iterable[Finding]) -> list[str]:
    """Return what was looked at and how it is: ``dial ok``."""
    return [f"{one.what.rpartition(' ')[2]} {one.state.value}" for one in found]
