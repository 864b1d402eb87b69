"""A server inside a private network: it gets out through a proxy alone, and nobody gets in. Its environment names the proxy and whom it
trusts; its addresses of Slack are the real ones. This machine answers for them, with certificates of an authority of its own.
"""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import trustme
from playwright.sync_api import expect
from pytest_django import DjangoDbBlocker

from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from tests.browser.conftest import PageAs
from tests.browser.desk import Desk
from tests.browser.people import People
from tests.browser.slack_steps import SlackSteps, new_team, told
from tests.browser.steps import Steps
from tests.browser.words import words
from tests.e2e.stage import Server, running
from tests.fakes.http_server import ScriptedHttp
from tests.fakes.slack import FakeSlack

API, HOOKS = "slack.com:443", "hooks.slack.com:443"


@pytest.fixture(scope="module")
def slack() -> Iterator[FakeSlack]:
    with FakeSlack() as slack:
        yield slack


@pytest.fixture(scope="module")
def proxy() -> Iterator[ScriptedHttp]:
    with ScriptedHttp() as proxy:
        yield proxy


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, slack: FakeSlack, proxy: ScriptedHttp) -> Iterator[Server]:
    from django.conf import settings

    folder, authority = tmp_path_factory.mktemp("private"), trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("slack.com", "hooks.slack.com").configure_cert(context)
    env = {
        "RUNBELL_SECRET_KEY": settings.SECRET_KEY,
        "RUNBELL_ENCRYPTION_KEYS": ",".join(settings.RUNBELL_ENCRYPTION_KEYS),
        **slack.settings,
        "RUNBELL_SLACK_API_URL": "https://slack.com/api/",
        "HTTPS_PROXY": f"http://runbell:proxy-password@127.0.0.1:{proxy.port}",
        "SSL_CERT_FILE": str(folder / "ca.pem"),
    }
    with ExitStack() as stack:
        proxy.forward_to = ("127.0.0.1", stack.enter_context(slack.over_tls(context)))
        yield stack.enter_context(running(folder / "home", **env))


@pytest.fixture(scope="module")
def desk(server: Server, django_db_blocker: DjangoDbBlocker) -> Iterator[Desk]:
    desk = Desk(server.home, django_db_blocker)
    yield desk
    desk.close()


@pytest.fixture
def ada(page_as: PageAs, people: People, slack: FakeSlack, proxy: ScriptedHttp, language: str) -> SlackSteps:
    people.job("nightly", "Production")
    proxy.tunnels.clear()
    page = page_as(Role.ACCOUNT_ADMIN, language=language)
    return SlackSteps(Steps(page, words(language)), people, slack, new_team(slack), Role.ACCOUNT_ADMIN)


def test_the_whole_way_through_a_proxy(ada: SlackSteps, proxy: ScriptedHttp, people: People) -> None:
    ada.link()
    assert {to for to, _ in proxy.tunnels} == {API}
    assert all(asked.startswith("Basic ") for _, asked in proxy.tunnels)
    ada.open()
    ada.pick_channel("data-alerts")
    ada.steps.pick_environment("Production")
    ada.steps.choose("nightly", Outcome.FAILED)
    run = people.report(Outcome.FAILED)
    assert told(ada, "data-alerts") == [[run]]


def test_a_proxy_that_refuses_is_named_with_what_it_said(ada: SlackSteps, proxy: ScriptedHttp) -> None:
    way, proxy.forward_to = proxy.forward_to, None
    try:
        ada.open_integrations()
        ada.page.get_by_role("button", name=ada.say("Check"), exact=True).first.click()
        alert = ada.page.get_by_role("alert")
        expect(alert).to_contain_text(ada.say("This server does not reach Slack"))
        expect(alert).to_contain_text(f"127.0.0.1:{proxy.port}")
        expect(alert).to_contain_text("407")
        expect(alert).to_contain_text("HTTPS_PROXY")
        expect(alert).not_to_contain_text("proxy-password")
    finally:
        proxy.forward_to = way
    ada.page.get_by_role("button", name=ada.say("Check"), exact=True).first.click()
    expect(ada.page.get_by_role("alert")).to_have_count(0)


def test_an_incoming_webhook_from_its_url_to_its_end(ada: SlackSteps, proxy: ScriptedHttp, people: People) -> None:
    """No public address, no app, no link: a name and a URL. The URL goes in and never comes out; it is replaced, removed, brought back."""
    first, second = (ada.slack.add_hook(ada.team, ada.team.channel(name)) for name in ("data-alerts", "shop-ops"))
    ada.open()
    ada.add_webhook("#pager", f"https://hooks.slack.com{first.path}")
    ada.steps.pick_environment("Production")
    ada.steps.choose("nightly", Outcome.FAILED)
    runs = [people.report(Outcome.FAILED)]
    assert told(ada, "data-alerts") == [runs]
    assert HOOKS in {to for to, _ in proxy.tunnels}

    url = ada.open_webhook()
    assert (url.get_attribute("type"), url.input_value()) == ("password", "")
    assert first.path not in ada.page.content()
    url.fill(f"https://hooks.slack.com{second.path}")
    ada.page.get_by_role("button", name=ada.say("Save"), exact=True).click()
    expect(ada.page.locator("[data-toast]")).to_be_visible()
    assert second.path not in ada.page.content()
    later = people.report(Outcome.FAILED)
    assert (told(ada, "data-alerts"), told(ada, "shop-ops")) == ([runs], [[later]])

    ada.open_webhook()
    ada.page.get_by_role("link", name=ada.say("Remove this webhook")).click()
    ada.page.get_by_role("button", name=ada.say("Remove"), exact=True).click()
    expect(ada.page.locator("[data-toast]")).to_contain_text("#pager")
    people.report(Outcome.FAILED)
    assert told(ada, "shop-ops") == [[later]]
    ada.page.locator("[data-toast]").get_by_role("button", name=ada.say("Undo")).click()
    expect(ada.page.locator(".strip").filter(visible=True).first).to_be_visible()
    last = people.report(Outcome.FAILED)
    assert sorted(told(ada, "shop-ops")) == [[later], [last]]
