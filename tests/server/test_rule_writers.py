"""Who may write whose rules, by every request that does: the right ones succeed, and the others change nothing."""

import pytest

from runbell.core.permissions import Role
from runbell.server.db.models import AuditEntry, Destination, Rule, SlackChannel, SlackLink
from tests.server.people import NOW, Acme
from tests.server.rule_writers import PAIRS, Attempt, Whose, Writer, colleague_of
from tests.server.slack_shop import channel, configured, link, workspace

pytestmark = pytest.mark.django_db


def stored() -> list[tuple[int, int, str]]:
    return sorted(Rule.objects.values_list("destination", "job", "outcome"))


def audited() -> int:
    return AuditEntry.objects.filter(action__startswith="notifications.").count()


def address_of(shop: Acme, role: Role, whose: Whose) -> Destination:
    """With a rule of its own that can be taken away."""
    if whose is Whose.SLACK:
        destination = configured(SlackChannel.objects.get(), SlackLink.objects.get())
    elif whose is Whose.EXTERNAL:
        destination = Destination.objects.create(
            account=shop.account,
            kind="email",
            address="ops@partner.example",
            address_key="ops@partner.example",
            public_id="ops",
            created_at=NOW,
            updated_at=NOW,
        )
    else:
        destination = shop.destination(role if whose is Whose.OWN else colleague_of(role))
    shop.rule(destination, environment=False)
    Rule.objects.filter(destination=destination).update(outcome="warned")
    return destination


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(("writer", "whose"), PAIRS, ids=lambda part: getattr(part, "label", part))
def test_rules_are_written_by_those_who_may(shop: Acme, writer: Writer, whose: Whose, role: Role) -> None:
    team = workspace(shop)
    channel(team)
    link(team, shop.admin)
    destination = None if writer.makes else address_of(shop, role, whose)
    before, entries = stored(), audited()
    response = writer.send(Attempt(shop, role, whose, destination))
    if writer.may(role, whose):
        assert response.status_code in (200, 201, 204, 302), response.content
        assert stored() != before
        assert audited() > entries
    else:
        assert response.status_code in (403, 404), response.content
        assert (stored(), audited()) == (before, entries)
