"""Who is told about a run: rules found, decided, worded and put into the outbox, inside the transaction of the caller."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from runbell.core.because import Because
from runbell.core.rules import Decision, DestinationFact, RuleFact, Scope, decide
from runbell.core.runs import Git, Outcome, Trigger
from runbell.messages.compose import compose_run
from runbell.messages.facts import RunFacts, StepFacts
from runbell.server.db import bell, new_rows
from runbell.server.db.inserts import insert
from runbell.server.db.models import Account, Delivery, Destination, Job, Message, Receipt, Rule, Run, State
from runbell.server.db.prepared import Given, Prepared
from runbell.server.services.histories import Past, histories, trouble, usual_seconds
from runbell.server.services.pauses import paused_because
from runbell.server.services.steps import stored_steps
from runbell.server.services.trust import awaits_confirmation

SHOWN_NOT_TOLD = 200
SLACK = "slack"
SECRETS = ("secret", "link__workspace__token", "link__workspace__refresh_token")
IN_DESTINATION = tuple(f"destination__{name}" for name in SECRETS)
"""Of a destination: never loaded beside it, since one that no key fits any more must not hold up the others."""


@dataclass(frozen=True, slots=True)
class Decided:
    """A run and who is told of it, not stored yet. `matched` name destinations with a rule for its outcome."""

    run: Run
    account: Account
    steps: Sequence[StepFacts]
    matched: Sequence[Decision]
    destinations: Mapping[int, Destination]

    @property
    def told(self) -> list[Decision]:
        return [decision for decision in self.matched if decision.send]


def decide_run(run: Run, *, now: datetime, account: Account) -> None:
    """Decides about a stored run, once and for all; `run.decided_at` guards against a second time. Runs inside the caller's transaction."""
    if run.decided_at is not None:
        return
    decided = weigh(run, stored_steps(run), rules_of(run.job), now=now, account=account)
    run.save(update_fields=["decided_at", "settle_at", "not_told"])
    store_decided([decided], now=now)


def weigh(run: Run, steps: Sequence[StepFacts], rules: Sequence[Rule], *, now: datetime, account: Account) -> Decided:
    """Decides. Asks the database nothing, and stores nothing: the run is marked as decided and is the caller's to save."""
    destinations = {rule.destination_id: rule.destination for rule in rules}
    outcome = Outcome(run.outcome)
    warned = outcome is Outcome.FAILED and any(step.report.counts.get("warned") for step in steps)
    facts = [DestinationFact(destination.pk, silent_because(destination)) for destination in destinations.values()]
    decisions = decide(outcome, map(_rule_fact, rules), facts, also_warned=warned, paused=paused_because(run.job, now))
    run.decided_at, run.settle_at = now, None
    run.not_told = _not_told(decisions.not_told, destinations, account)
    return Decided(run, account, steps, decisions.matched, destinations)


def store_decided(decided: Sequence[Decided], *, now: datetime) -> None:
    """Receipts, messages and deliveries of any number of stored runs of one job: a statement for each of the three, and one for the history."""
    insert(Receipt, (_receipt(one.run, decision, now) for one in decided for decision in one.matched))
    told = [one for one in decided if one.told]
    if not told:
        return
    pasts = histories([one.run for one in told])
    messages = [message for one, past in zip(told, pasts, strict=True) for message in _messages(one, past, now)]
    ids = insert(Message, messages)
    known = {(message["run_id"], message["language"]): pk for message, pk in zip(messages, ids, strict=True)}
    insert(Delivery, (delivery for one in told for delivery in _deliveries(one, known, now)))
    transaction.on_commit(bell.ring)


def _rules_that_cover() -> QuerySet[Rule]:
    covers = Q(job=Given("job")) | Q(environment=Given("environment"))
    related = ("destination__member__user", "destination__link__workspace", "set_by__user")
    rules = Rule.objects.filter(covers, destination__state=State.ACTIVE, destination__account=Given("account"))
    return rules.select_related(*related).defer(*IN_DESTINATION)


_find_rules = Prepared(_rules_that_cover)


def rules_of(job: Job) -> list[Rule]:
    """Every rule of a live destination that covers the job, in one query."""
    return _find_rules(job=job.pk, environment=job.environment_id, account=job.account_id)


def _rule_fact(rule: Rule) -> RuleFact:
    scope = Scope.JOB if rule.job_id else Scope.ENVIRONMENT
    set_by = rule.set_by.user.name or rule.set_by.user.email if rule.set_by else ""
    return RuleFact(rule.pk, rule.destination_id, scope, Outcome(rule.outcome), set_by)


