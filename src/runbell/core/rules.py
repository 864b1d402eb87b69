"""Who is told about a run, and why: pure decisions over rules that somebody chose."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from runbell.core.because import Because
from runbell.core.runs import Outcome


class Scope(StrEnum):
    JOB = "job"
    ENVIRONMENT = "environment"


@dataclass(frozen=True, slots=True)
class RuleFact:
    """One rule that covers the run's job: a destination chose an outcome, for the job or for its whole environment."""

    rule_id: int
    destination_id: int
    scope: Scope
    outcome: Outcome
    set_by: str = ""


@dataclass(frozen=True, slots=True)
class DestinationFact:
    """What a decision needs to know of a destination. `silent`: why nothing may go there now, if so."""

    destination_id: int
    silent: Because | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Send or not, for one destination. `rule_id` is the rule that matched; of several the job's own comes first."""

    destination_id: int
    send: bool
    because: Because
    rule_id: int | None = None


@dataclass(frozen=True, slots=True)
class Decisions:
    """`matched`: destinations with a rule for this outcome. `not_told`: those that cover the job and chose other outcomes."""

    matched: tuple[Decision, ...]
    not_told: tuple[Decision, ...]


def decide(
    outcome: Outcome,
    rules: Iterable[RuleFact],
    destinations: Sequence[DestinationFact],
    *,
    also_warned: bool = False,
    paused: Because | None = None,
) -> Decisions:
    """One decision per destination that has any rule for the job.

    Rules only add: a job's own rule and the environment's rule never cancel each other. A failed run with warnings is Failed;
    a destination that chose Warns only is told so in its reason. `paused`: the job or its environment is, so nobody is told; what is
    silent for a reason of its own keeps that reason, which outlasts the pause.
    """
    silent = {fact.destination_id: fact.silent for fact in destinations}
    by_destination: dict[int, list[RuleFact]] = {}
    for rule in sorted(rules, key=lambda rule: (rule.scope is not Scope.JOB, rule.rule_id)):
        by_destination.setdefault(rule.destination_id, []).append(rule)
    matched, not_told = [], []
    for destination_id, chosen in sorted(by_destination.items()):
        match = next((rule for rule in chosen if rule.outcome is outcome), None)
        if match is None:
            not_told.append(Decision(destination_id, send=False, because=_chose_others(chosen, also_warned)))
        elif reason := silent.get(destination_id) or paused:
            matched.append(Decision(destination_id, send=False, because=reason, rule_id=match.rule_id))
        else:
            because = Because("chose_" + match.scope, {"outcome": outcome.value, "set_by": match.set_by})
            matched.append(Decision(destination_id, send=True, because=because, rule_id=match.rule_id))
    return Decisions(tuple(matched), tuple(not_told))


def _chose_others(chosen: list[RuleFact], also_warned: bool) -> Because:
    words = sorted({rule.outcome for rule in chosen}, key=list(Outcome).index)
    if also_warned and words == [Outcome.WARNED]:
        return Because("also_warned")
    return Because("chose_others", {"outcomes": [word.value for word in words]})
