"""`runbell flush`: sends the reports that could not be sent."""

import time
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from runbell.cli.config import ENVIRON
from runbell.cli.deliver import drain, never
from runbell.cli.options import add_server, command_parser
from runbell.cli.say import say, show
from runbell.cli.send import Unsent
from runbell.cli.settings import Settings, load_settings
from runbell.cli.spool import Spool
from runbell.cli.waits import within

LIMIT = 60.0  # seconds

EXAMPLES = """\
example, in a crontab:
  */5 * * * *  runbell flush

The exit code is 0 when nothing is left, 1 while something is, 2 when the settings make no sense.
"""


def parser() -> ArgumentParser:
    made = command_parser("flush", "Send the reports that could not be sent, oldest first, for a minute at most.", EXAMPLES)
    add_server(made)
    return made


def main(words: Sequence[str]) -> int:
    settings, complaints = load_settings(vars(parser().parse_args(list(words))), ENVIRON, [Path()])
    for complaint in complaints:
        say(complaint)
    return 2 if complaints else flush(settings)


def flush(settings: Settings) -> int:
    spool = Spool(settings.spool_dir)
    before = len(spool.waiting())
    if not before:
        return 0
    deadline = time.monotonic() + LIMIT
    answer = within(LIMIT, lambda: drain(spool, settings, deadline=deadline), never)
    left = len(spool.waiting())
    if answer is None:
        say("another process is sending, or the server does not answer")
    elif isinstance(answer, Unsent):
        say(answer.why)
    show(f"{before - left} of {before} reports sent or set aside, {left} left in {spool.directory}")
    return 1 if left else 0
