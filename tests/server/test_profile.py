"""The own profile: name, language, zone, theme, and the change of the own address."""

import re

import pytest
from django.test import Client
from pytest_django import Settings

from runbell.core.permissions import Role
from runbell.server.db.models import AuditEntry, Member, Rule, User
from tests.server.letters import letters
from tests.server.people import PASSWORD, Acme, acme

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

    def test_changes_are_audited_in_every_account_but_the_theme_is_not(self, shop: Acme, ada: Client) -> None:
        other = acme("Other", "other.test")
        Member.objects.filter(pk=other.members[Role.VIEWER].pk).update(user=shop.admin.user)
        ada.post(page(shop), {**FORM, "zone": "UTC", "theme": "dark"})
        entries = AuditEntry.objects.filter(action="member.profile")
        assert {entry.account for entry in entries} == {shop.account, other.account}
        assert [(entry.before, entry.after) for entry in entries] == [({"name": ""}, {"name": "Ada Lindqvist"})] * 2
        ada.post(page(shop), {**FORM, "zone": "UTC", "theme": "light"})
        assert entries.count() == 2
        assert "ada@acme.test changed their profile" in ada.get(page(shop, "settings/audit")).content.decode()

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


class TestAddress:
    PATH, NEW = "settings/profile/email", "ada.new@acme.test"

    @pytest.fixture(autouse=True)
    def relay(self, settings: Settings) -> None:
        settings.RUNBELL_SMTP_URL = "smtp://localhost:1"

    @pytest.fixture
    def sure(self, shop: Acme) -> Client:
        client = Client()
        client.post("/account/login/", {"login": "ada@acme.test", "password": PASSWORD})
        client.post("/account/reauthenticate/", {"password": PASSWORD})
        return client

    def ask(self, shop: Acme, client: Client, email: str = NEW) -> str:
        assert client.post(page(shop, self.PATH), {"email": email}).status_code == 200
        return next(letter.link for letter in letters()[::-1] if letter.to == email)

    def test_asks_for_the_password_first(self, shop: Acme, ada: Client) -> None:
        assert ada.post(page(shop, self.PATH), {"email": self.NEW})["Location"].startswith("/account/reauthenticate/")
        assert not letters()

    def test_changes_when_the_link_is_confirmed_and_rules_stay(self, shop: Acme, sure: Client) -> None:
        shop.rule(shop.destination())
        link = self.ask(shop, sure)
        assert {letter.to for letter in letters()} == {self.NEW, "ada@acme.test"}
        for scanner in (Client(), sure):
            scanner.get(link)
            scanner.head(link)
        assert person(shop).email == "ada@acme.test"
        assert sure.post(link)["Location"] == page(shop)
        assert person(shop).email == self.NEW
        assert Rule.objects.get().destination.member == shop.admin
        assert self.NEW in sure.get(page(shop)).content.decode()
        assert letters()[-1].to == "ada@acme.test"
        assert Client().post("/account/login/", {"login": self.NEW, "password": PASSWORD})["Location"] == "/"
        entry = AuditEntry.objects.get(action="member.email")
        assert (entry.before, entry.after) == ({"address": "ada@acme.test"}, {"address": self.NEW})

    def test_rules_of_an_external_address_become_the_members(self, shop: Acme, sure: Client) -> None:
        external = shop.destination()
        external.member, external.address, external.address_key = None, self.NEW, self.NEW
        external.save()
        shop.rule(external)
        sure.post(self.ask(shop, sure))
        destination = Rule.objects.get().destination
        assert (destination.member, destination.address) == (shop.admin, "")

    def test_a_link_works_once(self, shop: Acme, sure: Client) -> None:
        link = self.ask(shop, sure)
        sure.post(link)
        assert sure.post(link).status_code == sure.get(link).status_code == 404
        assert AuditEntry.objects.filter(action="member.email").count() == 1

    def test_is_nobody_elses_link(self, shop: Acme, sure: Client) -> None:
        link = self.ask(shop, sure)
        assert Client().post(link)["Location"].startswith("/account/login/")
        dana = Client()
        dana.force_login(shop.members[Role.DEVELOPER].user)
        assert dana.post(link).status_code == 404
        assert sure.post(link[:-2] + ("aa" if not link.endswith("aa") else "bb")).status_code == 404
        assert person(shop).email == "ada@acme.test"

    def test_is_void_after_a_day_or_a_new_password(self, shop: Acme, sure: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        link = self.ask(shop, sure)
        monkeypatch.setattr("runbell.server.services.email_change.VALID", -1)
        assert sure.post(link).status_code == 404
        monkeypatch.undo()
        user = person(shop)
        user.set_password("a new long password")
        user.save()
        sure.force_login(user)
        assert sure.post(link).status_code == 404

    def test_an_address_of_somebody_here_is_not_given_away(self, shop: Acme, sure: Client) -> None:
        shown = []
        for email in ("dana@acme.test", "free@acme.test"):
            answer = sure.post(page(shop, self.PATH), {"email": email})
            shown.append(re.sub(r'csrfmiddlewaretoken" value="\w+', "", answer.content.decode()).replace(email, "…"))
        assert shown[0] == shown[1]
        assert [letter.subject for letter in letters() if letter.to == "dana@acme.test"] == ["This address is yours already"]

    def test_an_address_taken_meanwhile_changes_nothing(self, shop: Acme, sure: Client) -> None:
        link = self.ask(shop, sure)
        User.objects.filter(email="dana@acme.test").update(email=self.NEW)
        assert sure.post(link).status_code == 404
        assert person(shop).email == "ada@acme.test"
        assert not AuditEntry.objects.filter(action="member.email").exists()

    def test_bad_addresses_are_named_and_letters_are_limited(self, shop: Acme, sure: Client) -> None:
        for bad in ("nonsense", "a@b", "eve@evil.example\r\nBcc: x@evil.example"):
            assert 'id="email-error"' in sure.post(page(shop, self.PATH), {"email": bad}).content.decode()
        statuses = [sure.post(page(shop, self.PATH), {"email": self.NEW}).status_code for _ in range(6)]
        assert statuses == [200] * 5 + [429]

    def test_without_a_mail_server_the_page_says_so(self, shop: Acme, sure: Client, settings: Settings) -> None:
        settings.RUNBELL_SMTP_URL = ""
        assert "No mail can be sent" in sure.post(page(shop, self.PATH), {"email": self.NEW}).content.decode()
        assert not letters()
