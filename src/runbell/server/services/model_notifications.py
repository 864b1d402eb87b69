"""What clients of the dbt Admin API set about messages to the owners of an environment's models: kept and shown. Nothing is sent by it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from runbell.core.permissions import Action
from runbell.server.db.models import Environment
from runbell.server.services import audit
from runbell.server.services.access import Actor, environment_for
from runbell.server.services.job_places import label

__all__ = ["FLAGS", "Environment", "model_notifications_of", "set_model_notifications"]

FLAGS = ("enabled", "on_success", "on_failure", "on_warning", "on_skipped")


def model_notifications_of(environment: Environment) -> dict[str, Any]:
    """All off where nobody set them."""
    return {**dict.fromkeys(FLAGS, False), "updated_at": None, **(environment.model_notifications or {})}


@transaction.atomic
def set_model_notifications(actor: Actor, environment_id: int, flags: Mapping[str, bool], *, now: datetime) -> Environment:
    """What `flags` does not name stays. Raises `NotThere`, `NotAllowed`."""
    environment_for(actor, environment_id, Action.SET_ANY_NOTIFICATIONS)
    environment = Environment.objects.select_for_update(of=("self",)).select_related("project").get(pk=environment_id)
    was = model_notifications_of(environment)
    changed = {name: value for name, value in flags.items() if was[name] != value}
    if changed or environment.model_notifications is None:
        environment.model_notifications = {**was, **flags, "updated_at": now.isoformat()}
        environment.save(update_fields=["model_notifications"])
        before = {name: was[name] for name in changed}
        account, subject = actor.member.account, label(environment)
        audit.record(account=account, actor=actor, action="environment.owners", subject=subject, now=now, before=before, after=changed)
    return environment