def silent_because(destination: Destination) -> Because | None:
    """Why nothing may go there now, if so. `hearing.able` is the same as a condition of the database."""
    member = destination.member
    if member is not None and not (member.is_active and member.user.is_active):
        return Because("member_inactive")
    link = destination.link
    if over := link and (link.ended_because or link.workspace.broken_because):
        return Because.from_json(over)
    if destination.kind == SLACK and link is None:
        return Because("slack_waiting")
    if destination.disabled_because:
        return Because("destination_disabled", {"last": destination.disabled_because})
    return Because("not_confirmed") if awaits_confirmation(destination) else None


def _not_told(decisions: Sequence[Decision], destinations: Mapping[int, Destination], account: Account) -> dict[str, Any]:
    """A snapshot, since rules change: `{total, shown: [{destination, address, because}, …]}`."""
    shown = [
        {
            "destination": decision.destination_id,
            "address": address_of(destinations[decision.destination_id]),
            "because": decision.because.to_json(),
        }
        for decision in decisions[:SHOWN_NOT_TOLD]
    ]
    return {"total": len(decisions), "shown": shown} if decisions else {}


def address_of(destination: Destination) -> str:
    """As people know it. Two workspaces may have Slack channels of one name."""
    if destination.member:
        return destination.member.user.email
    return f"{destination.address} · {destination.link.workspace.name}" if destination.link else destination.address


def language_of(destination: Destination, account: Account) -> str:
    return destination.language or (destination.member.user.language if destination.member else account.language)


def lane_of(destination: Destination) -> str:
    """One for each way out: a channel, or of a channel that is linked, the workspace."""
    return f"{destination.kind}:{destination.link.workspace_id}" if destination.link else destination.kind


def _receipt(run: Run, decision: Decision, now: datetime) -> new_rows.Receipt:
    return new_rows.Receipt(
        run_id=run.pk,
        destination_id=decision.destination_id,
        rule_id=decision.rule_id,
        is_told=decision.send,
        because=decision.because.to_json(),
        at=now,
    )


def _messages(decided: Decided, past: Sequence[Past], now: datetime) -> Iterator[new_rows.Message]:
    """One for each language."""
    run, account = decided.run, decided.account
    facts = _facts(run, account, decided.steps, past)
    languages = {language_of(decided.destinations[decision.destination_id], account) for decision in decided.told}
    for language in sorted(languages):
        yield {"run_id": run.pk, "language": language, "body": compose_run(facts, language).to_json(), "created_at": now}


def _deliveries(decided: Decided, messages: Mapping[tuple[int, str], int], now: datetime) -> Iterator[new_rows.Delivery]:
    """`messages`: their ids, by run and language."""
    for decision in decided.told:
        destination = decided.destinations[decision.destination_id]
        yield new_rows.Delivery(
            account_id=decided.run.account_id,
            run_id=decided.run.pk,
            destination_id=destination.pk,
            message_id=messages[decided.run.pk, language_of(destination, decided.account)],
            lane=lane_of(destination),
            because=decision.because.to_json(),
            due_at=now,
            created_at=now,
        )


def run_facts(run: Run, account: Account, steps: Sequence[StepFacts]) -> RunFacts:
    """Everything a message says about a run; one query, for its history."""
    [past] = histories([run])
    return _facts(run, account, steps, past)


def _facts(run: Run, account: Account, steps: Sequence[StepFacts], past: Sequence[Past]) -> RunFacts:
    environment = run.job.environment
    usual, spread = usual_seconds(past[:-1])
    since, row = trouble(past)
    return RunFacts(
        account=account.name,
        account_id=str(account.pk),
        project=environment.project.name,
        environment=environment.name,
        job=run.job.name,
        outcome=Outcome(run.outcome),
        because=Because.from_json(run.because),
        started_at=run.started_at,
        finished_at=run.finished_at,
        steps=tuple(steps),
        trigger=Trigger(**run.trigger),
        git=Git(run.git_branch, run.git_sha),
        host_tool=run.host_tool,
        usual_seconds=usual,
        usual_spread_seconds=spread,
        history=tuple((one.outcome, one.seconds) for one in past),
        trouble_since=since,
        trouble_runs=row,
        has_log_end=bool(run.log_end),
        run_id=str(run.pk),
    )
