"""External addresses: added, their language and zone set, removed with their rules."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST

from runbell.server.services import externals
from runbell.server.services.externals import Refused
from runbell.server.services.profiles import offered_zones
from runbell.server.web.edge import Page, member_page

URL = "email_notifications"


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def add_external(page: Page) -> HttpResponse:
    form = page.request.POST
    if page.request.method != "POST":
        externals.require_write(page.actor)
        return _form(page, title=gettext("Add external email"))
    try:
        added = externals.add_external(
            form.get("address", ""), form.get("language", ""), form.get("zone", ""), actor=page.actor, now=timezone.now()
        )
    except Refused as bad:
        return _form(page, title=gettext("Add external email"), form=form, bad=bad, status=400)
    page.toast(gettext("%(address)s is added. Choose what it hears about.") % {"address": added.address})
    return redirect(f"{reverse(URL, args=[page.frame.account_id])}?to={added.pk}")


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def external(page: Page, destination_id: int) -> HttpResponse:
    found = externals.external_for(page.actor, destination_id)
    form = page.request.POST
    if page.request.method != "POST":
        return _form(page, title=found.address, found=found, form={"language": found.language, "zone": found.zone, **found.settings})
    try:
        takes_lists = bool(form.get("takes_lists"))
        externals.set_reader(
            found, form.get("language", ""), form.get("zone", ""), takes_lists=takes_lists, actor=page.actor, now=timezone.now()
        )
    except Refused as bad:
        return _form(page, title=found.address, found=found, form=form, bad=bad, status=400)
    page.toast(gettext("Saved."))
    return redirect(f"{reverse(URL, args=[page.frame.account_id])}?to={found.pk}")


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def remove_external(page: Page, destination_id: int) -> HttpResponse:
    """Asks, with the number of rules that go too."""
    found = externals.external_for(page.actor, destination_id)
    base = reverse(URL, args=[page.frame.account_id])
    if page.request.method != "POST":
        question = gettext("Remove %(address)s?") % {"address": found.address}
        return page.render(
            "runbell/external_remove.html",
            section="notifications",
            side=URL,
            question=question,
            verb=gettext("Remove"),
            back=f"{base}?to={found.pk}",
            rules=externals.rules_of(found),
        )
    externals.remove_external(found, actor=page.actor, now=timezone.now())
    undo = reverse("restore_external", args=[page.frame.account_id, found.pk])
    page.toast(gettext("%(address)s and its rules are removed.") % {"address": found.address}, undo)
    return redirect(base)


@require_POST
@member_page
def restore_external(page: Page, destination_id: int) -> HttpResponse:
    try:
        back = externals.restore_external(destination_id, actor=page.actor, now=timezone.now())
    except Refused as bad:
        return _form(page, title=gettext("Add external email"), bad=bad, status=409)
    page.toast(gettext("%(address)s is back, with its rules.") % {"address": back.address})
    return redirect(f"{reverse(URL, args=[page.frame.account_id])}?to={back.id}")


def _form(page: Page, *, title: str, form: Any = None, found: Any = None, bad: Refused | None = None, status: int = 200) -> HttpResponse:
    back = reverse(URL, args=[page.frame.account_id]) + (f"?to={found.pk}" if found else "")
    return page.render(
        "runbell/external.html",
        status=status,
        section="notifications",
        side=URL,
        title=title,
        found=found,
        form=form or {},
        bad=bad,
        because=_reason(bad) if bad else "",
        back=back,
        account=page.actor.member.account,
        zones=offered_zones(),
        removed=[] if found else externals.removed_lately(page.actor, now=timezone.now()),
    )


def _reason(bad: Refused) -> str:
    """The refusal in words."""
    reasons = {
        "empty": gettext("Write an address."),
        "no_at": gettext("An address has an @ in it."),
        "no_local": gettext("Something is missing before the @."),
        "no_domain": gettext("Something is missing after the @."),
        "too_long": gettext("The address is longer than 254 characters, the most that mail servers take."),
        "long_local": gettext("Before the @ are more than 64 characters, the most that mail servers take."),
        "many": gettext("Only one address, without a name and without < and >. Add others one by one."),
        "space": gettext("An address has no spaces in it."),
        "not_ascii": gettext("Before the @ is a letter that most mail servers do not take; only Latin letters work there."),
        "two_ats": gettext("An address has one @ only."),
        "dots": gettext("A dot is at the start, at the end or twice in a row, which no mail server takes."),
        "domain": gettext("What is after the @ cannot be the name of a mail server, or a character before it is not allowed."),
        "member": gettext("This is the address of a member. It is in the list already, under Internal users."),
        "former_member": gettext("This is the address of a member who was deactivated. It gets nothing until they are activated again."),
        "duplicate": gettext("This address is there already."),
        "language": gettext("Choose a language from the list."),
        "zone": gettext("There is no time zone of this name. Choose one from the list."),
    }
    return reasons[bad.code]
