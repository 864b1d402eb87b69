"""Where dbt works: its project, target and log, from its command, its environment and dbt_project.yml, in dbt's own order.

Imported before the child starts, so it imports nothing heavy. dbt's rules: dbt/cli/resolvers.py and dbt/config/project.py of
dbt-core 1.11. Since 1.11 its variables are spelled DBT_ENGINE_*, and the older DBT_* are still read.
"""

import os
from collections.abc import Mapping, Sequence

from runbell.cli.project import default_target, read_scalars

ARTIFACTS = ("run_results.json", "sources.json")
FILES = (*ARTIFACTS, "manifest.json", "catalog.json")
PROGRAMS = ("dbt", "dbtf", "dbt-fusion", "dbt.cli.main")


class Places:
    """What one dbt command says about where it works. Paths are absolute; `target` is empty when nothing names one."""

    __slots__ = ("environ", "log_file", "profile", "project", "project_dir", "target_dir", "words")

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], project_dir: str | None) -> None:
        self.words = dbt_words(command)
        self.environ = environ
        said = self.said("project-dir") or project_dir
        self.project_dir = os.path.join(here(), said) if said else nearest_project(here())
        self.project = read_scalars(os.path.join(self.project_dir, "dbt_project.yml"), environ)
        self.target_dir = os.path.join(self.project_dir, self.said("target-path") or self.project.get("target-path") or "target")
        # A relative --log-path is relative to where dbt is called; every other path to the project.
        logs = self.said("log-path") or os.path.join(self.project_dir, self.project.get("log-path") or "logs")
        self.log_file = os.path.join(here(), logs, "dbt.log")
        self.profile = self.said("profile") or self.project.get("profile", "")

    def said(self, name: str, short: str = "") -> str:
        """An option of dbt's: on its command line, else in its environment."""
        return option(self.words, f"--{name}", short) or engine_variable(self.environ, name)

    @property
    def target(self) -> str:
        said = self.said("target", "-t")
        if said or not self.profile:
            return said
        paths = (os.path.join(folder, "profiles.yml") for folder in self._profile_dirs())
        path = next((path for path in paths if os.path.isfile(path)), "")
        return default_target(path, self.profile, self.environ) if path else ""

    def _profile_dirs(self) -> list[str]:
        said = self.said("profiles-dir")
        home = self.environ.get("HOME", "")
        return [said] if said else [here(), self.project_dir, *([os.path.join(home, ".dbt")] if home else [])]


def here() -> str:
    """The working directory. A command runs in one that was deleted meanwhile, and so do we."""
    try:
        return os.getcwd()
    except OSError:
        return "."


def dbt_words(command: Sequence[str]) -> Sequence[str]:
    """What follows the dbt program in `uv run dbt build -t prod`; empty when no word is dbt, as in a script of one's own."""
    for position, word in enumerate(command):
        if os.path.basename(word).removesuffix(".exe") in PROGRAMS:
            return command[position + 1 :]
    return ()


def option(words: Sequence[str], *names: str) -> str:
    """The value of an option, in one word or two; the last one wins, as in dbt."""
    value = ""
    for position, word in enumerate(words):
        name, equals, rest = word.partition("=")
        if name in names and name:
            value = rest if equals else "".join(words[position + 1 : position + 2])
    return value


def engine_variable(environ: Mapping[str, str], name: str) -> str:
    suffix = name.upper().replace("-", "_")
    return environ.get(f"DBT_ENGINE_{suffix}") or environ.get(f"DBT_{suffix}", "")


def nearest_project(folder: str) -> str:
    """The folder or its first parent with a dbt_project.yml; the folder itself when none has one."""
    here = folder
    while not os.path.isfile(os.path.join(here, "dbt_project.yml")):
        parent = os.path.dirname(here)
        if parent == here:
            return folder
        here = parent
    return here


class Marks:
    """The files that a command is about to write, as they are before it: what has not changed since is not its own.

    dbt leaves the previous command's artifacts in place when it fails early, and always appends to its log.
    """

    __slots__ = ("_log", "_log_before", "_target_before", "_target_dir")

    def __init__(self, places: Places) -> None:
        self._target_dir = places.target_dir
        self._target_before = {name: self._mark(name) for name in FILES}
        self._log = places.log_file
        self._log_before = _mark(self._log)

    def is_changed(self, artifact: str) -> bool:
        return self._mark(artifact) != self._target_before[artifact]

    def log_begin(self) -> int:
        """Where the part begins that was written since. A log that was replaced by a new one (dbt does so at 10 MB) is all new."""
        before, now = self._log_before, _mark(self._log)
        return before[1] if before and now and now[0] == before[0] and now[1] >= before[1] else 0

    def _mark(self, artifact: str) -> tuple[int, int, int] | None:
        return _mark(os.path.join(self._target_dir, artifact))


def _mark(path: str) -> tuple[int, int, int] | None:
    """Inode, size and time of change; None when the file is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
