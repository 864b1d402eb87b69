"""A real Chromium before a real `runbell serve` with its worker and mailbox; one of each per test process, an account per test.

Run by `make browser`, apart from the other tests: see desk.py.
"""

from collections.abc import Iterator
from typing import Protocol

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from pytest_django import DjangoDbBlocker

from runbell.core.permissions import Role
from tests import quiet
from tests.browser.desk import Desk
from tests.browser.pages import furnish
from tests.browser.people import People, make_people
from tests.browser.watch import Watch
from tests.e2e.stage import Server, running
from tests.fakes.slack import FakeSlack
from tests.server.walk import Stage, set_stage

CHROMIUM = "/usr/bin/chromium"
PATIENCE = 30_000  # ms until something that should be on a page is given up
LANGUAGES = ("en", "ru")

expect.set_options(timeout=PATIENCE)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `language` runs in each; those in Russian carry a marker, so that one can be short of time."""
    if "language" in metafunc.fixturenames:
        metafunc.parametrize("language", ["en", pytest.param("ru", marks=pytest.mark.russian)])


class PageAs(Protocol):
    def __call__(
        self,
        role: Role | None,
        *,
        of: People | None = None,
        language: str = "en",
        theme: str = "light",
        width: int = 1280,
        script: bool = True,
    ) -> Page: ...


@pytest.fixture(scope="session")
def slack() -> Iterator[FakeSlack]:
    with FakeSlack() as slack:
        yield slack


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, slack: FakeSlack) -> Iterator[Server]:
    from django.conf import settings

    keys = {"RUNBELL_SECRET_KEY": settings.SECRET_KEY, "RUNBELL_ENCRYPTION_KEYS": ",".join(settings.RUNBELL_ENCRYPTION_KEYS)}
    env = {"RUNBELL_LOG_LEVEL": "debug", "RUNBELL_PRIVATE_HOSTS": "on"}  # the fake dbt platform is on this machine
    with running(tmp_path_factory.mktemp("served") / "home", **env, **keys, **slack.settings) as server:
        slack.app.events_url = f"{server.url}/integrations/slack/events"
        yield server


@pytest.fixture(scope="session")
def desk(server: Server, django_db_blocker: DjangoDbBlocker) -> Iterator[Desk]:
    desk = Desk(server.home, django_db_blocker)
    yield desk
    desk.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def people(server: Server, desk: Desk) -> People:
    return make_people(server, desk)


@pytest.fixture(scope="session")
def furnished(server: Server, desk: Desk) -> People:
    """Something of everything, to look at: tests that change something take `people`."""
    people = make_people(server, desk)
    furnish(people)
    return people


@pytest.fixture(scope="session")
def stage(furnished: People, desk: Desk) -> Stage:
    """One of each thing that a URL names."""
    return desk.do(lambda: set_stage(furnished.acme))


@pytest.fixture
def watch() -> Iterator[Watch]:
    watch = Watch()
    yield watch
    watch.check()


@pytest.fixture
def page_as(browser: Browser, server: Server, watch: Watch, request: pytest.FixtureRequest) -> Iterator[PageAs]:
    """A page of a browser of their own, signed in as the member in this role, or with None as a visitor."""
    contexts = []

    def open_page(
        role: Role | None,
        *,
        of: People | None = None,
        language: str = "en",
        theme: str = "light",
        width: int = 1280,
        script: bool = True,
    ) -> Page:
        context = browser.new_context(
            base_url=server.url,
            color_scheme="dark" if theme == "dark" else "light",
            java_script_enabled=script,
            locale={"en": "en-GB", "ru": "ru-RU"}[language],
            reduced_motion="reduce",
            viewport={"width": width, "height": 800},
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        watch.over(context)
        if role:
            people: People = of or request.getfixturevalue("people")
            people.change(role, language=language)
            context.add_cookies([{"name": "runbell_session", "value": people.session(role), "url": server.url}])
        return context.new_page()

    yield open_page
    for context in contexts:
        for page in context.pages:
            if page.url.startswith(server.url):
                quiet.note(f"{page.url} {page.content()}", page.url)
        context.close()
    quiet.settle()
