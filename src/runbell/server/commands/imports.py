"""`runbell admin import dbt-platform`: jobs and notification settings of a dbt platform account, carried over."""

import argparse
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from runbell.core.dbt_settings import Left, Way
from runbell.core.fields import BadField
from runbell.server.commands.words import Commands, command, group

if TYPE_CHECKING:
    from runbell.server.services.dbt_plans import Line, Plan

EPILOG = """Without --apply nothing is changed: what would come is listed, and what cannot come, and why.

  runbell admin import dbt-platform --host ab123.us1.dbt.com --account 7 --token-file dbt-token
  runbell admin import dbt-platform --host ab123.us1.dbt.com --account 7 --token-file dbt-token --apply

What comes
  jobs                those of all environments, by their ids; jobs that report here under the same names are the same jobs
  people              by e-mail address. Whoever is no member here becomes one, without a password and without a mail: they sign in by
                      single sign-on or "Forgot the password?". Nobody gets more than a developer's rights
  external addresses  as they are
  Slack channels      waiting for a link: each is sent to once an admin has linked its workspace under Integrations
  boxes               Succeeds, Warns, Fails, Is canceled, job by job. They are added to what is chosen here; nothing is taken away

It can be run again at any time: what is here already is left alone, and a run that broke off is carried on. Whoever unsubscribed here stays
unsubscribed. The dbt platform is only read. Its token needs the permission set Account Viewer, or Account Admin; it is not kept.
How to go on: docs/howto/dbt-platform.md."""

WHY = {
    "webhook": "is a webhook, which the dbt platform gave up",
    "type": "is of the type {about}, which Runbell does not know",
    "nobody": "names no recipient",
    "user_gone": "is for the user {about}, who is not in the account's list of users",
    "user_inactive": "is for {about}, whose user is deactivated in dbt",
    "member_inactive": "is for {about}, who is deactivated here",
    "invited": "is for {about}, who is invited here and has not joined yet",
    "address": "is for {about!r}, which is no e-mail address",
    "jobs_gone": "names jobs that are no longer in dbt ({about}); the others come",
    "unsubscribed": "{about} unsubscribed here from some of it",
}
WAITING = " Slack channels that wait go on once their workspace is linked: Account settings › Integrations › Slack."
TROUBLE = {
    "dbt_token": "The dbt platform does not accept the token in --token-file.",
    "dbt_rights": "The token may not read all that is needed. Give it the permission set Account Viewer, or Account Admin.",
    "dbt_missing": "The dbt platform knows no such account. Look at --account and --host.",
}


def add_imports(admin: "Commands[argparse.ArgumentParser]") -> None:
    words = group(admin, "import", "Carry settings over from elsewhere.")
    made = command(words, "dbt-platform", import_dbt, "Carry jobs and notification settings over from a dbt platform account.")
    made.formatter_class, made.epilog = argparse.RawDescriptionHelpFormatter, EPILOG
    made.add_argument("--host", required=True, metavar="HOST", help="the access URL in dbt's account settings, such as ab123.us1.dbt.com")
    made.add_argument("--account", required=True, metavar="ID", help="the account there: the number behind /deploy/ in dbt's URLs")
    made.add_argument("--token-file", type=Path, required=True, metavar="FILE", help="first line is a dbt token; - for standard input")
    made.add_argument("--apply", action="store_true", help="do it; without it, look only")
    made.add_argument("--into", type=int, metavar="ID", help="the account here; the only one, when there is one")


def import_dbt(options: argparse.Namespace) -> int:
    """1 when the dbt platform could not be read."""
    from django.utils import timezone

    from runbell.channels.dbt_api import DbtTrouble
    from runbell.server.services import dbt_import, dbt_plans, dbt_source, members

    account = members.account_of_shell(options.into) if options.into is not None else members.only_account()
    admin = members.first_admin(account)
    try:
        source = dbt_source.read_source(options.host, options.account, read_token(options.token_file), tell=_tell, wait=_wait)
    except DbtTrouble as trouble:
        print(f"runbell: {_trouble(trouble)}", file=sys.stderr)
        return 1
    plan = dbt_plans.make_plan(source, account)
    print(f"From account {source.external_id} at {source.url} into account {account.pk}, {account.name}:\n")
    _show(plan)
    if not options.apply:
        print("\nNothing was changed. Add --apply to carry this over.")
        return 0
    dbt_import.carry_over(source, admin=admin, now=timezone.now(), tell=_tell)
    print("\nCarried over." + (WAITING if any(line.way is Way.SLACK for line in plan.lines) else ""))
    return 0


def read_token(path: Path) -> str:
    """Raises `BadField`, which never repeats what was read."""
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BadField("--token-file", f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is no text'}") from None
    token = (text.splitlines() or [""])[0].strip()
    if not token:
        raise BadField("--token-file", f"{path} is empty")
    return token


def _trouble(trouble: "Exception") -> str:
    from runbell.channels.dbt_api import DbtTrouble
    from runbell.messages.reasons import reason

    assert isinstance(trouble, DbtTrouble)
    return TROUBLE.get(trouble.because.code) or reason(trouble.because, "en")


def _tell(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def _wait(pause: timedelta) -> None:
    time.sleep(pause.total_seconds())


def _show(plan: "Plan") -> None:
    """Everything that would be made, counts of what is here, and each thing that cannot come."""
    from runbell.server.services.job_places import Kind

    print(f"{'':<20}{'to make':>10}{'here already':>15}")
    for kind in Kind:
        _count(f"{kind}s", len(plan.missing(kind)), len(plan.here[kind]))
    for way, name in ((Way.MEMBER, "members"), (Way.EXTERNAL, "external addresses"), (Way.SLACK, "Slack channels")):
        lines = [line for line in plan.lines if line.way is way]
        known = sum(1 for line in lines if line.is_here)
        _count(name, len(lines) - known, known)
    adds = sum(len(line.adds) for line in plan.lines)
    _count("boxes", adds, sum(len(line.boxes) for line in plan.lines) - adds)
    _list("To make or add to", [_line(line) for line in plan.lines if line.adds])
    _list("Cannot come", [_left(left) for left in plan.left])


def _count(name: str, to_make: int, here: int) -> None:
    print(f"{name:<20}{to_make:>10,}{here:>15,}")


def _list(title: str, lines: list[str]) -> None:
    if lines:
        print(f"\n{title}:", *lines, sep="\n  ")


def _line(line: "Line") -> str:

    is_new = not line.is_here
    role = line.person.role.value if line.person else ""
    kind = {Way.MEMBER: f"new member, {role}", Way.EXTERNAL: "new external address", Way.SLACK: "new Slack channel, waits for a link"}[
        line.way
    ]
    return f"{line.address}: {len(line.adds):,} {'box' if len(line.adds) == 1 else 'boxes'}" + (f" ({kind})" if is_new else "")


def _left(left: "Left") -> str:
    said = WHY[left.code].format(about=left.about)
    return f"setting {left.id} {said}" if left.id else said
