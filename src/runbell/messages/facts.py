"""What a message is composed from: whoever has the facts fills these in, and compose words them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from runbell.core.because import Because
from runbell.core.permissions import Role
from runbell.core.runs import Git, NodeReport, Outcome, StepReport, Trigger
from runbell.messages.labels import kind_of

NO_TRIGGER, NO_GIT = Trigger(), Git()
PastRun = tuple[Outcome, float | None]
"""Outcome and seconds it took; None when its end is not known."""


@dataclass(frozen=True, slots=True)
class StepFacts:
    report: StepReport
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """A decided run. `usual_seconds` is what the job usually takes, `usual_spread_seconds` how far from it is still as usual.

    `history` holds the last runs, at most 30, oldest first, with this one at its end. `trouble_since` and `trouble_runs` tell of
    an unbroken row of runs that ended like this one, when it failed or warned; this one counts.
    """

    account: str
    project: str
    environment: str
    job: str
    outcome: Outcome
    because: Because
    started_at: datetime
    finished_at: datetime | None = None
    steps: tuple[StepFacts, ...] = ()
    trigger: Trigger = NO_TRIGGER
    git: Git = NO_GIT
    host_tool: str = ""
    usual_seconds: float | None = None
    usual_spread_seconds: float | None = None
    history: tuple[PastRun, ...] = ()
    trouble_since: datetime | None = None
    trouble_runs: int = 0
    has_log_end: bool = False
    account_id: str = ""
    run_id: str = ""

    @property
    def is_lost(self) -> bool:
        """Nobody knows when it ended: `finished_at` is at most the time it was given up."""
        return self.because.code == "no_end_reported"

    @property
    def seconds(self) -> float | None:
        if self.finished_at is None or self.is_lost:
            return None
        return (self.finished_at - self.started_at).total_seconds()

    @property
    def nodes(self) -> tuple[NodeReport, ...]:
        return tuple(node for step in self.steps for node in step.report.nodes)

    def total(self, name: str) -> int:
        """One of `core.runs.COUNTS`, over all steps."""
        return sum(step.report.counts.get(name, 0) for step in self.steps)


def is_rewritten(counts: Mapping[str, int]) -> bool:
    """Whether a stopped step's failures mean nothing: Fusion then lists every node as an error, those that had passed too."""
    return bool(counts.get("failed")) and not (counts.get("passed") or counts.get("warned"))


def is_stale(node: NodeReport) -> bool:
    """Whether this is a source whose rows are too old; one that could not be asked has no age."""
    return kind_of(node) == "source" and node.age_seconds is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class TestFacts:
    """Somebody wants to see whether messages arrive."""

    account: str
    asked_by: str
    asked_at: datetime
    account_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmationFacts:
    """Somebody wants messages sent to `address`, whose holder is asked first."""

    account: str
    asked_by: str
    address: str
    asked_at: datetime
    account_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestRun:
    outcome: Outcome
    job: str
    environment: str
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestFacts:
    """Runs that are told together, oldest first; at least one."""

    account: str
    runs: tuple[DigestRun, ...]
    account_id: str = ""


class Notice(StrEnum):
    DELIVERY_DIED = "delivery_died"
    ADDRESS_REFUSED = "address_refused"
    EXTERNAL_UNSUBSCRIBED = "external_unsubscribed"
    CHANNEL_TAKEN_OVER = "channel_taken_over"
    OUTAGE = "outage"
    SLACK_STOPPED = "slack_stopped"
    DBT_STOPPED = "dbt_stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeFacts:
    """News for the admins about a destination: `address` is how it is described, empty when it is about all of them.

    `because` where there is a reason to tell. `job` and `environment` say which message died, or what was unsubscribed from;
    `tries` how often it was tried. `channels`: the Slack channels that are silent now, in the workspace that `address` names.
    """

    notice: Notice
    account: str
    address: str
    at: datetime
    because: Because | None = None
    job: str = ""
    environment: str = ""
    tries: int = 0
    channels: tuple[str, ...] = ()
    account_id: str = ""
    run_id: str = ""
    by: str = ""  # who took over


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationFacts:
    """`invited_by` is empty for the command line. `account_id` is for filters."""

    account: str
    invited_by: str
    role: Role
    expires_at: datetime
    account_id: str = ""
