"""“What I get”: every rule that sends mail to a member, and who set it."""

from dataclasses import dataclass, field
from datetime import datetime

from runbell.server.db.models import Rule, State
from runbell.server.services.access import Actor


@dataclass(slots=True)
class OwnRule:
    """One line: a job, or all jobs of an environment (`job_id` None). `set_by`: who set its boxes; empty for somebody who is gone."""

    job_id: int | None
    job: str
    environment: str
    project: str
    chosen: set[str] = field(default_factory=set)
    set_by: dict[str, datetime] = field(default_factory=dict)  # the last time of each


def own_rules(actor: Actor) -> list[OwnRule]:
    """All-jobs lines first in each environment; one query."""
    here = {"destination__account": actor.account_id, "destination__member": actor.member, "destination__kind": "email"}
    rules = Rule.objects.filter(**here, destination__state=State.ACTIVE)
    rules = rules.exclude(job__state=State.DELETED).exclude(environment__state=State.DELETED)
    related = rules.select_related("job__environment__project", "environment__project", "set_by__user").order_by("set_at")
    lines: dict[tuple[int | None, int | None], OwnRule] = {}
    for rule in related:
        environment = rule.job.environment if rule.job else rule.environment
        assert environment is not None  # the table's check: a rule is for a job or for an environment
        name = rule.job.name if rule.job else ""
        line = lines.setdefault((rule.job_id, rule.environment_id), OwnRule(rule.job_id, name, environment.name, environment.project.name))
        line.chosen.add(rule.outcome)
        line.set_by[_who(rule, actor)] = rule.set_at
    return sorted(lines.values(), key=lambda line: (line.project, line.environment, line.job))


def _who(rule: Rule, actor: Actor) -> str:
    """`you` has its own word on the page."""
    if rule.set_by_id == actor.member.pk:
        return "you"
    return rule.set_by.user.name or rule.set_by.user.email if rule.set_by else ""
