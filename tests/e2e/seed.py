"""An account with people, secrets of every kind and any number of runs. For a process in which Django is set up."""

from datetime import timedelta
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.utils import decrypt as decrypt_second_step
from allauth.mfa.utils import encrypt as encrypt_second_step
from django.db import transaction
from tests.server.people import NOW, Acme, acme

from runbell.core.because import Because
from runbell.core.runs import Outcome
from runbell.server.db.models import (
    Artifact,
    ArtifactPart,
    Attempt,
    Delivery,
    Destination,
    MailboxItem,
    Message,
    Node,
    Receipt,
    Run,
    RunKey,
    SlackApp,
    SlackWorkspace,
    Step,
)

SECRETS = ("client-hush", "signing-hush", "xoxb-hush", "refresh-hush", "webhook-hush", "payload-hush", "totp-hush", "seed-hush")
RECIPIENTS = 3
BATCH = 1_000


def seed(runs: int) -> str:
    """Returns a token that may do everything."""
    with transaction.atomic():
        shop = acme()
        places = [external(shop, number) for number in range(RECIPIENTS)]
        keep_secrets(shop, places[0])
    for start in range(0, runs, BATCH):
        with transaction.atomic():
            add_runs(shop, places, range(start, min(start + BATCH, runs)))
    return shop.token


def external(shop: Acme, number: int) -> Destination:
    address = f"team{number}@partner.example"
    made = Destination.objects.create(
        account=shop.account,
        kind="email",
        address=address,
        address_key=address,
        public_id=f"external{number:014}",
        settings={"ratio": 1e2, "z": 1, "a": [True, None, "ящик \u2028"]},
        created_at=NOW,
        updated_at=NOW,
    )
    shop.rule(made, Outcome.FAILED)
    return made


def keep_secrets(shop: Acme, place: Destination) -> None:
    SlackApp.objects.create(
        account=shop.account, client_id="1.2", client_secret=SECRETS[0], signing_secret=SECRETS[1], updated_by=shop.admin, updated_at=NOW
    )
    SlackWorkspace.objects.create(
        account=shop.account, team_id="T1", name="Acme", client_id="1.2", token=SECRETS[2], refresh_token=SECRETS[3], created_at=NOW
    )
    Destination.objects.filter(pk=place.pk).update(secret=SECRETS[4])
    held = Delivery.objects.create(
        account=shop.account, purpose="account", lane="email", payload=SECRETS[5].encode(), state="dead", due_at=NOW, created_at=NOW
    )
    MailboxItem.objects.create(account=shop.account, delivery=held, recipient="a@b.example", subject="Ж", content=bytes(range(256)), at=NOW)
    user = shop.admin.user
    Authenticator.objects.create(user=user, type="totp", data={"secret": encrypt_second_step(SECRETS[6])})
    Authenticator.objects.create(user=user, type="recovery_codes", data={"seed": encrypt_second_step(SECRETS[7]), "used_mask": 3})


def add_runs(shop: Acme, places: list[Destination], numbers: range) -> None:
    """Each run with its key, two steps, a node, an artifact, a message, and for each recipient a receipt, a delivery and an attempt."""
    runs = Run.objects.bulk_create(run(shop, number) for number in numbers)
    RunKey.objects.bulk_create(RunKey(account=shop.account, key=f"seed:{run.pk}", run=run) for run in runs)
    steps = Step.objects.bulk_create(
        Step(run=run, index=index, exit_code=index - 1, counts={"passed": 7}) for run in runs for index in (1, 2)
    )
    Node.objects.bulk_create(Node(step=step, unique_id="model.shop.a", status="error", message="<Ошибка>\t\\N") for step in steps[1::2])
    left = Artifact.objects.bulk_create(Artifact(run=run, step=1, name="manifest.json", size=4, stored_at=NOW) for run in runs)
    ArtifactPart.objects.bulk_create(ArtifactPart(artifact=artifact, number=0, data=bytes(range(256))) for artifact in left)
    messages = Message.objects.bulk_create(
        Message(run=run, language="en", body={"title": "Failed", "n": 1.5}, created_at=NOW) for run in runs
    )
    chose = Because("chose_job").to_json()
    told = [(run, message, place) for run, message in zip(runs, messages, strict=True) for place in places]
    Receipt.objects.bulk_create(Receipt(run=run, destination=place, is_told=True, because=chose, at=NOW) for run, _, place in told)
    sent = Delivery.objects.bulk_create(
        Delivery(
            account=shop.account,
            run=run,
            destination=place,
            message=message,
            lane="email",
            state="sent",
            because=chose,
            attempts=1,
            due_at=NOW,
            created_at=NOW,
            settled_at=NOW + timedelta(microseconds=run.pk),
        )
        for run, message, place in told
    )
    Attempt.objects.bulk_create(Attempt(delivery=delivery, at=NOW, took=0.1 + 1 / delivery.pk, verdict="sent") for delivery in sent)


def run(shop: Acme, number: int) -> Run:
    started = NOW + timedelta(seconds=number)
    told: dict[str, Any] = {"trigger": {"cause": "schedule"}, "git_branch": "main", "log_end": "line\nline"}
    return Run(
        account=shop.account,
        job=shop.job,
        state="finished",
        outcome="failed",
        started_at=started,
        finished_at=started + timedelta(minutes=1),
        received_at=started,
        decided_at=started,
        **told,
    )


def read_secrets() -> list[str]:
    """Every secret in plain words, in the order of `SECRETS`. Raises when a key does not fit."""
    app, workspace = SlackApp.objects.get(), SlackWorkspace.objects.get()
    place = Destination.objects.exclude(secret="").get()
    held = Delivery.objects.get(purpose="account").payload
    totp, codes = Authenticator.objects.order_by("pk")
    second = [decrypt_second_step(totp.data["secret"]), decrypt_second_step(codes.data["seed"])]
    return [
        app.client_secret,
        app.signing_secret,
        workspace.token,
        workspace.refresh_token,
        place.secret,
        bytes(held or b"").decode(),
        *second,
    ]
