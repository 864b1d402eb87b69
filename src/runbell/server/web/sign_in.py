"""Sign-in, by allauth; what we change of it."""

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Nobody signs up: members come by invitation or from the command line."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False
