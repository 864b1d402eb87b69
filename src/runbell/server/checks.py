"""What `runbell doctor` says of the settings: Django's system checks, each with a hint."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as Caution

from runbell.server.services.mail_check import ways

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
