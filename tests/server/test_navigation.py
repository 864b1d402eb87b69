"""What the navigation marks as the page that is open: that, and nothing else."""

import re

import pytest
from django.test import Client

from runbell.core.permissions import Role
from tests.server.people import Acme
from tests.server.test_pages import sign_in

pytestmark = pytest.mark.django_db
PIECE = re.compile(
    r'<h2>(?P<head>[^<]+)</h2>|<a href="(?P<url>[^"]+)"(?P<marked> aria-current="page")?>(<svg.*?</svg>)?(?P<words>[^<]+)</a>'
)


def navigation(client: Client, url: str, label: str) -> list[tuple[str, str, str, bool]]:
    """Heading, URL and words of each link, and whether it is marked."""
    found = re.search(rf'<nav class="\w+" aria-label="{label}">(.*?)</nav>', client.get(url).content.decode(), re.DOTALL)
    assert found
    head, links = "", []
    for piece in PIECE.finditer(found[1]):
        head = piece["head"] or head
        if piece["url"]:
            links.append((head, piece["url"], piece["words"], bool(piece["marked"])))
    return links


def current(client: Client, url: str, label: str = "Main") -> list[str]:
    return [words for _, _, words, is_marked in navigation(client, url, label) if is_marked]


def test_account_settings_is_marked_on_the_pages_under_its_heading_alone(shop: Acme) -> None:
    client = sign_in(shop)
    side = navigation(client, f"/a/{shop.account.pk}/settings/members", "Settings")
    assert {head for head, *_ in side} == {"Notification settings", "Your profile", "Account settings"}
    for head, url, words, _ in side:
        assert current(client, url, "Settings") == [words]
        assert current(client, url) == (["Account settings"] if head == "Account settings" else []), url


def test_for_whom_it_leads_to_the_notification_settings_it_is_marked_there_alone(shop: Acme) -> None:
    client, settings = sign_in(shop, Role.DEVELOPER), f"/a/{shop.account.pk}/settings"
    assert current(client, f"{settings}/notifications/email") == ["Account settings"]
    assert current(client, f"{settings}/notifications/mine") == current(client, f"{settings}/profile") == []
