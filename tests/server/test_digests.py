"""Many runs for one Slack channel or address become one message that names each of them. Also on PostgreSQL."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from runbell.core.because import Because
from runbell.core.deliveries import Sent
from runbell.core.runs import Outcome
from runbell.messages.message import Message
from runbell.server.db import outbox
from runbell.server.db.models import Attempt, AuditEntry, Delivery, Destination, Run, SlackLink
from runbell.server.services import deliveries, digests
from runbell.server.services.access import Actor
from runbell.server.services.deliveries import Result
from runbell.server.services.delivery_pages import get_delivery
from runbell.server.services.parcels import Parcel, load_parcels
from runbell.server.services.run_pages import run_page
from tests.server.people import Acme
from tests.server.slack_shop import channel, configured, link, workspace
from tests.server.test_pages import make_run

AFTER = 3
OUTCOMES = ("failed", "succeeded")


@pytest.fixture(autouse=True)
def few(settings: Settings) -> None:
    settings.RUNBELL_SLACK_DIGEST_AFTER = AFTER


@pytest.fixture
def alerts(shop: Acme) -> Destination:
    return destination(shop)


def destination(shop: Acme, name: str = "data-alerts", channel_id: str = "C0000001") -> Destination:
    team = link_of(shop)
    made = configured(channel(team.workspace, name, channel_id), team)
    for outcome in Outcome:
        shop.rule(made, outcome)
    return made


def link_of(shop: Acme) -> SlackLink:
    return SlackLink.objects.filter(member=shop.admin).first() or link(workspace(shop), shop.admin)


def runs(shop: Acme, count: int) -> list[Run]:
    return [make_run(shop, OUTCOMES[number % len(OUTCOMES)], ago=0.5) for number in range(count)]


def turn(*results: Result, after: timedelta = timedelta(), room: int = 64) -> list[Parcel]:
    now = timezone.now() + after
    found = deliveries.turn(results, room=lambda _: room, now=now, lease_until=now + timedelta(seconds=30), dice=lambda: 0.5)
    return list(found.parcels)


def told(found: Sequence[Delivery]) -> list[str]:
    """Ids of the runs that these digests name."""
    bodies = [Message.from_json(digest.message.body) for digest in found if digest.message]
    return [entry.run_id for body in bodies for entry in body.entries]


def the_digests() -> list[Delivery]:
    return list(Delivery.objects.filter(purpose="digest").select_related("message").order_by("pk"))


def test_more_than_that_wait_and_one_message_names_them_all(shop: Acme, alerts: Destination) -> None:
    made = runs(shop, AFTER + 1)
    assert turn() == []
    [digest] = the_digests()
    assert sorted(told([digest])) == sorted(str(run.pk) for run in made)
    assert set(Delivery.objects.filter(purpose="run").values_list("state", "folded_into", "claim")) == {("folded", digest.pk, "")}
    [parcel] = turn()
    assert (parcel.id, parcel.purpose, parcel.settings["channel_id"]) == (digest.pk, "digest", "C0000001")
    assert parcel.body
    assert json.loads(parcel.body)["subject"] == "4 runs ended · 2 failed and 2 succeeded"
    assert parcel.reader
    assert parcel.reader.links.runs.endswith(f"/a/{shop.account.pk}/runs/")


def test_as_many_as_that_are_told_one_by_one(shop: Acme, alerts: Destination) -> None:
    made = runs(shop, AFTER)
    assert [parcel.purpose for parcel in turn()] == ["run"]
    assert not the_digests()
    assert Delivery.objects.filter(run__in=made).count() == AFTER


def test_zero_means_never(shop: Acme, alerts: Destination, settings: Settings) -> None:
    settings.RUNBELL_SLACK_DIGEST_AFTER = 0
    runs(shop, 3 * AFTER)
    assert len(turn()) == 1
    assert not the_digests()


def test_what_did_not_fit_into_the_lane_is_told_too(shop: Acme, alerts: Destination) -> None:
    made = runs(shop, AFTER + 3)
    assert turn(room=1) == []
    assert sorted(told(the_digests())) == sorted(str(run.pk) for run in made)


def test_each_channel_has_its_own_line(shop: Acme, alerts: Destination) -> None:
    runs(shop, 2)
    other = destination(shop, "shop-ops", "C0000002")
    runs(shop, 2)
    assert [parcel.destination_id for parcel in turn()] == [other.pk]
    assert [digest.destination_id for digest in the_digests()] == [alerts.pk]


def test_nothing_is_folded_before_the_channel_can_take_a_message(shop: Acme, alerts: Destination) -> None:
    """Until then more may come that can be told with it."""
    alerts.next_at = timezone.now() + timedelta(minutes=1)
    alerts.save()
    runs(shop, AFTER + 1)
    assert turn() == []
    assert not the_digests()
    runs(shop, 2)
    turn(after=timedelta(minutes=2))
    assert len(told(the_digests())) == AFTER + 3


def test_too_many_for_one_message_make_several_and_none_is_named_twice(
    shop: Acme, alerts: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(digests.RUNS, "slack", 3)
    made = runs(shop, 8)
    turn()
    assert [len(told([digest])) for digest in the_digests()] == [3, 3, 2]
    assert sorted(told(the_digests())) == sorted(str(run.pk) for run in made)


def test_one_that_may_have_arrived_stays_by_itself(shop: Acme, alerts: Destination) -> None:
    first, *rest = runs(shop, AFTER + 2)
    lost = Delivery.objects.get(run=first)
    Attempt.objects.create(delivery=lost, at=timezone.now(), took=1, verdict="lost")
    assert [parcel.id for parcel in turn()] == [lost.pk]
    assert sorted(told(the_digests())) == sorted(str(run.pk) for run in rest)


def test_a_crash_in_between_leaves_everything_as_it_was(shop: Acme, alerts: Destination, monkeypatch: pytest.MonkeyPatch) -> None:
    runs(shop, AFTER + 1)

    def crash(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(outbox, "fold", crash)
    with pytest.raises(MemoryError):
        turn()
    assert not the_digests()
    assert set(Delivery.objects.values_list("state", flat=True)) == {"queued"}


@pytest.mark.parametrize("count", [AFTER + 1, 10 * AFTER])
def test_statements_do_not_grow_with_the_line(shop: Acme, alerts: Destination, count: int) -> None:
    runs(shop, count)
    parcels = load_parcels(
        outbox.claim({(lane(alerts), shop.account.pk): 64}, now=timezone.now(), lease_until=timezone.now()), now=timezone.now()
    )
    with CaptureQueriesContext(connection) as queries:
        assert len(digests.fold(parcels, now=timezone.now()).ended) == count
    assert len([query for query in queries if "SAVEPOINT" not in query["sql"]]) == 5


def lane(to: Destination) -> str:
    assert to.link
    return f"slack:{to.link.workspace_id}"


def test_the_run_and_the_log_lead_to_the_digest(shop: Acme, alerts: Destination) -> None:
    first, *_ = runs(shop, AFTER + 1)
    turn()
    [digest] = the_digests()
    [line] = run_page(Actor(shop.admin), first.pk, language="en").told
    assert (line.delivery_id, line.delivery_state) == (digest.pk, "queued")
    settle(turn())
    [line] = run_page(Actor(shop.admin), first.pk, language="en").told
    assert (line.delivery_id, line.delivery_state) == (digest.pk, "folded")
    own = get_delivery(Actor(shop.admin), Delivery.objects.get(run=first).pk)
    assert (own.state, own.folded_into) == ("folded", digest.pk)
    assert get_delivery(Actor(shop.admin), digest.pk).because == Because("waited_together", {"n": AFTER + 1})


def settle(parcels: Sequence[Parcel]) -> None:
    now: datetime = timezone.now()
    turn(*(Result(parcel, Sent("1700000000.000100"), now) for parcel in parcels))


@pytest.fixture
def ada(shop: Acme, settings: Settings) -> Destination:
    settings.RUNBELL_MAIL_DIGEST_AFTER = AFTER
    return listening(shop, shop.destination())


def listening(shop: Acme, made: Destination) -> Destination:
    for outcome in Outcome:
        shop.rule(made, outcome)
    return made


def test_an_hour_with_too_many_mails_becomes_one_mail_that_names_what_waits(shop: Acme, ada: Destination) -> None:
    runs(shop, AFTER)
    first = turn()
    assert [parcel.purpose for parcel in first] == ["run"] * AFTER
    waiting = runs(shop, 3)
    assert turn() == []
    [digest] = the_digests()
    assert sorted(told([digest])) == sorted(str(run.pk) for run in waiting)
    assert [(parcel.id, parcel.kind) for parcel in turn()] == [(digest.pk, "email")]


def test_in_a_storm_what_comes_later_is_gathered_and_a_lone_one_goes_as_itself(shop: Acme, ada: Destination) -> None:
    runs(shop, AFTER)
    settle(turn())
    [lone] = runs(shop, 1)
    alone = turn()
    assert [parcel.id for parcel in alone] == [Delivery.objects.get(run=lone).pk]
    settle(alone)
    gathered = runs(shop, 1)
    assert turn(after=timedelta(minutes=1)) == []
    gathered += runs(shop, 1)
    assert turn(after=timedelta(minutes=2)) == []
    assert not the_digests()
    assert set(Delivery.objects.filter(run__in=gathered).values_list("state", flat=True)) == {"queued"}
    assert turn(after=digests.GATHERING + timedelta(seconds=1)) == []
    assert sorted(told(the_digests())) == sorted(str(run.pk) for run in gathered)


def test_the_storm_ends_with_its_hour(shop: Acme, ada: Destination) -> None:
    runs(shop, AFTER)
    turn()
    Delivery.objects.update(created_at=timezone.now() - timedelta(hours=2))
    later = runs(shop, 2)
    assert [parcel.purpose for parcel in turn()] == ["run", "run"]
    assert Delivery.objects.filter(run__in=later, state="sending").count() == 2


@pytest.mark.parametrize(("takes_lists", "expected"), [(False, 3), (True, 0)])
def test_an_external_address_gets_lists_only_where_that_is_switched_on(
    shop: Acme, settings: Settings, takes_lists: bool, expected: int
) -> None:
    settings.RUNBELL_MAIL_DIGEST_AFTER = AFTER
    made = Destination.objects.create(
        account=shop.account,
        kind="email",
        address="pager@partner.example",
        address_key="pager@partner.example",
        public_id="outside",
        settings={digests.TAKES_LISTS: True} if takes_lists else {},
        created_at=timezone.now(),
        updated_at=timezone.now(),
    )
    listening(shop, made)
    runs(shop, AFTER)
    turn()
    runs(shop, 3)
    assert len(turn()) == expected
    assert len(the_digests()) == takes_lists


def test_zero_means_that_no_mail_is_a_list(shop: Acme, ada: Destination, settings: Settings) -> None:
    settings.RUNBELL_MAIL_DIGEST_AFTER = 0
    runs(shop, 3 * AFTER)
    assert len(turn()) == 3 * AFTER


def test_more_than_one_transaction_takes_are_told_in_the_next(shop: Acme, ada: Destination, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each in exactly one message, and the last may be alone."""
    monkeypatch.setattr(outbox, "LONGEST_LINE", 4)
    runs(shop, AFTER)
    settle(turn())
    made = runs(shop, 9)
    assert [turn(room=2), turn(room=2)] == [[], []]
    names = told(the_digests())
    assert len(names) == len(set(names)) == 8
    alone = [parcel for parcel in turn() if parcel.purpose == "run"]
    assert len({*names, *(str(Delivery.objects.get(pk=parcel.id).run_id) for parcel in alone)}) == len(made)


def test_an_external_address_is_switched_to_lists_on_its_page_and_the_audit_log_says_so(
    shop: Acme, client: Client, settings: Settings
) -> None:
    client.force_login(shop.admin.user)
    client.post(f"/a/{shop.account.pk}/settings/notifications/email/external", {"address": "pager@partner.example"})
    made = Destination.objects.get(address="pager@partner.example")
    page = f"/a/{shop.account.pk}/settings/notifications/email/external/{made.pk}"
    for sent, expected in (({"takes_lists": "1"}, True), ({}, False)):
        client.post(page, {"language": "", "zone": "", **sent})
        made.refresh_from_db()
        assert made.settings == {digests.TAKES_LISTS: expected}
        assert AuditEntry.objects.latest("pk").after[digests.TAKES_LISTS] is expected
        assert ("checked" in client.get(page).content.decode()) is expected
