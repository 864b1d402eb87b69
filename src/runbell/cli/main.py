"""The `runbell` command: finds the module of the command that was asked for, and imports that one alone."""

import sys
from collections.abc import Sequence

HELP = """\
Runbell tells people how their dbt jobs ended.

Beside dbt:
  run      run dbt and report how it ended; the exit code is dbt's
  report   report a run from its exit code and artifacts
  flush    send the reports that could not be sent
  check    is the server there, is the token good, who would hear of this job
  init     write a commented runbell.toml

On the server (pip install 'runbell[server]'):
  serve    web server and worker        migrate   bring the database up to date
  worker   a worker alone               doctor    what is wrong with the settings
  admin    accounts, members, tokens

Examples:
  export RUNBELL_URL=https://runbell.example.com RUNBELL_TOKEN=rb_...
  runbell check --job nightly
  runbell run --job nightly --environment Production -- dbt build
  runbell run --job nightly --step 'dbt source freshness' --step 'dbt build'
  runbell report --job nightly --exit-code $? --artifacts target --command 'dbt build'

`runbell COMMAND --help` says more. `runbell --version` says which version this is.
"""
HERE = ("run", "report", "flush", "check", "init")
ON_SERVER = ("serve", "worker", "migrate", "doctor", "admin")


def main(words: Sequence[str] | None = None) -> int:
    words = sys.argv[1:] if words is None else words
    try:
        return _command(words[0] if words else "--help", words[1:])
    except KeyboardInterrupt:
        return 130  # only before a child is up, or in a command without one


def _command(name: str, words: Sequence[str]) -> int:
    match name:
        case "run":
            from runbell.cli.run import main as command
        case "report":
            from runbell.cli.report import main as command
        case "flush":
            from runbell.cli.flush import main as command
        case "check":
            from runbell.cli.check import main as command
        case "init":
            from runbell.cli.init import main as command
        case _ if name in ON_SERVER:
            return _on_server([name, *words])
        case _:
            return _no_command(name)
    return command(words)


def _on_server(words: list[str]) -> int:
    from importlib.util import find_spec

    if find_spec("django") is None:
        from runbell.cli.say import say

        say(f"`runbell {words[0]}` runs on the server: pip install 'runbell[server]'")
        return 2
    from runbell.server.commands import main as commands

    return commands(words)


def _no_command(name: str) -> int:
    from runbell.cli.say import say, show

    if name in ("-h", "--help", "help"):
        show(HELP.rstrip())
        return 0
    if name == "--version":
        from runbell import __version__

        show(f"runbell {__version__}")
        return 0
    from difflib import get_close_matches

    near = get_close_matches(name, HERE + ON_SERVER, 1)
    say(f"there is no command {name}" + (f"; did you mean {near[0]}?" if near else "; see runbell --help"))
    return 2
