"""Every test process has a home of its own; no test reads the developer's settings."""

import os
import tempfile
from pathlib import Path

import django
import hypothesis
import pytest
from _pytest.terminal import TerminalReporter

from tests.e2e.counts import Counts, total
from tests.quiet import pytest_runtest_call, pytest_runtest_makereport  # noqa: F401 (hooks)

# A machine that does other things at the same time is no fault of the code: no upper bounds on time.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")
for name in [name for name in os.environ if name.startswith("RUNBELL_") and not name.startswith("RUNBELL_TEST_")]:
    del os.environ[name]
os.environ["RUNBELL_HOME"] = tempfile.mkdtemp(prefix="runbell-tests-")
Path(os.environ["RUNBELL_HOME"], "static").mkdir()  # WhiteNoise warns of a missing one; `serve` makes it
if url := os.environ.get("RUNBELL_TEST_DATABASE_URL"):
    os.environ["RUNBELL_DATABASE_URL"] = url
# Not in pyproject.toml: pytest-django would read the settings before this file has made the home.
os.environ["DJANGO_SETTINGS_MODULE"] = "runbell.server.settings"
django.setup()

from django.conf import settings  # noqa: E402 (after the home is made)

from runbell.server import logs  # noqa: E402 (after the home is made)

if not url:
    # pytest-django knows Django's own engine of SQLite as one that is in memory, and gives every other a file for each of its processes.
    settings.DATABASES["default"].setdefault("TEST", {})["NAME"] = ":memory:"

logs.silence()  # as every process of ours


def pytest_unconfigure() -> None:
    import shutil

    shutil.rmtree(Path(os.environ["RUNBELL_HOME"]), ignore_errors=True)


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """The closing line of tests that deliver under faults."""
    reports = [report for found in terminalreporter.stats.values() for report in found if isinstance(report, pytest.TestReport)]
    found = [value for report in reports if report.when == "call" for name, value in report.user_properties if name == "counts"]
    counts = [Counts(**value) for value in found if isinstance(value, dict)]
    if counts:
        terminalreporter.write_line(f"faults: {total(counts)}")
