"""The one sentence under the title, and how long the run took."""

from collections import Counter
from collections.abc import Mapping, Sequence

from runbell.core.runs import NodeReport, NodeStatus, Outcome
from runbell.messages.facts import RunFacts, is_rewritten, is_stale
from runbell.messages.labels import kind_count, kind_of
from runbell.messages.message import Line, Span, Strong
from runbell.messages.reasons import reason
from runbell.messages.words import Words

TELLING = frozenset({"killed", "no_end_reported"})
"""Reasons that say more than any count of nodes."""


def summary(facts: RunFacts, words: Words) -> Line:
    if facts.outcome is Outcome.CANCELLED:
        return _canceled(facts, words)
    duration = took(facts, words)
    return (_sentence(_what_happened(facts, words)), *(" ", *words.line("It took {duration}.", duration=duration)) * bool(duration))


def took(facts: RunFacts, words: Words) -> Line:
    """“12 min 4 s, 3 min longer than usual”; empty when nobody knows."""
    if facts.seconds is None:
        return ()
    lasted = Span(facts.seconds)
    if facts.usual_seconds is None or facts.usual_spread_seconds is None:
        return (lasted,)
    beyond = facts.seconds - facts.usual_seconds
    if abs(beyond) <= max(facts.usual_spread_seconds, 1.0):
        return words.line("{span}, as usual", span=lasted)
    difference = Span(abs(beyond), is_rough=True)
    if beyond > 0:
        longer = words.line("{span} longer than usual", span=difference)
        return words.line("{span}, {longer}", span=lasted, longer=Strong(_flat(longer)))
    if facts.outcome is Outcome.FAILED:  # what broke off early is short; that is no news
        return (lasted,)
    return words.line("{span}, {difference} shorter than usual", span=lasted, difference=difference)


def _flat(line: Line) -> tuple[str | Span, ...]:
    return tuple(piece for piece in line if isinstance(piece, str | Span))


def _canceled(facts: RunFacts, words: Words) -> Line:
    who = str(facts.because.params.get("by") or "")
    line: Line = (words.say("Stopped by {who}.", who=who) if who else words.say("Stopped."),)
    if facts.seconds is not None:
        lasted = Span(facts.seconds)
        line = (
            words.line("Stopped by {who} after {span}.", who=who, span=lasted) if who else words.line("Stopped after {span}.", span=lasted)
        )
    done, left = sum(_finished(step.report.counts) for step in facts.steps), facts.total("skipped")
    if done and left:
        finished = words.count("{n} node had finished", "{n} nodes had finished", done)
        line += (" ", _sentence(_joined([finished, words.count("{n} never started", "{n} never started", left)], words)))
    elif done:
        line += (" ", _sentence(words.count("{n} node had finished", "{n} nodes had finished", done)))
    if facts.usual_seconds is not None:
        line += (" ", *words.line("It usually takes {span}.", span=Span(facts.usual_seconds)))
    return line


def _finished(counts: Mapping[str, int]) -> int:
    names = ("passed", "warned", "no_op") if is_rewritten(counts) else ("passed", "warned", "failed", "no_op")
    return sum(counts.get(name, 0) for name in names)


def _what_happened(facts: RunFacts, words: Words) -> str:
    clauses = _troubles(facts, words) if facts.outcome is not Outcome.SUCCEEDED else _well(facts, words)
    if clauses and facts.because.code not in TELLING:
        return _joined(clauses, words)
    said = _without_nodes(facts, words)
    if clauses:
        said += f" {_sentence(_joined(clauses, words))}"
    elif facts.has_log_end and facts.outcome is Outcome.FAILED:
        said += " " + words.say("The end of its log is on the run page.")
    return said


def _without_nodes(facts: RunFacts, words: Words) -> str:
    code = facts.because.params.get("exit_code")
    if facts.because.code == "exit_code" and not facts.nodes and not facts.total("passed"):
        return words.say("It ended with exit code {code} and left no results.", code=str(code))
    if facts.because.code == "no_trouble":
        return words.count("Its command ended with exit code 0.", "All {n} commands ended with exit code 0.", len(facts.steps))
    return reason(facts.because, words.language)


def _troubles(facts: RunFacts, words: Words) -> list[str]:
    failed = [node for node in facts.nodes if node.status is not NodeStatus.WARN and not is_stale(node)]
    warned = [node for node in facts.nodes if node.status is NodeStatus.WARN and not is_stale(node)]
    stale = [node for node in facts.nodes if is_stale(node)]
    stale_failed = sum(node.status is not NodeStatus.WARN for node in stale)
    clauses = []
    if nodes := _kinds(failed, facts.total("failed") - stale_failed, words):
        clauses.append(words.say("{nodes} failed", nodes=nodes))
    if stale:
        clauses += _stale(len(stale), facts.total("sources"), is_alone=not failed and not warned, words=words)
    if nodes := _kinds(warned, facts.total("warned") - (len(stale) - stale_failed), words):
        clauses.append(words.say("{nodes} warned", nodes=nodes))
    if clauses and (skipped := facts.total("skipped")):
        clauses.append(words.count("{n} node was skipped", "{n} nodes were skipped", skipped))
    return clauses


def _kinds(nodes: Sequence[NodeReport], counted: int, words: Words) -> str:
    """“1 model and 1 test”. When more are counted than were listed, their kinds are not known."""
    if counted > len(nodes):
        return kind_count("node", counted, words)
    return words.listed([kind_count(kind, n, words) for kind, n in Counter(map(kind_of, nodes)).items()])


def _stale(stale: int, checked: int, *, is_alone: bool, words: Words) -> list[str]:
    if checked <= stale:
        return [words.count("{n} source is stale", "{n} sources are stale", stale)]
    said = words.count("{n} of {checked} sources is stale", "{n} of {checked} sources are stale", stale, checked=words.number(checked))
    return [said, words.count("the other is fresh", "the rest are fresh", checked - stale)] if is_alone else [said]


def _well(facts: RunFacts, words: Words) -> list[str]:
    sources, skipped = facts.total("sources"), facts.total("skipped")
    nodes = facts.total("passed") - sources
    clauses = []
    if nodes > 0 and skipped:
        clauses.append(words.count("{n} node passed", "{n} nodes passed", nodes))
    elif nodes > 0:
        clauses.append(words.count("the only node passed", "all {n} nodes passed", nodes))
    if sources:
        clauses.append(words.count("the only source is fresh", "all {n} sources are fresh", sources))
    if clauses and skipped:
        clauses.append(words.count("{n} node was skipped", "{n} nodes were skipped", skipped))
    return clauses


def _joined(clauses: Sequence[str], words: Words) -> str:
    return words.say_of("between clauses of a sentence", ", ").join(clauses)


def _sentence(said: str) -> str:
    return said[:1].upper() + said[1:] + ("" if said.endswith(".") else ".")
