"""`runbell init`: a commented runbell.toml, with what can be guessed."""

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from runbell.cli.config import ENVIRON
from runbell.cli.options import command_parser, name
from runbell.cli.places import Places
from runbell.cli.say import say, show
from runbell.cli.settings import FILE, url_trouble

EXAMPLES = """\
example:
  runbell init --url https://runbell.example.com --token-file ~/.config/runbell/token

The token itself is never written into runbell.toml: files like that end up in git.
"""
TEMPLATE = """\
# Runbell's settings for this dbt project. Flags and RUNBELL_* variables win over this file.

# The server.
{url}

# The token: export RUNBELL_TOKEN=rb_..., or name a file that only its user can read. Never put it here: this file ends up in git.
{token_file}

# The names under which runs are reported. Without a project, the name in dbt_project.yml; without an environment, dbt's target.
{project}
{environment}

# Where reports wait when the server cannot be reached; default ~/.local/state/runbell/spool.
# spool_dir = "/var/spool/runbell"

# Seconds to go on trying before a report waits there; for pods and CI runners whose disk goes with them.
# wait = 0

# Whether dbt's manifest.json, run_results.json and their like are left with each run, for programs that read them there.
# send_artifacts = true
"""


def parser() -> ArgumentParser:
    made = command_parser("init", "Write a commented runbell.toml beside dbt_project.yml.", EXAMPLES)
    made.add_argument("--url", help="the server's address")
    made.add_argument("--token-file", metavar="FILE", help="file with the token")
    made.add_argument("--project", type=name, metavar="NAME", help="default: the name in dbt_project.yml")
    made.add_argument("--environment", type=name, metavar="NAME", help="default: left to dbt's target")
    made.add_argument("--project-dir", metavar="DIR", help="where dbt_project.yml is (default: here or above)")
    made.add_argument("--force", action="store_true", help="write over a runbell.toml that is there")
    return made


def main(words: Sequence[str]) -> int:
    made = parser()
    options = made.parse_args(list(words))
    if options.url and (why := url_trouble(options.url)):
        made.error(f"--url {why}")
    places = Places((), ENVIRON, options.project_dir)
    path = Path(places.project_dir, FILE)
    text = TEMPLATE.format(
        url=_setting("url", options.url, "https://runbell.example.com"),
        token_file=_setting("token_file", options.token_file, "~/.config/runbell/token"),
        project=_setting("project", options.project or places.project.get("name"), "shop"),
        environment=_setting("environment", options.environment, places.target or "Production"),
    )
    try:
        with path.open("w" if options.force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        say(f"{path} is there already; --force writes over it")
        return 1
    except OSError as error:
        say(f"cannot write {path}: {error.strerror}")
        return 1
    show(f"wrote {path}; next: export RUNBELL_TOKEN=rb_... and try `runbell check`")
    return 0


def _setting(key: str, value: str | None, example: str) -> str:
    """A line of TOML, whose text is written like JSON's; commented out when it is only an example."""
    return f"{'' if value else '# '}{key} = {json.dumps(value or example, ensure_ascii=False)}"
