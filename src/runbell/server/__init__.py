"""Room: server.

Lives here: everything that runs on the server; its own rooms are db, services, worker, web, api and sources.
May import: channels, messages, core, and what the `server` extra installs.
May touch: the environment in environment.py alone, processes in serve.py alone.
Never: anything that the command beside dbt would need.
Ask for: `runbell.server.commands.main` from the command line.
Example file: settings.py
"""
