"""What a message to an address or a Slack channel would look like, made exactly as the real one; and a test that takes the real way."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from html import unescape
from json import loads
from typing import Any

from django.conf import settings
from django.db import transaction

from runbell.channels.registry import channel
from runbell.core.because import Because
from runbell.core.permissions import Action
from runbell.core.runs import Outcome
from runbell.messages.compose import compose_run, compose_test
from runbell.messages.example_runs import RUNS
from runbell.messages.facts import RunFacts, TestFacts
from runbell.messages.message import Links, Message
from runbell.server.db.models import Account, Destination, Environment, Job, Member, Rule, Run, State
from runbell.server.db.models.deliveries import Purpose
from runbell.server.db.outbox import Claimed
from runbell.server.services import limits
from runbell.server.services.access import Actor, NotThere, environment_for, job_for
from runbell.server.services.addresses import EMAIL, EmailTarget
from runbell.server.services.addresses import target_for as email_target_for
from runbell.server.services.decisions import language_of, run_facts
from runbell.server.services.letters import addresses_of, queue
from runbell.server.services.parcels import reader_of, recipient_of, transport
from runbell.server.services.slack_forgetting import WEBHOOK
from runbell.server.services.slack_pages import AnyTarget
from runbell.server.services.slack_pages import target_for as slack_target_for
from runbell.server.services.slack_targets import SLACK
from runbell.server.services.steps import stored_steps

TESTS_A_MINUTE = 5  # of one member
JOBS = 200  # to choose from; the page of a job leads here too


@dataclass(frozen=True, slots=True)
class Sample:
    """What a message is made from: the job's last run of this outcome, or an example (`run` None) that bears the job's name."""

    job: Job | None
    outcome: Outcome
    run: Run | None
    facts: RunFacts


@dataclass(frozen=True, slots=True)
class Look:
    """A message as it would go out: a mail with two twins, or what is posted to Slack, whose text is what a phone shows."""

    subject: str
    text: str
    html: str = ""
    post: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """`jobs` are those to choose from, by id; `run_id` is None for an example. `key` names the address as pages do."""

    key: str
    address: str
    is_own: bool
    may_send: bool
    job: Job | None
    jobs: tuple[tuple[int, str], ...]
    outcome: Outcome
    run_id: int | None
    run_at: datetime | None
    language: str
    zone: str
    look: Look


def get_preview(actor: Actor, key: str, *, job_id: int | None, environment_id: int | None, outcome: Outcome, now: datetime) -> Preview:
    """Without a job, the one that ran last, in the environment if there is one. Raises `NotThere`, and `NotAllowed` for others' addresses."""
    actor.require(Action.SEE_JOBS)
    target = _target(actor, key)
    destination, account = _destination(target, actor.member.account), actor.member.account
    sample = _sample(actor, _job(actor, job_id, environment_id), outcome)
    raw, reader_language, zone = _rendered(destination, account, sample, now)
    return Preview(
        key=target.key,
        address=target.address,
        is_own=_is_own(target, actor),
        may_send=actor.may(_sending(target, actor)) and _is_there(target),
        job=sample.job,
        jobs=_jobs(sample.job),
        outcome=outcome,
        run_id=sample.run.pk if sample.run else None,
        run_at=sample.run.started_at if sample.run else None,
        language=reader_language,
        zone=zone,
        look=_READ[destination.kind](raw),
    )


def send_test(actor: Actor, key: str, *, job_id: int | None, outcome: Outcome | None, now: datetime) -> int:
    """Queues a test and returns its delivery's id. With an outcome it is the mail that the preview shows, else a bare “messages arrive”.

    Raises `NotThere`, `NotAllowed`, `limits.TooMany`.
    """
    target = _target(actor, key)
    actor.require(_sending(target, actor))
    if not _is_there(target):
        raise NotThere
    limits.take(f"test:{actor.member.pk}", TESTS_A_MINUTE, now=now)
    account = actor.member.account
    by = actor.member.user.name or actor.member.user.email
    with transaction.atomic():
        destination = target.destination or addresses_of(_members(target), now=now)[0]
        sample = _sample(actor, _job(actor, job_id, None), outcome) if outcome else None
        run = sample.run if sample else None
        because = Because("test_asked", {"by": by})
        (delivery,) = queue(
            account, [destination], _test(sample, account, by, now), purpose=Purpose.TEST, because=because, now=now, run=run
        )
    return delivery.pk


def _test(sample: Sample | None, account: Account, by: str, now: datetime) -> Callable[[str], Message]:
    if sample:
        return lambda language: compose_run(sample.facts, language)
    facts = TestFacts(account=account.name, account_id=str(account.pk), asked_by=by, asked_at=now)
    return lambda language: compose_test(facts, language)


def _target(actor: Actor, key: str) -> EmailTarget | AnyTarget:
    """By its key, as the pages of e-mail and Slack name it."""
    return slack_target_for(actor, key) if ":" in key or key.startswith("w") else email_target_for(actor, key)


def _is_own(target: EmailTarget | AnyTarget, actor: Actor) -> bool:
    return isinstance(target, EmailTarget) and target.is_own(actor)


def _is_there(target: EmailTarget | AnyTarget) -> bool:
    """A member's destination is made by the first test; a Slack channel's by who configures it."""
    return isinstance(target, EmailTarget) or target.destination is not None


