"""What is known of a run apart from its steps: settings, names, and where it runs. The same for `run`, `report` and `check`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runbell.cli.context import ancestor_names, recognise
from runbell.cli.git import read_git
from runbell.cli.places import Places
from runbell.cli.say import say
from runbell.cli.settings import Settings, load_settings
from runbell.core.fields import trim_name
from runbell.core.runs import MAX_NAME, Git, JobRef, Trigger

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Case:
    settings: Settings
    job: JobRef
    trigger: Trigger
    git: Git
    host_tool: str


def open_case(flags: Mapping[str, object], places: Places, environ: Mapping[str, str]) -> tuple[Case, list[str]]:
    """The case and what is wrong with the settings, in words."""
    folder = Path(places.project_dir)
    settings, complaints = load_settings(flags, environ, (folder, Path()))
    context = recognise(environ, ancestor_names(os.getppid()), os.uname().nodename)
    checkout = read_git(folder)
    job = JobRef(
        project=_name("project", settings.project or places.project.get("name", "")),
        environment=_name("environment", settings.environment or places.target),
        name=_name("job", str(flags.get("job") or "")),
    )
    git = Git(context.git.branch or checkout.branch, checkout.sha or context.git.sha)
    return Case(settings, job, context.trigger, git, context.host_tool), complaints


def _name(what: str, value: str) -> str:
    name = trim_name(value, MAX_NAME)
    if name != value:
        say(f"the {what} is written as {name!r}: names have one line and at most {MAX_NAME} characters")
    return name or DEFAULT
