"""The member's own page: name, language, zone and theme."""

from allauth.account.decorators import reauthentication_required
from allauth.core.ratelimit import consume_or_429
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext, gettext_lazy, pgettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from runbell.core.fields import CONTROL
from runbell.server.services import email_change, profiles
from runbell.server.web.edge import Page, landing, member_page, page_before

THEMES = [
    ("system", pgettext_lazy("theme", "As the system")),
    ("light", pgettext_lazy("theme", "Light")),
    ("dark", pgettext_lazy("theme", "Dark")),
]


class ProfileForm(forms.Form):
    name = forms.CharField(max_length=200, required=False)
    language = forms.ChoiceField(choices=[("en", "English"), ("ru", "Русский")])
    zone = forms.CharField(max_length=64, error_messages={"required": gettext_lazy("Choose a time zone from the list.")})
    theme = forms.ChoiceField(choices=THEMES)

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if CONTROL.search(name):
            raise forms.ValidationError(gettext("A name is one line without control characters."))
        return name

    def clean_zone(self) -> str:
        zone: str = self.cleaned_data["zone"]
        if zone not in profiles.known_zones():
            raise forms.ValidationError(gettext("There is no time zone of this name. Choose one from the list."))
        return zone


class EmailForm(forms.Form):
    email = forms.EmailField(max_length=254)


@member_page
def profile(page: Page) -> HttpResponse:
    user = page.actor.member.user
    fields = ("name", "language", "zone", "theme")
    posted = page.request.method == "POST"
    form = ProfileForm(page.request.POST if posted else None, initial={name: getattr(user, name) for name in fields}, auto_id="%s")
    if not posted or not form.is_valid():
        return page.render("runbell/profile.html", section="profile", side="profile", form=form, zones=profiles.offered_zones())
    profiles.save_profile(user, **form.cleaned_data, now=timezone.now())
    with translation.override(form.cleaned_data["language"]):
        page.toast(gettext("Saved"))
    return redirect("profile", account_id=page.frame.account_id)


@require_POST
@member_page
def theme(page: Page) -> HttpResponse:
    """From the profile menu; leads back to the page it was on."""
    chosen = page.request.POST.get("theme", "")
    if chosen in dict(THEMES):
        profiles.set_theme(page.actor.member.user, chosen)
    return redirect(page_before(page.request) or reverse("profile", args=[page.frame.account_id]))


@member_page
def change_email(page: Page) -> HttpResponse:
    """Asks for the password first; the answer is the same whether or not the address is somebody's."""
    _confirm_person(page.request)
    form = EmailForm(page.request.POST or None, auto_id="%s")
    sent_to = ""
    if page.request.method == "POST" and settings.RUNBELL_SMTP_URL and form.is_valid():
        too_many: HttpResponse | None = consume_or_429(page.request, action="manage_email", user=page.request.user)
        if too_many:
            return too_many
        sent_to = form.cleaned_data["email"]
        email_change.ask(page.actor.member.user, sent_to, account_id=page.frame.account_id, now=timezone.now())
    return page.render(
        "runbell/email.html", section="profile", side="profile", form=form, sent_to=sent_to, can_send=bool(settings.RUNBELL_SMTP_URL)
    )


_confirm_person = reauthentication_required(lambda request: None)


@login_required
@never_cache
def confirm_email(request: HttpRequest, token: str) -> HttpResponse:
    """GET only asks, since mail scanners follow links."""
    assert request.user.is_authenticated
    account_id = landing(request)
    try:
        if request.method == "POST" and account_id:
            new = email_change.confirm(request.user, token, account_id=account_id, now=timezone.now())
            messages.success(request, gettext("Your address is now %(address)s") % {"address": new})
            return redirect("profile", account_id=account_id)
        new = email_change.address_of(request.user, token)
    except email_change.Void:
        return render(request, "runbell/email_void.html", status=404)
    return render(request, "runbell/email_confirm.html", {"new": new})
