"""Invitations: sent, copied, sent again, withdrawn, and what their links open for whom."""

import re
import threading
from datetime import timedelta
from email import message_from_bytes, policy

import pytest
from django.conf import settings as server
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from runbell.core.fields import BadField
from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from runbell.server.db.models import AuditEntry, Delivery, Destination, Invitation, MailboxItem, Member, User
from runbell.server.services import invitations
from runbell.server.services.accepting import accept_as, accept_as_new
from runbell.server.services.access import Actor
from runbell.server.services.deliveries import connect
from runbell.server.services.invitation_links import join_url
from runbell.server.services.members import add_member
from runbell.server.services.parcels import Renderer
from tests.server.letters import parcel_of
from tests.server.people import NOW, PASSWORD, Acme, acme
from tests.server.test_pages import sign_in

pytestmark = pytest.mark.django_db
GRACE = "grace@acme.test"


def invite(shop: Acme, email: str = GRACE, role: Role = Role.DEVELOPER) -> Invitation:
    return invitations.invite(email, role, actor=Actor(Member.objects.get(pk=shop.admin.pk)), now=timezone.now())


def path(invitation: Invitation) -> str:
    return join_url(invitation).removeprefix(server.RUNBELL_PUBLIC_URL)


def mail(invitation: Invitation) -> Delivery:
    assert invitation.delivery is not None
    return invitation.delivery


def ask(shop: Acme, email: str = GRACE, role: str = "developer", client: Client | None = None) -> str:
    data = {"email": email, "role": role}
    return (client or sign_in(shop)).post(f"/a/{shop.account.pk}/settings/members", data, follow=True).content.decode()


def act(shop: Acme, invitation: Invitation, what: str, client: Client | None = None) -> int:
    return (client or sign_in(shop)).post(f"/a/{shop.account.pk}/settings/invitations/{invitation.pk}/{what}").status_code


def mail_of(delivery: Delivery) -> str:
    """What would go over the wire, decoded."""
    parcel = parcel_of(delivery, now=NOW)
    assert parcel.suppressed is None
    assert parcel.settings["address"] == GRACE
    mail = message_from_bytes(Renderer().payload(parcel), policy=policy.default)
    text = mail.get_body(("plain",))
    assert text is not None
    return f"{mail['Subject']}\n{text.get_content()}"


