"""External addresses: which are taken, why others are not, how they change and go."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from runbell.core.permissions import Role
from runbell.server.db.models import AuditEntry, Destination, Job, Rule, State, Unsubscription
from runbell.server.services.unsubscribe import last_unsubscribed
from tests.server.matrix_forms import base, external, save, sign_in, text, url
from tests.server.people import Acme

pytestmark = pytest.mark.django_db


class TestExternalAddresses:
    def add(self, client: Client, shop: Acme, address: str, **fields: str) -> Any:
        return client.post(f"{base(shop)}/external", {"address": address, **fields})

    @pytest.mark.parametrize(
        "address",
        [
            "9f2c41.data-team@emea.teams.ms",
            "data-oncall@acme.x.pagerduty.com",
            "jobs+nightly+prod@partner.example",
            f"{'a' * 64}@partner.example",
            "ops@mail.acme.local",
            "ops@runbell.test",
            "ops@mailhost",
            "ops@почта.example",
            "  ops@partner.example  ",
        ],
    )
    def test_addresses_of_real_shape_are_taken(self, shop: Acme, address: str) -> None:
        client = sign_in(shop, Role.NOTIFICATION_MANAGER)
        answer = self.add(client, shop, address, language="ru", zone="Europe/Berlin")
        added = Destination.objects.get()
        assert (added.address, added.language, added.zone) == (address.strip(), "ru", "Europe/Berlin")
        assert added.created_by == shop.members[Role.NOTIFICATION_MANAGER]
        assert answer["Location"] == f"{base(shop)}?to={added.pk}"
        assert f"{address.strip()} is added" in text(client.get(answer["Location"]))

    @pytest.mark.parametrize(
        ("address", "because"),
        [
            ("", "Write an address."),
            ("nobody", "has an @ in it"),
            ("@partner.example", "missing before the @"),
            ("ops@", "missing after the @"),
            (f"{'a' * 65}@partner.example", "more than 64 characters"),
            (f"ops@{'a' * 250}.example", "longer than 254"),
            ("ops@partner.example, dev@partner.example", "Only one address"),
            ("Ops <ops@partner.example>", "Only one address"),
            ("ops team@partner.example", "no spaces"),
            ("ops@partner.example\r\nBcc: all@partner.example", "no spaces"),
            ("ops@team@partner.example", "one @ only"),
            ("ops..team@partner.example", "A dot is"),
            ("опс@partner.example", "only Latin letters"),
            ("ops@-partner-.example", "cannot be the name of a mail server"),
            ("dana@acme.test", "the address of a member"),
            ("DANA@ACME.test", "the address of a member"),
        ],
    )
    def test_refusals_come_with_the_reason_in_words(self, shop: Acme, address: str, because: str) -> None:
        answer = self.add(sign_in(shop), shop, address)
        assert answer.status_code == 400
        assert because in text(answer)
        assert not Destination.objects.exists()

    def test_one_that_is_there_and_a_member_are_pointed_at(self, shop: Acme) -> None:
        client, there = sign_in(shop), external(shop)
        assert f'href="{base(shop)}?to={there.pk}"' in text(self.add(client, shop, there.address.upper()))
        assert f'href="{base(shop)}?to=m{shop.members[Role.DEVELOPER].pk}"' in text(self.add(client, shop, "dana@acme.test"))
        assert Destination.objects.count() == 1

    @pytest.mark.parametrize("fields", [{"language": "de"}, {"zone": "Mars/Base"}])
    def test_language_and_zone_are_from_the_lists(self, shop: Acme, fields: dict[str, str]) -> None:
        there = external(shop)
        client = sign_in(shop)
        assert self.add(client, shop, "ops@partner.example", **fields).status_code == 400
        assert client.post(f"{base(shop)}/external/{there.pk}", fields).status_code == 400
        assert Destination.objects.get().language == ""

    def test_language_and_zone_are_changed_and_the_rules_stay(self, shop: Acme) -> None:
        there = external(shop)
        shop.rule(there)
        client = sign_in(shop)
        client.post(f"{base(shop)}/external/{there.pk}", {"language": "ru", "zone": "Asia/Tokyo"})
        there.refresh_from_db()
        assert (there.language, there.zone, there.rules.count()) == ("ru", "Asia/Tokyo", 1)
        entry = AuditEntry.objects.get(action="notifications.update")
        assert (entry.before["zone"], entry.after["zone"]) == ("", "Asia/Tokyo")

    def test_removing_says_how_many_rules_go_and_takes_them(self, shop: Acme) -> None:
        there = external(shop)
        shop.rule(there)
        shop.rule(there, environment=True)
        client, page = sign_in(shop), f"{base(shop)}/external/{there.pk}/remove"
        assert "2 rules go with it" in text(client.get(page))
        assert Rule.objects.count() == 2
        assert client.post(page).status_code == 302
        assert not Rule.objects.exists()
        assert client.post(page).status_code == 404
        assert client.get(url(shop, str(there.pk))).status_code == 404
        assert self.add(client, shop, there.address).status_code == 302

    def test_settings_outlive_the_admin_who_added_it(self, shop: Acme) -> None:
        client = sign_in(shop, Role.NOTIFICATION_MANAGER)
        self.add(client, shop, "ops@partner.example")
        there = Destination.objects.get()
        save(client, url(shop, str(there.pk)), [[shop.job.pk, "failed", "off", "on"]], 1)
        shop.members[Role.NOTIFICATION_MANAGER].delete()
        page = text(sign_in(shop).get(url(shop, str(there.pk))))
        assert "ops@partner.example</strong> hears about 1 of 1 jobs" in page


class TestBringingBack:
    @pytest.fixture
    def there(self, shop: Acme) -> Destination:
        made = external(shop)
        shop.rule(made)
        shop.rule(made, environment=True)
        return made

    def remove(self, client: Client, shop: Acme, there: Destination) -> str:
        """Answers with where the way back leads."""
        client.post(f"{base(shop)}/external/{there.pk}/remove")
        return f"{base(shop)}/external/{there.pk}/restore"

    def test_the_next_page_offers_it_and_everything_is_as_it_was(self, shop: Acme, there: Destination) -> None:
        client = sign_in(shop)
        back = self.remove(client, shop, there)
        assert f'action="{back}"' in text(client.get(base(shop)))
        answer = client.post(back)
        assert answer["Location"] == f"{base(shop)}?to={there.pk}"
        assert f"{there.address} is back, with its rules." in text(client.get(answer["Location"]))
        was, there = there, Destination.objects.get()
        assert (there.pk, there.state, there.public_id, there.rules.count()) == (was.pk, State.ACTIVE, was.public_id, 2)
        assert there.revision > was.revision
        assert {rule.set_by for rule in there.rules.all()} == {shop.admin}
        entry = AuditEntry.objects.get(action="notifications.restore")
        assert (entry.subject, entry.member, entry.after) == (there.address, shop.admin, {"rules": 2})

    def test_the_page_for_new_addresses_lists_it_for_a_day(self, shop: Acme, there: Destination) -> None:
        client = sign_in(shop)
        back, page = self.remove(client, shop, there), f"{base(shop)}/external"
        assert f'action="{back}"' in text(client.get(page))
        Unsubscription.objects.update(at=timezone.now() - timedelta(hours=24, seconds=1))
        assert back not in text(client.get(page))
        assert client.post(back).status_code == 404
        assert Destination.objects.get().state == State.DELETED

    def test_a_second_click_changes_nothing_and_rules_set_since_stay(self, shop: Acme, there: Destination) -> None:
        client = sign_in(shop)
        back = self.remove(client, shop, there)
        client.post(back)
        Rule.objects.filter(environment=None).delete()
        assert client.post(back).status_code == 302
        assert Rule.objects.count() == 1
        assert AuditEntry.objects.filter(action="notifications.restore").count() == 1

    def test_rules_of_a_job_that_is_gone_do_not_come_back(self, shop: Acme, there: Destination) -> None:
        client = sign_in(shop)
        back = self.remove(client, shop, there)
        Job.objects.update(state=State.DELETED)
        client.post(back)
        assert [rule.environment_id for rule in Rule.objects.all()] == [shop.job.environment_id]

    def test_one_that_was_added_anew_is_pointed_at(self, shop: Acme, there: Destination) -> None:
        client = sign_in(shop)
        back = self.remove(client, shop, there)
        client.post(f"{base(shop)}/external", {"address": there.address})
        answer = client.post(back)
        assert answer.status_code == 409
        assert "This address is there already." in text(answer)
        assert Destination.objects.get(pk=there.pk).state == State.DELETED
        assert not Rule.objects.exists()

    def test_it_is_no_unsubscribing(self, shop: Acme, there: Destination) -> None:
        client = sign_in(shop)
        client.post(self.remove(client, shop, there))
        assert last_unsubscribed(Destination.objects.get()) is None

    def test_one_that_was_not_removed_here_is_not_there(self, shop: Acme, there: Destination) -> None:
        assert sign_in(shop).post(f"{base(shop)}/external/{there.pk}/restore").status_code == 404
