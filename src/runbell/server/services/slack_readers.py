"""In which language and time zone a Slack channel of a linked workspace is written to. Whose configuration it is stays as it is."""

from datetime import datetime

from django.db import transaction

from runbell.core.permissions import Action
from runbell.server.db.models import Destination
from runbell.server.services import audit
from runbell.server.services.access import Actor, NotThere
from runbell.server.services.destinations import raise_revision
from runbell.server.services.externals import check_reader
from runbell.server.services.slack_targets import configured


def slack_channel_for(actor: Actor, destination_id: int) -> Destination:
    """Raises `NotAllowed`, `NotThere`."""
    actor.require(Action.SET_ANY_NOTIFICATIONS)
    found = configured(actor).filter(pk=destination_id).first()
    if found is None:
        raise NotThere
    return found


@transaction.atomic
def set_slack_reader(destination_id: int, language: str, zone: str, *, actor: Actor, now: datetime) -> None:
    """Either may be empty: the account's. Raises `NotAllowed`, `NotThere` and `Refused`."""
    list(configured(actor).filter(pk=destination_id).select_for_update(of=("self",)).values_list("pk"))
    found = slack_channel_for(actor, destination_id)
    check_reader(language, zone)
    before = {"language": found.language, "zone": found.zone}
    after = {"language": language, "zone": zone}
    if before == after:
        return
    found.language, found.zone = language, zone
    found.save(update_fields=["language", "zone"])
    raise_revision(found, now)
    subject = f"{found.address} · {found.link.workspace.name}" if found.link else found.address
    audit.record(
        account=actor.member.account, actor=actor, action="notifications.update", subject=subject, now=now, before=before, after=after
    )
