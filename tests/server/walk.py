"""Every URL of the server, who may use it and how it answers them: the table behind test_walk.py and docs/reference/permissions.md.

A new URL needs a `Row` here, and a value in `Stage.values` for a new kind of id in its path.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from runbell.core.permissions import Action, Role, may
from runbell.core.runs import Outcome
from runbell.server.db.models import (
    DbtPlatform,
    Delivery,
    Destination,
    Invitation,
    Job,
    MailboxItem,
    Member,
    Run,
    RunKey,
    SettingsCopy,
    State,
    Step,
    Token,
)
from runbell.server.services.access import Actor
from runbell.server.services.artifacts import Place, keep
from runbell.server.services.dbt_platforms import connect
from runbell.server.services.externals import remove_external
from runbell.server.services.invitation_links import join_url
from runbell.server.services.invitations import invite
from runbell.server.services.link_tokens import link_token
from runbell.server.services.members import add_member
from runbell.server.services.slack_webhooks import add_webhook, remove_webhook
from runbell.server.services.unsubscribe import unsubscribe_url
from tests.server.people import PASSWORD, Acme
from tests.server.slack_shop import HOOK, channel, configured, link, workspace


class Open(Enum):
    """Doors that ask for no action of the table of roles."""

    EVERYBODY = "everybody"
    SIGNED_IN = "everybody who is signed in"
    MEMBERS = "every member of the account"
    VISITORS = "visitors; members are sent on"


STRANGER, VISITOR = "member of another account", "signed out"
PEOPLE: tuple[Role | str, ...] = (*Role, STRANGER, VISITOR)
Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """`GET`, `POST`, `DELETE`, `PUT`: the status for those who may. One route has several rows when its methods ask for different rights."""

    route: str
    who: Action | Open
    GET: int | None = None
    POST: int | None = None
    DELETE: int | None = None
    PUT: int | None = None
    data: Fields | Callable[["Stage"], Fields] = field(default_factory=dict)  # of the POST
    path: str = ""  # when the route is a regular expression
    query: str = ""
    is_exempt: bool = False  # from CSRF, since a token in the path or the header is the right
    is_hidden: bool = False  # members without the right are told there is no such thing

    @property
    def is_api(self) -> bool:
        return self.route.startswith("api/")

    @property
    def methods(self) -> dict[str, int]:
        named = {"GET": self.GET, "POST": self.POST, "DELETE": self.DELETE, "PUT": self.PUT}
        return {method: status for method, status in named.items() if status}

    @property
    def keys(self) -> list[str]:
        """What its path names beside the account."""
        return [key for key in re.findall(r"<\w+:(\w+)>", self.route) if key != "account_id"]

    def fields(self, stage: "Stage") -> Fields:
        return self.data(stage) if callable(self.data) else self.data

    def url(self, values: Mapping[str, Any]) -> str:
        return "/" + (self.path or re.sub(r"<\w+:(\w+)>", lambda found: str(values[found[1]]), self.route + self.query))

    def status(self, person: Role | str, method: str) -> int:
        """What `person` gets."""
        good = self.methods[method]
        if self.who is Open.EVERYBODY:
            return good
        if self.who is Open.VISITORS:
            return good if person == VISITOR else 302
        if person == VISITOR:
            return 401 if self.is_api else 302
        if self.who is Open.SIGNED_IN:
            return good
        if not isinstance(person, Role):
            return 404 if "account_id" in self.route or self.keys else good  # a token leads to its own account
        return good if self.who is Open.MEMBERS or may(person, self.who) else 404 if self.is_hidden else 403


RUN_KEY = "cli:on/stage"
PLACE = "a/<int:account_id>/settings/jobs/<str:kind>/<int:place_id>"
WEBHOOKS = "a/<int:account_id>/settings/notifications/slack/webhooks"
V2, V3 = "api/v2/accounts/<int:account_id>", "api/v3/accounts/<int:account_id>"


def _notification(stage: "Stage") -> Fields:
    return {
        "type": 4,
        "external_email": "pager@partner.example",
        **{key: [] for key in ("on_cancel", "on_failure", "on_success", "on_warning")},
    }


def _job(stage: "Stage") -> Fields:
    return {"name": "walked", "environment_id": stage.shop.job.environment_id}


def _token(stage: "Stage") -> Fields:
    return {"name": "walk", "can": "report", "member": stage.shop.admin.pk}


def _address(stage: "Stage") -> Fields:
    return {"address": "channel@emea.teams.example"}


def _webhook(stage: "Stage") -> Fields:
    return {"name": "#walk", "url": HOOK.format("walk")}


def _report(stage: "Stage") -> Fields:
    job = {"project": "shop", "environment": "Production", "name": "nightly"}
    return {"key": "walk", "state": "started", "job": job, "started_at": "2026-11-24T02:00:00Z"}


ROWS = (
    # Pages of an account.
    Row("a/<int:account_id>/", Action.SEE_JOBS, GET=200),
    Row("a/<int:account_id>/jobs/<int:job_id>", Action.SEE_JOBS, GET=200),
    Row("a/<int:account_id>/jobs/<int:job_id>/pause", Action.PAUSE, GET=200, POST=302, data={"for": "1h"}),
    Row("a/<int:account_id>/jobs/<int:job_id>/resume", Action.PAUSE, POST=302),
    Row("a/<int:account_id>/environments/<int:environment_id>/pause", Action.PAUSE, GET=200, POST=302, data={"for": "1h"}),
    Row("a/<int:account_id>/environments/<int:environment_id>/resume", Action.PAUSE, POST=302),
    Row("a/<int:account_id>/runs/<int:run_id>", Action.SEE_JOBS, GET=200),
    Row("a/<int:account_id>/runs/<int:run_id>/artifacts/<int:step>/<str:name>", Action.SEE_JOBS, GET=200),
    Row("a/<int:account_id>/deliveries", Action.SEE_DELIVERIES, GET=200),
    Row("a/<int:account_id>/deliveries.csv", Action.SEE_DELIVERIES, GET=200),
    Row("a/<int:account_id>/deliveries/resend", Action.RESEND_DELIVERIES, POST=302, data={"delivery": "all"}),
    Row("a/<int:account_id>/mailbox", Action.READ_MAILBOX, GET=200),
    Row("a/<int:account_id>/mailbox/empty", Action.READ_MAILBOX, GET=200, POST=302),
    Row("a/<int:account_id>/mailbox/<int:item_id>", Action.READ_MAILBOX, GET=200),
    Row("a/<int:account_id>/mailbox/<int:item_id>/html", Action.READ_MAILBOX, GET=200),
    Row("a/<int:account_id>/first-run/token", Action.MANAGE_TOKENS, POST=200),
    # Notification settings.
    Row("a/<int:account_id>/settings/notifications/email", Action.SEE_JOBS, GET=200),
    Row("a/<int:account_id>/settings/notifications/email", Action.SET_OWN_NOTIFICATIONS, POST=400),  # it names no environment
    Row("a/<int:account_id>/settings/notifications/email/unsubscribe", Action.UNSUBSCRIBE_SELF, GET=200, POST=302),
    Row("a/<int:account_id>/settings/notifications/email/undo", Action.UNSUBSCRIBE_SELF, POST=302),
    Row("a/<int:account_id>/settings/notifications/email/external", Action.SET_ANY_NOTIFICATIONS, GET=200, POST=302, data=_address),
    Row("a/<int:account_id>/settings/notifications/email/external/<int:destination_id>", Action.SET_ANY_NOTIFICATIONS, GET=200, POST=302),
    Row(
        "a/<int:account_id>/settings/notifications/email/external/<int:destination_id>/remove",
        Action.SET_ANY_NOTIFICATIONS,
        GET=200,
        POST=302,
    ),
    Row("a/<int:account_id>/settings/notifications/slack", Action.SEE_JOBS, GET=200),
    Row(
        "a/<int:account_id>/settings/notifications/slack",
        Action.SET_ANY_NOTIFICATIONS,
        POST=302,
        data=lambda stage: {"revision": 1, "cells": "[]", "owner": stage.slack.link_id},
        query="?channel=<str:slack_key>&env=<int:environment_id>",
    ),
    Row(
        "a/<int:account_id>/settings/notifications/email/external/<int:destination_id>/restore",
        Action.SET_ANY_NOTIFICATIONS,
        POST=302,
    ),
    Row("a/<int:account_id>/settings/notifications/slack/<int:slack_id>/reader", Action.SET_ANY_NOTIFICATIONS, GET=200, POST=302),
    Row("a/<int:account_id>/settings/notifications/slack/channels", Action.LINK_SLACK, GET=200),
    Row("a/<int:account_id>/settings/notifications/slack/channels/refresh", Action.LINK_SLACK, POST=302),
    Row(
        "a/<int:account_id>/settings/notifications/slack/channels/find",
        Action.LINK_SLACK,
        POST=302,
        data=lambda stage: {"text": stage.slack.settings["channel_id"]},
    ),
    Row(WEBHOOKS, Action.LINK_SLACK, GET=200, POST=302, data=_webhook),
    Row(f"{WEBHOOKS}/<int:webhook_id>", Action.LINK_SLACK, GET=200, POST=302, data=_webhook),
    Row(f"{WEBHOOKS}/<int:webhook_id>/remove", Action.LINK_SLACK, GET=200, POST=302),
    Row(f"{WEBHOOKS}/<int:webhook_id>/restore", Action.LINK_SLACK, POST=302),
    Row("a/<int:account_id>/settings/notifications/mine", Action.SEE_JOBS, GET=200),
    Row(
        "a/<int:account_id>/settings/notifications/lift",
        Action.SET_ANY_NOTIFICATIONS,
        POST=302,
        data=lambda stage: {"destination": stage.external.pk},
    ),
    Row(
        "a/<int:account_id>/settings/notifications/confirmation",
        Action.SET_ANY_NOTIFICATIONS,
        POST=302,
        data=lambda stage: {"destination": stage.external.pk},
    ),
    Row("a/<int:account_id>/settings/notifications/preview", Action.SEE_JOBS, GET=200),
    Row("a/<int:account_id>/settings/notifications/preview/html", Action.SEE_JOBS, GET=200),
    Row("a/<int:account_id>/settings/notifications/test", Action.SET_OWN_NOTIFICATIONS, POST=302),
    Row("a/<int:account_id>/settings/notifications/test/<int:delivery_id>", Action.SEE_DELIVERIES, GET=200),
    Row("a/<int:account_id>/settings/notifications/copy", Action.SET_ANY_NOTIFICATIONS, GET=200, POST=200, data={"everybody": "1"}),
    Row("a/<int:account_id>/settings/notifications/copy/<int:copy_id>/undo", Action.SET_ANY_NOTIFICATIONS, POST=302),
    # The member's own profile.
    Row("a/<int:account_id>/settings/profile", Open.MEMBERS, GET=200, POST=302, data={"language": "ru", "zone": "UTC", "theme": "dark"}),
    Row("a/<int:account_id>/settings/profile/email", Open.MEMBERS, GET=302, POST=302),  # to the password first
    Row("a/<int:account_id>/settings/profile/theme", Open.MEMBERS, POST=302, data={"theme": "dark"}),
    Row("a/<int:account_id>/settings/sign-in", Open.MEMBERS, GET=200),
    Row("a/<int:account_id>/settings/sign-in/end", Open.MEMBERS, POST=302),
    Row("a/<int:account_id>/settings/sign-in/<int:session_id>/end", Open.MEMBERS, POST=302),
    # Account settings.
    Row("a/<int:account_id>/settings/jobs", Action.MANAGE_JOBS, GET=200),
    Row(PLACE, Action.MANAGE_JOBS, GET=200, POST=302, data={"do": "hide"}),
    Row(f"{PLACE}/merge", Action.MANAGE_JOBS, GET=200, POST=302, query="?into=<int:twin_id>"),
    Row(f"{PLACE}/delete", Action.MANAGE_JOBS, GET=200, POST=302),
    Row(f"{PLACE}/restore", Action.MANAGE_JOBS, POST=302),
    Row("a/<int:account_id>/settings/mail", Action.CHECK_MAIL, GET=200, POST=400, data={"address": "ada@acme.test"}),
    Row("a/<int:account_id>/settings/integrations", Action.LINK_SLACK, GET=200, POST=302, data={"client_id": "1.2", "client_secret": "x"}),
    Row("a/<int:account_id>/settings/integrations/slack/app/remove", Action.LINK_SLACK, POST=302),
    Row("a/<int:account_id>/settings/integrations/slack/check", Action.LINK_SLACK, POST=302),
    Row("a/<int:account_id>/settings/integrations/slack/link", Action.LINK_SLACK, GET=302),
    Row("a/<int:account_id>/settings/integrations/slack/<int:link_id>/unlink", Action.LINK_SLACK, GET=200, POST=302),
    Row(
        "a/<int:account_id>/settings/integrations/dbt",
        Action.CONNECT_DBT,
        GET=200,
        POST=302,
        data={"host": "cloud.getdbt.com", "external_id": "8", "token": "dbtc_x", "webhook_secret": ""},
    ),
    Row("a/<int:account_id>/settings/integrations/dbt/<int:platform_id>", Action.CONNECT_DBT, GET=200, POST=302, data={"token": "dbtc_y"}),
    Row("a/<int:account_id>/settings/integrations/dbt/<int:platform_id>/check", Action.CONNECT_DBT, POST=302),
    Row("a/<int:account_id>/settings/integrations/dbt/<int:platform_id>/remove", Action.CONNECT_DBT, GET=200, POST=302),
    Row("a/<int:account_id>/settings/tokens", Action.MANAGE_TOKENS, GET=200, POST=200, data=_token),
    Row("a/<int:account_id>/settings/tokens/<int:token_id>/revoke", Action.MANAGE_TOKENS, GET=200, POST=302),
    Row("a/<int:account_id>/settings/members", Action.MANAGE_MEMBERS, GET=200, POST=302, data={"email": "g@x.example", "role": "viewer"}),
    *(
        Row(
            f"a/<int:account_id>/settings/members/<int:member_id>/{act}",
            Action.MANAGE_MEMBERS,
            GET=get,
            POST=302,
            data={"role": "developer"},
        )
        for act, get in (("role", None), ("deactivate", 200), ("reactivate", None))
    ),
    Row("a/<int:account_id>/settings/invitations/<int:invitation_id>", Action.MANAGE_MEMBERS, GET=200),
    *(
        Row(f"a/<int:account_id>/settings/invitations/<int:invitation_id>/{act}", Action.MANAGE_MEMBERS, POST=302)
        for act in ("again", "revoke", "restore")
    ),
    Row("a/<int:account_id>/settings/audit", Action.SEE_AUDIT, GET=200),
    # Without an account.
    Row("", Open.SIGNED_IN, GET=302),
    Row("mailbox", Open.SIGNED_IN, GET=302),
    Row("healthz", Open.EVERYBODY, GET=200),
    Row("readyz", Open.EVERYBODY, GET=200),
    Row("metrics", Open.EVERYBODY, GET=404),  # the client of these tests asks as testserver, from nowhere near
    Row("language/setlang/", Open.EVERYBODY, POST=302, data={"language": "ru"}),
    Row("join/<int:invitation_id>/<str:token>", Open.EVERYBODY, GET=200),
    Row("u/<str:public_id>/<int:job_id>/<str:token>", Open.EVERYBODY, GET=200, POST=200, is_exempt=True),
    Row("u/<str:public_id>/<int:job_id>/<str:token>/undo", Open.EVERYBODY, POST=302, is_exempt=True),
    Row("confirm/<str:public_id>/<str:confirmation>", Open.EVERYBODY, GET=200, POST=200, is_exempt=True),
    Row("integrations/slack/callback", Open.EVERYBODY, GET=400),  # without the state of a link just begun
    Row("sources/dbt/<int:platform_id>", Open.EVERYBODY, POST=401, is_exempt=True),  # not signed by dbt
    Row("integrations/slack/events", Open.EVERYBODY, POST=401, is_exempt=True),  # not signed by Slack
    # Signing in, by allauth.
    Row("account/email/<str:token>", Open.SIGNED_IN, GET=404, POST=404),
    Row("account/", Open.SIGNED_IN, GET=302),
    Row("account/sso/", Open.EVERYBODY, GET=404),  # no provider is set
    Row("account/sso/finish/", Open.EVERYBODY, GET=404),
    Row("account/login/", Open.VISITORS, GET=200, POST=200),
    Row("account/logout/", Open.SIGNED_IN, GET=200, POST=302),
    Row("account/inactive/", Open.EVERYBODY, GET=200),
    Row("account/signup/", Open.EVERYBODY, GET=404, POST=404),
    Row("account/reauthenticate/", Open.SIGNED_IN, GET=200, POST=200),
    Row("account/password/change/", Open.SIGNED_IN, GET=200, POST=200),
    Row("account/password/set/", Open.SIGNED_IN, GET=302),
    Row("account/password/reset/", Open.EVERYBODY, GET=200, POST=200),
    Row("account/password/reset/done/", Open.EVERYBODY, GET=200),
    Row(
        "account/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        Open.EVERYBODY,
        GET=200,
        POST=200,
        path="account/password/reset/key/1-none/",
    ),
    Row("account/password/reset/key/done/", Open.EVERYBODY, GET=200),
    Row("account/code/", Open.EVERYBODY, GET=302, POST=302),  # within a sign-in alone
    Row("account/code/again/", Open.SIGNED_IN, GET=302, POST=302),
    Row("account/app/add/", Open.SIGNED_IN, GET=302, POST=302),
    Row("account/app/remove/", Open.SIGNED_IN, GET=404, POST=404),
    Row("account/recovery-codes/", Open.SIGNED_IN, GET=404),
    Row("account/recovery-codes/new/", Open.SIGNED_IN, GET=302, POST=302),
    # The dbt Admin API; each of these also without the last slash.
    Row("api/v2/", Open.EVERYBODY, GET=404, is_exempt=True),
    Row("api/v2/openapi.json", Open.EVERYBODY, GET=200, is_exempt=True),
    Row("api/v2/accounts/", Open.SIGNED_IN, GET=200, is_exempt=True),
    Row("api/v2/accounts/<int:account_id>/", Open.MEMBERS, GET=200, is_exempt=True),
    Row("api/v2/whoami/", Open.SIGNED_IN, GET=200, is_exempt=True),
    Row("api/v2/<path:rest>", Open.SIGNED_IN, GET=404, is_exempt=True),
    Row(f"{V2}/notifications/", Action.UNSUBSCRIBE_SELF, GET=200, is_exempt=True),
    Row(f"{V2}/notifications/", Action.SET_ANY_NOTIFICATIONS, POST=201, data=_notification, is_exempt=True),
    Row(
        f"{V2}/notifications/<int:key>/",
        Action.SET_ANY_NOTIFICATIONS,
        GET=200,
        POST=200,
        DELETE=204,
        data=_notification,
        is_exempt=True,
        is_hidden=True,
    ),
    *(Row(f"{V2}/{name}/", Action.SEE_JOBS, GET=200, is_exempt=True) for name in ("projects", "environments", "jobs", "runs")),
    *(Row(f"{V2}/{name}/<int:key>/", Action.SEE_JOBS, GET=200, is_exempt=True) for name in ("projects", "environments", "jobs", "runs")),
    Row(f"{V2}/runs/<int:key>/artifacts/", Action.SEE_JOBS, GET=200, is_exempt=True),
    *(Row(f"{V2}/{what}/<int:key>/artifacts/<path:name>/", Action.SEE_JOBS, GET=200, is_exempt=True) for what in ("runs", "jobs")),
    Row(f"{V2}/jobs/", Action.MANAGE_JOBS, POST=201, data=_job, is_exempt=True),
    Row(f"{V2}/jobs/<int:key>/", Action.MANAGE_JOBS, POST=200, DELETE=200, data={"description": "walked"}, is_exempt=True),
    Row("api/v2/notifications/unsubscribe/", Action.UNSUBSCRIBE_SELF, POST=200, is_exempt=True),
    *(Row(f"{V2}/jobs/<int:key>/{verb}/", Action.SEE_JOBS, POST=409, is_exempt=True) for verb in ("run", "rerun")),
    *(Row(f"{V2}/runs/<int:key>/{verb}/", Action.SEE_JOBS, POST=409, is_exempt=True) for verb in ("cancel", "retry")),
    Row("api/v3/", Open.EVERYBODY, GET=404, is_exempt=True),
    Row("api/v3/openapi.json", Open.EVERYBODY, GET=200, is_exempt=True),
    Row("api/v3/accounts/", Open.SIGNED_IN, GET=200, is_exempt=True),
    Row("api/v3/<path:rest>", Open.SIGNED_IN, GET=404, is_exempt=True),
    Row("api/v3/accounts/<int:account_id>/", Open.MEMBERS, GET=200, is_exempt=True),
    *(Row(f"{V3}/{name}/", Action.SEE_JOBS, GET=200, is_exempt=True) for name in ("projects", "environments")),
    *(Row(f"{V3}/{name}/<int:key>/", Action.SEE_JOBS, GET=200, is_exempt=True) for name in ("projects", "environments")),
    Row(f"{V3}/environments/<int:key>/model-notifications/", Action.SEE_JOBS, GET=200, is_exempt=True),
    Row(
        f"{V3}/environments/<int:key>/model-notifications/",
        Action.SET_ANY_NOTIFICATIONS,
        POST=200,
        data={"enabled": True},
        is_exempt=True,
    ),
    Row(f"{V3}/users/", Action.SET_ANY_NOTIFICATIONS, GET=200, is_exempt=True),
    Row(f"{V3}/users/<int:key>/", Action.SET_ANY_NOTIFICATIONS, GET=200, is_exempt=True),
    Row(f"{V3}/projects/<int:project_id>/environments/", Action.SEE_JOBS, GET=200, is_exempt=True),
    Row(f"{V3}/projects/<int:project_id>/environments/<int:key>/", Action.SEE_JOBS, GET=200, is_exempt=True),
    Row(f"{V3}/projects/<int:project_id>/environment-variables/job/", Action.SEE_JOBS, GET=200, is_exempt=True),
    # Runbell's own API.
    Row("api/", Open.EVERYBODY, GET=404, is_exempt=True),
    Row("api/openapi.json", Open.EVERYBODY, GET=200, is_exempt=True),
    Row("api/runbell/v1/runs", Action.REPORT_RUNS, POST=201, data=_report, is_exempt=True),
    Row("api/runbell/v1/runs:batch", Action.REPORT_RUNS, POST=200, data=lambda stage: {"reports": [_report(stage)]}, is_exempt=True),
    Row("api/runbell/v1/runs/<path:key>/artifacts/<int:step>/<str:name>", Action.REPORT_RUNS, PUT=200, is_exempt=True),
    Row("api/runbell/v1/check", Open.SIGNED_IN, GET=200, is_exempt=True),
)


@dataclass(frozen=True, slots=True)
class Stage:
    """One of each thing that a path can name."""

    shop: Acme
    run: Run
    item: MailboxItem
    external: Destination
    slack: Destination  # an admin's Slack channel
    webhook: Destination
    webhook_gone: Destination  # removed just now
    removed: Destination  # an external address, just now
    twin: Job  # another one beside the shop's
    gone: Job  # deleted just now
    copied: SettingsCopy
    service_token: Token
    platform: DbtPlatform

    def values(self, route: str) -> dict[str, Any]:
        account, job = self.shop.account, self.shop.job
        link = unsubscribe_url(self.external, job.pk)
        _, public_id, _, token = link.removeprefix("http://").split("/", 1)[1].split("/")
        kind = route.partition("/<int:key>")[0].rpartition("/")[2]
        project = job.environment.project_id
        keys = {
            "projects": project,
            "environments": job.environment_id,
            "jobs": job.pk,
            "runs": self.run.pk,
            "users": self.shop.admin.user_id,
        }
        return {
            "account_id": account.pk,
            "job_id": job.pk,
            "project_id": project,
            "environment_id": job.environment_id,
            "run_id": self.run.pk,
            "item_id": self.item.pk,
            "token_id": self.service_token.pk,
            "slack_key": self.slack.address_key,
            "slack_id": self.slack.pk,
            "link_id": self.slack.link_id,
            "destination_id": self.removed.pk if route.endswith("/restore") else self.external.pk,
            "webhook_id": (self.webhook_gone if route.endswith("/restore") else self.webhook).pk,
            "public_id": public_id,
            "session_id": 1,
            "delivery_id": self.item.delivery_id,
            "confirmation": link_token("confirm", self.external),
            "token": join_url(Invitation.objects.earliest("pk")).rpartition("/")[2] if route.startswith("join/") else token,
            "member_id": Member.objects.get(user__email="guest@acme.test").pk,
            "invitation_id": Invitation.objects.earliest("pk").pk,
            "rest": "nothing",
            "kind": "job",
            "platform_id": self.platform.pk,
            "copy_id": self.copied.pk,
            "place_id": self.gone.pk if route.endswith("/restore") else job.pk,
            "twin_id": self.twin.pk,
            "key": RUN_KEY if "runs/<path:key>" in route else keys.get(kind, self.external.pk),
            "step": 1,
            "name": "manifest.json",
        }


def set_stage(shop: Acme) -> Stage:
    now = timezone.now()
    add_member(account=shop.account, email="guest@acme.test", role=Role.VIEWER, password=PASSWORD, now=now)
    invite("grace@acme.test", Role.VIEWER, account=shop.account, by_mail=False, now=now)
    external = Destination.objects.create(
        account=shop.account,
        kind="email",
        address="ops@partner.example",
        address_key="ops@partner.example",
        public_id="ops",
        created_at=now,
        updated_at=now,
    )
    shop.rule(external, Outcome.FAILED)
    removed = Destination.objects.create(
        account=shop.account,
        kind="email",
        address="old@partner.example",
        address_key="old@partner.example",
        public_id="old",
        created_at=now,
        updated_at=now,
    )
    remove_external(removed, actor=Actor(shop.admin), now=now)
    run = Run.objects.create(
        account=shop.account, job=shop.job, state="started", started_at=now - timedelta(minutes=5), received_at=now - timedelta(minutes=5)
    )
    RunKey.objects.create(account=shop.account, key=RUN_KEY, run=run)
    Step.objects.create(run=run, index=1)
    done = Run.objects.create(
        account=shop.account, job=shop.job, state="finished", outcome="succeeded", started_at=now - timedelta(hours=1), received_at=now
    )
    for left in (run, done):
        keep(Place(left.pk, 1, "manifest.json"), b"{}", now=now)
    delivery = Delivery.objects.create(
        account=shop.account, destination=external, run=run, purpose="run", state="sent", created_at=now, due_at=now
    )
    item = MailboxItem.objects.create(
        account=shop.account,
        delivery=delivery,
        recipient=external.address,
        subject="FAILED",
        content=b"Subject: FAILED\n\nIt failed.\n",
        at=now,
    )
    platform = connect(Actor(shop.admin), host="http://127.0.0.1:9", external_id="7", token="dbtc_x", webhook_secret="whsec", now=now)
    team = workspace(shop)
    slack = configured(channel(team), link(team, shop.admin))
    hooked, unhooked = (
        add_webhook(f"#{name}", HOOK.format(name), "", "", actor=Actor(shop.admin), now=now) for name in ("hooked", "unhooked")
    )
    remove_webhook(unhooked.pk, actor=Actor(shop.admin), now=now)
    twin, gone = (Job.objects.create(account=shop.account, environment=shop.job.environment, name=name, created_at=now) for name in "tg")
    copied = SettingsCopy.objects.create(account=shop.account, member=shop.admin, at=now)
    Job.objects.filter(pk=gone.pk).update(state=State.DELETED, deleted_at=now)
    return Stage(
        shop,
        run,
        item,
        external,
        slack,
        hooked,
        unhooked,
        removed,
        twin,
        gone,
        copied,
        Token.objects.get(account=shop.account, name="ci"),
        platform,
    )


def routes() -> set[str]:
    """Every route there is; one that differs by its last slash alone counts once."""
    found = set(_walk(get_resolver().url_patterns, ""))
    return {route for route in found if f"{route}/" not in found}


def _walk(patterns: list[URLPattern | URLResolver], prefix: str) -> Iterator[str]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, route)
        else:
            yield route
