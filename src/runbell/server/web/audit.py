"""The audit log: who changed what, when, from what to what."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpResponse
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy, ngettext

from runbell.core.because import Because
from runbell.core.permissions import Permission
from runbell.server.services import audit
from runbell.server.services.audit_log import KINDS, Change, Entry, audit_log
from runbell.server.web.edge import Page, member_page
from runbell.server.web.roles import ROLES
from runbell.server.web.templatetags.runbell import moment, reason

SHOWN = 6  # names of a list; the others are counted

SENTENCES: dict[audit.Action, Promise] = {
    "member.add": gettext_lazy("%(subject)s was added as a member"),
    "member.email": gettext_lazy("%(subject)s has a new address"),
    "member.profile": gettext_lazy("%(subject)s changed their profile"),
    "member.password": gettext_lazy("%(subject)s set a new password"),
    "member.second_step_on": gettext_lazy("%(subject)s switched sign-in in two steps on"),
    "member.second_step_off": gettext_lazy("%(subject)s switched sign-in in two steps off"),
    "member.second_step_reset": gettext_lazy("Sign-in in two steps of %(subject)s was switched off"),
    "member.recovery_codes": gettext_lazy("%(subject)s made new recovery codes"),
    "member.join": gettext_lazy("%(subject)s joined"),
    "member.role": gettext_lazy("The role of %(subject)s was changed"),
    "member.deactivate": gettext_lazy("%(subject)s was deactivated"),
    "member.reactivate": gettext_lazy("%(subject)s was reactivated"),
    "member.reset_link": gettext_lazy("A link to set a new password was made for %(subject)s"),
    "invitation.create": gettext_lazy("%(subject)s was invited"),
    "invitation.send_again": gettext_lazy("The invitation of %(subject)s was sent again"),
    "invitation.revoke": gettext_lazy("The invitation of %(subject)s was withdrawn"),
    "invitation.restore": gettext_lazy("The invitation of %(subject)s was opened again"),
    "notifications.create": gettext_lazy("Notifications of %(subject)s were set"),
    "notifications.update": gettext_lazy("Notifications of %(subject)s were changed"),
    "notifications.delete": gettext_lazy("Notifications of %(subject)s were removed"),
    "notifications.restore": gettext_lazy("%(subject)s and its notifications were brought back"),
    "notifications.adopt": gettext_lazy("%(subject)s took over what was set for the external address"),
    "notifications.lift": gettext_lazy("Sending to %(subject)s was allowed again"),
    "notifications.confirm": gettext_lazy("The holder of %(subject)s confirmed the address"),
    "notifications.copy": gettext_lazy("Notifications of %(subject)s were changed by copying"),
    "notifications.copy_undo": gettext_lazy("Copying to %(subject)s was undone"),
    "delivery.resend": gettext_lazy("Messages were sent again: %(subject)s"),
    "mailbox.empty": gettext_lazy("The mailbox was emptied, mails: %(subject)s"),
    "email.unsubscribe": gettext_lazy("%(subject)s was unsubscribed from email notifications"),
    "email.unsubscribe_undo": gettext_lazy("Unsubscribing %(subject)s was undone"),
    "job.pause": gettext_lazy("Messages about the job %(subject)s were paused"),
    "job.resume": gettext_lazy("Messages about the job %(subject)s were resumed"),
    "environment.pause": gettext_lazy("Messages about the environment %(subject)s were paused"),
    "environment.resume": gettext_lazy("Messages about the environment %(subject)s were resumed"),
    "job.create": gettext_lazy("The job %(subject)s was made"),
    "job.define": gettext_lazy("What is said of the job %(subject)s was changed"),
    "job.rename": gettext_lazy("The job %(subject)s was renamed"),
    "job.forget_alias": gettext_lazy("An old name of the job %(subject)s was forgotten"),
    "job.merge": gettext_lazy("The job %(subject)s was merged into another"),
    "job.delete": gettext_lazy("The job %(subject)s was deleted"),
    "job.restore": gettext_lazy("The job %(subject)s was brought back"),
    "job.hide": gettext_lazy("The job %(subject)s was hidden"),
    "job.show": gettext_lazy("The job %(subject)s was shown again"),
    "job.limit": gettext_lazy("The time that a run of the job %(subject)s may stay without an end was changed"),
    "environment.rename": gettext_lazy("The environment %(subject)s was renamed"),
    "environment.forget_alias": gettext_lazy("An old name of the environment %(subject)s was forgotten"),
    "environment.merge": gettext_lazy("The environment %(subject)s was merged into another"),
    "environment.delete": gettext_lazy("The environment %(subject)s was deleted"),
    "environment.restore": gettext_lazy("The environment %(subject)s was brought back"),
    "environment.owners": gettext_lazy("What is set about owners of models in the environment %(subject)s was changed"),
    "project.rename": gettext_lazy("The project %(subject)s was renamed"),
    "project.forget_alias": gettext_lazy("An old name of the project %(subject)s was forgotten"),
    "project.merge": gettext_lazy("The project %(subject)s was merged into another"),
    "project.delete": gettext_lazy("The project %(subject)s was deleted"),
    "project.restore": gettext_lazy("The project %(subject)s was brought back"),
    "token.create": gettext_lazy("The token %(subject)s was created"),
    "token.revoke": gettext_lazy("The token %(subject)s was revoked"),
    "slack.app": gettext_lazy("The Slack app %(subject)s was set"),
    "slack.app_forget": gettext_lazy("The Slack app %(subject)s was removed"),
    "slack.link": gettext_lazy("The Slack workspace %(subject)s was linked"),
    "slack.unlink": gettext_lazy("The Slack workspace %(subject)s was unlinked"),
    "slack.link_end": gettext_lazy("A link to the Slack workspace %(subject)s ended"),
    "slack.break": gettext_lazy("The Slack workspace %(subject)s stopped working"),
    "slack.take_over": gettext_lazy("The Slack channel %(subject)s was taken over"),
    "dbt.connect": gettext_lazy("The dbt platform account %(subject)s was connected"),
    "dbt.change": gettext_lazy("The secrets of the dbt platform account %(subject)s were changed"),
    "dbt.remove": gettext_lazy("The dbt platform account %(subject)s was removed"),
    "dbt.run": gettext_lazy("The job %(subject)s was started on the dbt platform"),
    "dbt.cancel": gettext_lazy("A run of the job %(subject)s was canceled on the dbt platform"),
    "dbt.retry": gettext_lazy("A run of the job %(subject)s was tried again on the dbt platform"),
}
KIND_LABELS = {
    "": gettext_lazy("Everything"),
    "people": gettext_lazy("Members and invitations"),
    "notifications": gettext_lazy("Notifications"),
    "jobs": gettext_lazy("Jobs and environments"),
    "tokens": gettext_lazy("Tokens"),
    "slack": gettext_lazy("Slack"),
    "dbt": gettext_lazy("dbt platform"),
}
FIELDS = {
    "role": gettext_lazy("Role"),
    "owner": gettext_lazy("Owner"),
    "address": gettext_lazy("Address"),
    "external_email": gettext_lazy("Address"),
    "rules": gettext_lazy("Rules"),
    "scope": gettext_lazy("For"),
    "of": gettext_lazy("Job or environment"),
    "because": gettext_lazy("Reason"),
    "name": gettext_lazy("Name"),
    "language": gettext_lazy("Language"),
    "zone": gettext_lazy("Time zone"),
    "expires_at": gettext_lazy("Works until"),
    "alias": gettext_lazy("Old name"),
    "into": gettext_lazy("Merged into"),
    "jobs": gettext_lazy("Jobs"),
    "runs": gettext_lazy("Runs"),
    "lost_after": gettext_lazy("Fails without an end after, in seconds"),
    "acts_as": gettext_lazy("Acts as"),
    "project": gettext_lazy("Project"),
    "paused_until": gettext_lazy("Paused until"),
    "can": gettext_lazy("Permissions"),
    "prefix": gettext_lazy("Begins with"),
    "client_id": gettext_lazy("Client ID"),
    "dbt_run": gettext_lazy("Run ID in dbt"),
    "secrets_set": gettext_lazy("Secrets set anew"),
    "rank": gettext_lazy("Rank in Slack"),
    "revived": gettext_lazy("Slack channels that are not silent any more"),
    "on_success": gettext_lazy("Succeeds"),
    "on_warning": gettext_lazy("Warns"),
    "on_failure": gettext_lazy("Fails"),
    "on_cancel": gettext_lazy("Is canceled"),
}
MOMENTS = frozenset({"paused_until", "expires_at"})
THROUGH = {
    "single sign-on": gettext_lazy("by single sign-on"),
    "invitation link": gettext_lazy("by the link of an invitation"),
    "unsubscribe link": gettext_lazy("by an unsubscribe link"),
    "Slack": gettext_lazy("as Slack says"),
    "confirmation link": gettext_lazy("by the link in the mail that asked"),
}
WORDS: dict[str, Mapping[Any, Promise]] = {
    "role": ROLES,
    "scope": {
        "job": gettext_lazy("one job"),
        "environment": gettext_lazy("one environment"),
        "everything": gettext_lazy("everything"),
    },
    "secrets_set": {"client_secret": gettext_lazy("client secret"), "signing_secret": gettext_lazy("signing secret")},
    "rank": {
        "primary_owner": gettext_lazy("primary owner"),
        "owner": gettext_lazy("owner"),
        "admin": gettext_lazy("admin"),
        "member": gettext_lazy("member"),
    },
    "can": {
        Permission.REPORT: gettext_lazy("report runs"),
        Permission.READ: gettext_lazy("read"),
        Permission.NOTIFICATIONS: gettext_lazy("set notifications"),
        Permission.ADMIN: gettext_lazy("administer"),
    },
}
"""By field: what stored words are called."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A change in words; an empty side is left out."""

    label: str
    before: str
    after: str
    is_part: bool


