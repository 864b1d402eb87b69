"""The own profile: name, language, zone, theme, and the change of the own address."""

import pytest
from django.test import Client

from runbell.core.permissions import Role
from runbell.server.db.models import User
from tests.server.people import Acme, acme

pytestmark = pytest.mark.django_db
FORM = {"name": "Ada Lindqvist", "language": "en", "zone": "Europe/Stockholm", "theme": "system"}


def page(shop: Acme, path: str = "settings/profile") -> str:
    return f"/a/{shop.account.pk}/{path}"


@pytest.fixture
def ada(shop: Acme, client: Client) -> Client:
    client.force_login(shop.admin.user)
    return client


def person(shop: Acme) -> User:
    return User.objects.get(pk=shop.admin.user_id)


class TestProfile:
    @pytest.mark.parametrize("role", list(Role))
    def test_is_open_to_every_role(self, shop: Acme, client: Client, role: Role) -> None:
        client.force_login(shop.members[role].user)
        assert client.post(page(shop), FORM)["Location"] == page(shop)
        assert User.objects.get(pk=shop.members[role].user_id).name == "Ada Lindqvist"

    def test_takes_effect_with_the_next_page(self, shop: Acme, ada: Client) -> None:
        ada.post(page(shop), {"name": "Ада", "language": "ru", "zone": "Asia/Tokyo", "theme": "dark"})
        shown = ada.get(page(shop)).content.decode()
        assert '<html lang="ru" data-theme="dark">' in shown
        assert 'value="Asia/Tokyo"' in shown
        assert "Сохранено" in shown  # also the toast speaks the new language

    def test_a_browsers_old_spelling_of_a_zone_is_taken(self, shop: Acme, ada: Client) -> None:
        ada.post(page(shop), {**FORM, "zone": "Asia/Calcutta"})
        assert person(shop).zone == "Asia/Calcutta"
        assert ada.get(page(shop)).status_code == 200

    @pytest.mark.parametrize(
        ("field", "value", "says"),
        [
            ("zone", "Mars/Olympus", "There is no time zone of this name."),
            ("zone", "../../etc/passwd", "There is no time zone of this name."),
            ("zone", "", "Choose a time zone"),
            ("name", "Ada\r\nBcc: eve@evil.example", "one line without control characters"),
            ("name", "x" * 201, "at most 200 characters"),
            ("name", "a\x00b", "Null characters"),
            ("language", "xx", "not one of the available choices"),
            ("theme", "neon", "not one of the available choices"),
        ],
    )
    def test_bad_input_is_named_and_changes_nothing(self, shop: Acme, ada: Client, field: str, value: str, says: str) -> None:
        before = person(shop)
        answer = ada.post(page(shop), {**FORM, "name": "New", field: value}).content.decode()
        assert says in answer
        assert f'id="{field}-error"' in answer
        assert vars(person(shop)) | {"_state": 0} == vars(before) | {"_state": 0}

    def test_a_very_long_name_is_taken_whole(self, shop: Acme, ada: Client) -> None:
        name = "Ада " * 49 + "Ада"
        ada.post(page(shop), {**FORM, "name": name})
        assert person(shop).name == name
        assert name in ada.get(page(shop, "")).content.decode()

    def test_markup_in_a_name_is_text(self, shop: Acme, ada: Client) -> None:
        ada.post(page(shop), {**FORM, "name": '"><script>alert(1)</script>'})
        assert "<script>alert" not in ada.get(page(shop)).content.decode()

    def test_another_account_has_its_own_door(self, shop: Acme, ada: Client) -> None:
        other = acme("Other", "other.test")
        assert ada.post(page(other), FORM).status_code == 404
        assert person(shop).name == ""


class TestTheme:
    def test_is_chosen_in_the_profile_menu_and_leads_back(self, shop: Acme, ada: Client) -> None:
        answer = ada.post(
            page(shop, "settings/profile/theme"), {"theme": "light"}, headers={"Referer": "http://testserver/a/1/deliveries?x=1"}
        )
        assert answer["Location"] == "/a/1/deliveries?x=1"
        assert person(shop).theme == "light"

    @pytest.mark.parametrize("referer", ["http://evil.example/", "//evil.example", "javascript:alert(1)", ""])
    def test_never_leads_elsewhere(self, shop: Acme, ada: Client, referer: str) -> None:
        answer = ada.post(page(shop, "settings/profile/theme"), {"theme": "light"}, headers={"Referer": referer})
        assert answer["Location"] == page(shop)

    def test_an_unknown_one_changes_nothing(self, shop: Acme, ada: Client) -> None:
        ada.post(page(shop, "settings/profile/theme"), {"theme": "neon"})
        assert person(shop).theme == "system"
        assert ada.get(page(shop, "settings/profile/theme")).status_code == 405
