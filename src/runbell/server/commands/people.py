"""`runbell admin account | member | token`: people and tokens, from the shell."""

import argparse
import sys
from pathlib import Path

from runbell.core.fields import BadField
from runbell.core.permissions import Permission, Role
from runbell.server.commands.words import Commands, command, group


def add_people(admin: "Commands[argparse.ArgumentParser]") -> None:
    create = command(group(admin, "account", "Accounts."), "create", create_account, "Make an account with its first admin.")
    create.add_argument("name")
    create.add_argument("--admin", required=True, metavar="EMAIL")
    create.add_argument("--language", choices=("en", "ru"), default="en")
    create.add_argument("--zone", default="UTC", help="IANA time zone, such as Europe/Stockholm")
    _add_password(create)
    member = group(admin, "member", "Members.")
    add = command(member, "add", add_member, "Add a member.")
    add.add_argument("email")
    add.add_argument("--account", type=int, required=True, metavar="ID")
    add.add_argument("--role", type=Role, choices=list(Role), required=True, metavar="ROLE", help=", ".join(Role))
    _add_password(add)
    invite = command(member, "invite", invite_member, "Make an invitation and print its link; no mail is sent.")
    invite.add_argument("email")
    invite.add_argument("--account", type=int, required=True, metavar="ID")
    invite.add_argument("--role", type=Role, choices=list(Role), required=True, metavar="ROLE", help=", ".join(Role))
    reset = command(member, "reset-link", reset_link, "Print a link with which a member sets a new password, once.")
    reset.add_argument("email")
    lost = command(member, "reset-mfa", reset_mfa, "Switch sign-in in two steps off for somebody who lost the app and the codes.")
    lost.add_argument("email")
    token = command(group(admin, "token", "Tokens."), "create", create_token, "Make a token; prints it alone, this once.")
    token.add_argument("--account", type=int, required=True, metavar="ID")
    token.add_argument("--name", required=True)
    token.add_argument("--can", default="report", metavar="WORDS", help="comma list of " + ", ".join(Permission))
    token.add_argument("--as", dest="acts_as", metavar="EMAIL", help="the member it acts as; default: the first admin")


def _add_password(made: argparse.ArgumentParser) -> None:
    made.add_argument("--password-file", type=Path, required=True, metavar="FILE", help="first line is the password; - for standard input")


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
