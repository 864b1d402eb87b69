"""Members: the list, roles, leaving and coming back, the last admin, several accounts, and what the shell can do."""

import html
import re
from datetime import timedelta
from itertools import pairwise
from threading import Thread

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from runbell.core.fields import BadField
from runbell.core.permissions import ALLOWED, SENTENCES, Action, Role
from runbell.core.runs import Outcome
from runbell.server import commands
from runbell.server.db.models import AuditEntry, Delivery, Destination, Invitation, Member, Receipt, Rule, Token
from runbell.server.services import invitations, leaving, members
from runbell.server.services.access import Actor, NotAllowed, NotThere
from runbell.server.services.tokens import authenticate, create_token
from runbell.server.web.roles import ACTIONS, ROLES, role_facts
from tests.server.people import NOW, PASSWORD, Acme, acme
from tests.server.test_pages import make_run, sign_in

pytestmark = pytest.mark.django_db


def url(shop: Acme, rest: str = "") -> str:
    return f"/a/{shop.account.pk}/settings/members{rest}"


def page(shop: Acme, client: Client | None = None) -> str:
    text = (client or sign_in(shop)).get(url(shop)).content.decode()
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", text.partition("<main")[2])))


def set_role(shop: Acme, member: Member, role: str, *, sure: bool = False, client: Client | None = None) -> str:
    data = {"role": role} | ({"sure": "1"} if sure else {})
    return (client or sign_in(shop)).post(url(shop, f"/{member.pk}/role"), data, follow=True).content.decode()


def second_admin(shop: Acme) -> Member:
    return members.add_member(account=shop.account, email="zoe@acme.test", role=Role.ACCOUNT_ADMIN, password=PASSWORD, now=NOW)


