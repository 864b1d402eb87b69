"""The delivery log: what it says of each message, how it is searched and filtered, and what it costs when it is long."""

import pytest
from django.test import Client

from runbell.server.db.models import Attempt, Delivery, Destination
from tests.server.people import NOW, Acme
from tests.server.test_pages import make_run


def channel(shop: Acme, kind: str = "slack_webhook", name: str = "#data-alerts") -> Destination:
    """Somewhere in Slack that hears of failures of the shop's job."""
    there = shop.destination()
    Destination.objects.filter(pk=there.pk).update(
        kind=kind, member=None, address=name, address_key=name, secret="https://hooks.slack.test/x"
    )
    there.refresh_from_db()
    shop.rule(there)
    return there


@pytest.fixture
def client(shop: Acme, client: Client) -> Client:
    client.force_login(shop.admin.user)
    return client


class TestWords:
    def test_a_message_in_slack_is_posted_and_a_mail_is_sent(self, shop: Acme, client: Client) -> None:
        there, _ = channel(shop), shop.rule(shop.destination())
        run = make_run(shop)
        Delivery.objects.update(state="sent", attempts=1, settled_at=NOW)
        posted = Delivery.objects.get(destination=there)
        Attempt.objects.create(delivery=posted, at=NOW, took=0.2, verdict="sent")
        log = client.get(f"/a/{shop.account.pk}/deliveries?open={posted.pk}").content.decode()
        assert log.count("Posted in Slack</span>") == log.count("Sent</span>") == 1
        assert log.count('aria-label="Slack"><use href="#i-hash"/>') == log.count('aria-label="E-mail"><use href="#i-mail"/>') == 1
        assert "Slack took it." in log
        assert "Taken by the mail server" not in log
        receipts = client.get(f"/a/{shop.account.pk}/runs/{run.pk}").content.decode()
        assert receipts.count("Posted in Slack</span>") == receipts.count("Sent</span>") == 1
        assert f"open={posted.pk}" in receipts
        result = client.get(f"/a/{shop.account.pk}/settings/notifications/test/{posted.pk}").content.decode()
        assert "Posted in Slack</span>" in result
