"""What holds for all tests: Hypothesis profiles, and what becomes of tests that this machine cannot run."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Deadlines are wall-clock assertions: machines are shared and noisy.
_COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("default", max_examples=50, **_COMMON)
settings.register_profile("ci", max_examples=100, derandomize=True, print_blob=True, **_COMMON)
settings.register_profile("fuzz", max_examples=5_000, **_COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "default"))

COULD_NOT_RUN = "could not run here"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """In CI everything is installed: a test that could not run there has failed."""
    outcome = yield
    report = outcome.get_result()
    if os.environ.get("CI") and report.skipped and COULD_NOT_RUN in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = (
            f"{item.nodeid}: {report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr}"
        )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """One lab at a time, whatever the number of workers: a lab wants the machine for itself. Before xdist, which looks for groups
    in the same hook.
    """
    for item in items:
        if item.get_closest_marker("lab"):
            item.add_marker(pytest.mark.xdist_group("lab"))


def pytest_terminal_summary(terminalreporter):
    """The end of `make test`: what this machine could not run, and why."""
    reasons = {}
    for report in terminalreporter.stats.get("skipped", ()):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if COULD_NOT_RUN in reason:
            file = Path(report.nodeid.partition("::")[0])
            reasons.setdefault(reason.partition(COULD_NOT_RUN)[2].lstrip(": "), []).append(file)
    terminalreporter.section("what could not run here")
    for reason, files in sorted(reasons.items()):
        names = ", ".join(sorted({str(file) for file in files}))
        terminalreporter.line(f"{len(files)} in {names}: {reason}")
    if not reasons:
        terminalreporter.line("nothing: everything ran")
