"""Sign-in, by allauth; what we change of it."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme

from runbell.server.services import account_letters, sign_ins


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Nobody signs up: members come by invitation, single sign-on or from the command line."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def is_safe_url(self, url: str) -> bool:
        """`next` leads to this very host. allauth would also take every ALLOWED_HOSTS, such as the reader's own localhost."""
        return url_has_allowed_host_and_scheme(url, {self.request.get_host()}, require_https=self.request.is_secure())

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return reverse("mfa_index")

    def get_reset_password_from_key_url(self, key: str) -> str:
        """Under the public name: the Host of the request that asked is anybody's to choose."""
        uid, _, token = key.partition("-")
        return settings.RUNBELL_PUBLIC_URL + reverse("account_reset_password_from_key", args=[uid, token])

    def get_client_ip(self, request: HttpRequest) -> str:
        """Whoever comes past the proxies has an address of their own; allauth takes that for a fault of the settings, and no address for one
        of the visitor."""
        try:
            return super().get_client_ip(request)  # type: ignore[no-any-return]
        except (ImproperlyConfigured, PermissionDenied):
            return str(request.META.get("REMOTE_ADDR", ""))

    def post_login(self, request: HttpRequest, user: Any, **kwargs: Any) -> HttpResponseBase:
        sign_ins.forget_ended_sessions(user, now=timezone.now())
        return super().post_login(request, user, **kwargs)  # type: ignore[no-any-return]

    def add_message(self, *args: Any, **kwargs: Any) -> None:
        """“You have signed in” and its like: the next page shows it by itself."""

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """allauth sends but one kind itself: the reset link, or its word to an unknown address."""
        account_letters.send_reset_link(context.get("user"), typed=email, url=context.get("password_reset_url", ""), now=timezone.now())

    def send_notification_mail(self, template_prefix: str, user: Any, *args: Any, **kwargs: Any) -> None:
        account_letters.note_change(template_prefix, user, address=self.get_client_ip(self.request), now=timezone.now())
        if template_prefix == "account/email/password_reset":
            self._delete_login_attempts_cached_email(self.request, email=user.email)
