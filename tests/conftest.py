"""What holds for all tests: hypothesis profiles, an own place in the world, no excuses.

HYPOTHESIS_PROFILE chooses the profile; scripts/fuzz chooses fuzz.
"""

import os
import tempfile
from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("ci", derandomize=True, deadline=None, database=None)
settings.register_profile(
    "fuzz",
    max_examples=5000,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_configure(config: pytest.Config) -> None:
    """Let coverage be measured in the processes that run tests, and in no other.

    Programs that tests start would each leave a file of their own, by the thousand.
    """
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


@pytest.fixture(autouse=True, scope="session")
def _elsewhere() -> Iterator[None]:
    """Keep the user's own mail, cache and services out of reach of every test.

    The directory's name is short: the path of a Unix socket is 108 octets at most.
    """
    with (
        tempfile.TemporaryDirectory(prefix="mailfs") as home,
        pytest.MonkeyPatch.context() as env,
    ):
        env.setenv("MAILFS_ROOT", f"{home}/root")
        env.setenv("XDG_CACHE_HOME", f"{home}/cache")
        env.setenv("NAMESPACE", f"{home}/ns")
        yield


def _excuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    if os.environ.get("CI") and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, in CI: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let no test call pytest.skip in CI: there, a missing component is a failure.

    Marks (skip, skipif, xfail) say what holds by design and are left alone.
    """
    report = yield
    if not any(map(item.get_closest_marker, ("skip", "skipif", "xfail"))):
        _excuse(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[
    None, pytest.CollectReport, pytest.CollectReport
]:
    """Let no module be skipped whole in CI, as importorskip does."""
    report = yield
    _excuse(report)
    return report