class TestInviting:
    def test_by_mail_through_the_outbox(self, shop: Acme) -> None:
        page = ask(shop, "  Grace@ACME.test ")
        assert f"An invitation to {GRACE} is on its way" in page
        assert "mail on its way" in page
        invitation = Invitation.objects.get()
        assert (invitation.email, invitation.role, invitation.invited_by) == (GRACE, "developer", shop.admin)
        assert invitation.expires_at - invitation.created_at == timedelta(days=7)
        delivery = Delivery.objects.get()
        assert (delivery.account, delivery.purpose, delivery.state) == (shop.account, "notice", "queued")
        mail = mail_of(delivery)
        assert "INVITATION · Acme" in mail
        assert join_url(invitation) in mail
        assert "ada@acme.test invites you to join Acme" in re.sub(r"\s+", " ", mail)

    def test_the_link_is_stored_nowhere_in_clear(self, shop: Acme) -> None:
        token = join_url(invite(shop)).rsplit("/", 1)[1]
        with connection.cursor() as cursor:
            for table in ("runbell_invitation", "runbell_delivery", "runbell_auditentry", "runbell_message"):
                cursor.execute(f"SELECT * FROM {table}")
                assert all(
                    token not in str(bytes(cell) if isinstance(cell, memoryview) else cell) for row in cursor.fetchall() for cell in row
                )

    def test_in_the_language_of_the_account_or_of_somebody_known(self, shop: Acme) -> None:
        shop.account.language = "ru"
        shop.account.save()
        assert "ПРИГЛАШЕНИЕ" in mail_of(mail(invite(shop)))
        User.objects.create(email="known@acme.test", language="en")
        known = mail(invite(shop, "known@acme.test"))
        assert b"INVITATION" in bytes(known.payload or b"")

    def test_without_a_relay_the_mailbox_shows_it(self, shop: Acme) -> None:
        delivery = mail(invite(shop))
        parcel = parcel_of(delivery, now=NOW)
        connect("email", clock=timezone.now).send(parcel.settings, Renderer().payload(parcel), parcel.key)
        assert MailboxItem.objects.get().recipient == GRACE
        page = sign_in(shop).get(f"/a/{shop.account.pk}/mailbox").content.decode()
        assert "INVITATION · Acme" in page

    def test_the_delivery_log_says_to_whom(self, shop: Acme) -> None:
        invite(shop)
        page = sign_in(shop).get(f"/a/{shop.account.pk}/deliveries").content.decode()
        assert GRACE in page
        assert "invitation" in page

    @pytest.mark.parametrize(
        ("email", "said"),
        [
            ("nonsense", "This is not an e-mail address"),
            ("", "This is not an e-mail address"),
            ("a@b.example\nBcc: x@y.example", "This is not an e-mail address"),
            (f"{'x' * 250}@acme.test", "This is not an e-mail address"),
            ("VERA@acme.test", "belongs to a member already"),
        ],
    )
    def test_a_bad_address_is_said_and_changes_nothing(self, shop: Acme, email: str, said: str) -> None:
        answer = sign_in(shop).post(f"/a/{shop.account.pk}/settings/members", {"email": email, "role": "viewer"})
        assert answer.status_code == 400
        assert said in answer.content.decode()
        assert not Invitation.objects.exists()
        assert not Delivery.objects.exists()

    def test_somebody_who_left_is_reactivated_instead(self, shop: Acme) -> None:
        Member.objects.filter(pk=shop.members[Role.VIEWER].pk).update(is_active=False)
        assert "somebody who left; reactivate them below" in ask(shop, "vera@acme.test")

    def test_one_live_invitation_for_an_address(self, shop: Acme) -> None:
        invite(shop)
        assert "is invited already; send the invitation again below" in ask(shop)
        assert Invitation.objects.count() == 1
        other = acme("Other", "other.test")
        assert invite(other).pk  # another account's is its own matter

    def test_an_unknown_role_is_no_role(self, shop: Acme) -> None:
        ask(shop, role="owner")
        assert not Invitation.objects.exists()

    def test_an_expired_one_is_opened_anew(self, shop: Acme) -> None:
        first = invite(shop)
        link = path(first)
        Invitation.objects.update(expires_at=timezone.now())
        ask(shop, role="viewer")
        invitation = Invitation.objects.get()
        assert (invitation.pk, invitation.role) == (first.pk, "viewer")
        assert path(invitation) == link

    def test_what_became_of_the_mail(self, shop: Acme) -> None:
        invite(shop)
        url, client = f"/a/{shop.account.pk}/settings/members", sign_in(shop)
        because = {"code": "smtp_address_unknown", "params": {"text": "no such user"}}
        Delivery.objects.update(state="sent", settled_at=timezone.now())
        assert "mail accepted" in client.get(url).content.decode()
        Delivery.objects.update(state="waiting", settled_at=None, last_because=because)
        assert "mail tried again" in client.get(url).content.decode()
        Delivery.objects.update(state="dead", settled_at=timezone.now())
        page = client.get(url).content.decode()
        assert "mail not delivered" in page
        assert "There is no such address: “no such user”." in page.replace("\u2068", "").replace("\u2069", "")
        Delivery.objects.all().delete()
        assert "no mail; pass the link on" in client.get(url).content.decode()

    def test_every_step_is_audited(self, shop: Acme) -> None:
        ask(shop)
        invitation = Invitation.objects.get()
        for what in ("again", "revoke", "restore"):
            assert act(shop, invitation, what) == 302
        entries = AuditEntry.objects.filter(subject=GRACE).order_by("pk")
        assert [entry.action for entry in entries] == [f"invitation.{word}" for word in ("create", "send_again", "revoke", "restore")]
        assert {entry.member for entry in entries} == {shop.admin}


