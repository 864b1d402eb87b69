"""Jobs and notification settings of a dbt platform account, carried over: first looked at, then made, and made once."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from runbell.channels.slack_api import ChannelFact
from runbell.core.fields import BadField
from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from runbell.server.commands import parser
from runbell.server.db.models import Account, AuditEntry, DbtPlatform, Delivery, Destination, Environment, Job, Member, Receipt, Rule, User
from runbell.server.services import dbt_platforms, dbt_polls, invitations
from runbell.server.services.access import Actor
from runbell.server.services.slack_channels import store
from runbell.server.services.unsubscribe import unsubscribe_self
from tests.fakes.dbt_platform import FakeDbt
from tests.server.letters import letters
from tests.server.people import NOW, PASSWORD, Acme, acme
from tests.server.slack_shop import channel, configured, link, slack_url, workspace
from tests.server.test_pages import sign_in

AT = {"created_at": NOW, "updated_at": NOW}
FACT = ChannelFact("C07ALERTS", "renamed", 5, is_private=False, is_archived=False)
pytestmark = pytest.mark.django_db


@pytest.fixture
def dbt() -> Iterator[FakeDbt]:
    """Another job beside nightly; ada and bob there; and settings of every kind."""
    with FakeDbt() as fake:
        world = fake.world
        world.jobs[102] = (11, "hourly")
        ada, bob = world.add_user("ada@acme.test"), world.add_user("bob.berg@acme.test", licence="read_only")
        world.add_setting(1, ada, boxes={"on_failure": [101, 102], "on_warning": [101]})
        world.add_setting(1, bob, boxes={"on_failure": [101]})
        world.add_setting(4, ada, boxes={"on_cancel": [101]}, external_email="Ops@partner.example")
        world.add_setting(2, bob, boxes={"on_failure": [102]}, slack_channel_id="C07ALERTS", slack_channel_name="#data-alerts")
        yield fake


@pytest.fixture
def said(dbt: FakeDbt, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> "Said":
    found = Said(dbt, tmp_path / "token", capsys)
    monkeypatch.setattr("time.sleep", found.waited.append)
    return found


class Said:
    """What the command prints: `out` and `err` of the last run."""

    def __init__(self, dbt: FakeDbt, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.dbt, self.file, self.capsys = dbt, file, capsys
        self.waited: list[float] = []
        file.write_text(f"{dbt.token}\n")

    def __call__(self, *more: str, account: str = "7", code: int = 0) -> str:
        words = ["admin", "import", "dbt-platform", "--host", self.dbt.url, "--account", account, "--token-file", str(self.file), *more]
        options = parser().parse_args(words)
        try:
            assert options.command(options) == code
        finally:
            self.out, self.err = self.capsys.readouterr()
            assert self.dbt.token not in self.out + self.err
        return self.out


def counts() -> tuple[int, ...]:
    return tuple(model._default_manager.count() for model in (User, Member, Job, Destination, Rule))


class TestLookingFirst:
    def test_says_what_would_be_made_and_what_is_here(self, shop: Acme, said: Said) -> None:
        before = counts()
        out = " ".join(said().split())
        assert counts() == before
        assert "projects 0 1" in out
        assert "jobs 1 1" in out
        assert "members 1 1" in out
        assert "external addresses 1 0" in out
        assert "Slack channels 1 0" in out
        assert "boxes 6 0" in out
        assert "ada@acme.test: 3 boxes bob" in out
        assert "bob.berg@acme.test: 1 box (new member, viewer)" in out
        assert "Ops@partner.example: 1 box (new external address)" in out
        assert "#data-alerts: 1 box (new Slack channel, waits for a link)" in out
        assert "Nothing was changed" in out
        assert "notifications: 4 read" in said.err

    def test_says_what_cannot_come_and_why(self, shop: Acme, dbt: FakeDbt, said: Said) -> None:
        world, one = dbt.world, {"on_failure": [101]}
        world.add_setting(3, 501, boxes=one)
        world.add_setting(1, 999, boxes=one)
        world.add_setting(1, world.add_user("gone@acme.test", is_active=False), boxes=one)
        world.add_setting(4, 501, boxes=one, external_email="not an address")
        world.add_setting(4, 501, boxes={"on_failure": [101, 7777]}, external_email="more@partner.example")
        Member.objects.filter(user__email="dana@acme.test").update(is_active=False)
        world.add_setting(1, world.add_user("dana@acme.test"), boxes=one)
        out = said()
        assert "setting 9005 is a webhook" in out
        assert "setting 9006 is for the user 999, who is not in the account's list of users" in out
        assert "setting 9007 is for gone@acme.test, whose user is deactivated in dbt" in out
        assert "setting 9008 is for 'not an address', which is no e-mail address" in out
        assert "setting 9009 names jobs that are no longer in dbt (1)" in out
        assert "setting 9010 is for dana@acme.test, who is deactivated here" in out

    def test_one_address_is_one_recipient(self, shop: Acme, dbt: FakeDbt, said: Said) -> None:
        """Twice as an external address in two spellings, and a member's address that dbt has as an external one."""
        dbt.world.add_setting(4, 501, boxes={"on_failure": [101]}, external_email="ops@PARTNER.example")
        dbt.world.add_setting(4, 501, boxes={"on_success": [101]}, external_email="Bob.Berg@acme.test")
        out = said()
        assert "Ops@partner.example: 2 boxes" in out
        assert "bob.berg@acme.test: 2 boxes" in out

    def test_asks_the_database_the_same_however_much_there_is(self, shop: Acme, dbt: FakeDbt, said: Said) -> None:
        def queries() -> int:
            with CaptureQueriesContext(connection) as caught:
                said()
            return len(caught)

        before = queries()
        for number in range(30):
            user = dbt.world.add_user(f"person{number}@acme.test")
            dbt.world.add_setting(1, user, boxes={"on_failure": [101]})
            dbt.world.add_setting(4, user, boxes={"on_failure": [101]}, external_email=f"o{number}@partner.example")
        assert queries() == before


