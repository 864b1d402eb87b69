"""`runbell check`: is the server there, is the token good, and who would hear of this job."""

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from runbell.cli.case import Case, open_case
from runbell.cli.config import ENVIRON
from runbell.cli.options import add_job, add_server, command_parser
from runbell.cli.places import Places
from runbell.cli.say import one_line, say, show
from runbell.cli.send import API, Unreachable, error_message, request
from runbell.cli.spool import Spool
from runbell.core.runs import Outcome

EXAMPLES = """\
example:
  runbell check --job nightly --environment Production

The exit code is 0 when a report would be taken, 1 when not, 2 when the settings make no sense.
"""


def parser() -> ArgumentParser:
    made = command_parser("check", "Is the server there, is the token good, and who would hear of this job?", EXAMPLES)
    add_job(made, required=False)
    add_server(made)
    return made


def main(words: Sequence[str]) -> int:
    options = parser().parse_args(list(words))
    case, complaints = open_case(vars(options), Places((), ENVIRON, options.project_dir), ENVIRON)
    for complaint in complaints:
        say(complaint)
    if complaints:
        return 2
    trouble = _unset(case) or _ask(case, named=bool(options.job))
    if trouble:
        say(trouble)
    _line("spool", f"{len(Spool(case.settings.spool_dir).waiting())} waiting in {case.settings.spool_dir}")
    return 1 if trouble else 0


def _unset(case: Case) -> str:
    if not case.settings.url:
        return "no server: set RUNBELL_URL, or url in runbell.toml"
    return "" if case.settings.token else "no token: set RUNBELL_TOKEN, or RUNBELL_TOKEN_FILE, or token_file in runbell.toml"


def _ask(case: Case, *, named: bool) -> str:
    """Shows what the server says; returns what is wrong, if anything."""
    names = {"project": case.job.project, "environment": case.job.environment, "job": case.job.name if named else ""}
    try:
        status, answer = request(case.settings, "GET", f"{API}/check?{urlencode(names)}")
    except Unreachable as trouble:
        return str(trouble)
    if status != 200:
        return f"{case.settings.url} answers HTTP {status}: {error_message(answer) or 'it may not be Runbell'}"
    if not isinstance(answer, Mapping) or "token" not in answer:
        return f"{case.settings.url} does not answer like Runbell; check the address"
    for label, text in _told(case, answer, named=named):
        _line(label, text)
    return "" if "report" in answer["token"].get("permissions", ()) else "this token may not report runs"


def _told(case: Case, answer: Mapping[str, Any], *, named: bool) -> Iterator[tuple[str, str]]:
    token, job = answer["token"], answer.get("job") or {}
    yield "server", f"{case.settings.url}, Runbell {answer.get('version')}"
    yield "account", f"{answer.get('account', {}).get('name')}"
    yield "token", f"{token.get('name')}, acts as {token.get('member')}, may {', '.join(token.get('permissions', ()))}"
    if named:
        path = " › ".join((case.job.project, case.job.environment, case.job.name))
        yield "job", path if job.get("known") else f"{path} (new; the first report makes it)"
        hears = job.get("hears") or {}
        yield "told", ", ".join(f"{outcome} {hears.get(str(outcome), 0)}" for outcome in Outcome)


def _line(label: str, text: str) -> None:
    show(f"{label:<8} {one_line(text)}")