class TestActs:
    def test_sending_again_keeps_the_link_and_starts_the_seven_days_anew(self, shop: Acme, client: Client) -> None:
        invitation = invite(shop)
        Invitation.objects.update(expires_at=timezone.now() - timedelta(days=1))
        assert client.get(path(invitation)).status_code == 410
        assert act(shop, invitation, "again") == 302
        assert client.get(path(invitation)).status_code == 200
        states = list(Delivery.objects.order_by("pk").values_list("state", flat=True))
        assert states == ["suppressed", "queued"]  # the first had not left yet, and says no more than the second

    def test_withdrawing_stops_link_and_mail_and_can_be_undone(self, shop: Acme, client: Client) -> None:
        invitation = invite(shop)
        answer = sign_in(shop).post(f"/a/{shop.account.pk}/settings/invitations/{invitation.pk}/revoke", follow=True).content.decode()
        assert f"/settings/invitations/{invitation.pk}/restore" in answer
        assert client.get(path(invitation)).status_code == 410
        assert Delivery.objects.get().state == "suppressed"
        assert Delivery.objects.get().payload is None
        act(shop, invitation, "restore")
        assert client.get(path(invitation)).status_code == 200
        assert Delivery.objects.filter(state="queued").count() == 1

    def test_inviting_again_after_withdrawing_makes_old_links_void(self, shop: Acme, client: Client) -> None:
        old = path(invite(shop))
        act(shop, Invitation.objects.get(), "revoke")
        ask(shop)
        new = path(Invitation.objects.get())
        assert old != new
        assert "There is a newer invitation" in client.get(old).content.decode()
        assert client.get(new).status_code == 200
        client.post(old, {"name": "Grace", "password": PASSWORD})
        assert not Member.objects.filter(user__email=GRACE).exists()

    def test_nothing_can_be_done_with_an_accepted_one(self, shop: Acme) -> None:
        invitation = invite(shop)
        Invitation.objects.update(accepted_at=timezone.now())
        assert {act(shop, invitation, what) for what in ("again", "revoke", "restore")} == {409}

    def test_the_link_can_be_copied(self, shop: Acme) -> None:
        invitation = invite(shop)
        page = sign_in(shop).get(f"/a/{shop.account.pk}/settings/invitations/{invitation.pk}").content.decode()
        assert join_url(invitation) in page

    def test_another_accounts_invitation_is_not_found(self, shop: Acme) -> None:
        strange = invite(acme("Other", "other.test"))
        assert {act(shop, strange, what) for what in ("again", "revoke", "restore")} == {404}
        assert sign_in(shop).get(f"/a/{shop.account.pk}/settings/invitations/{strange.pk}").status_code == 404
        strange.refresh_from_db()
        assert strange.revoked_at is None


