"""The audit log: who reads it, what it says of every kind of change, filters and pages."""

import re
from typing import get_args

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from runbell.server.db.models import AuditEntry
from runbell.server.services import audit
from runbell.server.services.access import Actor
from runbell.server.services.audit_log import KINDS, PAGE
from runbell.server.services.destinations import add_member_email, delete_setting, save_setting
from runbell.server.services.setting_changes import Change
from runbell.server.services.tokens import authenticate
from runbell.server.services.unsubscribe import unsubscribe_url
from runbell.server.web.audit import KIND_LABELS, SENTENCES
from tests.server.people import NOW, Acme, acme
from tests.server.test_pages import sign_in

pytestmark = pytest.mark.django_db
ACTIONS = get_args(audit.Action)


def page(shop: Acme, client: Client | None = None, query: str = "") -> str:
    answer = (client or sign_in(shop)).get(f"/a/{shop.account.pk}/settings/audit{query}")
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode().partition("<main")[2]))


def record(shop: Acme, action: str = "member.add", subject: str = "zed@acme.test") -> None:
    AuditEntry.objects.create(account=shop.account, at=NOW, member=shop.admin, action=action, subject=subject)


def test_every_action_has_its_sentence() -> None:
    assert set(SENTENCES) == set(ACTIONS)
    assert all("%(subject)s" in str(sentence) for sentence in SENTENCES.values())


def test_every_action_is_of_one_kind() -> None:
    firsts = [word for words in KINDS.values() for word in words]
    assert len(firsts) == len(set(firsts))
    assert {action.partition(".")[0] for action in ACTIONS} == set(firsts)
    assert set(KIND_LABELS) == {"", *KINDS}


def test_only_admins_read_it(shop: Acme) -> None:
    statuses = {role: sign_in(shop, role).get(f"/a/{shop.account.pk}/settings/audit").status_code for role in Role}
    assert statuses == {role: 200 if role is Role.ACCOUNT_ADMIN else 403 for role in Role}


def test_strangers_find_nothing_and_visitors_sign_in(shop: Acme, client: Client) -> None:
    url = f"/a/{shop.account.pk}/settings/audit"
    assert sign_in(acme("Other", "other.test")).get(url).status_code == 404
    assert client.get(url)["Location"].startswith("/account/login/")


def test_another_account_does_not_show(shop: Acme) -> None:
    record(acme("Other", "other.test"), subject="secret@other.test")
    assert "other.test" not in page(shop)


def test_a_change_of_rules_says_which_jobs_by_name(shop: Acme) -> None:
    actor = Actor(shop.admin)
    job, environment = shop.job.pk, shop.job.environment_id
    added = add_member_email(shop.members[Role.DEVELOPER].user_id, Change(jobs={Outcome.FAILED: [job]}), actor=actor, now=NOW)
    moved = Change(jobs={Outcome.FAILED: []}, environments={Outcome.WARNED: [environment]})
    save_setting(added.destination.pk, moved, actor=actor, now=NOW)
    delete_setting(added.destination.pk, actor=actor, now=NOW)
    text = page(shop)
    assert "Notifications of dana@acme.test were set : Fails: nightly (Production)" in text
    assert "Fails: − taken out nightly (Production) Warns, all jobs of: + put in Production (shop)" in text
    assert "Notifications of dana@acme.test were removed : Warns, all jobs of: Production (shop)" in text


def test_who_and_through_what(shop: Acme, client: Client) -> None:
    add_member_email(shop.admin.user_id, Change(jobs={Outcome.FAILED: [shop.job.pk]}), actor=authenticate(shop.token, NOW), now=NOW)
    destination = shop.destination(Role.VIEWER)
    shop.rule(destination)
    client.post("/u/" + unsubscribe_url(destination, 1).partition("/u/")[2])
    text = page(shop)
    assert "ada@acme.test through the token “ci”" in text
    assert "vera@acme.test was unsubscribed from email notifications : Rules: 1 → is now 0" in text
    assert "by an unsubscribe link" in text
    assert "vera@acme.test was added as a member : Role: Viewer on the command line of the server" in text


def test_filter_by_person_and_kind(shop: Acme) -> None:
    record(shop, "token.create", "by ada")
    record(shop, "member.add", "also by ada")
    assert "by ada" in page(shop, query=f"?member={shop.admin.pk}")
    assert "vera@acme.test was added" not in page(shop, query=f"?member={shop.admin.pk}")
    assert "No change fits this filter" in page(shop, query=f"?member={shop.members[Role.VIEWER].pk}")
    tokens = page(shop, query="?kind=tokens")
    assert "The token by ada was created" in tokens
    assert "also by ada" not in tokens
    assert "also by ada" in page(shop, query="?kind=nonsense&member=x&before=y")


def test_pages_follow_one_another_without_gap(shop: Acme) -> None:
    AuditEntry.objects.all().delete()
    for n in range(PAGE + 3):
        record(shop, subject=f"zed-{n:03}@acme.test")
    client = sign_in(shop)
    first = client.get(f"/a/{shop.account.pk}/settings/audit?kind=people").content.decode()
    older = re.search(r'href="(\?kind=people&amp;member=&amp;before=\d+)"', first)
    assert older
    record(shop, subject="meanwhile@acme.test")
    second = client.get(f"/a/{shop.account.pk}/settings/audit{older[1].replace('&amp;', '&')}").content.decode()
    seen = [re.findall(r"zed-\d+", text) for text in (first, second)]
    assert [len(found) for found in seen] == [PAGE, 3]
    assert sorted(seen[0] + seen[1]) == [f"zed-{n:03}" for n in range(PAGE + 3)]
    assert "Older changes" not in second


def test_reasons_and_times_are_in_words(shop: Acme) -> None:
    record(shop, "notifications.lift")
    AuditEntry.objects.update(before={"because": {"code": "smtp_address_unknown"}})
    record(shop, "job.pause", "shop · Production · nightly")
    AuditEntry.objects.filter(action="job.pause").update(after={"paused_until": "2026-11-25T06:30:00+00:00"})
    text = page(shop)
    assert "Reason: There is no such address." in text
    assert re.search(r"Paused until: \w+.*25", text)


def test_names_are_escaped_and_an_unknown_action_is_shown(shop: Acme) -> None:
    record(shop, "future.thing", "<b>%s</b>")
    answer = sign_in(shop).get(f"/a/{shop.account.pk}/settings/audit").content.decode()
    assert "future.thing &lt;b&gt;%s&lt;/b&gt;" in answer


def test_the_number_of_queries_is_fixed(shop: Acme, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    actor = Actor(shop.admin)
    for role in Role:
        both = Change(jobs={Outcome.FAILED: [shop.job.pk]}, environments={Outcome.WARNED: [shop.job.environment_id]})
        add_member_email(shop.members[role].user_id, both, actor=actor, now=NOW)
    client = sign_in(shop)
    page(shop, client)
    with django_assert_max_num_queries(7):
        page(shop, client)