@dataclass(frozen=True, slots=True)
class Line:
    entry: Entry
    sentence: str
    through: str
    changes: tuple[Shown, ...]


@member_page
def log(page: Page) -> HttpResponse:
    member, before = page.number("member"), page.number("before")
    kind = page.request.GET.get("kind", "")
    kind = kind if kind in KINDS else ""
    found = audit_log(page.actor, member=member, kind=kind, before=before)
    return page.render(
        "runbell/audit.html",
        section="settings",
        side="audit",
        lines=[_line(entry) for entry in found.entries],
        people=found.people,
        kinds=KIND_LABELS.items(),
        member=member,
        kind=kind,
        before=before,
        older=found.older,
    )


def _line(entry: Entry) -> Line:
    sentence = SENTENCES.get(entry.action)  # type: ignore[call-overload]  # stored by any version of ours
    said = str(sentence) % {"subject": entry.subject} if sentence else f"{entry.action} {entry.subject}"
    return Line(entry, said, _through(entry), tuple(map(_shown, entry.changes)))


def _through(entry: Entry) -> str:
    if entry.token:
        return gettext("through the token “%(token)s”") % {"token": entry.token}
    if entry.through:
        return str(THROUGH.get(entry.through, entry.through))
    return "" if entry.by else gettext("on the command line of the server")


def _shown(change: Change) -> Shown:
    """`runbell_environments.on_failure` is about all jobs of environments, and says so."""
    head, _, last = change.field.rpartition(".")
    label = str(FIELDS.get(last, last))
    if head == "runbell_environments":
        label = gettext("%(outcome)s, all jobs of") % {"outcome": label}
    return Shown(label, _words(change.field, change.before), _words(change.field, change.after), change.is_part)


def _words(field: str, value: Any) -> str:
    if value is None:
        return ""
    if field in MOMENTS:
        return moment(datetime.fromisoformat(value))
    if field == "because":
        return reason(Because.from_json(value))
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if isinstance(value, list):
        return _listed([str(WORDS.get(field, {}).get(item, item)) for item in value])
    return str(WORDS.get(field, {}).get(value, value))


def _listed(words: list[str]) -> str:
    more = len(words) - SHOWN
    said = ", ".join(words[:SHOWN])
    return said if more <= 0 else ngettext("%(said)s and %(n)d more", "%(said)s and %(n)d more", more) % {"said": said, "n": more}
