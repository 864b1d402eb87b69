"""Account settings › Service tokens: made, shown once, revoked."""

import secrets

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods

from runbell.core.fields import BadField
from runbell.core.permissions import Permission, Role
from runbell.server.services import tokens as service
from runbell.server.services.tokens import AlreadyMade, RoleTooLow, TokenWish
from runbell.server.web.edge import Page, member_page
from runbell.server.web.roles import ROLES

MEANS = {
    Permission.REPORT: gettext_lazy("Report runs. All that a machine with dbt needs."),
    Permission.READ: gettext_lazy("Read projects, environments, jobs, runs and who was told."),
    Permission.NOTIFICATIONS: gettext_lazy("Set notifications, as far as the member may."),
    Permission.ADMIN: gettext_lazy("Everything else the member may do, such as members and jobs."),
}
ERRORS = {
    "name": gettext_lazy("A name of 1 to 200 characters, on one line."),
    "permissions": gettext_lazy("Choose at least one permission."),
    "member": gettext_lazy("Choose an active member of this account."),
    "project": gettext_lazy("Choose a project of this account, or none."),
}


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def tokens(page: Page) -> HttpResponse:
    if page.request.method == "POST":
        return _make(page)
    return _show(page, TokenWish(permissions=(Permission.REPORT.value,), member_id=page.actor.member.pk), {})


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def revoke(page: Page, token_id: int) -> HttpResponse:
    if page.request.method == "POST":
        line = service.revoke_token_of(page.actor, token_id, now=timezone.now())
        page.toast(gettext("“%(name)s” is revoked.") % {"name": line.name})
        return redirect("tokens", account_id=page.frame.account_id)
    line = service.token_for(page.actor, token_id)
    return page.render(
        "runbell/token_revoke.html",
        section="settings",
        side="tokens",
        token=line,
        question=gettext("Revoke “%(name)s”?") % {"name": line.name},
        verb=gettext("Revoke"),
        back=reverse("tokens", args=[page.frame.account_id]),
    )


def _make(page: Page) -> HttpResponse:
    """The one answer that shows the token is the answer to the POST: it is stored nowhere on the way."""
    wish = _wish(page)
    try:
        plain = service.issue_token(wish, actor=page.actor, now=timezone.now(), once=page.request.POST.get("once", "")[:100])
    except AlreadyMade:
        page.toast(gettext("That token was already made. It was shown then, and is never shown again."))
        return redirect("tokens", account_id=page.frame.account_id)
    except BadField as bad:
        return _show(page, wish, {bad.field: _error(bad)}, status=422)
    return page.render(
        "runbell/token_made.html", section="settings", side="tokens", name=wish.name, plain=plain, url=settings.RUNBELL_PUBLIC_URL
    )


def _show(page: Page, wish: TokenWish, errors: dict[str, str], status: int = 200) -> HttpResponse:
    lines, choices = service.list_tokens(page.actor), service.token_choices(page.actor)
    return page.render(
        "runbell/tokens.html",
        status=status,
        section="settings",
        side="tokens",
        live=[line for line in lines if line.revoked_at is None],
        revoked=[line for line in lines if line.revoked_at],
        members=[(pk, label, ROLES[Role(role)]) for pk, label, role in choices.members],
        projects=choices.projects,
        means=[(word.value, sentence) for word, sentence in MEANS.items()],
        wish=wish,
        errors=errors,
        once=secrets.token_urlsafe(16),
    )


def _wish(page: Page) -> TokenWish:
    posted = page.request.POST
    return TokenWish(
        name=posted.get("name", ""),
        permissions=tuple(posted.getlist("can")),
        member_id=_id(posted.get("member", "")),
        project_id=_id(posted["project"]) if posted.get("project") else None,
    )


def _id(text: str) -> int:
    """An id that is no number is one that nothing has."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


def _error(bad: BadField) -> str:
    if isinstance(bad, RoleTooLow):
        return gettext("“%(permission)s” is of no use here: the role of the chosen member allows nothing of it.") % {
            "permission": bad.permission.value
        }
    return str(ERRORS[bad.field])
