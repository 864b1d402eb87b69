"""Account settings › Members: who is in the account and as what, invitations, and leaving."""

from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from runbell.core.fields import BadField
from runbell.core.permissions import Action, Role
from runbell.server.services import invitations, leaving, members, slack_links
from runbell.server.services.access import NotThere
from runbell.server.services.invitations import InvitedAlready
from runbell.server.services.joining import AlreadyMember, WasMember
from runbell.server.services.member_pages import invitation_line, people
from runbell.server.services.members import LastAdmin
from runbell.server.services.slack_links import ChannelLine
from runbell.server.web.edge import Page, member_page
from runbell.server.web.roles import ROLES, role_facts

INVITED_AS = (Role.DEVELOPER, Role.VIEWER, Role.NOTIFICATION_MANAGER, Role.ACCOUNT_ADMIN)


@member_page
def show(page: Page) -> HttpResponse:
    """The list; a POST invites."""
    return _invite(page) if page.request.method == "POST" else _list(page)


def _list(page: Page, *, error: str = "", problem: str = "", status: int = 200) -> HttpResponse:
    """`error` is about the invitation just asked for, whose fields are kept; `problem` about anything else."""
    asked = page.request.POST if error else {}
    response = page.render(
        "runbell/members.html",
        section="settings",
        side="members",
        people=people(page.actor, now=timezone.now()),
        roles=ROLES.items(),
        invited_as=[(role, ROLES[role]) for role in INVITED_AS],
        facts=role_facts(),
        error=error,
        problem=problem,
        email=asked.get("email", ""),
        role=asked.get("role", Role.DEVELOPER),
    )
    response.status_code = status
    return response


def _invite(page: Page) -> HttpResponse:
    role = _role(page)
    try:
        invitation = invitations.invite(page.request.POST.get("email", ""), role, actor=page.actor, now=timezone.now())
    except BadField as bad:
        return _list(page, error=_said(bad), status=400)
    page.toast(gettext("An invitation to %(email)s is on its way") % {"email": invitation.email})
    return _back(page)


def _role(page: Page) -> Role:
    """Only a forged form holds another word."""
    try:
        return Role(page.request.POST.get("role", ""))
    except ValueError:
        raise NotThere from None


def _said(bad: BadField) -> str:
    match bad:
        case AlreadyMember():
            return gettext("This address belongs to a member already.")
        case WasMember():
            return gettext("This address belongs to somebody who left; reactivate them below.")
        case InvitedAlready():
            return gettext("This address is invited already; send the invitation again below.")
        case _:
            return gettext("This is not an e-mail address, such as name@acme.example.")


@require_POST
@member_page
def role(page: Page, member_id: int) -> HttpResponse:
    """Giving up one's own rights asks first, and so does what makes Slack channels silent."""
    wanted, post = _role(page), page.request.POST
    if wanted is not Role.ACCOUNT_ADMIN and "sure" not in post:
        silent = slack_links.would_silence(page.actor, member_id)
        if member_id == page.actor.member.pk:
            return _ask_own_role(page, wanted, silent)
        if silent:
            return _ask_role(page, wanted, silent)
    try:
        member = members.change_role(page.actor, member_id, wanted, now=timezone.now(), take_over="take_over" in post)
    except LastAdmin:
        return _last_admin(page)
    who = member.user.name or member.user.email
    page.toast(gettext("%(who)s: %(role)s") % {"who": who, "role": ROLES[wanted]})
    return (
        _back(page) if member.role == Role.ACCOUNT_ADMIN or member.pk != page.actor.member.pk else redirect("home", page.frame.account_id)
    )


def _ask_own_role(page: Page, wanted: Role, silent: tuple[ChannelLine, ...]) -> HttpResponse:
    page.actor.require(Action.MANAGE_MEMBERS)
    return page.render(
        "runbell/own_role.html",
        section="settings",
        side="members",
        question=gettext("Give up your rights as an admin?"),
        verb=gettext("Give them up"),
        back=reverse("members", args=[page.frame.account_id]),
        wanted=wanted,
        wanted_label=ROLES[wanted],
        silent=silent,
    )


