"""`runbell report`: a run that something else ran, from its exit code and what dbt left behind."""

import hashlib
import json
import shlex
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from runbell.cli.case import Case, open_case
from runbell.cli.config import ENVIRON
from runbell.cli.deliver import Fate, deliver, never
from runbell.cli.gather import read_artifacts
from runbell.cli.leave import File, files_of, leave
from runbell.cli.options import add_job, add_sending, add_server, command_parser
from runbell.cli.places import ARTIFACTS, FILES, Places
from runbell.cli.reports import aliases, encode, invocation_alias, print_report, seal
from runbell.cli.say import say
from runbell.core.artifacts import Artifact, add_artifacts
from runbell.core.fields import BadField, Fields
from runbell.core.outcomes import ending
from runbell.core.runs import Outcome, RunReport, RunState, StepReport, parse_report, report_to_json

EXAMPLES = """\
examples:
  started=$(date -u +%FT%TZ)
  dbt build; code=$?
  runbell report --job nightly --exit-code $code --artifacts target --command 'dbt build' --started-at $started

Give --started-at when you can: it tells this run's artifacts from those of an earlier run that are still lying there.
The exit code is 0 when the report was sent or kept for later, 1 when it was refused, 2 when the options make no sense.
"""


def parser() -> ArgumentParser:
    made = command_parser("report", "Report a run from its exit code and artifacts.", EXAMPLES)
    made.add_argument("--exit-code", type=int, metavar="N", help="dbt's exit code; -N or 128+N after signal N")
    made.add_argument("--outcome", choices=[str(Outcome.CANCELLED)], help="when you know that somebody stopped it")
    made.add_argument("--artifacts", metavar="DIR", help="where run_results.json and sources.json are (default: dbt's target directory)")
    made.add_argument("--command", type=_command, default=[], metavar="COMMAND", help="the dbt command, as it was called")
    made.add_argument("--started-at", type=_moment, metavar="TIME", help="like 2026-11-24T02:00:00Z")
    made.add_argument("--finished-at", type=_moment, metavar="TIME", help="default: when the artifact was written, else now")
    made.add_argument("--key", metavar="KEY", help="your own name for this run; the same key twice is one run")
    add_job(made)
    add_sending(made)
    add_server(made)
    return made


def main(words: Sequence[str]) -> int:
    made = parser()
    options = made.parse_args(list(words))
    if options.exit_code is None and options.outcome is None:
        made.error("give --exit-code, or --outcome cancelled")
    places = Places(options.command, ENVIRON, options.project_dir)
    case, complaints = open_case(vars(options), places, ENVIRON)
    for complaint in complaints:
        say(complaint)
    if complaints:
        return 2
    now = datetime.now(UTC)
    artifact = _artifact(options, places)
    report = seal(build(options, case, artifact, now=now))
    try:
        parse_report(report_to_json(report), now=now)  # what the server would refuse, said here and now
    except BadField as bad:
        made.error(f"--{bad.field.rpartition('.')[2].replace('_', '-')} {bad.message}")
    if options.dry_run:
        print_report(report)
        return 0
    fate = deliver(encode(report), settings=case.settings, verbose=options.verbose)
    if fate is Fate.SENT and case.settings.send_artifacts and artifact:
        leave(report.key, _files(options, places, artifact), settings=case.settings, is_stopped=never)
    return 0 if fate in (Fate.SENT, Fate.KEPT) else 1


def build(options: Namespace, case: Case, artifact: Artifact | None, *, now: datetime) -> RunReport:
    written_at = artifact.generated_at if artifact else None
    begun_at = artifact.started_at if artifact else None
    started_at: datetime = options.started_at or begun_at or options.finished_at or written_at or now
    finished_at: datetime = options.finished_at or max(written_at or now, started_at)
    exit_code, death = (None, None) if options.exit_code is None else ending(options.exit_code)
    command = shlex.join(options.command)
    step = StepReport(index=1, command=command, exit_code=exit_code, signal=death, started_at=started_at, finished_at=finished_at)
    artifacts = [artifact] if artifact else []
    return RunReport(
        key=options.key or _key(case, artifact, command, started_at, options.exit_code),
        aliases=aliases(artifacts),
        state=RunState.FINISHED,
        job=case.job,
        started_at=started_at,
        finished_at=finished_at,
        outcome=Outcome(options.outcome) if options.outcome else None,
        trigger=case.trigger,
        git=case.git,
        host_tool=case.host_tool,
        steps=(add_artifacts(step, artifacts),),
    )


def _key(case: Case, artifact: Artifact | None, command: str, started_at: datetime, exit_code: int | None) -> str:
    """The same run reported again must find itself; two runs must never meet."""
    if artifact and artifact.invocation_id:
        return invocation_alias(artifact.invocation_id)
    parts = [case.job.project, case.job.environment, case.job.name, command, started_at.isoformat(), exit_code]
    return f"sha256:{hashlib.sha256(json.dumps(parts).encode()).hexdigest()}"


def _artifact(options: Namespace, places: Places) -> Artifact | None:
    """The artifact of this one command. Another command's beside it would make two runs one by its invocation id."""
    freshness, results = ("sources.json",), ("run_results.json",)
    names = (freshness if "freshness" in options.command else results) if options.command else ARTIFACTS
    folder = _folder(options, places)
    if options.artifacts and not folder.is_dir():
        say(f"{folder} is not a directory; reporting without artifacts")
    found = read_artifacts(folder, since=options.started_at, names=names)
    newest = max(found, key=_written_at, default=None)
    if newest and not options.started_at and not _fits(newest, options.exit_code):
        say(f"the artifacts in {folder} do not fit the exit code and may be an earlier run's: not used; --started-at would tell")
        return None
    return newest


def _files(options: Namespace, places: Places, artifact: Artifact) -> list[File]:
    """Those of the same command: each names its invocation."""
    found = files_of(1, [_folder(options, places) / name for name in FILES])
    return [file for file in found if artifact.invocation_id and artifact.invocation_id.encode() in file.data]


def _folder(options: Namespace, places: Places) -> Path:
    return Path(options.artifacts or places.target_dir)


def _written_at(artifact: Artifact) -> datetime:
    return artifact.generated_at or datetime.min.replace(tzinfo=UTC)


def _fits(artifact: Artifact, exit_code: int | None) -> bool:
    """dbt exits with 1 for results with a failure, with 0 for those without, and with anything else it has mostly written none."""
    return exit_code == (1 if artifact.counts.get("failed") else 0)


def _command(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{error}: {text}") from None


def _moment(text: str) -> datetime:
    try:
        moment = Fields({"time": text}).moment("time")
    except BadField as bad:
        raise ArgumentTypeError(bad.message) from None
    if moment is None:
        raise ArgumentTypeError("must be a time like 2026-11-24T02:00:00Z")
    return moment