class TestJoining:
    def test_a_new_person(self, shop: Acme, client: Client) -> None:
        shop.account.language, shop.account.zone = "ru", "Europe/Berlin"
        shop.account.save()
        link = path(invite(shop, role=Role.VIEWER))
        page = client.get(link)
        assert '<html lang="ru"' in page.content.decode()
        assert page["Referrer-Policy"] == "same-origin"
        assert "no-store" in page["Cache-Control"]
        answer = client.post(link, {"name": " Grace Hopper ", "password": "a good long one"})
        assert answer["Location"] == f"/a/{shop.account.pk}/"
        assert client.get(answer["Location"]).status_code == 200
        member = Member.objects.get(user__email=GRACE)
        user = member.user
        assert (member.role, user.name, user.language, user.zone) == ("viewer", "Grace Hopper", "ru", "Europe/Berlin")
        assert user.check_password("a good long one")
        entry = AuditEntry.objects.get(action="member.join")
        assert (entry.member, entry.after) == (member, {"role": "viewer", "through": "invitation link"})

    @pytest.mark.parametrize(
        ("account", "external", "chosen", "kept"),
        [("ru", "", "", "ru"), ("en", "", "", "en"), ("en", "ru", "", "ru"), ("en", "", "ru", "ru"), ("ru", "", "en", "en")],
    )
    def test_mail_page_and_person_speak_one_language(
        self, shop: Acme, client: Client, account: str, external: str, chosen: str, kept: str
    ) -> None:
        """That of the address or account, until the reader chooses at the foot of the page; the browser's wish counts for nothing."""
        shop.account.language = account
        shop.account.save()
        if external:
            made = {"public_id": "grace", "created_at": NOW, "updated_at": NOW}
            Destination.objects.create(
                account=shop.account, kind="email", address=GRACE, address_key=GRACE, language=external, zone="Asia/Omsk", **made
            )
        link = path(invite(shop))
        mailed = Delivery.objects.get(purpose="notice").payload
        assert (b"\r\nContent-Language: ru" in mailed) is (external == "ru" or account == "ru")
        if chosen:
            client.post("/language/setlang/", {"language": chosen})
        shown = client.get(link, headers={"accept-language": "en" if kept == "ru" else "ru"})
        assert (f'<html lang="{kept}"' in shown.content.decode(), shown["Content-Language"]) == (True, kept)
        client.post(link, {"name": "Grace", "password": PASSWORD}, headers={"accept-language": "en" if kept == "ru" else "ru"})
        user = User.objects.get(email=GRACE)
        assert (user.language, user.zone) == (kept, "Asia/Omsk" if external else "UTC")

    @pytest.mark.parametrize(
        ("name", "password", "said"),
        [
            ("", PASSWORD, "Give a name"),
            ("x" * 201, PASSWORD, "Give a name"),
            ("Gra\nce", PASSWORD, "Give a name"),
            ("Grace", "short", "too short"),
            ("Grace", "", "too short"),
            ("Grace", "password123", "too common"),
            ("Grace", GRACE, "too similar"),
        ],
    )
    def test_bad_input_is_said_and_changes_nothing(self, shop: Acme, client: Client, name: str, password: str, said: str) -> None:
        answer = client.post(path(invite(shop)), {"name": name, "password": password})
        assert answer.status_code == 400
        assert said in answer.content.decode()
        assert not User.objects.filter(email=GRACE).exists()
        assert Invitation.objects.get().accepted_at is None

    def test_looking_changes_nothing(self, shop: Acme, client: Client) -> None:
        link = path(invite(shop))
        assert [client.get(link).status_code, client.head(link).status_code, client.put(link).status_code] == [200, 200, 405]
        assert Invitation.objects.get().accepted_at is None

    def test_somebody_known_signs_in_first_and_then_accepts(self, shop: Acme) -> None:
        other = acme("Other", "other.test")
        known = other.admin.user
        link = path(invite(shop, known.email))
        client = Client()
        page = client.get(link).content.decode()
        assert f"/account/login/?next={link}" in page
        assert "password" not in page.lower()
        assert client.post(link, {"name": "Eve", "password": PASSWORD}).status_code == 200  # asks to sign in
        assert not Member.objects.filter(account=shop.account, user=known).exists()
        signed_in = client.post(f"/account/login/?next={link}", {"login": known.email, "password": PASSWORD})
        assert signed_in["Location"] == link
        assert client.post(link)["Location"] == f"/a/{shop.account.pk}/"
        assert Member.objects.get(account=shop.account, user=known).role == "developer"
        menu = client.get(f"/a/{shop.account.pk}/").content.decode()
        assert f'href="/a/{other.account.pk}/"' in menu

    def test_the_link_alone_is_no_right_for_somebody_else(self, shop: Acme) -> None:
        link = path(invite(shop))
        mallory = acme("Other", "other.test")
        client = sign_in(mallory)
        page = client.post(link).content.decode()
        assert "This invitation is for somebody else" in page
        assert "ada@other.test" in page
        assert GRACE in page
        assert not Member.objects.filter(account=shop.account, user=mallory.admin.user).exists()
        out = client.post("/account/logout/", {"next": link})
        assert out["Location"] == link

    def test_a_link_that_was_used_expired_or_withdrawn_says_so(self, shop: Acme, client: Client) -> None:
        invitation = invite(shop)
        link, now = path(invitation), timezone.now()
        for change, said in (
            ({"expires_at": now - timedelta(seconds=1)}, "This invitation has expired"),
            ({"revoked_at": now}, "This invitation was withdrawn"),
            ({"accepted_at": now}, "This invitation was accepted already"),
        ):
            Invitation.objects.update(**{"expires_at": now + timedelta(days=1), "revoked_at": None, "accepted_at": None, **change})
            for answer in (client.get(link), client.post(link, {"name": "Grace", "password": PASSWORD})):
                assert answer.status_code == 410
                assert said in answer.content.decode()
        assert not User.objects.filter(email=GRACE).exists()

    def test_a_forged_or_broken_link_opens_nothing(self, shop: Acme, client: Client) -> None:
        link = path(invite(shop))
        head, token = link.rsplit("/", 1)
        assert len(token) == 22
        for strange in (f"{head}/{token[:-1]}", f"{head}/{'A' * 22}", f"{head}/äöü", f"/join/99999/{token}", f"/join/{10**17}/{token}"):
            answer = client.post(strange, {"name": "Grace", "password": PASSWORD})
            assert answer.status_code == 404
            assert "This invitation does not work" in answer.content.decode()

    def test_every_key_opens_a_link_and_a_lost_one_does_not(self, shop: Acme, client: Client, settings: Settings) -> None:
        link = path(invite(shop))
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another-key" * 5, [settings.SECRET_KEY]
        assert client.get(link).status_code == 200
        settings.SECRET_KEY_FALLBACKS = []
        assert client.get(link).status_code == 404

    def test_a_forged_request_accepts_nothing(self, shop: Acme) -> None:
        link = path(invite(shop))
        client = Client(enforce_csrf_checks=True)
        assert client.post(link, {"name": "Grace", "password": PASSWORD}).status_code == 403
        assert not User.objects.filter(email=GRACE).exists()

    def test_twice_is_as_once(self, shop: Acme) -> None:
        link = path(invite(shop))
        first, second = (Client().post(link, {"name": "Grace", "password": PASSWORD}).status_code for _ in range(2))
        assert (first, second) == (302, 410)
        assert Member.objects.filter(user__email=GRACE).count() == 1

    def test_a_member_made_meanwhile_is_told_so(self, shop: Acme) -> None:
        link = path(invite(shop))
        member = add_member(account=shop.account, email=GRACE, role=Role.VIEWER, password=PASSWORD, now=NOW)
        client = Client()
        client.force_login(member.user)
        answer = client.post(link)
        assert answer.status_code == 409
        assert "You cannot join with this link" in answer.content.decode()
        member.refresh_from_db()
        assert member.role == "viewer"


