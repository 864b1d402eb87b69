"""The server's half of the `runbell` command: serve, worker, migrate, doctor, admin."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from runbell.core.fields import BadField
from runbell.server.commands.imports import add_imports
from runbell.server.commands.look import doctor
from runbell.server.commands.people import add_people
from runbell.server.commands.upkeep import add_upkeep
from runbell.server.commands.words import command, group


def main(words: Sequence[str]) -> int:
    """Runs one command; returns the exit code. 2: bad words; 1: it did not work."""
    options = parser().parse_args(words)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "runbell.server.settings")
    call: Callable[[argparse.Namespace], int] = options.command
    try:
        _set_up()
        return call(options)
    except BadField as bad:
        print(f"runbell: {bad}", file=sys.stderr)
        return 2


def _set_up() -> None:
    import django
    from django.core.exceptions import ImproperlyConfigured

    try:
        django.setup()
    except ImproperlyConfigured as error:
        raise BadField("settings", str(error)) from None
    from django.conf import settings

    from runbell.server.logs import set_up

    set_up(settings.RUNBELL_LOG_LEVEL)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="runbell", description="The Runbell server.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    command(commands, "serve", serve, "Web server and worker; brings the database up to date first.")
    command(commands, "worker", worker, "A worker alone, beside other workers on PostgreSQL.")
    command(commands, "migrate", migrate, "Bring the database up to date.")
    look = command(commands, "doctor", doctor, "Say what is wrong with the settings, and how to mend it.")
    look.add_argument("--send-test", metavar="ADDRESS", help="also send a test mail there, and show what the mail server answers")
    admin = group(commands, "admin", "What whoever owns the server does from the shell.")
    add_people(admin)
    add_upkeep(admin)
    add_imports(admin)
    return top


def serve(options: argparse.Namespace) -> int:
    from runbell.server.serve import serve

    _check_mail_settings()
    migrate(options)
    return serve()


def worker(options: argparse.Namespace) -> int:
    from runbell.server.services.schema import demand_all_migrations
    from runbell.server.worker.loop import run_worker

    _check_mail_settings()
    demand_all_migrations()
    return run_worker()


def _check_mail_settings() -> None:
    """A wrong one would only be seen when the first message does not leave. Raises `BadField` naming it."""
    from runbell.server.services.mail_check import check_settings

    check_settings()


def migrate(options: argparse.Namespace) -> int:
    from runbell.server.commands.upkeep import bring_up_to_date

    return bring_up_to_date()
