"""Secrets never reach a log line, whoever logs."""

import subprocess
import sys

SCRIPT = """
import logging, structlog
from runbell.server.logs import set_up
set_up("info")
structlog.get_logger().warning("relay refused", url="smtp://u:hunter2@relay", level_of=1)
logging.getLogger("django").warning("cannot reach %s", "postgres://u:hunter2@db/x")
def fail(body):
    raise ValueError("password=hunter2")
try:
    fail("mail body of ada")
except ValueError:
    structlog.get_logger().exception("it broke")
structlog.get_logger().debug("too quiet")
"""


def test_lines_are_masked_and_tracebacks_hold_no_locals() -> None:
    said = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert said.stdout == ""
    assert "smtp://u:hidden@relay" in said.stderr
    assert "postgres://u:hidden@db/x" in said.stderr
    assert "ValueError" in said.stderr
    for secret in ("hunter2", "mail body of ada\\n", "too quiet", "body ="):
        assert secret not in said.stderr
