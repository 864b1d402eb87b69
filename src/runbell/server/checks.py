"""What `runbell doctor` says of the settings: Django's system checks, each with a hint."""

import re
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as Caution

from runbell.core.permissions import Role
from runbell.server.environment import read
from runbell.server.services.mail_check import ways
from runbell.server.services.single_sign_on import welcome

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@register()
def mail_settings(**_: Any) -> list[CheckMessage]:
    found = ways()
    if found.trouble:
        hint = "docs/howto/email.md has examples. Nothing starts until this is set right."
        return [Error(str(found.trouble), hint=hint, id="runbell.E001")]
    if found.is_mailbox:
        hint = "Set RUNBELL_SMTP_URL; until then mail reaches nobody, and admins read it in the browser."
        return [Caution("No mail server is set: mail stays in the built-in mailbox.", hint=hint, id="runbell.W001")]
    if found.is_no_domain:
        hint = "Set RUNBELL_MAIL_FROM to an address of a domain that is yours; most servers refuse other mail."
        return [Caution(f"RUNBELL_MAIL_FROM ends in {found.domain}, which is no domain of the internet.", hint=hint, id="runbell.W002")]
    return []


@register()
def public_url(**_: Any) -> list[CheckMessage]:
    parts = urlsplit(settings.RUNBELL_PUBLIC_URL)
    if parts.scheme == "https" or parts.hostname in LOOPBACK:
        return []
    hint = "Put a proxy that speaks https before Runbell, and set RUNBELL_PUBLIC_URL to its https:// address."
    return [Caution("RUNBELL_PUBLIC_URL is not https: passwords and tokens cross the network in the clear.", hint=hint, id="runbell.W003")]


@register()
def slack_addresses(**_: Any) -> list[CheckMessage]:
    """Tokens go there: in the clear to loopback alone, where a fake Slack is."""
    found: list[CheckMessage] = []
    for number, name, example in (
        (6, "RUNBELL_SLACK_URL", "https://slack.com or https://slack-gov.com"),
        (7, "RUNBELL_SLACK_API_URL", "https://slack.com/api/ or https://slack-gov.com/api/"),
    ):
        if not _is_address(getattr(settings, name)):
            said = f"{name} is no https address without a name and password, a query or a fragment."
            found.append(Error(said, hint=f"Write {example}.", id=f"runbell.E00{number}"))
    return found


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        is_port = parts.port is None or parts.port > 0
    except ValueError:
        return False
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
    return is_safe and is_port and bool(parts.hostname) and not (parts.username or parts.query or parts.fragment or re.search(r"\s", url))


@register()
def single_sign_on(**_: Any) -> list[CheckMessage]:
    names = ("RUNBELL_OIDC_URL", "RUNBELL_OIDC_CLIENT_ID", "RUNBELL_OIDC_CLIENT_SECRET")
    lacking = [name for name in names if not getattr(settings, name)]
    found: list[CheckMessage] = []
    if 0 < len(lacking) < len(names):
        hint = "Single sign-on stays off until all three are set: docs/howto/single-sign-on.md."
        found.append(Error(f"Single sign-on is half set: {' and '.join(lacking)} is empty.", hint=hint, id="runbell.E002"))
    try:
        welcome(settings.RUNBELL_OIDC_CREATE)
    except ValueError:
        said = f"RUNBELL_OIDC_CREATE: {settings.RUNBELL_OIDC_CREATE!r} is neither off nor an account id and a role."
        found.append(Error(said, hint=f"Write it as 1:viewer. Roles: {', '.join(Role)}.", id="runbell.E003"))
    parts = urlsplit(settings.RUNBELL_OIDC_URL)
    if settings.RUNBELL_OIDC_URL and parts.scheme != "https" and parts.hostname not in LOOPBACK:
        hint = "Use the provider's https:// address."
        found.append(Error("RUNBELL_OIDC_URL is not https: anybody on the way could sign in as anyone.", hint=hint, id="runbell.E004"))
    if read("RUNBELL_PASSWORD_SIGN_IN") == "off" and not settings.RUNBELL_OIDC:
        hint = "Passwords go on working until single sign-on is set."
        found.append(Error("RUNBELL_PASSWORD_SIGN_IN is off, but there is no other way to sign in.", hint=hint, id="runbell.E005"))
    return found
