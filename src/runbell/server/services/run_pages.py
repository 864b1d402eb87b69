"""The page of one run: what broke, who was told and why, who was not and why."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runbell.core.because import Because
from runbell.core.deliveries import PENDING, DeliveryState
from runbell.core.permissions import Action
from runbell.core.runs import NodeStatus, Outcome
from runbell.messages.compose import compose_run
from runbell.messages.message import Message
from runbell.server.db.models import Delivery, Node, Receipt, Run
from runbell.server.services.access import Actor, run_for
from runbell.server.services.artifacts import Artifact, artifacts_of
from runbell.server.services.decisions import IN_DESTINATION, address_of, run_facts
from runbell.server.services.delivery_pages import may_be_twice
from runbell.server.services.pages import RunLine
from runbell.server.services.steps import stored_steps


@dataclass(frozen=True, slots=True)
class BrokenNode:
    name: str
    kind: str
    path: str
    message: str
    is_warning: bool


@dataclass(frozen=True, slots=True)
class ReceiptLine:
    """`delivery_state` and `last` (what the last try ran into) for those who were told. `may_be_twice`: sent after a lost answer.

    Of what was told within a digest, `delivery_id` and `last` are the digest's, and so is the state until the digest has gone out.
    """

    address: str
    because: Because
    kind: str = "email"
    at: datetime | None = None
    delivery_id: int | None = None
    delivery_state: str = ""
    last: Because | None = None
    may_be_twice: bool = False

    @property
    def is_pending(self) -> bool:
        return self.delivery_state in PENDING

    @property
    def paused_until(self) -> datetime | None:
        """Set for those who were not told because of a pause."""
        return datetime.fromisoformat(self.because.params["until"]) if self.because.code == "paused" else None


@dataclass(frozen=True, slots=True)
class LateEnd:
    outcome: str
    because: Because
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class RunPage:
    """`message` is what was said of the run, in the reader's language; None while it runs."""

    id: int
    job_id: int
    job: str
    environment: str
    project: str
    run: RunLine
    because: Because | None
    message: Message | None
    nodes: tuple[BrokenNode, ...]
    told: tuple[ReceiptLine, ...]
    untold: tuple[ReceiptLine, ...]
    untold_total: int
    is_decided: bool
    log_end: str
    trigger_url: str
    keys: tuple[str, ...]
    token: str
    late_end: LateEnd | None
    artifacts: tuple[Artifact, ...]


def run_page(actor: Actor, run_id: int, *, language: str) -> RunPage:
    """A constant number of queries. A run that was merged away gives the page of the one it went into."""
    run = run_for(actor, run_id, Action.SEE_JOBS)
    told, suppressed = _receipts(run)
    not_told = [ReceiptLine(row["address"], Because.from_json(row["because"])) for row in run.not_told.get("shown", ())]
    return RunPage(
        id=run.pk,
        job_id=run.job_id,
        job=run.job.name,
        environment=run.job.environment.name,
        project=run.job.environment.project.name,
        run=RunLine(run.pk, run.outcome, run.started_at, run.finished_at),
        because=Because.from_json(run.because) if run.because else None,
        message=compose_run(run_facts(run, actor.member.account, stored_steps(run)), language) if run.outcome else None,
        nodes=tuple(_nodes(run)),
        told=tuple(told),
        untold=(*suppressed, *not_told),
        untold_total=len(suppressed) + run.not_told.get("total", 0),
        is_decided=run.decided_at is not None,
        log_end=run.log_end,
        trigger_url=_web_address(run.trigger.get("url", "")),
        keys=tuple(run.keys.order_by("pk").values_list("key", flat=True)),
        token=run.token.name if run.token else "",
        late_end=_late_end(run.late_end),
        artifacts=tuple(artifacts_of(run)),
    )


def _web_address(url: str) -> str:
    """Reporters send what they like; only this may become a link."""
    return url if url.startswith(("https://", "http://")) else ""


def _nodes(run: Run) -> Iterable[BrokenNode]:
    """Errors first, then warnings, each in the order reported."""
    nodes = Node.objects.filter(step__run=run).order_by("step__index", "pk")
    for node in sorted(nodes, key=lambda node: node.status == NodeStatus.WARN):
        kind = node.resource_type or node.unique_id.partition(".")[0]
        yield BrokenNode(node.name or node.unique_id, kind, node.path, node.message, node.status == NodeStatus.WARN)


def _receipts(run: Run) -> tuple[list[ReceiptLine], list[ReceiptLine]]:
    found = Delivery.objects.filter(run=run, purpose="run").select_related("folded_into").annotate(may_be_twice=may_be_twice())
    deliveries = {delivery.destination_id: delivery for delivery in found}
    receipts = (
        Receipt.objects.filter(run=run)
        .select_related("destination__member__user", "destination__link__workspace")
        .defer(*IN_DESTINATION)
        .order_by("pk")
    )
    lines: tuple[list[ReceiptLine], list[ReceiptLine]] = ([], [])
    for receipt in receipts:
        lines[not receipt.is_told].append(_receipt(receipt, deliveries.get(receipt.destination_id)))
    return lines


def _receipt(receipt: Receipt, delivery: Delivery | None) -> ReceiptLine:
    address, because, kind = address_of(receipt.destination), Because.from_json(receipt.because), receipt.destination.kind
    if delivery is None:
        return ReceiptLine(address, because, kind)
    told = delivery.folded_into or delivery
    is_in_digest = told is not delivery and told.state == DeliveryState.SENT
    return ReceiptLine(
        address,
        because,
        kind,
        at=told.settled_at or told.created_at,
        delivery_id=told.pk,
        delivery_state=delivery.state if is_in_digest else told.state,
        last=Because.from_json(told.last_because) if told.last_because else None,
        may_be_twice=getattr(delivery, "may_be_twice", False),
    )


def _late_end(stored: dict[str, Any] | None) -> LateEnd | None:
    if not stored:
        return None
    finished = stored.get("finished_at")
    return LateEnd(
        outcome=Outcome(stored["outcome"]).value,
        because=Because.from_json(stored["because"]),
        finished_at=datetime.fromisoformat(finished) if finished else None,
    )
