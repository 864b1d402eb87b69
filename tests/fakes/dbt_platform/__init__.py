"""A dbt platform on 127.0.0.1 that keeps to the documented rules: see server.py."""

from tests.fakes.dbt_platform.server import FakeDbt as FakeDbt
from tests.fakes.dbt_platform.world import FakeRun as FakeRun
