"""Short words for outcomes, kinds of nodes and tools."""

from runbell.core.artifacts import short_name
from runbell.core.runs import NodeReport, NodeStatus, Outcome
from runbell.messages.message import Tone
from runbell.messages.words import Words

TONES = {
    Outcome.SUCCEEDED: Tone.SUCCEEDED,
    Outcome.WARNED: Tone.WARNED,
    Outcome.FAILED: Tone.FAILED,
    Outcome.CANCELLED: Tone.CANCELLED,
}


def headline(outcome: Outcome, words: Words) -> str:
    """The first word of a message."""
    return {
        Outcome.SUCCEEDED: words.say("SUCCEEDED"),
        Outcome.WARNED: words.say("WARNED"),
        Outcome.FAILED: words.say("FAILED"),
        Outcome.CANCELLED: words.say("CANCELED"),
    }[outcome]


def ended(outcome: Outcome, words: Words) -> str:
    """How a run or a step ended."""
    return {
        Outcome.SUCCEEDED: words.say("Succeeded"),
        Outcome.WARNED: words.say("Warned"),
        Outcome.FAILED: words.say("Failed"),
        Outcome.CANCELLED: words.say("Canceled"),
    }[outcome]


def chosen(outcome: Outcome, words: Words) -> str:
    """What a rule listens for: the column heads of the settings."""
    return {
        Outcome.SUCCEEDED: words.say("Succeeds"),
        Outcome.WARNED: words.say("Warns"),
        Outcome.FAILED: words.say("Fails"),
        Outcome.CANCELLED: words.say("Is canceled"),
    }[outcome]


def node_ended(status: NodeStatus, words: Words) -> str:
    return words.say_of("node", "Warned") if status is NodeStatus.WARN else words.say_of("node", "Failed")


def kind_of(node: NodeReport) -> str:
    """dbt's word for what a node is; its id begins with it."""
    return node.resource_type or node.unique_id.partition(".")[0]


def name_of(node: NodeReport) -> str:
    """The name people know."""
    return node.name or short_name(node.unique_id)


def kind_word(kind: str, words: Words) -> str:
    """dbt's word where this language has none of its own."""
    return {
        "model": words.say("model"),
        "test": words.say("test"),
        "unit_test": words.say("unit test"),
        "source": words.say("source"),
        "seed": words.say("seed"),
        "snapshot": words.say("snapshot"),
        "operation": words.say("hook"),
    }.get(kind, kind.replace("_", " "))


def kind_count(kind: str, n: int, words: Words) -> str:
    match kind:
        case "model":
            return words.count("{n} model", "{n} models", n)
        case "test":
            return words.count("{n} test", "{n} tests", n)
        case "unit_test":
            return words.count("{n} unit test", "{n} unit tests", n)
        case "source":
            return words.count("{n} source", "{n} sources", n)
        case "seed":
            return words.count("{n} seed", "{n} seeds", n)
        case "snapshot":
            return words.count("{n} snapshot", "{n} snapshots", n)
        case "operation":
            return words.count("{n} hook", "{n} hooks", n)
        case _:
            return words.count("{n} node", "{n} nodes", n)


TOOLS = {
    "airflow": "Airflow",
    "prefect": "Prefect",
    "dagster": "Dagster",
    "github-actions": "GitHub Actions",
    "gitlab-ci": "GitLab CI",
    "azure-pipelines": "Azure Pipelines",
    "jenkins": "Jenkins",
    "circleci": "CircleCI",
    "bitbucket-pipelines": "Bitbucket Pipelines",
    "kubernetes": "Kubernetes",
    "dbt": "dbt platform",
}


def category_word(category: str, words: Words) -> str:
    """The dbt Admin API's words for what started a run."""
    return {
        "scheduled": words.say("scheduled"),
        "ui": words.say("by hand"),
        "api": words.say("by API"),
        "job completion": words.say("after another job"),
        "rerun": words.say("again"),
    }.get(category, "")
