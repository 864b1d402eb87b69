"""One run of `runbell run` while it happens. Imported once the child is up."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from runbell.cli.case import Case, open_case
from runbell.cli.child import Ended
from runbell.cli.deliver import Fate, deliver
from runbell.cli.gather import read_artifacts, read_log_end
from runbell.cli.places import FILES, Marks, Places
from runbell.cli.reports import aliases, encode, moment, print_report, seal, uuid4
from runbell.cli.say import say
from runbell.cli.send import send_report
from runbell.core.artifacts import Artifact, add_artifacts
from runbell.core.outcomes import ending
from runbell.core.redact import redact_report
from runbell.core.runs import MAX_LOG_END, Outcome, RunReport, RunState, StepReport, last_bytes

TYPE_CHECKING = False  # as in run.py: what few need is imported when it is needed
if TYPE_CHECKING:
    from runbell.cli.leave import File

Flags = Mapping[str, object]


class Beginning(threading.Thread):
    """Finds out what the run is, beside the child, then tells the server that it has started.

    When the end comes first, the beginning is not told: it would only be late.
    """

    def __init__(self, open_it: Callable[[], tuple[Case, list[str]]], tell: Callable[[Case], None]) -> None:
        super().__init__(daemon=True)
        self._open = open_it
        self._tell = tell
        self._case: Case | None = None
        self._error: Exception = RuntimeError()
        self._is_known = threading.Event()
        self._is_over = False

    def run(self) -> None:
        try:
            self._case, complaints = self._open()
            for complaint in complaints:
                say(complaint)
        except Exception as error:  # told by whoever asks for the case
            self._error = error
        self._is_known.set()
        if self._case and not self._is_over:
            self._tell(self._case)

    def sends_artifacts(self) -> bool:
        self._is_known.wait()
        return bool(self._case and self._case.settings.send_artifacts)

    def case(self) -> Case:
        self._is_over = True
        self._is_known.wait()
        if self._case is None:
            raise self._error
        return self._case


class Record:
    """The steps so far. `key` is 16 random bytes, made before the child: the run's own name, whatever becomes of us."""

    def __init__(self, flags: Flags, environ: Mapping[str, str], places: Places, key: bytes, first: tuple[str, float]) -> None:
        self._flags = flags
        self._key = f"cli:{uuid4(key)}"
        self._started_at = moment(first[1])
        self._first = StepReport(index=1, command=first[0], started_at=self._started_at)
        self._steps: list[StepReport] = []
        self._artifacts: list[Artifact] = []
        self._files: list[File] = []
        self._log_end = ""
        self._beginning = Beginning(lambda: open_case(flags, places, environ), self._tell_started)
        self._beginning.start()

    def add_step(self, command: str, ended: Ended, places: Places, marks: Marks) -> None:
        """Reads what the step left, before the next one writes over it."""
        started_at = moment(ended.started)
        exit_code, death = ending(ended.exit_code)
        step = StepReport(
            index=len(self._steps) + 1,
            command=command,
            exit_code=exit_code,
            signal=(ended.stop or death) if ended.exit_code else None,
            started_at=started_at,
            finished_at=started_at + timedelta(seconds=ended.seconds),
        )
        self._steps.append(step)
        artifacts = read_artifacts(Path(places.target_dir), since=started_at, is_new=marks.is_changed)
        self._steps[-1] = add_artifacts(step, artifacts)
        self._artifacts += artifacts
        log = read_log_end(Path(places.log_file), marks.log_begin())
        self._log_end = last_bytes(self._log_end + log, MAX_LOG_END)
        if self._beginning.sends_artifacts():
            self._take_files(step.index, places, marks)

    def _take_files(self, step: int, places: Places, marks: Marks) -> None:
        from runbell.cli.leave import files_of, last_ones, log_of

        files = files_of(step, [Path(places.target_dir, name) for name in FILES if marks.is_changed(name)])
        self._files = last_ones([*self._files, *files, *log_of(step, Path(places.log_file), marks.log_begin())])

    def finish(self, *, is_cancelled: bool, is_stopped: Callable[[], bool]) -> None:
        case = self._beginning.case()
        report = seal(self._ended(case, Outcome.CANCELLED if is_cancelled else None))
        if self._flags.get("dry_run"):
            print_report(report)
            return
        fate = deliver(encode(report), settings=case.settings, verbose=bool(self._flags.get("verbose")), is_stopped=is_stopped)
        if fate is Fate.SENT and self._files:
            from runbell.cli.leave import leave

            leave(self._key, self._files, settings=case.settings, is_stopped=is_stopped)

    def _tell_started(self, case: Case) -> None:
        if not self._flags.get("dry_run"):
            send_report(case.settings, encode(redact_report(self._begun(case))))  # no matter if it gets lost: the end tells all of it

    def _begun(self, case: Case) -> RunReport:
        return RunReport(
            key=self._key,
            state=RunState.STARTED,
            job=case.job,
            started_at=self._started_at,
            trigger=case.trigger,
            git=case.git,
            host_tool=case.host_tool,
            steps=(self._first,),
        )

    def _ended(self, case: Case, outcome: Outcome | None) -> RunReport:
        return replace(
            self._begun(case),
            state=RunState.FINISHED,
            aliases=aliases(self._artifacts),
            finished_at=self._steps[-1].finished_at,
            outcome=outcome,
            log_end=self._log_end,
            steps=tuple(self._steps),
        )
