"""The link behind a forgotten password, for the command line; mails get theirs from allauth."""

from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.urls import reverse


def reset_url(user: AbstractBaseUser) -> str:
    """It works once: a new password, or signing in, voids it."""
    keys = {"uidb36": user_pk_to_url_str(user), "key": default_token_generator.make_token(user)}
    return f"{settings.RUNBELL_PUBLIC_URL}{reverse('account_reset_password_from_key', kwargs=keys)}"
