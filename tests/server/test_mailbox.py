"""Emptying the built-in mailbox: what was seen goes, by admins alone, and the log stays."""

from collections.abc import Iterable

import pytest
from django.test import Client

from runbell.core.permissions import Role
from runbell.server.db.models import AuditEntry, Delivery, Destination, MailboxItem
from runbell.server.services import mailbox_pages
from tests.server.people import NOW, Acme, acme
from tests.server.test_pages import keep_mail, sign_in

pytestmark = pytest.mark.django_db


def mails(shop: Acme, count: int) -> list[MailboxItem]:
    """The newest last."""
    destination = Destination.objects.filter(account=shop.account).first() or shop.destination()
    deliveries = (
        Delivery.objects.create(account=shop.account, destination=destination, purpose="test", state="sent", created_at=NOW, due_at=NOW)
        for _ in range(count)
    )
    return [keep_mail(shop, delivery) for delivery in deliveries]


def empty(client: Client, shop: Acme, newest: MailboxItem | None = None) -> str:
    """What the mailbox says afterwards."""
    query = f"?upto={newest.pk}" if newest else ""
    answer = client.post(f"/a/{shop.account.pk}/mailbox/empty{query}", follow=True)
    assert answer.redirect_chain == [(f"/a/{shop.account.pk}/mailbox", 302)]
    return answer.content.decode()


def left(*shops: Acme) -> list[int]:
    return sorted(MailboxItem.objects.filter(account__in=[shop.account for shop in shops]).values_list("pk", flat=True))


def ids(items: Iterable[MailboxItem]) -> list[int]:
    return sorted(item.pk for item in items)


def test_it_asks_and_deletes_what_was_seen(shop: Acme, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox_pages, "BATCH", 2)
    strange = mails(acme("Other", "other.test"), 1)
    seen, client = mails(shop, 5), sign_in(shop)
    page = client.get(f"/a/{shop.account.pk}/mailbox").content.decode()
    ask = f"/a/{shop.account.pk}/mailbox/empty?upto={seen[-1].pk}"
    assert f'<a class="btn" href="{ask}" data-ask>Empty the mailbox</a>' in page
    asked = client.get(ask).content.decode()
    assert "5 mails are deleted, and nothing brings them back." in asked
    assert 'aria-label="Settings"' not in asked
    assert len(left(shop)) == 5
    since = mails(shop, 1)
    said = empty(client, shop, seen[-1])
    assert "5 mails deleted." in said
    assert ids(since) == left(shop)
    assert MailboxItem.objects.filter(pk__in=ids(strange)).exists()
    assert Delivery.objects.filter(account=shop.account).count() == 6
    assert "1 mail deleted." in empty(client, shop)
    assert left(shop) == []


def test_the_audit_log_has_one_entry_and_none_for_nothing(shop: Acme) -> None:
    client = sign_in(shop)
    assert "0 mails deleted." in empty(client, shop)
    assert not AuditEntry.objects.filter(action="mailbox.empty").exists()
    mails(shop, 3)
    empty(client, shop)
    entry = AuditEntry.objects.get(action="mailbox.empty")
    assert (entry.subject, entry.member, entry.account) == ("3", shop.admin, shop.account)
    log = client.get(f"/a/{shop.account.pk}/settings/audit?kind=notifications").content.decode()
    assert "The mailbox was emptied, mails: 3" in log


def test_an_empty_one_has_no_button(shop: Acme) -> None:
    assert "Empty the mailbox" not in sign_in(shop).get(f"/a/{shop.account.pk}/mailbox").content.decode()


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ACCOUNT_ADMIN])
def test_others_may_not(shop: Acme, role: Role) -> None:
    kept = mails(shop, 1)
    assert sign_in(shop, role).post(f"/a/{shop.account.pk}/mailbox/empty").status_code == 403
    assert left(shop) == ids(kept)
