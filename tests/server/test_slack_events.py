"""POST /integrations/slack/events: who is believed, what is done, and that strangers learn nothing."""

import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from runbell.server.db.models import AuditEntry, Delivery, Destination, SlackApp, SlackChannel, SlackLink, SlackWorkspace
from runbell.server.services import slack_checks
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.events import sign, tokens_revoked, wrapped
from tests.server.people import NOW, Acme, acme
from tests.server.slack_links import EVENTS, configure, do_link, page, slack_for, tell, the_link
from tests.server.test_pages import sign_in

pytestmark = pytest.mark.django_db
UNINSTALLED = {"type": "app_uninstalled"}


@pytest.fixture
def slack(settings: Settings) -> Iterator[FakeSlack]:
    with slack_for(settings) as found:
        yield found


@pytest.fixture
def alerts(shop: Acme, slack: FakeSlack) -> Destination:
    do_link(sign_in(shop), shop, slack)
    return configure(shop, shop.admin, slack.acme.channel("data-alerts"))


def team() -> SlackWorkspace:
    return SlackWorkspace.objects.get()


class TestBelief:
    def test_the_challenge_comes_back(self, slack: FakeSlack, alerts: Destination) -> None:
        body = json.dumps({"type": "url_verification", "challenge": "abc"}).encode()
        answer = tell(slack, {}, body=body)
        assert (answer.status_code, answer.json()) == (200, {"challenge": "abc"})

    @pytest.mark.parametrize(
        "bad",
        [
            {"secret": "another"},
            {"signature": "v0=" + "0" * 64},
            {"signature": "é"},
            {"stamp": "never", "signature": "v0=1"},
            {"stamp": "²", "signature": "v0=1"},
            {"stamp": "9" * 40, "signature": "v0=1"},
        ],
    )
    def test_not_signed(self, slack: FakeSlack, alerts: Destination, bad: dict[str, Any]) -> None:
        answer = tell(slack, UNINSTALLED, **bad)
        assert (answer.status_code, answer.content) == (401, b"")
        assert team().broken_because is None

    @pytest.mark.parametrize(("age", "status"), [(299, 200), (302, 401), (-299, 200), (-302, 401)])
    def test_the_window(self, slack: FakeSlack, alerts: Destination, age: int, status: int) -> None:
        assert tell(slack, UNINSTALLED, stamp=str(int(slack.now) - age)).status_code == status

    def test_another_body_under_the_same_signature(self, slack: FakeSlack, alerts: Destination) -> None:
        body, stamp = wrapped(slack.acme.installations[slack.app.id], UNINSTALLED, slack.now), str(int(slack.now))
        signature = sign(slack.app.signing_secret, int(stamp), body)
        assert tell(slack, {}, body=body + b" ", stamp=stamp, signature=signature).status_code == 401

    @pytest.mark.parametrize("body", [b"\xff\xfe", b"[]", b"{", b'{"type": "event_callback"}', b'{"type": "event_callback", "event": []}'])
    def test_signed_nonsense_is_taken_and_does_nothing(self, slack: FakeSlack, alerts: Destination, body: bytes) -> None:
        assert tell(slack, {}, body=body).status_code == 200
        assert team().broken_because is None

    def test_too_much(self, slack: FakeSlack, alerts: Destination) -> None:
        assert tell(slack, {}, body=b"x" * (256 * 1024 + 1)).status_code == 413

    def test_get_is_no_event(self, slack: FakeSlack) -> None:
        assert Client().get(EVENTS).status_code == 405

    def test_without_any_secret_nobody_is_believed(self, slack: FakeSlack, alerts: Destination, settings: Settings) -> None:
        settings.RUNBELL_SLACK_SIGNING_SECRET = ""
        assert tell(slack, UNINSTALLED).status_code == 401
        assert tell(slack, UNINSTALLED, secret="").status_code == 401

    def test_the_account_own_app_speaks_for_it_alone(self, shop: Acme, slack: FakeSlack, alerts: Destination) -> None:
        """Somebody else's app cannot end the links of this account, though it names its workspace."""
        other = acme("Other", "other.test")
        SlackApp.objects.create(account=other.account, client_id="9.9", client_secret="s", signing_secret="theirs", updated_at=NOW)
        assert tell(slack, UNINSTALLED, secret="theirs").status_code == 200
        assert team().broken_because is None
        SlackApp.objects.filter(account=other.account).update(client_id=slack.app.client_id)
        assert tell(slack, UNINSTALLED, secret="theirs").status_code == 200
        assert team().broken_because is None

    def test_the_page_says_that_slack_reaches_us(self, shop: Acme, slack: FakeSlack, alerts: Destination) -> None:
        client = sign_in(shop)
        assert "Nothing came yet" in client.get(page(shop)).content.decode()
        tell(slack, {"type": "something_new"})
        assert "Slack last told something" in client.get(page(shop)).content.decode()

    def test_once(self, slack: FakeSlack, alerts: Destination) -> None:
        body = wrapped(slack.acme.installations[slack.app.id], UNINSTALLED, slack.now)
        tell(slack, {}, body=body)
        SlackWorkspace.objects.update(broken_because=None, token="xoxb-QuietPlease")
        assert tell(slack, {}, body=body).status_code == 200
        assert team().broken_because is None

    def test_what_failed_is_heeded_when_slack_repeats_it(
        self, slack: FakeSlack, alerts: Destination, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from runbell.server.services import slack_events

        body = wrapped(slack.acme.installations[slack.app.id], UNINSTALLED, slack.now)

        def fails(*_: Any) -> None:
            raise RuntimeError

        with monkeypatch.context() as patched:
            patched.setitem(slack_events.KINDS, "app_uninstalled", fails)
            with pytest.raises(RuntimeError):
                tell(slack, {}, body=body)
        tell(slack, {}, body=body)
        assert team().broken_because is not None


class TestEvents:
    def test_uninstalled(self, shop: Acme, slack: FakeSlack, alerts: Destination) -> None:
        body = wrapped(slack.acme.installations[slack.app.id], UNINSTALLED, slack.now)
        slack.uninstall(slack.acme)
        tell(slack, {}, body=body)
        assert team().broken_because == {"code": "slack_account_inactive", "params": {}}
        slack_checks.run_due(timezone.now())
        assert team().broken_because == {"code": "slack_account_inactive", "params": {}}
        assert (team().token, team().check_at) == ("", None)

    def test_what_was_uninstalled_before_somebody_linked_anew(self, slack: FakeSlack, alerts: Destination) -> None:
        """Events come in any order, and late: the token of now is tried, and the workspace works again by itself."""
        tell(slack, UNINSTALLED)
        assert team().broken_because is not None
        slack_checks.run_due(timezone.now())
        assert team().broken_because is None
        assert team().token in slack.tokens

    def test_revoked_and_then_uninstalled_is_told_once(self, slack: FakeSlack, alerts: Destination) -> None:
        installation = slack.acme.installations[slack.app.id]
        tell(slack, tokens_revoked(installation))
        assert team().broken_because == {"code": "slack_token_revoked", "params": {}}
        tell(slack, UNINSTALLED)
        assert team().broken_because == {"code": "slack_account_inactive", "params": {}}
        assert Delivery.objects.filter(purpose="notice").count() == AuditEntry.objects.filter(action="slack.break").count() == 1

    def test_a_person_token_is_not_ours(self, slack: FakeSlack, alerts: Destination) -> None:
        tell(slack, {"type": "tokens_revoked", "tokens": {"oauth": ["U1"], "bot": []}})
        assert team().broken_because is None

    def test_with_rotation_an_old_token_that_ends_is_only_looked_at(self, slack: FakeSlack, alerts: Destination) -> None:
        SlackWorkspace.objects.update(refresh_token="xoxe-1-x", check_at=timezone.now() + timedelta(days=1))
        tell(slack, tokens_revoked(slack.acme.installations[slack.app.id]))
        found = team()
        assert found.broken_because is None
        assert found.check_at is not None
        assert found.check_at <= timezone.now()

    def test_our_own_revoking_is_no_news(self, shop: Acme, slack: FakeSlack, alerts: Destination) -> None:
        installation = slack.acme.installations[slack.app.id]
        sign_in(shop).post(page(shop, f"/slack/{the_link(shop.admin).pk}/unlink"))
        body = wrapped(installation, tokens_revoked(installation), slack.now)
        assert tell(slack, {}, body=body).status_code == 200
        assert team().broken_because is None

    def test_a_channel_is_renamed(self, slack: FakeSlack, alerts: Destination) -> None:
        channel = slack.acme.channel("data-alerts")
        tell(slack, {"type": "channel_rename", "channel": {"id": channel.id, "name": "alerts", "created": 1}})
        alerts.refresh_from_db()
        assert alerts.address == "#alerts"
        assert SlackChannel.objects.get(channel_id=channel.id).name == "alerts"

    @pytest.mark.parametrize(
        ("kind", "before", "after"),
        [
            ("channel_archive", (False, False), (True, False)),
            ("channel_unarchive", (True, False), (False, False)),
            ("channel_deleted", (False, False), (False, True)),
        ],
    )
    def test_a_channel_comes_and_goes(
        self, slack: FakeSlack, alerts: Destination, kind: str, before: tuple[bool, bool], after: tuple[bool, bool]
    ) -> None:
        SlackChannel.objects.update(is_archived=before[0], is_gone=before[1])
        tell(slack, {"type": kind, "channel": slack.acme.channel("data-alerts").id, "user": "U1"})
        found = SlackChannel.objects.get(channel_id=slack.acme.channel("data-alerts").id)
        assert (found.is_archived, found.is_gone) == after

    def test_a_demoted_owner_is_looked_at(self, shop: Acme, slack: FakeSlack, alerts: Destination) -> None:
        person = slack.acme.person("ada")
        slack.demote(person)
        tell(slack, {"type": "user_change", "user": person.facts(slack.acme)})
        slack_checks.run_due(timezone.now())
        assert the_link(shop.admin).ended_at is not None

    def test_an_event_alone_is_not_believed_about_a_person(self, shop: Acme, slack: FakeSlack, alerts: Destination) -> None:
        tell(slack, {"type": "user_change", "user": {"id": slack.acme.person("ada").id, "is_owner": False, "deleted": True}})
        slack_checks.run_due(timezone.now())
        assert SlackLink.objects.filter(ended_at=None).count() == 1

    def test_strangers_in_the_workspace_change_nothing(self, slack: FakeSlack, alerts: Destination) -> None:
        before = team().check_at
        tell(slack, {"type": "user_change", "user": slack.acme.person("mel").facts(slack.acme)})
        assert team().check_at == before


def test_nothing_secret_is_in_any_log_page_audit_entry_or_clear_column(
    shop: Acme, slack: FakeSlack, caplog: pytest.LogCaptureFixture
) -> None:
    """After linking, refusals, a renewal, events, unlinking: all that was secret in it is looked for everywhere."""
    from django.db import connection

    caplog.set_level(logging.DEBUG)
    slack.app.has_rotation = True
    client = sign_in(shop)
    pages = [do_link(client, shop, slack)]
    pages.append(client.post(page(shop), {"client_id": "", "client_secret": "QuietPlease-typed-in-secret"}).content.decode())
    with slack.lock:
        now = team().check_at
    assert now is not None
    slack_checks.run_due(now)
    tell(slack, {"type": "channel_rename", "channel": {"id": "C1", "name": "x"}})
    tell(slack, UNINSTALLED, secret="wrong")
    sessions_and_rows = dump(connection)
    slack.refuse("invalid_auth", method="auth.test")
    client.post(page(shop, "/slack/check"))
    pages += [client.get(page(shop)).content.decode(), client.get(f"/a/{shop.account.pk}/settings/audit").content.decode()]
    client.post(page(shop, f"/slack/{the_link(shop.admin).pk}/unlink"))
    pages.append(client.get(page(shop)).content.decode())
    secret = {
        *slack.tokens,
        *slack.refreshers,
        *slack.grants,
        slack.app.client_secret,
        slack.app.signing_secret,
        "QuietPlease-typed-in-secret",
    }
    assert len(secret) > 6
    everywhere = "\n".join([*pages, caplog.text, sessions_and_rows, dump(connection)])
    assert [text for text in secret if text in everywhere] == []


def dump(connection: Any) -> str:
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        rows = []
        for table in tables:
            cursor.execute(f'SELECT * FROM "{table}"')
            rows.append(repr(cursor.fetchall()))
    return "\n".join(rows)
