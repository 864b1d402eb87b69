"""The view, and its address, which is that of Runbell's."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.http import HttpRequest
from django.urls import path
from ninja import NinjaAPI, Schema

from bench.plain.models import Delivery, Node, Recipient, Run, Sender, Step


class NodeIn(Schema):
    unique_id: str
    status: str
    message: str


class StepIn(Schema):
    index: int
    command: str
    exit_code: int | None
    counts: dict[str, int]
    nodes: list[NodeIn]


class RunIn(Schema):
    key: str
    state: str
    job: dict[str, str]
    started_at: datetime
    finished_at: datetime | None
    log_end: str
    steps: list[StepIn]


class RunOut(Schema):
    id: int


def sender_of(request: HttpRequest) -> Any:
    return Sender.objects.filter(token=request.headers.get("Authorization", "").removeprefix("Token ")).first()


api = NinjaAPI(auth=sender_of)


@api.post("/runbell/v1/runs", response=RunOut)
def report(request: HttpRequest, told: RunIn) -> Any:
    with transaction.atomic():
        sender: Sender = request.auth  # type: ignore[attr-defined]  # set by ninja
        facts = told.dict(include={"key", "state", "started_at", "finished_at", "log_end"})
        run = Run.objects.create(sender=sender, job=told.job["name"], **facts)
        for each in told.steps:
            step = Step.objects.create(run=run, **each.dict(exclude={"nodes"}))
            Node.objects.bulk_create(Node(step=step, **node.dict()) for node in each.nodes)
        Delivery.objects.bulk_create(Delivery(run=run, recipient=recipient) for recipient in Recipient.objects.all())
    return run


urlpatterns = [path("api/", api.urls)]