def _members(target: EmailTarget | AnyTarget) -> list[Member]:
    return [target.member] if isinstance(target, EmailTarget) and target.member else []


def _sending(target: EmailTarget | AnyTarget, actor: Actor) -> Action:
    return Action.SET_OWN_NOTIFICATIONS if _is_own(target, actor) else Action.SET_ANY_NOTIFICATIONS


def _destination(target: EmailTarget | AnyTarget, account: Account) -> Destination:
    """One that is not stored stands in for one that is not there yet: looking changes nothing."""
    if target.destination:
        return target.destination
    if not isinstance(target, EmailTarget):
        return Destination(account=account, kind=SLACK, address=target.address, public_id="preview")
    found = Destination.objects.select_related("member__user").filter(account=account, kind=EMAIL, member=target.member, state=State.ACTIVE)
    return found.first() or Destination(account=account, kind=EMAIL, member=target.member, public_id="preview")


def _job(actor: Actor, job_id: int | None, environment_id: int | None) -> Job | None:
    if job_id is not None:
        return job_for(actor, job_id, Action.SEE_JOBS)
    jobs = Job.objects.filter(account=actor.account_id, state=State.ACTIVE, environment__state=State.ACTIVE)
    if environment_id is not None:
        jobs = jobs.filter(environment=environment_for(actor, environment_id, Action.SEE_JOBS))
    last = Run.objects.filter(job__in=jobs).order_by("-pk").values_list("job", flat=True).first()
    related = jobs.select_related("environment__project")
    return (related.filter(pk=last) if last else related.order_by("name")).first()


def _jobs(chosen: Job | None) -> tuple[tuple[int, str], ...]:
    if chosen is None:
        return ()
    environment: Environment = chosen.environment
    jobs = Job.objects.filter(environment=environment, state=State.ACTIVE, hidden_at=None).order_by("name")[:JOBS]
    pairs = {chosen.pk: chosen.name, **dict(jobs.values_list("pk", "name"))}
    return tuple(sorted(pairs.items(), key=lambda pair: pair[1]))


def _sample(actor: Actor, job: Job | None, outcome: Outcome) -> Sample:
    account, example = actor.member.account, RUNS[outcome]
    facts = replace(example, account=account.name, account_id=str(account.pk), run_id="")
    if job is None:
        return Sample(None, outcome, None, facts)
    runs = Run.objects.filter(job=job, outcome=outcome, merged_into=None).select_related("job__environment__project")
    run = runs.order_by("-started_at", "-pk").first()
    if run:
        return Sample(job, outcome, run, run_facts(run, account, stored_steps(run)))
    environment = job.environment
    return Sample(job, outcome, None, replace(facts, job=job.name, environment=environment.name, project=environment.project.name))


def _rendered(destination: Destination, account: Account, sample: Sample, now: datetime) -> tuple[bytes, str, str]:
    """The bytes as they would go out, their language and zone. Its unsubscribe link is void: a preview is not for unsubscribing somebody else."""
    language, base = language_of(destination, account), settings.RUNBELL_PUBLIC_URL
    claimed = Claimed(
        *(0, "", destination.kind, 0, 0, Purpose.RUN, account.pk, destination.pk, None),
        run_id=sample.run.pk if sample.run else None,
        job_id=sample.job.pk if sample.job else None,
        finished_at=None,  # or it would call itself late
        created_at=now,
        because=_because(destination, sample),
    )
    reader, recipient = reader_of(claimed, destination, language), recipient_of(claimed, destination, now)
    if sample.run is None and sample.job:
        reader = replace(reader, links=Links(run=f"{base}/a/{account.pk}/jobs/{sample.job.pk}"))
    recipient = replace(recipient, unsubscribe_url=f"{base}/u/preview/{sample.job.pk if sample.job else 0}/preview")
    way = channel(destination.kind)
    raw = way.address(way.render(compose_run(sample.facts, language), reader, transport()), recipient, "preview.0")
    return raw, language, reader.zone


def _read_mail(raw: bytes) -> Look:
    mail: EmailMessage = message_from_bytes(raw, policy=policy.default)
    return Look(str(mail["Subject"]), _part(mail, "plain"), html=_part(mail, "html"))


def _read_post(raw: bytes) -> Look:
    post = loads(raw)
    return Look(post["blocks"][0]["text"]["text"], unescape(post["text"]), post=post)


_READ: Mapping[str, Callable[[bytes], Look]] = {EMAIL: _read_mail, SLACK: _read_post, WEBHOOK: _read_post}


def _because(destination: Destination, sample: Sample) -> Because:
    """The rule that this mail would come from; one for the job, as it would be if there is none yet."""
    chosen = {"outcome": sample.outcome.value}
    if sample.job is None or destination.pk is None:
        return Because("chose_job", chosen)
    rules = Rule.objects.filter(destination=destination, outcome=sample.outcome)
    has_own, has_all = (
        rules.filter(job=sample.job).exists(),
        rules.filter(environment=sample.job.environment_id).exists(),
    )
    return Because("chose_environment" if has_all and not has_own else "chose_job", chosen)


def _part(mail: EmailMessage, kind: str) -> str:
    body = mail.get_body((kind,))
    return str(body.get_content()) if body else ""
