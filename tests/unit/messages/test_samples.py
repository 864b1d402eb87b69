"""Every recorded dbt command becomes a message one would be glad to get."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from runbell.core.artifacts import Artifact, add_artifacts, read_artifact
from runbell.core.outcomes import because_of, step_outcome
from runbell.core.runs import JobRef, Outcome, RunReport, RunState, StepReport
from runbell.messages.compose import compose_run
from runbell.messages.example_runs import FAILED_RUN
from runbell.messages.facts import RunFacts, StepFacts
from runbell.messages.message import Reader
from runbell.messages.wording import plain

DATA = Path(__file__).parents[2] / "data" / "dbt"
EXPECTED = json.loads((DATA / "expected.json").read_text())
FIRST_WORDS = {"succeeded": "SUCCEEDED", "warned": "WARNED", "failed": "FAILED", "cancelled": "CANCELED"}


def facts_of(name: str) -> RunFacts:
    expected = EXPECTED[name]
    found = [
        read_artifact(path.read_bytes())
        for path in sorted((DATA / name).rglob("*.json"))
        if path.name in ("run_results.json", "sources.json")
    ]
    signal = {"sigint": 2, "sigint_during_parse": 2, "sigint_jsonlog": 2, "fusion-sigint": 2}.get(name)
    bare = StepReport(index=1, command=expected["command"], exit_code=expected["exit_code"], signal=signal)
    artifacts = [] if name.startswith("stale") else [artifact for artifact in found if isinstance(artifact, Artifact)]
    step = add_artifacts(bare, artifacts)
    report = RunReport(key="k", state=RunState.FINISHED, job=JobRef("shop", "prod", "j"), started_at=FAILED_RUN.started_at, steps=(step,))
    outcome = step_outcome(step)
    return replace(FAILED_RUN, outcome=outcome, because=because_of(report), steps=(StepFacts(step, outcome),), has_log_end=True)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_sample_is_told(name: str) -> None:
    facts = facts_of(name)
    message = compose_run(facts, "en")
    said = plain(message.summary, Reader("en", "UTC"))
    assert message.subject.startswith(FIRST_WORDS[facts.outcome])
    assert facts.outcome == EXPECTED[name]["outcome"]
    assert said[0].isupper() or said[0].isdigit()
    assert said.endswith(".")
    assert "_" not in said
    assert bool(message.troubles) == bool(facts.nodes and facts.outcome in (Outcome.FAILED, Outcome.WARNED))
    assert plain(compose_run(facts, "ru").summary, Reader("ru", "UTC")).endswith(".")


def test_an_error_text_of_each_engine_is_there() -> None:
    for name, line in {
        "mixed_all": "Runtime Error in model broken_model",
        "fusion-mixed_all": "Database Error in model broken_model",
    }.items():
        message = compose_run(facts_of(name), "en")
        assert message.troubles[0].name == "broken_model"
        assert str(message.troubles[0].text[0]).startswith(line)
        assert plain(message.preheader, Reader("en", "UTC")).startswith(
            'broken_model: Binder Error: Referenced column "no_such_column" not found'
        )
