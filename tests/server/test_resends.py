"""One message again, or all that were given up: by whom, of whom, and how often."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from runbell.server.db.models import AuditEntry, Delivery
from runbell.server.services import resends
from runbell.server.services.access import Actor
from runbell.server.services.delivery_filters import Wish
from tests.server.people import Acme, acme
from tests.server.test_pages import make_run


def dead(shop: Acme, count: int = 1, state: str = "dead") -> list[int]:
    destination = shop.destination()
    for outcome in Outcome:
        shop.rule(destination, outcome)
    runs = [make_run(shop, ago=30) for _ in range(count)]
    Delivery.objects.filter(run__in=runs).update(state=state, attempts=9, last_because={"code": "tries_used_up"}, settled_at=timezone.now())
    return list(Delivery.objects.filter(run__in=runs).values_list("pk", flat=True))


def test_all_that_were_given_up_go_out_again_under_a_new_key(shop: Acme, client: Client) -> None:
    ids, other = dead(shop, 3), dead(acme("Other", "other.test"))
    client.force_login(shop.admin.user)
    page = client.get(f"/a/{shop.account.pk}/deliveries?state=dead").content.decode()
    assert "Send all 3 again" in page
    answer = client.post(f"/a/{shop.account.pk}/deliveries/resend", {"delivery": "all"}, follow=True)
    assert "3 messages are sent again." in answer.content.decode()
    assert set(Delivery.objects.filter(pk__in=ids).values_list("state", "attempts", "resends", "last_because")) == {("queued", 0, 1, None)}
    assert Delivery.objects.get(pk=other[0]).state == "dead"
    entry = AuditEntry.objects.get(action="delivery.resend")
    assert (entry.member, entry.after) == (shop.admin, {"deliveries": 3})
    client.post(f"/a/{shop.account.pk}/deliveries/resend", {"delivery": "all"})
    assert set(Delivery.objects.filter(pk__in=ids).values_list("resends", flat=True)) == {1}
    assert AuditEntry.objects.filter(action="delivery.resend").count() == 1


def test_the_button_sends_what_is_shown_and_nothing_else(shop: Acme, client: Client) -> None:
    """Not what the filters leave out, not what was given up since, and not what somebody else sent meanwhile."""
    ids = dead(shop, 5)
    Delivery.objects.filter(pk=ids[0]).update(created_at=timezone.now() - timedelta(days=9))
    Delivery.objects.filter(pk=ids[1]).update(lane="slack:7")
    client.force_login(shop.admin.user)
    page = client.get(f"/a/{shop.account.pk}/deliveries?state=dead&q=NIGHT&channel=email&span=7d").content.decode()
    [(action, seen)] = re.findall(r'action="([^"]*/resend[^"]*)".*?name="seen" value="(\d+)"', page)
    assert "Send all 3 again" in page
    Delivery.objects.filter(pk=ids[2]).update(settled_at=timezone.now() + timedelta(seconds=1))
    resends.resend(Actor(shop.admin), ids[3], now=timezone.now())
    answer = client.post(unescape(action), {"delivery": "all", "seen": seen}, follow=True)
    assert "1 message is sent again." in answer.content.decode()
    assert answer.redirect_chain[0][0].endswith("?state=trying&q=NIGHT&channel=email&span=7d")
    assert dict(Delivery.objects.filter(pk__in=ids).values_list("pk", "resends")) == dict(zip(ids, (0, 0, 0, 1, 1), strict=True))


def test_a_job_of_another_account_sends_nothing(shop: Acme, client: Client) -> None:
    other = acme("Other", "other.test")
    dead(shop)
    dead(other)
    client.force_login(shop.admin.user)
    client.post(f"/a/{shop.account.pk}/deliveries/resend?job={other.job.pk}", {"delivery": "all"})
    assert set(Delivery.objects.values_list("state", flat=True)) == {"dead"}


def test_one_is_sent_again_from_its_line(shop: Acme, client: Client) -> None:
    first, second = dead(shop, 2)
    client.force_login(shop.members[Role.NOTIFICATION_MANAGER].user)
    assert f'value="{first}"' in client.get(f"/a/{shop.account.pk}/deliveries?state=dead&open={first}").content.decode()
    client.post(f"/a/{shop.account.pk}/deliveries/resend", {"delivery": first})
    assert [Delivery.objects.get(pk=pk).state for pk in (first, second)] == ["queued", "dead"]


@pytest.mark.parametrize("state", ["queued", "sending", "waiting", "folded"])
def test_what_is_on_its_way_or_told_in_a_digest_stays_as_it_is(shop: Acme, state: str) -> None:
    [pk] = dead(shop, state=state)
    resends.resend(Actor(shop.admin), pk, now=timezone.now() + timedelta(hours=1))
    assert (Delivery.objects.get(pk=pk).state, Delivery.objects.get(pk=pk).resends) == (state, 0)


@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.VIEWER])
def test_who_may_not_sees_no_button_and_is_refused(shop: Acme, client: Client, role: Role) -> None:
    [pk] = dead(shop)
    client.force_login(shop.members[role].user)
    assert "/deliveries/resend" not in client.get(f"/a/{shop.account.pk}/deliveries?state=dead&open={pk}").content.decode()
    assert client.post(f"/a/{shop.account.pk}/deliveries/resend", {"delivery": "all"}).status_code == 403
    assert Delivery.objects.get(pk=pk).state == "dead"


@pytest.mark.parametrize("sent", ["", "x", "99999999999999999999", "-1"])
def test_what_is_no_delivery_is_not_there(shop: Acme, client: Client, sent: str) -> None:
    client.force_login(shop.admin.user)
    assert client.post(f"/a/{shop.account.pk}/deliveries/resend", {"delivery": sent}).status_code == 404


@pytest.mark.parametrize("count", [1, 40])
def test_statements_do_not_grow_with_the_count(shop: Acme, count: int) -> None:
    dead(shop, count)
    with CaptureQueriesContext(connection) as queries:
        assert resends.resend_dead(Actor(shop.admin), Wish(), seen=timezone.now(), now=timezone.now()) == count
    assert len([query for query in queries if "SAVEPOINT" not in query["sql"]]) == 3