class TestList:
    def test_people_what_they_hear_and_when_they_were_here(self, shop: Acme) -> None:
        destination = shop.destination(Role.DEVELOPER)
        shop.rule(destination)
        shop.rule(destination, Outcome.WARNED, environment=True)
        refused = shop.destination(Role.VIEWER)
        shop.rule(refused)
        Destination.objects.filter(pk=refused.pk).update(disabled_because={"code": "smtp_address_unknown"})
        Member.objects.filter(pk=shop.members[Role.DEVELOPER].pk).update(seen_at=timezone.now() - timedelta(hours=3))
        text = page(shop)
        assert "4 people" in text
        assert "dana@acme.test" in text
        link = f'/settings/notifications/email?to=m{shop.members[Role.DEVELOPER].pk}"'
        assert link in sign_in(shop).get(url(shop)).content.decode()
        assert re.search(r"D dana@acme\.test .*2 rules , notifications of dana@acme\.test 3 h ago", text)
        assert re.search(r"V vera@acme\.test .*address refused , notifications of vera@acme\.test never", text)
        assert re.search(r"A ada@acme\.test you Account admin the only one, so it stays none , notifications of ada@acme\.test now", text)

    def test_rules_of_deleted_jobs_do_not_count(self, shop: Acme) -> None:
        shop.rule(shop.destination())
        shop.job.state = 2
        shop.job.save()
        assert "1 rule" not in page(shop)

    def test_only_admins_see_it(self, shop: Acme, client: Client) -> None:
        statuses = {role: sign_in(shop, role).get(url(shop)).status_code for role in Role}
        assert statuses == {role: 200 if role is Role.ACCOUNT_ADMIN else 403 for role in Role}
        assert sign_in(acme("Other", "other.test")).get(url(shop)).status_code == 404
        assert client.get(url(shop))["Location"].startswith("/account/login/")

    def test_what_each_role_may_do_is_the_table_of_roles(self, shop: Acme) -> None:
        assert {action: str(sentence) for action, sentence in ACTIONS.items()} == SENTENCES
        assert set(ROLES) == set(Role)
        assert all(ALLOWED[less] < ALLOWED[more] for more, less in pairwise(Role))  # so that “and also” is true
        assert sum(len(fact.sentences) for fact in role_facts()) == len(Action)
        assert all(sentence in page(shop) for sentence in SENTENCES.values())

    def test_as_many_queries_for_many_as_for_few(self, shop: Acme, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
        for n in range(8):
            member = members.add_member(account=shop.account, email=f"p{n}@acme.test", role=Role.VIEWER, password=PASSWORD, now=NOW)
            destination = Destination.objects.create(
                account=shop.account, kind="email", member=member, public_id=f"p{n}", created_at=NOW, updated_at=NOW
            )
            shop.rule(destination)
            invitations.invite(f"i{n}@acme.test", Role.VIEWER, actor=Actor(shop.admin), now=timezone.now())
        client = sign_in(shop)
        page(shop, client)
        with django_assert_max_num_queries(6):
            page(shop, client)

    def test_names_are_escaped(self, shop: Acme) -> None:
        user = shop.members[Role.VIEWER].user
        user.name = "<script>alert(1)</script>"
        user.save()
        assert "<script>alert" not in sign_in(shop).get(url(shop)).content.decode()


class TestSeen:
    def test_to_about_five_minutes(self, shop: Acme, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        client, member = sign_in(shop, Role.VIEWER), shop.members[Role.VIEWER]
        client.get(f"/a/{shop.account.pk}/deliveries")
        member.refresh_from_db()
        first = member.seen_at
        assert first is not None
        client.get(f"/a/{shop.account.pk}/deliveries")
        member.refresh_from_db()
        assert member.seen_at == first
        Member.objects.filter(pk=member.pk).update(seen_at=first - timedelta(minutes=6))
        client.get(f"/a/{shop.account.pk}/deliveries")
        member.refresh_from_db()
        assert member.seen_at >= first


class TestRole:
    def test_changing_it_is_audited(self, shop: Acme) -> None:
        vera = shop.members[Role.VIEWER]
        assert "vera@acme.test: Developer" in set_role(shop, vera, "developer")
        vera.refresh_from_db()
        assert vera.role == "developer"
        entry = AuditEntry.objects.get(action="member.role")
        assert (entry.member, entry.subject, entry.before, entry.after) == (
            shop.admin,
            "vera@acme.test",
            {"role": "viewer"},
            {"role": "developer"},
        )

    def test_the_same_role_is_no_change(self, shop: Acme) -> None:
        set_role(shop, shop.members[Role.VIEWER], "viewer")
        assert not AuditEntry.objects.filter(action="member.role").exists()

    @pytest.mark.parametrize("role", ["", "owner"])
    def test_an_unknown_role_changes_nothing(self, shop: Acme, role: str) -> None:
        set_role(shop, shop.members[Role.VIEWER], role)
        assert Member.objects.get(pk=shop.members[Role.VIEWER].pk).role == "viewer"

    @pytest.mark.parametrize("role", [Role.VIEWER, Role.DEVELOPER, Role.NOTIFICATION_MANAGER])
    def test_nobody_makes_themselves_an_admin(self, shop: Acme, role: Role) -> None:
        member = shop.members[role]
        answer = sign_in(shop, role).post(url(shop, f"/{member.pk}/role"), {"role": "account_admin", "sure": "1"})
        assert answer.status_code == 403
        member.refresh_from_db()
        assert member.role == role

    def test_members_of_other_accounts_are_not_there(self, shop: Acme) -> None:
        strange = acme("Other", "other.test").members[Role.VIEWER]
        for rest in ("role", "deactivate", "reactivate"):
            assert sign_in(shop).post(url(shop, f"/{strange.pk}/{rest}"), {"role": "developer"}).status_code == 404
        strange.refresh_from_db()
        assert (strange.role, strange.is_active) == ("viewer", True)

    def test_the_last_admin_stays(self, shop: Acme) -> None:
        answer = set_role(shop, shop.admin, "viewer", sure=True)
        assert "The account needs an admin" in answer
        leave = sign_in(shop).post(url(shop, f"/{shop.admin.pk}/deactivate"))
        assert leave.status_code == 409
        shop.admin.refresh_from_db()
        assert (shop.admin.role, shop.admin.is_active) == ("account_admin", True)

    def test_an_inactive_admin_does_not_count(self, shop: Acme) -> None:
        other = second_admin(shop)
        leaving.deactivate(Actor(shop.admin), other.pk, now=NOW)
        with pytest.raises(members.LastAdmin):
            members.change_role(Actor(shop.admin), shop.admin.pk, Role.VIEWER, now=NOW)

    def test_who_was_demoted_meanwhile_changes_nobody(self, shop: Acme) -> None:
        other, stale = second_admin(shop), Actor(shop.admin)
        members.change_role(Actor(other), shop.admin.pk, Role.VIEWER, now=NOW)
        with pytest.raises(PermissionError):
            members.change_role(stale, other.pk, Role.VIEWER, now=NOW)

    def test_giving_up_ones_own_rights_asks_first(self, shop: Acme) -> None:
        second_admin(shop)
        client = sign_in(shop)
        asked = set_role(shop, shop.admin, "viewer", client=client)
        assert "Give up your rights as an admin?" in asked
        assert "You become Viewer." in asked
        shop.admin.refresh_from_db()
        assert shop.admin.role == "account_admin"
        set_role(shop, shop.admin, "viewer", sure=True, client=client)
        shop.admin.refresh_from_db()
        assert shop.admin.role == "viewer"
        assert client.get(url(shop)).status_code == 403


class TestLeaving:
    def test_the_question_says_what_ends_and_what_stays(self, shop: Acme) -> None:
        dana = shop.members[Role.DEVELOPER]
        shop.rule(shop.destination(Role.DEVELOPER))
        create_token(member=dana, name="airflow", permissions=[], now=NOW)
        Destination.objects.create(
            account=shop.account,
            kind="email",
            address="ops@partner.test",
            address_key="ops@partner.test",
            created_by=dana,
            public_id="x",
            created_at=NOW,
            updated_at=NOW,
        )
        text = sign_in(shop).get(url(shop, f"/{dana.pk}/deactivate")).content.decode()
        for words in (
            "Deactivate dana@acme.test?",
            "1 rule that brings mail to them",
            "1 token that acts as them:",
            "airflow",
            "1 external address they added, with its rules:",
            "ops@partner.test",
        ):
            assert words in text
        dana.refresh_from_db()
        assert dana.is_active

    def test_own_rules_end_and_everything_else_stays(self, shop: Acme) -> None:
        dana, own, others = shop.members[Role.DEVELOPER], shop.destination(Role.DEVELOPER), shop.destination(Role.VIEWER)
        external = Destination.objects.create(
            account=shop.account,
            kind="email",
            address="ops@partner.test",
            address_key="ops@partner.test",
            created_by=dana,
            public_id="x",
            created_at=NOW,
            updated_at=NOW,
        )
        for destination in (own, others, external):
            shop.rule(destination)
        run = make_run(shop)
        sign_in(shop).post(url(shop, f"/{dana.pk}/deactivate"))
        assert set(Rule.objects.values_list("destination", flat=True)) == {others.pk, external.pk}
        assert Receipt.objects.filter(run=run).count() == 3
        states = dict(Delivery.objects.values_list("destination", "state"))
        assert states == {own.pk: "suppressed", others.pk: "queued", external.pk: "queued"}
        assert Delivery.objects.filter(destination=own, last_because__code="member_inactive").exists()
        assert [entry.action for entry in AuditEntry.objects.order_by("-pk")[:2]] == ["member.deactivate", "notifications.delete"]
        assert AuditEntry.objects.get(action="notifications.delete").before["on_failure"] == [shop.job.pk]
        make_run(shop)
        assert not Delivery.objects.filter(destination=own, state="queued").exists()

    def test_what_is_being_sent_ends_by_itself(self, shop: Acme) -> None:
        shop.rule(shop.destination(Role.DEVELOPER))
        make_run(shop)
        Delivery.objects.update(state="sending", claim="x")
        leaving.deactivate(Actor(shop.admin), shop.members[Role.DEVELOPER].pk, now=NOW)
        assert Delivery.objects.get().state == "sending"

    def test_pages_and_tokens_are_closed_at_once(self, shop: Acme) -> None:
        dana = shop.members[Role.DEVELOPER]
        token = create_token(member=dana, name="airflow", permissions=[], now=NOW)
        client = sign_in(shop, Role.DEVELOPER)
        assert client.get(f"/a/{shop.account.pk}/").status_code == 200
        leaving.deactivate(Actor(shop.admin), dana.pk, now=NOW)
        assert client.get(f"/a/{shop.account.pk}/").status_code == 404
        with pytest.raises(NotThere):
            authenticate(token, NOW)
        assert Token.objects.get(name="airflow").revoked_at is None

    def test_invitations_they_sent_are_withdrawn(self, shop: Acme) -> None:
        other = second_admin(shop)
        invitations.invite("mallory@acme.test", Role.ACCOUNT_ADMIN, actor=Actor(other), now=NOW)
        leaving.deactivate(Actor(shop.admin), other.pk, now=NOW)
        assert Invitation.objects.get().revoked_at == NOW

    def test_coming_back_starts_without_rules(self, shop: Acme) -> None:
        dana = shop.members[Role.DEVELOPER]
        shop.rule(shop.destination(Role.DEVELOPER))
        client = sign_in(shop)
        client.post(url(shop, f"/{dana.pk}/deactivate"))
        assert "Reactivate" in page(shop, client)
        client.post(url(shop, f"/{dana.pk}/reactivate"))
        dana.refresh_from_db()
        assert (dana.is_active, dana.role) == (True, "developer")
        assert not Destination.objects.filter(member=dana, state=1).exists()
        assert "dana@acme.test" not in page(shop, client).partition("Deactivated")[2]
        assert AuditEntry.objects.get(action="member.reactivate").subject == "dana@acme.test"

    def test_twice_is_as_once(self, shop: Acme) -> None:
        actor, dana = Actor(shop.admin), shop.members[Role.DEVELOPER]
        for _ in range(2):
            leaving.deactivate(actor, dana.pk, now=NOW)
        assert AuditEntry.objects.filter(action="member.deactivate").count() == 1

    def test_leaving_oneself(self, shop: Acme) -> None:
        second_admin(shop)
        client = sign_in(shop)
        assert "Leave this account?" in client.get(url(shop, f"/{shop.admin.pk}/deactivate")).content.decode()
        assert client.post(url(shop, f"/{shop.admin.pk}/deactivate"))["Location"] == "/"
        assert "You belong to no account" in client.get("/").content.decode()


class TestSeveralAccounts:
    def test_the_name_of_the_account_becomes_a_menu(self, shop: Acme) -> None:
        other = acme("Other", "other.test")
        client = sign_in(shop)
        alone = client.get(f"/a/{shop.account.pk}/").content.decode()
        assert 'class="menu accounts"' not in alone
        Member.objects.create(account=other.account, user=shop.admin.user, role=Role.VIEWER, created_at=NOW)
        both = client.get(f"/a/{shop.account.pk}/").content.decode()
        assert f'<a href="/a/{shop.account.pk}/" aria-current="true">' in both
        assert f'<a href="/a/{other.account.pk}/">' in both
        Member.objects.filter(account=other.account, user=shop.admin.user).update(is_active=False)
        assert 'class="menu accounts"' not in client.get(f"/a/{shop.account.pk}/").content.decode()


def shell(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a command prints; `main` would set up the logs of this whole process."""
    options = commands.parser().parse_args(["admin", "member", *words])
    assert options.command(options) == 0
    return capsys.readouterr().out.strip()


class TestShell:
    def test_a_reset_link_sets_a_new_password_once(self, shop: Acme, client: Client, capsys: pytest.CaptureFixture[str]) -> None:
        path = "/" + shell(capsys, "reset-link", "VERA@acme.test").split("/", 3)[3]
        form = client.get(path)
        assert form.status_code == 302
        client.post(form["Location"], {"password1": "a new long one", "password2": "a new long one"})
        user = shop.members[Role.VIEWER].user
        user.refresh_from_db()
        assert user.check_password("a new long one")
        assert "This link no longer works" in Client().get(path).content.decode()
        assert AuditEntry.objects.get(action="member.reset_link").subject == "vera@acme.test"

    def test_a_reset_link_for_nobody(self, shop: Acme, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(BadField, match=r"nobody signs in as nobody@acme\.test"):
            shell(capsys, "reset-link", "nobody@acme.test")

    def test_an_invitation_link(self, shop: Acme, client: Client, capsys: pytest.CaptureFixture[str]) -> None:
        words = ["invite", "--account", str(shop.account.pk), "grace@acme.test", "--role", "viewer"]
        path = "/" + shell(capsys, *words).split("/", 3)[3]
        assert "is invited, as Viewer" in re.sub(r"<[^>]+>", "", client.get(path).content.decode())
        assert not Delivery.objects.exists()
        assert "invited as Viewer on the command line" in page(shop)
        with pytest.raises(BadField, match="is invited already"):
            shell(capsys, *words)


@pytest.mark.django_db(transaction=True)
def test_two_admins_who_demote_each_other_at_once_leave_one() -> None:
    """On SQLite a transaction has the whole database, so nothing happens at once."""
    if connection.vendor != "postgresql":
        return
    shop = acme()
    other, outcomes = second_admin(shop), list[object]()

    def demote_the_first() -> None:
        try:
            outcomes.append(members.change_role(Actor(other), shop.admin.pk, Role.VIEWER, now=NOW))
        except (members.LastAdmin, PermissionError) as error:
            outcomes.append(error)
        finally:
            connection.close()

    thread = Thread(target=demote_the_first)
    with transaction.atomic():
        members.change_role(Actor(shop.admin), other.pk, Role.VIEWER, now=NOW)
        thread.start()
        while thread.is_alive() and not somebody_waits():
            thread.join(0.01)
    thread.join()
    assert [type(outcome).__name__ for outcome in outcomes] == [NotAllowed.__name__]
    assert Member.objects.filter(account=shop.account, role=Role.ACCOUNT_ADMIN, is_active=True).count() == 1


def somebody_waits() -> bool:
    """Whether PostgreSQL holds another connection up for a lock of ours."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])
