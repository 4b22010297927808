"""What holds for every test: in CI nothing is skipped."""

import os
from collections.abc import Generator

import pytest
from hypothesis import settings

# The same examples at every run: a test that fails today fails tomorrow too.
settings.register_profile("stretto", derandomize=True)
settings.load_profile("stretto")

IN_CI = os.environ.get("CI", "") not in ("", "0", "false")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        _fail(report, item.nodeid)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if IN_CI and report.skipped:
        _fail(report, collector.nodeid)
    return report


def _fail(report: pytest.TestReport | pytest.CollectReport, nodeid: str) -> None:
    """A part that is missing on a laptop is a reason to skip; in CI it would hide that nothing was tested."""
    report.outcome = "failed"
    report.longrepr = f"{nodeid} was skipped, which CI does not allow: {report.longreprtext}"