class TestWords:
    def test_the_account_is_named_when_there_are_several(self, shop: Acme, said: Said) -> None:
        Account.objects.create(name="Other", created_at=shop.account.created_at)
        with pytest.raises(BadField, match="--into"):
            said()
        assert f"into account {shop.account.pk}" in said("--into", str(shop.account.pk))
        with pytest.raises(BadField, match="there is no account 99999"):
            said("--into", "99999")

    @pytest.mark.parametrize("text", ["", "\n", None, b"\xff\xfe"])
    def test_a_token_file_that_is_none(self, shop: Acme, said: Said, text: str | bytes | None) -> None:
        said.file.unlink()
        if text is not None:
            said.file.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(BadField, match="--token-file"):
            said()

    def test_a_token_of_two_words_is_refused_and_not_repeated(self, shop: Acme, said: Said) -> None:
        said.file.write_text("secret words\n")
        with pytest.raises(BadField, match="token") as bad:
            said()
        assert "secret" not in str(bad.value)

    @pytest.mark.parametrize(
        ("fault", "words"),
        [(401, "does not accept the token"), (403, "Account Viewer"), ("html", "not the dbt platform's Admin API")],
    )
    def test_trouble_is_said_with_the_way_out(self, shop: Acme, dbt: FakeDbt, said: Said, fault: int | str, words: str) -> None:
        dbt.faults = [fault] * 5
        said(code=1)
        assert words in said.err

    def test_another_account(self, shop: Acme, said: Said) -> None:
        said(account="8", code=1)
        assert "knows no such account" in said.err

    def test_waits_when_it_is_asked_to(self, shop: Acme, dbt: FakeDbt, said: Said) -> None:
        dbt.faults = [30.0, 503]
        said()
        assert said.waited == [30.0, 2.0]
        assert "again in 30 s" in said.err

    def test_help_teaches(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            parser().parse_args(["admin", "import", "dbt-platform", "--help"])
        out = capsys.readouterr().out
        for words in ("Nothing is changed", "waiting for a link", "can be run again", "Account Viewer"):
            assert words.lower() in " ".join(out.split()).lower()


def boxes(destination: Destination) -> set[tuple[str, str]]:
    return {(rule.job.name if rule.job else "all", rule.outcome) for rule in destination.rules.select_related("job")}


def revisions() -> list[tuple[int, int]]:
    return list(Destination.objects.order_by("pk").values_list("pk", "revision"))


class TestApplying:
    def test_everybody_gets_what_they_chose(self, shop: Acme, said: Said) -> None:
        said("--apply")
        ada = Destination.objects.get(member=shop.admin)
        assert boxes(ada) == {("nightly", "failed"), ("hourly", "failed"), ("nightly", "warned")}
        bob = Destination.objects.get(member__user__email="bob.berg@acme.test")
        assert boxes(bob) == {("nightly", "failed")}
        outside = Destination.objects.get(address="Ops@partner.example")
        assert boxes(outside) == {("nightly", "cancelled")}
        assert (outside.created_by, outside.confirmed_at is not None) == (shop.admin, True)
        slack = Destination.objects.get(kind="slack")
        assert boxes(slack) == {("hourly", "failed")}
        assert (slack.address, slack.link) == ("#data-alerts", None)
        assert "Carried over." in said.out
        assert "settings: 4 of 4 carried over" in said.err

    def test_twice_changes_nothing(self, shop: Acme, said: Said) -> None:
        said("--apply")
        before = counts(), revisions(), AuditEntry.objects.count(), Environment.objects.count(), DbtPlatform.objects.count()
        out = " ".join(said("--apply").split())
        assert (counts(), revisions(), AuditEntry.objects.count(), Environment.objects.count(), DbtPlatform.objects.count()) == before
        assert "boxes 0 6" in out
        assert "To make" not in out

    def test_what_was_chosen_here_stays(self, shop: Acme, said: Said) -> None:
        shop.rule(shop.destination(), Outcome.SUCCEEDED)
        outside = Destination.objects.create(
            account=shop.account, kind="email", address="ops@partner.example", address_key="ops@partner.example", public_id="o", **AT
        )
        shop.rule(outside, Outcome.FAILED)
        said("--apply")
        assert ("nightly", "succeeded") in boxes(Destination.objects.get(member=shop.admin))
        assert boxes(outside) == {("nightly", "failed"), ("nightly", "cancelled")}

    def test_it_is_in_the_audit_log(self, shop: Acme, said: Said) -> None:
        said("--apply")
        [made] = AuditEntry.objects.filter(action="notifications.create", subject="Ops@partner.example")
        assert (made.member, made.after["on_cancel"]) == (None, [shop.job.pk])
        assert AuditEntry.objects.filter(action="member.add", subject="bob.berg@acme.test").exists()
        assert said.dbt.token not in str(list(AuditEntry.objects.values()))

    def test_who_becomes_a_member_has_no_password_and_can_set_one(self, shop: Acme, said: Said) -> None:
        said("--apply")
        bob = Member.objects.get(user__email="bob.berg@acme.test")
        assert (bob.role, bob.user.name, bob.user.has_usable_password()) == ("viewer", "Bob Berg", False)
        assert letters() == []
        Client().post("/account/password/reset/", {"email": "bob.berg@acme.test"})
        assert "/account/password/reset/key/" in letters()[-1].text

    def test_somebody_of_another_account_keeps_their_password(self, shop: Acme, said: Said) -> None:
        user = User.objects.create(email="bob.berg@acme.test")
        user.set_password(PASSWORD)
        user.save()
        said("--apply")
        assert Member.objects.get(account=shop.account, user=user).user.check_password(PASSWORD)

    def test_an_external_address_of_somebody_who_becomes_a_member_goes_along(self, shop: Acme, said: Said) -> None:
        outside = Destination.objects.create(
            account=shop.account, kind="email", address="bob.berg@acme.test", address_key="bob.berg@acme.test", public_id="o", **AT
        )
        shop.rule(outside, Outcome.SUCCEEDED)
        said("--apply")
        bob = Destination.objects.get(member__user__email="bob.berg@acme.test")
        assert boxes(bob) == {("nightly", "failed"), ("nightly", "succeeded")}
        assert not Destination.objects.filter(address="bob.berg@acme.test", state=1).exists()

    def test_who_unsubscribed_here_stays_unsubscribed(self, shop: Acme, said: Said) -> None:
        said("--apply")
        unsubscribe_self(Actor(shop.admin), now=NOW)
        out = said("--apply")
        assert boxes(Destination.objects.get(member=shop.admin)) == set()
        assert "ada@acme.test unsubscribed here from some of it" in out

    def test_who_is_invited_is_left_to_join(self, shop: Acme, said: Said) -> None:
        invitations.invite("bob.berg@acme.test", Role.VIEWER, account=shop.account, by_mail=False, now=NOW)
        assert "is invited here and has not joined yet" in said("--apply")
        assert not Member.objects.filter(user__email="bob.berg@acme.test").exists()

    @pytest.mark.usefixtures("shop")
    def test_an_external_address_is_asked_where_that_is_wanted(self, said: Said, settings: Settings) -> None:
        settings.RUNBELL_CONFIRM_EXTERNAL = True
        said("--apply")
        assert Destination.objects.get(address="Ops@partner.example").confirmed_at is None
        assert Delivery.objects.filter(destination__address="Ops@partner.example", purpose="account").count() == 1


class TestPlaces:
    def test_jobs_that_report_here_are_the_same_jobs(self, shop: Acme, said: Said) -> None:
        said("--apply")
        assert {job.name: job.pk == shop.job.pk for job in Job.objects.all()} == {"nightly": True, "hourly": False}

    def test_connecting_later_finds_them(self, shop: Acme, dbt: FakeDbt, said: Said) -> None:
        said("--apply")
        before = counts()
        given = {"host": dbt.url, "external_id": "7", "token": dbt.token, "webhook_secret": ""}
        platform = dbt_platforms.connect(Actor(shop.admin), **given, now=NOW)
        dbt_polls.poll(platform, now=NOW)
        assert counts() == before
        assert set(Job.objects.values_list("external_id", flat=True)) == {"101", "102"}

    def test_two_jobs_of_one_name_are_two(self, shop: Acme, dbt: FakeDbt, said: Said) -> None:
        dbt.world.jobs[103] = (11, "nightly")
        dbt.world.add_setting(4, 501, boxes={"on_failure": [103]}, external_email="second@partner.example")
        said("--apply")
        said("--apply")
        assert boxes(Destination.objects.get(address="second@partner.example")) == {("nightly (103)", "failed")}
        assert Job.objects.count() == 3

    def test_rules_of_whole_environments_come_from_a_runbell(self, shop: Acme, dbt: FakeDbt, said: Said) -> None:
        lists = {"on_failure": [11], "on_cancel": [], "on_success": [], "on_warning": []}
        dbt.world.add_setting(4, 501, boxes={}, external_email="all@partner.example", runbell_environments=lists)
        said("--apply")
        [rule] = Rule.objects.filter(destination__address="all@partner.example")
        assert rule.environment == shop.job.environment


class TestSlackChannels:
    """Kept as waiting for a link: with boxes, silent, and adopted when a linked workspace turns out to have them."""

    def test_it_is_silent_and_its_receipt_says_why(self, shop: Acme, said: Said) -> None:
        said("--apply")
        job = Job.objects.get(name="hourly")
        client = Client()
        report = {
            "version": 1,
            "key": "1",
            "state": "finished",
            "job": {"project": "shop", "environment": "Production", "name": "hourly"},
            "started_at": NOW.isoformat(),
            "finished_at": NOW.isoformat(),
            "steps": [{"index": 1, "command": "dbt build", "exit_code": 1}],
        }
        client.post("/api/runbell/v1/runs", report, content_type="application/json", headers={"Authorization": f"Token {shop.token}"})
        hears = client.get(
            "/api/runbell/v1/check?project=shop&environment=Production&job=hourly", headers={"Authorization": f"Token {shop.token}"}
        )
        assert hears.json()["job"]["hears"]["failed"] == 1  # ada alone
        [receipt] = Receipt.objects.filter(run__job=job, destination__kind="slack")
        assert (receipt.is_told, receipt.because["code"]) == (False, "slack_waiting")

    def test_its_page_shows_it_and_lets_a_manager_edit(self, shop: Acme, said: Said) -> None:
        said("--apply")
        text = sign_in(shop).get(slack_url(shop, ":C07ALERTS")).content.decode()
        assert "waiting for a link" in text
        assert "Its workspace is not linked yet" in text
        manager = sign_in(shop, Role.NOTIFICATION_MANAGER)
        assert manager.get(slack_url(shop)).status_code == 200
        assert "edit=1" in manager.get(slack_url(shop, ":C07ALERTS")).content.decode()

    def test_a_link_adopts_it(self, shop: Acme, said: Said) -> None:
        said("--apply")
        team = workspace(shop)
        link(team, shop.admin)
        store(team, [FACT], NOW)
        found = Destination.objects.get(kind="slack")
        assert (found.address, found.address_key, found.link and found.link.member) == ("#renamed", "T0000001:C07ALERTS", shop.admin)
        assert AuditEntry.objects.filter(action="slack.take_over").count() == 1
        before = counts(), revisions()
        said("--apply")
        store(team, [FACT], NOW)
        assert (counts(), revisions()) == before

    def test_a_workspace_that_is_linked_already_has_it_at_once(self, shop: Acme, said: Said) -> None:
        team = workspace(shop)
        link(team, shop.admin)
        channel(team, "data-alerts", "C07ALERTS")
        said("--apply")
        assert Destination.objects.get(kind="slack").link is not None

    def test_one_that_is_configured_by_hand_gets_the_boxes(self, shop: Acme, said: Said) -> None:
        team = workspace(shop)
        by_hand = configured(channel(team, "data-alerts", "C07ALERTS"), link(team, shop.admin))
        shop.rule(by_hand, Outcome.WARNED)
        said("--apply")
        assert boxes(by_hand) == {("nightly", "warned"), ("hourly", "failed")}
        assert Destination.objects.filter(kind="slack").count() == 1

    def test_one_that_was_configured_by_hand_meanwhile_gets_the_boxes(self, shop: Acme, said: Said) -> None:
        said("--apply")
        team = workspace(shop)
        by_hand = configured(channel(team, "renamed", "C07ALERTS"), link(team, shop.admin))
        store(team, [FACT], NOW)
        assert boxes(by_hand) == {("hourly", "failed")}
        assert Destination.objects.filter(kind="slack", state=1).get() == by_hand

    @pytest.mark.parametrize("marks", [{"is_private": True}, {"is_archived": True}])
    def test_what_is_not_public_keeps_waiting(self, shop: Acme, said: Said, marks: dict[str, bool]) -> None:
        said("--apply")
        team = workspace(shop)
        link(team, shop.admin)
        store(team, [replace(FACT, **marks)], NOW)  # type: ignore[arg-type]
        assert Destination.objects.get(kind="slack").link is None

    def test_another_accounts_workspace_adopts_nothing(self, shop: Acme, said: Said) -> None:
        other = acme("Other", "other.test")
        said("--apply", "--into", str(shop.account.pk))
        team = workspace(other)
        link(team, other.admin)
        store(team, [FACT], NOW)
        assert Destination.objects.get(kind="slack").link is None
