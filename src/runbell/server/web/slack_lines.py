"""Slack channels to choose from, in words: for the script's list and for the page that a search without script makes."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext, ngettext

from runbell.server.services.slack_pages import Configured
from runbell.server.services.slack_search import Found, Known, Listing, search
from runbell.server.web.edge import Page
from runbell.server.web.templatetags.runbell import reason, roughly


@dataclass(frozen=True, slots=True)
class Option:
    """A line of the list. `is_off`: shown, with the reason in its note, but not to be chosen."""

    value: str
    main: str
    note: str
    is_off: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """`of`: the workspace, which the button names beside the Slack channel."""

    label: str
    of: str
    icon: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Finds:
    """`paste`: an ID that Slack can be asked about; `refreshed` says how fresh the list is, or how far a new one has come."""

    text: str
    groups: tuple[Group, ...]
    count: str
    paste: str
    refreshed: str
    is_busy: bool

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def finds(page: Page, text: str) -> Finds:
    """Raises `NotAllowed`."""
    found = search(page.actor, text[:300], now=timezone.now())
    return Finds(
        text=text,
        groups=(*configured_groups(found.configured, found.webhooks), *_known(found.known)),
        count=_count(found),
        paste=found.paste,
        refreshed=refreshed(found.listing),
        is_busy=found.listing.is_busy,
    )


def refreshed(listing: Listing) -> str:
    if listing.is_busy:
        n = listing.found
        return (
            ngettext("%(n)s found so far", "%(n)s found so far", n) % {"n": number_format(n, force_grouping=True)}
            if n
            else gettext("Asking Slack")
        )
    if listing.trouble:
        return gettext("Refresh: %(reason)s") % {"reason": reason(listing.trouble)}
    if listing.listed_at is None:
        return gettext("Not listed yet")
    passed = (timezone.now() - listing.listed_at).total_seconds()
    return gettext("Refreshed %(span)s ago") % {"span": roughly(passed)} if passed >= 60 else gettext("Refreshed just now")


def _note(line: Configured) -> str:
    """Whose it is, and how much it hears."""
    rules = ngettext("%(n)d rule", "%(n)d rules", line.rules) % {"n": line.rules} if line.rules else gettext("no rules")
    state = gettext("silent") if line.silent else rules
    owner = gettext("by you") if line.is_own else gettext("by %(who)s") % {"who": line.owner} if line.owner else ""
    return f"{owner}, {state}" if owner else state


def configured_groups(lines: Iterable[Configured], webhooks: Iterable[Configured]) -> list[Group]:
    """By workspace, then the incoming webhooks."""
    pasted = tuple(Option(line.key, line.name, _note(line)) for line in webhooks)
    return [*_by_workspace(lines), *([Group(gettext("Incoming webhooks"), "", "link", pasted)] if pasted else [])]


def _by_workspace(lines: Iterable[Configured]) -> list[Group]:
    ordered = sorted(lines, key=lambda line: (line.workspace, line.name))
    return [
        Group(
            gettext("%(workspace)s, already configured") % {"workspace": workspace} if workspace else gettext("Already configured"),
            workspace,
            "hash",
            tuple(Option(line.key, line.name, _note(line)) for line in group),
        )
        for workspace, group in groupby(ordered, lambda line: line.workspace)
    ]


def _known(lines: Iterable[Known]) -> list[Group]:
    return [
        Group(workspace, workspace, "hash", tuple(Option(line.key, line.name, _known_note(line), bool(line.unusable)) for line in group))
        for workspace, group in groupby(lines, lambda line: line.workspace)
    ]


def _known_note(line: Known) -> str:
    words = {"archived": gettext("archived"), "private": gettext("private"), "gone": gettext("gone")}
    if line.unusable:
        return words[line.unusable]
    if line.members is None:
        return ""
    return ngettext("%(n)s member", "%(n)s members", line.members) % {"n": number_format(line.members, force_grouping=True)}


def _count(found: Found) -> str:
    text = ngettext("%(shown)s of %(total)s public Slack channel", "%(shown)s of %(total)s public Slack channels", found.total)
    return text % {"shown": number_format(found.shown, force_grouping=True), "total": number_format(found.total, force_grouping=True)}
