"""A link that acts for an address is never in a log line, whatever becomes of the request."""

import logging
import subprocess
import sys
from typing import Any

import pytest
from django.urls import get_resolver, reverse

from runbell.server.logs import mask

TOKEN = "CU3C5kisUa8kFEVtX9InSb"
LINKS: dict[str, list[Any]] = {
    "unsubscribe": ["F3aHNrqm2", 4, TOKEN],
    "unsubscribe_undo": ["F3aHNrqm2", 4, TOKEN],
    "join": [5, TOKEN],
    "confirm": ["F3aHNrqm2", TOKEN],
    "confirm_email": [TOKEN],
    "account_reset_password_from_key": ["1", TOKEN],
}


def test_every_url_that_holds_a_token_is_here() -> None:
    named = {name for name in get_resolver().reverse_dict if isinstance(name, str)}
    holders = {
        name
        for name in named
        for possible, *_ in get_resolver().reverse_dict.getlist(name)
        for _, names in possible
        if {"token", "key", "confirmation"} & set(names)
    }
    assert holders == set(LINKS)


@pytest.mark.parametrize("name", sorted(LINKS))
def test_the_token_of_a_path_is_hidden(name: str) -> None:
    path = reverse(name, args=LINKS[name])
    said = mask(logging, "warning", {"event": f"Forbidden (CSRF token missing.): {path}", "path": path})
    assert TOKEN not in str(said)
    assert "Forbidden" in str(said)


def test_django_s_own_lines_are_masked_too() -> None:
    script = "import logging; from runbell.server.logs import set_up; set_up('info'); logging.getLogger('django.request').warning('Not Found: %s', '/join/5/{}')"
    said = subprocess.run([sys.executable, "-c", script.format(TOKEN)], capture_output=True, text=True, check=True).stderr
    assert "Not Found: /join/5/hidden" in said
