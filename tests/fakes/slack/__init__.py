"""A Slack to test against and to try Runbell with: see server.py."""

from tests.fakes.slack.server import FakeSlack

__all__ = ["FakeSlack"]