class TestExternalAddress:
    """Somebody joins whose address was set up as an external one."""

    @pytest.fixture
    def external(self, shop: Acme) -> Destination:
        external = Destination.objects.create(
            account=shop.account,
            kind="email",
            address="Grace@acme.test",
            address_key=GRACE,
            public_id="grace",
            language="ru",
            created_at=NOW,
            updated_at=NOW,
        )
        shop.rule(external)
        shop.rule(external, Outcome.WARNED, environment=True)
        return external

    def test_its_rules_become_the_members(self, shop: Acme, external: Destination, client: Client) -> None:
        waiting = Delivery.objects.create(account=shop.account, destination=external, lane="email", due_at=NOW, created_at=NOW)
        client.post(path(invite(shop)), {"name": "Grace", "password": PASSWORD})
        member = Member.objects.get(user__email=GRACE)
        own = Destination.objects.get(account=shop.account, member=member, state=1)
        assert set(own.rules.values_list("outcome", "set_by")) == {("failed", shop.admin.pk), ("warned", shop.admin.pk)}
        assert not Destination.objects.filter(account=shop.account, member=None, state=1).exists()
        waiting.refresh_from_db()
        assert waiting.destination == own
        entry = AuditEntry.objects.get(action="notifications.adopt")
        assert entry.before == {"external_email": "Grace@acme.test"}
        assert entry.after["on_failure"] == [shop.job.pk]
        assert own.revision == external.revision + 1

    def test_also_from_the_command_line_and_only_in_this_account(self, shop: Acme, external: Destination) -> None:
        other = acme("Other", "other.test")
        add_member(account=other.account, email=GRACE, role=Role.VIEWER, password=PASSWORD, now=NOW)
        assert Destination.objects.get(pk=external.pk).member is None
        member = add_member(account=shop.account, email=GRACE, role=Role.VIEWER, password=PASSWORD, now=NOW)
        external.refresh_from_db()
        assert (external.member, external.address, external.language) == (member, "", "")


