"""The member's own page: name, language, zone and theme."""

from django import forms
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext, gettext_lazy, pgettext_lazy
from django.views.decorators.http import require_POST

from runbell.core.fields import CONTROL
from runbell.server.services import profiles
from runbell.server.web.edge import Page, member_page, page_before

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


@member_page
def profile(page: Page) -> HttpResponse:
    user = page.actor.member.user
    fields = ("name", "language", "zone", "theme")
    posted = page.request.method == "POST"
    form = ProfileForm(page.request.POST if posted else None, initial={name: getattr(user, name) for name in fields}, auto_id="%s")
    if not posted or not form.is_valid():
        return page.render("runbell/profile.html", section="settings", side="profile", form=form, zones=profiles.offered_zones())
    profiles.save_profile(user, **form.cleaned_data)
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
