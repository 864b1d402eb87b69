"""A believable set of facts for each message that is not a run's, and every message by its name."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

from runbell.core.because import Because
from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from runbell.messages.compose import compose_confirmation, compose_invitation, compose_notice, compose_run, compose_test
from runbell.messages.example_runs import CANCELED_RUN, FAILED_RUN, KILLED_RUN, LOST_RUN, NIGHT, NO_RESULTS_RUN, SUCCEEDED_RUN, WARNED_RUN
from runbell.messages.facts import (
    ConfirmationFacts,
    DigestFacts,
    DigestRun,
    InvitationFacts,
    Notice,
    NoticeFacts,
    TestFacts,
)
from runbell.messages.message import Message

TEST = TestFacts(account="Acme Retail", account_id="1", asked_by="Ada Lindqvist", asked_at=NIGHT)

CONFIRMATION = ConfirmationFacts(
    account="Acme Retail", account_id="1", asked_by="Ada Lindqvist", address="data-oncall@partner.example", asked_at=NIGHT
)

DIED = NoticeFacts(
    notice=Notice.DELIVERY_DIED,
    account="Acme Retail",
    account_id="1",
    run_id="4711",
    address="bob@acme.example",
    at=NIGHT + timedelta(hours=8),
    because=Because("tries_used_up", {"last": {"code": "smtp_later", "params": {"code": 451, "enhanced": "4.7.1", "text": "greylisted"}}}),
    job="nightly build",
    environment="Production",
    tries=9,
)

REFUSED = replace(
    DIED,
    notice=Notice.ADDRESS_REFUSED,
    because=Because("smtp_address_unknown", {"code": 550, "enhanced": "5.1.1", "text": "no such user"}),
    tries=1,
)

UNSUBSCRIBED = NoticeFacts(
    notice=Notice.EXTERNAL_UNSUBSCRIBED,
    account="Acme Retail",
    account_id="1",
    address="data-oncall@acme.pagerduty.example",
    at=NIGHT + timedelta(hours=8),
)

OUTAGE = NoticeFacts(
    notice=Notice.OUTAGE,
    account="Acme Retail",
    account_id="1",
    address="",
    at=NIGHT + timedelta(hours=24),
    because=Because("too_old", {"last": {"code": "smtp_unreachable", "params": {"text": "Connection refused"}}}),
)

DBT_STOPPED = NoticeFacts(
    notice=Notice.DBT_STOPPED,
    account="Acme Retail",
    account_id="1",
    address="dbt platform 12345",
    at=NIGHT + timedelta(hours=8),
    because=Because("dbt_token"),
)

INVITATION = InvitationFacts(
    account="Acme Retail",
    account_id="1",
    invited_by="Ada Lindqvist",
    role=Role.DEVELOPER,
    expires_at=NIGHT + timedelta(days=7),
)

DIGEST = DigestFacts(
    account="Acme Retail",
    account_id="1",
    runs=tuple(
        DigestRun(outcome=outcome, job=job, environment=environment, run_id=str(number))
        for number, (outcome, job, environment) in enumerate(
            (
                (Outcome.SUCCEEDED, "hourly orders", "Production"),
                (Outcome.FAILED, "nightly build", "Production"),
                (Outcome.WARNED, "finance <close> & *audit*", "Production"),
                (Outcome.SUCCEEDED, "hourly orders", "Staging"),
                (Outcome.CANCELLED, "backfill", "Staging"),
                (Outcome.FAILED, "marketing marts", "Production"),
            ),
            start=4201,
        )
    ),
)

EXAMPLES: Mapping[str, Callable[[str], Message]] = {
    "failed": lambda language: compose_run(FAILED_RUN, language),
    "warned": lambda language: compose_run(WARNED_RUN, language),
    "succeeded": lambda language: compose_run(SUCCEEDED_RUN, language),
    "canceled": lambda language: compose_run(CANCELED_RUN, language),
    "killed": lambda language: compose_run(KILLED_RUN, language),
    "lost": lambda language: compose_run(LOST_RUN, language),
    "no-results": lambda language: compose_run(NO_RESULTS_RUN, language),
    "test": lambda language: compose_test(TEST, language),
    "confirmation": lambda language: compose_confirmation(CONFIRMATION, language),
    "delivery-died": lambda language: compose_notice(DIED, language),
    "address-refused": lambda language: compose_notice(REFUSED, language),
    "invitation": lambda language: compose_invitation(INVITATION, language),
    "unsubscribed": lambda language: compose_notice(UNSUBSCRIBED, language),
    "outage": lambda language: compose_notice(OUTAGE, language),
    "dbt-stopped": lambda language: compose_notice(DBT_STOPPED, language),
}
"""Each message by its name, in the language asked for."""
