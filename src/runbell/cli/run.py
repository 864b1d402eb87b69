"""`runbell run`: the child first, everything else beside it, and its exit code whatever happens to us."""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from types import TracebackType

from runbell.cli.child import Child, Ended, Signals
from runbell.cli.config import ENVIRON
from runbell.cli.options import add_job, add_sending, add_server, command_parser
from runbell.cli.places import Marks, Places
from runbell.cli.say import say

TYPE_CHECKING = False  # mypy knows the name; importing `typing` would cost the child another 2 ms
if TYPE_CHECKING:
    from runbell.cli.record import Record

MAX_STEPS = 200  # runbell.core.runs.MAX_STEPS, which is too heavy to import here

EXAMPLES = """\
examples:
  runbell run --job nightly -- dbt build --target prod
  runbell run --job nightly --step 'dbt source freshness' --step 'dbt build'
  runbell run --job hourly --environment Production --wait 60 -- ./run_dbt.sh

The exit code is the command's: of several, that of the first that failed; 128+n after signal n, 127 when it was not found.
Commands of --step are split as a shell would, but no shell runs them. Ctrl-C and `kill` reach dbt as without runbell.
"""


def parser() -> ArgumentParser:
    made = command_parser("run", "Run dbt and report how it ended.", EXAMPLES)
    made.usage = (
        "runbell run --job NAME [options] -- COMMAND...\n       runbell run --job NAME [options] --step 'COMMAND' [--step 'COMMAND' ...]"
    )
    made.add_argument("--step", action="append", default=[], metavar="COMMAND", help="one command of several; stops at the first failure")
    made.add_argument("--keep-going", action="store_true", help="run the following steps after a failure too")
    add_job(made)
    add_sending(made)
    add_server(made)
    return made


class Step:
    """A command as words, and as a person wrote it."""

    __slots__ = ("_text", "words")

    def __init__(self, words: Sequence[str], text: str = "") -> None:
        self.words = words
        self._text = text

    @property
    def text(self) -> str:
        from shlex import join

        return self._text or join(self.words)


def parse(words: Sequence[str]) -> tuple[Namespace, list[Step]]:
    """The options and the steps. Ends the process with 2 and a usage line when they make no sense."""
    made = parser()
    dashes = words.index("--") if "--" in words else len(words)
    options, rest = made.parse_known_args(list(words[:dashes]))
    command = list(words[dashes + 1 :])
    if rest:
        made.error(f"unexpected {' '.join(rest)}; the command goes behind --")
    if bool(command) == bool(options.step):
        made.error("--step and -- COMMAND exclude each other" if command else "what to run? give -- COMMAND, or --step")
    if len(options.step) > MAX_STEPS:
        made.error(f"at most {MAX_STEPS} steps")
    return options, [Step(command)] if command else [_split(made, text) for text in options.step]


def _split(made: ArgumentParser, text: str) -> Step:
    import shlex

    try:
        words = shlex.split(text)
    except ValueError as error:
        made.error(f"--step {text}: {error}")
    if not words:
        made.error("--step must not be empty")
    return Step(words, text)


def main(words: Sequence[str]) -> int:
    options, steps = parse(words)
    code = run(options, steps, Signals())
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except (OSError, ValueError):  # whoever read it has gone
            continue
    # Not through the interpreter's end: the thread that tells of the start may still be inside ssl, and a daemon thread in C code
    # at that moment can crash the process. The exit code is dbt's, always.
    os._exit(code)


def run(options: Namespace, steps: Sequence[Step], signals: Signals) -> int:
    """Runs the steps in order; returns what the shell is to see."""
    reporting = Reporting(options)
    results: list[Ended] = []
    stop: int | None = None
    while len(results) < len(steps) and not (stop or _is_failed(results, options)):
        step = steps[len(results)]
        places = Places(step.words, ENVIRON, options.project_dir)
        marks = Marks(places)
        stop = signals.take_stop()  # came between two steps; the next child would not hear of it
        if stop:
            break
        child = Child(step.words, ENVIRON, signals)
        if not results:
            reporting.open(places, step.text, child.started)
        ended = child.wait()
        if ended.trouble:
            say(ended.trouble)
        results.append(ended)
        stop = ended.stop
        reporting.add_step(step.text, ended, places, marks)
    reporting.finish(is_cancelled=stop is not None, is_stopped=signals.has_stop)
    return _exit_code(results, stop, is_cut=len(results) < len(steps))


def _is_failed(results: Sequence[Ended], options: Namespace) -> bool:
    return not options.keep_going and any(ended.exit_code for ended in results)


def _exit_code(results: Sequence[Ended], stop: int | None, *, is_cut: bool) -> int:
    """The first failure's; after a stop signal that left steps undone, never 0."""
    failed = next((ended.shell_code for ended in results if ended.exit_code), 0)
    return failed or (128 + stop if stop and is_cut else 0)


class Reporting:
    """`Record` behind a guard and imported once the child is up: reporting must never change what the job does."""

    def __init__(self, options: Namespace) -> None:
        self._options = options
        self._key = os.urandom(16)
        self._record: Record | None = None

    def open(self, places: Places, command: str, started: float) -> None:
        with Guard():
            from runbell.cli.record import Record

            self._record = Record(vars(self._options), ENVIRON, places, self._key, (command, started))

    def add_step(self, command: str, ended: Ended, places: Places, marks: Marks) -> None:
        if self._record:
            with Guard():
                self._record.add_step(command, ended, places, marks)

    def finish(self, *, is_cancelled: bool, is_stopped: Callable[[], bool]) -> None:
        if self._record:
            with Guard():
                self._record.finish(is_cancelled=is_cancelled, is_stopped=is_stopped)


class Guard:
    """Even a bug of ours is one line: where it is, and never the error's text, which may quote a secret."""

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if not isinstance(error, Exception):
            return False
        while trace and trace.tb_next:
            trace = trace.tb_next
        where = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}" if trace else "?"
        say(f"this run is not fully reported: {type(error).__name__} at {where}")
        return True