def _ask_role(page: Page, wanted: Role, silent: tuple[ChannelLine, ...]) -> HttpResponse:
    page.actor.require(Action.MANAGE_MEMBERS)
    return page.render(
        "runbell/role_silence.html",
        section="settings",
        side="members",
        question=gettext("Change the role of %(who)s?") % {"who": silent[0].owner},
        verb=gettext("Change the role"),
        back=reverse("members", args=[page.frame.account_id]),
        wanted=wanted,
        silent=silent,
        can_take=any(line.can_take for line in silent),
    )


@member_page
def deactivate(page: Page, member_id: int) -> HttpResponse:
    """GET says what ends and what stays."""
    if page.request.method != "POST":
        found = leaving.leaving(page.actor, member_id)
        question = gettext("Leave this account?") if found.is_self else gettext("Deactivate %(who)s?") % {"who": found.name}
        back = reverse("members", args=[page.frame.account_id])
        return page.render(
            "runbell/leave.html",
            section="settings",
            side="members",
            found=found,
            silent=found.silent,
            can_take=any(line.can_take for line in found.silent),
            question=question,
            verb=gettext("Leave") if found.is_self else gettext("Deactivate"),
            back=back,
        )
    try:
        member = leaving.deactivate(page.actor, member_id, now=timezone.now(), take_over="take_over" in page.request.POST)
    except LastAdmin:
        return _last_admin(page)
    if member.pk == page.actor.member.pk:
        return redirect("root")
    page.toast(gettext("%(who)s is deactivated") % {"who": member.user.name or member.user.email})
    return _back(page)


@require_POST
@member_page
def reactivate(page: Page, member_id: int) -> HttpResponse:
    member = leaving.reactivate(page.actor, member_id, now=timezone.now())
    page.toast(gettext("%(who)s is a member again, without rules") % {"who": member.user.name or member.user.email})
    return _back(page)


@require_GET
@member_page
def invitation(page: Page, invitation_id: int) -> HttpResponse:
    found = invitation_line(page.actor, invitation_id, now=timezone.now())
    return page.render("runbell/invitation.html", section="settings", side="members", found=found, role=ROLES[Role(found.role)])


@require_POST
@member_page
def send_again(page: Page, invitation_id: int) -> HttpResponse:
    try:
        sent = invitations.send_again(page.actor, invitation_id, now=timezone.now())
    except invitations.Closed:
        return _closed(page)
    page.toast(gettext("The invitation to %(email)s is on its way again; links sent earlier work too") % {"email": sent.email})
    return _back(page)


@require_POST
@member_page
def revoke(page: Page, invitation_id: int) -> HttpResponse:
    try:
        revoked = invitations.revoke(page.actor, invitation_id, now=timezone.now())
    except invitations.Closed:
        return _closed(page)
    undo = reverse("invitation_restore", args=[page.frame.account_id, invitation_id])
    page.toast(gettext("The invitation to %(email)s is withdrawn; its links no longer work") % {"email": revoked.email}, undo)
    return _back(page)


@require_POST
@member_page
def restore(page: Page, invitation_id: int) -> HttpResponse:
    try:
        restored = invitations.restore(page.actor, invitation_id, now=timezone.now())
    except invitations.Closed:
        return _closed(page)
    page.toast(gettext("The invitation to %(email)s is open again") % {"email": restored.email})
    return _back(page)


def _closed(page: Page) -> HttpResponse:
    return _list(page, problem=gettext("This invitation was accepted or withdrawn meanwhile."), status=409)


def _last_admin(page: Page) -> HttpResponse:
    return _list(page, problem=gettext("The account needs an admin. Make somebody else an admin first."), status=409)


def _back(page: Page) -> HttpResponse:
    return redirect("members", account_id=page.frame.account_id)
