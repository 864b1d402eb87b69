"""The pages of allauth that Runbell uses; all others are closed: what is not listed here has no URL."""

from collections.abc import Callable
from functools import wraps

from allauth.account import views as account
from allauth.mfa.base import views as second_step
from allauth.mfa.recovery_codes import views as codes
from allauth.mfa.totp import views as totp
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path, re_path
from django.views.decorators.cache import never_cache

from runbell.server.web import sessions, single_sign_on


def closed(request: HttpRequest) -> HttpResponse:
    """allauth asks for the URL of this page, but nobody may use it."""
    raise Http404


def by_password(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Closed while people sign in by single sign-on alone."""

    @wraps(view)
    def door(request: HttpRequest, *args: str, **kwargs: str) -> HttpResponse:
        is_sign_in_page = view is account.login and request.method != "POST"
        if not (settings.RUNBELL_PASSWORD_SIGN_IN or is_sign_in_page):
            raise Http404
        return view(request, *args, **kwargs)

    return door


urlpatterns = [
    path("sso/", single_sign_on.start, name="sso_start"),
    path("sso/finish/", single_sign_on.finish, name="sso_finish"),
    path("", sessions.own, name="mfa_index"),
    path("login/", by_password(account.login), name="account_login"),
    path("logout/", account.logout, name="account_logout"),
    path("inactive/", account.account_inactive, name="account_inactive"),
    path("reauthenticate/", account.reauthenticate, name="account_reauthenticate"),
    path("password/change/", by_password(account.password_change), name="account_change_password"),
    path("password/set/", by_password(account.password_set), name="account_set_password"),
    path("password/reset/", by_password(account.password_reset), name="account_reset_password"),
    path("password/reset/done/", by_password(account.password_reset_done), name="account_reset_password_done"),
    path("password/reset/key/done/", by_password(account.password_reset_from_key_done), name="account_reset_password_from_key_done"),
    re_path(
        r"^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        by_password(account.password_reset_from_key),
        name="account_reset_password_from_key",
    ),
    path("code/", second_step.authenticate, name="mfa_authenticate"),
    path("code/again/", second_step.reauthenticate, name="mfa_reauthenticate"),
    path("app/add/", totp.activate_totp, name="mfa_activate_totp"),
    path("app/remove/", totp.deactivate_totp, name="mfa_deactivate_totp"),
    path("recovery-codes/", never_cache(codes.view_recovery_codes), name="mfa_view_recovery_codes"),
    path("recovery-codes/new/", codes.generate_recovery_codes, name="mfa_generate_recovery_codes"),
    path("signup/", closed, name="account_signup"),
]
