"""The server's half of the `runbell` command: serve, worker, migrate, doctor, admin."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from runbell.core.fields import BadField
from runbell.core.permissions import Permission, Role


def main(words: Sequence[str]) -> int:
    """Runs one command; returns the exit code. 2: bad words; 1: it did not work."""
    options = parser().parse_args(words)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "runbell.server.settings")
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        _set_up()
        return command(options)
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
    _command(commands, "serve", serve, "Web server and worker; brings the database up to date first.")
    _command(commands, "worker", worker, "A worker alone, beside other workers on PostgreSQL.")
    _command(commands, "migrate", migrate, "Bring the database up to date.")
    look = _command(commands, "doctor", doctor, "Say what is wrong with the settings, and how to mend it.")
    look.add_argument("--send-test", metavar="ADDRESS", help="also send a test mail there, and show what the mail server answers")
    _add_admin(commands)
    return top


Commands = argparse._SubParsersAction  # the only name argparse has for it


def _command(commands: "Commands[argparse.ArgumentParser]", name: str, call: Callable[..., int], text: str) -> argparse.ArgumentParser:
    made = commands.add_parser(name, help=text, description=text)
    made.set_defaults(command=call)
    return made


def _group(commands: "Commands[argparse.ArgumentParser]", name: str, text: str) -> "Commands[argparse.ArgumentParser]":
    return commands.add_parser(name, help=text, description=text).add_subparsers(required=True, metavar="COMMAND")


def _add_admin(commands: "Commands[argparse.ArgumentParser]") -> None:
    admin = _group(commands, "admin", "Accounts, members and tokens, from the shell.")
    create = _command(_group(admin, "account", "Accounts."), "create", create_account, "Make an account with its first admin.")
    create.add_argument("name")
    create.add_argument("--admin", required=True, metavar="EMAIL")
    create.add_argument("--language", choices=("en", "ru"), default="en")
    create.add_argument("--zone", default="UTC", help="IANA time zone, such as Europe/Stockholm")
    _add_password(create)
    member = _group(admin, "member", "Members.")
    add = _command(member, "add", add_member, "Add a member.")
    add.add_argument("email")
    add.add_argument("--account", type=int, required=True, metavar="ID")
    add.add_argument("--role", type=Role, choices=list(Role), required=True, metavar="ROLE", help=", ".join(Role))
    _add_password(add)
    invite = _command(member, "invite", invite_member, "Make an invitation and print its link; no mail is sent.")
    invite.add_argument("email")
    invite.add_argument("--account", type=int, required=True, metavar="ID")
    invite.add_argument("--role", type=Role, choices=list(Role), required=True, metavar="ROLE", help=", ".join(Role))
    reset = _command(member, "reset-link", reset_link, "Print a link with which a member sets a new password, once.")
    reset.add_argument("email")
    lost = _command(member, "reset-mfa", reset_mfa, "Switch sign-in in two steps off for somebody who lost the app and the codes.")
    lost.add_argument("email")
    token = _command(_group(admin, "token", "Tokens."), "create", create_token, "Make a token; prints it alone, this once.")
    token.add_argument("--account", type=int, required=True, metavar="ID")
    token.add_argument("--name", required=True)
    token.add_argument("--can", default="report", metavar="WORDS", help="comma list of " + ", ".join(Permission))
    token.add_argument("--as", dest="acts_as", metavar="EMAIL", help="the member it acts as; default: the first admin")


def _add_password(made: argparse.ArgumentParser) -> None:
    made.add_argument("--password-file", type=Path, required=True, metavar="FILE", help="first line is the password; - for standard input")


def serve(options: argparse.Namespace) -> int:
    from runbell.server.serve import serve

    _check_mail_settings()
    migrate(options)
    return serve()


def worker(options: argparse.Namespace) -> int:
    from runbell.server.worker.loop import run_worker

    _check_mail_settings()
    return run_worker()


def _check_mail_settings() -> None:
    """A wrong one would only be seen when the first message does not leave. Raises `BadField` naming it."""
    from runbell.server.services.mail_check import check_settings

    check_settings()


def migrate(options: argparse.Namespace) -> int:
    from django.conf import settings
    from django.core.management import call_command

    settings.RUNBELL_HOME.mkdir(parents=True, exist_ok=True, mode=0o700)  # keys that come from the environment did not make it
    call_command("migrate", interactive=False, verbosity=0)
    return 0


def doctor(options: argparse.Namespace) -> int:
    """Prints every finding; 1 when one is an error, or when the test mail was not taken."""
    from django.core.checks import ERROR, run_checks

    from runbell.server import checks  # noqa: F401  registers them

    findings = run_checks(include_deployment_checks=False)
    for finding in findings:
        print(f"{finding.id}: {finding.msg}" + (f"\n  {finding.hint}" if finding.hint else ""))
    if not findings:
        print("Nothing is wrong with the settings.")
    if any(finding.level >= ERROR for finding in findings):
        return 1
    return _send_test(options.send_test) if options.send_test else 0


def _send_test(address: str) -> int:
    from django.utils import timezone

    from runbell.messages.reasons import reason
    from runbell.server.services import mail_check

    ways = mail_check.ways()
    checked = mail_check.send_test_from_shell(address, now=timezone.now())
    print(f"\nA test mail from {ways.sender} to {checked.address}, by {ways.relay}:")
    for heard in checked.heard:
        print(f"  {heard.stage.value:<10} {heard.words}")
    print(f"  not taken: {reason(checked.because, 'en')}" if checked.because else "  The mail server took it.")
    print(f"\nThe public URL: {reason(checked.url, 'en') if checked.url else 'leads to this server.'}")
    if not ways.is_no_domain:
        print(HINTS.format(domain=ways.domain, relay=ways.host))
    return int(checked.because is not None)


HINTS = """
What the domain of the From should publish, so that receivers trust the mail:
  SPF    a TXT record at {domain} that includes the servers behind {relay}, such as "v=spf1 include:… -all"
  DKIM   {relay} signs as {domain}; its provider says which record to publish under _domainkey.{domain}
  DMARC  a TXT record at _dmarc.{domain}; "v=DMARC1; p=none" is a beginning"""


def create_account(options: argparse.Namespace) -> int:
    from django.utils import timezone

    from runbell.server.services import members

    account = members.create_account(
        name=options.name,
        admin_email=options.admin,
        password=_password(options.password_file),
        now=timezone.now(),
        language=options.language,
        zone=options.zone,
    )
    print(account.pk)
    return 0


def add_member(options: argparse.Namespace) -> int:
    from django.utils import timezone

    from runbell.server.services import members

    account = members.account_of_shell(options.account)
    member = members.add_member(
        account=account, email=options.email, role=options.role, password=_password(options.password_file), now=timezone.now()
    )
    print(member.user_id)
    return 0


def invite_member(options: argparse.Namespace) -> int:
    from django.utils import timezone

    from runbell.server.services import invitation_links, invitations, members

    account = members.account_of_shell(options.account)
    invitation = invitations.invite(options.email, options.role, account=account, by_mail=False, now=timezone.now())
    print(invitation_links.join_url(invitation))
    return 0


def reset_link(options: argparse.Namespace) -> int:
    from django.utils import timezone

    from runbell.server.services import members
    from runbell.server.web.reset_links import reset_url

    print(reset_url(members.user_of_shell(options.email, "member.reset_link", now=timezone.now())))
    return 0


def reset_mfa(options: argparse.Namespace) -> int:
    from django.db import transaction
    from django.utils import timezone

    from runbell.server.services import members, sign_ins

    with transaction.atomic():
        user = members.user_of_shell(options.email, "member.second_step_reset", now=timezone.now())
        if not sign_ins.reset_second_step(user):
            raise BadField("email", f"{options.email} does not sign in in two steps")
    print(f"{user.email} signs in with the password alone now.")
    return 0


def create_token(options: argparse.Namespace) -> int:
    from django.utils import timezone

    from runbell.server.services import members, tokens

    account = members.account_of_shell(options.account)
    member = members.member_of(account, options.acts_as) if options.acts_as else members.first_admin(account)
    print(tokens.create_token(member=member, name=options.name, permissions=_permissions(options.can), now=timezone.now()))
    return 0


def _permissions(words: str) -> list[Permission]:
    try:
        return [Permission(word.strip()) for word in words.split(",")]
    except ValueError:
        raise BadField("--can", f"{words!r}: must be a comma list of {', '.join(Permission)}") from None


def _password(path: Path) -> str:
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text()
    except OSError as error:
        raise BadField("--password-file", f"cannot read {path}: {error.strerror}") from None
    return (text.splitlines() or [""])[0]
