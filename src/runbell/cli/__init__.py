"""Room: cli.

Lives here: the command beside dbt: run it, report how it ended, keep the report when the server is away.
May import: core, the standard library.
May touch: the child process, files, our server; the environment in config.py alone.
Never: a dependency, a delay for dbt, an exit code of our own in place of dbt's.
Ask for: `runbell.cli.main.main`.
Example file: child.py
"""