@pytest.mark.django_db(transaction=True)
class TestRaces:
    """On SQLite a transaction has the whole database, so nothing happens at once."""

    def together(self, *calls: object) -> list[object]:
        """Runs the calls at once, each on a connection of its own; returns what each gave or raised."""
        results: list[object] = [None] * len(calls)
        barrier = threading.Barrier(len(calls))

        def run(n: int) -> None:
            barrier.wait()
            try:
                results[n] = calls[n]()  # type: ignore[operator]
            except Exception as error:
                results[n] = error
            finally:
                connection.close()

        threads = [threading.Thread(target=run, args=(n,)) for n in range(len(calls))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    def test_one_address_invited_twice_at_once(self) -> None:
        if connection.vendor != "postgresql":
            return
        shop = acme()
        actor, now = Actor(shop.admin), timezone.now()
        results = self.together(*[lambda: invitations.invite(GRACE, Role.VIEWER, actor=actor, now=now)] * 2)
        assert sorted(type(result).__name__ for result in results) == ["Invitation", "InvitedAlready"]
        assert Invitation.objects.count() == 1
        assert Delivery.objects.count() == 1

    def test_one_link_accepted_twice_at_once(self) -> None:
        if connection.vendor != "postgresql":
            return
        shop = acme()
        invitation = invite(shop)
        token, now = path(invitation).rsplit("/", 1)[1], timezone.now()
        accept = lambda: accept_as_new(invitation.pk, token, name="Grace", password=PASSWORD, now=now)  # noqa: E731
        results = self.together(accept, accept)
        assert sorted(type(result).__name__ for result in results) == ["Closed", "Member"]
        assert Member.objects.filter(user__email=GRACE).count() == 1


def test_the_service_refuses_who_may_not(shop: Acme) -> None:
    manager = Actor(shop.members[Role.NOTIFICATION_MANAGER])
    with pytest.raises(PermissionError):
        invitations.invite(GRACE, Role.VIEWER, actor=manager, now=NOW)
    invitation = invite(shop)
    with pytest.raises(PermissionError):
        invitations.revoke(manager, invitation.pk, now=NOW)


def test_an_address_that_got_a_user_meanwhile_is_not_taken_over(shop: Acme) -> None:
    invitation = invite(shop)
    token = path(invitation).rsplit("/", 1)[1]
    known = User.objects.create(email=GRACE)
    with pytest.raises(BadField):
        accept_as_new(invitation.pk, token, name="Eve", password=PASSWORD, now=timezone.now())
    assert accept_as(known, invitation.pk, token, now=timezone.now()).user == known
